package view

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/payload"
)

// The cache is one file with what the ledger and the store hold of this wallet: a
// consent takes some 370 bytes. It only grows, in blocks,
//
//	length 4 ‖ sealed: frames
//
// sealed under a name with the state's CacheID and the block's place in the file. A
// block is closed before it would have more than 16 KiB, so that one thread is looked
// up without reading the rest. A frame is its kind, 1 byte, and the fields of that kind.
// Threads and summaries are numbered from 0 in the order of their frames.

// frame is what the cache keeps at once. take adds it to what is in memory, when it is
// noted and when the file is read, and reports whether it fits what came before. The file
// is sealed and was written by what follows, so that nothing is judged again.
type frame interface {
	fields(*codec.Codec)
	take(v *View, at place) bool
}

// framed is a frame with its kind.
type framed struct {
	kind uint8
	frame
}

const (
	kindOpening = iota
	kindFollow
	kindVersion
	kindSummary
	kindTerms
	kindNamed
	kindFiled
	kindTold
	kindAsked
	kindSaid
	kindKeeping
	kindLetter
)

var frames = []func() frame{
	kindOpening: func() frame { return new(opening) },
	kindFollow:  func() frame { return new(follow) },
	kindVersion: func() frame { return new(version) },
	kindSummary: func() frame { return new(summary) },
	kindTerms:   func() frame { return new(terms) },
	kindNamed:   func() frame { return new(named) },
	kindFiled:   func() frame { return new(filed) },
	kindTold:    func() frame { return new(told) },
	kindAsked:   func() frame { return new(asked) },
	kindSaid:    func() frame { return new(said) },
	kindKeeping: func() frame { return new(keeping) },
	kindLetter:  func() frame { return new(letter) },
}

func (f *framed) fields(c *codec.Codec) {
	codec.Int(c, &f.kind)
	if c.Reading() {
		if int(f.kind) >= len(frames) {
			c.Fail(errCache)
			return
		}
		f.frame = frames[f.kind]()
	}
	f.frame.fields(c)
}

// opening is a thread as it was opened.
type opening struct {
	role Role
	ledgerclient.Placed
}

func (f *opening) fields(c *codec.Codec) {
	codec.Int(c, &f.role)
	placed(c, &f.Placed)
}

func (f *opening) take(v *View, at place) bool {
	e := &f.Entry
	t := Thread{Role: f.role, ID: e.ID(v.Client.ID()), Tag: e.SelfTag, Index: f.Index, Hour: f.Hour, opened: at, Status: contract.StatusOpen}
	if e.Kind == contract.KindGrant {
		t.NotBefore, t.NotAfter = e.NotBefore, e.NotAfter
	} else {
		t.details = &details{Versions: make([]*payload.Metadata, 1), Keys: make([]*payload.FileKey, 1)}
	}
	v.threads.add(t)
	return true
}

// follow is a follow-up.
type follow struct {
	thread uint32
	ledgerclient.Placed
	slot [contract.SlotSize]byte // the thread's after it, or zeros if another one of the thread follows at once
}

func (f *follow) fields(c *codec.Codec) {
	codec.Int(c, &f.thread)
	placed(c, &f.Placed)
	c.Bytes(f.slot[:])
}

func (f *follow) take(v *View, at place) bool {
	t := v.threads.detailed(f.thread)
	if t == nil {
		return false
	}
	update := f.Entry.Kind == contract.KindRecord && f.Entry.Flags&contract.FlagWithdrawn == 0
	t.told, t.asked = 0, 0 // keepers are asked anew
	t.follows = append(t.follows, FollowUp{ID: f.Entry.ID(v.Client.ID()), Index: f.Index, at: at, Hour: f.Hour, Kind: f.Entry.Kind, update: update})
	if update {
		t.Versions, t.Keys = append(t.Versions, nil), append(t.Keys, nil)
	}
	if f.slot[0] != 0 {
		t.Status = contract.Status(f.slot[1])
		t.LastAccess = contract.Hour(binary.BigEndian.Uint32(f.slot[2:]))
		t.chain = crypto.Hash(f.slot[10:])
	}
	return true
}

// version is what is known of a record's version.
type version struct {
	thread, version uint32 // the version from 1
	said            []byte // metadata as JSON; nil if it is missing
	key             []byte // nil if it was not needed yet
}

func (f *version) fields(c *codec.Codec) {
	codec.Int(c, &f.thread)
	codec.Int(c, &f.version)
	codec.Sized[uint32](c, &f.said, maxBlock)
	codec.Sized[uint8](c, &f.key, len(payload.FileKey{}))
}

func (f *version) take(v *View, _ place) bool {
	t, i := v.threads.at(f.thread), int(f.version)-1
	if t == nil || !t.isRecord() || i < 0 || i >= len(t.Versions) {
		return false
	}
	if f.said != nil {
		t.Versions[i] = new(payload.Metadata)
		if json.Unmarshal(f.said, t.Versions[i]) != nil {
			return false
		}
		if t.Versions[i].Hidden == payload.Book {
			t.Role = OwnBook
		}
	}
	if len(f.key) == len(payload.FileKey{}) {
		k := payload.FileKey(f.key)
		t.Keys[i] = &k
	}
	return true
}

// summary is what many grants share.
type summary struct {
	peer    crypto.Address // its signature was checked before
	purpose payload.Purpose
	records []byte // the set, as JSON
	says    string // of a named
}

func (f *summary) fields(c *codec.Codec) {
	c.Bytes(f.peer.Sign[:], f.peer.View[:], f.peer.Signature[:])
	codec.Sized[uint8](c, &f.purpose, 255)
	codec.Sized[uint32](c, &f.records, maxBlock)
}

func (f *summary) take(v *View, _ place) bool {
	set, ok := v.threads.set(f.records)
	if ok {
		v.threads.addSummary(&Summary{f.peer, set, f.purpose, f.says})
	}
	return ok
}

// named is a summary of grants whose sender says a name. A cache of before names has none.
type named struct{ summary }

func (f *named) fields(c *codec.Codec) {
	f.summary.fields(c)
	codec.Sized[uint16](c, &f.says, payload.MaxName)
}

// terms are those of a grant. The rest of them is in the opening entry; the head that
// came with them is not kept.
type terms struct {
	thread, summary uint32
	end             contract.Hour // the exact one
	k               uint8
	envelope, lock  crypto.Hash
	shares          []crypto.Hash
}

func (f *terms) fields(c *codec.Codec) {
	codec.Int(c, &f.thread)
	codec.Int(c, &f.summary)
	codec.Int(c, &f.end)
	codec.Int(c, &f.k)
	c.Bytes(f.envelope[:], f.lock[:])
	codec.Counted[uint8](c, &f.shares, 255, func(c *codec.Codec, h *crypto.Hash) { c.Bytes(h[:]) })
}

func (f *terms) take(v *View, at place) bool {
	t := v.threads.at(f.thread)
	if t == nil || int(f.summary) >= len(v.threads.summaries) {
		return false
	}
	t.Terms, t.termsAt, t.end = v.threads.summaries[f.summary], at, f.end
	return true
}

// letter is what the terms of a grant say beside records. It follows on them.
type letter struct {
	thread  uint32
	alone   bool // there is no record beside it
	kind    string
	body    string
	request contract.ID // zero if it answers none
}

func (f *letter) fields(c *codec.Codec) {
	codec.Int(c, &f.thread)
	codec.Bool(c, &f.alone)
	codec.Sized[uint8](c, &f.kind, payload.MaxWord)
	codec.Sized[uint16](c, &f.body, payload.MaxLetter)
	c.Bytes(f.request[:])
}

func (f *letter) take(v *View, at place) bool {
	t := v.threads.detailed(f.thread)
	if t == nil || t.Terms == nil {
		return false
	}
	t.request = f.request
	if f.kind != "" {
		t.letter = at
	}
	switch {
	case !f.alone:
	case t.Given():
		t.Role = OwnLetter
	default:
		t.Role = ReceivedLetter
	}
	return true
}

// Letter reads the letter that came with a grant; nil if none did.
func (v *View) Letter(t *Thread) (*payload.Letter, error) {
	if t.details == nil || t.letter == 0 {
		return nil, nil
	}
	f, err := lookUp[*letter](v, t.letter)
	if err != nil {
		return nil, err
	}
	return &payload.Letter{Kind: f.kind, Body: f.body}, nil
}

// filed is what the keepers filed about a grant and was found in order.
type filed struct {
	thread uint32
	sum    crypto.Hash
}

func (f *filed) fields(c *codec.Codec) {
	codec.Int(c, &f.thread)
	c.Bytes(f.sum[:])
}

func (f *filed) take(v *View, _ place) bool {
	t := v.threads.detailed(f.thread)
	if t == nil {
		return false
	}
	t.filed = f.sum
	return true
}

func placed(c *codec.Codec, p *ledgerclient.Placed) {
	codec.Int(c, &p.Index)
	codec.Int(c, &p.Hour)
	ledgerclient.EntryField(c, &p.Entry)
}

const (
	// blockSize is from what size on a block takes no more frames, in bytes.
	blockSize = 16 << 10
	// maxBlock bounds a block: one frame may be larger than blockSize. A list of
	// thousands of records is the largest.
	maxBlock = 16 << 20
	_        = uint(maxBlock - payload.MaxTerms - 64) // the records of the largest terms fit
	// blockOver is by how much a block is longer in the file.
	blockOver = 4 + 40
)

// place is where a frame is: the offset of its block in the file, and its own in the
// block in the lowest 16 bits.
type place uint64

func placeOf(block int64, pos int) place { return place(block)<<16 | place(pos) }

// block is a block that is not sealed.
type block struct {
	at    int64 // in the file
	plain []byte
}

// cache is what of the cache file is in memory, beside the threads.
type cache struct {
	tail  []block // not in the file, at its end; frames are added to the last one
	saved int64   // end of what is in the file, the state's CacheSize
	last  block   // that was read: what is looked up together was noted together

	indexed int64 // end of the part that the index in the folder is of; 0: there is none
	read    int   // frames that were read for want of an index
}

// end is where the next block will begin.
func (c *cache) end() int64 {
	if n := len(c.tail); n > 0 {
		return c.tail[n-1].at + blockOver + int64(len(c.tail[n-1].plain))
	}
	return c.saved
}

func (v *View) blockName(at int64) string {
	return fmt.Sprintf("%s/%s/%d", cacheFile, v.state.CacheID, at) // CacheID is random: no other ledger's
}

func (v *View) cachePath() string { return v.Home.Path(v.Home.In(cacheFile)) }

var errCache = errors.New("cache does not fit the state")

// readCache fills v.threads from the cache file. Whatever is wrong with it, the
// ledger has it all: the cache is emptied and the next follow rebuilds it.
func (v *View) readCache() error {
	v.cache = cache{saved: v.state.CacheSize}
	v.threads = newThreads()
	err := v.loadCache(v.readIndex())
	var path *fs.PathError
	if errors.As(err, &path) && !errors.Is(err, fs.ErrNotExist) {
		// Cannot be read now: no reason to throw it away.
		if !v.Revoking {
			return err
		}
		v.PassOver(v.Home.In(cacheFile), err)
	}
	if err != nil {
		v.threads = newThreads()
		v.resetCache()
	}
	v.threads.loaded = true
	return nil
}

// resetCache forgets the cache but not the head the wallet saw.
func (v *View) resetCache() {
	v.state.CacheID, v.state.CacheSize, v.state.Rescan, v.state.Proven = newCacheID(), 0, true, 0
	v.cache = cache{}
}

func (v *View) loadCache(from int64) error {
	if v.cache.indexed = from; v.state.CacheSize == from {
		return nil
	}
	f, err := v.Home.Open(v.Home.In(cacheFile), os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	var sealed []byte
	for at := from; at < v.state.CacheSize; {
		var plain []byte
		if plain, sealed, err = v.readBlock(f, at, sealed); err != nil {
			return err
		}
		for rest := plain; len(rest) > 0; {
			var x framed
			pos := len(plain) - len(rest)
			if rest, err = codec.Read(rest, x.fields); err != nil || !x.take(v, placeOf(at, pos)) {
				return errCache
			}
			v.cache.read++
		}
		at += int64(len(sealed)) + 4
	}
	return nil
}

// readBlock reads a block and opens it. It reads into buf, or a larger one, which it returns.
func (v *View) readBlock(f io.ReaderAt, at int64, buf []byte) (plain, sealed []byte, err error) {
	var size [4]byte
	if _, err := f.ReadAt(size[:], at); err != nil {
		return nil, buf, shortCache(err)
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if n > maxBlock+blockOver || at+4+int64(n) > v.cache.saved {
		return nil, buf, errCache
	}
	buf = slices.Grow(buf[:0], n)[:n]
	if _, err := f.ReadAt(buf, at+4); err != nil {
		return nil, buf, shortCache(err)
	}
	if plain, err = v.Home.Key.Open(v.blockName(at), buf); err != nil {
		err = errCache
	}
	return plain, buf, err
}

// shortCache names what a file that ends too early is.
func shortCache(err error) error {
	if errors.Is(err, io.EOF) {
		return errCache
	}
	return err
}

// lookUp reads a frame back.
func lookUp[F frame](v *View, at place) (f F, err error) {
	plain, err := v.blockAt(int64(at >> 16))
	if err != nil {
		return f, err
	}
	var x framed
	if pos := int(at & 0xffff); pos < len(plain) {
		_, err = codec.Read(plain[pos:], x.fields)
	}
	f, ok := x.frame.(F)
	if !ok || err != nil {
		err = &home.DamagedError{File: v.Home.In(cacheFile), Err: err}
	}
	return f, err
}

func (v *View) blockAt(at int64) ([]byte, error) {
	c := &v.cache
	if i, ok := slices.BinarySearchFunc(c.tail, at, func(b block, at int64) int { return cmp.Compare(b.at, at) }); ok {
		return c.tail[i].plain, nil
	}
	if c.last.plain != nil && c.last.at == at {
		return c.last.plain, nil
	}
	f, err := v.Home.Open(v.Home.In(cacheFile), os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plain, _, err := v.readBlock(f, at, nil)
	if err == errCache {
		// Somebody changed it. The next process reads all of it, and makes it anew.
		v.dropIndex()
		err = &home.DamagedError{File: v.Home.In(cacheFile), Err: err}
	}
	if err != nil {
		return nil, err
	}
	c.last = block{at, plain}
	return plain, nil
}

// note takes up a frame, behind the others.
func (v *View) note(kind uint8, f frame) {
	x := framed{kind, f}
	body := codec.Append(nil, x.fields)
	c := &v.cache
	n := len(c.tail)
	if n == 0 || len(c.tail[n-1].plain) > 0 && len(c.tail[n-1].plain)+len(body) > blockSize {
		c.tail = append(c.tail, block{at: c.end()})
		n = len(c.tail)
	}
	b := &c.tail[n-1]
	at := placeOf(b.at, len(b.plain))
	b.plain = append(b.plain, body...)
	f.take(v, at)
}

// appendCache makes the new frames durable behind those that are saved, and counts them in
// the state, which the caller then writes.
func (v *View) appendCache() error {
	c := &v.cache
	var out []byte
	for _, b := range c.tail {
		sealed := v.Home.Key.Seal(v.blockName(b.at), b.plain)
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(sealed))), sealed...)
	}
	f, err := v.Home.Open(v.Home.In(cacheFile), os.O_CREATE|os.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(c.saved); err != nil {
		return err
	}
	if _, err := f.WriteAt(out, c.saved); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if c.saved == 0 {
		if err := disk.SyncDir(filepath.Dir(v.cachePath())); err != nil {
			return err
		}
	}
	c.saved += int64(len(out))
	c.tail = nil
	v.state.CacheSize = c.saved
	return nil
}

// noteOpening takes up a new thread, which was judged.
func (v *View) noteOpening(r Role, p *ledgerclient.Placed) *Thread {
	v.note(kindOpening, &opening{r, *p})
	return v.threads.list[len(v.threads.list)-1]
}

// noteFollows takes up follow-ups of a thread, which were judged; after is the
// thread's state after them.
func (v *View) noteFollows(t *Thread, ps []ledgerclient.Placed, after contract.State) {
	for i := range ps {
		f := follow{thread: t.number, Placed: ps[i]}
		if i == len(ps)-1 {
			copy(f.slot[:], after.Slot())
		}
		v.note(kindFollow, &f)
	}
	if t.Given() && t.Status == contract.StatusClosed && !v.head.Time.IsZero() {
		if _, config := v.Client.ConfigAt(t.Index); len(config.Keepers) > 1 { // one keeper's word is all that there is of it
			seen := v.Now() // a node that signed it last may have done so now
			if seen.Before(v.head.Time) {
				seen = v.head.Time
			}
			v.NoteKeeping(t, Keeping{Revoked: seen})
		}
	}
}

// NoteDescription takes up what a record's version is.
func (v *View) NoteDescription(t *Thread, number int, m *payload.Metadata) error {
	b, err := json.Marshal(m)
	if err == nil {
		v.note(kindVersion, &version{thread: t.number, version: uint32(number), said: b})
	}
	return err
}

// NoteFiled keeps the sum of what the keepers filed about a thread, which was found in order.
func (v *View) NoteFiled(t *Thread, sum crypto.Hash) { v.note(kindFiled, &filed{t.number, sum}) }

// NoteKey takes up the file key of a record's version, which its owner could read
// from the content as well: with it a consent can be given when the store is out of
// reach.
func (v *View) NoteKey(t *Thread, number int, k payload.FileKey) {
	v.note(kindVersion, &version{thread: t.number, version: uint32(number), key: k[:]})
}

// NoteTerms takes up the terms of a grant, which were verified.
func (v *View) NoteTerms(t *Thread, tr *payload.Terms) error {
	text, err := (&RecordSet{tr.Records, tr.Scope}).marshal()
	if err != nil {
		return err
	}
	peer, says := tr.To, ""
	if t.Got() {
		peer, says = tr.From, tr.Name
	}
	set, _ := v.threads.set(text)
	n, known := v.threads.summaryAt[Summary{peer, set, tr.Purpose, says}]
	if !known {
		n = uint32(len(v.threads.summaries))
		if s := (summary{peer, tr.Purpose, text, says}); says == "" {
			v.note(kindSummary, &s)
		} else {
			v.note(kindNamed, &named{s})
		}
	}
	v.note(kindTerms, &terms{t.number, n, tr.End(), uint8(tr.K), tr.Envelope, tr.Lock, tr.Shares})
	if l := tr.Letter; l != nil {
		v.note(kindLetter, &letter{t.number, len(tr.Records) == 0, l.Kind, l.Body, tr.Request})
	} else if tr.Request != (contract.ID{}) {
		v.note(kindLetter, &letter{thread: t.number, request: tr.Request})
	}
	return nil
}

// Opening reads the entry that opened a thread.
func (v *View) Opening(t *Thread) (*contract.Entry, error) {
	f, err := lookUp[*opening](v, t.opened)
	if err != nil {
		return nil, err
	}
	return &f.Entry, nil
}

// FollowUp reads a follow-up.
func (v *View) FollowUp(u *FollowUp) (*contract.Entry, error) {
	f, err := lookUp[*follow](v, u.at)
	if err != nil {
		return nil, err
	}
	return &f.Entry, nil
}

// Judged is the state of a thread after all of its follow-ups.
func (v *View) Judged(t *Thread) (contract.State, error) {
	s := t.Slot()
	e, err := v.Opening(t)
	if err != nil {
		return s, err
	}
	s.Author, s.Counterparty, s.NotBefore, s.NotAfter = e.Author, e.Counterparty, e.NotBefore, e.NotAfter
	return s, nil
}

// Terms puts the terms of a grant together again, without the head that came
// with them, and without one's own name.
func (v *View) Terms(t *Thread) (*payload.Terms, error) {
	e, err := v.Opening(t)
	if err != nil {
		return nil, err
	}
	f, err := lookUp[*terms](v, t.termsAt)
	if err != nil {
		return nil, err
	}
	tr := &payload.Terms{V: payload.Version, Ledger: v.Client.ID(), Author: e.Author, Recipient: e.Counterparty, From: v.Keys.Address(), To: t.Terms.Peer,
		NotBefore: e.NotBefore, NotAfter: e.NotAfter, Purpose: t.Terms.Purpose, Scope: t.Terms.Set.Scope, Records: t.Terms.Set.Records,
		K: int(f.k), N: len(f.shares), Envelope: f.envelope, Lock: f.lock, Shares: f.shares}
	if t.end < e.NotAfter {
		tr.Until = t.end
	}
	if t.Got() {
		tr.From, tr.Name, tr.To = tr.To, t.Terms.Says, tr.From
	}
	tr.Request = t.Request()
	tr.Letter, err = v.Letter(t)
	return tr, err
}

// Version reads the entry of a record's version, counted from 0.
func (v *View) Version(t *Thread, i int) (*contract.Entry, error) {
	if i == 0 {
		return v.Opening(t)
	}
	return v.FollowUp(&t.updates()[i-1])
}
