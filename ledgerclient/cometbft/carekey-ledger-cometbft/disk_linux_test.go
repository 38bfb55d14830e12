package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk puts the folder of a validator, which did not start yet, on a disk in memory. It
// takes root.
func (v *validator) smallDisk(options string) {
	v.n.t.Helper()
	settings := filepath.Join(v.dir, "validator.json")
	b, err := os.ReadFile(settings)
	if err != nil {
		v.n.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", v.dir, "tmpfs", 0, options); err != nil {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			v.n.t.Fatal(err)
		}
		v.n.t.Skipf("a disk of its own: %v", err)
	}
	v.n.t.Cleanup(func() { syscall.Unmount(v.dir, syscall.MNT_DETACH) })
	if err := os.WriteFile(settings, b, 0o600); err != nil {
		v.n.t.Fatal(err)
	}
}

// fill takes all room that is left on the disk of a folder, and returns the file that has it.
func fill(t *testing.T, dir string) (junk string) {
	t.Helper()
	junk = filepath.Join(dir, "junk")
	f, err := os.Create(junk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	return junk
}

// A validator whose disk is full ends and says why, and so it does when it is started again.
// The others go on; when there is room again it reads what it has missed, and nobody saw it
// vote twice.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 4)
	full := n.validators[3]
	full.smallDisk("size=64m")
	n.up()
	n.through(0, 1, 2, 3)
	n.validators[0].until(func(w string) bool { return w == "4 of 4 decide" })
	junk := fill(t, full.dir)
	ended := false
	for !ended && n.ctx.Err() == nil {
		n.through(0, 1, 2)
		select {
		case err := <-full.ended:
			ended = true
			full.ended <- err
			if err = full.end(); err == nil {
				t.Error("it ended as if nothing was")
			}
		default:
		}
	}
	why := func(when string) {
		t.Helper()
		said := strings.TrimSpace(full.said.String())
		last := said[strings.LastIndexByte(said, '\n')+1:]
		if !strings.HasPrefix(last, "carekey-ledger-cometbft: ") || !strings.Contains(last, "no space left on device") {
			t.Errorf("%s, it says at last %q of:\n%s", when, last, said)
		}
	}
	why("when the disk is full")
	n.validators[0].until(func(w string) bool { return strings.HasPrefix(w, "3 of 4 decide; Patients is missing since ") })
	fill(t, full.dir) // whatever was given back meanwhile
	if full.launch() != nil {
		full.end()
	}
	why("started on a full disk")
	n.through(0, 1, 2)

	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	full.start()
	for _, v := range n.validators {
		v.until(func(w string) bool { return w == "4 of 4 decide" })
	}
	n.through(0, 3)
	n.agree()
}
