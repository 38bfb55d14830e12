package server

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
)

func closed(o *Options) { o.Closed = true }

// institution are the keys of the node's own institution.
func (w *world) institution() folder.Keys {
	w.t.Helper()
	k, err := folder.KeysIn(w.dir)
	w.must(err)
	return k
}

// token gives one that is good for a day.
func (w *world) token(hourly uint32) node.GivenToken {
	w.t.Helper()
	k := w.institution()
	return node.GiveToken(w.ledger, k.Node().Key, k, w.hour()+24, hourly)
}

// with is the header by which a token is shown.
func (w *world) with(t node.GivenToken) []string {
	return []string{"Authorization", "Bearer " + t.Shown(w.ledger, w.folder.Node().Checkpoint)}
}

// withdraw is a list of the node's own institution.
func (w *world) withdraw(number uint64, tokens ...node.GivenToken) node.Withdrawn {
	w.t.Helper()
	var keys []crypto.PubKey
	for _, t := range tokens {
		keys = append(keys, t.Key)
	}
	k := w.institution()
	return node.Withdraw(w.ledger, k.Node().Key, k, number, keys)
}

// told has lists written down as the node's operator does, of which the server reads.
func (w *world) told(lists ...node.Withdrawn) {
	w.t.Helper()
	w.must(w.server.tokens.file.Take(ctx, lists...))
	w.must(w.server.SetClosed(true))
}

func TestTokens(t *testing.T) {
	w := newWorld(t, closed)
	token, other := w.token(1000), w.token(1000)
	stranger := crypto.GenerateKey()
	own := w.institution()
	body := node.EntriesForm.Marshal(w.records(1))
	good := w.with(token)[1]
	bearer := func(t node.GivenToken) string { return w.with(t)[1] }
	for name, header := range map[string]string{
		"none": "", "another kind": "Bearer aaaaaaaaaaaaaaaa", "cut": good[:len(good)-4], "longer": good + "AAAA",
		"basic": "Basic " + good[len("Bearer "):], "empty": "Bearer ", "the secret": "Bearer " + token.Secret(), "changed": good[:40] + "AAAA" + good[44:],
		"of another ledger":       bearer(node.GiveToken(crypto.LedgerID{1}, own.Node().Key, own, w.hour()+24, 10)),
		"of no institution of it": bearer(node.GiveToken(w.ledger, stranger.Public(), stranger, w.hour()+24, 10)),
		"in another's name":       bearer(node.GiveToken(w.ledger, own.Node().Key, stranger, w.hour()+24, 10)),
		"as another node saw it":  "Bearer " + token.Shown(w.ledger, [32]byte{9}),
		"that is over":            bearer(node.GiveToken(w.ledger, own.Node().Key, own, w.hour(), 10)),
	} {
		var headers []string
		if header != "" {
			headers = []string{"Authorization", header}
		}
		for _, path := range []string{node.PathEntries, node.PathBlobs, node.PathUploads, node.PathUploadPart, node.PathUploadCommit, node.PathUploadAbort} {
			r := w.post(path, body, headers...)
			w.refused(name+" "+path, r, node.KindToken)
			if r.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%v", r.header)
			}
		}
	}
	w.refused("two", w.post(node.PathEntries, body, append(w.with(token), w.with(token)...)...), node.KindToken)
	w.ok(w.post(node.PathEntries, body, w.with(token)...))
	w.ok(w.post(node.PathEntries, body, "Authorization", "bearer "+other.Shown(w.ledger, w.folder.Node().Checkpoint)))
	// Nothing else needs one, a revocation least of all.
	w.ok(w.get(node.PathCheckpoint))
	w.refused("a question to the keeper without a token is read", w.post(node.PathState, []byte{1}), node.KindMalformed)
	w.refused("a revocation without a token is read", w.post(node.PathRevoke, []byte{1}), node.KindMalformed)
	g := w.grant()
	w.ok(w.post(node.PathEntries, node.EntriesForm.Marshal([]contract.Entry{g.entry}), w.with(token)...))
	mixed := append(w.records(1), w.revocation(g))
	w.refused("a revocation among others", w.post(node.PathEntries, node.EntriesForm.Marshal(mixed)), node.KindToken)
	if out, err := node.OrderedForm(1).Parse(w.ok(w.post(node.PathEntries, node.EntriesForm.Marshal(mixed[1:])))); err != nil || out.Outcomes[0].Refusal != nil {
		t.Errorf("a revocation without a token: %+v, %v", out, err)
	}
	// It ends by itself, also one that was used before.
	w.clock.pass(23 * time.Hour)
	w.ok(w.post(node.PathEntries, body, w.with(token)...))
	w.clock.pass(time.Hour)
	w.refused("a token that is over", w.post(node.PathEntries, body, w.with(token)...), node.KindToken)
	w.must(w.server.SetClosed(false))
	w.ok(w.post(node.PathEntries, body))
}

// Threat: a token that was taken back is used on, at a node that has seen it before, or
// is told an older list, or a stranger's.
func TestWithdrawnTokens(t *testing.T) {
	w := newWorld(t, closed)
	token, other := w.token(1000), w.token(1000)
	body := node.EntriesForm.Marshal(w.records(1))
	w.ok(w.post(node.PathEntries, body, w.with(token)...))
	w.told(w.withdraw(7, token))
	gone := func(what string) {
		t.Helper()
		w.refused(what, w.post(node.PathEntries, body, w.with(token)...), node.KindToken)
		w.refused(what, w.post(node.PathBlobs, body, w.with(token)...), node.KindToken)
		w.ok(w.post(node.PathEntries, body, w.with(other)...))
	}
	gone("withdrawn")
	w.told()
	gone("without a list")
	w.told(w.withdraw(6))
	gone("an older list")
	w.told(w.withdraw(7))
	gone("another list of that number")
	stranger := crypto.GenerateKey()
	w.told(node.Withdraw(w.ledger, w.institution().Node().Key, stranger, 8, nil))
	gone("a stranger's list")
	lists, err := node.NewPeer([]string{w.http.URL}, crypto.Hash{}).Withdrawn(ctx)
	if err != nil || len(lists) != 1 || lists[0].Number != 7 || !slices.Equal(lists[0].Keys, []crypto.PubKey{token.Key}) {
		t.Errorf("%+v, %v", lists, err)
	}
	w.told(w.withdraw(9, other))
	w.ok(w.post(node.PathEntries, body, w.with(token)...)) // its institution says so
	w.refused("the newest list", w.post(node.PathEntries, body, w.with(other)...), node.KindToken)
}

// What other nodes have heard of withdrawn tokens is asked for, and passed on; what no
// institution of the ledger has signed is not.
func TestWithdrawnElsewhere(t *testing.T) {
	var lists atomic.Pointer[[]node.Withdrawn]
	lists.Store(&[]node.Withdrawn{})
	asked := make(chan struct{}, 100)
	w := newWorld(t, func(o *Options) {
		closed(o)
		o.Lists = append(o.Lists, func(context.Context) ([]node.Withdrawn, error) { return nil, errors.New("silent") },
			func(ctx context.Context) ([]node.Withdrawn, error) {
				if _, ok := ctx.Deadline(); !ok {
					t.Error("a node that says nothing holds up the others")
				}
				asked <- struct{}{}
				return *lists.Load(), nil
			})
	})
	<-asked // it asks as it begins
	token := w.token(1000)
	body := node.EntriesForm.Marshal(w.records(1))
	w.ok(w.post(node.PathEntries, body, w.with(token)...))
	stranger := crypto.GenerateKey()
	lists.Store(&[]node.Withdrawn{node.Withdraw(w.ledger, stranger.Public(), stranger, 9, nil), w.withdraw(3, token)})
	w.server.askWithdrawn(ctx)
	w.refused("withdrawn elsewhere", w.post(node.PathEntries, body, w.with(token)...), node.KindToken)
	known := w.ok(w.get(node.PathWithdrawn))
	if all, err := node.WithdrawnForm.Parse(known); err != nil || len(all) != 1 || all[0].Number != 3 {
		t.Errorf("%+v, %v", all, err)
	}
	// A node that begins anew and reaches nobody still knows.
	w.http.Close()
	w.server.Close()
	w.folder.Close()
	w.start(closed)
	w.refused("withdrawn elsewhere, after a restart", w.post(node.PathEntries, body, w.with(token)...), node.KindToken)
	if again := w.ok(w.get(node.PathWithdrawn)); !bytes.Equal(again, known) {
		t.Errorf("%x, and then %x", known, again)
	}
}

// What a node has told of withdrawn tokens stays as it is: no older list replaces it, also of
// several programs at a time, and one that is not what was signed is damage.
func TestWithdrawnFile(t *testing.T) {
	ledger, dir := crypto.LedgerID{4}, t.TempDir()
	var members []contract.Node
	var keys []*crypto.PrivateKey
	for range 3 {
		k := crypto.GenerateKey()
		keys, members = append(keys, k), append(members, contract.Node{Key: k.Public()})
	}
	file := WithdrawnIn(dir, ledger, members)
	list := func(of int, number uint64, tokens int) node.Withdrawn {
		gone := make([]crypto.PubKey, tokens)
		for i := range gone {
			gone[i] = crypto.PubKey{byte(i), byte(number)}
		}
		return node.Withdraw(ledger, keys[of].Public(), keys[of], number, gone)
	}
	stranger, forged := crypto.GenerateKey(), list(2, 9, 2)
	forged.Keys = forged.Keys[:1]
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			err := file.Take(ctx, list(i%2, uint64(i), i), node.Withdraw(ledger, stranger.Public(), stranger, 9, nil), forged, node.Withdrawn{})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	lists, err := file.Read()
	if err != nil || len(lists) != 2 || lists[0].Number != 18 || lists[1].Number != 19 || len(lists[1].Keys) != 19 {
		t.Fatalf("%+v, %v", lists, err)
	}
	if w, err := file.Of(keys[1].Public()); err != nil || w.Number != 19 {
		t.Errorf("%+v, %v", w, err)
	}
	if w, err := file.Of(keys[2].Public()); err != nil || w.Number != 0 {
		t.Errorf("%+v, %v", w, err)
	}
	path := filepath.Join(dir, "withdrawn")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 20, 41, 45, 60, len(good) - 5} {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		var damaged *folder.DamagedError
		// One whose giver is another is of nobody here.
		if lists, err := file.Read(); !errors.As(err, &damaged) && (at != 20 || len(lists) != 1) {
			t.Errorf("byte %d: %+v, %v", at, lists, err)
		}
		if err := file.Take(ctx, list(1, 30, 0)); at != 20 && !errors.As(err, &damaged) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
}

// A token that one institution gave is honoured by all nodes, each of which counts what it
// sees itself, and none can use it at another.
func TestTokenOfTheNetwork(t *testing.T) {
	ledger := crypto.LedgerID{4}
	var members []contract.Node
	var keys []*crypto.PrivateKey
	for i := range 3 {
		k := crypto.GenerateKey()
		keys, members = append(keys, k), append(members, contract.Node{Checkpoint: [32]byte{byte(i + 1)}, Key: k.Public()})
	}
	token := node.GiveToken(ledger, keys[1].Public(), keys[1], testHour+1, 10)
	list := node.Withdraw(ledger, keys[1].Public(), keys[1], 1, []crypto.PubKey{token.Key})
	anothers := node.Withdraw(ledger, keys[2].Public(), keys[2], 1, []crypto.PubKey{token.Key})
	for i, m := range members {
		at := newTokens(ledger, members, m)
		seen, ok := at.read(token.Shown(ledger, m.Checkpoint))
		if !ok || seen != token.Token || !at.good(seen, testHour) || at.good(seen, testHour+1) {
			t.Errorf("node %d: %+v, %v", i, seen, ok)
		}
		for j, other := range members {
			if _, ok := at.read(token.Shown(ledger, other.Checkpoint)); ok != (i == j) {
				t.Errorf("what node %d saw, at node %d: %v", j, i, ok)
			}
		}
		at.take(anothers)
		if !at.good(seen, testHour) {
			t.Errorf("node %d: an institution takes back what another gave", i)
		}
		at.take(list)
		if at.good(seen, testHour) {
			t.Errorf("node %d: it is withdrawn", i)
		}
	}
}

// Threat: who has a token uses it again and again, in one large request or in many small
// ones. Over time there are no more entries than it is for; revocations are not counted.
func TestTokensAreCounted(t *testing.T) {
	w := newWorld(t, closed)
	token, other := w.token(450), w.token(450) // one in 8 seconds
	post := func(t node.GivenToken, n int) reply {
		return w.post(node.PathEntries, node.EntriesForm.Marshal(w.records(n)), w.with(t)...)
	}
	again := func(what string, want int) {
		t.Helper()
		if p := w.refused(what, post(token, 1), node.KindTooMany); p.RetryAfter != want {
			t.Errorf("%s: again in %d s, not %d", what, p.RetryAfter, want)
		}
	}
	w.ok(post(token, 449))
	w.ok(post(token, 1))
	again("one more", 8)
	w.ok(post(other, 450)) // another token has a count of its own
	w.clock.pass(8 * time.Second)
	w.ok(post(token, 1))
	again("after one more", 8)
	w.clock.pass(time.Hour)
	w.ok(post(token, 457)) // at once, and on credit
	again("after seven too many", 64)
	w.clock.pass(63 * time.Second)
	again("a second before", 1)
	w.clock.pass(time.Second)
	w.ok(post(token, 1))
	again("for the rest of it", 8)
	g := w.grant()
	w.ok(w.post(node.PathEntries, node.EntriesForm.Marshal([]contract.Entry{g.entry}), w.with(w.token(1))...))
	w.ok(w.post(node.PathEntries, node.EntriesForm.Marshal([]contract.Entry{w.revocation(g)}), w.with(token)...))
}

// Threat: somebody makes the node check what is shown to it by the thousand. It is counted
// on who does, and what was checked once is not checked again.
func TestChecksOfTokensAreBounded(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		closed(o)
		o.Limits.Checks = Rate{0.001, 9}
	})
	token := w.token(1000)
	body := node.EntriesForm.Marshal(w.records(1))
	w.ok(w.post(node.PathUploads, nil, w.with(token)...))
	stranger := crypto.GenerateKey()
	for range 3 {
		forged := node.GiveToken(w.ledger, w.institution().Node().Key, stranger, w.hour()+24, 10)
		w.refused("forged", w.post(node.PathEntries, body, w.with(forged)...), node.KindToken)
	}
	w.refused("one more", w.post(node.PathEntries, body, w.with(w.token(9))...), node.KindTooMany)
	w.ok(w.post(node.PathEntries, body, w.with(token)...))
}

// Threat: an institution gives tokens without end, and who has them floods the ledger through
// the nodes of the others. Each of these takes from all of them what it takes from one.
func TestTokensOfAnotherInstitution(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		closed(o)
		o.Limits.Order, o.Limits.Bytes = Rate{1, 10}, Rate{1, 100_000}
	})
	other := crypto.GenerateKey()
	self := w.folder.Node()
	w.server.tokens = newTokens(w.ledger, []contract.Node{self, {Checkpoint: [32]byte{9}, Key: other.Public()}}, self)
	w.server.tokens.needed = true
	theirs := func() node.GivenToken {
		return node.GiveToken(w.ledger, other.Public(), other, w.hour()+24, 1_000_000)
	}
	post := func(t node.GivenToken, n int) reply {
		return w.post(node.PathEntries, node.EntriesForm.Marshal(w.records(n)), w.with(t)...)
	}
	w.ok(post(theirs(), 6))
	w.ok(post(theirs(), 4))
	w.refused("a third token", post(theirs(), 1), node.KindTooMany)
	for range 2 { // one's own do not count together
		w.ok(post(w.token(1000), 10))
	}
	w.clock.pass(time.Second)
	w.ok(post(theirs(), 1))
	kind := node.Kind("")
	for range 20 {
		if r := w.post(node.PathBlobs, node.PutsForm.Marshal(w.grant().puts), w.with(theirs())...); r.status != 204 {
			kind = w.refused("bytes", r, node.KindQuota).Kind
			break
		}
	}
	if kind == "" {
		t.Error("never too many bytes")
	}
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal(w.grant().puts), w.with(w.token(1000))...))
}
