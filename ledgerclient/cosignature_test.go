package ledgerclient_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"golang.org/x/mod/sumdb/note"
)

// The bytes of a timestamped signature, put together from the text of C2SP
// tlog-cosignature and not by the code under test.
func TestTimestampedSignatureIsC2SP(t *testing.T) {
	m := newMemory(t, "cosignature")
	at := time.Unix(1679315147, 0)
	m.signed = &at
	raw, err := m.Checkpoint(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	body, sigs, _ := strings.Cut(string(raw), "\n\n")
	body += "\n"
	name := ledgerclient.TimeName(m.id)
	if name != "carekey/v1/"+m.id.String()+"/time" {
		t.Errorf("key name %s", name)
	}
	for line := range strings.Lines(sigs) {
		rest, ok := strings.CutPrefix(line, "— "+name+" ")
		if !ok {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
		if err != nil || len(b) != 76 {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		pub := m.node.Public().(ed25519.PublicKey)
		id := sha(name + "\n\x04" + string(pub))
		if string(b[:4]) != string(id[:4]) {
			t.Error("key id")
		}
		if binary.BigEndian.Uint64(b[4:]) != 1679315147 {
			t.Error("timestamp")
		}
		if !ed25519.Verify(pub, []byte("cosignature/v1\ntime 1679315147\n"+body), b[12:]) {
			t.Error("signature")
		}
		return
	}
	t.Errorf("no such line in %q", raw)
}

// A frozen head shows its age; a head without a time, or with one that another
// key signed, is refused where heads must carry one.
func TestFreshness(t *testing.T) {
	ctx := context.Background()
	m := newMemory(t, "fresh")
	m.fresh = 10 * time.Minute
	c := m.connect()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	c.Now = func() time.Time { return now }
	for _, tt := range []struct {
		ago  time.Duration
		want bool
	}{{0, true}, {9 * time.Minute, true}, {10 * time.Minute, true}, {10*time.Minute + time.Second, false}, {72 * time.Hour, false}, {-10 * time.Minute, true}, {-11 * time.Minute, false}} {
		at := now.Add(-tt.ago)
		m.signed = &at
		head, err := c.Head(ctx)
		stale, _ := fault.As(err, ledgerclient.ErrStale)
		switch {
		case tt.want && (err != nil || !head.Time.Equal(at)):
			t.Errorf("%s: %v", tt.ago, err)
		case !tt.want && stale.Value("age") != tt.ago:
			t.Errorf("%s: %v", tt.ago, err)
		}
		if _, err := c.ReadHead(head.Note); tt.want && err != nil {
			t.Errorf("a head by another way: %v", err)
		}
	}
	var tampered *ledgerclient.TamperedError
	m.signed = nil
	if _, err := c.Head(ctx); !errors.As(err, &tampered) {
		t.Errorf("no time: %v", err)
	}
	m.signed = &now
	good, _ := m.Checkpoint(ctx)
	for i := range good {
		if i < strings.Index(string(good), "\n\n") {
			continue
		}
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		m.note = bad
		if head, err := c.Head(ctx); err == nil && (head.Size != 1 || !head.Time.Equal(now)) {
			t.Fatalf("byte %d: %+v", i, head)
		}
	}
}

// A checkpoint with nothing but a timestamped signature is none.
func TestTimeAloneIsNoSignature(t *testing.T) {
	m := newMemory(t, "alone")
	now := time.Now()
	m.signed = &now
	raw, _ := m.Checkpoint(context.Background())
	body, sigs, _ := strings.Cut(string(raw), "\n\n")
	for line := range strings.Lines(sigs) {
		if strings.Contains(line, "/time ") {
			m.note = []byte(body + "\n\n" + line)
		}
	}
	if _, err := m.connect().Head(context.Background()); err == nil {
		t.Error("accepted")
	}
}

// A wallet of an early version has a pin without a note: the next head completes it.
func TestPinTakesItsNote(t *testing.T) {
	m := newMemory(t, "pin note")
	m.story(3)
	c := m.connect()
	pin, head, err := c.Advance(context.Background(), ledgerclient.Pin{}, ledgerclient.Pin{}, ignore)
	if err != nil || string(pin.Note) != string(head.Note) || len(pin.Note) == 0 {
		t.Fatalf("%v %q", err, pin.Note)
	}
	pin.Note = nil
	if pin, _, err = c.Advance(context.Background(), pin, ledgerclient.Pin{}, ignore); err != nil || len(pin.Note) == 0 {
		t.Errorf("%v %q", err, pin.Note)
	}
}

// sign makes the lines of a checkpoint.
func (m *memory) sign(text string, key ed25519.PrivateKey) []byte {
	v := must(note.NewVerifier(must(note.NewEd25519VerifierKey(ledgerclient.Origin(m.id), key.Public().(ed25519.PublicKey)))))
	signers := []note.Signer{signer{v, key}}
	if m.signed != nil {
		signers = append(signers, ledgerclient.TimeSigner{TimeVerifier: ledgerclient.NewTimeVerifier(ledgerclient.TimeName(m.id), [32]byte(key.Public().(ed25519.PublicKey))), Key: key, Time: *m.signed})
	}
	return must(note.Sign(&note.Note{Text: text}, signers...))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprint(err))
	}
	return v
}
