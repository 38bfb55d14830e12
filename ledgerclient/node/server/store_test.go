package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
)

func TestBlobs(t *testing.T) {
	w := newWorld(t, nil)
	g := w.grant()
	for range 2 { // the second time is a no-op
		w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal(g.puts)))
	}
	for _, put := range g.puts {
		for _, loc := range put.Locators {
			r := w.fetch(loc)
			if !bytes.Equal(w.ok(r), put.Blob) || r.header.Get("Cache-Control") != "no-store" || r.header.Get("Accept-Ranges") != "bytes" || r.header.Get("Content-Type") != node.TypeBinary {
				t.Errorf("%s: %d bytes, %v", put.Part, len(r.body), r.header)
			}
		}
	}
	loc, blob := g.puts[0].Locators[0], g.puts[0].Blob
	for _, test := range []struct {
		header string
		status int
		want   []byte
	}{
		{"bytes=0-9", 206, blob[:10]},
		{"bytes=100-", 206, blob[100:]},
		{"bytes=-5", 206, blob[len(blob)-5:]},
		{"bytes=1-2,5-9", 200, blob}, // several ranges: the whole
		{"items=1-2", 416, nil},
		{"bytes=999999-", 416, nil},
	} {
		r := w.fetch(loc, "Range", test.header)
		if r.status != test.status || test.want != nil && !bytes.Equal(r.body, test.want) {
			t.Errorf("%s: status %d, %d bytes", test.header, r.status, len(r.body))
		}
	}
	r := w.ask(http.MethodHead, node.PathBlobs, nil, node.HeaderLocator, hexOf(loc))
	if r.status != 200 || len(r.body) != 0 || r.header.Get("Content-Length") == "" {
		t.Errorf("HEAD: %d %v", r.status, r.header)
	}
	if p := w.refused("unknown locator", w.fetch(crypto.Locator{1}), node.KindNotFound); p.NotFound.What != "payload" {
		t.Errorf("no such %s", p.NotFound.What)
	}
	w.refused("no locator", w.get(node.PathBlobs), node.KindMalformed)
	w.refused("two locators", w.fetch(loc, node.HeaderLocator, hexOf(loc)), node.KindMalformed)
	w.refused("locator in capitals", w.get(node.PathBlobs, node.HeaderLocator, string(bytes.ToUpper([]byte(hexOf(loc))))), node.KindMalformed)
	w.refused("locator in the URL", w.get(node.PathBlobs+"/"+hexOf(loc)), node.KindNotFound)
}

func hexOf(loc crypto.Locator) string { return hex.EncodeToString(loc[:]) }

func TestBlobsRefused(t *testing.T) {
	w := newWorld(t, nil)
	g, other := w.grant(), w.grant()
	change := func(f func(p *ledgerclient.Put)) []byte {
		p := g.puts[1]
		p.Locators = append([]crypto.Locator(nil), p.Locators...)
		f(&p)
		return node.PutsForm.Marshal([]ledgerclient.Put{g.puts[0], p})
	}
	for _, test := range []struct {
		reason ledgerclient.StoreReason
		body   []byte
	}{
		{ledgerclient.BadBlob, change(func(p *ledgerclient.Put) { p.Blob = append(bytes.Clone(p.Blob), 0) })},
		{ledgerclient.BadPackage, change(func(p *ledgerclient.Put) { p.Package = other.pkg.Marshal() })},
		{ledgerclient.BadEntry, change(func(p *ledgerclient.Put) { p.Entry.Signature[5] ^= 1 })},
		{ledgerclient.BadPart, change(func(p *ledgerclient.Put) { p.Part = ledgerclient.PartAccess })},
		{ledgerclient.BadLocators, change(func(p *ledgerclient.Put) { p.Locators[1] = p.Locators[0] })},
	} {
		p := w.refused(string(test.reason), w.post(node.PathBlobs, test.body), node.KindStore)
		if p.Store.Reason != test.reason {
			t.Errorf("%s instead of %s", p.Store.Reason, test.reason)
		}
		if p.Store.Part == 0 {
			t.Errorf("%s: no part", p.Store.Reason)
		}
	}
	// Nothing of a batch with a refused payload is stored.
	w.refused("the other payload of the batch", w.fetch(g.puts[0].Locators[0]), node.KindNotFound)
	for name, body := range map[string][]byte{"nothing": {}, "a byte": {1}, "cut off": node.PutsForm.Marshal(g.puts)[:1000]} {
		w.refused(name, w.post(node.PathBlobs, body), node.KindMalformed)
	}
}

// Payloads whose entries never come are dropped, those whose entries came stay.
func TestQuarantine(t *testing.T) {
	w := newWorld(t, nil)
	g, kept := w.grant(), w.grant()
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal(g.puts)))
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal(kept.puts)))
	w.order(kept.entry)
	w.clock.pass(time.Hour)
	w.must(w.server.Sweep(ctx))
	w.ok(w.fetch(g.puts[0].Locators[0]))
	w.clock.pass(2 * time.Hour)
	w.must(w.server.Sweep(ctx))
	w.refused("a payload without its entry", w.fetch(g.puts[0].Locators[0]), node.KindNotFound)
	w.ok(w.fetch(kept.puts[0].Locators[0]))
}

func TestUpload(t *testing.T) {
	w := newWorld(t, nil)
	v := w.record(2*contract.PieceSize + 17)
	w.add(v)
	got := w.ok(w.fetch(v.upload.Locators[0]))
	if len(got) != len(v.content)+3*32 || !bytes.HasPrefix(got, v.content) {
		t.Errorf("%d bytes", len(got))
	}
	if r := w.fetch(v.upload.Locators[0], "Range", "bytes=1048576-1048585"); r.status != 206 || !bytes.Equal(r.body, v.content[1048576:1048586]) {
		t.Errorf("range: status %d", r.status)
	}
}

func TestUploadParts(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Content = 5000; o.Limits.Uploads = 8 })
	v := w.record(4000)
	id := w.send(v.content[:3000], 1000)
	part := func(off int, data []byte) reply {
		p := node.UploadPart{Upload: id, Offset: uint64(off), Data: data}
		return w.post(node.PathUploadPart, node.UploadPartForm.Marshal(p))
	}
	w.ok(part(2000, v.content[2000:3000])) // the last one again: its answer was lost
	w.ok(part(2000, make([]byte, 1000)))   // and whatever it has now, what came first stays
	for name, r := range map[string]reply{
		"an earlier one": part(1000, v.content[1000:2000]),
		"a gap":          part(3500, v.content[3500:]),
	} {
		if p := w.refused(name, r, node.KindRange); p.Range.Size != 3000 {
			t.Errorf("%s: size %d", name, p.Range.Size)
		}
	}
	if p := w.refused("more than a content may have", part(3000, make([]byte, 2001)), node.KindTooLarge); p.Limit != 5000 {
		t.Errorf("limit %d", p.Limit)
	}
	commit := func(put ledgerclient.Put) reply {
		c := node.UploadCommit{Upload: id, Put: put}
		return w.post(node.PathUploadCommit, node.UploadCommitForm.Marshal(c))
	}
	w.ok(part(3000, v.content[3000:]))
	if p := w.refused("another record", commit(w.record(4000).upload), node.KindStore); p.Store.Reason != ledgerclient.BadBlob {
		t.Errorf("%s", p.Store.Reason)
	}
	for range 2 { // the answer to the first was lost
		w.ok(commit(v.upload))
	}
	w.refused("a part behind the end", part(4000, []byte{1}), node.KindNotFound)
	if got := w.ok(w.fetch(v.upload.Locators[0])); !bytes.HasPrefix(got, v.content) {
		t.Error("another content")
	}
	w.ok(w.post(node.PathUploadAbort, id[:])) // too late: a no-op
	w.ok(w.fetch(v.upload.Locators[0]))

	// Aborted, idle, unknown and empty ones.
	id = w.send(v.content[:10], 10)
	w.ok(w.post(node.PathUploadAbort, id[:]))
	w.refused("after an abort", part(10, []byte{1}), node.KindNotFound)
	id = w.send(v.content[:10], 10)
	w.clock.pass(uploadIdle - time.Second)
	w.server.uploads.places.dropIdle(uploadIdle)
	w.ok(part(10, v.content[10:20]))
	w.clock.pass(uploadIdle + time.Second)
	w.server.uploads.places.dropIdle(uploadIdle)
	w.refused("after a pause", part(20, []byte{1}), node.KindNotFound)
	id = node.UploadID{1}
	if p := w.refused("unknown", part(0, []byte{1}), node.KindNotFound); p.NotFound.What != "upload" {
		t.Errorf("no such %s", p.NotFound.What)
	}
	id = w.send(nil, 1)
	w.refused("empty", commit(v.upload), node.KindMalformed)

	// One client cannot take all places.
	w.ok(w.post(node.PathUploads, nil))
	if p := w.refused("a third", w.post(node.PathUploads, nil), node.KindBusy); p.RetryAfter != 30 {
		t.Errorf("again in %d", p.RetryAfter)
	}
	if n := w.server.uploads.places.load(); n != 2 {
		t.Errorf("%d open", n)
	}
}

// noUploads is a store whose uploads keep nothing but that they were there.
type noUploads struct{ ledgerclient.Store }

func (noUploads) Blob(context.Context, crypto.Locator) (ledgerclient.Blob, error) {
	return noBlob{}, nil
}

type noBlob struct{ ledgerclient.Blob }

func (noBlob) Close() error { return nil }

func (noUploads) Upload(context.Context) (ledgerclient.Upload, error) { return noUpload{}, nil }

type noUpload struct{ io.Writer }

func (noUpload) Write(b []byte) (int, error)            { return len(b), nil }
func (noUpload) Sum() (n int64, h crypto.Hash, e error) { return }
func (noUpload) Commit(ledgerclient.Put) error          { return nil }
func (noUpload) Abort() error                           { return nil }

// Threat: somebody uploads a thousand contents of a byte, or begins as many as there
// may be, so that nobody else can add a record. What is kept is bounded, and who has
// most of it loses some.
func TestUploadsMakeRoom(t *testing.T) {
	clock := &testClock{}
	u := newUploads(ctx, noUploads{}, Limits{Uploads: 4}.withDefaults(), clock.uptime)
	u.places.perClient = 3
	put := ledgerclient.Put{Locators: []crypto.Locator{{1}}}
	alone := func(p folder.Putting) (begun bool, err error) { return true, p.Content.Commit(p.Puts[0]) }
	name := func(s string) client { return clientOf('a', s) }
	add := func(who string) (id node.UploadID, err error) {
		if id, err = u.begin(name(who)); err == nil {
			p := node.UploadPart{Upload: id, Data: []byte{1}}
			err = errors.Join(u.write(&p), u.commit(&node.UploadCommit{Upload: id, Put: put}, alone))
		}
		clock.pass(time.Millisecond)
		return id, err
	}
	mine, err := add("honest")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		if _, err := add("flood"); err != nil {
			t.Fatalf("upload %d: %v", i, err)
		}
	}
	if len(u.all) > 4 {
		t.Errorf("%d are kept", len(u.all))
	}
	if err := u.commit(&node.UploadCommit{Upload: mine, Put: put}, alone); err != nil {
		t.Errorf("an answer that was lost cannot be had again: %v", err)
	}
	if _, err := add("honest"); err != nil {
		t.Errorf("nobody else can add: %v", err)
	}

	// Of those that are open, too.
	begin := func(who string) (node.UploadID, bool) {
		id, err := u.begin(name(who))
		clock.pass(time.Millisecond)
		return id, err == nil
	}
	there := func(id node.UploadID) bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.all[id] != nil
	}
	first, _ := begin("flood")
	second, _ := begin("flood")
	begin("flood")
	if _, ok := begin("flood"); ok {
		t.Error("more than one may have")
	}
	other, ok1 := begin("other")
	more, ok2 := begin("honest")
	if !ok1 || !ok2 || there(first) || !there(second) || !there(other) {
		t.Error("the one with most did not make room")
	}
	third, ok := begin("third")
	if !ok || there(second) {
		t.Error("the one with most, again, did not make room")
	}
	if _, ok := begin("fourth"); ok {
		t.Error("one was dropped that goes on, of somebody with no more than others")
	}
	clock.pass(uploadPatience)
	if err := u.write(&node.UploadPart{Upload: other, Data: []byte{1}}); err != nil {
		t.Error(err)
	}
	if _, ok := begin("fourth"); !ok || !there(other) || !there(more) || !there(third) || u.places.load() != 4 {
		t.Error("who waits longest did not make room")
	}
}

// Whoever hangs up before the end of an upload had its turn comes back to it as it was.
func TestCommitGivenUp(t *testing.T) {
	u := newUploads(ctx, noUploads{}, Limits{}.withDefaults(), (&testClock{}).uptime)
	id, err := u.begin(clientOf('a', "somebody"))
	if err == nil {
		err = u.write(&node.UploadPart{Upload: id, Data: []byte{1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	end := &node.UploadCommit{Upload: id, Put: ledgerclient.Put{Locators: []crypto.Locator{{1}}}}
	for _, test := range []struct {
		begun bool
		err   error
		open  bool // afterwards
	}{
		{false, context.Canceled, true},
		{true, &ledgerclient.StoreError{Reason: ledgerclient.BadPackage}, true},
		{true, nil, false},
	} {
		err := u.commit(end, func(folder.Putting) (bool, error) { return test.begun, test.err })
		if err != test.err || (u.find(id) != nil) != test.open {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// However many bring payloads at the same time, the disk is waited for once for all of
// them, and each is told what became of its own.
func TestPutsGoTogether(t *testing.T) {
	besiege(t, Limits{}, func(b *besieged) {
		k := blocking{b.server.keeper, make(chan struct{}, atDesk), make(chan struct{})}
		b.server.keeper = k
		w := &world{t: t, ledger: b.folder.ID(), root: crypto.NewEntropy().Root()}
		key := crypto.GenerateKey()
		request := ledgerclient.Request{Ledger: w.ledger, Keeper: k.Key(), Response: key.Public(), Access: w.sign(contract.Entry{Kind: contract.KindAccess, Subject: contract.ID{1}}, key)}
		for range atDesk { // so that all others are in the queue
			b.others.Go(func() { b.ask("198.51.100.200", "POST", node.PathRelease, ledgerclient.Marshal(&request)) })
		}
		synctest.Wait()
		if n := len(k.asked); n != atDesk {
			t.Fatalf("%d are at work", n)
		}
		var mu sync.Mutex
		var steps []int
		put := b.server.puts.do
		b.server.puts.do = func(ctx context.Context, all []folder.Putting) ([]error, error) {
			mu.Lock()
			steps = append(steps, len(all))
			mu.Unlock()
			return put(ctx, all)
		}
		const people = 100
		var good []*version
		var asking sync.WaitGroup
		for i := range people {
			v := w.record(10)
			want := http.StatusNoContent
			if i%10 == 3 {
				v.put.Entry.Signature[7] ^= 1
				want = http.StatusUnprocessableEntity
			} else {
				good = append(good, v)
			}
			body := node.PutsForm.Marshal([]ledgerclient.Put{v.put})
			asking.Go(func() {
				if status, answer := b.ask(fmt.Sprintf("198.51.100.%d", i), "POST", node.PathBlobs, body); status != want {
					t.Errorf("%d: %d %s", i, status, answer)
				}
			})
		}
		synctest.Wait()
		close(k.done)
		asking.Wait()
		if !slices.Equal(steps, []int{people}) {
			t.Errorf("%d payloads were put in steps of %d", people, steps)
		}
		for _, v := range good {
			blob, err := b.folder.Services().Store.Blob(ctx, v.put.Locators[0])
			if err != nil {
				t.Fatal(err)
			}
			blob.Close()
		}
	})
}

// Parts, the end and an abort of one upload at the same time: no race, and either
// the whole content is there or none.
func TestUploadRaces(t *testing.T) {
	w := newWorld(t, nil)
	v := w.record(3000)
	id := w.send(v.content[:2000], 2000)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			switch i % 4 {
			case 0:
				w.post(node.PathUploadAbort, id[:])
			case 1:
				c := node.UploadCommit{Upload: id, Put: v.upload}
				w.post(node.PathUploadCommit, node.UploadCommitForm.Marshal(c))
			default:
				p := node.UploadPart{Upload: id, Offset: 2000, Data: v.content[2000:]}
				w.post(node.PathUploadPart, node.UploadPartForm.Marshal(p))
			}
		})
	}
	wg.Wait()
	if r := w.fetch(v.upload.Locators[0]); r.status == 200 && !bytes.HasPrefix(r.body, v.content) {
		t.Error("half a content is served")
	}
}

// A withdrawn record is served for 30 days and then gone, whether anybody asked
// for it or not, and nobody brings it back in the meantime or later.
func TestErase(t *testing.T) {
	w := newWorld(t, nil)
	asked, silent, kept := w.record(3000), w.record(2000), w.record(1000)
	for _, v := range []*version{asked, silent, kept} {
		w.add(v)
	}
	order, quiet := w.withdrawal(asked), w.withdrawal(silent)
	erase := func(e contract.Entry) reply {
		b := e.Marshal()
		return w.post(node.PathErase, b[:])
	}
	for name, e := range map[string]contract.Entry{"not on the ledger": order, "not a withdrawal": asked.entry} {
		if p := w.refused(name, erase(e), node.KindStore); p.Store.Reason != ledgerclient.NotWithdrawn {
			t.Errorf("%s: %s", name, p.Store.Reason)
		}
	}
	w.order(order, quiet)
	w.ok(erase(order))
	locs := []crypto.Locator{asked.upload.Locators[0], asked.put.Locators[0], silent.upload.Locators[0], silent.put.Locators[0]}
	there := func(want bool) {
		t.Helper()
		w.must(w.server.Sweep(ctx))
		for i, loc := range locs {
			if r := w.fetch(loc); (r.status == 200) != want {
				t.Errorf("payload %d: status %d", i, r.status)
			}
		}
		if r := w.fetch(kept.upload.Locators[0]); r.status != 200 {
			t.Errorf("another record: status %d", r.status)
		}
	}
	back := func() {
		t.Helper()
		for _, v := range []*version{asked, silent} {
			p := w.refused("put again", w.post(node.PathBlobs, node.PutsForm.Marshal([]ledgerclient.Put{v.put})), node.KindStore)
			c := node.UploadCommit{Upload: w.send(v.content, 1000), Put: v.upload}
			q := w.refused("uploaded again", w.post(node.PathUploadCommit, node.UploadCommitForm.Marshal(c)), node.KindStore)
			w.ok(w.post(node.PathUploadAbort, c.Upload[:]))
			if p.Store.Reason != ledgerclient.Withdrawn || q.Store.Reason != ledgerclient.Withdrawn {
				t.Errorf("%s, %s", p.Store.Reason, q.Store.Reason)
			}
		}
	}
	there(true)
	back()
	w.clock.pass(29 * 24 * time.Hour)
	w.ok(erase(order))
	there(true)
	// The node is started anew: what it has to erase follows from the log.
	w.http.Close()
	w.server.Close()
	w.must(w.folder.Close())
	w.start(nil)
	there(true)
	w.clock.pass(24 * time.Hour)
	w.ok(erase(order))
	there(false)
	back()
	there(false)
}
