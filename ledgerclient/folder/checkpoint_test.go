package folder

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func testSigner(t testing.TB) checkpointSigner {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	key, err := newCheckpointKey(ledgerclient.Origin(crypto.LedgerID{1}), [32]byte(private.Public().(ed25519.PublicKey)))
	if err != nil {
		t.Fatal(err)
	}
	return checkpointSigner{key, private}
}

// TestCheckpointIsANote reads a checkpoint with nothing of ours.
func TestCheckpointIsANote(t *testing.T) {
	s := testSigner(t)
	root := crypto.Hash(tlog.RecordHash([]byte("x")))
	h, err := s.checkpoint(12345, root)
	if err != nil {
		t.Fatal(err)
	}
	text, err := note.NewEd25519VerifierKey(s.Name(), s.public)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(h.raw, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	if want := s.Name() + "\n12345\n" + tlog.Hash(root).String() + "\n"; n.Text != want {
		t.Errorf("text %q, want %q", n.Text, want)
	}
}

func TestCheckpointStrict(t *testing.T) {
	s := testSigner(t)
	sign := func(text string) []byte {
		raw, err := note.Sign(&note.Note{Text: text}, s)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	root := tlog.RecordHash(nil).String()
	if _, err := s.parse(sign(s.Name() + "\n7\n" + root + "\n")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"size 0":            s.Name() + "\n0\n" + root + "\n",
		"negative size":     s.Name() + "\n-1\n" + root + "\n",
		"leading zero":      s.Name() + "\n07\n" + root + "\n",
		"plus":              s.Name() + "\n+7\n" + root + "\n",
		"no number":         s.Name() + "\nx\n" + root + "\n",
		"too large":         s.Name() + "\n99999999999999999999\n" + root + "\n",
		"short root":        s.Name() + "\n7\n" + root[:40] + "\n",
		"spare bits":        s.Name() + "\n7\n" + root[:42] + "V=\n",
		"an extension":      s.Name() + "\n7\n" + root + "\nmore\n",
		"no root":           s.Name() + "\n7\n",
		"another origin":    "carekey/v1/x\n7\n" + root + "\n",
		"origin in capital": strings.ToUpper(s.Name()) + "\n7\n" + root + "\n",
	} {
		if h, err := s.parse(sign(text)); err == nil {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

// FuzzCheckpoint: what is read is exactly what would be written.
func FuzzCheckpoint(f *testing.F) {
	s := testSigner(f)
	for _, size := range []uint64{1, 9, 1 << 40} {
		h, err := s.checkpoint(size, crypto.Hash{byte(size)})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(h.raw)
		h.next = size
		f.Add(h.file())
		f.Add(bytes.ReplaceAll(h.raw, []byte("\n"), []byte("\r\n")))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := s.parseFile(raw)
		if err != nil {
			return
		}
		again, err := s.checkpoint(h.size, h.root)
		again.next = h.next
		if err != nil || !bytes.Equal(again.file(), raw) {
			t.Errorf("%q is read, but written as %q", raw, again.file())
		}
	})
}

func FuzzKeyFile(f *testing.F) {
	f.Add(marshalKey([32]byte{1, 2, 0xab}))
	f.Add([]byte(strings.ToUpper(string(marshalKey([32]byte{0xab})))))
	f.Add(marshalKey([32]byte{})[:64])
	f.Fuzz(func(t *testing.T, text []byte) {
		if b, ok := parseKey(text); ok && !bytes.Equal(marshalKey(b), text) {
			t.Errorf("%q is read, but written as %q", text, marshalKey(b))
		}
	})
}
