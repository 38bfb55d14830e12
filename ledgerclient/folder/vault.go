package folder

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// vault is the folder `keeper`:
//
//	shares/<end of the window, hour>   a segment of ledgerclient.Deposit, found by their grants
//	filings/<number>                   segments of what became of them, see the kinds of filings
//	links/<number>                     segments of links, see linkVault
//
// A share lies in one place only, from the moment it comes. To destroy it, its record is
// overwritten where it lies with random bytes, and that is made durable; a file of which
// nothing is left is removed. On a file system that never overwrites (Btrfs, ZFS, APFS,
// snapshots of any), on flash memory, which writes elsewhere and erases later, and in
// copies that somebody took, this cannot be promised; only an encrypted disk helps there.
//
// A revocation must get through when the disk is full, whoever filled it: so there is room
// behind the filings from the beginning, which stops and acknowledgements can use up.
type vault struct{ *ground }

var _ keeper.Vault = vault{}

// Kinds of filings. Those of a grant are found by its id but for what came of its requests,
// which may be many, see underRequests.
const (
	filedStop    byte = iota // the revocation that was seen first
	filedAck                 // an acknowledgement; of several for one end the first counts
	filedRefused             // a refused request
	// filedCount is how many more there were, a number of 4 bytes.
	filedCount = 3 | bodyChanges
)

const (
	// filingsRoom is for more than 340 stops with two acknowledgements each, in bytes.
	filingsRoom = 288 << 10
	// maxUrgent is more bytes than a record of one of these has.
	maxUrgent = 512
)

// underRequests is what filings of a kind are found by that are about requests.
func underRequests(kind byte, grant contract.ID) crypto.Hash {
	return sha256.Sum256(append([]byte{kind}, grant[:]...))
}

const notFiled = "not what was filed"

// Read returns what is held about each grant.
func (v vault) Read(ctx context.Context, grants ...keeper.Grant) (all []keeper.Record, err error) {
	err = v.lock.read(ctx, func(snapshot) error {
		for _, g := range grants {
			rec, err := v.record(g)
			if all = append(all, rec); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

func (v vault) record(g keeper.Grant) (rec keeper.Record, err error) {
	if err = v.filings.look(); err == nil {
		err = v.stopsAndAcks(g.ID, &rec)
	}
	if err == nil {
		rec.Share, err = v.share(g)
	}
	return rec, err
}

// stopsAndAcks fills in what was filed of a grant's end, as of the last look.
func (v vault) stopsAndAcks(id contract.ID, rec *keeper.Record) error {
	_, rec.Stopped = v.unkept.stops.Load(id)
	return v.seen(crypto.Hash(id), func(r *found, body []byte) bool {
		if r.kind == filedStop { // one that is damaged stops still
			rec.Stopped = true
			return true
		}
		a, err := ledgerclient.Parse[ledgerclient.Acknowledgement](body)
		if !hasEnd(rec.Acks, a.End) {
			rec.Acks = append(rec.Acks, a)
		}
		return err == nil && a.Grant == id
	})
}

// filed calls fn with the filings that are found by a key, in the order in which they came;
// without a body if that is not what was written. It returns false for what is damage.
func (v vault) filed(key crypto.Hash, fn func(r *found, body []byte) bool) error {
	if err := v.filings.look(); err != nil {
		return err
	}
	return v.seen(key, fn)
}

// seen is filed as of the last look.
func (v vault) seen(key crypto.Hash, fn func(r *found, body []byte) bool) error {
	damaged, err := v.filings.read(key, fn)
	if err == nil && damaged != 0 { // it may be of this grant
		err = v.damaged(v.filings.path(damaged), notFiled)
	}
	return err
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
			raw := ledgerclient.Marshal(&s.Deposit)
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
	able := v.unkept.able.Load()
	for range v.unkept.stops.Range { // one is left of a call that did not get the lock
		able = false
	}
	if len(revocations) == 0 && able {
		return nil
	}
	for _, e := range revocations {
		v.unkept.stops.LoadOrStore(e.Subject, e)
	}
	return v.lock.write(ctx, func(snapshot) error { return v.keepStops(len(revocations) == 0) })
}

// keepStops writes down what is to be stopped, and with able makes sure that one more
// could be. The lock is held exclusively.
func (v vault) keepStops(able bool) (err error) {
	defer func() { v.unkept.able.Store(err == nil) }()
	if err := v.filings.settle(); err != nil {
		return err
	}
	var records []byte
	var ids []contract.ID
	for id, e := range v.unkept.stops.Range {
		key, e := crypto.Hash(id.(contract.ID)), e.(contract.Entry)
		all, _, err := v.filings.find(key) // damage keeps nobody from stopping
		if err != nil {
			return err
		}
		ids = append(ids, contract.ID(key))
		if !slices.ContainsFunc(all, func(r found) bool { return r.kind == filedStop }) {
			raw := e.Marshal()
			records = v.appendFiling(records, filedStop, key, raw[:])
		}
	}
	if err := v.filings.add(records, true); err != nil {
		return err
	}
	for _, id := range ids {
		v.unkept.stops.Delete(id)
	}
	if able {
		return v.filings.ready(maxUrgent)
	}
	return nil
}

func (v vault) appendFiling(b []byte, kind byte, key crypto.Hash, body []byte) []byte {
	return appendRecord(b, v.hour(), kind, []crypto.Hash{key}, nil, body)
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
	return v.lock.write(ctx, func(snapshot) error {
		var records []byte
		for i := range acks {
			records = v.appendFiling(records, filedAck, crypto.Hash(acks[i].Grant), ledgerclient.Marshal(&acks[i]))
		}
		if err := v.filings.settle(); err != nil {
			return err
		}
		return v.filings.add(records, true)
	})
}

func hasEnd(acks []ledgerclient.Acknowledgement, end ledgerclient.End) bool {
	return slices.ContainsFunc(acks, func(a ledgerclient.Acknowledgement) bool { return a.End == end })
}

// File appends a refused request to those of its grant, or counts it. One that was
// filed among the last eight is not filed again: no more are looked at, so that what
// somebody filed slows nobody. Without room it is counted, by this process alone.
func (v vault) File(ctx context.Context, r ledgerclient.Refused, limit int) error {
	if v.unkept.room != nil {
		free, ok := v.unkept.room()
		if !ok {
			v.unkept.count(r.Answer.Grant)
			return nil
		}
		defer free()
	}
	err := v.lock.write(ctx, func(snapshot) error { return v.file(r, limit) })
	if noRoom(err) {
		v.unkept.count(r.Answer.Grant)
		return nil
	}
	return err
}

func (v vault) file(r ledgerclient.Refused, limit int) error {
	if err := v.filings.settle(); err != nil {
		return err
	}
	key, request := underRequests(filedRefused, r.Answer.Grant), ledgerclient.Marshal(&r.Request)
	at := v.filings.places(key)
	last, _, err := v.filings.findAt(key, at[max(0, len(at)-8):])
	if err != nil {
		return err
	}
	for i := range last {
		if body, _, err := v.filings.body(&last[i]); err != nil || bytes.HasPrefix(body, request) {
			return err
		}
	}
	if len(at) < limit {
		return v.filings.add(v.appendFiling(nil, filedRefused, key, r.Marshal()), false)
	}
	return v.count(underRequests(filedCount, r.Answer.Grant))
}

// count counts one more.
func (v vault) count(key crypto.Hash) error {
	var at *found
	var n uint32
	err := v.filed(key, func(r *found, body []byte) bool {
		at, n = r, parseCount(body)
		return n > 0
	})
	if err != nil || n == math.MaxUint32 {
		return err
	}
	raw := binary.BigEndian.AppendUint32(nil, n+1)
	if at == nil {
		return v.filings.add(v.appendFiling(nil, filedCount, key, raw), false)
	}
	return v.filings.change(at, raw)
}

// parseCount is the number in a filedCount, at least 1; 0 if there is none.
func parseCount(body []byte) (n uint32) {
	binary.Decode(body, binary.BigEndian, &n)
	return n
}

// Filed returns the refused requests of a grant.
func (v vault) Filed(ctx context.Context, grant contract.ID) (filed []ledgerclient.Refused, more uint32, err error) {
	err = v.lock.read(ctx, func(snapshot) error {
		if err := v.filings.look(); err != nil {
			return err
		}
		filed, more, err = v.requests(grant)
		return err
	})
	return filed, more, err
}

// requests is Filed as of the last look.
func (v vault) requests(grant contract.ID) (filed []ledgerclient.Refused, more uint32, err error) {
	err = v.seen(underRequests(filedRefused, grant), func(_ *found, body []byte) bool {
		r, rest, err := ledgerclient.ParseRefused(body)
		filed = append(filed, r)
		return err == nil && len(rest) == 0 && r.Answer.Grant == grant
	})
	if err == nil {
		err = v.seen(underRequests(filedCount, grant), func(_ *found, body []byte) bool {
			more = parseCount(body)
			return more > 0
		})
	}
	if n, ok := v.unkept.refused.Load(grant); ok {
		more += n.(*atomic.Uint32).Load()
	}
	return filed, more, err
}

// Held lists the shares that are there.
func (v vault) Held(ctx context.Context) (held []keeper.Grant, err error) {
	err = v.lock.read(ctx, func(snapshot) error {
		held, err = v.held()
		return err
	})
	return held, err
}

// unkept is what a keeper knows in this process alone, since there was no room to
// write it down.
type unkept struct {
	stops   sync.Map                      // of a grant's contract.ID: its revocation
	refused sync.Map                      // of a contract.ID: *atomic.Uint32, requests that were refused and could not be filed
	room    func() (free func(), ok bool) // for one request that is refused; nil: there is
	able    atomic.Bool                   // the last stop could be kept, and one more could be
}

// count counts a refused request that could not be filed.
func (u *unkept) count(id contract.ID) {
	n, _ := u.refused.LoadOrStore(id, new(atomic.Uint32))
	n.(*atomic.Uint32).Add(1)
}
