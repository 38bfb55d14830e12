package wallet

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// Many files are added in steps. The files of a step are encrypted one by one, small ones
// beside each other, and become records together: one batch of the outbox, which is one
// append to the ledger. Who is killed before the batch is written down has added nothing of
// the step, and the store drops what was uploaded; afterwards the next run finishes it. So
// nothing is there twice when the same is added again, since bytes that are there are known.

// addTogether is how many files a step has at most. A change takes some 8 kB on its way.
var addTogether = 512

const (
	addBytes  = 256 << 20 // of their files: with them a step ends, since what waits for it must not wait for long
	addSmall  = 1 << 20   // bytes of a file that is encrypted beside others
	addBeside = 4         // so many of them: two cores, and the disk
)

// File is one of several files to be added.
type File struct {
	Name string // as in Source
	Size int64  // bytes; -1 if unknown
	Open func() (io.ReadCloser, error)

	Vouched *payload.Vouched // as in Source
}

// Added is what became of one of several files.
type Added struct {
	Record   Record
	Existing bool  // nothing was added: these bytes are there
	Err      error // why it was not added, and the others were; nil if it was
}

// AddAll adds files as Add does each, in their order and by as few steps as can be. Of each
// file out says what became of it: one that cannot be read, or is about another person, does
// not keep the others from being added. With an error the files behind out are not, or it is
// [ErrPending] and they were not begun. d's title is for all of them; progress is told how
// many bytes of all were gone through.
func (rs Records) AddAll(ctx context.Context, files []File, d Describe, progress func(done int64)) (out []Added, err error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(int64) {}
	}
	var done int64
	for len(out) < len(files) && err == nil {
		err = rs.w.Together(ctx, func() error {
			if err := rs.describeAll(ctx); err != nil {
				return err
			}
			if rs.w.view.Away() != nil { // what is there already could be doubled
				return rs.w.view.Away()
			}
			a := &adding{rs: rs, d: d, known: map[*view.Thread][]health.Person{}, progress: progress, done: done, room: make(chan struct{}, addBeside)}
			some, err := a.step(ctx, files[len(out):])
			out, done = append(out, some...), a.done
			return err
		})
	}
	return out, err
}

// adding is one step.
type adding struct {
	rs    Records
	d     Describe
	files []*addingFile

	persons  [][]health.Person                // of files of this step, each once
	known    map[*view.Thread][]health.Person // of records that were looked at
	progress func(int64)
	done     int64         // bytes of files that were gone through
	room     chan struct{} // for who encrypts
	busy     sync.WaitGroup
}

// addingFile is one file of a step.
type addingFile struct {
	Added
	*sealed                    // nil: nothing is to be entered
	joins   ledgerclient.Joint // its upload, if it ends with the others
	like    *addingFile        // one before it that has the same bytes
	failed  error              // of what is ours: it ends the step
}

// personsOf is Records.personsOf, asked once for each record of a step.
func (a *adding) personsOf(rs Records, ctx context.Context, t *view.Thread) ([]health.Person, error) {
	if a == nil {
		return rs.personsOf(ctx, t)
	}
	of, ok := a.known[t]
	if !ok {
		var err error
		if of, err = rs.personsOf(ctx, t); err != nil {
			return nil, err
		}
		a.known[t] = of
	}
	return of, nil
}

// step adds the first of files.
func (a *adding) step(ctx context.Context, files []File) ([]Added, error) {
	var bytes int64
	var failed error
	for i := range files {
		if i == addTogether || bytes >= addBytes {
			break
		}
		f := &addingFile{}
		before := a.done
		a.files = append(a.files, f)
		if failed = cmp.Or(ctx.Err(), a.one(ctx, f, &files[i])); failed != nil {
			break
		}
		bytes += a.done - before
	}
	a.busy.Wait()
	for _, f := range a.files {
		failed = cmp.Or(failed, f.failed)
	}
	if failed == nil {
		failed = a.enter(ctx)
	}
	if failed != nil && !errors.Is(failed, ErrPending) {
		for _, f := range a.files {
			if f.sealed != nil {
				f.upload.Abort()
				a.rs.dropParts(f.said)
			}
		}
		return nil, failed
	}
	out := make([]Added, len(a.files))
	for i, f := range a.files {
		if f.like != nil {
			f.Added = f.like.Added
			f.Existing = f.Err == nil
		}
		out[i] = f.Added
	}
	return out, failed
}

// one reads a file and encrypts it, or has it encrypted. What is wrong with the file is in
// f; an error is of what is ours.
func (a *adding) one(ctx context.Context, f *addingFile, file *File) error {
	end := a.done + max(0, file.Size)
	defer func() { a.done = end; a.progress(end) }()
	opened, err := file.Open()
	if err != nil {
		f.Err = err
		return nil
	}
	read := &readFile{Reader: opened}
	defer opened.Close()
	err = a.begin(ctx, f, Source{Reader: read, Name: file.Name, Size: file.Size, Vouched: file.Vouched})
	if read.err != nil || errors.Is(err, ErrOtherPerson) || errors.Is(err, ErrInput) || errors.Is(err, payload.ErrAttestation) || errors.Is(err, ErrSaltsUsed) {
		f.Err = cmp.Or(read.err, err)
		return nil
	}
	return err
}

func (a *adding) begin(ctx context.Context, f *addingFile, src Source) error {
	rs := a.rs
	sum, err := rs.knownBytes(&src)
	if err != nil {
		return err
	}
	if t := rs.withContent(sum); t != nil {
		f.Record, f.Existing = rs.of(t), true
		return nil
	}
	in, err := rs.receive(ctx, src, nil, a.d, a)
	if err != nil {
		return err
	}
	m, err := firstOf(src, in, a.d)
	if err != nil {
		return err
	}
	if len(in.persons) > 0 && !a.about(in.persons) {
		a.persons = append(a.persons, in.persons)
	}
	small := in.held() <= addSmall
	before := a.done
	seal := func() (err error) {
		step := func(n int64) { a.progress(before + n) }
		if small {
			step = nil // others are at it too
		}
		defer in.spared()()
		v, err := rs.seal(ctx, nil, in, m, nil, step)
		if err != nil {
			return err
		}
		f.sealed = v
		f.Record.Holds, v.plan = rs.keepNew(in, v.plan, v.said), nil
		if joint, ok := v.upload.(ledgerclient.Joint); ok {
			f.joins = joint
			return joint.Join(v.content)
		}
		return v.upload.Commit(v.content) // a node has room for few at a time
	}
	if !small {
		a.busy.Wait() // memory is for one such file
		return seal()
	}
	a.room <- struct{}{}
	a.busy.Go(func() {
		defer crash.Report()
		defer func() { <-a.room }()
		f.failed = seal()
	})
	return nil
}

// about reports whether a file of the step is known to be about one of these persons.
func (a *adding) about(persons []health.Person) bool {
	for _, of := range a.persons {
		if knows(of, persons) {
			return true
		}
	}
	return false
}

// enter makes records of what is sealed.
func (a *adding) enter(ctx context.Context) error {
	var changes []*outbox.Change
	var joined []ledgerclient.Joint
	first := map[crypto.Hash]*addingFile{}
	for _, f := range a.files {
		if f.sealed == nil {
			continue
		}
		sum := f.said.SHA256
		switch t, like := a.rs.withContent(sum), first[sum]; {
		case t != nil || like != nil:
			if f.like = like; t != nil {
				f.Record, f.Existing = a.rs.of(t), true
			}
			if err := f.upload.Abort(); err != nil {
				return err
			}
			a.rs.dropParts(f.said)
			f.sealed = nil
			continue
		case f.joins != nil:
			joined = append(joined, f.joins)
		}
		first[sum] = f
		changes = append(changes, f.change)
	}
	if len(changes) == 0 {
		return nil
	}
	if len(joined) > 0 {
		if err := joined[0].JoinAll(ctx, joined); err != nil {
			return err
		}
	}
	waits := a.rs.w.Changes().do(ctx, changes...)
	if waits != nil && !errors.Is(waits, ErrPending) {
		return waits
	}
	for _, f := range a.files {
		if f.sealed == nil {
			continue
		}
		holds := f.Record.Holds
		if f.Err = failure(f.change); f.Err == nil {
			f.Record = a.rs.made(nil, f.change)
			f.Record.Holds = holds
		} else {
			a.rs.dropParts(f.said)
		}
	}
	return waits
}

// readFile is a file, and why it could not be read.
type readFile struct {
	io.Reader
	err error
}

func (f *readFile) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// Seek is for files that are known to be there, and for those that are looked at twice.
func (f *readFile) Seek(offset int64, whence int) (int64, error) {
	if s, ok := f.Reader.(io.Seeker); ok {
		return s.Seek(offset, whence)
	}
	return 0, errors.ErrUnsupported
}
