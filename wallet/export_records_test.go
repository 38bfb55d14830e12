package wallet_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/wallet"
)

// An export has every record under a name of its own that is safe on every system, in any
// case and form; nothing that is there is replaced; and it goes on where it was stopped.
func TestExportRecords(t *testing.T) {
	ctx := context.Background()
	w := newTown(t).person("Maria")
	long := strings.Repeat("ä", 80)
	texts := map[string]string{}
	for i, title := range []string{"CON", "con", "Scan", "SCAN", "a/b\\c", "..", "../../etc/passwd", ".hidden", "trailing. ", "x:y*z?", "manifest", "index", long, long[:len(long)-2] + "b", "=cmd()", "tab\there", "Zoë", "Zoe\u0308"} {
		text := strings.Repeat("t", i+1)
		name := "f.txt"
		if title == "manifest" {
			name = "f.json"
		}
		r, _, err := w.Records().Add(ctx, wallet.Source{Reader: strings.NewReader(text), Name: name, Size: int64(len(text))}, wallet.Describe{Title: title}, nil)
		if err != nil {
			t.Fatalf("%q: %v", title, err)
		}
		texts[r.ID.String()] = text
	}
	dir := filepath.Join(t.TempDir(), "out")
	os.MkdirAll(dir, 0o700)
	in := filepath.Join(dir, "Scan.txt")
	if err := os.WriteFile(in, []byte("hers"), 0o600); err != nil {
		t.Fatal(err)
	}
	x, err := w.Records().Export(ctx, dir, false, nil)
	if err != nil || len(x.Files) != len(texts) || len(x.Left) > 0 {
		t.Fatal(len(x.Files), x.Left, err)
	}
	seen := map[string]string{}
	for _, f := range x.Files {
		key := strings.ToLower(f.File)
		if other, ok := seen[key]; ok || filepath.Base(f.File) != f.File || len(f.File) > 255 || len(f.File) <= 120 && f.File != wallet.SafeName(f.File, f.Record) {
			t.Errorf("%q is called %q, beside %q", f.Title, f.File, other)
		}
		seen[key] = f.Title
		got, err := os.ReadFile(filepath.Join(dir, f.File))
		if err != nil || string(got) != texts[f.Record.String()] {
			t.Errorf("%q: %q, %v", f.File, got, err)
		}
	}
	if got, _ := os.ReadFile(in); string(got) != "hers" {
		t.Errorf("a file was replaced: %q", got)
	}
	// Again: what is there is left alone, and no name is given twice.
	before := must(os.ReadDir(dir))(t)
	again, err := w.Records().Export(ctx, dir, false, nil)
	if err != nil || len(must(os.ReadDir(dir))(t)) != len(before) || again.Files[5].File != x.Files[5].File {
		t.Errorf("%d files, %v", len(must(os.ReadDir(dir))(t)), err)
	}
	os.WriteFile(filepath.Join(dir, wallet.ExportManifest), nil, 0o600)
	if _, err := w.Records().Export(ctx, dir, false, nil); !errors.Is(err, wallet.ErrFileExists) {
		t.Error(err)
	}
}

// Every version is there if it is asked for; removed records are not; and what the store
// lost or changed is left out, named, and keeps nothing else.
func TestExportVersions(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	w := tn.person("Maria")
	a := add(t, w, "a.txt", "one")
	if _, _, err := w.Records().Update(ctx, a.ID.String(), wallet.Source{Reader: strings.NewReader("two"), Name: "a.txt", Size: 3}, wallet.Describe{}, nil); err != nil {
		t.Fatal(err)
	}
	gone := add(t, w, "gone.txt", "gone")
	if _, _, err := w.Records().Remove(ctx, gone.ID.String()); err != nil {
		t.Fatal(err)
	}
	before := must(filepath.Glob(filepath.Join(tn.ledgerDir(), "contents", "*")))(t)
	add(t, w, "lost.txt", "lost")
	for _, path := range must(filepath.Glob(filepath.Join(tn.ledgerDir(), "contents", "*")))(t) {
		if !bytes.Contains([]byte(strings.Join(before, "\n")), []byte(path)) {
			os.Remove(path)
		}
	}
	x, err := w.Records().Export(ctx, filepath.Join(t.TempDir(), "all"), true, nil)
	if err != nil || len(x.Files) != 2 || x.Files[0].File != "a (version 1).txt" || x.Files[1].File != "a (version 2).txt" {
		t.Errorf("%+v, %v", x.Files, err)
	}
	if len(x.Left) != 1 || x.Left[0].Title != "lost" || !errors.Is(x.Left[0].Err, wallet.ErrMissing) {
		t.Errorf("%+v", x.Left)
	}
	x, err = w.Records().Export(ctx, filepath.Join(t.TempDir(), "newest"), false, nil)
	if err != nil || len(x.Files) != 1 || x.Files[0].File != "a.txt" || x.Files[0].Version != 2 {
		t.Errorf("%+v, %v", x.Files, err)
	}
}
