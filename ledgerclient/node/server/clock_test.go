package server

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
)

// A node whose clock jumped orders and releases nothing; reading, and above all
// revoking, goes on.
func TestClockJump(t *testing.T) {
	for name, by := range map[string]time.Duration{"an hour ahead": time.Hour, "an hour back": -time.Hour, "six minutes": 6 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			g := w.grant()
			w.give(g)
			access, _ := w.access(g)
			w.order(access)
			r, _ := w.request(g, access)
			before := w.ok(w.get(node.PathCheckpoint))
			w.clock.jump(by)
			w.refused("submit", w.post(node.PathEntries, node.EntriesForm.Marshal(w.records(1))), node.KindClock)
			w.refused("release", w.post(node.PathRelease, ledgerclient.Marshal(&r)), node.KindClock)
			if s := w.server.Health(); s != "clock" {
				t.Errorf("health %q", s)
			}
			// The head that is given out ages: it says no time of the wrong clock.
			if again := w.ok(w.get(node.PathCheckpoint)); !bytes.Equal(again, before) {
				t.Error("a checkpoint was made with a clock that is off")
			}
			w.ok(w.get(node.PathTile + "0/000.p/2"))
			q := w.inquiry(g)
			w.ok(w.post(node.PathState, ledgerclient.Marshal(&q)))
			revocation := []contract.Entry{w.revocation(g)}
			w.ok(w.post(node.PathRevoke, node.EntriesForm.Marshal(revocation)))
			w.refused("a revocation among others", w.post(node.PathEntries, node.EntriesForm.Marshal(append(w.records(1), revocation...))), node.KindClock)
			if out := w.submit(revocation...); out[0].Refusal != nil || out[0].Hour != 480_000 {
				t.Errorf("a revocation is ordered as %+v", out[0])
			}
			was, then := w.openCheckpoint(before)
			if is, at := w.openCheckpoint(w.ok(w.get(node.PathCheckpoint))); is.N != was.N+1 || at != then {
				t.Errorf("the revocation is ordered, and the head of %d entries at %v", is.N, at)
			}
			if err := w.server.Sweep(ctx); err != nil {
				t.Error(err)
			}
			// Set right again, it goes on.
			w.clock.jump(-by)
			w.order(w.records(1)...)
			if a := w.release(&r); a.Code != ledgerclient.Revoked {
				t.Errorf("%s", a.Code)
			}
			if s := w.server.Health(); s != "ok" {
				t.Errorf("health %q", s)
			}
		})
	}
}

// A small step, or time that passes, is no jump.
// Threat: who has stolen a patient's keys withdraws her history and makes the node's
// clock jump by a month, so that it is gone before she can say anything.
func TestClockJumpErasesNothing(t *testing.T) {
	w := newWorld(t, nil)
	v := w.record(5000)
	w.add(v)
	withdrawal := w.withdrawal(v)
	w.order(withdrawal)
	raw := withdrawal.Marshal()
	by := (EraseHours + 1) * time.Hour
	w.clock.jump(by)
	w.refused("erase", w.post(node.PathErase, raw[:]), node.KindClock)
	w.must(w.server.Sweep(ctx))
	w.clock.jump(-by)
	w.ok(w.post(node.PathErase, raw[:]))
	w.ok(w.fetch(v.upload.Locators[0]))
}

func TestClockGoes(t *testing.T) {
	w := newWorld(t, nil)
	for range 5 {
		w.clock.pass(7 * time.Hour)
		w.clock.jump(-time.Minute)
		w.must(w.server.look(ctx))
		w.order(w.records(1)...)
	}
}

// A node does not start with a clock behind its ledger, or off its reference.
func TestClockAtStart(t *testing.T) {
	w := newWorld(t, nil)
	w.order(w.records(1)...)
	start := func(reference func(context.Context) (time.Time, error)) error {
		s, err := newServer(ctx, w.folder, Options{Clock: w.clock.now, Reference: reference}, w.clock.uptime)
		if err == nil {
			s.Close()
		}
		return err
	}
	off := func(err error) string {
		e, _ := fault.As(err, ErrClockOff)
		return fault.Get[string](e, "against")
	}
	at := func(d time.Duration) func(context.Context) (time.Time, error) {
		return func(context.Context) (time.Time, error) { return w.clock.now().Add(d), nil }
	}
	w.must(start(nil))
	w.must(start(at(time.Minute)))
	w.must(start(func(context.Context) (time.Time, error) { return time.Time{}, errors.New("out of reach") }))
	for _, d := range []time.Duration{6 * time.Minute, -6 * time.Minute, 240 * time.Hour} {
		if got := off(start(at(d))); got != "reference" {
			t.Errorf("%s off the reference: %q", d, got)
		}
	}
	w.clock.jump(-10 * time.Minute) // the last entry is of the hour that has begun 17 seconds before
	if got := off(start(nil)); got != "ledger" {
		t.Errorf("behind the ledger: %q", got)
	}
	w.clock.jump(8 * time.Minute)
	w.must(start(nil))
}

// A reference that agrees is believed over the monotonic clock, which stands still
// while a machine sleeps; one that no longer answers changes nothing.
func TestClockReference(t *testing.T) {
	w := newWorld(t, nil)
	var reference time.Time
	var failure error
	g := newClockGuard(w.clock.now, w.clock.uptime, func(context.Context) (time.Time, error) { return reference, failure })
	look := func() error { return g.look(ctx, testHour, 0) }
	reference = w.clock.now()
	w.must(look())
	w.clock.jump(3 * time.Hour) // the machine slept
	if !errors.Is(g.off(), ErrClockOff) {
		t.Error("a jump is not seen")
	}
	reference = w.clock.now()
	w.must(look())
	w.must(g.off())
	reference = w.clock.now().Add(time.Hour)
	if !errors.Is(look(), ErrClockOff) {
		t.Error("an hour off the reference is right")
	}
	failure = errors.New("out of reach")
	if !errors.Is(look(), ErrClockOff) {
		t.Error("it is right since the reference is silent")
	}
	failure, reference = nil, w.clock.now()
	w.must(look())
	failure = errors.New("out of reach")
	w.must(look())
}

// The folder's own rule: a clock a month past the last entry is not believed.
func TestClockIdle(t *testing.T) {
	w := newWorld(t, nil)
	w.clock.pass(32 * 24 * time.Hour)
	w.refused("a month later", w.post(node.PathEntries, node.EntriesForm.Marshal(w.records(1))), node.KindClock)
	if err := w.server.look(ctx); !errors.Is(err, ErrClockOff) || w.server.Health() != "clock" {
		t.Errorf("%v, health %s", err, w.server.Health())
	}
	if folder.MaxIdle != 31*24 {
		t.Error("PROTOCOL.md says 31 days")
	}
}
