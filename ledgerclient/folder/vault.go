package folder

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// vault is the folder `keeper`:
//
//	shares/<end of the window, hour>   a segment of ledgerclient.Deposit, found by their grants
//	stops/<grant id>                   the revocation that was seen
//	answers/<grant id>                 refused requests, see tally
//	acks/<grant id>                    acknowledgements, one behind the other
//	room                               stops and acknowledgements that there was no room for, see room.go
//
// A share lies in one place only, from the moment it comes. To destroy it, its record is
// overwritten where it lies with random bytes, and that is made durable; a file of which
// nothing is left is removed. On a file system that never overwrites (Btrfs, ZFS, APFS,
// snapshots of any), on flash memory, which writes elsewhere and erases later, and in
// copies that somebody took, this cannot be promised; only an encrypted disk helps there.
type vault struct{ *ground }

var _ keeper.Vault = vault{}

// More bytes than each of the files has.
const (
	maxShare = 1 << 10
	maxStop  = 1 << 10
	maxAcks  = 16 * ledgerclient.AcknowledgementSize
	// maxAnswers is more than keeper.MaxRefused requests with their answers have.
	maxAnswers = 1 << 20
)

func (v vault) stopFile(id contract.ID) string    { return v.path("keeper", "stops", hexName(id)) }
func (v vault) answersFile(id contract.ID) string { return v.path("keeper", "answers", hexName(id)) }
func (v vault) acksFile(id contract.ID) string    { return v.path("keeper", "acks", hexName(id)) }

// Read returns what is held about a grant.
func (v vault) Read(ctx context.Context, g keeper.Grant) (rec keeper.Record, err error) {
	err = v.lock.read(ctx, func(snapshot) error {
		rec, err = v.record(g)
		return err
	})
	return rec, err
}

func (v vault) record(g keeper.Grant) (rec keeper.Record, err error) {
	r, err := v.room()
	if err != nil {
		return rec, err
	}
	if rec.Stopped, err = v.isStopped(g.ID, r); err != nil {
		return rec, err
	}
	rec.Stopped = rec.Stopped || v.unkept.stopped(g.ID)
	if rec.Acks, err = v.acks(g.ID, r); err != nil {
		return rec, err
	}
	rec.Share, err = v.share(g)
	return rec, err
}

// isStopped tells whether a stop is kept, in a file of its own or in the room.
func (v vault) isStopped(id contract.ID, r roomed) (bool, error) {
	if slices.ContainsFunc(r.stops, func(e contract.Entry) bool { return e.Subject == id }) {
		return true, nil
	}
	return exists(v.stopFile(id))
}

// acks reads the acknowledgements of a grant, also those in the room.
func (v vault) acks(id contract.ID, r roomed) ([]ledgerclient.Acknowledgement, error) {
	path := v.acksFile(id)
	raw, err := v.readFile(path, maxAcks)
	if err != nil {
		return nil, err
	}
	var acks []ledgerclient.Acknowledgement
	for first := raw != nil; first || len(raw) > 0; first = false {
		n := min(len(raw), ledgerclient.AcknowledgementSize)
		a, err := ledgerclient.ParseAcknowledgement(raw[:n])
		if err != nil || a.Grant != id {
			return nil, v.damaged(path, "not the acknowledgements that were written")
		}
		acks = append(acks, a)
		raw = raw[n:]
	}
	for _, a := range r.acks {
		if a.Grant == id && !hasEnd(acks, a.End) {
			acks = append(acks, a)
		}
	}
	return acks, nil
}

// Store keeps shares. What was held before under a grant's name but does not
// read as a deposit is overwritten and replaced.
func (v vault) Store(ctx context.Context, shares []keeper.Share) (held []bool, err error) {
	held = make([]bool, len(shares))
	err = v.lock.write(ctx, func(snapshot) error {
		records := map[contract.Hour][]byte{}
		seen := map[contract.ID]bool{}
		for i := range shares {
			s := &shares[i]
			g := keeper.Grant{ID: s.Deposit.Grant, NotAfter: s.NotAfter}
			var damaged *DamagedError
			rec, err := v.record(g)
			if errors.As(err, &damaged) && damaged.File == v.relative(v.shares.path(g.NotAfter)) {
				err = v.shares.destroy(g.NotAfter, g.ID)
			}
			if err != nil {
				return err
			}
			over := rec.Stopped || hasEnd(rec.Acks, ledgerclient.DestroyedShare)
			if rec.Share != nil {
				held[i] = !over && rec.Share.Share.Equal(s.Deposit.Share)
				rec.Share.Share.Wipe()
				continue
			}
			if over || seen[g.ID] {
				continue
			}
			seen[g.ID] = true
			held[i] = true
			raw := s.Deposit.Marshal()
			records[g.NotAfter] = appendRecord(records[g.NotAfter], v.hour(), 0, []crypto.Hash{crypto.Hash(g.ID)}, nil, raw)
			clear(raw)
		}
		for end, records := range records {
			if err := v.shares.add(end, records); err != nil {
				return err
			}
			clear(records)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

// Stop marks grants as stopped: at once in this process, and in the folder when it
// returns.
func (v vault) Stop(ctx context.Context, revocations []contract.Entry) error {
	if len(revocations) == 0 && v.unkept.isAble() {
		return nil
	}
	v.unkept.stop(revocations)
	var all []contract.Entry
	err := v.lock.write(ctx, func(snapshot) error {
		all = v.unkept.all()
		if len(revocations) == 0 {
			return v.ready(all)
		}
		v.makeRoom() // if that fails it is seen when the room is needed
		return v.write(all, nil)
	})
	v.unkept.kept(all, err)
	return err
}

// writeFiles files stops and acknowledgements, each in the file of its grant.
func (v vault) writeFiles(stops []contract.Entry, acks []ledgerclient.Acknowledgement) error {
	files := map[string][]byte{}
	dirs := map[string]bool{}
	for i := range stops {
		path := v.stopFile(stops[i].Subject)
		dirs["stops"] = true
		raw := stops[i].Marshal()
		if have, err := v.readFile(path, maxStop); err != nil {
			return err
		} else if len(have) == len(raw) {
			continue // the first revocation that was seen stays
		}
		files[path] = raw[:]
	}
	for i := range acks {
		a := &acks[i]
		path := v.acksFile(a.Grant)
		dirs["acks"] = true
		filed, err := v.acks(a.Grant, roomed{acks: acks[:i]})
		if err != nil {
			return err
		}
		if hasEnd(filed, a.End) {
			continue
		}
		files[path] = nil
		for _, a := range append(filed, *a) {
			files[path] = append(files[path], a.Marshal()...)
		}
	}
	for dir := range dirs {
		if err := v.mkdirs("keeper", dir); err != nil {
			return err
		}
	}
	// Also when nothing is new: another process may have been killed before it made
	// the names durable.
	return v.replaceAll(dirs, files)
}

// replaceAll gives files their content, durably, and makes the names in folders of
// the keeper durable.
func (v vault) replaceAll(dirs map[string]bool, files map[string][]byte) error {
	b := v.newBatch(len(files))
	renames := map[string]string{}
	for path, data := range files {
		tmp, err := b.replace(path, data)
		if err != nil {
			return err
		}
		renames[tmp] = path
	}
	if len(files) > 0 {
		if err := b.flush(); err != nil {
			return err
		}
	}
	for tmp, path := range renames {
		if err := b.rename(tmp, path); err != nil {
			return err
		}
	}
	for dir := range dirs {
		b.dirs[v.path("keeper", dir)] = true
	}
	return b.syncNames()
}

// Destroy overwrites shares. What of one hour cannot be destroyed is an error when what is
// of others is.
func (v vault) Destroy(ctx context.Context, grants []keeper.Grant) error {
	return v.lock.write(ctx, func(snapshot) (err error) {
		ids := map[contract.Hour][]contract.ID{}
		for _, g := range grants {
			ids[g.NotAfter] = append(ids[g.NotAfter], g.ID)
		}
		for end, ids := range ids {
			err = errors.Join(err, v.shares.destroy(end, ids...))
		}
		return err
	})
}

// noise is n random bytes.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// Acknowledge files acknowledgements.
func (v vault) Acknowledge(ctx context.Context, acks []ledgerclient.Acknowledgement) error {
	return v.lock.write(ctx, func(snapshot) error { return v.write(nil, acks) })
}

func hasEnd(acks []ledgerclient.Acknowledgement, end ledgerclient.End) bool {
	return slices.ContainsFunc(acks, func(a ledgerclient.Acknowledgement) bool { return a.End == end })
}

// tally is the header of a file of answers, behind which are refused requests, all of
// one length: how many are filed, and how many more were counted. What is behind them
// is of a filing that did not get there.
//
//	filed 4 ‖ more 4 ‖ zeros 48 ‖ first 8 bytes of SHA-256 of these
type tally struct{ filed, more uint32 }

func (a tally) marshal() []byte {
	b := make([]byte, headerSize)
	binary.BigEndian.PutUint32(b, a.filed)
	binary.BigEndian.PutUint32(b[4:], a.more)
	sum := sha256.Sum256(b[:headerSize-8])
	copy(b[headerSize-8:], sum[:8])
	return b
}

func parseTally(b []byte) tally {
	return tally{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

// answers reads the header of a file of answers, of length bytes each.
func (v vault) answers(f file, path string, length int64) (a tally, err error) {
	b := make([]byte, headerSize)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return a, err
	}
	info, err := f.Stat()
	if err != nil {
		return a, err
	}
	if a = parseTally(b); !bytes.Equal(b, a.marshal()) || a.filed == 0 || a.filed > keeper.MaxRefused || info.Size() < headerSize+int64(a.filed)*length {
		err = v.damaged(path, "not the answers that were written")
	}
	return a, err
}

// File appends a refused request to those of its grant, or counts it. One that was
// filed among the last eight is not filed again: no more are looked at, so that what
// somebody filed slows nobody. Without room it is counted, by this process alone.
func (v vault) File(ctx context.Context, r ledgerclient.Refused, limit int) error {
	if v.unkept.room != nil {
		free, ok := v.unkept.room()
		if !ok {
			v.unkept.refuse(r.Answer.Grant)
			return nil
		}
		defer free()
	}
	err := v.lock.write(ctx, func(snapshot) error { return v.file(r, limit) })
	if noRoom(err) {
		v.unkept.refuse(r.Answer.Grant)
		return nil
	}
	return err
}

func (v vault) file(r ledgerclient.Refused, limit int) error {
	path, raw, request := v.answersFile(r.Answer.Grant), r.Marshal(), r.Request.Marshal()
	length := int64(len(raw))
	f, err := v.ops.open(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err := v.mkdirs("keeper", "answers"); err != nil {
			return err
		}
		return v.replaceAll(map[string]bool{"answers": true}, map[string][]byte{path: append(tally{filed: 1}.marshal(), raw...)})
	}
	if err != nil {
		return err
	}
	defer f.Close()
	a, err := v.answers(f, path, length)
	if err != nil {
		return err
	}
	end := headerSize + int64(a.filed)*length
	last := make([]byte, min(int64(a.filed), 8)*length)
	if _, err := f.ReadAt(last, end-int64(len(last))); err != nil {
		return err
	}
	for ; len(last) > 0; last = last[length:] {
		if bytes.HasPrefix(last, request) {
			return nil
		}
	}
	switch {
	case int64(a.filed) < int64(limit):
		if _, err := f.WriteAt(raw, end); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		a.filed++
	case a.more < math.MaxUint32:
		a.more++
	}
	if _, err := f.WriteAt(a.marshal(), 0); err != nil {
		return err
	}
	return v.newBatch(1).finish(path, f)
}

// Filed returns the refused requests of a grant.
func (v vault) Filed(ctx context.Context, grant contract.ID) (filed []ledgerclient.Refused, more uint32, err error) {
	err = v.lock.read(ctx, func(snapshot) error {
		filed, more, err = v.filed(grant)
		return err
	})
	return filed, more + v.unkept.refusals(grant), err
}

func (v vault) filed(id contract.ID) (filed []ledgerclient.Refused, more uint32, err error) {
	path := v.answersFile(id)
	f, err := v.open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	length := int64(len((&ledgerclient.Refused{}).Marshal()))
	a, err := v.answers(f, path, length)
	if err != nil {
		return nil, 0, err
	}
	raw := make([]byte, int64(a.filed)*length)
	if _, err := f.ReadAt(raw, headerSize); err != nil {
		return nil, 0, err
	}
	for len(raw) > 0 {
		var r ledgerclient.Refused
		if r, raw, err = ledgerclient.ParseRefused(raw); err != nil || r.Answer.Grant != id {
			return nil, 0, v.damaged(path, "not the answers that were written")
		}
		filed = append(filed, r)
	}
	return filed, a.more, nil
}

// Held lists the shares that are there.
func (v vault) Held(ctx context.Context) (held []keeper.Grant, err error) {
	err = v.lock.read(ctx, func(snapshot) error {
		held, err = v.held()
		return err
	})
	return held, err
}
