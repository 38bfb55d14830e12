package folder

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
)

// copied takes what from has of an entry into to.
func (p *people) copied(from, to *Folder, of ledgerclient.PartOf) error {
	p.t.Helper()
	pkg, b, err := from.CopyOf(ctx, of)
	p.must(err)
	defer b.Close()
	return to.take(of, pkg, b)
}

func (f *Folder) take(of ledgerclient.PartOf, pkg []byte, b ledgerclient.Blob) error {
	payload := make([]byte, b.Size())
	b.ReadAt(payload, 0)
	return f.TakeCopy(ctx, of, pkg, b.Size(), bytes.NewReader(payload), func(put Putting) error { return f.PutAll(ctx, []Putting{put})[0] })
}

// Threat: bits change on a disk, or somebody changes them. Each byte of each payload is looked
// at, and what is taken from another store in its place is all there, for those who have its
// locators.
func TestDamaged(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	v := p.record(2*contract.PieceSize+77, nil)
	p.addRecord(f, v)
	g := p.grant()
	g.puts[1] = p.long(g)
	p.addGrant(f, g)
	small := p.record(100, nil)
	up, err := f.store.Upload(ctx)
	p.must(err)
	_, err = up.Write(small.content)
	p.must(err)
	p.must(f.PutAll(ctx, []Putting{{Puts: []ledgerclient.Put{small.upload}, Content: up}})[0])
	p.must(f.store.PutBlobs(ctx, []ledgerclient.Put{small.put}))
	mustAppend(t, f, []contract.Entry{small.entry})
	whole := newCopy(t, f)
	everything, nothing := func(uint64) bool { return true }, func(uint64) bool { return false }
	is := func(what string, read func(uint64) bool, want ...ledgerclient.PartOf) {
		t.Helper()
		all, unread, err := f.Damaged(ctx, 0, 4, read)
		if err != nil || len(unread) > 0 || len(all) != len(want) || len(want) == 1 && all[0] != want[0] {
			t.Errorf("%s: %v, %v", what, all, err)
		}
	}
	is("as it is", everything)

	for _, x := range []struct {
		what string
		put  ledgerclient.Put
		at   string
	}{
		{"content", v.upload, foldertest.Content(f.dir, hexName(v.id))}, {"metadata", v.put, ""}, {"terms", g.puts[0], ""},
		{"long envelope", g.puts[1], f.store.contentFile(g.id, ledgerclient.PartEnvelope)}, {"small content", small.upload, ""},
	} {
		of := ledgerclient.PartOf{Entry: x.put.Entry.ID(f.id), Part: x.put.Part}
		want, err := fetched(t, f.store, x.put.Locators[0])
		p.must(err)
		good := func() (file string, from, to int64, raw []byte) {
			if file = x.at; file == "" {
				at, err := foldertest.Payload(f.dir, hexName(of.Entry), of.Part)
				p.must(err)
				file, from, to = at.File, at.At, at.At+at.Length
			}
			if raw = mustRead(t, file); x.at != "" {
				to = int64(len(raw))
			}
			return file, from, to, raw
		}
		for _, place := range []float64{0, 0.5, 0.9999, 1} {
			file, from, to, raw := good()
			raw[from+int64(place*float64(to-from-1))] ^= 4
			p.must(os.WriteFile(file, raw, 0o600))
			f = reopen(t, f)
			is(x.what, everything, of)
			is(x.what, nothing)
			p.must(p.copied(whole, f, of))
			for _, loc := range x.put.Locators {
				p.mustFetch(f, loc, want)
			}
		}
		if x.at != "" {
			p.must(os.Remove(x.at))
			is(x.what, nothing, of)
			if _, _, err := f.CopyOf(ctx, of); !errors.As(err, new(*ledgerclient.NotFoundError)) {
				t.Error(err)
			}
			p.must(p.copied(whole, f, of))
			p.mustFetch(f, x.put.Locators[0], want)
		}
		is(x.what, everything)
	}
	mustVerify(t, f)

	// Another payload than the entry commits to is taken from nobody, nor one that nobody put here.
	content := ledgerclient.PartOf{Entry: v.id, Part: ledgerclient.PartContent}
	pkg, b, err := whole.CopyOf(ctx, content)
	p.must(err)
	defer b.Close()
	forged := make([]byte, b.Size())
	b.ReadAt(forged, 0)
	forged[5] ^= 1
	for what, take := range map[string]func() error{
		"content": func() error { return f.take(content, pkg, memory(forged)) },
		"package": func() error { return f.take(content, small.upload.Package, memory(forged)) },
		"size":    func() error { return f.take(content, pkg, memory(forged[:100])) },
		"metadata": func() error {
			return f.take(ledgerclient.PartOf{Entry: v.id, Part: ledgerclient.PartMetadata}, pkg, memory(forged[:100]))
		},
	} {
		if err := take(); !errors.As(err, new(*ledgerclient.StoreError)) {
			t.Errorf("another %s: %v", what, err)
		}
	}
	if left := listed(t, f.dir, "uploads"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	fresh, _ := newLedger(t)
	if err := fresh.take(content, pkg, memory(forged)); !errors.As(err, new(*ledgerclient.NotFoundError)) {
		t.Error(err)
	}

	// Of a record that was withdrawn nothing is given, or missing.
	p.must(os.RemoveAll(f.path("contents")))
	mustAppend(t, f, []contract.Entry{p.withdrawal(v)})
	if _, _, err := whole.CopyOf(ctx, ledgerclient.PartOf{Entry: contract.ID{1}, Part: ledgerclient.PartContent}); !errors.As(err, new(*ledgerclient.NotFoundError)) {
		t.Error(err)
	}
	is("of a record that was withdrawn", everything, ledgerclient.PartOf{Entry: g.id, Part: ledgerclient.PartEnvelope})
}

// Threat: a file of payloads cannot be read any more, or is gone. What is damaged elsewhere is
// told all the same, and that this is lost.
func TestUnreadable(t *testing.T) {
	f, _ := newLedger(t)
	p := newPeople(t, f.id)
	f.store.payloads.full = 1 // each is in a segment of its own
	first, second, third := p.record(100, nil), p.record(100, nil), p.record(100, nil)
	for _, v := range []*version{first, second, third} {
		p.addRecord(f, v)
	}
	everything := func(uint64) bool { return true }
	is := func(what string, unread int) {
		t.Helper()
		all, lost, err := f.Damaged(ctx, 0, 3, everything)
		if err != nil || len(lost) != unread || len(all) != 1 || all[0] != (ledgerclient.PartOf{Entry: second.id, Part: ledgerclient.PartContent}) {
			t.Errorf("%s: %v, %v, %v", what, all, lost, err)
		}
	}
	p.must(os.Remove(foldertest.Content(f.dir, hexName(second.id))))
	is("as it is", 0)
	at, err := foldertest.Payload(f.dir, hexName(first.id), ledgerclient.PartMetadata)
	p.must(err)
	p.must(os.Rename(at.File, at.File+".away"))
	is("it is gone", 1)
	p.must(os.Mkdir(at.File, 0o700))
	is("it cannot be read", 1)
	p.must(os.Remove(at.File))
	p.must(os.Rename(at.File+".away", at.File))
	is("it is back", 0)
}

func memory(b []byte) ledgerclient.Blob {
	return blob{io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))), io.NopCloser(nil)}
}

// long makes the envelope of a grant one that is a file of its own.
func (p *people) long(g *given) ledgerclient.Put {
	put := g.puts[1]
	put.Blob = bytes.Repeat([]byte{7}, maxInline+1000)
	g.pkg.Envelope = crypto.BlobHash(put.Blob)
	g.entry.Commitment = g.pkg.Commitment()
	p.must(g.entry.Sign(p.ledger, g.key))
	g.id = g.entry.ID(p.ledger)
	put.Entry, put.Package = g.entry, g.pkg.Marshal()
	g.puts[0].Entry, g.puts[0].Package = put.Entry, put.Package
	return put
}

// newCopy is a ledger's folder once more.
func newCopy(t *testing.T, f *Folder) *Folder {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(f.dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir, Options{Clock: f.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	return again
}
