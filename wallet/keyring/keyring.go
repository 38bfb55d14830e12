// Package keyring keeps a wallet's one secret, the 32 bytes of entropy behind
// the 24 words, where the person chose to keep it: in the operating system's
// keyring ([OS]) or in a file under a passphrase ([File]).
//
// Everything else a wallet holds is sealed under a key that follows from that
// secret, so the keyring holds one item of 43 characters and nothing more.
//
// # What a Store promises
//
//   - Set returns nil only after the secret was read back and was the same.
//   - Set overwrites nothing: another secret under the same id is an
//     [ErrItemExists]. The same secret again is fine, so a step that was
//     interrupted after Set can simply be taken again.
//   - Delete returns nil only after the item was seen to be gone.
//   - Every failure has one of the codes in errors.go. A Store never falls back
//     to another one: that is for a person to decide.
//   - Nothing that is returned as an error contains the secret.
//
// # What a keyring does not protect against
//
// On Linux a secret crosses the session bus in the clear, and on macOS the item
// is written by the system's security program, so that in both cases any program
// running as the same user can ask for it while the keyring is unlocked. The
// passphrase file does not have this weakness, and asks each time, unless its key is held
// unlocked: see package agent.
package keyring

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
)

// A Store keeps secrets under ids. Implementations are safe for concurrent use
// by the goroutines of one process; that two processes do not create the same
// item at once is for the caller's lock on the profile to ensure.
type Store interface {
	// Get returns the secret kept under id, what crypto.Entropy's Encode
	// writes: 43 characters.
	Get(ctx context.Context, id string) (secret string, err error)

	// Set keeps secret under id and reads it back. After an [ErrTimeout] or
	// after ctx ended, the item may exist or still come into being (a person
	// may answer a prompt late), so the old copy of a secret is only given up
	// after a Set that returned nil.
	Set(ctx context.Context, id, secret string) error

	// Delete removes the item. An item that is not there is an
	// [ErrItemNotFound].
	Delete(ctx context.Context, id string) error

	// Kind is "os" or "file".
	Kind() string
}

// Unlocked is a Store whose key another process holds: its uses are to be had without the
// key itself. The Store's own methods are as before.
type Unlocked struct {
	Store
	Until time.Time                                     // when that process ends by itself
	Keys  func(l crypto.LedgerID) (*crypto.Keys, error) // its error is a crypto.ErrKeyLocked
	Close func()                                        // leaves it to others until the next use
}

// The values of Store.Kind.
const (
	KindOS   = "os"
	KindFile = "file"
)

// NewID returns a random id for an item: 26 characters, 128 bits. It says
// nothing about the wallet, since other programs can list it.
func NewID() string { return rand.Text() }

// checkID admits 1 to 64 letters, digits, '-' and '_': what every system's
// keyring stores unchanged.
func checkID(id string) error {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	if len(id) == 0 || len(id) > 64 || strings.Trim(id, plain) != "" {
		return ErrArgument.With("name", "id")
	}
	return nil
}

// checkItem admits an id with a secret.
func checkItem(id, secret string) error {
	if err := checkID(id); err != nil {
		return err
	}
	if !wellFormed(secret) {
		return ErrArgument.With("name", "secret")
	}
	return nil
}

// wellFormed reports whether s is the one encoding of 32 bytes.
func wellFormed(s string) bool {
	e, err := crypto.DecodeEntropy(s)
	e.Wipe()
	return err == nil
}
