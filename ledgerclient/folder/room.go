package folder

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// A revocation must get through when the disk is full, whoever filled it. So the
// ledger has room of its own from the beginning, which taking a stop or ordering a
// revocation overwrites in place: no new inode, no new block.
//
//	leaves            at least leavesRoom bytes behind those that count
//	checkpoint.room   a file that changes places with the checkpoint
//	order.room        the same of a replica's `order`
//	keeper/room       what the keeper could not write elsewhere
//
// It is written with zeros, since not every system can set room aside otherwise. A
// file system that never overwrites (Btrfs, ZFS) promises nothing all the same; there
// only the room that is kept free helps, see Limits in package server.
//
// keeper/room is roomSlots slots of 256 bytes: the first has a tally of how many of the
// others are in use, each of those is one revocation or one acknowledgement. As soon as there
// is room elsewhere they go where they belong, see vault.
const (
	roomSlots  = 1024
	slotSize   = 256
	headerSize = 64 // of a file of the keeper
	keeperRoom = "keeper/room"
)

// Kinds of slots.
const (
	slotStop byte = 1 + iota
	slotAck
)

// unkept is what a keeper knows in this process alone, since there was no room to
// write it down.
type unkept struct {
	mu      sync.Mutex
	stops   map[contract.ID]contract.Entry
	refused map[contract.ID]uint32        // requests that were refused and could not be filed
	room    func() (free func(), ok bool) // for one request that is refused; nil: there is
	able    bool                          // the last stop could be kept, and one more could be
}

// stop takes revocations in. They end with kept.
func (u *unkept) stop(revocations []contract.Entry) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stops == nil {
		u.stops = map[contract.ID]contract.Entry{}
	}
	for _, e := range revocations {
		if _, ok := u.stops[e.Subject]; !ok {
			u.stops[e.Subject] = e
		}
	}
}

func (u *unkept) all() (all []contract.Entry) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, e := range u.stops {
		all = append(all, e)
	}
	return all
}

// kept takes note of what came of writing them down.
func (u *unkept) kept(revocations []contract.Entry, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.able = err == nil; u.able {
		for _, e := range revocations {
			delete(u.stops, e.Subject)
		}
	}
}

func (u *unkept) stopped(id contract.ID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, ok := u.stops[id]
	return ok
}

func (u *unkept) isAble() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.able
}

// refuse counts a request that could not be filed.
func (u *unkept) refuse(id contract.ID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.refused == nil {
		u.refused = map[contract.ID]uint32{}
	}
	u.refused[id]++
}

func (u *unkept) refusals(id contract.ID) uint32 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.refused[id]
}

// slot is one slot of keeper/room: kind ‖ content, zeros behind it ‖ first 8 bytes of
// SHA-256 of these.
func slot(kind byte, content []byte) []byte {
	b := make([]byte, slotSize)
	b[0] = kind
	copy(b[1:slotSize-8], content)
	sum := sha256.Sum256(b[:slotSize-8])
	copy(b[slotSize-8:], sum[:8])
	return b
}

// slotContent is the content of a slot, false if it is none of that kind.
func slotContent(b []byte, kind byte, n int) ([]byte, bool) {
	ok := len(b) == slotSize && b[0] == kind && bytes.Equal(b, slot(kind, b[1:1+n]))
	return b[1 : 1+n], ok
}

// roomed is what keeper/room holds.
type roomed struct {
	used  int
	stops []contract.Entry
	acks  []ledgerclient.Acknowledgement
}

func (v vault) roomFile() string { return v.path("keeper", "room") }

// room reads keeper/room. Nothing is in it while there is room elsewhere.
func (v vault) room() (r roomed, err error) {
	path := v.roomFile()
	f, err := v.open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	defer f.Close()
	damaged := v.damaged(path, "not the stops that were written")
	b := make([]byte, headerSize)
	if _, err := f.ReadAt(b, 0); err == io.EOF {
		return r, damaged
	} else if err != nil {
		return r, err
	}
	n := parseTally(b)
	if r.used = int(n.filed); !bytes.Equal(b, n.marshal()) || n.filed >= roomSlots {
		return r, damaged
	}
	b = make([]byte, r.used*slotSize)
	if _, err := f.ReadAt(b, slotSize); err == io.EOF {
		return r, damaged
	} else if err != nil {
		return r, err
	}
	for ; len(b) > 0; b = b[slotSize:] {
		if raw, ok := slotContent(b[:slotSize], slotStop, contract.Size); ok {
			e, err := contract.ParseEntry(raw)
			if err != nil {
				return r, damaged
			}
			r.stops = append(r.stops, e)
			continue
		}
		raw, ok := slotContent(b[:slotSize], slotAck, ledgerclient.AcknowledgementSize)
		if !ok {
			return r, damaged
		}
		a, err := ledgerclient.ParseAcknowledgement(raw)
		if err != nil {
			return r, damaged
		}
		r.acks = append(r.acks, a)
	}
	return r, nil
}

// emptyRoom is the content of keeper/room with nothing in it.
func emptyRoom() []byte {
	return append(tally{}.marshal(), make([]byte, roomSlots*slotSize-headerSize)...)
}

// addToRoom writes slots behind those in use, durably, and then says that they are.
// Without any it says again how many are, which shows that more could be written.
func (v vault) addToRoom(used int, slots []byte) error {
	if len(slots) == 0 && used == roomSlots-1 || used+len(slots)/slotSize >= roomSlots {
		return &fs.PathError{Op: "write", Path: v.roomFile(), Err: syscall.ENOSPC}
	}
	f, err := v.ops.open(v.roomFile(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if len(slots) > 0 {
		if _, err := f.WriteAt(slots, int64(1+used)*slotSize); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(tally{filed: uint32(used + len(slots)/slotSize)}.marshal(), 0); err != nil {
		return err
	}
	return f.Sync()
}

// clearRoom empties the room of what has gone where it belongs.
func (v vault) clearRoom() error {
	f, err := v.ops.open(v.roomFile(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(tally{}.marshal(), 0); err != nil {
		return err
	}
	return f.Sync()
}

// makeRoom makes keeper/room if it is not there: in a copy, say.
func (v vault) makeRoom() error {
	if there, err := exists(v.roomFile()); there || err != nil {
		return err
	}
	if err := v.mkdirs("keeper"); err != nil {
		return err
	}
	if err := replaceFile(v.ops, v.roomFile(), emptyRoom(), v.modes.key); err != nil {
		return err
	}
	return v.ops.syncDir(v.path("keeper"))
}

// ready keeps stops that could not be kept before, if any, and makes sure that another
// could be. The lock is held exclusively.
func (v vault) ready(stops []contract.Entry) error {
	if err := v.makeRoom(); err != nil {
		return err
	}
	if err := v.write(stops, nil); err != nil {
		return err
	}
	r, err := v.room()
	if err != nil {
		return err
	}
	return v.addToRoom(r.used, nil)
}

// write files stops and acknowledgements with what is in the room, or adds them to
// that if there is no room elsewhere. The lock is held exclusively.
func (v vault) write(stops []contract.Entry, acks []ledgerclient.Acknowledgement) error {
	r, damaged := v.room() // one that is damaged keeps nobody from stopping
	err := v.writeFiles(append(stops[:len(stops):len(stops)], r.stops...), append(acks[:len(acks):len(acks)], r.acks...))
	if err == nil && r.used > 0 && damaged == nil {
		return v.clearRoom()
	}
	if !noRoom(err) || damaged != nil {
		return err
	}
	var slots []byte
	for i := range stops {
		if there, err := v.isStopped(stops[i].Subject, r); err != nil {
			return err
		} else if !there {
			raw := stops[i].Marshal()
			slots = append(slots, slot(slotStop, raw[:])...)
		}
	}
	for i := range acks {
		have, err := v.acks(acks[i].Grant, r)
		if err != nil {
			return err
		}
		if !hasEnd(have, acks[i].End) {
			slots = append(slots, slot(slotAck, acks[i].Marshal())...)
		}
	}
	if len(slots) == 0 {
		return nil // all of it is there
	}
	return v.addToRoom(r.used, slots)
}
