package ledgerclient

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxConfigs bounds how many follow-up configurations a ledger may show.
const maxConfigs = 1024

// parseTree reads the size and the root of a checkpoint. tlog.ParseTree wants Go's own
// first line; the rest of the format is the same (C2SP tlog-checkpoint was made from it).
func parseTree(msg []byte) (tlog.Tree, error) {
	_, rest, _ := bytes.Cut(msg, []byte{'\n'})
	return tlog.ParseTree(append([]byte("go.sum database tree\n"), rest...))
}

// Unverified reads the size and the root of a checkpoint and checks no signature.
func Unverified(msg []byte) (Head, error) {
	tree, err := parseTree(msg)
	if err == nil && tree.N < 1 {
		err = errors.New("of no entries")
	}
	if err != nil {
		return Head{}, &TamperedError{What: "checkpoint", Err: err}
	}
	return Head{Size: uint64(tree.N), Root: crypto.Hash(tree.Hash), Note: msg}, nil
}

// NewVerifier verifies the checkpoints that a key signs under a name.
func NewVerifier(origin string, key [32]byte) (note.Verifier, error) {
	text, err := VerifierKey(origin, key)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(text)
}

// VerifierKey is a key and its name as programs of others take them, a C2SP signed-note
// verifier key: name+hash+base64.
func VerifierKey(origin string, key [32]byte) (string, error) {
	return note.NewEd25519VerifierKey(origin, ed25519.PublicKey(key[:]))
}

// known returns the configurations as they are known now.
func (c *Client) known() []term {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.terms
}

// refresh reads the follow-up configurations and reports whether there are
// new ones. What was verified before cannot change: the list only grows.
func (c *Client) refresh(ctx context.Context) (bool, error) {
	source, ok := c.Ledger.(Configured)
	if !ok {
		return false, nil
	}
	later, err := source.Configs(ctx)
	if err != nil {
		return false, err
	}
	before := c.known()
	terms, err := readTerms(append([][]byte{c.Genesis()}, later...))
	if err != nil {
		return false, err
	}
	for i := range before {
		if i >= len(terms) {
			return false, errFewerDocuments
		}
		if terms[i].Commitment() != before[i].Commitment() {
			return false, c.conflict(ctx, before[i].handover, terms[i].handover)
		}
	}
	if len(terms) == len(before) {
		return false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(terms) > len(c.terms) {
		c.terms = terms
	}
	return true, nil
}

var errFewerDocuments = &TamperedError{What: "configuration documents", Err: errors.New("not all that were shown before")}

// conflict is the error for two heads under which other configurations came into force.
func (c *Client) conflict(ctx context.Context, a, b Head) error {
	if a.Size > b.Size {
		a, b = b, a
	}
	return c.historyError(ctx, a, b)
}

// newest judges a checkpoint by the newest configuration.
func (c *Client) newest(msg []byte) (Head, error) {
	newest := c.Config()
	s, err := OpenNote(c.id, newest.Nodes, msg)
	if err != nil {
		return Head{}, err
	}
	return s.Under(newest)
}

// checkConfig checks configuration entry number n, the genesis being 0, against
// its document.
func (c *Client) checkConfig(ctx context.Context, n int, e *contract.Entry) error {
	fail := func(err error) error { return &TamperedError{What: "configuration entry", Err: err} }
	if n >= len(c.known()) {
		if _, err := c.refresh(ctx); err != nil {
			return err
		}
	}
	terms := c.known()
	switch {
	case n >= len(terms):
		return fail(fmt.Errorf("its document is not shown"))
	case e.Commitment != terms[n].Commitment():
		return fail(fmt.Errorf("it is for another document"))
	}
	signers := terms[max(0, n-1)].Nodes
	if n == 0 {
		signers = signers[:1]
	}
	if err := signedByNode(c.id, signers, e); err != nil {
		return fail(err)
	}
	return nil
}

// fresh reports whether the newest head's time is near enough to the clock's.
func (c *Client) fresh(head Head, within time.Duration) error {
	if within == 0 || c.AnyAge {
		return nil
	}
	if head.Time.IsZero() {
		return &TamperedError{What: "checkpoint", Err: fmt.Errorf("it carries no time")}
	}
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	if age := now().Sub(head.Time).Round(time.Second); age > within || age < -within {
		return ErrStale.With("age", age)
	}
	return nil
}
