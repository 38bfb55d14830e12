package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// Promise: the hour until which fetching again enters nothing anew is that of the opening that
// was entered first.
func TestUntilWhenNothingIsEnteredAnew(t *testing.T) {
	for _, tt := range []struct {
		hours []wallet.Hour
		until string
	}{
		{[]wallet.Hour{0}, ""}, // it waits
		{[]wallet.Hour{498684, 498685, 0}, day(wallet.Hour(498685))},
		{[]wallet.Hour{0, 498685, 498684}, day(wallet.Hour(498685))},
	} {
		var x fetching
		for i, hour := range tt.hours {
			x.leave(contract.ID{byte(i)}, hour)
		}
		e, ok := fault.As(x.interrupted(context.Canceled), errUnwritten)
		if !ok || fault.Get[string](e, "until") != tt.until || fault.Get[int](e, "consents") != len(tt.hours) {
			t.Errorf("%d: %v", tt.hours, e)
		}
	}
}

// Threat: a fetch of several is interrupted, and the patient sees openings of files that
// nobody has, about which nobody is told. At whichever request it is: it is said of which
// consents that is so, and fetched again in the same hour they are not entered anew.
func TestFetchInterrupted(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	d := newDistantTown(t, false)
	d.must(os.WriteFile(filepath.Join(d.dir, "blood.txt"), []byte("A+\n"), 0o600))
	d.mustRun("patient", "record", "add", "blood.txt")
	var records []string
	for _, r := range d.list("patient", "record", "list") {
		records = append(records, r["id"].(string))
	}
	give := func() (consents []string) {
		for _, id := range records {
			d.mustRun("patient", "grant", "--to", "Dr Smith", "--record", id, "--for", "30d", "--yes")
		}
		for _, c := range d.list("patient", "consent", "list") {
			if c["status"] == "active" {
				consents = append(consents, c["consent"].(string))
			}
		}
		if len(consents) != len(records) {
			t.Fatalf("%d consents are open", len(consents))
		}
		d.mustRun("clinic", "inbox")
		return consents
	}
	files := func(dir, consent string) int {
		found, err := filepath.Glob(filepath.Join(d.dir, dir, "*", consent[:8], "*.txt"))
		d.must(err)
		return len(found)
	}
	opened := func() map[string]int {
		n := map[string]int{}
		for _, e := range d.list("patient", "audit") {
			if e["what"] == "opened" {
				n[e["consent"].(string)]++
			}
		}
		return n
	}

	give()
	d.proxy.arm(faultNone, 0, nil)
	d.mustRun("clinic", "fetch", "--all", "-o", "undisturbed")
	requests := d.proxy.counted()
	d.mustRun("patient", "revoke", "--all", "--yes")

	said := 0
	for at := requests; at > 0; at -= lane.Pick(1, 3, 3) {
		consents := give()
		dir := fmt.Sprint("got", at)
		ended := make(chan struct{})
		d.proxy.arm(faultBefore, at, func() {
			d.wallets.Lock()
			d.wallets.running.Process.Signal(os.Interrupt)
			d.wallets.Unlock()
			select {
			case <-ended: // it gets no answer before
			case <-time.After(time.Second): // what it enters goes on
			}
		})
		code, _, talk := d.run("clinic", "fetch", "--all", "-o", dir)
		close(ended)
		d.proxy.arm(faultNone, 0, nil)
		entered := opened()
		for _, c := range consents {
			named := strings.Contains(talk, "files are not all written") && strings.Contains(talk, c[:8])
			if lacks := entered[c] > 0 && files(dir, c) == 0; lacks && !named || named && files(dir, c) > 0 {
				t.Errorf("request %d: %s has %d openings and %d files: exit %d\n%s", at, c, entered[c], files(dir, c), code, talk)
			}
			if named {
				said++
			}
		}
		if code != 130 && (code != 0 || slices.ContainsFunc(consents, func(c string) bool { return files(dir, c) == 0 })) {
			t.Errorf("request %d: exit %d\n%s", at, code, talk)
		}
		d.mustRun("clinic", "fetch", "--all", "-o", dir)
		entered = opened()
		for _, c := range consents {
			if entered[c] != 1 || files(dir, c) != 1 {
				t.Errorf("request %d: %s has %d openings and %d files", at, c, entered[c], files(dir, c))
			}
		}
		d.mustRun("patient", "revoke", "--all", "--yes")
	}
	if said == 0 {
		t.Error("no interruption left an opening without its file")
	}
}

// Threat: the key is locked while a fetch of several runs, and the patient sees openings of files
// that nobody has. It is said of which, and nothing more is tried.
func TestFetchLocked(t *testing.T) {
	lane.OneGoroutine(t)
	if runtime.GOOS != "linux" {
		t.Skip("what holds a key is looked at on Linux")
	}
	d := newDistantTown(t, false)
	for _, name := range []string{"a.txt", "b.txt"} {
		d.must(os.WriteFile(filepath.Join(d.dir, name), []byte(name), 0o600))
		d.mustRun("patient", "record", "add", name)
	}
	for _, r := range d.list("patient", "record", "list") {
		d.mustRun("patient", "grant", "--to", "Dr Smith", "--record", r["id"].(string), "--for", "30d", "--yes")
	}
	d.mustRun("clinic", "inbox")
	d.mustRun("clinic", "unlock")
	passphrase := filepath.Join(d.dir, "clinic.passphrase")
	d.must(os.Rename(passphrase, passphrase+".away"))
	lacking := func() (n int) {
		for _, e := range d.list("patient", "audit") {
			if id, _ := e["consent"].(string); e["what"] == "opened" {
				if found, _ := filepath.Glob(filepath.Join(d.dir, "got", "*", id[:8], "*.txt")); len(found) == 0 {
					n++
				}
			}
		}
		return n
	}
	d.proxy.arm(faultNone, 0, nil)
	said := false
	for at := 1; !said; at++ {
		d.proxy.arm(faultBefore, at, func() { d.run("clinic", "lock") })
		code, _, talk := d.run("clinic", "fetch", "--all", "-o", "got")
		d.proxy.arm(faultNone, 0, nil)
		if code == 0 {
			break
		}
		n := lacking()
		if code != 4 || strings.Contains(talk, "the opening is entered") != (n > 0) {
			t.Errorf("request %d: %d openings without files: exit %d\n%s", at, n, code, talk)
		}
		said = said || n > 0
		d.must(os.Rename(passphrase+".away", passphrase))
		d.mustRun("clinic", "unlock")
		d.must(os.Rename(passphrase, passphrase+".away"))
	}
	if !said {
		t.Error("no lock left an opening without its file")
	}
}
