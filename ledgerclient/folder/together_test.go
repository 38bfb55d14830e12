package folder

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"golang.org/x/mod/sumdb/tlog"
)

// sent is a content on its way, all of it written.
func (p *people) sent(s ledgerclient.Store, v *version) Putting {
	p.t.Helper()
	u, err := s.Upload(ctx)
	p.must(err)
	_, err = u.Write(v.content)
	p.must(err)
	return Putting{Puts: []ledgerclient.Put{v.upload}, Content: u}
}

// big is a record whose metadata is a file of its own.
func (p *people) big() ledgerclient.Put {
	p.t.Helper()
	v := p.record(1, nil)
	v.put.Blob = crypto.Blob(crypto.NewSalt(), bytes.Repeat([]byte("long "), maxInline/5+1))
	pkg := contract.RecordPackage{Metadata: crypto.BlobHash(v.put.Blob), ContentHead: headOf(v.content), ContentSize: 1}
	v.put.Package = pkg.Marshal()
	v.put.Entry = p.sign(contract.Entry{Kind: contract.KindRecord, Commitment: pkg.Commitment()}, v.key)
	return v.put
}

// holds reports whether a store has what was put, by each of its locators.
func (p *people) holds(f *Folder, put Putting) bool {
	p.t.Helper()
	for _, one := range put.Puts {
		for _, loc := range one.Locators {
			if got, err := fetched(p.t, f.store, loc); err != nil || one.Blob != nil && !bytes.Equal(got, one.Blob) {
				return false
			}
		}
	}
	return true
}

// Of what several put at the same time each is judged alone, as if it had come alone.
func TestPutAll(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	g, forged, second := p.grant(), p.grant(), p.grant()
	gone := p.record(30, nil)
	p.addRecord(f, gone)
	mustAppend(t, f, []contract.Entry{p.withdrawal(gone)})
	forged.puts[1].Entry.Signature[9] ^= 1
	thief := p.grant() // names the locator of another's payload
	thief.puts[0].Locators = slices.Clone(thief.puts[0].Locators)
	thief.puts[0].Locators[0] = g.puts[1].Locators[1]
	v, short := p.record(contract.PieceSize+9, nil), p.record(50, nil)
	other := p.record(60, nil)
	wrong := p.sent(f.store, short)
	wrong.Puts = []ledgerclient.Put{other.upload}
	all := []struct {
		Putting
		want ledgerclient.StoreReason // "": it is put
	}{
		{Putting{Puts: g.puts}, ""},
		{Putting{Puts: forged.puts}, ledgerclient.BadEntry},
		{Putting{Puts: g.puts[:1]}, ""}, // again
		{Putting{Puts: thief.puts}, ledgerclient.BadLocators},
		{p.sent(f.store, v), ""},
		{wrong, ledgerclient.BadBlob},
		{Putting{Puts: []ledgerclient.Put{p.big(), v.put}}, ""},
		{Putting{Puts: []ledgerclient.Put{gone.put}}, ledgerclient.Withdrawn},
		{Putting{}, ""},
		{Putting{Puts: second.puts}, ""},
	}
	var puttings []Putting
	for _, one := range all {
		puttings = append(puttings, one.Putting)
	}
	for range 2 { // the contents are placed, or refused, by the first time
		for i, err := range f.PutAll(ctx, puttings) {
			var refused *ledgerclient.StoreError
			if all[i].want == "" && err != nil || all[i].want != "" && (!errors.As(err, &refused) || refused.Reason != all[i].want) {
				t.Errorf("%d: %v, want %q", i, err, all[i].want)
			}
			if all[i].want == "" && !p.holds(f, puttings[i]) {
				t.Errorf("%d is not there", i)
			}
		}
		puttings, all = slices.Delete(puttings, 4, 6), slices.Delete(all, 4, 6)
	}
	for _, put := range slices.Concat(forged.puts, thief.puts[1:]) {
		if _, err := fetched(t, f.store, put.Locators[0]); err == nil {
			t.Error("there although its call was refused")
		}
	}
	p.must(wrong.Content.Commit(short.upload)) // what was refused can be tried again
	if left := listed(t, f.dir, "uploads"); len(left) > 0 {
		t.Errorf("left in uploads: %v", left)
	}
	mustAppend(t, f, []contract.Entry{g.entry, v.entry, second.entry})
	mustVerify(t, f)
	if errs := f.PutAll(ctx, []Putting{{Puts: g.puts, Content: nil}, {Puts: second.puts, Content: foreign{}}}); errs[0] != nil || errs[1] == nil {
		t.Errorf("an upload of elsewhere: %v", errs)
	}
}

type foreign struct{ ledgerclient.Upload }

// However many put at once, the disk is waited for once; for files once each, and once for
// all of them.
func TestPutAllSyncs(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	p.must(f.store.PutBlobs(ctx, p.grant().puts)) // makes the folders, and a segment
	p.must(uploaded(f.store, p.record(1, nil)))
	counted := &countedSyncs{}
	f = reopenWith(t, f, counted)
	syncs := func(what string, want int32, all ...Putting) {
		t.Helper()
		counted.n.Store(0)
		for i, err := range f.PutAll(ctx, all) {
			if err != nil {
				t.Errorf("%s, %d: %v", what, i, err)
			}
		}
		if n := counted.n.Load(); n != want {
			t.Errorf("%s: %d syncs, want %d", what, n, want)
		}
	}
	small := func(n int) (all []Putting) {
		for range n {
			all = append(all, Putting{Puts: []ledgerclient.Put{p.record(1, nil).put}})
		}
		return all
	}
	contents := func(n int) (all []Putting) {
		for range n {
			all = append(all, p.sent(f.store, p.record(SmallContent, nil)))
		}
		return all
	}
	syncs("a grant", 1, Putting{Puts: p.grant().puts})
	hundred := small(100)
	syncs("a hundred", 1, hundred...)
	syncs("a hundred again", 0, hundred...)
	syncs("some of them, and others", 1, slices.Concat(hundred[:50], small(50))...)
	twice := small(30)
	syncs("thirty, and the same", 1, slices.Concat(twice, twice)...)
	syncs("a small content", 1, p.sent(f.store, p.record(3000, nil)))
	syncs("two small ones and a payload", 1, append(small(1), p.sent(f.store, p.record(10, nil)), p.sent(f.store, p.record(11, nil)))...)
	syncs("a content", 2, contents(1)...)
	syncs("twenty contents", 20+1, contents(20)...)
	syncs("a small one after them", 1, small(1)...)
	syncs("a payload in a file", 2, Putting{Puts: []ledgerclient.Put{p.big()}})
	syncs("all together", 10+1+2, slices.Concat(small(40), contents(10), []Putting{{Puts: []ledgerclient.Put{p.big()}}})...)
}

// A small content that comes with others is a record, and for whoever reads, verifies, copies
// or erases it what it is as a file.
func TestSmallContents(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	const most = SmallContent - 32 // behind it is the hash of its piece
	var all []*version
	for _, size := range []int{1, 3000, most, most + 1} {
		v := p.record(size, nil)
		all = append(all, v)
		for range 2 { // the second time is a no-op, or replaces a file by its like
			for i, err := range f.PutAll(ctx, []Putting{p.sent(f.store, v), {Puts: []ledgerclient.Put{v.put}}}) {
				if err != nil {
					t.Fatalf("%d bytes, %d: %v", size, i, err)
				}
			}
		}
		mustAppend(t, f, []contract.Entry{v.entry})
	}
	if files := listed(t, f.dir, "contents"); len(files) != 1 || len(listed(t, f.dir, "uploads")) != 0 {
		t.Errorf("contents in files: %v", files)
	}
	mustVerify(t, f)
	f = reopen(t, f)
	for _, v := range all {
		hash := crypto.Hash(tlog.RecordHash(v.content))
		p.mustFetch(f, v.upload.Locators[0], append(bytes.Clone(v.content), hash[:]...))
	}
	copied := filepath.Join(t.TempDir(), "copy")
	copyDir(t, f.dir, copied)
	place, err := foldertest.Payload(copied, hexName(all[1].id), ledgerclient.PartContent)
	p.must(err)
	for _, at := range []int64{0, 2999, 3000, 3031} { // of the content, and of the hash behind it
		b, err := place.Read()
		p.must(err)
		b[at] ^= 4
		p.must(place.Write(b))
		g, err := Open(copied, Options{Clock: f.clock})
		p.must(err)
		var damaged *DamagedError
		if _, err := g.Verify(ctx, nil, nil); !errors.As(err, &damaged) {
			t.Errorf("byte %d is another: %v", at, err)
		}
		g.Close()
		b[at] ^= 4
		p.must(place.Write(b))
	}
	for _, size := range []uint64{0, 1<<64 - 32, 1<<64 - 1, 1 << 63, 1 << 60} { // packages of whoever can write the folder
		pkg := contract.RecordPackage{ContentSize: size}
		for _, length := range []int64{0, 1, 32} {
			e := &contract.Entry{Commitment: pkg.Commitment()}
			if what, err := piecesDamage(bytes.NewReader(make([]byte, length)), length, e, pkg.Marshal()); what == "" && err == nil {
				t.Errorf("%d bytes are a content of %d", length, size)
			}
		}
	}
	w := p.withdrawal(all[1])
	mustAppend(t, f, []contract.Entry{w})
	p.must(f.store.Erase(ctx, w))
	if found := filesWith(t, f.dir, all[1].content[:40]); len(found) > 0 {
		t.Errorf("erased, and still in %v", found)
	}
	mustVerify(t, f)
}

// Threat: the node is killed, or its power fails, while it puts for several at once. What it
// had acknowledged is on every disk that may be left, also what it acknowledged of a call
// in which something failed; all verifies, and a new process goes on.
func TestPutAllPowerFailure(t *testing.T) {
	lane.OneGoroutine(t)
	origin, clock := newLedger(t)
	p := newPeople(t, origin.id)
	a, b, c, d := p.grant(), p.grant(), p.grant(), p.grant()
	short, long := p.record(700, nil), p.record(contract.PieceSize+50, nil)
	large, alone := p.big(), p.record(contract.PieceSize+60, nil)
	origin.Close()
	// They are made one after the other. What is uploaded is written first.
	calls := func(f *Folder) [][]Putting {
		send := func(v *version) Putting {
			u, err := f.store.Upload(ctx)
			if err != nil {
				return Putting{}
			}
			u.Write(v.content)
			return Putting{Puts: []ledgerclient.Put{v.upload}, Content: u}
		}
		return [][]Putting{
			{{Puts: a.puts}, send(short), {Puts: []ledgerclient.Put{large}}},
			{send(alone)}, // whose record waits for the next
			{{Puts: a.puts}, {Puts: b.puts}, {Puts: b.puts[:1]}, send(long)},
			{send(alone)},
			{{Puts: c.puts}, {Puts: []ledgerclient.Put{short.put}}, {Puts: d.puts}},
		}
	}
	life := func(dir string, x *faultyFiles) (known []Putting, whole bool) {
		f, err := open(dir, Options{Clock: clock.now}, x)
		if err != nil {
			return nil, false
		}
		defer f.closeFiles()
		whole = true
		for _, all := range calls(f) {
			for i, err := range f.PutAll(ctx, all) {
				if err == nil {
					known = append(known, all[i])
				} else {
					whole = false
				}
			}
		}
		return known, whole
	}
	r := rand.New(rand.NewPCG(12, 5))
	cuts, partly := 0, 0
	for at := 1; ; at += lane.Pick(1, 9, 9) {
		ended := true
		for _, once := range []error{nil, syscall.ENOSPC, syscall.EIO} {
			dir := filepath.Join(t.TempDir(), "l")
			copyDir(t, origin.dir, dir)
			x := newFaults()
			x.at, x.once, x.torn = at, once, at%2 == 0
			known, whole := life(dir, x)
			ended = ended && x.count < at
			if !whole && len(known) > 0 {
				partly++
			}
			left := []string{filepath.Join(t.TempDir(), "power"), filepath.Join(t.TempDir(), "power"), dir}
			for _, after := range left[:2] {
				x.lose(t, r, dir, after)
				cuts++
			}
			for _, after := range left {
				g, err := open(after, Options{Clock: clock.now}, unsyncedFiles{})
				p.must(err)
				for _, put := range known {
					if !p.holds(g, put) {
						t.Fatalf("operation %d, %v: %s of %s is gone", at, once, put.Puts[0].Part, put.Puts[0].Entry.ID(p.ledger))
					}
				}
				if _, err := g.Verify(ctx, nil, nil); err != nil {
					t.Fatalf("operation %d, %v, killed %v: %v", at, once, after == dir, err)
				}
				for i, all := range calls(g) {
					for j, err := range g.PutAll(ctx, all) {
						if err != nil {
							t.Fatalf("operation %d: call %d, %d afterwards: %v", at, i, j, err)
						}
					}
				}
				g.Close()
			}
		}
		if ended {
			break
		}
	}
	if cuts < 20 || partly < 3 {
		t.Errorf("%d power failures, %d in calls of which something was acknowledged", cuts, partly)
	}
	t.Logf("%d power failures", cuts)
}
