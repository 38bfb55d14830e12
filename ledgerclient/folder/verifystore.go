package folder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// payloadsIn checks every byte in a segment that a reader of a payload would use: packages
// against commitments, payloads against packages, contents piece by piece.
//
// It holds no lock while it reads: leaves and payloads do not change once they are there.
// Payloads whose entries are not in the log are nobody's yet: of them only the sums are
// checked. Of an entry of which nothing is here the store was given nothing.
func (x *examination) payloadsIn(ctx context.Context, n uint64) error {
	path := x.payloads.path(n)
	name := x.relative(path)
	if x.takeSegment(name) {
		return nil
	}
	seen := map[uint64]*seenParts{} // by the position of the entry
	var contents []string
	waiting := false // a payload, for its entry
	info, err := x.segment(ctx, path, nil, func(r *segRecord, e entryAt, body []byte) (_ string, err error) {
		p := found{*r, n}
		if e.gone {
			return "", nil
		}
		file, what := name, ""
		x.mu.Lock()
		if e.Entry == nil {
			waiting = true
		} else {
			if seen[e.at] == nil {
				seen[e.at] = &seenParts{file: name, all: partsIn(e.Entry)}
			}
			seen[e.at].parts |= 1 << p.part()
			if p.isFile() {
				file = x.relative(x.contentFile(p.id(), p.part()))
				contents = append(contents, file)
			}
		}
		x.mu.Unlock()
		switch {
		case body == nil:
			what = notWritten
		case e.Entry == nil:
		case p.isFile():
			if what, err = x.content(file, x.contentFile(p.id(), p.part()), e.Entry, &p, body); err != nil {
				return "", err
			}
		case p.part() == ledgerclient.PartContent:
			if what, err = piecesDamage(bytes.NewReader(body[r.pkg:]), int64(len(body))-r.pkg, e.Entry, body[:r.pkg]); err != nil {
				return "", err
			}
		case committed(e.Entry, body[:r.pkg], p.part(), crypto.BlobHash(body[r.pkg:])) != "":
			what = otherThanCommitted
		}
		if what == "" {
			return "", nil
		}
		now, err := x.f.entries(ctx, p.id())
		if err == nil && !now[0].gone {
			x.report(file, now[0], p.part(), what)
		}
		return "", err
	})
	if err != nil || info == nil {
		return err
	}
	row := x.next.ofFile(name, path, info, x.now)
	x.mu.Lock()
	defer x.mu.Unlock()
	for at, s := range seen {
		if s.parts&s.all == s.all {
			continue
		}
		x.have(at, *s)
		if row != nil {
			row.alone = append(row.alone, half{at, s.parts})
		}
	}
	if row != nil {
		row.contents = contents
	}
	if waiting {
		row = nil
	}
	x.readFile(row, info.Size())
	return nil
}

// content is contentDamage, unless that was read before.
func (x *examination) content(name, path string, e *contract.Entry, r *found, pkg []byte) (what string, err error) {
	if x.takeFile(name) {
		return "", nil
	}
	info, _ := os.Lstat(path) // what is wrong with it is told below
	if what, err = x.contentDamage(path, e, r, pkg); what == "" && err == nil && info != nil {
		row := x.next.ofFile(name, path, info, x.now)
		x.mu.Lock()
		x.readFile(row, info.Size())
		x.mu.Unlock()
	}
	return what, err
}

// seenParts are the parts of an entry that are held.
type seenParts struct {
	parts uint8  // a bit for each
	all   uint8  // that it has; 0 if that was not looked at
	file  string // where one of them is
}

// partsIn are the parts of an entry, a bit for each.
func partsIn(e *contract.Entry) (all uint8) {
	for _, part := range partsOf(e) {
		all |= 1 << part
	}
	return all
}

func (x *examination) report(file string, e entryAt, part ledgerclient.Part, what string) {
	at := int64(NoEntry)
	if e.Entry != nil {
		at = int64(e.at)
	}
	x.inStore.add(file, at, part.String()+": "+what)
}

const (
	otherThanCommitted = "not what the entry commits to"
	missing            = "missing"
)

// missing looks for entries of which the store has one payload and not the other.
func (x *examination) missing(ctx context.Context) error {
	for at, seen := range x.seen {
		if seen.all != 0 && seen.parts&seen.all == seen.all {
			continue
		}
		leaves, err := x.f.Leaves(ctx, at, at+1)
		if err != nil {
			return err
		}
		for _, part := range partsOf(&leaves[0].Entry) {
			if seen.parts&(1<<part) != 0 {
				continue
			}
			now, err := x.f.entries(ctx, leaves[0].Entry.ID(x.ledger))
			if err != nil {
				return err
			}
			if !now[0].gone {
				x.report(seen.file, now[0], part, missing)
			}
		}
	}
	return nil
}

// contentDamage checks a payload that is a file of its own, and that this ends with its
// record. Of a content its length, its list of piece hashes against the head, each piece
// against the list.
func (s store) contentDamage(path string, e *contract.Entry, r *found, pkg []byte) (what string, err error) {
	f, err := s.open(path)
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
	size, tail, err := readTail(f)
	if err != nil {
		return "", err
	}
	if !tail.isOf(r) || !bytes.Equal(tail.pkg, pkg) {
		return notWritten, nil
	}
	if r.part() != ledgerclient.PartContent {
		b := make([]byte, min(size, maxBlob+1))
		if _, err := io.ReadFull(f, b); err != nil {
			return "", err
		}
		if committed(e, pkg, r.part(), crypto.BlobHash(b)) != "" {
			return otherThanCommitted, nil
		}
		return "", nil
	}
	return piecesDamage(f, size, e, pkg)
}

func piecesDamage(f io.ReaderAt, length int64, e *contract.Entry, pkg []byte) (what string, err error) {
	p, err := contract.ParseRecordPackage(pkg)
	if err != nil || p.Commitment() != e.Commitment {
		return otherThanCommitted, nil
	}
	size := int64(p.ContentSize)
	n := size / contract.PieceSize
	if size%contract.PieceSize != 0 {
		n++
	}
	if size < 0 || length-size != n*tlog.HashSize {
		return "not of the length that the entry commits to", nil
	}
	var pieces []crypto.Hash
	var list []byte
	buf := make([]byte, min(contract.PieceSize, size))
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
