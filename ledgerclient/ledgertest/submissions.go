package ledgertest

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// submissions are what the seeded run hands in, batch by batch.
type submissions struct {
	ledger crypto.LedgerID
	seed   uint64
	hour   contract.Hour // when the next batch is handed in
	r      *rand.Rand
	keys   uint64

	threads []thread
	sent    []contract.Entry // for duplicates
	later   []contract.Entry // openers whose follow-ups went ahead
}

type thread struct {
	opening      contract.Entry
	id           contract.ID
	key, partner *crypto.PrivateKey
}

func newSubmissions(ledger crypto.LedgerID, seed uint64, hour contract.Hour) *submissions {
	return &submissions{ledger: ledger, seed: seed, hour: hour, r: rand.New(rand.NewPCG(seed, 6962))}
}

// key makes the next of the run's keys. They are no secret.
func (s *submissions) key() *crypto.PrivateKey {
	s.keys++
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], s.seed)
	binary.BigEndian.PutUint64(b[8:], s.keys)
	h := sha256.Sum256(append([]byte("carekey ledgertest key"), b[:]...))
	k, err := crypto.ParsePrivateKey(h[:])
	if err != nil {
		panic(err) // once in 2¹²⁸ keys
	}
	return k
}

// sign signs an entry, which commits to anything if it commits to nothing yet.
func (s *submissions) sign(e contract.Entry, key *crypto.PrivateKey) contract.Entry {
	e.Version = contract.Version
	e.Author = key.Public()
	binary.BigEndian.PutUint64(e.SelfTag[:], s.r.Uint64())
	if e.Commitment.IsZero() {
		binary.BigEndian.PutUint64(e.Commitment[:], s.r.Uint64()|1)
	}
	if err := e.Sign(s.ledger, key); err != nil {
		panic(err)
	}
	return e
}

func (s *submissions) open(kind contract.Kind) contract.Entry {
	th := thread{key: s.key()}
	e := contract.Entry{Kind: kind}
	if kind == contract.KindGrant {
		th.partner = s.key()
		e.Counterparty = th.partner.Public()
		switch s.r.IntN(8) {
		case 0: // not yet
			e.NotBefore, e.NotAfter = s.hour+1+contract.Hour(s.r.IntN(3)), s.hour+10
		case 1: // soon over
			e.NotAfter = s.hour + 1 + contract.Hour(s.r.IntN(3))
		case 2: // over: refused itself
			e.NotAfter = s.hour - contract.Hour(s.r.IntN(3))
		default:
			e.NotAfter = s.hour + 1000
		}
	}
	th.opening = s.sign(e, th.key)
	th.id = th.opening.ID(s.ledger)
	s.threads = append(s.threads, th)
	return th.opening
}

// follow makes a follow-up, which the rules may or may not allow by now.
func (s *submissions) follow(th *thread) contract.Entry {
	e := contract.Entry{Kind: contract.KindRecord, Subject: th.id, NotBefore: s.hour - 1, NotAfter: s.hour + 48}
	key := th.key
	if th.partner == nil {
		if s.r.IntN(8) == 0 {
			e.Flags = contract.FlagWithdrawn
		}
	} else if s.r.IntN(8) == 0 {
		e.Kind, e.NotBefore, e.NotAfter = contract.KindRevoke, 0, contract.Forever
	} else {
		e.Kind, key = contract.KindAccess, th.partner
	}
	return s.sign(e, key)
}

func (s *submissions) thread() *thread { return &s.threads[s.r.IntN(len(s.threads))] }

// wrong makes an entry that breaks a rule, in one of many ways.
func (s *submissions) wrong() contract.Entry {
	e := contract.Entry{Kind: contract.KindRecord}
	var key *crypto.PrivateKey // nil: a new one
	how := s.r.IntN(12)
	switch how {
	case 2: // of no kind
		e.Kind = contract.Kind(6 + s.r.IntN(250))
	case 3:
		e.Flags = 2
	case 4:
		e.Hours = 1
	case 5: // a record with a window
		e.NotAfter = s.hour + 1
	case 6: // of another's thread
		e.Kind, e.Subject, e.NotAfter = contract.KindRevoke, s.thread().id, contract.Forever
	case 7: // of nobody's thread
		e.Kind, e.Subject, e.NotAfter = contract.KindRevoke, crypto.Hash{1}, contract.Forever
	case 8, 9: // a follow-up that went stale, and one that is not to be accepted yet
		th := s.thread()
		e.Subject, key = th.id, th.key
		if e.NotBefore, e.NotAfter = s.hour-9, s.hour-1; how == 9 {
			e.NotBefore, e.NotAfter = s.hour+5, s.hour+9
		}
	case 10:
		e.Kind = contract.KindConfig
	case 11:
		return anyEntry(s.r)
	}
	if key == nil {
		key = s.key()
	}
	e = s.sign(e, key)
	switch how {
	case 0: // not signed for this entry
		e.Signature[s.r.IntN(64)] ^= 1 << s.r.IntN(8)
	case 1: // signed for another ledger
		e.Sign(crypto.LedgerID{1}, key)
	}
	return e
}

// batch makes the next n entries; no more of them than asked for.
func (s *submissions) batch(n int) []contract.Entry {
	var es []contract.Entry
	for len(es) < n {
		switch x := s.r.IntN(16); {
		case len(s.threads) < 4 || x < 2:
			es = append(es, s.open(contract.KindRecord))
		case x < 5:
			es = append(es, s.open(contract.KindGrant))
		case x == 5: // a follow-up ahead of what it follows, which comes later
			s.later = append(s.later, s.open(contract.KindGrant))
			es = append(es, s.follow(&s.threads[len(s.threads)-1]))
		case x == 6 && len(s.later) > 0:
			i := s.r.IntN(len(s.later))
			es = append(es, s.later[i])
			s.later = append(s.later[:i], s.later[i+1:]...)
		case x < 9 && len(s.sent) > 0: // again
			es = append(es, s.sent[s.r.IntN(len(s.sent))])
		case x < 11:
			es = append(es, s.wrong())
		default:
			es = append(es, s.follow(s.thread()))
		}
		s.sent = append(s.sent, es[len(es)-1])
	}
	return es
}
