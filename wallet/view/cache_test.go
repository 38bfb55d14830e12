package view

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/payload"
)

// Budget: what a wallet holds in memory of a consent.
func TestThreadIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Thread{}); size > 120 {
		t.Errorf("%d bytes", size)
	}
}

// What was put into the cache comes back, thread by thread and from a file read anew:
// from blocks that wait in memory, that went into the file early, and that were saved.
// Another wallet's key, a changed byte and a file that was cut off do not pass.
func TestCacheComesBack(t *testing.T) {
	lane.OneGoroutine(t)
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
	open := func(e crypto.Entropy) *View {
		keys := e.Root().Keys(client.ID())
		v := New(Options{Home: home.Folder{Dir: dir, Ledger: home.LedgerFolder(client.ID()), Key: keys.LocalKey()},
			Client: client, Keys: keys, Now: time.Now})
		v.state.CacheID = "test"
		return v
	}
	v := open(entropy)
	if err := os.MkdirAll(filepath.Join(dir, v.Home.Ledger), 0o700); err != nil {
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
	check := func(v *View) {
		t.Helper()
		if len(v.threads.list) != len(all) {
			t.Fatalf("%d threads of %d", len(v.threads.list), len(all))
		}
		for _, i := range rng.Perm(len(all)) {
			want := &all[i]
			id := want.opening.Entry.ID(client.ID())
			th := v.threads.find(id)
			if th == nil || th != v.threads.list[i] || th.Index != want.opening.Index || th.Hour != want.opening.Hour {
				t.Fatalf("thread %d is %+v", i, th)
			}
			e, err := v.Opening(th)
			if err != nil || *e != want.opening.Entry {
				t.Fatalf("opening %d: %v", i, err)
			}
			fs := th.FollowUps()
			if len(fs) != len(want.follows) {
				t.Fatalf("%d follow-ups of %d", len(fs), len(want.follows))
			}
			for j := range fs {
				e, err := v.FollowUp(&fs[j])
				if err != nil || *e != want.follows[j].Entry || fs[j].Index != want.follows[j].Index || fs[j].ID != e.ID(client.ID()) {
					t.Fatalf("follow-up %d of %d: %v", j, i, err)
				}
			}
			if got, err := v.Judged(th); err != nil || got != want.state {
				t.Fatalf("state of %d: %+v, %v", i, got, err)
			}
			if want.terms != nil {
				if letter := th.Role == OwnLetter || th.Role == ReceivedLetter; letter != (len(want.terms.Records) == 0) {
					t.Fatalf("%d is of role %d", i, th.Role)
				}
				got, err := v.Terms(th)
				if err != nil || !reflect.DeepEqual(got, want.terms) {
					t.Fatalf("terms of %d: %+v, %v", i, got, err)
				}
			} else if th.isRecord() && (!reflect.DeepEqual(th.Versions[0], want.said) || *th.Keys[0] != *want.key) {
				t.Fatalf("record %d", i)
			}
		}
		if v.threads.find(contract.ID{1}) != nil {
			t.Error("a thread that is not there")
		}
	}
	add := func() {
		k := kept{opening: entry(contract.KindGrant, contract.ID{})}
		r := OwnGrant
		switch rng.IntN(8) {
		case 0:
			k.opening.Entry.Kind, r = contract.KindRecord, OwnRecord
		case 1:
			r = Received
		}
		th := v.noteOpening(r, &k.opening)
		var err error
		if k.state, err = v.Judged(th); err != nil {
			t.Fatal(err)
		}
		if r == OwnRecord {
			k.state.NotBefore, k.state.NotAfter = k.opening.Entry.NotBefore, k.opening.Entry.NotAfter
			k.said, k.key = &payload.Metadata{V: payload.Version, Author: author, Version: 1, Title: fmt.Sprint("record ", len(all)), Category: payload.Other}, &payload.FileKey{byte(len(all))}
			if err := v.NoteDescription(th, 1, k.said); err != nil {
				t.Fatal(err)
			}
			v.NoteKey(th, 1, *k.key)
		} else {
			tr := &payload.Terms{V: payload.Version, Ledger: client.ID(), Author: k.opening.Entry.Author, Recipient: k.opening.Entry.Counterparty,
				From: v.Keys.Address(), To: people[rng.IntN(2)], NotBefore: k.opening.Entry.NotBefore, NotAfter: k.opening.Entry.NotAfter, Purpose: payload.Treatment,
				K: 2, N: 3, Envelope: crypto.Hash{1}, Lock: crypto.Hash{2}, Shares: []crypto.Hash{{3}, {4}, {byte(rng.IntN(256))}}}
			if tr.NotAfter > tr.NotBefore+2 && rng.IntN(2) == 0 {
				tr.Until = tr.NotAfter - 1
			}
			for n := range 1 + rng.IntN(3) {
				tr.Records = append(tr.Records, payload.TermsRecord{Record: contract.ID{byte(n)}, Version: 1, Title: "t", Category: payload.Other})
			}
			switch rng.IntN(12) {
			case 0:
				tr.Request = contract.ID{byte(rng.IntN(256)), 1}
			case 1:
				tr.Records, tr.Letter = []payload.TermsRecord{}, &payload.Letter{Kind: "ask", Body: strings.Repeat("b", rng.IntN(2000))}
			case 2:
				tr.Letter, tr.Request = &payload.Letter{Kind: "newer", Body: "b"}, contract.ID{2}
			}
			if r == Received {
				tr.From, tr.To = tr.To, tr.From
				tr.Name = []string{"", "Maria", strings.Repeat("\U0001f600", payload.MaxName/4)}[rng.IntN(3)]
			}
			if err := v.NoteTerms(th, tr); err != nil {
				t.Fatal(err)
			}
			k.terms = tr
			if n := rng.IntN(4); n > 0 && rng.IntN(4) == 0 {
				for range n {
					k.follows = append(k.follows, entry(contract.KindAccess, th.ID))
				}
				k.state.Status, k.state.LastAccess, k.state.Count, k.state.Chain = contract.StatusClosed, 77, uint32(n), crypto.Hash{byte(n)}
				v.noteFollows(th, k.follows, k.state)
			}
		}
		all = append(all, k)
	}
	for range 3200 {
		add()
	}
	check(v)
	if err := v.appendCache(); err != nil {
		t.Fatal(err)
	}
	for range 10 { // small saves are small blocks
		add()
		if err := v.appendCache(); err != nil {
			t.Fatal(err)
		}
	}
	check(v)
	// What was answered and said about one, more than once, the last of it at hour 9.
	asked := slices.IndexFunc(v.threads.list, func(t *Thread) bool { return len(t.FollowUps()) > 1 && t.Role == OwnGrant })
	filed := []Filed{{Keeper: author, More: 3, Acks: []ledgerclient.Acknowledgement{{Grant: contract.ID{1}, Keeper: author, End: ledgerclient.DestroyedShare, Hour: 4}}}, {Keeper: author}}
	keeping := Keeping{Unheld: 0b1010, Terms: crypto.Hash{7}, Revoked: time.Unix(1_800_000_000, 0).UTC()}
	words := Said{By: "Nurse Ada", Reason: "check-up", Any: true}
	tell := func(v *View) {
		th := v.threads.list[asked]
		v.NoteTold(th, 7, filed[:1], true)
		v.NoteTold(th, 8, filed, true)
		v.NoteTold(th, 9, filed, false)
		end := v.cache.end()
		v.NoteTold(th, 10, filed, true)
		v.NoteTold(th, 9, filed, false)
		if v.cache.end() != end {
			t.Error("what is kept already is kept again")
		}
		v.NoteSaid(th, 1, words)
		v.NoteKeeping(th, Keeping{Unheld: 0b111, Terms: crypto.Hash{8}})
		v.NoteKeeping(th, keeping)
		if err := v.appendCache(); err != nil {
			t.Fatal(err)
		}
	}
	told := func(v *View) {
		t.Helper()
		th := v.threads.list[asked]
		if got, err := v.Told(th); err != nil || th.Asked() != 9 || !reflect.DeepEqual(got, filed) {
			t.Errorf("%+v at %d, %v", got, th.Asked(), err)
		}
		if got := v.Keeping(th); got != keeping || th.Unheld != keeping.Unheld || v.Keeping(v.threads.list[0]) != (Keeping{}) {
			t.Errorf("%+v, %b", got, th.Unheld)
		}
		if got, ok := v.Said(&th.FollowUps()[1]); !ok || got != words {
			t.Errorf("%+v, %t", got, ok)
		}
		if got, ok := v.Said(&th.FollowUps()[0]); ok || v.threads.list[0].Asked() != 0 {
			t.Errorf("%+v of what nobody said", got)
		}
	}
	tell(v)
	told(v)
	again := func(e crypto.Entropy) *View {
		o := open(e)
		o.state.CacheSize = v.state.CacheSize
		if err := o.readCache(); err != nil {
			t.Fatal(err)
		}
		return o
	}
	o := again(entropy)
	check(o)
	told(o)
	// From the index come the same threads, and of the cache is read only what it lacks.
	v.threads.loaded = true
	v.writeIndex()
	info, err := os.Stat(filepath.Join(dir, v.indexName()))
	if err != nil || info.Size() > int64(len(all))*250 {
		t.Errorf("an index of %d bytes for %d threads: %v", info.Size(), len(all), err)
	}
	o = again(entropy)
	told(o)
	if check(o); o.cache.read != 0 || o.cache.indexed != v.state.CacheSize {
		t.Errorf("%d frames were read beside the index", o.cache.read)
	}
	whole := again(entropy)
	whole.threads = newThreads()
	if err := whole.loadCache(0); err != nil || whole.cache.read < 2*len(all) {
		t.Errorf("%d frames, %v", whole.cache.read, err)
	}
	if !reflect.DeepEqual(o.threads.list, whole.threads.list) || !reflect.DeepEqual(o.threads.summaries, whole.threads.summaries) ||
		!reflect.DeepEqual(o.threads.sets, whole.threads.sets) || len(o.threads.summaryAt) != len(whole.threads.summaryAt) {
		t.Error("the index does not say what the cache says")
	}
	for range 7 {
		add()
	}
	v.NoteFiled(v.threads.list[0], crypto.Hash{7})
	if err := v.appendCache(); err != nil {
		t.Fatal(err)
	}
	o = again(entropy)
	if check(o); o.cache.read == 0 || o.cache.read > 7*6 || o.threads.list[0].Filed() != (crypto.Hash{7}) {
		t.Errorf("%d frames were read for 7 threads behind the index", o.cache.read)
	}
	// It is not written anew for a few.
	v.writeIndex()
	if later, err := os.Stat(filepath.Join(dir, v.indexName())); err != nil || later.Size() != info.Size() || v.cache.indexed == v.state.CacheSize {
		t.Error("the index was written anew", err)
	}
	// One that does not fit is passed over: cut short, changed, of another cache, or of a
	// cache that ended otherwise.
	sealed, err := os.ReadFile(filepath.Join(dir, v.indexName()))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{sealed[:len(sealed)-1], sealed[:40], nil, append([]byte{sealed[0] ^ 1}, sealed[1:]...)} {
		if err := os.WriteFile(filepath.Join(dir, v.indexName()), b, 0o600); err != nil {
			t.Fatal(err)
		}
		o := again(entropy)
		if o.cache.read < 2*len(all) || len(o.threads.list) != len(all) {
			t.Errorf("%d frames were read, with an index of %d bytes", o.cache.read, len(b))
		}
	}
	for _, change := range []func(x *index){func(x *index) { x.id = "other" }, func(x *index) { x.seal[3] ^= 1 }, func(x *index) { x.end++ }, func(x *index) { x.of[1] = 1 << 30 }} {
		plain, err := v.Home.Key.Open(filepath.ToSlash(v.indexName()), sealed)
		if err != nil {
			t.Fatal(err)
		}
		var x index
		if err := codec.Parse(plain, x.fields); err != nil || !bytes.Equal(codec.Append(nil, x.fields), plain) {
			t.Fatal("the index does not come back", err)
		}
		change(&x)
		if err := v.Home.WriteDerivedBytes(v.indexName(), codec.Append(nil, x.fields)); err != nil {
			t.Fatal(err)
		}
		o := again(entropy)
		if o.cache.read < 2*len(all) || len(o.threads.list) != len(all) {
			t.Errorf("%d frames were read, with an index of another cache", o.cache.read)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, v.indexName()), sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	// Damage in the part of the cache that the index is of is found when it is looked up,
	// and the next process reads all and makes it anew.
	healthy, err := os.ReadFile(v.cachePath())
	if err != nil {
		t.Fatal(err)
	}
	broken := append([]byte(nil), healthy...)
	broken[100] ^= 1
	if err := os.WriteFile(v.cachePath(), broken, 0o600); err != nil {
		t.Fatal(err)
	}
	o = again(entropy)
	if _, err := o.Opening(o.threads.list[0]); !errors.As(err, new(*home.DamagedError)) {
		t.Errorf("damage passed: %v", err)
	}
	if o := again(entropy); len(o.threads.list) > 0 || !o.state.Rescan {
		t.Error("damage stays")
	}
	if err := os.WriteFile(v.cachePath(), healthy, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := len(v.threads.sets) + len(v.threads.summaries); n > 4+2*4*3 { // peers, sets, names
		t.Errorf("%d sets and summaries", n)
	}
	if o := again(crypto.NewEntropy()); len(o.threads.list) > 0 || !o.state.Rescan {
		t.Error("another key opened it")
	}
	b, err := os.ReadFile(v.cachePath())
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range [][]byte{b[:len(b)-1], append(append([]byte(nil), b[:len(b)/2]...), append([]byte{b[len(b)/2] ^ 1}, b[len(b)/2+1:]...)...)} {
		if err := os.WriteFile(v.cachePath(), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if o := again(entropy); len(o.threads.list) > 0 || !o.state.Rescan {
			t.Error("damage passed")
		}
	}
}
