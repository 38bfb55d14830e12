package wallet_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// opens opens a consent as a new process would, reads its record and says what the wallet
// had to say of keepers.
func (h *hall) opens(id contract.ID) (text string, told []string, err error) {
	h.t.Helper()
	ctx := context.Background()
	w := h.again("Dr Smith")
	o, err := w.Inbox().OpenByID(ctx, id.String(), "check-up")
	if err == nil {
		var b bytes.Buffer
		err = o.Read(ctx, 0, &b, nil)
		text = b.String()
	}
	return text, faults(w), err
}

// given grants all to Dr Smith.
func (h *hall) given() wallet.Consent {
	h.t.Helper()
	c, _ := grant(h.t, h.again("Maria"), "Dr Smith", h.clock)
	return c
}

// shown is a consent as a new process finds it.
func (h *hall) shown(id contract.ID) wallet.Consent {
	h.t.Helper()
	c, _, err := h.again("Maria").Consents().Show(context.Background(), id.String())
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// Nothing is given to some of the keepers alone: the wallet knows where each is reached, or
// grants nothing.
func TestNoWayToAKeeper(t *testing.T) {
	ctx := context.Background()
	h := newHall(t, 4, 3, 2)
	h.people()
	o := h.options("Maria")
	o.Services.Keepers = o.Services.Keepers[:3]
	w := must(wallet.Open(ctx, o))(t)
	size := len(h.Shown)
	_, err := w.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: must(wallet.EndAfter("30d", h.clock))(t)})
	if e, ok := fault.As(err, wallet.ErrNoWay); !ok || e.Value("known") != 3 || e.Value("keepers") != 4 || len(h.Shown) != size {
		t.Errorf("%v", err)
	}
}

// Promises 3, 4 and 5 with three and with four keepers: the whole path, each of them asked,
// nobody named who did all.
func TestSeveralKeepers(t *testing.T) {
	ctx := context.Background()
	for _, n := range []int{3, 4} {
		h := newHall(t, n, 3, 2)
		h.people()
		c := h.given()
		if c.Keepers != n || c.Release != 2 || c.Unheld != nil || c.Liars != n-3 || !c.Final.IsZero() {
			t.Errorf("%d keepers: %+v", n, c)
		}
		for i := range n {
			if d := h.desk(i); len(d.vault.shares) != 1 || d.times("deposit") != 1 {
				t.Errorf("%d keepers: number %d holds %d shares", n, i+1, len(d.vault.shares))
			}
		}
		if text, told, err := h.opens(c.ID); err != nil || text != "Penicillin: anaphylaxis" || told != nil {
			t.Errorf("%d keepers: opened %q, %v, %v", n, text, told, err)
		}
		x := must(h.again("Maria").Consents().Explain(ctx, c.ID.String()))(t)
		if last := x.Checks[len(x.Checks)-1]; !x.Allowed || last.Held != n || last.Keepers != n {
			t.Errorf("%d keepers: %+v", n, x.Checks)
		}
		w := h.again("Maria")
		rs := must(w.Consents().Revoke(ctx, []contract.ID{c.ID}))(t)
		if len(rs) != 1 || rs[0].Stopped != n || rs[0].Silent != nil || len(rs[0].Acks) != 2*n || !rs[0].Consent.Final.Equal(h.clock) || rs[0].Consent.Status != wallet.StatusRevoked {
			t.Errorf("%d keepers: %+v", n, rs)
		}
		for i := range n {
			if d := h.desk(i); len(d.vault.shares) != 0 {
				t.Errorf("%d keepers: number %d holds a share of what was revoked", n, i+1)
			}
		}
		_, _, err := h.opens(c.ID)
		if refused, ok := errors.AsType[*wallet.RefusedError](err); !ok || refused.Rule != contract.RuleRevoked || !refused.Filed {
			t.Errorf("%d keepers: opened when it was revoked: %v", n, err)
		}
		w = h.again("Maria")
		tried := 0
		for _, e := range must(w.Audit().Events(ctx))(t) {
			if e.What == wallet.Refused {
				tried++
				if len(e.Keepers) < 2 || e.Keepers[0] != e.Keeper {
					t.Errorf("%d keepers: the attempt is shown as refused by %v", n, e.Keepers)
				}
			}
			if e.Missing != nil || e.Silent != nil {
				t.Errorf("%d keepers: %+v", n, e)
			}
		}
		if tried != 1 || faults(w) != nil {
			t.Errorf("%d keepers: one attempt is shown as %d", n, tried)
		}
		for i := range n { // what they said of it is kept
			h.desk(i).times("")
		}
		for _, e := range must(h.again("Maria").Audit().Events(ctx))(t) {
			if e.KeepersAsOf == 0 {
				t.Errorf("%d keepers: not kept: %+v", n, e)
			}
		}
		for i := range n {
			if h.desk(i).times("inquire") > 0 {
				t.Errorf("%d keepers: number %d is asked again about what has ended", n, i+1)
			}
		}
	}
}

// A keeper that gives no answer keeps nothing back: what is given opens, and ends. It is
// named, by its number and its key and not by where its answer would stand; nothing that it
// could know is said to be all; and when it answers again it is given its share.
func TestASilentKeeper(t *testing.T) {
	ctx := context.Background()
	for line := range lane.Pick(4, 4, 2) {
		h := newHall(t, 4, 3, 2)
		h.Network.Now = func() time.Time { return h.clock.Add(-time.Minute) } // a node signs it later than the others
		h.people()
		d := h.desk(line)
		d.silent = true
		silent := []string{string(rune('1'+line)) + " silent"}
		w := h.again("Maria")
		c, _ := grant(t, w, "Dr Smith", h.clock)
		if told := faults(w); !slices.Equal(names(c.Unheld), []int{line + 1}) || c.Unheld[0].Key != d.Key() || !slices.Equal(told, silent) {
			t.Errorf("keeper %d: given, and without a share %+v; %v", line+1, c.Unheld, told)
		}
		if text, _, err := h.opens(c.ID); err != nil || text != "Penicillin: anaphylaxis" {
			t.Errorf("keeper %d: opened %q, %v", line+1, text, err)
		}
		w = h.again("Maria")
		s := must(w.Audit().Peek(ctx))(t)
		if !slices.Equal(names(s.Silent), []int{line + 1}) || !slices.Equal(s.Missing, []string{"keeper"}) || len(s.Consents[0].Unheld) != 1 {
			t.Errorf("keeper %d: status says %v, missing %v", line+1, s.Silent, s.Missing)
		}
		es := must(w.Audit().Events(ctx))(t)
		for _, e := range es {
			if !slices.Equal(e.Missing, []string{"keeper"}) || len(e.Silent) != 1 || e.Silent[0].Key != d.Key() || e.Keeper.Key == d.Key() {
				t.Errorf("keeper %d: %+v", line+1, e)
			}
		}
		if _, err := w.Log().OutOfReach(); err == nil || len(es) != 2 {
			t.Errorf("keeper %d: %d events are all that there is: %v", line+1, len(es), err)
		}

		// It answers again: the next command after a while gives it its share, or sync.
		d.silent = false
		d.times("")
		if c := h.shown(c.ID); len(c.Unheld) != 1 || d.times("deposit") != 0 {
			t.Errorf("keeper %d: tried again at once", line+1)
		}
		if line%2 == 0 {
			h.clock = h.clock.Add(11 * time.Minute)
			h.shown(c.ID)
		} else {
			must(h.again("Maria").Changes().Sync(ctx))(t)
		}
		if c := h.shown(c.ID); c.Unheld != nil || len(d.vault.shares) != 1 {
			t.Errorf("keeper %d: it holds %d shares, and %v are without one", line+1, len(d.vault.shares), c.Unheld)
		}
		if d.times("deposit") != 1 {
			t.Errorf("keeper %d: not given its share once", line+1)
		}

		// Stopped at three of four: final when the ledger has it and the keepers' bound is over.
		d.silent = true
		w = h.again("Maria")
		r := must(w.Consents().Revoke(ctx, []contract.ID{c.ID}))(t)[0]
		final := h.clock.Add(ledgerclient.KeeperBound + time.Minute)
		if r.Stopped != 3 || !slices.Equal(names(r.Silent), []int{line + 1}) || !r.Consent.Final.Equal(final) || r.Consent.Pending != "" {
			t.Errorf("keeper %d: %+v", line+1, r)
		}
		if told := faults(w); !slices.Equal(told, silent) {
			t.Errorf("keeper %d: revoked, and %v", line+1, told)
		}
		h.clock = h.clock.Add(time.Hour)
		if c := h.shown(c.ID); !c.Final.Equal(final) {
			t.Errorf("keeper %d: later it is final from %v", line+1, c.Final)
		}
		// What was seen is lost with the cache: then it is from a later time on.
		if err := os.Remove(onlyMatch(t, filepath.Join(h.dir, "home of Maria", "ledgers", "*", "cache"))); err != nil {
			t.Fatal(err)
		}
		if c := h.shown(c.ID); c.Final.Before(final) || c.Status != wallet.StatusRevoked {
			t.Errorf("keeper %d: without its cache it is final from %v", line+1, c.Final)
		}
	}
}

// With too few keepers nothing is given and nothing opens; what waits goes out by itself, and
// a revocation says at how many it has stopped.
func TestTooFewKeepers(t *testing.T) {
	ctx := context.Background()
	h := newHall(t, 4, 3, 2)
	h.people()
	before := h.given()
	for line := range 3 {
		h.desk(line).silent = true
	}
	w := h.again("Maria")
	plan := must(w.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: must(wallet.EndAfter("30d", h.clock))(t)}))(t)
	c, _, err := w.Grants().Give(ctx, plan)
	if !errors.Is(err, wallet.ErrPending) || !slices.Equal(names(c.Unheld), []int{1, 2, 3}) || c.Pending != wallet.Granting {
		t.Errorf("%+v, %v", c, err)
	}
	size := len(h.Shown)
	for _, id := range []contract.ID{before.ID, c.ID} {
		if _, told, err := h.opens(id); ledgerclient.Unreachable(err) == nil || len(told) != 3 {
			t.Errorf("opened with one of four: %v, %v", told, err)
		}
	}
	if len(h.Shown) != size {
		t.Error("an opening was entered that could not be")
	}
	w = h.again("Maria")
	rs, err := w.Consents().Revoke(ctx, []contract.ID{before.ID})
	if !errors.Is(err, wallet.ErrPending) || len(rs) != 1 || rs[0].Stopped != 1 || len(rs[0].Silent) != 3 || rs[0].Consent.Status != wallet.StatusRevoked || rs[0].Consent.Final.IsZero() {
		t.Errorf("%+v, %v", rs, err)
	}
	for line := range 3 {
		h.desk(line).silent = false
	}
	w = h.again("Maria")
	if s := must(w.Changes().Sync(ctx))(t); len(s.Pending) > 0 {
		t.Errorf("%+v", s.Pending)
	}
	if c := h.shown(c.ID); c.Unheld != nil || c.Pending != "" {
		t.Errorf("%+v", c)
	}
	if text, _, err := h.opens(c.ID); err != nil || text == "" {
		t.Error(err)
	}
	for line := range 4 {
		if _, held := h.desk(line).vault.shares[before.ID]; held {
			t.Errorf("keeper %d holds a share of what was revoked", line+1)
		}
	}
}

// Threat: a keeper acknowledges its share and does not keep it. Who looks at the status is told, by
// its number and its key; the next command gives it back, of each consent of which it is known, and
// sync looks for all. An evil one is named each time.
func TestALostShareIsGivenBack(t *testing.T) {
	ctx := context.Background()
	h := newHall(t, 4, 3, 2)
	h.people()
	c, over := h.given(), h.given()
	must(h.again("Maria").Consents().Revoke(ctx, []contract.ID{over.ID}))(t)
	kept, evil := h.desk(1).vault.shares, false
	status := func(want ...string) {
		t.Helper()
		w := h.again("Maria")
		if s, told := must(w.Audit().Status(ctx))(t), faults(w); !slices.Equal(told, want) || s.Silent != nil || s.Missing != nil {
			t.Errorf("told %v, not %v: %+v", told, want, s)
		}
		if evil {
			delete(kept, c.ID)
		}
	}
	holds := func(what string) {
		t.Helper()
		if _, ok := kept[c.ID]; !ok {
			t.Errorf("%s: the share is not there again", what)
		}
		if unheld := h.shown(c.ID).Unheld; unheld != nil {
			t.Errorf("%s: %v", what, unheld)
		}
	}
	status()
	delete(kept, c.ID)
	status("2 refuses")
	status()
	holds("the next command")

	evil = true
	status()
	for range 2 {
		status("2 refuses")
		if unheld := h.shown(c.ID).Unheld; !slices.Equal(names(unheld), []int{2}) { // it is tried each ten minutes
			t.Errorf("not held: %v", unheld)
		}
		h.clock = h.clock.Add(11 * time.Minute)
		must(h.again("Maria").Consents().List(ctx))(t)
		holds("an evil one")
		delete(kept, c.ID)
	}
	evil = false
	status("2 refuses")
	h.clock = h.clock.Add(11 * time.Minute)
	status()

	delete(kept, c.ID)
	w := h.again("Maria")
	if again := must(w.Recovery().FinishGrants(ctx))(t); !slices.Equal(again, []contract.ID{c.ID}) {
		t.Errorf("sync: %v", again)
	}
	if told := faults(w); !slices.Equal(told, []string{"2 refuses"}) {
		t.Errorf("sync: told %v", told)
	}
	holds("sync")
	if again := must(h.again("Maria").Recovery().FinishGrants(ctx))(t); again != nil {
		t.Errorf("sync once more: %v", again)
	}
}

// Threat: a keeper says of many consents that it lost its shares. Who comes for something else
// reads few of them from the store, others each time, and waits for none whose payloads are gone.
func TestManyLostShares(t *testing.T) {
	ctx := context.Background()
	h := newHall(t, 4, 3, 2)
	h.people()
	before := maps.Clone(h.blobs)
	gone := h.given()
	maps.DeleteFunc(h.blobs, func(l crypto.Locator, _ []byte) bool { return before[l] == nil })
	for range 17 {
		h.given()
	}
	kept := h.desk(1).vault.shares
	clear(kept)
	must(h.again("Maria").Audit().Status(ctx))(t)
	for _, want := range []int{15, 17} {
		h.clock = h.clock.Add(11 * time.Minute)
		if must(h.again("Maria").Consents().List(ctx))(t); len(kept) != want {
			t.Errorf("%d shares are there again, not %d", len(kept), want)
		}
	}
	if unheld := h.shown(gone.ID).Unheld; unheld != nil {
		t.Errorf("what nobody can give is waited for: %v", unheld)
	}

	clear(kept)
	if again := must(h.again("Maria").Recovery().FinishGrants(ctx))(t); len(again) != 17 || len(kept) != 17 {
		t.Errorf("sync: %d of them, %d shares", len(again), len(kept))
	}
}

// Threat: one of four keepers lies, in each way. It is named, the others go on, and what it
// says is in nothing that is shown.
func TestALyingKeeper(t *testing.T) {
	ctx := context.Background()
	for name, lie := range map[string]lyingKeeper{"share": {share: true}, "receipt": {receipt: true}, "acknowledgement": {ack: true}} {
		h := newHall(t, 4, 3, 2)
		h.people()
		d := h.desk(1)
		lie.Keeper, lie.key = d.Keeper, d.key
		d.lie = lie
		w := h.again("Maria")
		c, _ := grant(t, w, "Dr Smith", h.clock)
		told := faults(w)
		if receipt := name == "receipt"; receipt != slices.Equal(told, []string{"2 lies"}) || receipt != slices.Equal(names(c.Unheld), []int{2}) {
			t.Errorf("%s: given: %v, %v", name, told, c.Unheld)
		}
		// Two of the others are silent, so that its share is needed, and then one is not.
		h.desk(2).silent, h.desk(3).silent = true, true
		_, told, err := h.opens(c.ID)
		if share := name == "share"; share != (isTampered(err) != nil) || share && !strings.HasPrefix(isTampered(err).What, "share of keeper 2 ("+d.Key().String()[:8]+")") || share != slices.Contains(told, "2 lies") {
			t.Errorf("%s: opened: %v, %v", name, told, err)
		}
		h.desk(2).silent = false
		if text, _, err := h.opens(c.ID); err != nil || text == "" {
			t.Errorf("%s: opened by the others: %v", name, err)
		}
		h.desk(3).silent = false
		w = h.again("Maria")
		r := must(w.Consents().Revoke(ctx, []contract.ID{c.ID}))(t)[0]
		if told, ack := faults(w), name == "acknowledgement"; ack != slices.Equal(told, []string{"2 lies"}) || ack != slices.Equal(names(r.Silent), []int{2}) || ack != (r.Stopped == 3) {
			t.Errorf("%s: revoked: %v, %+v", name, told, r)
		}
	}

	// An answer that leaves out an attempt, or is about another history, is none: the others'
	// is shown, and that it is not all.
	for name, change := range map[string]func(a *ledgerclient.InquiryAnswer, key *crypto.PrivateKey){
		"left out":        func(a *ledgerclient.InquiryAnswer, _ *crypto.PrivateKey) { a.Refused, a.More = nil, a.More+1 },
		"another history": func(a *ledgerclient.InquiryAnswer, key *crypto.PrivateKey) { a.Root[0] ^= 1; ledgerclient.Sign(a, key) },
	} {
		h := newHall(t, 4, 3, 2)
		h.people()
		h.given()
		d := h.desk(0)
		d.lie.Keeper = courier{d.Keeper, func(a *ledgerclient.InquiryAnswer) { change(a, d.key) }}
		w := h.again("Maria")
		es, err := w.Audit().Events(ctx)
		if err != nil || len(es) != 1 || !slices.Equal(names(es[0].Silent), []int{1}) {
			t.Errorf("%s: %+v, %v", name, es, err)
		}
		if told := faults(w); !slices.Equal(told, []string{"1 lies"}) {
			t.Errorf("%s: %v", name, told)
		}
		if _, err := w.Log().OutOfReach(); err == nil || !ledgerclient.Unreachable(err).Damaged {
			t.Errorf("%s: %v", name, err)
		}
		for line := range 4 { // none is to be believed
			d := h.desk(line)
			d.lie.Keeper = courier{d.Keeper, func(a *ledgerclient.InquiryAnswer) { change(a, d.key) }}
		}
		if es, err := h.again("Maria").Audit().Events(ctx); err == nil {
			t.Errorf("%s: of all: %+v", name, es)
		}
	}
}

// Threat (F3): of four keepers one lies: it says that it destroyed its share, and goes on
// giving it. It counts: three acknowledgements are not final yet, if the ledger does not show
// the revocation. Its share alone opens nothing, before and after.
func TestAKeeperThatGoesOn(t *testing.T) {
	ctx := context.Background()
	h := newHall(t, 4, 3, 2)
	h.people()
	evil := h.desk(2)
	evil.evil = true
	c := h.given()
	if _, _, err := h.opens(c.ID); err != nil {
		t.Fatal(err)
	}
	h.desk(3).silent = true
	h.off = &ledgerclient.UnreachableError{Service: "ledger", Err: errCut}
	w := h.again("Maria")
	rs, err := w.Consents().Revoke(ctx, []contract.ID{c.ID})
	if !errors.Is(err, wallet.ErrPending) || len(rs) != 1 || rs[0].Stopped != 3 || !rs[0].Consent.Final.IsZero() {
		t.Errorf("told to keepers alone: %+v, %v", rs, err)
	}
	// The one that was not told, and the one that lies, could give it to somebody who brings
	// an opening of before: that is why it is not final.
	h.off, h.desk(3).silent = nil, false
	if text, _, err := h.opens(c.ID); err != nil || text == "" {
		t.Errorf("not opened by the keeper that was not told and the one that lies: %v", err)
	}
	must(h.again("Maria").Changes().Sync(ctx))(t)
	if c := h.shown(c.ID); c.Status != wallet.StatusRevoked || c.Final.IsZero() {
		t.Errorf("%+v", c)
	}
	h.clock = h.clock.Add(time.Hour)
	size := len(h.Shown)
	if _, told, err := h.opens(c.ID); err == nil || len(h.Shown) != size || !slices.Equal(told, []string{"3 lies"}) {
		t.Errorf("opened with one share: %v; told %v", err, told)
	}

	// As many as open it may lie: no number of acknowledgements and no time make it final.
	h = newHall(t, 4, 3, 1)
	h.people()
	c = h.given()
	if r := must(h.again("Maria").Consents().Revoke(ctx, []contract.ID{c.ID}))(t)[0]; r.Stopped != 4 || !r.Consent.Final.IsZero() {
		t.Errorf("1 of 4 opens, and 1 may lie: %+v", r)
	}
}

// Promise 3 at a network: whoever breaks into all keepers but enough, with their disks, their
// keys, the whole store and the log, opens nothing of any payload, also together with the
// recipient. k of them unlock the envelope, and nothing else; the recipient's key opens it.
func TestFewerKeepersOpenNothing(t *testing.T) {
	const n = 4
	for k := 2; k <= n; k++ {
		h := newHall(t, n, 3, k)
		h.people()
		c := h.given()
		author := h.Shown[h.at[c.ID]].Entry.Author
		for some := range 1 << n {
			var have []crypto.Share
			var keys []*crypto.PrivateKey
			for line := range n {
				d := h.desk(line)
				if d.silent = some>>line&1 == 0; !d.silent {
					have, keys = append(have, d.vault.shares[c.ID].Deposit.Share), append(keys, d.key)
				}
			}
			enough := len(have) >= k
			unlocked := 0
			for as := 1; as <= n; as++ { // as if it were a key of fewer, or of more
				lock, err := crypto.CombineShares(have, as)
				if err != nil {
					continue
				}
				for _, blob := range h.blobs {
					body := must(crypto.OpenBlob(blob))(t)
					sealed, err := lock.Unlock(h.ID(), author, body)
					if err != nil {
						sealed = body
					} else if unlocked++; as < k {
						t.Errorf("%d of %d: keepers %04b unlock as %d", k, n, some, as)
					}
					for part := range byte(16) {
						for _, key := range keys {
							if plain, err := crypto.OpenPayload(crypto.SealContext{Ledger: h.ID(), Part: part, Author: author}, key, sealed); err == nil {
								t.Errorf("%d of %d: keepers %04b read %q", k, n, some, plain)
							}
						}
					}
				}
			}
			if (unlocked > 0) != enough {
				t.Errorf("%d of %d: keepers %04b unlock %d payloads", k, n, some, unlocked)
			}
			if len(have) != k-1 && len(have) != k {
				continue
			}
			text, _, err := h.opens(c.ID)
			if (err == nil) != enough || (text == "Penicillin: anaphylaxis") != enough {
				t.Errorf("%d of %d: with keepers %04b the recipient reads %q, %v", k, n, some, text, err)
			}
		}
	}
}

// Who joins or leaves later changes nothing of a consent: it has the keepers, and their
// numbers, of the document under which it came. Before anything is given to others, or to
// others as well, the wallet says that who can open has changed; who meets the ledger then
// took it with these keepers.
func TestKeepersChange(t *testing.T) {
	ctx := context.Background()
	for _, x := range []struct {
		name   string
		change func(h *hall) (k int, keepers []crypto.PubKey)
	}{
		{"one is another", func(h *hall) (int, []crypto.PubKey) {
			return 2, append(slices.Clone(h.Config().Keepers[:3]), h.keepersOf("later", 1)...)
		}},
		{"one alone opens", func(h *hall) (int, []crypto.PubKey) { return 1, h.Config().Keepers }},
		{"one leaves", func(h *hall) (int, []crypto.PubKey) { return 2, h.Config().Keepers[:3] }},
		{"one joins", func(h *hall) (int, []crypto.PubKey) {
			return 2, append(slices.Clone(h.Config().Keepers), h.keepersOf("later", 1)...)
		}},
		{"the first leaves", func(h *hall) (int, []crypto.PubKey) { return 2, h.Config().Keepers[1:] }},
		{"one keeper is left", func(h *hall) (int, []crypto.PubKey) { return 1, h.Config().Keepers[2:3] }},
	}[:lane.Pick(6, 6, 2)] {
		name, change := x.name, x.change
		h := newHall(t, 4, 3, 2)
		h.people()
		c := h.given()
		first := h.Config()
		if _, _, err := h.opens(c.ID); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		words := must(wallet.Entropy(ctx, h.options("Maria")))(t)
		k, keepers := change(h)
		h.change(k, keepers...)
		h.clock = h.clock.Add(time.Hour)

		if c := h.shown(c.ID); c.Missing || c.Damaged != nil || c.Keepers != 4 || c.Release != 2 || c.Unheld != nil {
			t.Errorf("%s: %+v", name, c)
		}
		if text, told, err := h.opens(c.ID); err != nil || text == "" || told != nil {
			t.Errorf("%s: opened %q, %v, %v", name, text, told, err)
		}
		x := must(h.again("Maria").Consents().Explain(ctx, c.ID.String()))(t)
		if last := x.Checks[len(x.Checks)-1]; !x.Allowed || last.Held != 4 {
			t.Errorf("%s: %+v", name, x.Checks)
		}

		// Nothing is given before she says yes, also by a wallet that was restored.
		restored := h.options("restored Maria")
		w, _, err := wallet.Restore(ctx, restored, wallet.RestoreRequest{Entropy: words, At: "hall", Name: "Maria"})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for what, w := range map[string]*wallet.Wallet{"hers": h.again("Maria"), "restored": w} {
			if what == "restored" {
				must2(w.Contacts().Add(ctx, "Dr Smith", h.again("Dr Smith").Address().String()))(t)
			}
			r := wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: must(wallet.EndAfter("30d", h.clock))(t)}
			_, err := w.Grants().Plan(ctx, r)
			e, ok := fault.As(err, wallet.ErrOpeners)
			config, no := w.Log().Unconfirmed()
			if !ok || e.Value("release") != k || e.Value("keepers") != len(keepers) || !no || e.Value("configuration") != config {
				t.Errorf("%s: %s: %v", name, what, err)
			}
			if err := w.Log().Confirm(ctx, config); err != nil {
				t.Errorf("%s: %s: %v", name, what, err)
			}
			if _, err := w.Grants().Plan(ctx, r); err != nil {
				t.Errorf("%s: %s: when she said yes: %v", name, what, err)
			}
		}
		next := h.given()
		for key, d := range h.keepers {
			if _, held := d.vault.shares[next.ID]; held != slices.Contains(keepers, key) {
				t.Errorf("%s: a keeper holds a share of what was given then: %t", name, held)
			}
		}
		if text, _, err := h.opens(next.ID); err != nil || text == "" {
			t.Errorf("%s: what was given then: %v", name, err)
		}

		// Two that have left are not reached any more: what they kept opens with the others.
		gone := h.keepers[first.Keepers[0]]
		delete(h.keepers, gone.Key())
		if text, _, err := h.opens(c.ID); err != nil || text == "" {
			t.Errorf("%s: without one of the first: %v", name, err)
		}
		r := must(h.again("Maria").Consents().Revoke(ctx, []contract.ID{c.ID}))(t)[0]
		if r.Stopped != 3 || !slices.Equal(names(r.Silent), []int{1}) {
			t.Errorf("%s: %+v", name, r)
		}

		h.keepers[gone.Key()] = gone
		joined := h.person("Joined " + name)
		add(t, joined, "b.txt", "b")
		must2(joined.Contacts().Add(ctx, "Dr Smith", h.again("Dr Smith").Address().String()))(t)
		if _, err := joined.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: must(wallet.EndAfter("30d", h.clock))(t)}); err != nil {
			t.Errorf("%s: who joined then: %v", name, err)
		}
	}
	h := newHall(t, 4, 3, 2)
	h.people()
	h.given()
	h.change(2, h.Config().Keepers...) // another document, and the same keepers
	h.given()
}

// The keepers change between the signature of a consent and its place on the ledger. With
// other numbers it can be nobody's: it ends, and she is told. With the same numbers the
// keepers of its place get its shares once she has said yes, and before that nobody.
func TestKeepersChangeOnTheWay(t *testing.T) {
	ctx := context.Background()
	give := func(h *hall, keepers []crypto.PubKey) (*wallet.Wallet, error) {
		w := h.again("Maria")
		p := must(w.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", All: true, NotAfter: must(wallet.EndAfter("30d", h.clock))(t)}))(t)
		h.before = func() { h.change(2, keepers...) }
		_, _, err := w.Grants().Give(ctx, p)
		return w, err
	}
	h := newHall(t, 4, 3, 2)
	h.people()
	w, err := give(h, h.Config().Keepers[:3])
	if cs := must(w.Consents().List(ctx))(t); !errors.Is(err, wallet.ErrOtherKeepers) || len(cs) != 1 || cs[0].Status != wallet.StatusRevoked || cs[0].Pending != "" {
		t.Errorf("%+v, %v", cs, err)
	}
	for _, d := range h.keepers {
		if len(d.vault.shares) > 0 {
			t.Error("a keeper holds a share of it")
		}
	}

	h = newHall(t, 4, 3, 2)
	h.people()
	later := append(slices.Clone(h.Config().Keepers[:3]), h.keepersOf("later", 1)...)
	w, err = give(h, later)
	cs := must(w.Consents().List(ctx))(t)
	if !errors.Is(err, wallet.ErrOpeners) || len(cs) != 1 || cs[0].Pending != wallet.Granting {
		t.Errorf("%+v, %v", cs, err)
	}
	for range 2 {
		for _, d := range h.keepers {
			if len(d.vault.shares) > 0 {
				t.Error("a keeper was given a share before she said yes")
			}
		}
		w = h.again("Maria")
		must(w.Consents().List(ctx))(t)
	}
	config, _ := w.Log().Unconfirmed()
	if err := w.Log().Confirm(ctx, config); err != nil {
		t.Error(err)
	}
	must(h.again("Maria").Consents().List(ctx))(t)
	for key, d := range h.keepers {
		if held := len(d.vault.shares) == 1; held != slices.Contains(later, key) {
			t.Errorf("when she said yes: a keeper holds %d shares", len(d.vault.shares))
		}
	}
	if text, _, err := h.opens(cs[0].ID); err != nil || text == "" {
		t.Error(err)
	}
}

// A wallet that is brought back finds out which keepers lack shares, and gives them; who gives
// no answer does not keep it from being there.
func TestRestoreWithSeveralKeepers(t *testing.T) {
	ctx := context.Background()
	for _, back := range []bool{true, false} {
		h := newHall(t, 4, 3, 2)
		h.people()
		d := h.desk(3)
		d.silent = true
		c := h.given()
		words := must(wallet.Entropy(ctx, h.options("Maria")))(t)
		d.silent = !back
		w, r, err := wallet.Restore(ctx, h.options("restored"), wallet.RestoreRequest{Entropy: words, At: "hall", Name: "Maria"})
		if err != nil || r.NoKeeper != nil || back != slices.Equal(r.Finished, []contract.ID{c.ID}) || r.Open != 1 {
			t.Fatalf("answers %t: %+v, %v", back, r, err)
		}
		if held := len(d.vault.shares) == 1; held != back {
			t.Errorf("answers %t: it holds its share: %t", back, held)
		}
		if told := faults(w); back != (told == nil) {
			t.Errorf("answers %t: %v", back, told)
		}
		if rs := must(w.Consents().Revoke(ctx, []contract.ID{c.ID}))(t); rs[0].Consent.Status != wallet.StatusRevoked || back != (rs[0].Stopped == 4) {
			t.Errorf("answers %t: %+v", back, rs)
		}
	}
	h := newHall(t, 4, 3, 2)
	h.people()
	h.given()
	words := must(wallet.Entropy(ctx, h.options("Maria")))(t)
	for _, d := range h.keepers {
		d.silent = true
	}
	if _, r, err := wallet.Restore(ctx, h.options("restored"), wallet.RestoreRequest{Entropy: words, At: "hall", Name: "Maria"}); err != nil || ledgerclient.Unreachable(r.NoKeeper) == nil {
		t.Errorf("no keeper answers: %+v, %v", r, err)
	}
}

// A keeper that has read on in the order before enough nodes have signed that is no sign of
// anything withheld: its answer counts.
func TestAKeeperAheadOfTheHead(t *testing.T) {
	h := newHall(t, 4, 3, 2)
	h.people()
	h.given()
	d := h.desk(2)
	d.lie.Keeper = courier{d.Keeper, func(a *ledgerclient.InquiryAnswer) {
		a.Size, a.Root = a.Size+1, crypto.Hash{1}
		ledgerclient.Sign(a, d.key)
	}}
	w := h.again("Maria")
	es, err := w.Audit().Events(context.Background())
	if told := faults(w); err != nil || len(es) != 1 || es[0].Silent != nil || told != nil {
		t.Errorf("%+v, %v, %v", es, err, told)
	}

	// When the log is as long it is compared: another log than that of all is a lie.
	h.Grow(1)
	h.take()
	w = h.again("Maria")
	es, err = w.Audit().Events(context.Background())
	if told := faults(w); err == nil && es[0].Silent == nil || !slices.Equal(told, []string{"3 lies"}) {
		t.Errorf("%+v, %v, %v", es, err, told)
	}
}

// Threat: keepers say that a consent has ended, which the ledger does not show. The word of so
// few that the others open it counts for nothing, and the word of all is shown as theirs; what
// is signed about another history, or not signed, is not even that.
func TestTheWordOfKeepers(t *testing.T) {
	ended := func(a *ledgerclient.Answer) { a.Code, a.Sealed = ledgerclient.Revoked, nil }
	forked := func(a *ledgerclient.Answer) { ended(a); a.Root[0] ^= 1 }
	ahead := func(a *ledgerclient.Answer) { ended(a); a.Size++ }
	for _, c := range []struct {
		name      string
		n, k      int
		say       int // how many of them say it, the first
		says      func(*ledgerclient.Answer)
		of        int // how many of those change their answers so
		silent    int // of the last
		opens     bool
		want      string // the code of the error
		unreached bool
	}{
		{name: "one of four", n: 4, k: 2, say: 1, says: ended, of: 1, opens: true},
		{name: "one of four, two silent", n: 4, k: 2, say: 1, says: ended, of: 1, silent: 2, unreached: true},
		{name: "all of four", n: 4, k: 2, say: 4, says: ended, of: 4, want: "revoked/keeper"},
		{name: "all of four, on another history", n: 4, k: 2, say: 4, says: forked, of: 4, want: "ledger-forked"},
		{name: "all of four, one on another history", n: 4, k: 2, say: 4, says: forked, of: 1, want: "no-access"},
		{name: "the only one", n: 1, k: 1, say: 1, says: ended, of: 1, want: "revoked/keeper"},
		{name: "the only one, on another history", n: 1, k: 1, say: 1, says: forked, of: 1, want: "ledger-forked"},
		{name: "the only one, which has seen more", n: 1, k: 1, say: 1, says: ahead, of: 1, want: "ledger-rolled-back"},
		{name: "the only one, silent when it is to sign it", n: 1, k: 1, say: 1, of: 1, unreached: true},
	} {
		h := newHall(t, c.n, min(c.n, 3), c.k)
		h.people()
		id := h.given().ID
		for line := range c.say {
			d := h.desk(line)
			if d.ended = true; line < c.of {
				d.says = c.says
			}
			d.mute = c.says == nil
		}
		for line := range c.silent {
			h.desk(c.n - 1 - line).silent = true
		}
		size := len(h.Shown)
		_, _, err := h.opens(id)
		if c.opens {
			if err != nil || len(h.Shown) != size+1 {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err == nil || len(h.Shown) != size || c.unreached != (ledgerclient.Unreachable(err) != nil) {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.want != "" && codeOf(err) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// codeOf is the code of an error, with the values in it and its case.
func codeOf(err error) string {
	var coded interface{ Coded() error }
	if errors.As(err, &coded) {
		err = coded.Coded()
	}
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e.Shown()
	}
	return ""
}

// An opening waits for nobody when it has enough shares: who is slower is not called silent.
func TestASlowKeeperIsNotNamed(t *testing.T) {
	h := newHall(t, 4, 3, 2)
	h.people()
	c := h.given()
	h.desk(0).slow, h.desk(3).slow = true, true
	if text, told, err := h.opens(c.ID); err != nil || text == "" || told != nil {
		t.Errorf("%q, %v, %v", text, told, err)
	}
}
