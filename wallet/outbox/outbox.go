// Package outbox brings signed changes onto a ledger: each to its end, and each once,
// whatever ends the process that signed them.
//
// A change is one signed entry with the payloads that go with it and what it means to
// who made it, which is carried and not looked at. What must be done with a change follows
// from the contract's entry alone:
//
//	a revocation             the keepers are told before the ledger is, and again after it
//	                         destroyed it, until too few are left that could open; it waits
//	                         for nothing else, and goes on where nothing can be written
//	a withdrawal             has the store erase what it ends
//	a grant                  has its shares deposited: as many as open it, and later the
//	                         others, unless a revocation is signed
//	a revocation, withdrawal must get through: it is signed anew if its bytes cannot
//
// Changes that were signed together are a batch, and a batch is a sealed file until it has
// ended. Each step can be repeated without harm, so that finishing an interrupted batch is
// doing all of it again:
//
//	prepared   the file is there
//	ordered    payloads in the store, entries in the log
//	deposited  enough keepers have their shares, or know of the revocation
//	ready      the file is gone
//
// Batches go out in the order in which they were signed. One that cannot be ordered
// holds back those behind it, but for revocations of what the ledger shows already,
// which do not wait for anything else: not even for their file. Where that cannot be
// written they are sent all the same, and who follows the ledger finds them there.
//
// A file that cannot be read is named and passed over: nobody knows what it holds, and
// nothing waits for it. A file of another name is nobody's.
package outbox

import (
	"context"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/home"
)

// ErrPending: something was signed and waits because a service is out of reach, which is
// the cause: it goes out by itself with the next use that reaches it, once.
const ErrPending fault.Code = "pending"

// Change is one entry on its way.
type Change struct {
	Label   string // what it is called where it is shown
	Entry   contract.Entry
	ID      contract.ID // of Entry
	Package []byte      // what Entry.Commitment covers, see ledgerclient.Put
	Puts    []Put
	// Content is where the content is that was uploaded for a record's version; zero for
	// none. Without it the entry would promise what nobody has.
	Content crypto.Locator
	Effect  []byte // what the change means to who made it
	Value   any    // the same, decoded; not kept

	Err  error                          // why it never will be in the log: refused, or given up; or an ErrOtherKeepers
	Acks []ledgerclient.Acknowledgement // of a revocation, by this process
	// Unheld are keepers of a grant that have not acknowledged their share, by their lines in
	// its document, from the lowest bit: see Deposit. 0: none is known. It is not kept here.
	Unheld uint16
}

// Put is one small payload of a change.
type Put struct {
	Part     ledgerclient.Part
	Locators []crypto.Locator
	Blob     []byte
}

// New is a change with a signed entry.
func New(ledger crypto.LedgerID, label string, e contract.Entry) *Change {
	return &Change{Label: label, Entry: e, ID: e.ID(ledger)}
}

// Opening is the id of the entry that opens, or opened, the change's thread.
func (c *Change) Opening() contract.ID {
	if c.Entry.Opens() {
		return c.ID
	}
	return c.Entry.Subject
}

func (c *Change) revokes() bool { return c.Entry.Kind == contract.KindRevoke }

func (c *Change) withdraws() bool {
	return c.Entry.Kind == contract.KindRecord && c.Entry.Flags&contract.FlagWithdrawn != 0
}

// Batch is what was signed together.
type Batch struct {
	Changes []*Change
	// Tag is for who made the batch, to know it again: see Owner.Ended. "" is none.
	Tag string

	name    string                  // of its file; "" if it could not be written
	told    bool                    // every keeper has answered to the revocations
	ordered bool                    // its entries are in the log, as far as they were not refused
	heard   bool                    // one of several nodes answered to its entries: others may have them
	left    error                   // why it has not ended
	own     map[contract.Entry]bool // its entries, if this process has signed them
}

// revokes reports whether a batch does nothing but end consents that a person named.
func (b *Batch) revokes() bool {
	for _, c := range b.Changes {
		if !c.revokes() {
			return false
		}
	}
	return b.Tag == ""
}

func entries(cs []*Change) []contract.Entry {
	out := make([]contract.Entry, len(cs))
	for i, c := range cs {
		out[i] = c.Entry
	}
	return out
}

// Log is the ledger's log as far as it was followed and verified. It holds the threads
// that concern who keeps the outbox.
type Log interface {
	// Follow goes to the newest head. own are entries of which the signatures need not be
	// checked: this process has made them.
	Follow(ctx context.Context, own map[contract.Entry]bool) error
	// Behind is why the log could not be followed; nil if it was.
	Behind() error
	// Hour is at which hour the ledger would judge an entry now.
	Hour() contract.Hour
	// Holds reports whether an entry opened, or followed up, the thread opened by opening.
	Holds(opening, entry contract.ID) bool
	// State is the state of a thread; zero if there is none.
	State(opening contract.ID) (contract.State, error)
	// Grant is the configuration in force where a grant stands, and whether it is open, not
	// revoked. The error is why its keepers are given no shares yet: nobody has said that
	// they are those who may open.
	Grant(opening contract.ID) (config *contract.Config, open bool, err error)
}

// Owner is who makes the changes.
type Owner interface {
	// Seed is the seed of an entry of one's own; an error if the tag is none of one's own,
	// or the key cannot be used.
	Seed(crypto.SelfTag) (crypto.Seed, error)
	// Resign signs a follow-up of a thread of one's own once more, under a fresh tag: with
	// the same one the signature, and so all bytes, would be the same again.
	Resign(*contract.Entry) error
	// End signs the end of a grant of one's own.
	End(grant *Change) (*Change, error)
	// Apply takes up what a change means that is in the log.
	Apply(*Change) error
	// Save makes durable what Log.Follow and Apply have taken up.
	Save() error
	// Ended is told of a batch with a tag once all of it is done, before it is forgotten:
	// again, if the process ends between the two.
	Ended(*Batch) error
	// Held is told of a grant that enough keepers hold, if some do not, and of one that they
	// all hold by now: see Change.Unheld. It is kept with what Save makes durable.
	Held(grant *Change)
	// Failed is told why a keeper did not do all that it was asked: it gave no answer, refused,
	// or what it said does not verify. Others may have.
	Failed(keeper crypto.PubKey, err error)
	// Unwritten is told why revocations go on that could not be written down.
	Unwritten(error)
}

// Outbox holds the changes for one ledger. The fields are set by who makes it; one
// process at a time works on its folder.
type Outbox struct {
	Client *ledgerclient.Client
	Log    Log
	Owner  Owner
	Home   home.Folder
	Now    func() time.Time

	waiting  []*Batch // oldest first
	finished []*Change
	ends     map[contract.ID]bool // grants whose revocation is signed; what is in the log needs none
}

// Stuck returns why changes still wait; nil if none do.
func (o *Outbox) Stuck() error {
	for _, b := range o.waiting {
		if len(b.Changes) > 0 {
			return b.left
		}
	}
	return nil
}

// Undecided returns why changes wait that the ledger was told of and did not decide; nil if none
// do.
func (o *Outbox) Undecided() (undecided error) {
	for _, b := range o.waiting {
		if u := ledgerclient.Unreachable(b.left); undecided == nil && u != nil && u.Undecided {
			undecided = b.left
		}
	}
	return undecided
}

// PassedOver returns why parts of the outbox were passed over: an error for each file
// that cannot be read, or one for the folder. What they hold may have been sent or not.
func (o *Outbox) PassedOver() (errs []error) {
	for _, b := range o.waiting {
		if len(b.Changes) == 0 {
			errs = append(errs, b.left)
		}
	}
	return errs
}

// Each calls f with every change that waits, oldest first, and why.
func (o *Outbox) Each(f func(c *Change, why error)) {
	for _, b := range o.waiting {
		for _, c := range b.Changes {
			f(c, b.left)
		}
	}
}

// Batches is how many batches wait, with files that cannot be read.
func (o *Outbox) Batches() int { return len(o.waiting) }

// For returns the newest change that waits and concerns a thread; nil if none does.
func (o *Outbox) For(opening contract.ID) (newest *Change) {
	o.Each(func(c *Change, _ error) {
		if c.Err == nil && c.Opening() == opening {
			newest = c
		}
	})
	return newest
}

// Openings returns the changes with a label that open threads which the log does not
// show yet, oldest first.
func (o *Outbox) Openings(label string) (out []*Change) {
	o.Each(func(c *Change, _ error) {
		if c.Label == label && c.Err == nil && c.Entry.Opens() && !o.known(c.ID) {
			out = append(out, c)
		}
	})
	return out
}

// Finished returns, once, the changes that an earlier process had begun and this one
// ended, but for those of batches with a tag.
func (o *Outbox) Finished() []*Change {
	done := o.finished
	o.finished = nil
	return done
}

// known reports whether the log shows a thread.
func (o *Outbox) known(opening contract.ID) bool { return o.Log.Holds(opening, opening) }

// placed reports whether a change's entry is in the log.
func (o *Outbox) placed(c *Change) bool { return o.Log.Holds(c.Opening(), c.ID) }
