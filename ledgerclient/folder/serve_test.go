package folder

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A checkpoint with a time has the plain one's text and signature, and a second
// signature that holds for that time.
func TestCheckpointAt(t *testing.T) {
	f, _ := newLedger(t)
	plain, err := f.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := f.CheckpointAt(ctx, time.Unix(1_700_000_000, 0))
	if err != nil || !bytes.HasPrefix(raw, plain) || bytes.Count(raw, []byte("\n")) != bytes.Count(plain, []byte("\n"))+1 {
		t.Fatalf("%s%v", raw, err)
	}
	timed := ledgerclient.NewTimeVerifier(ledgerclient.TimeName(f.id), f.config.Nodes[0].Checkpoint)
	n, err := note.Open(raw, note.VerifierList(timed))
	if err != nil || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 1 {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestTile(t *testing.T) {
	f, _ := newLedger(t)
	w := newWriter(t, f, 1)
	mustAppend(t, f, w.batch(300))
	leaves, err := f.Leaves(ctx, 256, 301)
	if err != nil {
		t.Fatal(err)
	}
	var raw, hashed []byte
	for i := range leaves {
		b := leaves[i].Marshal()
		h := tlog.RecordHash(b[:])
		raw, hashed = append(raw, b[:]...), append(hashed, h[:]...)
	}
	for level, want := range map[int][]byte{-1: raw, 0: hashed} {
		got, err := f.Tile(ctx, tlog.Tile{H: 8, L: level, N: 1, W: 45}, 301)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("level %d: %d bytes, %v", level, len(got), err)
		}
		_, err = f.Tile(ctx, tlog.Tile{H: 8, L: level, N: 1, W: 46}, 302)
		if none := (*ledgerclient.NotFoundError)(nil); !errors.As(err, &none) {
			t.Errorf("level %d: %v", level, err)
		}
	}
}

// With EraseAfter an erasure waits, and comes by itself; without it nothing has
// changed.
func TestEraseAfter(t *testing.T) {
	f, clock := newLedger(t)
	f.eraseAfter = 48
	p := newPeople(t, f.id)
	v, kept := p.record(700, nil), p.record(100, nil)
	p.addRecord(f, v)
	p.addRecord(f, kept)
	w := p.withdrawal(v)
	mustAppend(t, f, []contract.Entry{w})
	s := &Sweeper{Folder: f}
	there := func(loc crypto.Locator) bool {
		_, err := fetched(t, f.store, loc)
		return err == nil
	}
	for range 47 {
		p.must(f.store.Erase(ctx, w))
		p.must(s.Sweep(ctx))
		clock.hour++
	}
	if !there(v.upload.Locators[0]) || !there(v.put.Locators[0]) {
		t.Error("erased before its time")
	}
	clock.hour++
	p.must(s.Sweep(ctx))
	if there(v.upload.Locators[0]) || there(v.put.Locators[0]) || !there(kept.upload.Locators[0]) {
		t.Error("erased: not what was withdrawn")
	}
	p.must(s.Sweep(ctx))
	p.must((&Sweeper{Folder: f}).Sweep(ctx)) // from the beginning
	mustVerify(t, f)
}

// What is over goes without anybody putting, depositing or asking.
func TestSweeper(t *testing.T) {
	f, clock := newLedger(t)
	p := newPeople(t, f.id)
	orphan, over := p.grant(), p.grantUntil(testHour+2)
	p.addGrant(f, over)
	p.must(f.store.PutBlobs(ctx, orphan.puts))
	s := &Sweeper{Folder: f}
	p.must(s.Sweep(ctx))
	if _, err := fetched(t, f.store, orphan.puts[0].Locators[0]); err != nil {
		t.Error("dropped at once")
	}
	clock.hour += 26
	writer := newWriter(t, f, 1)
	mustAppend(t, f, []contract.Entry{writer.record()}) // ledger time goes on
	p.must(s.Sweep(ctx))
	if _, err := fetched(t, f.store, orphan.puts[0].Locators[0]); err == nil {
		t.Error("a payload without its entry is still there")
	}
	if state, err := over.stateAt(f); err != nil || state.Held || state.Ended != ledgerclient.DestroyedShare {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestCheckClock(t *testing.T) {
	f, clock := newLedger(t)
	if last, err := f.CheckClock(ctx); last != testHour || err != nil {
		t.Errorf("%d, %v", last, err)
	}
	clock.hour += MaxIdle + 1
	if last, err := f.CheckClock(ctx); last != testHour || !errors.Is(err, ErrClock) {
		t.Errorf("%d, %v", last, err)
	}
}
