package folder

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// keyFiles are the files of keys in a folder.
func keyFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := snapshotDir(t, dir)
	maps.DeleteFunc(all, func(name, _ string) bool { return !strings.HasPrefix(name, "keys/") || strings.HasSuffix(name, ".new") })
	return all
}

// Others may have been told of keys as soon as they were made: whenever the process is
// killed, those that are there stay, also while the ledger is made beside them.
func TestKeysStay(t *testing.T) {
	lane.OneGoroutine(t)
	clock := &testClock{testHour}
	for at := 1; ; at += lane.Pick(1, 3, 3) {
		dir := filepath.Join(t.TempDir(), "l")
		x := newFaults()
		x.at, x.torn = at, true
		k, err := makeKeys(dir, x)
		var made map[string]string
		if err != nil {
			if _, serr := os.Stat(dir); serr == nil {
				made = keyFiles(t, dir)
			}
			if k, err = makeKeys(dir, unsyncedFiles{}); err != nil {
				t.Fatalf("operation %d: %v", at, err)
			}
		}
		before := keyFiles(t, dir)
		for name, content := range made {
			if before[name] != content {
				t.Fatalf("operation %d: %s was made anew", at, name)
			}
		}
		again, err := makeKeys(dir, unsyncedFiles{})
		if err != nil || again.Node() != k.Node() || again.Keeper() != k.Keeper() {
			t.Fatalf("operation %d: other keys, %v", at, err)
		}
		fd, err := foundingOf("N", k, [16]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		f, err := createFrom(dir, fd, Ordered{}, Options{Clock: clock.now}, x)
		if err != nil {
			f, err = open(dir, Options{Clock: clock.now}, unsyncedFiles{})
			if errors.Is(err, ErrNoLedger) {
				f, err = createFrom(dir, fd, Ordered{}, Options{Clock: clock.now}, unsyncedFiles{})
			}
		}
		if err != nil {
			t.Fatalf("operation %d: %v", at, err)
		}
		mustVerify(t, f)
		f.closeFiles()
		if after := keyFiles(t, dir); !maps.Equal(before, after) || len(after) != 3 {
			t.Fatalf("operation %d: the keys are others", at)
		}
		if x.count < at {
			t.Logf("killed at %d operations", at-1)
			return
		}
	}
}

// Keys are made where there is nothing else, and a key that cannot be read is not replaced.
func TestMakeKeysBeside(t *testing.T) {
	f, _ := newLedger(t)
	if _, err := MakeKeys(f.dir); !errors.Is(err, ErrLedgerExists) {
		t.Errorf("in a ledger: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := MakeKeys(dir); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("beside a file: %v", err)
	}
	dir = filepath.Join(t.TempDir(), "l")
	k, err := MakeKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, "N", nil); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("another ledger over keys that others may know: %v", err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrNoLedger) {
		t.Errorf("opened: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, entryKeyFile), []byte("0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var damaged *DamagedError
	if _, err := MakeKeys(dir); !errors.As(err, &damaged) || damaged.File != entryKeyFile {
		t.Errorf("over a damaged key: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, entryKeyFile)); err != nil || string(b) != "0\n" {
		t.Errorf("it was replaced: %q, %v", b, err)
	}
	if k.Node() == (contract.Node{}) {
		t.Error("no keys")
	}
}
