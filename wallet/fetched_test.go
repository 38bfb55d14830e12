package wallet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
)

func someAddress() crypto.Address {
	e := crypto.NewEntropy()
	return e.Root().Identity().Address()
}

// Threat: what somebody is called makes a folder elsewhere, one that a system takes for a
// device, or one that is another's.
func TestFetchFoldersAreSafe(t *testing.T) {
	lane.OneGoroutine(t)
	a := someAddress()
	sum := sha256.Sum256([]byte(a.String()))
	fp := hex.EncodeToString(sum[:4])
	for name, want := range map[string]string{
		"Maria":                 "Maria-" + fp,
		"":                      "unknown-" + fp,
		"CON":                   "CON-" + fp,
		"com1":                  "com1-" + fp,
		"../../.ssh":            "ssh-" + fp,
		"..":                    "",
		"a/b\\c":                "c-" + fp,
		"\x1b[2J\u202egnp":      "",
		"-rf":                   "rf-" + fp,
		"Dr. Smith.":            "",
		strings.Repeat("é", 64): "",
		strings.Repeat("😀", 64): "",
		"Jose\u0301":            "José-" + fp,
	} {
		dir := t.TempDir()
		r := Received{From: name, Seen: Seen{Address: a}, Consent: contract.ID{0xab, 0xcd, 0xef, 1}}
		f, err := PrepareFetch(dir, r, false)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		base := filepath.Base(f.sender)
		if filepath.Dir(f.sender) != dir || !strings.HasSuffix(base, "-"+fp) || len(base) > 255 || want != "" && base != want || SafeName(base, r.Consent) != base || filepath.Base(f.Dir) != "abcdef01" {
			t.Errorf("%q: %s", name, f.Dir)
		}
		// Whatever the name is later, it is found again.
		r.From = "another"
		if again, err := PrepareFetch(dir, r, false); err != nil || again.sender != f.sender {
			t.Errorf("%q is not found again: %v, %v", name, again, err)
		}
		if again, err := PrepareFetch(filepath.Join(dir, "x", "y"), r, true); err != nil {
			t.Error(err)
		} else {
			again.Discard()
		}
		f.Discard()
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%q: %v is left", name, left)
		}
	}
	// A file, a link or a folder of another sender in the place is not taken.
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "elsewhere"), 0o700)
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "Maria-"+fp)); err != nil {
		t.Skip(err)
	}
	f, err := PrepareFetch(dir, Received{From: "maria", Seen: Seen{Address: a}}, false)
	if err != nil || filepath.Base(f.sender) == "Maria-"+fp || strings.EqualFold(filepath.Base(f.sender), "Maria-"+fp) {
		t.Errorf("%v, %v", f, err)
	}
	// Before an access it is known that nothing can be written.
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{filepath.Join(dir, "file"), filepath.Join(dir, strings.Repeat("d/", 2200))} {
		for _, flat := range []bool{false, true} {
			if _, err := PrepareFetch(bad, Received{From: "Maria", Seen: Seen{Address: a}}, flat); err == nil {
				t.Errorf("a fetch into %.60s was prepared", bad)
			}
		}
	}
}

// So is it where the files could be written and the manifest beside them could not.
func TestFetchFolderIsNoted(t *testing.T) {
	dir, r := t.TempDir(), Received{From: "Maria", Seen: Seen{Address: someAddress()}, Consent: contract.ID{1}}
	f, err := PrepareFetch(dir, r, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(f.sender, manifestLock), 0o700); err != nil { // which nobody can write
		t.Fatal(err)
	}
	if _, err := PrepareFetch(dir, r, false); err == nil {
		t.Error("a fetch was prepared that cannot be noted")
	}
	if _, err := PrepareFetch(f.sender, r, true); err != nil {
		t.Error("with no manifest:", err)
	}
}

// Fetches that end at the same time lose no line of each other's in the manifest.
func TestManifestOfFetchesAtOnce(t *testing.T) {
	dir, a := t.TempDir(), someAddress()
	const n = 16
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			r := Received{From: "Maria", Seen: Seen{Address: a}, Consent: contract.ID{byte(i + 1)}}
			f, err := PrepareFetch(dir, r, false)
			if err != nil {
				t.Error(err)
				return
			}
			o := &Opening{Consent: r, Records: []OpenedRecord{{ID: contract.ID{byte(i)}, Metadata: payload.Metadata{Title: fmt.Sprint(i)}}}}
			if aside, err := f.Note(t.Context(), o, []string{filepath.Join(f.Dir, "lab.txt")}); err != nil || aside != "" {
				t.Error(aside, err)
			}
		})
	}
	wg.Wait()
	folders, err := filepath.Glob(filepath.Join(dir, "Maria-*"))
	if err != nil || len(folders) != 1 {
		t.Fatal(folders, err)
	}
	m, err := readManifest(folders[0])
	if err != nil || len(m.Files) != n {
		t.Fatalf("%d lines of %d, %v", len(m.Files), n, err)
	}
}
