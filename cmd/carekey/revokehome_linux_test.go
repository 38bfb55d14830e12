package main

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/lane"
)

// Promise 4: a consent is ended from a home that cannot be written, what only shows
// works there, and both say so. Once it can be written again all is found on the ledger.
func TestRevokeFromAHomeThatCannotBeWritten(t *testing.T) {
	lane.OneGoroutine(t)
	t.Run("permissions", func(t *testing.T) {
		h := newHomestead(t)
		home := h.path("patient")
		if os.Getuid() == 0 { // whom no permission binds: the patient is somebody else
			h.uid = 61001
			for dir := h.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
				h.check(os.Chmod(dir, 0o755))
			}
			h.check(exec.Command("chown", "-R", "61001", h.dir).Run())
			h.env = append(h.env, "HOME="+h.dir)
			// The tests' own copy of the program is for root only.
			self, err := os.Executable()
			h.check(err)
			h.bin = h.path("bin")
			h.check(os.Mkdir(h.bin, 0o755))
			for _, who := range actors {
				h.check(exec.Command("cp", self, filepath.Join(h.bin, who)).Run())
			}
		}
		chmod := func(file, dir os.FileMode) {
			var dirs []string
			h.check(filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
				if d.IsDir() {
					dirs = append(dirs, path)
					return err
				}
				return os.Chmod(path, file)
			}))
			for _, d := range dirs {
				h.check(os.Chmod(d, dir))
			}
		}
		chmod(0o400, 0o500)
		unwritable(h, "permission-denied", "permission denied")
		chmod(0o600, 0o700)
		h.must("patient", "status")
	})
	mounted := func(t *testing.T, options string) *homestead {
		h := newHomestead(t)
		home := h.path("patient")
		h.check(os.Rename(home, h.path("before")))
		h.check(os.Mkdir(home, 0o700))
		if err := syscall.Mount("tmpfs", home, "tmpfs", 0, options); err != nil {
			t.Skipf("nothing can be mounted here: %v", err) // "permissions" holds all the same
		}
		t.Cleanup(func() { syscall.Unmount(home, syscall.MNT_DETACH) })
		if out, err := exec.Command("cp", "-a", h.path("before")+"/.", home).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		return h
	}
	t.Run("full", func(t *testing.T) {
		h := mounted(t, "size=1m,mode=700")
		h.must("patient", "status") // what was on its way leaves room when it has ended
		fill, err := os.Create(h.path("patient", "fill"))
		h.check(err)
		io.Copy(fill, zeros{}) // until the disk is full
		h.check(fill.Close())
		unwritable(h, "disk-full", "the disk is full")
		h.check(os.Remove(h.path("patient", "fill")))
		h.must("patient", "status")
	})
	t.Run("read-only", func(t *testing.T) {
		h := mounted(t, "mode=700")
		h.check(syscall.Mount("", h.path("patient"), "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
		unwritable(h, "read-only", "the file system is read-only")
		h.check(syscall.Mount("", h.path("patient"), "", syscall.MS_REMOUNT, ""))
		h.must("patient", "status")
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// unwritable looks, and ends all consents, with a home that cannot be written.
func unwritable(h *homestead, code, why string) {
	h.Helper()
	for _, look := range [][]string{{"status"}, {"audit"}, {"inbox"}, {"consent", "list"}, {"consent", "show", h.consent}, {"record", "list"}, {"contact", "list"}, {"ledger", "verify"}} {
		h.must("patient", look...)
	}
	// Nothing else begins.
	if r := h.run("patient", "grant", "--to", "Dr Smith", "--all", "--for", "1d", "--yes", "--json"); r.exit != cli.ExitUnexpected || !strings.Contains(r.err, code) {
		h.Errorf("grant: exit %d\n%s%s", r.exit, r.out, r.err)
	}
	// The ledger is away too: what cannot be written down does not wait, and nothing says
	// that it does.
	h.check(os.Rename(h.path("ledger"), h.path("away")))
	r := h.run("patient", "revoke", h.consent)
	if r.exit != cli.ExitUnreachable || strings.Contains(r.err, "waits in your wallet") || !strings.Contains(r.err, "Not written down on this computer") {
		h.Errorf("revoke without a ledger: exit %d\n%s%s", r.exit, r.out, r.err)
	}
	h.check(os.Rename(h.path("away"), h.path("ledger")))
	r = h.run("patient", "revoke", h.consent)
	if !strings.Contains(r.err, "Not written down on this computer") || !strings.Contains(r.err, why) {
		h.Errorf("nothing is said of what could not be written:\n%s", r.err)
	}
	h.revoked(r)
	r = h.run("patient", "revoke", "--all", "--yes", "--json")
	if r.exit != 0 {
		h.Errorf("revoke --all: exit %d\n%s%s", r.exit, r.out, r.err)
	}
	if s := h.must("patient", "status"); strings.Contains(s, "Who can open what") {
		h.Errorf("something is still open:\n%s", s)
	}
}

// asUser lets a program run as somebody else, who may be root's only way to be bound by
// permissions.
func asUser(c *exec.Cmd, uid uint32) {
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
}
