package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/lane"
)

// A homestead is a patient and a clinic who share a ledger in a folder. The patient has
// a consent in force, and a grant in her journal that no keeper knows yet.
type homestead struct {
	testing.TB
	dir     string
	consent string // in force
	address string // of the clinic
	env     []string
	bin     string // where the programs are; "": in PATH
	uid     uint32 // as whom the programs run; 0: as the test
}

func newHomestead(t *testing.T) *homestead {
	h := &homestead{TB: t, dir: t.TempDir()}
	for _, who := range actors {
		h.write(who+".passphrase", "correct horse of "+who)
	}
	h.write("a.txt", "a")
	h.must("patient", "init", "--name", "Maria", "--new-ledger", "--words-file", "patient.words")
	h.address = strings.TrimSpace(h.must("clinic", "init", "--name", "Dr Smith", "--words-file", "clinic.words"))
	h.must("patient", "contact", "add", "Dr Smith", h.address)
	h.must("patient", "record", "add", "a.txt")
	grant := []string{"grant", "--to", "Dr Smith", "--all", "--for", "30d", "--yes", "--json"}
	var granted struct{ Consent string }
	if err := json.Unmarshal([]byte(h.must("patient", grant...)), &granted); err != nil {
		t.Fatal(err)
	}
	h.consent = granted.Consent
	key := h.path("ledger", "keys", "keeper.k256")
	h.check(os.Rename(key, h.path("key")))
	if r := h.run("patient", grant...); r.exit != cli.ExitUnreachable {
		t.Fatalf("a grant without its keeper: exit %d\n%s", r.exit, r.err)
	}
	h.check(os.Rename(h.path("key"), key))
	return h
}

func (h *homestead) path(names ...string) string {
	return filepath.Join(append([]string{h.dir}, names...)...)
}

func (h *homestead) check(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *homestead) write(name, text string) {
	h.Helper()
	h.check(os.WriteFile(h.path(name), []byte(text+"\n"), 0o600))
}

// copied is a copy of all of it.
func (h *homestead) copied(t *testing.T) *homestead {
	c := *h
	c.TB, c.dir = t, filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", h.dir, c.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return &c
}

type ran struct {
	exit     int
	out, err string
}

func (h *homestead) run(who string, args ...string) ran {
	h.Helper()
	var out, errs bytes.Buffer
	program := who
	if h.bin != "" {
		program = filepath.Join(h.bin, who)
	}
	c := exec.Command(program, args...)
	c.Dir, c.Stdout, c.Stderr = h.dir, &out, &errs
	c.Env = append(append(os.Environ(), "WORK="+h.dir, "TZ=UTC", testClock+"=2026-11-21T12:30:00Z"), h.env...)
	if h.uid != 0 {
		asUser(c, h.uid)
	}
	err := c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		h.Fatal(err)
	}
	return ran{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

func (h *homestead) must(who string, args ...string) string {
	h.Helper()
	r := h.run(who, args...)
	if r.exit != 0 {
		h.Fatalf("%s %v: exit %d\n%s%s", who, args, r.exit, r.out, r.err)
	}
	return r.out
}

// revoked checks that a consent is ended for good: the keeper has destroyed its share,
// and the ledger has it.
func (h *homestead) revoked(r ran) {
	h.Helper()
	if r.exit != 0 || !strings.Contains(r.out, "Revoked: consent "+h.consent[:8]) || !strings.Contains(r.out, "keeper 1 has destroyed its share") {
		h.Errorf("revoke: exit %d\n%s%s", r.exit, r.out, r.err)
	}
	if f := h.run("clinic", "fetch", h.consent, "--json"); f.exit != cli.ExitRefused || !strings.Contains(f.err, `"code":"revoked"`) {
		h.Errorf("the clinic's fetch: exit %d\n%s%s", f.exit, f.out, f.err)
	}
}

// files are those of the patient's wallet, by their place in its folder.
func (h *homestead) files() map[string]string {
	found, err := filepath.Glob(h.path("patient", "wallets", "*"))
	h.check(err)
	out := map[string]string{}
	h.check(filepath.WalkDir(found[0], func(path string, d fs.DirEntry, err error) error {
		if rel, rerr := filepath.Rel(found[0], path); rerr == nil && err == nil && d.Type().IsRegular() {
			parts := strings.Split(rel, string(filepath.Separator))
			switch {
			case len(parts) > 3:
				rel = "journal"
			case len(parts) > 2:
				rel = "ledger/" + parts[2]
			}
			out[rel] = path
		}
		return err
	}))
	return out
}

// mutations are what happens to files.
var mutations = map[string]func(path string) error{
	"missing": os.Remove,
	"cut": func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, info.Size()/2)
	},
	"empty": func(path string) error { return os.Truncate(path, 0) },
	"zeroed": func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, make([]byte, len(b)), 0o600)
	},
	"a bit": func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil || len(b) == 0 {
			return err
		}
		b[len(b)/2] ^= 1
		return os.WriteFile(path, b, 0o600)
	},
	"a folder": func(path string) error {
		if err := os.Remove(path); err != nil {
			return err
		}
		return os.Mkdir(path, 0o700)
	},
	"a pipe": func(path string) error {
		if err := os.Remove(path); err != nil {
			return err
		}
		return exec.Command("mkfifo", path).Run()
	},
}

// Promise 4: a revocation needs the key and the consent, and nothing else of the home.
// Each of its files is lost, cut, zeroed, changed by a bit or replaced by a folder, and
// the consent is ended by its id, by the contact and with all others.
func TestRevokeWithADamagedHome(t *testing.T) {
	template := newHomestead(t)
	files := slices.Sorted(maps.Keys(template.files()))
	for _, name := range []string{"wallet.json", "state", "key-check", "key.age", "lock", "ledger/state", "ledger/cache", "ledger/genesis", "journal"} {
		if !slices.Contains(files, name) {
			t.Errorf("the home has no %s: %v", name, files)
		}
	}
	// Without these nobody knows where the ledger is, or how to sign: what to do about it
	// is said.
	hopeless := map[string]string{"wallet.json": "carekey restore", "key.age": "carekey keyring restore"}
	ways := [][]string{{template.consent}, {"--to", "Dr Smith"}, {"--to", template.address}, {"--all"}}
	n := 0
	for _, name := range files {
		for _, how := range slices.Sorted(maps.Keys(mutations)) {
			if n++; n%lane.Pick(1, 1, 9) != 0 { // processes share no memory
				continue
			}
			for i, way := range ways {
				if (i+n)%len(ways) >= lane.Pick(len(ways), 1, 1) {
					continue
				}
				t.Run(name+" "+how+" "+way[0], func(t *testing.T) {
					t.Parallel()
					h := template.copied(t)
					path := h.files()[name]
					h.check(mutations[how](path))
					r := h.run("patient", append([]string{"revoke", "--yes"}, way...)...)
					if back := hopeless[name]; back != "" && (name == "wallet.json" || r.exit != 0) {
						if name == "wallet.json" && how == "a bit" && r.exit == 0 {
							return // the bit was one that changes nothing
						}
						if !slices.Contains([]int{cli.ExitTampered, cli.ExitLocked, cli.ExitNotFound, cli.ExitUnexpected}, r.exit) || !strings.Contains(r.err, back) {
							t.Errorf("exit %d, and no way back is named:\n%s", r.exit, r.err)
						}
						return
					}
					h.revoked(r)
					switch name {
					case "state", "ledger/state", "journal":
						if how == "missing" && name == "journal" {
							break
						}
						if !strings.Contains(r.err, "Passed over: the wallet's file "+relative(path)) {
							t.Errorf("what was passed over is not named:\n%s", r.err)
						}
						if name == "ledger/state" && !strings.Contains(r.err, "was not compared") {
							t.Errorf("nothing is said of the rollback check:\n%s", r.err)
						}
					default:
						if strings.Contains(r.err, "Passed over") && name != "ledger/cache" && name != "lock" {
							t.Errorf("something was passed over:\n%s", r.err)
						}
					}
				})
			}
		}
	}
}

// relative is a path below the wallet's folder.
func relative(path string) string {
	_, rest, _ := strings.Cut(filepath.ToSlash(path), "/wallets/")
	_, rest, _ = strings.Cut(rest, "/")
	return rest
}
