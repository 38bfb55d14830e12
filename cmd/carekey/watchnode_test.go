package main

import (
	"fmt"
	"os"
	"path/filepath"

	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
)

// watchEnd is a command that came to its end.
type watchEnd struct {
	code      int
	out, talk string
}

// TestWatchInterruptedAtANode ends a watch at its requests while it opens a consent: by kill
// -9, before and after the request arrives, and by a signal. The next one ends what was
// begun; the consent is opened once, and its file is there.
func TestWatchInterruptedAtANode(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	d := newDistantTown(t, false)
	s, err := newSleeper()
	d.must(err)
	t.Cleanup(func() { s.Close() })
	d.sleeper = s.Addr().String()
	now := func() time.Time { return townClock.Add(time.Since(d.start)) }

	// begin starts a watch; what it opens is due long before it looks again.
	begin := func() <-chan watchEnd {
		done := make(chan watchEnd, 1)
		go func() {
			var e watchEnd
			e.code, e.out, e.talk = d.run("clinic", "fetch", "--all", "--watch", "got", "--spread", "1m")
			done <- e
		}()
		return done
	}
	signalled := func(sig os.Signal) {
		d.wallets.Lock()
		defer d.wallets.Unlock()
		d.wallets.running.Process.Signal(sig)
	}
	ends := func(done <-chan watchEnd) {
		t.Helper()
		signalled(os.Interrupt)
		if e := <-done; e.code != 0 {
			t.Fatalf("a watch that was told to end while it waits: exit %d\n%s%s", e.code, e.out, e.talk)
		}
	}
	give := func() string {
		d.mustRun("patient", "grant", "--to", "Dr Smith", "--all", "--for", "30d", "--yes")
		all := d.list("patient", "consent", "list")
		return all[len(all)-1]["consent"].(string)
	}
	check := func(what, consent string) {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(d.dir, "got", "*", consent[:8], "allergies.txt"))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %d files, %v", what, len(found), err)
		}
		if got, err := os.ReadFile(found[0]); err != nil || string(got) != "Penicillin: anaphylaxis, 2009\n" {
			t.Fatalf("%s: %q, %v", what, got, err)
		}
		opened := 0
		for _, e := range d.list("patient", "audit") {
			if e["consent"] == consent && e["what"] == "opened" {
				opened++
			}
		}
		if opened != 1 {
			t.Errorf("%s: opened %d times", what, opened)
		}
	}

	// How many requests it takes when nothing happens.
	consent := give()
	done := begin()
	d.must(s.asleep(now()))
	d.proxy.arm(faultNone, 0, nil)
	_, err = s.wake(now())
	d.must(err)
	d.must(s.asleep(now()))
	requests := d.proxy.counted()
	ends(done)
	check("undisturbed", consent)
	t.Logf("%d requests", requests)

	kinds := []struct {
		name  string
		fault proxyFault
		event func()
	}{
		{"killed before", faultBefore, d.killWallet},
		{"killed after", faultAfter, d.killWallet},
		{"interrupted at", faultBefore, func() { signalled(os.Interrupt) }},
	}
	for at := 1; at <= requests; at += lane.Pick(1, 4, 4) {
		for _, k := range kinds {
			consent := give()
			done := begin()
			d.must(s.asleep(now()))
			d.proxy.arm(k.fault, at, k.event)
			_, err := s.wake(now())
			d.must(err)
			e := <-done
			d.proxy.arm(faultNone, 0, nil)
			what := fmt.Sprint(k.name, " request ", at)
			t.Logf("%s: exit %d", what, e.code)
			if e.code != -1 && e.code != 0 && e.code != 130 {
				t.Errorf("%s: exit %d\n%s", what, e.code, e.talk)
			}
			done = begin()
			d.must(s.asleep(now()))
			d.must(s.pass(now(), now().Add(2*time.Minute), func(time.Time) {}))
			ends(done)
			check(what, consent)
		}
	}
}
