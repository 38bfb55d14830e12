package view

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"github.com/carekey/carekey/crypto"
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
// up without reading the rest. A frame is
//
//	kind 1 ‖ length, as a uvarint ‖ body
//
// Numbers are big-endian; threads, sets and summaries are numbered from 0 in the order of
// their frames.
//
//	1 opening      role 1 ‖ index 8 ‖ hour 4 ‖ entry 222
//	2 follow-up    thread 4 ‖ index 8 ‖ hour 4 ‖ entry 222 ‖ slot 42: the thread's
//	               after it, or zeros if another one of the thread follows at once
//	3 description  thread 4 ‖ version 4, from 1 ‖ metadata as JSON
//	4 file key     thread 4 ‖ version 4 ‖ key 16
//	5 set          records of terms, as a JSON list
//	6 summary       set 4 ‖ address of the other side 130 ‖ purpose
//	7 terms        thread 4 ‖ summary 4 ‖ exact end 4 ‖ k 1 ‖ n 1 ‖ envelope 32 ‖ lock 32 ‖ n times share 32
//
// Of terms the rest is in the opening entry. The head that came with them is not kept.
const (
	frameOpening     = 1
	frameFollow      = 2
	frameDescription = 3
	frameKey         = 4
	frameSet         = 5
	frameSummary     = 6
	frameTerms       = 7
)

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

func (p place) block() int64 { return int64(p >> 16) }

// block is a block that is not sealed.
type block struct {
	at    int64 // in the file
	plain []byte
}

// cache is what of the cache file is in memory, beside the threads.
type cache struct {
	tail   []block // not in the file, at its end; frames are added to the last one
	saved  int64   // end of what is in the file, the state's CacheSize
	recent [8]block
	next   int // the one of recent that goes first
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
	err := v.loadCache()
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
	v.state.CacheID, v.state.CacheSize, v.state.Rescan = newCacheID(), 0, true
	v.cache = cache{}
}

func (v *View) loadCache() error {
	if v.state.CacheSize == 0 {
		return nil
	}
	f, err := v.Home.Open(v.Home.In(cacheFile), os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	var sealed []byte
	for at := int64(0); at < v.state.CacheSize; {
		var b block
		if b, sealed, err = v.readBlock(f, at, sealed); err != nil {
			return err
		}
		for pos, rest := 0, b.plain; len(rest) > 0; pos = len(b.plain) - len(rest) {
			kind, body, after, ok := cutFrame(rest)
			if !ok {
				return errCache
			}
			rest = after
			if err := v.take(kind, body, place(at)<<16|place(pos)); err != nil {
				return err
			}
		}
		at += int64(len(sealed)) + 4
	}
	return nil
}

// readBlock reads a block into buf, or a larger one, which it returns with what it
// opened.
func (v *View) readBlock(f io.ReaderAt, at int64, buf []byte) (block, []byte, error) {
	var size [4]byte
	if _, err := f.ReadAt(size[:], at); err != nil {
		return block{}, buf, shortCache(err)
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if n > maxBlock+blockOver || at+4+int64(n) > v.cache.saved {
		return block{}, buf, errCache
	}
	if cap(buf) < n {
		buf = make([]byte, n, max(n, blockSize+blockOver))
	}
	buf = buf[:n]
	if _, err := f.ReadAt(buf, at+4); err != nil {
		return block{}, buf, shortCache(err)
	}
	plain, err := v.Home.Key.Open(v.blockName(at), buf)
	if err != nil {
		return block{}, buf, errCache
	}
	return block{at, plain}, buf, nil
}

// shortCache names what a file that ends too early is.
func shortCache(err error) error {
	if errors.Is(err, io.EOF) {
		return errCache
	}
	return err
}

// cutFrame takes the first frame off.
func cutFrame(b []byte) (kind byte, body, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	size, n := binary.Uvarint(b[1:])
	if n <= 0 || size > uint64(len(b)-1-n) {
		return 0, nil, nil, false
	}
	at := 1 + n + int(size)
	return b[0], b[1+n : at], b[at:], true
}

// frame reads a frame back. The body is not to be changed.
func (v *View) frame(kind byte, at place) ([]byte, error) {
	b, err := v.blockAt(at.block())
	if err != nil {
		return nil, err
	}
	pos := int(at & 0xffff)
	if pos > len(b.plain) {
		return nil, &home.DamagedError{File: v.Home.In(cacheFile)}
	}
	have, body, _, ok := cutFrame(b.plain[pos:])
	if !ok || have != kind {
		return nil, &home.DamagedError{File: v.Home.In(cacheFile)}
	}
	return body, nil
}

func (v *View) blockAt(at int64) (block, error) {
	c := &v.cache
	if i := sort.Search(len(c.tail), func(i int) bool { return c.tail[i].at >= at }); i < len(c.tail) && c.tail[i].at == at {
		return c.tail[i], nil
	}
	for i := range c.recent {
		if c.recent[i].at == at && c.recent[i].plain != nil {
			return c.recent[i], nil
		}
	}
	f, err := v.Home.Open(v.Home.In(cacheFile), os.O_RDONLY)
	if err != nil {
		return block{}, err
	}
	defer f.Close()
	b, _, err := v.readBlock(f, at, nil)
	if err == errCache {
		// Somebody changed it under this process. The next one makes it anew.
		return block{}, &home.DamagedError{File: v.Home.In(cacheFile), Err: err}
	}
	if err != nil {
		return block{}, err
	}
	c.recent[c.next], c.next = b, (c.next+1)%len(c.recent)
	return b, nil
}

// put adds a frame behind the others and tells where it is.
func (v *View) put(kind byte, body []byte) place {
	c := &v.cache
	n := len(c.tail)
	if n == 0 || len(c.tail[n-1].plain) > 0 && len(c.tail[n-1].plain)+len(body) > blockSize {
		c.tail = append(c.tail, block{at: c.end()})
		n = len(c.tail)
	}
	b := &c.tail[n-1]
	at := place(b.at)<<16 | place(len(b.plain))
	b.plain = append(b.plain, kind)
	b.plain = binary.AppendUvarint(b.plain, uint64(len(body)))
	b.plain = append(b.plain, body...)
	return at
}

// appendCache makes the new frames durable behind those that are saved, and counts them in
// the state, which the caller then writes.
func (v *View) appendCache() error {
	c := &v.cache
	sealed := make([][]byte, len(c.tail))
	ledgerclient.Parallel(len(sealed), func(i int) { sealed[i] = v.Home.Key.Seal(v.blockName(c.tail[i].at), c.tail[i].plain) })
	var out []byte
	for _, s := range sealed {
		out = binary.BigEndian.AppendUint32(out, uint32(len(s)))
		out = append(out, s...)
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

// take adds what a frame says to v.threads. The file is sealed and was written by
// what follows, so that nothing is judged again.
func (v *View) take(kind byte, body []byte, at place) error {
	number := func() (n int, ok bool) {
		if len(body) < 4 {
			return 0, false
		}
		n = int(binary.BigEndian.Uint32(body))
		body = body[4:]
		return n, true
	}
	of := func() *Thread {
		if n, ok := number(); ok && n < len(v.threads.list) {
			return v.threads.list[n]
		}
		return nil
	}
	switch kind {
	case frameOpening:
		p, r, ok := parseOpening(body)
		if !ok {
			return errCache
		}
		v.addOpening(r, &p, p.Entry.ID(v.Client.ID()), at)
	case frameFollow:
		t := of()
		if t == nil || len(body) != 12+contract.Size+contract.SlotSize {
			return errCache
		}
		p, ok := parsePlaced(body[:12+contract.Size])
		if !ok {
			return errCache
		}
		t.addFollow(&p, p.Entry.ID(v.Client.ID()), body[12+contract.Size:], at)
	case frameDescription:
		t := of()
		version, ok := number()
		if t == nil || !ok || !t.isRecord() || version < 1 || version > len(t.Versions) {
			return errCache
		}
		var m payload.Metadata
		if err := json.Unmarshal(body, &m); err != nil {
			return errCache
		}
		t.describe(version, &m)
	case frameKey:
		t := of()
		version, ok := number()
		if t == nil || !ok || !t.isRecord() || version < 1 || version > len(t.Keys) || len(body) != len(payload.FileKey{}) {
			return errCache
		}
		k := payload.FileKey(body)
		t.Keys[version-1] = &k
	case frameSet:
		var records []payload.TermsRecord
		if err := json.Unmarshal(body, &records); err != nil {
			return errCache
		}
		v.threads.addSet(body, records)
	case frameSummary:
		n, ok := number()
		if !ok || n >= len(v.threads.sets) || len(body) < addressSize {
			return errCache
		}
		v.threads.addSummary(Summary{Set: v.threads.sets[n], Peer: parseAddress(body), Purpose: payload.Purpose(body[addressSize:])})
	case frameTerms:
		t := of()
		n, ok := number()
		if t == nil || !ok || n >= len(v.threads.summaries) || len(body) < 70 || len(body) != 70+32*int(body[5]) {
			return errCache
		}
		t.Terms, t.termsAt, t.end = v.threads.summaries[n], at, contract.Hour(binary.BigEndian.Uint32(body))
	default:
		return errCache
	}
	return nil
}

func (v *View) addOpening(r Role, p *ledgerclient.Placed, id contract.ID, at place) *Thread {
	t := Thread{Role: r, ID: id, Tag: p.Entry.SelfTag, Index: p.Index, Hour: p.Hour, opened: at, Status: contract.StatusOpen}
	if p.Entry.Kind == contract.KindGrant {
		t.NotBefore, t.NotAfter = p.Entry.NotBefore, p.Entry.NotAfter
	} else {
		t.details = &details{Versions: make([]*payload.Metadata, 1), Keys: make([]*payload.FileKey, 1)}
	}
	return v.threads.add(t)
}

func (t *Thread) addFollow(p *ledgerclient.Placed, id contract.ID, slot []byte, at place) {
	if t.details == nil {
		t.details = &details{}
	}
	t.follows = append(t.follows, FollowUp{ID: id, Index: p.Index, at: at, Hour: p.Hour, Kind: p.Entry.Kind, flags: p.Entry.Flags})
	if p.Entry.Kind == contract.KindRecord && p.Entry.Flags&contract.FlagWithdrawn == 0 {
		t.Versions, t.Keys = append(t.Versions, nil), append(t.Keys, nil)
	}
	if slot[0] != 0 {
		t.Status = contract.Status(slot[1])
		t.LastAccess = contract.Hour(binary.BigEndian.Uint32(slot[2:]))
		t.chain = crypto.Hash(slot[10:])
	}
}

func (t *Thread) describe(version int, m *payload.Metadata) {
	t.Versions[version-1] = m
	if m.Hidden == payload.Book {
		t.Role = OwnBook
	}
}

func appendPlaced(b []byte, p *ledgerclient.Placed) []byte {
	b = binary.BigEndian.AppendUint64(b, p.Index)
	b = binary.BigEndian.AppendUint32(b, uint32(p.Hour))
	raw := p.Entry.Marshal()
	return append(b, raw[:]...)
}

func parsePlaced(b []byte) (ledgerclient.Placed, bool) {
	if len(b) != 12+contract.Size {
		return ledgerclient.Placed{}, false
	}
	e, err := contract.ParseEntry(b[12:])
	return ledgerclient.Placed{Index: binary.BigEndian.Uint64(b), Hour: contract.Hour(binary.BigEndian.Uint32(b[8:])), Entry: e}, err == nil
}

func parseOpening(b []byte) (ledgerclient.Placed, Role, bool) {
	if len(b) == 0 {
		return ledgerclient.Placed{}, 0, false
	}
	p, ok := parsePlaced(b[1:])
	return p, Role(b[0]), ok
}

// noteOpening takes up a new thread, which was judged.
func (v *View) noteOpening(r Role, p *ledgerclient.Placed) *Thread {
	at := v.put(frameOpening, appendPlaced([]byte{byte(r)}, p))
	return v.addOpening(r, p, p.Entry.ID(v.Client.ID()), at)
}

// noteFollows takes up follow-ups of a thread, which were judged; after is the
// thread's state after them.
func (v *View) noteFollows(t *Thread, ps []ledgerclient.Placed, after contract.State) {
	for i := range ps {
		var slot [contract.SlotSize]byte
		if i == len(ps)-1 {
			copy(slot[:], after.Slot())
		}
		body := binary.BigEndian.AppendUint32(nil, t.number)
		at := v.put(frameFollow, append(appendPlaced(body, &ps[i]), slot[:]...))
		t.addFollow(&ps[i], ps[i].Entry.ID(v.Client.ID()), slot[:], at)
	}
}

func versionBody(t *Thread, version int) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, t.number), uint32(version))
}

// NoteDescription takes up what a record's version is.
func (v *View) NoteDescription(t *Thread, version int, m *payload.Metadata) error {
	b, err := json.Marshal(m)
	if err == nil {
		v.put(frameDescription, append(versionBody(t, version), b...))
		t.describe(version, m)
	}
	return err
}

// NoteKey takes up the file key of a record's version, which its owner could read
// from the content as well: with it a consent can be given when the store is out of
// reach.
func (v *View) NoteKey(t *Thread, version int, k payload.FileKey) {
	v.put(frameKey, append(versionBody(t, version), k[:]...))
	t.Keys[version-1] = &k
}

// NoteTerms takes up the terms of a grant, which were verified.
func (v *View) NoteTerms(t *Thread, tr *payload.Terms) error {
	ts := &v.threads
	text, err := json.Marshal(tr.Records)
	if err != nil {
		return err
	}
	set := ts.setAt[sha256.Sum256(text)]
	if set == nil {
		v.put(frameSet, text)
		set = ts.addSet(text, tr.Records)
	}
	s := Summary{Set: set, Peer: tr.To, Purpose: tr.Purpose}
	if t.Role == Received {
		s.Peer = tr.From
	}
	n, known := ts.summaryAt[s]
	if !known {
		b := binary.BigEndian.AppendUint32(nil, set.number)
		v.put(frameSummary, append(appendAddress(b, &s.Peer), s.Purpose...))
		n = ts.addSummary(s)
	}
	b := binary.BigEndian.AppendUint32(nil, t.number)
	b = binary.BigEndian.AppendUint32(b, n)
	b = binary.BigEndian.AppendUint32(b, uint32(tr.End()))
	b = append(b, byte(tr.K), byte(tr.N))
	b = append(append(b, tr.Envelope[:]...), tr.Lock[:]...)
	for i := range tr.Shares {
		b = append(b, tr.Shares[i][:]...)
	}
	t.Terms, t.termsAt, t.end = ts.summaries[n], v.put(frameTerms, b), tr.End()
	return nil
}

// Opening reads the entry that opened a thread.
func (v *View) Opening(t *Thread) (*contract.Entry, error) {
	b, err := v.frame(frameOpening, t.opened)
	if err != nil {
		return nil, err
	}
	p, _, ok := parseOpening(b)
	if !ok {
		return nil, &home.DamagedError{File: v.Home.In(cacheFile)}
	}
	return &p.Entry, nil
}

// FollowUp reads a follow-up.
func (v *View) FollowUp(f *FollowUp) (*contract.Entry, error) {
	b, err := v.frame(frameFollow, f.at)
	if err != nil {
		return nil, err
	}
	const skip = 4
	if len(b) < skip+12+contract.Size {
		return nil, &home.DamagedError{File: v.Home.In(cacheFile)}
	}
	p, ok := parsePlaced(b[skip : skip+12+contract.Size])
	if !ok {
		return nil, &home.DamagedError{File: v.Home.In(cacheFile)}
	}
	return &p.Entry, nil
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
// with them.
func (v *View) Terms(t *Thread) (*payload.Terms, error) {
	e, err := v.Opening(t)
	if err != nil {
		return nil, err
	}
	b, err := v.frame(frameTerms, t.termsAt)
	if err != nil {
		return nil, err
	}
	b = b[12:]
	tr := &payload.Terms{V: payload.Version, Ledger: v.Client.ID(), Author: e.Author, Recipient: e.Counterparty, From: v.Identity().Address(), To: t.Terms.Peer,
		NotBefore: e.NotBefore, NotAfter: e.NotAfter, Purpose: t.Terms.Purpose, Records: t.Terms.Set.Records,
		K: int(b[0]), N: int(b[1]), Envelope: crypto.Hash(b[2:34]), Lock: crypto.Hash(b[34:66])}
	if t.end < e.NotAfter {
		tr.Until = t.end
	}
	if t.Role == Received {
		tr.From, tr.To = tr.To, tr.From
	}
	for b = b[66:]; len(b) > 0; b = b[32:] {
		tr.Shares = append(tr.Shares, crypto.Hash(b[:32]))
	}
	return tr, nil
}

// Version reads the entry of a record's version, counted from 0.
func (v *View) Version(t *Thread, i int) (*contract.Entry, error) {
	if i == 0 {
		return v.Opening(t)
	}
	fs := t.FollowUps()
	for j := range fs {
		if fs[j].Kind == contract.KindRecord && fs[j].flags&contract.FlagWithdrawn == 0 {
			if i--; i == 0 {
				return v.FollowUp(&fs[j])
			}
		}
	}
	return nil, &home.DamagedError{File: v.Home.In(cacheFile)}
}
