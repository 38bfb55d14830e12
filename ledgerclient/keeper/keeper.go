// Package keeper holds the rules of a keeper: who may deposit a share of the key
// that locks a grant's envelope, to whom it is released, and when it ends.
//
// A keeper believes nobody. It judges on its own replica of the log (Replica)
// and by its own clock, never on a proof brought by the person who asks, and
// keeps what it holds in a Vault. The rules are the same whether both lie in a
// folder or at a node.
//
// A share is released if and only if all of this holds:
//
//   - the request is for this ledger and this keeper, and signed by the
//     counterparty of the grant, who also signed the access in it;
//   - the grant is on the replica, not revoked there, and no revocation was sent
//     to the keeper directly;
//   - the ledger hour and the keeper's own clock are both inside the grant's
//     window: one alone would keep a window open on a ledger that stands still,
//     or open it for who can set a clock;
//   - the access is under a head that as many nodes have signed as the ledger asks for, not
//     long ago: of an older one nobody knows what followed it, and behind it the replica may
//     be one node's word;
//   - the access is on the replica, which accepts none outside the window or
//     after a revocation, and is younger than 24 hours by both clocks, so that
//     the time in the patient's audit is the time of the release;
//   - the share is there;
//   - a stop could be taken down now: a keeper that could not does not know what it
//     was told before it was started.
//
// Every answer is signed, refusals too. A refusal of a request that the grant's
// counterparty signed is filed, so that the patient sees the attempt.
package keeper

import (
	"context"
	"errors"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

const (
	// AccessHours is how long an access is good for a release, in hours.
	AccessHours = 24
	// GraceHours is how many ledger hours after a window's end a share is destroyed.
	GraceHours = 24
	// MaxRefused is how many refused requests are filed for one grant. Further ones
	// are answered and counted, so that nobody fills the keeper's disk and none is
	// tried unseen.
	MaxRefused = 1000
)

// Head is the newest final head of a keeper's own replica.
type Head struct {
	Size uint64
	Root crypto.Hash
	Hour contract.Hour // of the last leaf
	// Sure is how many of its leaves are under a head that enough nodes have signed, recently
	// enough to release by it; 0: there is none. Of a ledger with one node it is Size, under the
	// lock of its folder.
	Sure uint64
}

// View is a replica at one head: all its answers are of that head.
type View interface {
	Head() Head
	// Find returns the position of an entry, false if it is not in the log.
	Find(id contract.ID) (index uint64, ok bool, err error)
	// Leaf returns the leaf at a position below the head's size.
	Leaf(index uint64) (contract.Leaf, error)
	// State returns the state of the thread opened at index, the zero State if none
	// was opened there.
	State(index uint64) (contract.State, error)
}

// Replica is the keeper's own copy of the log.
type Replica interface {
	// View calls f with the newest final head.
	View(ctx context.Context, f func(View) error) error
}

// Grant names a grant to a Vault, which files shares by the end of the window.
type Grant struct {
	ID       contract.ID
	NotAfter contract.Hour
}

// Share is a deposit with the end of its grant's window.
type Share struct {
	Deposit  ledgerclient.Deposit
	NotAfter contract.Hour
}

// Record is all that a vault holds about the share of one grant.
type Record struct {
	Share   *ledgerclient.Deposit // nil: not held
	Stopped bool                  // a revocation was seen
	Acks    []ledgerclient.Acknowledgement
}

// ack returns the filed acknowledgement of that end, nil if there is none.
func (r *Record) ack(end ledgerclient.End) *ledgerclient.Acknowledgement {
	for i := range r.Acks {
		if r.Acks[i].End == end {
			return &r.Acks[i]
		}
	}
	return nil
}

// Vault keeps shares and what became of them. What a method has done when it
// returns is durable. All methods are safe for concurrent use, also by several
// processes.
type Vault interface {
	// Read returns what is held about each grant.
	Read(ctx context.Context, grants ...Grant) ([]Record, error)
	// Store keeps shares and says of each whether it is held now. It is not if the
	// grant was stopped, has an acknowledgement of a destroyed share, or another
	// share is held for it. Vaults check this themselves, so that no share comes back
	// when a revocation arrives at the same time.
	Store(ctx context.Context, shares []Share) (held []bool, err error)
	// Stop marks the grants that the revocations name as stopped. The same again is a
	// no-op. If it fails, Read says of those grants all the same that they are stopped,
	// for as long as the vault is open, and they are marked as soon as that can be
	// done. Without revocations it only makes sure that one could be kept now.
	Stop(ctx context.Context, revocations []contract.Entry) error
	// Destroy overwrites and removes shares; those not held are passed over.
	Destroy(ctx context.Context, grants []Grant) error
	// Acknowledge files acknowledgements, one for each end of a grant: of several
	// for the same end the first stays.
	Acknowledge(ctx context.Context, acks []ledgerclient.Acknowledgement) error
	// File keeps a refused request, which is not filed twice if it comes again soon. If
	// limit requests are filed for the grant, or there is no room for more, another one
	// is only counted, each time that it comes. What it does must not grow with what is
	// filed.
	File(ctx context.Context, r ledgerclient.Refused, limit int) error
	// Filed returns the refused requests of a grant, oldest first, and how many more
	// were counted.
	Filed(ctx context.Context, grant contract.ID) (filed []ledgerclient.Refused, more uint32, err error)
	// Held lists the shares that are there, also with an error: then all that can be
	// read.
	Held(ctx context.Context) ([]Grant, error)
}

// Keeper keeps the rules. It is safe for concurrent use if its replica and vault
// are.
type Keeper struct {
	ledger  crypto.LedgerID
	key     *crypto.PrivateKey
	public  crypto.PubKey
	replica Replica
	vault   Vault
	clock   func() contract.Hour
}

var _ ledgerclient.Keeper = (*Keeper)(nil)

// New returns the keeper with that key for that ledger. clock is the keeper's
// own, in whole hours since 1970.
func New(ledger crypto.LedgerID, key *crypto.PrivateKey, replica Replica, vault Vault, clock func() contract.Hour) *Keeper {
	return &Keeper{ledger: ledger, key: key, public: key.Public(), replica: replica, vault: vault, clock: clock}
}

// Key is the keeper's public key, which its answers are signed with.
func (k *Keeper) Key() crypto.PubKey { return k.public }

// grant is what the rules need to know of a grant on the replica.
type grant struct {
	Grant
	opening contract.Entry
	state   contract.State
	ok      bool // false: there is no such grant
}

// grants looks n grants up, all under one head.
func (k *Keeper) grants(ctx context.Context, n int, id func(i int) contract.ID) (all []grant, head Head, err error) {
	all = make([]grant, n)
	err = k.replica.View(ctx, func(v View) (err error) {
		head = v.Head()
		for i := range all {
			if all[i], err = lookup(v, id(i)); err != nil {
				return err
			}
		}
		return nil
	})
	return all, head, err
}

func lookup(v View, id contract.ID) (grant, error) {
	index, ok, err := v.Find(id)
	if err != nil || !ok {
		return grant{}, err
	}
	s, err := v.State(index)
	// A follow-up opens no thread, so that its slot is empty.
	if err != nil || s.Kind != contract.KindGrant || s.Status == contract.StatusNone {
		return grant{}, err
	}
	leaf, err := v.Leaf(index)
	return grant{Grant{ID: id, NotAfter: s.NotAfter}, leaf.Entry, s, err == nil}, err
}

// State tells the grant's author or counterparty whether its share is here. Nobody
// else is told: ids of grants are public, and that one was never finished, or is
// stopped by a revocation that is not on the ledger yet, is not.
func (k *Keeper) State(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.KeeperState, error) {
	g, _, err := k.asked(ctx, &q, func(s *contract.State) error { return q.VerifyState(s.Author, s.Counterparty) })
	if err != nil {
		return ledgerclient.KeeperState{}, err
	}
	rec, err := k.look(ctx, g.Grant)
	return StateOf(q.Grant, &g.state, &rec), err
}

// StateOf is what is told of the state of a grant's share, which it wipes.
func StateOf(id contract.ID, state *contract.State, rec *Record) ledgerclient.KeeperState {
	s := ledgerclient.KeeperState{Grant: id, Held: rec.Share != nil}
	if s.Held {
		rec.Share.Share.Wipe()
	}
	switch {
	case rec.ack(ledgerclient.DestroyedShare) != nil && !s.Held:
		s.Ended = ledgerclient.DestroyedShare
	case rec.Stopped || state.Status == contract.StatusClosed:
		s.Ended = ledgerclient.Stopped
	}
	return s
}

// Inquire answers the grant's author. Whoever else asks, or asks for a grant
// that is not on the replica, gets a *ledgerclient.KeeperError.
func (k *Keeper) Inquire(ctx context.Context, q ledgerclient.Inquiry) (ledgerclient.InquiryAnswer, error) {
	g, head, err := k.asked(ctx, &q, func(s *contract.State) error { return q.Verify(s.Author) })
	if err != nil {
		return ledgerclient.InquiryAnswer{}, err
	}
	a := ledgerclient.InquiryAnswer{Inquiry: q.Hash(), Size: head.Size, Root: head.Root}
	if a.Refused, a.More, err = k.vault.Filed(ctx, q.Grant); err != nil {
		return ledgerclient.InquiryAnswer{}, err
	}
	rec, err := k.look(ctx, g.Grant)
	if err != nil {
		return ledgerclient.InquiryAnswer{}, err
	}
	a.Acks = rec.Acks
	ledgerclient.Sign(&a, k.key)
	return a, nil
}

// look returns what is held about a grant, for whom its share is not meant: of that is left
// that there is one.
func (k *Keeper) look(ctx context.Context, g Grant) (Record, error) {
	all, err := k.vault.Read(ctx, g)
	for i := range all {
		if all[i].Share != nil {
			all[i].Share.Share.Wipe()
		}
	}
	if err != nil {
		return Record{}, err
	}
	return all[0], nil
}

// asked is the grant that a question is about, and the head that it was found under.
// signed checks who signed the question.
func (k *Keeper) asked(ctx context.Context, q *ledgerclient.Inquiry, signed func(*contract.State) error) (grant, Head, error) {
	refused := func(code ledgerclient.Code) (grant, Head, error) {
		return grant{}, Head{}, &ledgerclient.KeeperError{Grant: q.Grant, Code: code}
	}
	if q.Ledger != k.ledger || q.Keeper != k.public {
		return refused(ledgerclient.BadRequest)
	}
	all, head, err := k.grants(ctx, 1, func(int) contract.ID { return q.Grant })
	switch g := all[0]; {
	case err != nil:
		return grant{}, Head{}, err
	case !g.ok:
		return refused(ledgerclient.UnknownGrant)
	case signed(&g.state) != nil:
		return refused(ledgerclient.WrongKey)
	default:
		return g, head, nil
	}
}

// judged judges n items of a batch on all cores.
func judged(n int, judge func(i int) ledgerclient.Code) []ledgerclient.Code {
	codes := make([]ledgerclient.Code, n)
	ledgerclient.Parallel(n, func(i int) { codes[i] = judge(i) })
	return codes
}

// refused is the error of a batch: nil if nothing in it was refused.
func refused(codes []ledgerclient.Code, id func(i int) contract.ID) error {
	errs := make([]error, len(codes))
	for i, code := range codes {
		if code != ledgerclient.Released {
			errs[i] = &ledgerclient.KeeperError{Grant: id(i), Code: code}
		}
	}
	if errors.Join(errs...) == nil {
		return nil
	}
	return &ledgerclient.BatchError{Errs: errs}
}
