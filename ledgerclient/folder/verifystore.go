package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
	"golang.org/x/mod/sumdb/tlog"
)

// findings is damage, that of the lowest entry first.
type findings struct {
	mu  sync.Mutex
	all []*DamagedError
}

func (d *findings) add(file string, entry int64, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := &DamagedError{File: file, Entry: entry, What: what}
	d.all = append(d.all, e)
	if earlier(e, d.all[0]) {
		d.all[0], d.all[len(d.all)-1] = e, d.all[0]
	}
}

// addError adds what is damage, and passes on any other error.
func (d *findings) addError(err error) error {
	if e := (*DamagedError)(nil); errors.As(err, &e) {
		d.add(e.File, e.Entry, e.What)
		return nil
	}
	return err
}

// verifySegment reads a segment whole and calls held on all cores with each record that
// has not ended, the entry in the log that its first key names, and its body: nil for one
// that is not what was written. What held says is wrong, and what is no record, goes into d.
func (d *findings) verifySegment(ctx context.Context, f *Folder, path string, held func(r *segRecord, e entryAt, body []byte) (what string, err error)) error {
	g := f.ground()
	s, err := g.openSegment(path, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return d.addError(err)
	}
	defer s.Close()
	bad := func(what string) { d.add(g.relative(path), NoEntry, what) }
	if s.bad {
		bad("header: " + notWritten)
	}
	if s.size > maxSegment {
		bad(fmt.Sprintf("it is %d bytes long", s.size))
	}
	var records []segRecord
	var ids []contract.ID
	for r, err := range s.records(0) {
		if err != nil {
			return err
		}
		if r.isGap() {
			bad(fmt.Sprintf("%d bytes from %d on: %s", r.length, r.at, notWritten))
		} else if r.mark == markHeld {
			records, ids = append(records, r), append(ids, contract.ID(r.keys[0]))
		}
	}
	entries, err := f.entries(ctx, ids...)
	if err != nil {
		return err
	}
	errs := make([]error, len(records))
	ledgerclient.Parallel(len(records), func(i int) {
		r := &records[i]
		body, ok, err := r.body(s)
		defer clear(body)
		if err == nil && !ok {
			// It may have ended since.
			if again, there, rerr := readHead(s, r.at); rerr != nil || there && again.mark != markHeld {
				errs[i] = rerr
				return
			}
			body = nil
		}
		what := ""
		if err == nil {
			what, err = held(r, entries[i], body)
		}
		if errs[i] = err; what != "" {
			bad(what)
		}
	})
	return errors.Join(errs...)
}

// entryAt is an entry in the log; nil if it is not there.
type entryAt struct {
	at uint64
	*contract.Entry
	gone bool // it belongs to a record that was withdrawn
}

// isGrant reports whether it is a grant.
func (e entryAt) isGrant() bool { return e.Entry != nil && e.Kind == contract.KindGrant }

// entries looks entries up in the log.
func (f *Folder) entries(ctx context.Context, ids ...contract.ID) (all []entryAt, err error) {
	all = make([]entryAt, len(ids))
	err = f.View(ctx, func(view keeper.View) error {
		for i, id := range ids {
			at, ok, err := view.Find(id)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			leaf, err := view.Leaf(at)
			if err != nil {
				return err
			}
			all[i] = entryAt{at: at, Entry: &leaf.Entry}
			if all[i].gone, err = isWithdrawn(view, &leaf.Entry, id); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// verifyStore checks every byte that a reader of a payload would use: packages against
// commitments, payloads against packages, contents piece by piece. Damage goes into found.
//
// It holds no lock while it reads: leaves and payloads do not change once they are there.
// Payloads whose entries are not in the log are nobody's yet: of them only the sums are
// checked. Of an entry of which nothing is here the store was given nothing.
func verifyStore(ctx context.Context, f *Folder, found *findings) error {
	v := &storeVerifier{store: store{f.ground()}, f: f, found: found, seen: map[uint64]*seenParts{}}
	all, err := v.payloads.list()
	if err = found.addError(err); err != nil {
		return err
	}
	for _, n := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.segment(ctx, n); err != nil {
			return err
		}
	}
	return v.missing(ctx)
}

type storeVerifier struct {
	store
	f     *Folder
	found *findings

	mu   sync.Mutex
	seen map[uint64]*seenParts // by the position of the entry
}

// seenParts are the parts of an entry that are held.
type seenParts struct {
	parts uint8  // a bit for each
	file  string // where one of them is
}

// segment checks the payloads in a segment.
func (v *storeVerifier) segment(ctx context.Context, n uint64) error {
	path := v.payloads.path(n)
	file := v.relative(path)
	return v.found.verifySegment(ctx, v.f, path, func(r *segRecord, e entryAt, body []byte) (_ string, err error) {
		p := found{*r, n}
		if e.gone {
			return "", nil
		}
		if e.Entry != nil {
			v.mu.Lock()
			if v.seen[e.at] == nil {
				v.seen[e.at] = &seenParts{file: file}
			}
			v.seen[e.at].parts |= 1 << p.part()
			v.mu.Unlock()
		}
		file, what := file, ""
		switch {
		case body == nil:
			what = notWritten
		case e.Entry == nil:
		case p.isFile():
			path := v.contentFile(p.id(), p.part())
			file = v.relative(path)
			if what, err = v.contentDamage(path, e.Entry, body, p.part()); err != nil {
				return "", err
			}
		case committed(e.Entry, body[:r.pkg], p.part(), crypto.BlobHash(body[r.pkg:])) != "":
			what = otherThanCommitted
		}
		if what == "" {
			return "", nil
		}
		now, err := v.f.entries(ctx, p.id())
		if err == nil && !now[0].gone {
			v.report(file, now[0], p.part(), what)
		}
		return "", err
	})
}

func (v *storeVerifier) report(file string, e entryAt, part ledgerclient.Part, what string) {
	at := int64(NoEntry)
	if e.Entry != nil {
		at = int64(e.at)
	}
	v.found.add(file, at, part.String()+": "+what)
}

const (
	otherThanCommitted = "not what the entry commits to"
	missing            = "missing"
)

// missing looks for entries of which the store has one payload and not the other.
func (v *storeVerifier) missing(ctx context.Context) error {
	for at, seen := range v.seen {
		leaves, err := v.f.Leaves(ctx, at, at+1)
		if err != nil {
			return err
		}
		for _, part := range partsOf(&leaves[0].Entry) {
			if seen.parts&(1<<part) != 0 {
				continue
			}
			now, err := v.f.entries(ctx, leaves[0].Entry.ID(v.ledger))
			if err != nil {
				return err
			}
			if !now[0].gone {
				v.report(seen.file, now[0], part, missing)
			}
		}
	}
	return nil
}

// contentDamage checks a payload that is a file of its own. Of a content its length, its
// list of piece hashes against the head, each piece against the list.
func (v *storeVerifier) contentDamage(path string, e *contract.Entry, pkg []byte, part ledgerclient.Part) (what string, err error) {
	f, err := v.open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return missing, nil
	}
	if d := (*DamagedError)(nil); errors.As(err, &d) {
		return d.What, nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if part != ledgerclient.PartContent {
		b := make([]byte, min(info.Size(), maxBlob+1))
		if _, err := io.ReadFull(f, b); err != nil {
			return "", err
		}
		if committed(e, pkg, part, crypto.BlobHash(b)) != "" {
			return otherThanCommitted, nil
		}
		return "", nil
	}
	p, err := contract.ParseRecordPackage(pkg)
	if err != nil || p.Commitment() != e.Commitment {
		return otherThanCommitted, nil
	}
	return piecesDamage(f, info.Size(), &p)
}

func piecesDamage(f *os.File, length int64, p *contract.RecordPackage) (what string, err error) {
	size := int64(p.ContentSize)
	n := size / contract.PieceSize
	if size%contract.PieceSize != 0 {
		n++
	}
	if length-size != n*tlog.HashSize {
		return "not of the length that the entry commits to", nil
	}
	var pieces []crypto.Hash
	var list []byte
	buf := make([]byte, contract.PieceSize)
	for at := int64(0); at < size; at += contract.PieceSize {
		piece := buf[:min(contract.PieceSize, size-at)]
		if _, err := f.ReadAt(piece, at); err != nil && err != io.EOF {
			return "", err
		}
		h := crypto.Hash(tlog.RecordHash(piece))
		pieces, list = append(pieces, h), append(list, h[:]...)
	}
	there := make([]byte, len(list))
	if _, err := f.ReadAt(there, size); err != nil && err != io.EOF {
		return "", err
	}
	if len(pieces) == 0 || ledgerclient.ContentHead(pieces) != p.ContentHead || !bytes.Equal(list, there) {
		return otherThanCommitted, nil
	}
	return "", nil
}
