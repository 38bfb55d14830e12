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

// readConfigs checks a ledger's configuration documents, the genesis document
// first: each later one names the one before it and is approved by enough of its
// nodes, so that the list needs no other word than the ledger's id.
func readConfigs(docs [][]byte) ([]contract.Config, error) {
	first, err := contract.ParseConfig(docs[0])
	if err == nil && !first.Previous.IsZero() {
		err = fmt.Errorf("it follows another one")
	}
	if err != nil {
		return nil, &TamperedError{What: "configuration document", Err: err}
	}
	later := docs[1:]
	if len(later) > maxConfigs {
		return nil, &TamperedError{What: "configuration documents", Err: fmt.Errorf("%d of them", len(later))}
	}
	configs := []contract.Config{first}
	for i, doc := range later {
		next, err := contract.CheckConfig(configs[i], doc, &contract.Entry{Commitment: contract.ConfigCommitment(doc)})
		if err != nil {
			return nil, &TamperedError{What: fmt.Sprintf("configuration document %d", i+1), Err: err}
		}
		configs = append(configs, next)
	}
	return configs, nil
}

// maxNote bounds a checkpoint; real ones have about 500 bytes.
const maxNote = 4096

// openHead verifies a checkpoint of a ledger that has, or had, these
// configurations: it is signed by a node of one of them. by is the number of the
// newest configuration that has the node.
func openHead(id crypto.LedgerID, configs []contract.Config, msg []byte) (head Head, by int, err error) {
	fail := func(err error) (Head, int, error) {
		return Head{}, 0, &TamperedError{What: "checkpoint", Err: err}
	}
	if len(msg) > maxNote {
		return fail(fmt.Errorf("%d bytes", len(msg)))
	}
	origin := Origin(id)
	var verifiers []note.Verifier
	last := map[[32]byte]int{}    // checkpoint key → newest configuration that has it
	keys := map[uint32][32]byte{} // key hash → checkpoint key
	for i := range configs {
		for _, n := range configs[i].Nodes {
			if _, known := last[n.Checkpoint]; !known {
				v, err := NewVerifier(origin, n.Checkpoint)
				if err != nil {
					return fail(err)
				}
				verifiers = append(verifiers, v, NewTimeVerifier(TimeName(id), n.Checkpoint))
				keys[v.KeyHash()] = n.Checkpoint
			}
			last[n.Checkpoint] = i
		}
	}
	first, _, _ := bytes.Cut(msg, []byte{'\n'})
	if string(first) != origin && bytes.HasPrefix(first, []byte(originPrefix)) {
		return Head{}, 0, &TamperedError{What: "checkpoint of another ledger"}
	}
	n, err := note.Open(msg, note.VerifierList(verifiers...))
	if err != nil {
		return fail(err)
	}
	if string(first) != origin {
		return fail(fmt.Errorf("not one of a ledger"))
	}
	by = -1
	for _, s := range n.Sigs {
		key, ok := keys[s.Hash]
		if s.Name != origin || !ok {
			continue
		}
		by = max(by, last[key])
		if t, ok := NewTimeVerifier(TimeName(id), key).time(n); ok && t.After(head.Time) {
			head.Time = t
		}
	}
	if by < 0 {
		return fail(fmt.Errorf("no signature of a node"))
	}
	tree, err := parseTree([]byte(n.Text))
	if err != nil {
		return fail(err)
	}
	head.Size, head.Root, head.Note = uint64(tree.N), crypto.Hash(tree.Hash), bytes.Clone(msg)
	return head, by, nil
}

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
func (c *Client) known() []contract.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.configs
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
	configs, err := readConfigs(append([][]byte{c.Genesis()}, later...))
	if err != nil {
		return false, err
	}
	for i := range before {
		if i >= len(configs) || configs[i].Commitment() != before[i].Commitment() {
			return false, &TamperedError{What: "configuration documents", Err: fmt.Errorf("not those that were shown before")}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(configs) > len(c.configs) {
		c.configs = configs
	}
	return len(configs) > len(before), nil
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
	configs := c.known()
	if n >= len(configs) {
		return fail(fmt.Errorf("its document is not shown"))
	}
	if e.Commitment != configs[n].Commitment() {
		return fail(fmt.Errorf("it is for another document"))
	}
	signers := configs[max(0, n-1)].Nodes
	if n == 0 {
		signers = signers[:1]
	}
	for i := range signers {
		if signers[i].Key == e.Author {
			if err := contract.CheckSignature(c.id, e); err != nil {
				return fail(err)
			}
			return nil
		}
	}
	return fail(fmt.Errorf("not signed by a node"))
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
