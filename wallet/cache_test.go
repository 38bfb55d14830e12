package wallet

import (
	"context"
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"unsafe"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet/payload"
)

// Budget: what a wallet holds in memory of a consent.
func TestThreadIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(thread{}); size > 120 {
		t.Errorf("%d bytes", size)
	}
}

// What was put into the cache comes back, thread by thread and from a file read anew:
// from blocks that wait in memory, that went into the file early, and that were saved.
// Another wallet's key, a changed byte and a file that was cut off do not pass.
func TestCacheComesBack(t *testing.T) {
	dir := t.TempDir()
	f, err := folder.Create(filepath.Join(dir, "ledger"), "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	client, err := ledgerclient.Connect(context.Background(), f.Services(), crypto.LedgerID{})
	if err != nil {
		t.Fatal(err)
	}
	entropy := crypto.NewEntropy()
	open := func(e crypto.Entropy) *Wallet {
		w := assemble(Options{Dir: dir}, Settings{}, client, e)
		w.view.state.CacheID = "test"
		return w
	}
	w := open(entropy)
	if err := os.MkdirAll(filepath.Join(dir, w.home.Ledger), 0o700); err != nil {
		t.Fatal(err)
	}
	rng := mrand.New(mrand.NewPCG(1, 2))
	entry := func(kind contract.Kind, subject contract.ID) ledgerclient.Placed {
		e := contract.Entry{Version: 1, Kind: kind, Subject: subject, NotBefore: contract.Hour(rng.Uint32()), NotAfter: contract.Hour(rng.Uint32())}
		for _, b := range [][]byte{e.Author[:], e.Counterparty[:], e.SelfTag[:], e.Commitment[:], e.Signature[:]} {
			rand.Read(b)
		}
		return ledgerclient.Placed{Index: rng.Uint64(), Hour: contract.Hour(rng.Uint32()), Entry: e}
	}
	people := []crypto.Address{crypto.NewEntropy().Root().Identity().Address(), crypto.NewEntropy().Root().Identity().Address()}
	type kept struct {
		opening ledgerclient.Placed
		follows []ledgerclient.Placed
		state   contract.State
		terms   *payload.Terms
		said    *payload.Metadata
		key     *payload.FileKey
	}
	author := crypto.GenerateKey().Public()
	var all []kept
	check := func(w *Wallet) {
		t.Helper()
		if len(w.view.threads.list) != len(all) {
			t.Fatalf("%d threads of %d", len(w.view.threads.list), len(all))
		}
		for _, i := range rng.Perm(len(all)) {
			want := &all[i]
			id := want.opening.Entry.ID(client.ID())
			th := w.view.threads.find(id)
			if th == nil || th != w.view.threads.list[i] || th.index != want.opening.Index || th.hour != want.opening.Hour {
				t.Fatalf("thread %d is %+v", i, th)
			}
			e, err := w.view.opening(th)
			if err != nil || *e != want.opening.Entry {
				t.Fatalf("opening %d: %v", i, err)
			}
			fs := th.past()
			if len(fs) != len(want.follows) {
				t.Fatalf("%d follow-ups of %d", len(fs), len(want.follows))
			}
			for j := range fs {
				e, err := w.view.followUp(&fs[j])
				if err != nil || *e != want.follows[j].Entry || fs[j].index != want.follows[j].Index || fs[j].id != e.ID(client.ID()) {
					t.Fatalf("follow-up %d of %d: %v", j, i, err)
				}
			}
			if got, err := w.view.judged(th); err != nil || got != want.state {
				t.Fatalf("state of %d: %+v, %v", i, got, err)
			}
			if want.terms != nil {
				got, err := w.view.wholeTerms(th)
				if err != nil || !reflect.DeepEqual(got, want.terms) {
					t.Fatalf("terms of %d: %+v, %v", i, got, err)
				}
			} else if th.isRecord() && (!reflect.DeepEqual(th.versions[0], want.said) || *th.keys[0] != *want.key) {
				t.Fatalf("record %d", i)
			}
		}
		if w.view.threads.find(contract.ID{1}) != nil {
			t.Error("a thread that is not there")
		}
	}
	add := func() {
		k := kept{opening: entry(contract.KindGrant, contract.ID{})}
		r := ownGrant
		switch rng.IntN(8) {
		case 0:
			k.opening.Entry.Kind, r = contract.KindRecord, ownRecord
		case 1:
			r = received
		}
		th := w.view.noteOpening(r, &k.opening)
		var err error
		if k.state, err = w.view.judged(th); err != nil {
			t.Fatal(err)
		}
		if r == ownRecord {
			k.state.NotBefore, k.state.NotAfter = k.opening.Entry.NotBefore, k.opening.Entry.NotAfter
			k.said, k.key = &payload.Metadata{V: payload.Version, Author: author, Version: 1, Title: fmt.Sprint("record ", len(all)), Category: payload.Other}, &payload.FileKey{byte(len(all))}
			if err := w.view.noteDescription(th, 1, k.said); err != nil {
				t.Fatal(err)
			}
			w.view.noteKey(th, 1, *k.key)
		} else {
			tr := &payload.Terms{V: payload.Version, Ledger: client.ID(), Author: k.opening.Entry.Author, Recipient: k.opening.Entry.Counterparty,
				From: w.Address(), To: people[rng.IntN(2)], NotBefore: k.opening.Entry.NotBefore, NotAfter: k.opening.Entry.NotAfter, Purpose: payload.Treatment,
				K: 2, N: 3, Envelope: crypto.Hash{1}, Lock: crypto.Hash{2}, Shares: []crypto.Hash{{3}, {4}, {byte(rng.IntN(256))}}}
			if tr.NotAfter > tr.NotBefore+2 && rng.IntN(2) == 0 {
				tr.Until = tr.NotAfter - 1
			}
			for n := range 1 + rng.IntN(3) {
				tr.Records = append(tr.Records, payload.TermsRecord{Record: contract.ID{byte(n)}, Version: 1, Title: "t", Category: payload.Other})
			}
			if r == received {
				tr.From, tr.To = tr.To, tr.From
			}
			if err := w.view.noteTerms(th, tr); err != nil {
				t.Fatal(err)
			}
			k.terms = tr
			if n := rng.IntN(4); n > 0 && rng.IntN(4) == 0 {
				for range n {
					k.follows = append(k.follows, entry(contract.KindAccess, th.id))
				}
				k.state.Status, k.state.LastAccess, k.state.Count, k.state.Chain = contract.StatusClosed, 77, uint32(n), crypto.Hash{byte(n)}
				w.view.noteFollows(th, k.follows, k.state)
			}
		}
		all = append(all, k)
	}
	for range 3200 {
		add()
	}
	if w.view.cache.written == 0 || len(w.view.cache.tail) == 0 {
		t.Fatalf("%d bytes written early, %d blocks wait", w.view.cache.written, len(w.view.cache.tail))
	}
	check(w)
	if err := w.view.appendCache(); err != nil {
		t.Fatal(err)
	}
	for range 10 { // small saves are small blocks
		add()
		if err := w.view.appendCache(); err != nil {
			t.Fatal(err)
		}
	}
	check(w)
	again := func(e crypto.Entropy) *Wallet {
		o := open(e)
		o.view.state.CacheSize = w.view.state.CacheSize
		if err := o.view.readCache(); err != nil {
			t.Fatal(err)
		}
		return o
	}
	check(again(entropy))
	if n := len(w.view.threads.sets) + len(w.view.threads.gists); n > 3+3*4 {
		t.Errorf("%d sets and gists", n)
	}
	if o := again(crypto.NewEntropy()); len(o.view.threads.list) > 0 || !o.view.state.Rescan {
		t.Error("another key opened it")
	}
	b, err := os.ReadFile(w.view.cachePath())
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range [][]byte{b[:len(b)-1], append(append([]byte(nil), b[:len(b)/2]...), append([]byte{b[len(b)/2] ^ 1}, b[len(b)/2+1:]...)...)} {
		if err := os.WriteFile(w.view.cachePath(), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if o := again(entropy); len(o.view.threads.list) > 0 || !o.view.state.Rescan {
			t.Error("damage passed")
		}
	}
}

// Each consent has its turn to be asked about, however many there are.
func TestTurn(t *testing.T) {
	for _, n := range []int{0, 1, askedAtOnce, askedAtOnce + 1, 3*askedAtOnce + 5} {
		var ts []*thread
		for i := range n {
			ts = append(ts, &thread{index: uint64(10 * i)})
		}
		seen := map[*thread]bool{}
		after := uint64(0)
		for range n/askedAtOnce + 2 {
			some := turn(ts, after)
			if len(some) != min(n, askedAtOnce) {
				t.Fatalf("%d of %d", len(some), n)
			}
			for _, th := range some {
				seen[th] = true
				after = th.index
			}
		}
		if len(seen) != n {
			t.Errorf("%d of %d were seen", len(seen), n)
		}
	}
}
