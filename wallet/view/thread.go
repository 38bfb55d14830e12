package view

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
)

// Role is what a thread is to this wallet.
type Role uint8

const (
	OwnRecord Role = 1
	OwnGrant  Role = 2
	Received  Role = 3 // a grant addressed to this wallet
	OwnBook   Role = 4 // a hidden record: see book.go. A record until its description is known

	// A grant that is a letter and gives no record. It is OwnGrant, or Received, until its
	// terms are known.
	OwnLetter      Role = 5
	ReceivedLetter Role = 6
)

// Given reports whether it is a grant of one's own, be it a letter.
func (t *Thread) Given() bool { return t.Role == OwnGrant || t.Role == OwnLetter }

// Got reports whether it is a grant addressed to this wallet, be it a letter.
func (t *Thread) Got() bool { return t.Role == Received || t.Role == ReceivedLetter }

// Thread is what is held in memory of one thread of the ledger that concerns this
// wallet. There may be a hundred thousand, so that it is small: 120 bytes, 80 to find it, and some
// 210 more for a consent that ended or was opened once. Entries and terms stay in the
// cache; see View.Opening, View.FollowUp and View.Terms.
type Thread struct {
	ID       contract.ID    // of the opening entry
	Tag      crypto.SelfTag // of the same: from it one's own key is made again
	Index    uint64         // of the same, in the log
	opened   place          // of the same, in the cache
	termsAt  place          // of a grant's terms, in the cache
	Terms    *Summary       // of a grant, once its terms were read and verified
	*details                // what few consents have; may be nil
	Hour     contract.Hour  // ledger hour of the opening entry

	// What changes of it, and its window.
	Status     contract.Status
	NotBefore  contract.Hour
	NotAfter   contract.Hour
	LastAccess contract.Hour // 0: none yet

	end    contract.Hour // of a grant: the exact end, once its terms are known; else 0
	number uint32        // in threads.list
	Role   Role
	// Unheld are keepers of a grant of one's own that have not acknowledged their share, by
	// their lines in its document, from the lowest bit; see NoteKeeping.
	Unheld uint16
}

// details are what a record has, and a consent that ended, was opened or cannot be read.
type details struct {
	follows []FollowUp  // the follow-ups, oldest first
	chain   crypto.Hash // of them, see contract.NextChain
	filed   crypto.Hash // see NoteFiled
	told    place       // of the answers that are kept, in the cache; see NoteTold
	keeping place       // in the cache; see NoteKeeping
	unread  error       // why terms or a description that the store holds cannot be read; not cached
	asked   contract.Hour
	letter  place       // of a grant with a letter, in the cache
	request contract.ID // of a grant that answers a letter: what that letter came with

	// Of a record.
	Versions []*payload.Metadata // oldest first; nil where the payload is missing
	Keys     []*payload.FileKey  // of the same; nil where it was not needed yet
}

// FollowUp is a follow-up.
type FollowUp struct {
	ID    contract.ID
	Index uint64
	at    place // in the cache
	said  place // of what was said with an access, in the cache; 0 if it is not kept: see NoteSaid
	Hour  contract.Hour
	Kind  contract.Kind
	// update: it entered a version of a record.
	update bool
}

// Summary is what is known at any time of a grant's terms. Many grants share one.
type Summary struct {
	Peer    crypto.Address // the recipient of a grant of one's own, the sender of another's
	Set     *RecordSet
	Purpose payload.Purpose
	Says    string // what another's sender calls himself: his word
}

// RecordSet is a list of records that grants share; not to be changed.
type RecordSet struct {
	Records []payload.TermsRecord
	Scope   *payload.Scope // what of those with a root; nil if there is none
}

// scoped is the JSON of a set with a scope; that of one without is its records alone.
type scoped struct {
	Records []payload.TermsRecord `json:"records"`
	Scope   *payload.Scope        `json:"scope"`
}

// marshal is a set as JSON, of which there is one for each set.
func (s *RecordSet) marshal() ([]byte, error) {
	if s.Scope == nil {
		return json.Marshal(s.Records)
	}
	return json.Marshal(scoped{s.Records, s.Scope})
}

// FollowUps returns the follow-ups, oldest first.
func (t *Thread) FollowUps() []FollowUp {
	if t.details == nil {
		return nil
	}
	return t.follows
}

// Request is the grant whose letter this one answers, as its terms say; zero if they name
// none.
func (t *Thread) Request() contract.ID {
	if t.details == nil {
		return contract.ID{}
	}
	return t.request
}

// Filed is the sum that NoteFiled kept last; zero if there is none.
func (t *Thread) Filed() crypto.Hash {
	if t.details == nil {
		return crypto.Hash{}
	}
	return t.filed
}

// Asked is the ledger hour of the answers that NoteTold kept last; 0 if there are none.
func (t *Thread) Asked() contract.Hour {
	if t.details == nil {
		return 0
	}
	return t.asked
}

// Until is the exact end of a grant; the ledger's while its terms are not known.
func (t *Thread) Until() contract.Hour { return cmp.Or(t.end, t.NotAfter) }

// Damage is why terms or a description cannot be read; nil if they can or are missing.
func (t *Thread) Damage() error {
	if t.details == nil {
		return nil
	}
	return t.unread
}

// SetDamage notes what Damage is.
func (t *Thread) SetDamage(err error) {
	if t.details == nil {
		if err == nil {
			return
		}
		t.details = &details{}
	}
	t.unread = err
}

// isRecord tells a record, or the book, from a grant.
func (t *Thread) isRecord() bool { return t.Role == OwnRecord || t.Role == OwnBook }

// Slot is the thread's state without what the opening entry fixes.
func (t *Thread) Slot() contract.State {
	s := contract.State{Kind: contract.KindGrant, Status: t.Status, LastAccess: t.LastAccess}
	if t.isRecord() {
		s.Kind = contract.KindRecord
	}
	if t.details != nil {
		s.Count, s.Chain = uint32(len(t.follows)), t.chain
	}
	return s
}

// threads are all threads that concern this wallet, in the ledger's order.
type threads struct {
	loaded bool
	list   []*Thread
	byID   map[contract.ID]*Thread

	// Sets and summaries are kept once, since in a batch most consents name the same.
	sets      map[crypto.Hash]*RecordSet // by the hash of their JSON
	summaries []*Summary
	summaryAt map[Summary]uint32
}

func newThreads() threads {
	return threads{byID: map[contract.ID]*Thread{}, sets: map[crypto.Hash]*RecordSet{}, summaryAt: map[Summary]uint32{}}
}

// find returns the thread that an entry opened; nil if it is none of this wallet's.
func (ts *threads) find(id contract.ID) *Thread { return ts.byID[id] }

// at is the thread of that number; nil if there is none.
func (ts *threads) at(number uint32) *Thread {
	if int(number) >= len(ts.list) {
		return nil
	}
	return ts.list[number]
}

// detailed is at, with room for what few consents have.
func (ts *threads) detailed(number uint32) *Thread {
	t := ts.at(number)
	if t != nil && t.details == nil {
		t.details = &details{}
	}
	return t
}

func (ts *threads) add(t Thread) {
	t.number = uint32(len(ts.list))
	ts.list, ts.byID[t.ID] = append(ts.list, &t), &t
}

// addSummary adds a summary, behind the others.
func (ts *threads) addSummary(s *Summary) {
	ts.summaryAt[*s] = uint32(len(ts.summaries))
	ts.summaries = append(ts.summaries, s)
}

// set is the set of which text is the JSON; ok is false if it is none.
func (ts *threads) set(text []byte) (s *RecordSet, ok bool) {
	sum := sha256.Sum256(text)
	if s = ts.sets[sum]; s == nil {
		var x scoped
		into := any(&x)
		if bytes.HasPrefix(text, []byte("[")) {
			into = &x.Records
		}
		if json.Unmarshal(text, into) != nil {
			return nil, false
		}
		s = &RecordSet{x.Records, x.Scope}
		ts.sets[sum] = s
	}
	return s, true
}

// IsUnknown reports whether it is a record of which no version is known: it may be the
// book.
func (t *Thread) IsUnknown() bool {
	return t.Role == OwnRecord && t.Status == contract.StatusOpen &&
		!slices.ContainsFunc(t.Versions, func(m *payload.Metadata) bool { return m != nil })
}

// updates are the follow-ups that entered versions of a record.
func (t *Thread) updates() []FollowUp {
	return slices.DeleteFunc(slices.Clone(t.FollowUps()), func(f FollowUp) bool { return !f.update })
}

// VersionIndexes are the positions in the log of a record's versions.
func (t *Thread) VersionIndexes() []uint64 {
	out := []uint64{t.Index}
	for _, f := range t.updates() {
		out = append(out, f.Index)
	}
	return out
}

// VersionOf is the number of the record version that an entry entered; 0 if it is
// none of this thread's.
func (t *Thread) VersionOf(id contract.ID) int {
	if t.ID == id {
		return 1
	}
	i := slices.IndexFunc(t.updates(), func(f FollowUp) bool { return f.ID == id })
	if i < 0 {
		return 0
	}
	return i + 2
}
