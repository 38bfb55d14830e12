package wallet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/payload"
)

// A job is a batch plan that is being carried out. It is a folder of sealed files
// beside the journal, so that it survives whatever ends a run:
//
//	job            what the job is
//	recipients     contacts that the items name
//	items-<chunk>  what is to be done, jobChunk items or fewer
//	done-<chunk>   what became of them
//
// A chunk goes through the journal as one batch that names it, and its done file
// is written before the batch leaves the journal. So a chunk without a done file
// either is in the journal, and is finished from there, or was never begun: every
// item ends exactly once. With their number only what the wallet knows of every consent
// grows in memory: 140 bytes for each, see thread.
//
// There is one job at a time. A finished one stays, so that its results can be
// had, until the next begins.
type job struct {
	V      int           `json:"v"`
	ID     string        `json:"id"` // random
	File   string        `json:"file"`
	Plan   crypto.Hash   `json:"plan,omitzero"` // of the plan's file, if there was one
	Begun  contract.Hour `json:"begun"`
	Items  int           `json:"items"`
	Chunks int           `json:"chunks"`
}

const (
	jobVersion = 1
	jobDir     = "batch"
	jobFile    = "job"

	recipientsFile = "recipients"
)

// jobChunk is how many items go through the journal together: some 2 MB. While they
// are on their way twice as many are signed, so that it says how much memory a batch
// needs beside what the wallet knows of each consent.
var jobChunk = 200

// jobItem is one item with all that is needed to carry it out.
type jobItem struct {
	Line      int             `json:"line"`
	Do        Do              `json:"do"`
	To        int             `json:"to"` // in recipients, or -1
	Records   []recordVersion `json:"records,omitempty"`
	Purpose   payload.Purpose `json:"purpose,omitempty"`
	NotBefore contract.Hour   `json:"notBefore,omitempty"`
	Until     contract.Hour   `json:"notAfter,omitempty"`
	Consent   contract.ID     `json:"consent,omitzero"`
	Why       string          `json:"why,omitempty"`
}

type recordVersion struct {
	Record  contract.ID `json:"record"`
	Version int         `json:"version"`
}

// jobPart says, in the journal, which chunk a batch is of.
type jobPart struct {
	ID    string    `json:"id"`
	Chunk int       `json:"chunk"`
	Ended []jobDone `json:"ended"` // of every item of the chunk; empty for those that are in the batch
	At    []int     `json:"at"`    // item of each change
}

// jobDone is what became of one item.
type jobDone struct {
	Status  string        `json:"status,omitempty"` // see BatchResult
	Consent contract.ID   `json:"consent,omitzero"`
	Rule    contract.Rule `json:"rule,omitempty"` // why the ledger refused
	Hour    contract.Hour `json:"hour,omitempty"` // when
	Record  contract.ID   `json:"record,omitzero"`
}

// jobOutcome is a done file.
type jobOutcome struct {
	V    int         `json:"v"`
	Size uint64      `json:"size"` // a head with all of the chunk's entries
	Root crypto.Hash `json:"root"`
	Done []jobDone   `json:"done"`
}

func (w *Wallet) jobPath(name string) string { return filepath.Join(w.home.Ledger, jobDir, name) }

func chunkName(kind string, n int) string { return fmt.Sprintf("%s-%06d", kind, n) }

// readJob returns the job; nil if there is none.
func (w *Wallet) readJob() (*job, error) {
	if _, err := os.Lstat(filepath.Join(w.home.Dir, w.jobPath(jobFile))); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var j job
	if err := w.home.ReadSealed(w.jobPath(jobFile), &j); err != nil {
		return nil, err
	}
	if j.V != jobVersion {
		return nil, &VersionError{What: w.jobPath(jobFile), Version: j.V, Known: jobVersion}
	}
	return &j, nil
}

// chunkDone returns what became of a chunk; nil if it has not ended.
func (w *Wallet) chunkDone(n int) (*jobOutcome, error) {
	name := w.jobPath(chunkName("done", n))
	if _, err := os.Lstat(filepath.Join(w.home.Dir, name)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var o jobOutcome
	if err := w.home.ReadSealed(name, &o); err != nil {
		return nil, err
	}
	if o.V != jobVersion {
		return nil, &VersionError{What: name, Version: o.V, Known: jobVersion}
	}
	return &o, nil
}

func (w *Wallet) chunkItems(n int) (items []jobItem, err error) {
	return items, w.home.ReadSealed(w.jobPath(chunkName("items", n)), &items)
}

// beginJob makes a plan a job. The file job is written last: before it there is
// none.
func (w *Wallet) beginJob(p *BatchPlan) error {
	if j, err := w.readJob(); err != nil {
		return err
	} else if j != nil {
		s, err := w.jobStatus(j)
		if err != nil {
			return err
		}
		if !s.Finished {
			return &BatchUnfinishedError{Done: s.Done, Items: s.Items}
		}
	}
	if err := w.removeJob(); err != nil {
		return err
	}
	dir := filepath.Join(w.home.Dir, w.home.Ledger, jobDir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	var r [8]byte
	rand.Read(r[:])
	j := job{V: jobVersion, ID: hex.EncodeToString(r[:]), File: p.File, Plan: p.sum, Begun: w.view.ledgerHour(), Items: len(p.Items)}
	for at := 0; at < len(p.Items); j.Chunks++ {
		// A chunk only gives or only ends: what is replaced ends after its
		// replacement is in force.
		end := at
		for end < len(p.Items) && end-at < jobChunk && p.Items[end].Do == p.Items[at].Do {
			end++
		}
		items := make([]jobItem, 0, end-at)
		for _, x := range p.Items[at:end] {
			it := jobItem{Line: x.Line, Do: x.Do, To: x.To, Purpose: x.Purpose, NotBefore: x.NotBefore, Until: x.Until, Consent: x.Consent, Why: x.Why}
			if x.Do == WishGrant {
				for _, r := range p.Sets[x.Set] {
					it.Records = append(it.Records, recordVersion{r.ID, r.Version})
				}
			}
			items = append(items, it)
		}
		if err := w.home.WriteSealed(w.jobPath(chunkName("items", j.Chunks)), items); err != nil {
			return err
		}
		at = end
	}
	if err := w.home.WriteSealed(w.jobPath(recipientsFile), p.Recipients); err != nil {
		return err
	}
	if err := disk.SyncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	return w.home.WriteSealed(w.jobPath(jobFile), &j)
}

// removeJob removes a finished job, or what a killed process left of one that was
// never begun.
func (w *Wallet) removeJob() error {
	dir := filepath.Join(w.home.Dir, w.home.Ledger, jobDir)
	if err := os.Remove(filepath.Join(dir, jobFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(dir)
}

// endPart writes the done file of a batch that is part of a job.
func (w *Wallet) endPart(b *batch) error {
	j, err := w.readJob()
	if err != nil || j == nil || j.ID != b.Job.ID {
		return err // the job was dropped: nobody waits for it
	}
	if len(b.Job.At) != len(b.Changes) {
		return &DamagedError{File: w.journalFile(b.name)}
	}
	o := jobOutcome{V: jobVersion, Size: w.view.head.Size, Root: w.view.head.Root, Done: b.Job.Ended}
	for i := range b.Changes {
		c, at := &b.Changes[i], b.Job.At[i]
		if at < 0 || at >= len(o.Done) {
			return &DamagedError{File: w.journalFile(b.name)}
		}
		o.Done[at] = endOfChange(c)
	}
	return w.home.WriteSealed(w.jobPath(chunkName("done", b.Job.Chunk)), &o)
}

func endOfChange(c *change) jobDone {
	d := jobDone{Status: "granted", Consent: c.consent()}
	if c.Action == Revoking {
		d.Status = "revoked"
	}
	var refused *RefusedError
	if errors.As(c.err, &refused) {
		if c.Action == Revoking && refused.Rule == contract.RuleRevoked {
			return d // another machine was faster
		}
		d.Status, d.Rule, d.Hour = "refused", refused.Rule, refused.Hour
	} else if c.err != nil {
		d.Status = "failed"
	}
	return d
}

// BatchStatus tells how far a job is.
type BatchStatus struct {
	File     string
	Begun    contract.Hour
	Items    int
	Done     int // ended, in whatever way
	Granted  int
	Revoked  int
	Failed   int // refused, or no longer possible
	Kept     int // not revoked, since their replacement failed
	Finished bool
}

func (w *Wallet) jobStatus(j *job) (BatchStatus, error) {
	s := BatchStatus{File: j.File, Begun: j.Begun, Items: j.Items}
	for n := range j.Chunks {
		o, err := w.chunkDone(n)
		if err != nil || o == nil {
			return s, err
		}
		s.count(o.Done)
	}
	s.Finished = s.Done == s.Items
	return s, nil
}

func (s *BatchStatus) count(done []jobDone) {
	for _, d := range done {
		s.Done++
		switch d.Status {
		case "granted":
			s.Granted++
		case "revoked":
			s.Revoked++
		case "kept":
			s.Kept++
		default:
			s.Failed++
		}
	}
}

// BatchStatus returns how far the job is: *NotFoundError if there is none. What an
// interrupted run left in the journal is finished first.
func (w *Wallet) BatchStatus(ctx context.Context) (s BatchStatus, err error) {
	err = w.look(ctx, func() error {
		j, err := w.theJob()
		if err == nil {
			s, err = w.jobStatus(j)
		}
		return err
	})
	return s, err
}

func (w *Wallet) theJob() (*job, error) {
	j, err := w.readJob()
	if err == nil && j == nil {
		err = &NotFoundError{What: "batch"}
	}
	return j, err
}

// BatchApply makes a plan a job and carries it out. A plan that is not of this
// wallet and ledger, or whose consents have changed since it was made, is refused
// before anything is signed. The plan is not needed any more once the job has begun.
func (w *Wallet) BatchApply(ctx context.Context, p *BatchPlan, progress func(BatchStatus)) (BatchStatus, error) {
	err := w.with(ctx, func() error {
		if err := w.checkPlan(ctx, p); err != nil {
			return err
		}
		if err := w.mustBeCurrent(); err != nil {
			return err
		}
		return w.beginJob(p)
	})
	if err != nil {
		return BatchStatus{Items: len(p.Items)}, err
	}
	return w.BatchResume(ctx, progress)
}

// CheckPlan tells whether a plan can be applied now: it is of this wallet and
// ledger, and what it was made on has not changed. applied says that it was already,
// as the last job, which has ended.
func (w *Wallet) CheckPlan(ctx context.Context, p *BatchPlan) (applied bool, err error) {
	err = w.with(ctx, func() error {
		j, err := w.readJob()
		if err != nil {
			return err
		}
		if j == nil || p.sum.IsZero() || j.Plan != p.sum {
			return w.checkPlan(ctx, p)
		}
		s, err := w.jobStatus(j)
		if err == nil && !s.Finished {
			err = &BatchUnfinishedError{Done: s.Done, Items: s.Items}
		}
		applied = err == nil
		return err
	})
	return applied, err
}

func (w *Wallet) checkPlan(ctx context.Context, p *BatchPlan) error {
	if p.Ledger != w.client.ID() {
		return &ForeignPlanError{Ledger: p.Ledger}
	}
	if p.From != w.Address() {
		return &ForeignPlanError{}
	}
	if _, err := w.grants(ctx); err != nil {
		return err
	}
	if w.batchScope(p) != p.Scope {
		return &StalePlanError{}
	}
	return nil
}

// BatchResume carries the job on to its end. progress is called after each chunk.
// The wallet's lock is given up between chunks, so that a revocation need not wait
// for the end of a long batch.
func (w *Wallet) BatchResume(ctx context.Context, progress func(BatchStatus)) (s BatchStatus, err error) {
	r := jobRun{w: w}
	defer func() {
		for _, p := range r.ahead {
			<-p.done
		}
	}()
	for !s.Finished {
		err := w.with(ctx, func() error { s, err = r.step(ctx); return err })
		if err != nil {
			return s, err
		}
		if progress != nil {
			progress(s)
		}
		if !s.Finished {
			home.LetIn(ctx, w.home.Dir)
		}
	}
	return s, nil
}

// jobRun is one run over a job.
type jobRun struct {
	w      *Wallet
	id     string
	next   int // chunk
	to     []Contact
	ground *grantGround
	ahead  []*prepared  // the next chunks, at most signAhead
	failed map[int]bool // lines of which a grant failed
	status BatchStatus
}

// step takes up what ended since, and carries out one chunk.
func (r *jobRun) step(ctx context.Context) (BatchStatus, error) {
	w := r.w
	j, err := w.theJob()
	if err != nil {
		return r.status, err
	}
	if j.ID != r.id {
		*r = jobRun{w: w, id: j.ID, failed: map[int]bool{}, status: BatchStatus{File: j.File, Begun: j.Begun, Items: j.Items}}
		if err := w.home.ReadSealed(w.jobPath(recipientsFile), &r.to); err != nil {
			return r.status, err
		}
	}
	// A chunk waits until the one before it has ended, so that an unreachable ledger
	// does not fill the journal.
	if err := w.mustBeCurrent(); err != nil {
		return r.status, err
	}
	begun := false
	for ; r.next < j.Chunks; r.next++ {
		o, err := w.chunkDone(r.next)
		if err != nil {
			return r.status, err
		}
		if o == nil && begun {
			return r.status, nil
		}
		items, err := w.chunkItems(r.next)
		if err != nil {
			return r.status, err
		}
		if o == nil {
			if err := ctx.Err(); err != nil {
				return r.status, err
			}
			if err := r.chunk(ctx, j, items); err != nil {
				return r.status, err
			}
			begun = true
			if o, err = w.chunkDone(r.next); err != nil {
				return r.status, err
			}
		}
		if o == nil || len(o.Done) != len(items) {
			return r.status, &DamagedError{File: w.jobPath(chunkName("done", r.next))}
		}
		for i, d := range o.Done {
			if items[i].Do == WishGrant && d.Status != "granted" {
				r.failed[items[i].Line] = true
			}
		}
		r.status.count(o.Done)
	}
	r.status.Finished = true
	return r.status, nil
}

// signAhead is how many chunks are signed while the one before them is on its way:
// with one, cores have nothing to do when it is signed before the other has arrived.
const signAhead = 2

// prepared is a chunk that is being signed while one before it is on its way.
type prepared struct {
	n       int // chunk
	part    *jobPart
	records []Record // all that are granted
	config  contract.Config
	changes []change
	err     error
	done    chan struct{}
}

// chunk signs the items of a chunk and brings them to their end.
func (r *jobRun) chunk(ctx context.Context, j *job, items []jobItem) error {
	w := r.w
	var p *prepared
	for p == nil && len(r.ahead) > 0 {
		p, r.ahead = r.ahead[0], r.ahead[1:]
		<-p.done
		if p.n != r.next || !r.stillGrantable(p) {
			p = nil
		}
	}
	if p == nil {
		var err error
		if p, err = r.begin(ctx, j, items, r.next, nil); err != nil {
			return err
		}
		<-p.done
	}
	if p.err != nil {
		return p.err
	}
	// All cores sign the next chunks where this one waits for the disk.
	for n := r.next + 1 + len(r.ahead); n < j.Chunks && len(r.ahead) < signAhead && items[0].Do == WishGrant; n++ {
		items, err := w.chunkItems(n)
		if err != nil || len(items) == 0 || items[0].Do != WishGrant {
			break
		}
		var before *prepared
		if len(r.ahead) > 0 {
			before = r.ahead[len(r.ahead)-1]
		}
		next, err := r.begin(ctx, j, items, n, before)
		if err != nil {
			break // it is done when its turn comes
		}
		r.ahead = append(r.ahead, next)
	}
	b := &batch{V: batchVersion, Job: p.part, Changes: p.changes}
	if len(b.Changes) == 0 {
		return w.endPart(b)
	}
	return w.carryOutBatch(ctx, b)
}

// stillGrantable tells whether what was signed ahead may still be given: the lock
// was given up meanwhile.
func (r *jobRun) stillGrantable(p *prepared) bool {
	config := r.w.client.Config()
	if p.config.Release != config.Release || !slices.Equal(p.config.Keepers, config.Keepers) {
		return false
	}
	for _, x := range p.records {
		if _, err := r.w.grantable(x); err != nil {
			return false
		}
	}
	return true
}

// begin starts to sign a chunk, once the one before it is signed.
func (r *jobRun) begin(ctx context.Context, j *job, items []jobItem, n int, before *prepared) (*prepared, error) {
	w := r.w
	p := &prepared{n: n, config: w.client.Config(), part: &jobPart{ID: j.ID, Chunk: n, Ended: make([]jobDone, len(items))}, done: make(chan struct{})}
	if items[0].Do == WishRevoke {
		defer close(p.done)
		p.changes, p.err = w.chunkRevocations(items, p.part, r.failed)
		return p, nil
	}
	if r.ground == nil {
		r.ground = &grantGround{keys: map[versionOf]payload.FileKey{}, said: map[versionOf]*payload.Metadata{}}
	}
	// What signs ahead reads the ground while this adds to it.
	g := &grantGround{checkpoint: string(w.view.head.Note), keys: map[versionOf]payload.FileKey{}, said: map[versionOf]*payload.Metadata{}}
	plans := make([]*GrantPlan, 0, len(items))
	for i := range items {
		it := &items[i]
		plan := &GrantPlan{To: r.to[it.To], Purpose: it.Purpose, NotBefore: it.NotBefore, Until: it.Until, NotAfter: LedgerEnd(it.Until)}
		var bad *jobDone
		for _, v := range it.Records {
			x := Record{ID: v.Record, Version: v.Version}
			key := versionOf{v.Record, v.Version}
			if _, ok := g.keys[key]; !ok {
				_, err := w.grantable(x)
				if err == nil {
					err = w.addGround(ctx, r.ground, x)
				}
				var gone *WithdrawnError
				switch {
				case errors.As(err, &gone):
					bad = &jobDone{Status: "removed", Record: v.Record}
				case isMissing(err):
					bad = &jobDone{Status: "missing", Record: v.Record}
				case err != nil:
					return nil, err
				}
				g.keys[key], g.said[key] = r.ground.keys[key], r.ground.said[key]
				p.records = append(p.records, x)
			}
			if bad != nil {
				delete(g.keys, key)
				break
			}
			plan.Records = append(plan.Records, x)
		}
		if bad != nil {
			p.part.Ended[i] = *bad
			continue
		}
		plans = append(plans, plan)
		p.part.At = append(p.part.At, i)
	}
	p.changes = make([]change, len(plans))
	errs := make([]error, len(plans))
	go func() {
		defer crash.Report()
		defer close(p.done)
		if before != nil {
			<-before.done
		}
		ledgerclient.Parallel(len(plans), func(i int) {
			if errs[i] = ctx.Err(); errs[i] == nil {
				p.changes[i], errs[i] = w.prepareGrant(plans[i], g)
			}
		})
		p.err = first(errs)
	}()
	return p, nil
}

func (w *Wallet) chunkRevocations(items []jobItem, part *jobPart, failed map[int]bool) ([]change, error) {
	ts := make([]*thread, 0, len(items))
	for i := range items {
		it := &items[i]
		t := w.view.threads.find(it.Consent)
		switch {
		case t == nil || t.role != ownGrant:
			return nil, &NotFoundError{What: "consent", Query: it.Consent.String()}
		case it.Why == "replaced" && failed[it.Line]:
			part.Ended[i] = jobDone{Status: "kept", Consent: t.id}
		case t.state.Status == contract.StatusClosed:
			part.Ended[i] = jobDone{Status: "revoked", Consent: t.id}
		default:
			ts = append(ts, t)
			part.At = append(part.At, i)
		}
	}
	changes := make([]change, len(ts))
	errs := make([]error, len(ts))
	ledgerclient.Parallel(len(ts), func(i int) { changes[i], errs[i] = w.prepareRevocation(ts[i].tag, ts[i].id) })
	return changes, errors.Join(errs...)
}

// BatchDrop forgets the items of a job that were not begun. What is in the journal
// is finished. It returns how far the job was.
func (w *Wallet) BatchDrop(ctx context.Context) (s BatchStatus, err error) {
	err = w.with(ctx, func() error {
		j, err := w.theJob()
		if err != nil {
			return err
		}
		if s, err = w.jobStatus(j); err != nil {
			return err
		}
		return w.removeJob()
	})
	return s, err
}

// BatchResult is what became of one item of a job.
type BatchResult struct {
	Line      int
	Do        Do
	Status    string // "granted", "revoked", "kept", "refused", "removed", "missing", "failed"; "waiting" before its end
	To        string
	Consent   contract.ID
	Code      crypto.ShareCode // of a grant
	NotBefore contract.Hour
	Until     contract.Hour // the exact end
	Why       string        // of a revocation, see BatchItem
	Err       error         // nil if it was carried out
}

// BatchResults calls each with every item of the job, in order.
func (w *Wallet) BatchResults(ctx context.Context, each func(BatchResult) error) error {
	return w.look(ctx, func() error {
		j, err := w.theJob()
		if err != nil {
			return err
		}
		var to []Contact
		if err := w.home.ReadSealed(w.jobPath(recipientsFile), &to); err != nil {
			return err
		}
		for n := range j.Chunks {
			items, err := w.chunkItems(n)
			if err != nil {
				return err
			}
			o, err := w.chunkDone(n)
			if err != nil {
				return err
			}
			if o != nil && len(o.Done) != len(items) {
				return &DamagedError{File: w.jobPath(chunkName("done", n))}
			}
			for i := range items {
				it := &items[i]
				r := BatchResult{Line: it.Line, Do: it.Do, Status: "waiting", Consent: it.Consent, NotBefore: it.NotBefore, Until: it.Until, Why: it.Why}
				if it.To >= 0 && it.To < len(to) {
					r.To = to[it.To].Name
				}
				if o != nil {
					r.end(&o.Done[i])
					if r.Status == "granted" {
						r.Code = crypto.ShareCode{Ledger: w.client.ID(), Consent: r.Consent, Size: o.Size, Root: o.Root}
					}
				}
				if err := each(r); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// end fills in how an item ended.
func (r *BatchResult) end(d *jobDone) {
	r.Status, r.Consent = d.Status, d.Consent
	switch d.Status {
	case "refused":
		r.Err = &RefusedError{By: "ledger", Rule: d.Rule, Hour: d.Hour, Consent: d.Consent, Giving: r.Do == WishGrant}
	case "removed":
		r.Err = &WithdrawnError{Record: d.Record}
	case "missing":
		r.Err = &MissingError{What: "metadata", ID: d.Record}
	case "failed":
		r.Err = &MissingError{What: "content", ID: d.Consent}
	}
}
