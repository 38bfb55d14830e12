package folder

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// maxTail is more bytes than a record of a package with its keys has, and its length.
const maxTail = 16 << 10

// settle is that of the payloads, and regain.
func (s store) settle(snap snapshot) error {
	if err := s.payloads.settle(); err != nil {
		return err
	}
	return s.regain(snap)
}

// regain gives files that no record leads to the records again that they end with: the
// power failed before the segment was on the disk. Only then is there such a file, since
// nothing else ends what is written behind a segment, so a process looks once. One that was
// erased, and that somebody put back from a copy, gets none and is erased again. The lock is
// held exclusively and the payloads are settled.
func (s store) regain(snap snapshot) error {
	if s.regained.Load() {
		return nil
	}
	files, err := s.readDir(s.path("contents"))
	if err != nil {
		return err
	}
	var records []byte
	removed := false
	for _, f := range files {
		id, part, ok := contentOf(f.Name())
		if !ok || s.payloads.hasFile(partName{id, part}) {
			continue
		}
		all, _, err := s.payloads.find(id)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(r found) bool { return r.part() == part }) {
			continue // it is in a segment, and the file is of before
		}
		if erased, err := s.isErased(snap, contract.ID(id)); err != nil {
			return err
		} else if erased {
			if err := s.ops.remove(s.path("contents", f.Name())); err != nil {
				return err
			}
			removed = true
			continue
		}
		t, err := s.tailIn(s.path("contents", f.Name()))
		if err != nil {
			return err
		}
		if t != nil && t.partName() == (partName{id, part}) {
			records = appendRecord(records, s.hour(), t.kind, t.keys, t.pkg, nil)
		}
	}
	if removed {
		if err := s.ops.syncDir(s.path("contents")); err != nil {
			return err
		}
	}
	if err := s.payloads.add(records, false); err != nil {
		return err
	}
	s.regained.Store(true)
	s.payloads.forgetFiles()
	return nil
}

// regainNow is regain for who does not hold the lock. Who may not write goes without.
func (s store) regainNow(ctx context.Context) error {
	if s.regained.Load() {
		return nil
	}
	err := s.lock.write(ctx, s.settle)
	if errors.Is(err, ErrReadOnly) {
		return nil
	}
	return err
}

// contentOf is what the name of a file in contents says.
func contentOf(name string) (id crypto.Hash, part ledgerclient.Part, ok bool) {
	hex, of, _ := strings.Cut(name, ".")
	if id.UnmarshalText([]byte(hex)) != nil {
		return id, 0, false
	}
	for part = ledgerclient.PartMetadata; part <= ledgerclient.PartAccess; part++ {
		if part.String() == of {
			return id, part, true
		}
	}
	return id, 0, false
}

// tail is the record that a payload's file ends with.
type tail struct {
	found
	pkg []byte
}

// isOf reports whether a file that ends so is the payload of a record in a segment. It is not
// if there is no tail.
func (t *tail) isOf(r *found) bool {
	return t != nil && t.kind == r.kind && t.sum == r.sum && slices.Equal(t.keys, r.keys)
}

// readTail reads the record that a payload's file ends with, nil if that is none, and how long
// the file is before it.
func readTail(f file) (size int64, t *tail, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, nil, err
	}
	end := make([]byte, min(info.Size(), maxTail))
	if _, err := f.ReadAt(end, info.Size()-int64(len(end))); err != nil || len(end) < 4 {
		return 0, nil, err
	}
	n := int64(binary.BigEndian.Uint32(end[len(end)-4:]))
	if n > int64(len(end)-4) {
		return 0, nil, nil
	}
	b := bytes.NewReader(end[int64(len(end)-4)-n : len(end)-4])
	r, ok, err := readHead(b, 0)
	if err != nil || !ok || r.mark != markHeld || r.hour != 0 || r.kind&ofItsOwn == 0 || r.next() != n || r.pkg != r.size() {
		return 0, nil, err
	}
	pkg, ok, err := r.body(b)
	if err != nil || !ok {
		return 0, nil, err
	}
	return info.Size() - n - 4, &tail{found{segRecord: r}, pkg}, nil
}

// tailIn is that of the file at a path; nil too if there is no file.
func (s store) tailIn(path string) (*tail, error) {
	f, err := s.open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*DamagedError)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_, t, err := readTail(f)
	return t, err
}
