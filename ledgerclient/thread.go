package ledgerclient

import (
	"bytes"
	"context"
	"fmt"

	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// Placed is an entry at its place in the log.
type Placed struct {
	Index uint64
	Hour  contract.Hour // ledger hour it was accepted at
	Entry contract.Entry
}

// Thread is an opening entry and its follow-ups in the order of the log.
type Thread struct {
	Opening   Placed
	FollowUps []Placed
}

// Judge replays a thread under the rules of package contract: shape and signature
// of each entry, then Apply. A ledger that accepted what the rules refuse is a
// *TamperedError naming the entry. from is the state after the first done
// follow-ups, which were judged before; done = -1 judges the opening entry too. own are
// entries that the caller signed itself a moment ago: shape and signature are not checked
// again.
func (c *Client) Judge(t Thread, from contract.State, done int, own map[contract.Entry]bool) (state contract.State, err error) {
	state = from
	news := t.FollowUps[max(done, 0):]
	if done < 0 {
		news = append([]Placed{t.Opening}, news...)
		state = contract.State{}
	}
	for _, p := range news {
		e := p.Entry
		if !own[e] {
			err = contract.CheckShape(&e)
			if err == nil {
				err = contract.CheckSignature(c.id, &e)
			}
		}
		if err == nil {
			state, err = contract.Apply(c.Config(), state, &e, e.ID(c.id), p.Index, p.Hour)
		}
		if err != nil {
			return contract.State{}, &TamperedError{What: fmt.Sprintf("entry %d", p.Index), Err: err}
		}
	}
	return state, nil
}

// ProveComplete verifies that the thread holds every follow-up that the ledger
// under head accepted: the last leaf is under the head, the thread's slot under
// that leaf's state root, and state, judged from the thread's entries, is what
// the slot says. Otherwise a *TamperedError: something was hidden or invented.
//
// It asks a Prover for the state of this one thread. Where that could be watched
// (Properties.Remote) nobody asks: who has followed all leaves to head by Advance has
// met every follow-up there is.
func (c *Client) ProveComplete(ctx context.Context, head Head, t Thread, state contract.State) error {
	fail := func(what string, err error) error {
		return &TamperedError{What: fmt.Sprintf("%s of the thread opened at entry %d", what, t.Opening.Index), Err: err}
	}
	prover, ok := c.Ledger.(Prover)
	if !ok {
		return fail("state proof", fmt.Errorf("the ledger gives none"))
	}
	p, err := prover.ProveThread(ctx, t.Opening.Index, head.Size)
	if err != nil {
		return err
	}
	if p.Size != head.Size || p.Index != t.Opening.Index {
		return fail("state proof", fmt.Errorf("for another place"))
	}
	last := p.Last.Marshal()
	n := int64(head.Size)
	if err := tlog.CheckRecord(Hashes[tlog.Hash](p.LastProof), n, tlog.Hash(head.Root), n-1, tlog.RecordHash(last[:])); err != nil {
		return fail("inclusion proof", err)
	}
	if err := tlog.CheckRecord(Hashes[tlog.Hash](p.SlotProof), n, tlog.Hash(p.Last.StateRoot), int64(p.Index), tlog.RecordHash(p.Slot)); err != nil {
		return fail("state proof", err)
	}
	if !bytes.Equal(p.Slot, state.Slot()) {
		return fail("follow-ups", fmt.Errorf("not all of them were shown, or some were invented"))
	}
	return nil
}

// Submit appends entries and sorts the answers. A ledger's word that an entry is
// in the log is believed only once Advance has met it there.
func (c *Client) Submit(ctx context.Context, entries []contract.Entry) ([]Outcome, error) {
	if c.Sent != nil {
		c.Sent.Store(true)
	}
	out, err := c.Ledger.Append(ctx, entries)
	if err != nil {
		return nil, err
	}
	if len(out) != len(entries) {
		return nil, &TamperedError{What: "answer to a submission", Err: fmt.Errorf("%d for %d entries", len(out), len(entries))}
	}
	for i := range out {
		if out[i].ID != entries[i].ID(c.id) {
			return nil, &TamperedError{What: "answer to a submission", Err: fmt.Errorf("for another entry")}
		}
	}
	return out, nil
}

// Find returns the position of an entry under the newest head, and false if the
// log has none such. Where questions are watched it asks for no entry, but reads
// all leaves.
func (c *Client) Find(ctx context.Context, id contract.ID) (index uint64, ok bool, err error) {
	if at, ok := c.Ledger.(Prover); ok && !c.Ledger.Properties().Remote {
		return at.Find(ctx, id)
	}
	_, _, err = c.Advance(ctx, Pin{Ledger: c.id}, Pin{}, func(at uint64, leaf *contract.Leaf) error {
		ok = ok && at > 0
		if leaf.Entry.ID(c.id) == id {
			index, ok = at, true
		}
		return nil
	})
	return index, ok && err == nil, err
}
