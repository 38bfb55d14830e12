package wallet

import (
	"context"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// PendingError says that something was signed and waits in the journal because a
// service is out of reach: it goes out by itself with the next use of the wallet
// that reaches it, once.
type PendingError struct{ Err error } // an *ledgerclient.UnreachableError in its chain

func (e *PendingError) Error() string { return "signed, and waits: " + e.Err.Error() }
func (e *PendingError) Unwrap() error { return e.Err }

// isPending tells whether a change that was begun only waits.
func isPending(err error) bool {
	_, ok := err.(*PendingError)
	return ok
}

// waitingFor returns the newest change in the journal that concerns a record or a
// consent; nil if none does.
func (w *Wallet) waitingFor(opening contract.ID) *change {
	for i := len(w.waiting) - 1; i >= 0; i-- {
		cs := w.waiting[i].Changes
		for j := len(cs) - 1; j >= 0; j-- {
			if c := &cs[j]; c.err == nil && c.opening() == opening {
				return c
			}
		}
	}
	return nil
}

// pendingAction is what waits to happen to a record or a consent; "" if nothing
// does. An access is its recipient's matter.
func (w *Wallet) pendingAction(opening contract.ID) Action {
	if c := w.waitingFor(opening); c != nil && c.Action != Accessing {
		return c.Action
	}
	return ""
}

// opening is the id of the entry that opens, or opened, the change's thread.
func (c *change) opening() contract.ID {
	if c.entry.Subject != (contract.ID{}) {
		return c.entry.Subject
	}
	return c.id
}

// notOrdered returns the changes of that kind that open threads which the ledger
// does not show yet, oldest first.
func (w *Wallet) notOrdered(a Action) []*change {
	var out []*change
	for _, b := range w.waiting {
		for i := range b.Changes {
			if c := &b.Changes[i]; c.Action == a && c.err == nil && w.view.threads.find(c.id) == nil {
				out = append(out, c)
			}
		}
	}
	return out
}

// findPending finds a grant that the ledger does not show yet by the beginning of
// its id.
func (w *Wallet) findPending(a Action, query string) *change {
	q := strings.ToLower(text.Code(query))
	var hit *change
	for _, c := range w.notOrdered(a) {
		if len(q) >= minPrefix && strings.HasPrefix(c.id.String(), q) {
			if hit != nil {
				return nil
			}
			hit = c
		}
	}
	return hit
}

// pendingConsent is what a grant on its way will be.
func (w *Wallet) pendingConsent(c *change) Consent {
	out := Consent{Ledger: w.client.ID(), ID: c.id, Address: c.Terms.To, Records: consentRecords(c.Terms), Purpose: c.Terms.Purpose, NotBefore: c.Terms.NotBefore, Until: c.Terms.End(), NotAfter: c.Terms.NotAfter,
		Status: StatusPending, Pending: w.pendingAction(c.id), AsOf: w.view.asOf(), Clock: w.view.doubt()}
	if k, ok := w.known(out.Address); ok {
		out.To = k.Name
	}
	if w.view.openHour() >= out.NotAfter {
		out.Status = StatusExpired // the ledger will refuse it
	}
	return out
}

// pendingRecord is what a record on its way will be.
func (w *Wallet) pendingRecord(c *change) Record {
	r := recordOf(c.Metadata, c.id)
	r.Pending, r.AsOf = AddingRecord, w.view.asOf()
	return r
}

// codeOf is the share code of a consent with that id: it names the newest head that
// this wallet has seen.
func (w *Wallet) codeOf(id contract.ID) crypto.ShareCode {
	return crypto.ShareCode{Ledger: w.client.ID(), Consent: id, Size: w.view.head.Size, Root: w.view.head.Root}
}

// granted finds a consent of one's own by its id, whether the ledger shows it already
// or not: the self-tag of its entry, and its thread if there is one.
func (w *Wallet) granted(id contract.ID) (tag crypto.SelfTag, t *thread, ok bool) {
	if t := w.view.threads.find(id); t != nil {
		return t.tag, t, t.role == ownGrant
	}
	for _, c := range w.notOrdered(Granting) {
		if c.id == id {
			return c.entry.SelfTag, nil, true
		}
	}
	return tag, nil, false
}

// Synced is what a Sync did.
type Synced struct {
	From, To uint64        // size of the log that this wallet had seen, and has now
	Hour     contract.Hour // ledger hour of the last entry
	Finished []Finished    // what waited and is done now, or was given up
	Pending  []Pending     // what still waits
}

// Sync follows the ledger to its newest head and sends what waits, which every
// other method does too before it begins. The error is that of Stuck, PassedOver or
// OutOfReach if something still waits, cannot be read, or the ledger could not be
// reached; what was done is returned with it.
func (w *Wallet) Sync(ctx context.Context) (Synced, error) {
	var s Synced
	if err := w.readState(); err != nil { // without the lock: for what it was
		return s, err
	}
	s.From = w.view.state.Pin.Size
	err := w.look(ctx, func() error {
		// What the store did not have when it was looked for may be there by now.
		if err := w.lookAtNews(ctx); err != nil {
			return err
		}
		s.To, s.Hour, s.Pending = w.view.state.Pin.Size, w.view.state.Pin.Hour, w.pending()
		return nil
	})
	s.Finished = w.Finished()
	if err == nil {
		err = w.Stuck()
	}
	if over := w.PassedOver(); err == nil && len(over) > 0 {
		err = over[0]
	}
	if err == nil {
		err = w.view.behind
	}
	return s, err
}
