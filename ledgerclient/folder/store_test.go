package folder

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"golang.org/x/mod/sumdb/tlog"
)

func TestPutBlobs(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	g := p.grant()
	for range 2 { // the second time is a no-op
		p.must(f.store.PutBlobs(ctx, g.puts))
		for _, put := range g.puts {
			for _, loc := range put.Locators {
				p.mustFetch(f, loc, put.Blob)
			}
		}
	}
	mustAppend(t, f, []contract.Entry{g.entry})
	f = reopen(t, f)
	for _, put := range g.puts {
		for _, loc := range put.Locators {
			p.mustFetch(f, loc, put.Blob)
		}
	}
	_, err := f.store.Blob(ctx, crypto.Locator{1})
	var none *ledgerclient.NotFoundError
	if !errors.As(err, &none) {
		t.Errorf("unknown locator: %v", err)
	}
	// A locator is a secret: it is nowhere in the folder, in no name and no file.
	loc := g.puts[0].Locators[0]
	for name, data := range snapshotDir(t, f.dir) {
		if strings.Contains(data, string(loc[:])) || strings.Contains(data, hex.EncodeToString(loc[:])) || strings.Contains(name, hex.EncodeToString(loc[:8])) {
			t.Errorf("a locator is in %s", name)
		}
	}
	// No file tells a finer time than the ledger.
	err = filepath.WalkDir(f.ground().path("payloads"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && !info.ModTime().Equal(time.Unix(int64(clock.hour)*3600, 0)) {
			t.Errorf("%s shows %s", path, info.ModTime())
		}
		return err
	})
	p.must(err)
	if left := listed(t, f.dir, "uploads"); len(left) > 0 {
		t.Errorf("left in uploads: %v", left)
	}
	p.must(f.store.PutBlobs(ctx, nil))
	mustVerify(t, f)
}

func TestPutBlobsRefused(t *testing.T) {
	lane.OneGoroutine(t)
	type puts = []ledgerclient.Put
	for name, test := range map[string]struct {
		reason ledgerclient.StoreReason
		change func(p *people, g *given, v *version) puts
	}{
		"another payload": {ledgerclient.BadBlob, func(p *people, g *given, v *version) puts {
			g.puts[1].Blob = append(bytes.Clone(g.puts[1].Blob), 0)
			return g.puts
		}},
		"terms as envelope": {ledgerclient.BadBlob, func(p *people, g *given, v *version) puts {
			g.puts[1].Blob = g.puts[0].Blob
			return g.puts
		}},
		"shorter than a salt": {ledgerclient.BadBlob, func(p *people, g *given, v *version) puts {
			g.puts[0].Blob = make([]byte, 31)
			return g.puts
		}},
		"package of another grant": {ledgerclient.BadPackage, func(p *people, g *given, v *version) puts {
			o := p.grant()
			g.puts[0].Package, g.puts[0].Blob = o.puts[0].Package, o.puts[0].Blob
			return g.puts
		}},
		"garbage package": {ledgerclient.BadPackage, func(p *people, g *given, v *version) puts {
			g.puts[1].Package = []byte("garbage")
			return g.puts
		}},
		"no package": {ledgerclient.BadPackage, func(p *people, g *given, v *version) puts {
			g.puts[1].Package = nil
			return g.puts
		}},
		"entry changed after signing": {ledgerclient.BadEntry, func(p *people, g *given, v *version) puts {
			g.puts[1].Entry.NotAfter++
			return g.puts
		}},
		"entry of another ledger": {ledgerclient.BadEntry, func(p *people, g *given, v *version) puts {
			p.must(g.entry.Sign(crypto.LedgerID{7}, g.key))
			g.puts[1].Entry = g.entry
			return g.puts
		}},
		"metadata of a grant": {ledgerclient.BadPart, func(p *people, g *given, v *version) puts {
			g.puts[0].Part = ledgerclient.PartMetadata
			return g.puts
		}},
		"payload of a revocation": {ledgerclient.BadPart, func(p *people, g *given, v *version) puts {
			g.puts[0].Entry = p.revocation(g)
			return g.puts
		}},
		"payload of a withdrawal": {ledgerclient.BadPart, func(p *people, g *given, v *version) puts {
			v.put.Entry = p.withdrawal(v)
			return puts{v.put}
		}},
		"content that is not uploaded": {ledgerclient.BadPart, func(p *people, g *given, v *version) puts {
			v.upload.Blob = v.content
			return puts{v.upload}
		}},
		"one part twice": {ledgerclient.BadPart, func(p *people, g *given, v *version) puts {
			return puts{g.puts[0], g.puts[0]}
		}},
		"no locator": {ledgerclient.BadLocators, func(p *people, g *given, v *version) puts {
			g.puts[0].Locators = nil
			return g.puts
		}},
		"three locators": {ledgerclient.BadLocators, func(p *people, g *given, v *version) puts {
			g.puts[0].Locators = append(g.puts[0].Locators, crypto.Locator{3})
			return g.puts
		}},
		"one locator twice": {ledgerclient.BadLocators, func(p *people, g *given, v *version) puts {
			g.puts[0].Locators[1] = g.puts[0].Locators[0]
			return g.puts
		}},
		"one locator for two payloads": {ledgerclient.BadLocators, func(p *people, g *given, v *version) puts {
			g.puts[1].Locators[0] = g.puts[0].Locators[0]
			return g.puts
		}},
		"access with another payload": {ledgerclient.BadBlob, func(p *people, g *given, v *version) puts {
			_, put := p.access(g, testHour)
			put.Blob[40] ^= 1
			return puts{put}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := newLedger(t)
			p := newPeople(t, f.id)
			g, v := p.grant(), p.record(5000, nil)
			// The good ones around the bad one are not stored either.
			other := p.grant()
			err := f.store.PutBlobs(ctx, append(test.change(p, g, v), other.puts...))
			var refused *ledgerclient.StoreError
			if !errors.As(err, &refused) || refused.Reason != test.reason {
				t.Fatalf("%v, want %q", err, test.reason)
			}
			if left := listed(t, f.dir, "payloads"); len(left) > 0 {
				t.Errorf("stored: %v", left)
			}
		})
	}
}

// A locator leads to what it was first given for, and a payload keeps the
// locators that it was first put with.
func TestLocatorOfAnother(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	g, mallory := p.grant(), p.grant()
	p.must(f.store.PutBlobs(ctx, g.puts))
	var refused *ledgerclient.StoreError
	mallory.puts[0].Locators[0] = g.puts[0].Locators[1]
	if err := f.store.PutBlobs(ctx, mallory.puts); !errors.As(err, &refused) || refused.Reason != ledgerclient.BadLocators {
		t.Errorf("somebody else's locator: %v", err)
	}
	mine := g.puts[0]
	mine.Locators = []crypto.Locator{{9}}
	if err := f.store.PutBlobs(ctx, []ledgerclient.Put{mine}); !errors.As(err, &refused) || refused.Reason != ledgerclient.BadLocators {
		t.Errorf("other locators: %v", err)
	}
	p.mustFetch(f, g.puts[0].Locators[1], g.puts[0].Blob)
}

func TestUpload(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	for _, size := range []int{1, 4096, contract.PieceSize - 1, contract.PieceSize, contract.PieceSize + 1, 5*contract.PieceSize + 77} {
		v := p.record(size, nil)
		p.addRecord(f, v)
		got, err := fetched(t, f.store, v.upload.Locators[0])
		p.must(err)
		// Behind the content stands the list of its pieces' hashes.
		want := bytes.Clone(v.content)
		for b := v.content; len(b) > 0; {
			n := min(len(b), contract.PieceSize)
			h := tlog.RecordHash(b[:n])
			want = append(want, h[:]...)
			b = b[n:]
		}
		if !bytes.Equal(got, want) {
			t.Errorf("content of %d bytes: got %d, want %d", size, len(got), len(want))
		}
		p.mustFetch(f, v.put.Locators[0], v.put.Blob)
	}
	mustVerify(t, f)
}

func TestUploadRefused(t *testing.T) {
	for name, test := range map[string]struct {
		reason ledgerclient.StoreReason
		change func(p *people, v *version)
	}{
		"a byte too many":      {ledgerclient.BadBlob, func(p *people, v *version) { v.content = append(v.content, 0) }},
		"a byte too few":       {ledgerclient.BadBlob, func(p *people, v *version) { v.content = v.content[1:] }},
		"a byte changed":       {ledgerclient.BadBlob, func(p *people, v *version) { v.content[contract.PieceSize] ^= 1 }},
		"not a content":        {ledgerclient.BadPart, func(p *people, v *version) { v.upload.Part = ledgerclient.PartMetadata }},
		"garbage package":      {ledgerclient.BadPackage, func(p *people, v *version) { v.upload.Package[3] ^= 1 }},
		"entry not signed":     {ledgerclient.BadEntry, func(p *people, v *version) { v.upload.Entry.Signature[5] ^= 1 }},
		"no locator":           {ledgerclient.BadLocators, func(p *people, v *version) { v.upload.Locators = nil }},
		"content of somewhere": {ledgerclient.BadPart, func(p *people, v *version) { v.upload.Entry = p.grant().entry }},
		"size of another in the package": {ledgerclient.BadBlob, func(p *people, v *version) {
			// Same pieces, other size: the tree head alone does not tell.
			pkg := contract.RecordPackage{ContentHead: headOf(v.content), ContentSize: uint64(len(v.content)) + 1}
			v.entry.Commitment = pkg.Commitment()
			p.must(v.entry.Sign(p.ledger, v.key))
			v.upload.Entry, v.upload.Package = v.entry, pkg.Marshal()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := newLedger(t)
			p := newPeople(t, f.id)
			v := p.record(contract.PieceSize+500, nil)
			test.change(p, v)
			var refused *ledgerclient.StoreError
			if err := uploaded(f.store, v); !errors.As(err, &refused) || refused.Reason != test.reason {
				t.Fatalf("%v, want %q", err, test.reason)
			}
			for _, dir := range []string{"payloads", "contents", "uploads"} {
				if left := listed(t, f.dir, dir); len(left) > 0 {
					t.Errorf("left in %s: %v", dir, left)
				}
			}
		})
	}
}

// What is joined is found by nobody until all that was joined becomes contents together,
// and by an upload that is joined nowhere nothing does.
func TestUploadJoined(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	var joined []ledgerclient.Joint
	var versions []*version
	for _, size := range []int{1, 3000, contract.PieceSize + 5} {
		v := p.record(size, nil)
		u, err := f.store.Upload(ctx)
		p.must(err)
		_, err = u.Write(v.content)
		p.must(err)
		j := u.(ledgerclient.Joint)
		p.must(j.Join(v.upload))
		if err := j.Join(v.upload); err == nil {
			t.Error("joined twice")
		}
		joined, versions = append(joined, j), append(versions, v)
	}
	dropped, err := f.store.Upload(ctx)
	p.must(err)
	if err := joined[0].JoinAll(ctx, append(joined[:len(joined):len(joined)], dropped.(ledgerclient.Joint))); err == nil {
		t.Error("became a content without being joined")
	}
	p.must(dropped.Abort())
	if left := listed(t, f.dir, "contents"); len(left) > 0 {
		t.Errorf("there before all are: %v", left)
	}
	p.must(joined[2].JoinAll(ctx, joined))
	for i, v := range versions {
		if got, err := fetched(t, f.store, v.upload.Locators[0]); err != nil || !bytes.HasPrefix(got, v.content) {
			t.Errorf("content %d: %v", i, err)
		}
		p.must(joined[i].Abort())
	}
	if left := listed(t, f.dir, "uploads"); len(left) > 0 {
		t.Errorf("left in uploads: %v", left)
	}
}

func TestUploadEnds(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	v := p.record(3000, nil)
	u, err := f.store.Upload(ctx)
	p.must(err)
	u.Write(v.content)
	size, head, err := u.Sum()
	if err != nil || size != 3000 || head != headOf(v.content) {
		t.Fatalf("sum: %d, %v", size, err)
	}
	if _, err := u.Write([]byte{1}); err == nil {
		t.Error("written after the sum")
	}
	p.must(u.Commit(v.upload))
	if err := u.Commit(v.upload); err == nil {
		t.Error("committed twice")
	}
	p.must(u.Abort())
	p.must(u.Abort())
	if got, err := fetched(t, f.store, v.upload.Locators[0]); err != nil || !bytes.HasPrefix(got, v.content) {
		t.Errorf("gone after Abort: %v", err)
	}

	empty, err := f.store.Upload(ctx)
	p.must(err)
	if _, _, err := empty.Sum(); err == nil {
		t.Error("an empty content")
	}
	p.must(empty.Abort())
	aborted, err := f.store.Upload(ctx)
	p.must(err)
	aborted.Write(make([]byte, 3*contract.PieceSize+5))
	p.must(aborted.Abort())
	if err := aborted.Commit(v.upload); err == nil {
		t.Error("committed after Abort")
	}
	if left := listed(t, f.dir, "uploads"); len(left) > 0 {
		t.Errorf("left in uploads: %v", left)
	}
}

func TestErase(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	v, kept := p.record(2*contract.PieceSize, nil), p.record(100, nil)
	second := p.record(700, v)
	p.addRecord(f, v)
	p.addRecord(f, second)
	p.addRecord(f, kept)
	payloads := []crypto.Locator{v.upload.Locators[0], v.put.Locators[0], second.upload.Locators[0], second.put.Locators[0]}

	w := p.withdrawal(v)
	var refused *ledgerclient.StoreError
	for name, e := range map[string]contract.Entry{"not on the ledger": w, "not a withdrawal": v.entry} {
		if err := f.store.Erase(ctx, e); !errors.As(err, &refused) || refused.Reason != ledgerclient.NotWithdrawn {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, loc := range payloads {
		if _, err := fetched(t, f.store, loc); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, f, []contract.Entry{w})
	for range 2 {
		p.must(f.store.Erase(ctx, w))
	}
	var none *ledgerclient.NotFoundError
	for _, loc := range payloads {
		if _, err := f.store.Blob(ctx, loc); !errors.As(err, &none) {
			t.Errorf("erased, and yet: %v", err)
		}
	}
	if left := listed(t, f.dir, "contents"); len(left) != 1 || left[0] != hexName(kept.id)+".content" {
		t.Errorf("left: %v", left)
	}
	if found := filesWith(t, f.dir, v.put.Blob[:32]); len(found) > 0 {
		t.Errorf("erased, and still in %v", found)
	}
	// It does not come back, neither what was there nor a version that never was.
	late := p.record(10, v)
	for _, again := range []*version{v, second, late} {
		if err := f.store.PutBlobs(ctx, []ledgerclient.Put{again.put}); !errors.As(err, &refused) || refused.Reason != ledgerclient.Withdrawn {
			t.Errorf("put again: %v", err)
		}
		if err := uploaded(f.store, again); !errors.As(err, &refused) || refused.Reason != ledgerclient.Withdrawn {
			t.Errorf("uploaded again: %v", err)
		}
	}
	if got, err := fetched(t, f.store, kept.upload.Locators[0]); err != nil || !bytes.HasPrefix(got, kept.content) {
		t.Errorf("another record: %v", err)
	}
	mustVerify(t, f)
	mustVerify(t, reopen(t, f))
}

// Payloads whose entries never come are dropped, later than an hour after they
// were last put; those of ordered entries stay.
func TestDrop(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	ordered, orphan, again := p.grant(), p.grant(), p.grant()
	content := p.record(contract.PieceSize+9, nil)
	p.must(f.store.PutBlobs(ctx, append(ordered.puts, orphan.puts...)))
	p.must(f.store.PutBlobs(ctx, again.puts))
	p.must(uploaded(f.store, content))
	mustAppend(t, f, []contract.Entry{ordered.entry})
	// What a killed process leaves in staging.
	u, err := f.store.Upload(ctx)
	p.must(err)
	u.Write(content.content)
	_, _, err = u.Sum() // until then the bytes may still be on their way
	p.must(err)
	killed := u.(*upload).path
	old := time.Unix(int64(clock.hour)*3600, 0)
	p.must(os.Chtimes(killed, old, old))

	there := func(g *given) bool {
		_, err := fetched(t, f.store, g.puts[1].Locators[0])
		return err == nil
	}
	clock.hour++
	p.must(f.store.PutBlobs(ctx, again.puts))
	if !there(orphan) {
		t.Error("dropped within the hour")
	}
	clock.hour++
	p.must(f.store.PutBlobs(ctx, p.grant().puts))
	if there(orphan) {
		t.Error("not dropped")
	}
	if !there(ordered) {
		t.Error("dropped although its entry came")
	}
	if !there(again) {
		t.Error("dropped although it was put again")
	}
	var none *ledgerclient.NotFoundError
	if _, err := f.store.Blob(ctx, content.upload.Locators[0]); !errors.As(err, &none) {
		t.Errorf("content: %v", err)
	}
	if _, err := os.Stat(killed); !errors.Is(err, fs.ErrNotExist) {
		t.Error("what a killed process staged is still there")
	}
	// It can be put again.
	p.must(f.store.PutBlobs(ctx, orphan.puts))
	p.must(uploaded(f.store, content))
	if !there(orphan) {
		t.Error("not there after it was put again")
	}
	// A clock set back drops nothing.
	clock.hour -= 8000
	p.must(f.store.PutBlobs(ctx, p.grant().puts))
	if !there(orphan) || !there(ordered) {
		t.Error("dropped by a clock set back")
	}
	mustVerify(t, f)
}

// What is damaged is not served as if it were another payload, and putting it
// again heals it.
func TestStoreHeals(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	before, g, behind := p.grant(), p.grant(), p.grant()
	for _, g := range []*given{before, g, behind} {
		p.must(f.store.PutBlobs(ctx, g.puts))
		mustAppend(t, f, []contract.Entry{g.entry})
	}
	at, err := foldertest.Payload(f.dir, hexName(g.id), ledgerclient.PartEnvelope)
	p.must(err)
	good := mustRead(t, at.File)
	pkg := int64(len(g.pkg.Marshal()))
	for what, bad := range map[string]func(b []byte) []byte{
		"mark":          func(b []byte) []byte { b[at.Record] ^= 1; return b },
		"length":        func(b []byte) []byte { b[at.Record+5] ^= 1; return b },
		"kind":          func(b []byte) []byte { b[at.Record+16] ^= 1; return b },
		"id":            func(b []byte) []byte { b[at.Record+28] ^= 1; return b },
		"locator":       func(b []byte) []byte { b[at.Record+28+64] ^= 1; return b },
		"package":       func(b []byte) []byte { b[at.At-pkg] ^= 1; return b },
		"payload":       func(b []byte) []byte { b[at.At+at.Length-1] ^= 1; return b },
		"header":        func(b []byte) []byte { b[9] ^= 1; return b },
		"all of it":     func(b []byte) []byte { clear(b[at.Record : at.At+at.Length]); return b },
		"all behind it": func(b []byte) []byte { return b[:at.Record] },
	} {
		p.must(os.WriteFile(at.File, bad(bytes.Clone(good)), 0o600))
		f := reopen(t, f)
		var damaged *DamagedError
		if _, err := f.Verify(ctx, nil, nil); !errors.As(err, &damaged) || damaged.File != f.ground().relative(at.File) {
			t.Errorf("%s: %v", what, err)
		}
		p.mustFetch(f, before.puts[1].Locators[0], before.puts[1].Blob)
		if what != "all behind it" {
			p.mustFetch(f, behind.puts[1].Locators[0], behind.puts[1].Blob)
		}
		p.must(f.store.PutBlobs(ctx, append(g.puts, behind.puts...)))
		for range 2 {
			p.mustFetch(f, g.puts[1].Locators[1], g.puts[1].Blob)
			p.mustFetch(f, behind.puts[1].Locators[1], behind.puts[1].Blob)
			if what == "package" || what == "payload" {
				mustVerify(t, f) // what is no record any more stays for it to tell
			}
			f = reopen(t, f)
		}
		for _, file := range listed(t, f.dir, "payloads") {
			p.must(os.Remove(filepath.Join(f.dir, "payloads", file)))
		}
	}
}

// Threat: the power fails after a large payload was acknowledged, and the segment with its
// record was not on the disk yet. It is found all the same, by whoever looks first, and
// verifies; what was erased before does not come back and is erased again, and files that end
// otherwise are let be.
func TestRegain(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	v, gone, big := p.record(contract.PieceSize+9, nil), p.record(contract.PieceSize+3, nil), p.big()
	p.addRecord(f, gone)
	p.must(f.store.PutBlobs(ctx, []ledgerclient.Put{v.put}))
	w := p.withdrawal(gone)
	mustAppend(t, f, []contract.Entry{v.entry, w})
	erased := mustRead(t, foldertest.Content(f.dir, hexName(gone.id)))
	p.must(f.store.Erase(ctx, w))
	path := f.path("payloads/0000000001")
	before := mustRead(t, path)
	p.must(uploaded(f.store, v))
	p.must(f.store.PutBlobs(ctx, []ledgerclient.Put{big}))
	whole := mustRead(t, path)
	if len(whole) <= len(before) {
		t.Fatal("the records are not there at once")
	}
	f.Close()
	p.must(os.WriteFile(path, before, 0o600))
	p.must(os.WriteFile(foldertest.Content(f.dir, hexName(gone.id)), erased, 0o600)) // from a copy
	for at, end := range []func(b []byte) []byte{
		func(b []byte) []byte { return nil },
		func(b []byte) []byte { return b[:3] },
		func(b []byte) []byte { return b[:len(b)-1] },
		func(b []byte) []byte { return append(b, 0xff, 0xff, 0xff, 0xff) },
		func(b []byte) []byte { b[len(b)-5] ^= 1; return b },
		func(b []byte) []byte { b[len(b)-4-120] ^= 1; return b },
		bytes.Clone, // of another name
	} {
		name := hexName(crypto.Hash{byte(at)}) + ".content"
		p.must(os.WriteFile(filepath.Join(f.dir, "contents", name), end(mustRead(t, foldertest.Content(f.dir, hexName(v.id)))), 0o600))
	}
	for name, look := range map[string]func(f *Folder){
		"reads":    func(f *Folder) {},
		"verifies": func(f *Folder) { mustVerify(t, f) },
		"puts":     func(f *Folder) { p.must(f.store.PutBlobs(ctx, p.grant().puts)) },
		"sweeps":   func(f *Folder) { p.must((&Sweeper{Folder: f}).Sweep(ctx)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "l")
			copyDir(t, f.dir, dir)
			g, err := Open(dir, Options{Clock: clock.now})
			p.must(err)
			defer g.Close()
			look(g)
			for _, put := range []ledgerclient.Put{v.upload, big} {
				if !p.holds(g, Putting{Puts: []ledgerclient.Put{put}}) {
					t.Errorf("%s is not there", put.Part)
				}
			}
			mustVerify(t, g)
			if b := mustRead(t, filepath.Join(dir, "payloads/0000000001")); name != "puts" && len(b) != len(whole) {
				t.Errorf("%d bytes of records for two files, %d before", len(b)-len(before), len(whole)-len(before))
			}
			var none *ledgerclient.NotFoundError
			if _, err := g.store.Blob(ctx, gone.upload.Locators[0]); !errors.As(err, &none) {
				t.Errorf("erased: %v", err)
			}
			if _, err := os.Stat(foldertest.Content(dir, hexName(gone.id))); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what was erased lies there again: %v", err)
			}
		})
	}
}

// Threat: who can write to the folder changes the end of a payload's file, where its record
// stands once more. Nothing is given of it, and verify names it, whichever byte it is.
func TestEndOfFile(t *testing.T) {
	lane.OneGoroutine(t)
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	v, big := p.record(contract.PieceSize+9, nil), p.big()
	p.addRecord(f, v)
	p.must(f.store.PutBlobs(ctx, []ledgerclient.Put{big}))
	for _, put := range []ledgerclient.Put{v.upload, big} { // the entry of the second is not on the ledger
		path := f.store.contentFile(put.Entry.ID(f.id), put.Part)
		whole := mustRead(t, path)
		b, err := f.store.Blob(ctx, put.Locators[0])
		p.must(err)
		size := int(b.Size())
		b.Close()
		changed := map[string][]byte{
			"nothing":      {},
			"cut":          whole[:len(whole)-1],
			"without it":   whole[:size],
			"longer":       append(bytes.Clone(whole), 0),
			"another part": append(bytes.Clone(whole[:size]), endOf(t, f, put, func(r *segRecord) { r.kind ^= 1 })...),
			"another hour": append(bytes.Clone(whole[:size]), endOf(t, f, put, func(r *segRecord) { r.hour++ })...),
			"another name": append(bytes.Clone(whole[:size]), endOf(t, f, put, func(r *segRecord) { r.keys[1][0]++ })...),
		}
		for at := size; at < len(whole); at += lane.Pick(1, 5, 5) {
			c := bytes.Clone(whole)
			c[at] ^= 0x10
			changed[fmt.Sprintf("byte %d behind %d", at, size)] = c
		}
		for what, c := range changed {
			p.must(os.WriteFile(path, c, 0o600))
			var tampered *ledgerclient.TamperedError
			if _, err := f.store.Blob(ctx, put.Locators[0]); !errors.As(err, &tampered) {
				t.Errorf("%s: read: %v", what, err)
			}
			if _, err := f.Verify(ctx, nil, nil); put.Part == ledgerclient.PartContent && !errors.As(err, new(*DamagedError)) {
				t.Errorf("%s: verified: %v", what, err)
			}
		}
		p.must(os.WriteFile(path, whole, 0o600))
		mustVerify(t, f)
	}
}

// endOf is what a payload's file ends with, by another head.
func endOf(t *testing.T, f *Folder, put ledgerclient.Put, change func(*segRecord)) []byte {
	t.Helper()
	to := placingOf(&put, put.Entry.ID(f.id), nil)
	r := segRecord{kind: byte(put.Part) | ofItsOwn, keys: append([]crypto.Hash{crypto.Hash(to.id)}, to.names...)}
	change(&r)
	b := appendRecord(nil, r.hour, r.kind, r.keys, to.pkg(), nil)
	return binary.BigEndian.AppendUint32(b, uint32(len(b)))
}

// Records of files that nothing else is synced behind are looked at in the end, each once: a
// sweep of many of them ends, and drops those whose entries never came.
func TestSweepBehindDurable(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	p.must(f.store.PutBlobs(ctx, p.grant().puts)) // makes the segment
	var all []contract.Entry
	for range 70 {
		v := p.record(1, nil)
		p.must(uploaded(f.store, v))
		all = append(all, v.entry)
	}
	mustAppend(t, f, all)
	orphan := p.record(2, nil)
	p.must(uploaded(f.store, orphan))
	clock.hour += keepHours + 1
	within, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p.must((&Sweeper{Folder: f}).Sweep(within))
	if left := listed(t, f.dir, "contents"); len(left) != 70 {
		t.Errorf("%d files are left", len(left))
	}
	p.must(f.ground().payloads.on(1, false, func(s *segment) error {
		if s.checked < s.durable || s.durable < s.size {
			t.Errorf("looked at up to %d, on the disk for certain up to %d of %d", s.checked, s.durable, s.size)
		}
		return nil
	}))
}

// A file of the group's mode in a folder of the group's.
func TestServicesModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shared")
	if err := os.Mkdir(dir, 0o770); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o770|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	f, err := Create(dir, "Shared", (&testClock{testHour}).now)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := newPeople(t, f.id)
	g, v := p.grant(), p.record(100, nil)
	p.addGrant(f, g)
	p.addRecord(f, v)
	r, _ := p.request(g, p.revocation(g), f.keeper.Key())
	r.Access, _ = p.access(g, testHour)
	ledgerclient.Sign(&r, g.oneTime)
	if a, err := f.keeper.Release(ctx, r); err != nil || a.Code != ledgerclient.NoAccess {
		t.Fatalf("%s, %v", a.Code, err)
	}
	_, err = f.keeper.Revoke(ctx, []contract.Entry{p.revocation(g)})
	p.must(err)
	files := 0
	for _, top := range []string{"payloads", "contents", "keeper"} {
		err := filepath.WalkDir(filepath.Join(dir, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			want := fs.FileMode(0o660)
			if d.IsDir() {
				want = 0o770 | fs.ModeSetgid | fs.ModeDir
			} else {
				files++
			}
			if info.Mode() != want {
				t.Errorf("%s has mode %s", path, info.Mode())
			}
			return nil
		})
		p.must(err)
	}
	if files < 4 {
		t.Errorf("only %d files", files)
	}
}
