package cometbft

import (
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/ledgerclient/node/nodetest"
)

// A validator that cannot start says why, and lets go of its folder: whoever put its state
// back from a copy reads a sentence, and no trace of the program.
func TestStartFails(t *testing.T) {
	document, keys := keysOf(t, 1)
	l, err := nodetest.Listen("")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := Options{Dir: t.TempDir(), Genesis: document, Key: keys[0], Listen: l.Addr().String(),
		Members: []Member{{Name: "City", Key: [32]byte(keys[0].Public().(ed25519.PublicKey)), Address: l.Addr().String()}}}
	votes := filepath.Join(o.Dir, "votes.json")
	if err := os.WriteFile(votes, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the folder can be opened again
		if _, err := Start(o); err == nil || !strings.Contains(err.Error(), "votes.json") || errors.Is(err, ErrRunning) {
			t.Errorf("damaged votes: %v", err)
		}
	}
	if err := os.Remove(votes); err != nil {
		t.Fatal(err)
	}
	if e, err := Start(o); err == nil || errors.Is(err, ErrRunning) {
		t.Errorf("an address that somebody else listens at: %v", err)
		e.Stop()
	}
}
