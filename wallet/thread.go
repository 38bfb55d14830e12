package wallet

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
)

// role is what a thread is to this wallet.
type role uint8

const (
	ownRecord role = 1
	ownGrant  role = 2
	received  role = 3 // a grant addressed to this wallet
	ownBook   role = 4 // a hidden record: see book.go. A record until its description is known
)

// thread is what is held in memory of one thread of the ledger that concerns this
// wallet. There may be a hundred thousand, so that it is small: 120 bytes, and some
// 140 more for a consent that ended or was opened once. Entries and terms stay in the
// cache; see Wallet.opening, Wallet.followUp and Wallet.wholeTerms.
type thread struct {
	id     contract.ID    // of the opening entry
	tag    crypto.SelfTag // of the same: from it one's own key is made again
	index  uint64         // of the same, in the log
	opened place          // of the same, in the cache
	said   place          // of a grant's terms, in the cache
	terms  *gist          // of a grant, once its terms were read and verified
	*more                 // what few consents have; may be nil
	state  standing
	hour   contract.Hour // ledger hour of the opening entry
	end    contract.Hour // of a grant: the exact end, once its terms are known; else 0
	number uint32        // in threads.list
	role   role
}

// standing is what changes of a thread, and its window.
type standing struct {
	Status     contract.Status
	NotBefore  contract.Hour
	NotAfter   contract.Hour
	LastAccess contract.Hour // 0: none yet
}

// more is what a record has, and a consent that ended, was opened or cannot be read.
type more struct {
	follows []follow    // the follow-ups, oldest first
	chain   crypto.Hash // of them, see contract.NextChain
	unread  error       // why terms or a description that the store holds cannot be read; not cached
	*versioned
}

// follow is a follow-up.
type follow struct {
	id    contract.ID
	index uint64
	at    place // in the cache
	hour  contract.Hour
	kind  contract.Kind
	flags uint8
}

// versioned is what only records have.
type versioned struct {
	versions []*payload.Metadata // oldest first; nil where the payload is missing
	keys     []*payload.FileKey  // of the same; nil where it was not needed yet
}

// gist is what is known at any time of a grant's terms. Many grants share one.
type gist struct {
	number uint32
	peer   crypto.Address // the recipient of a grant of one's own, the sender of another's
	of     *recordSet
	// Purpose is the terms'.
	Purpose payload.Purpose
}

// recordSet is a list of records that grants share.
type recordSet struct {
	number  uint32
	records []payload.TermsRecord
	shown   []ConsentRecord // the same; not to be changed
}

// past returns the follow-ups, oldest first.
func (t *thread) past() []follow {
	if t.more == nil {
		return nil
	}
	return t.follows
}

// until is the exact end of a grant; the ledger's while its terms are not known.
func (t *thread) until() contract.Hour { return cmp.Or(t.end, t.state.NotAfter) }

// damage is why terms or a description cannot be read; nil if they can or are missing.
func (t *thread) damage() error {
	if t.more == nil {
		return nil
	}
	return t.unread
}

func (t *thread) setDamage(err error) {
	if t.more == nil {
		if err == nil {
			return
		}
		t.more = &more{}
	}
	t.unread = err
}

// isRecord tells a record, or the book, from a grant.
func (t *thread) isRecord() bool { return t.role == ownRecord || t.role == ownBook }

// slot is the thread's state without what the opening entry fixes.
func (t *thread) slot() contract.State {
	s := contract.State{Kind: contract.KindGrant, Status: t.state.Status, LastAccess: t.state.LastAccess}
	if t.isRecord() {
		s.Kind = contract.KindRecord
	}
	if t.more != nil {
		s.Count, s.Chain = uint32(len(t.follows)), t.chain
	}
	return s
}

// threads are all threads that concern this wallet, in the ledger's order.
type threads struct {
	loaded bool
	list   []*thread
	free   []thread // room for the next ones

	// cells is a hash table of numbers in list, plus one: 2ⁿ, at least twice as many as
	// threads. A map would take five times the room, and double it to grow.
	cells []uint32
	seed  maphash.Seed // ids are chosen by others

	sets   []*recordSet
	setAt  map[uint64][]*recordSet // by a hash of the records
	gists  []*gist
	gistAt map[[16]byte]*gist // by a hash of its parts
}

func newThreads() threads {
	return threads{seed: maphash.MakeSeed(), setAt: map[uint64][]*recordSet{}, gistAt: map[[16]byte]*gist{}}
}

// cell returns where an id is, or the free cell where it belongs.
func (ts *threads) cell(id contract.ID) *uint32 {
	mask := uint64(len(ts.cells) - 1)
	for i := maphash.Bytes(ts.seed, id[:]) & mask; ; i = (i + 1) & mask {
		if n := ts.cells[i]; n == 0 || ts.list[n-1].id == id {
			return &ts.cells[i]
		}
	}
}

// find returns the thread that an entry opened; nil if it is none of this wallet's.
func (ts *threads) find(id contract.ID) *thread {
	if len(ts.list) == 0 {
		return nil
	}
	if n := *ts.cell(id); n != 0 {
		return ts.list[n-1]
	}
	return nil
}

// add adds a thread and returns where it is kept.
func (ts *threads) add(t thread) *thread {
	if len(ts.free) == 0 {
		ts.free = make([]thread, max(8, min(len(ts.list), 1024)))
	}
	p := &ts.free[0]
	ts.free = ts.free[1:]
	t.number = uint32(len(ts.list))
	*p = t
	ts.list = append(ts.list, p)
	if 2*len(ts.list) > len(ts.cells) {
		ts.cells = make([]uint32, max(64, 2*len(ts.cells)))
		for i, t := range ts.list {
			*ts.cell(t.id) = uint32(i) + 1
		}
	} else {
		*ts.cell(t.id) = t.number + 1
	}
	return p
}

// setOf finds the set with these records; nil if there is none. Equal ones are kept
// once, since in a batch most consents name the same.
func (ts *threads) setOf(records []payload.TermsRecord) (*recordSet, uint64) {
	h := hashOfRecords(ts.seed, records)
	for _, s := range ts.setAt[h] {
		if slices.Equal(s.records, records) {
			return s, h
		}
	}
	return nil, h
}

func hashOfRecords(seed maphash.Seed, records []payload.TermsRecord) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	var n [8]byte
	for i := range records {
		r := &records[i]
		h.Write(r.Record[:])
		binary.BigEndian.PutUint64(n[:], uint64(r.Version))
		h.Write(n[:])
		for _, s := range []string{r.Title, string(r.Category), r.Date} {
			h.WriteString(s)
			h.WriteByte(0)
		}
	}
	return h.Sum64()
}

func (ts *threads) addSet(records []payload.TermsRecord, hash uint64) *recordSet {
	s := &recordSet{number: uint32(len(ts.sets)), records: records, shown: make([]ConsentRecord, len(records))}
	for i, r := range records {
		s.shown[i] = ConsentRecord{ID: r.Record, Version: r.Version, Title: r.Title, Category: r.Category, Date: r.Date}
	}
	ts.sets = append(ts.sets, s)
	ts.setAt[hash] = append(ts.setAt[hash], s)
	return s
}

// key is the same for equal gists.
func (g *gist) key() [16]byte {
	b := make([]byte, 0, 256)
	b = binary.BigEndian.AppendUint32(b, g.of.number)
	b = appendAddress(b, &g.peer)
	b = append(b, g.Purpose...)
	sum := sha256.Sum256(b)
	return [16]byte(sum[:])
}

func (ts *threads) addGist(g gist) *gist {
	g.number = uint32(len(ts.gists))
	ts.gists = append(ts.gists, &g)
	ts.gistAt[g.key()] = &g
	return &g
}

// addressSize is the length of an address in the cache, which is sealed: its
// signature was checked before.
const addressSize = len(crypto.PubKey{}) + len(crypto.PubKey{}) + len(crypto.Signature{})

func appendAddress(b []byte, a *crypto.Address) []byte {
	b = append(b, a.Sign[:]...)
	b = append(b, a.View[:]...)
	return append(b, a.Signature[:]...)
}

func parseAddress(b []byte) (a crypto.Address) {
	n := copy(a.Sign[:], b)
	n += copy(a.View[:], b[n:])
	copy(a.Signature[:], b[n:])
	return a
}
