package ledgerclient

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Client reads one ledger and checks all it says. It is safe for concurrent use
// if the services are.
type Client struct {
	Services
	id       crypto.LedgerID
	doc      []byte
	config   contract.Config
	verifier note.Verifier
}

// Head is a verified signed head of the log.
type Head struct {
	Size uint64
	Root crypto.Hash
	Note []byte // the signed note it was read from
}

// Connect reads the ledger's configuration. want is the id it must have; the
// zero id accepts whatever ledger is there, which is right only when a wallet
// meets its ledger for the first time. Another ledger is a *ForeignLedgerError.
func Connect(ctx context.Context, s Services, want crypto.LedgerID) (*Client, error) {
	doc, err := s.Ledger.Genesis(ctx)
	if err != nil {
		return nil, err
	}
	config, err := contract.ParseConfig(doc)
	if err != nil {
		return nil, &TamperedError{What: "configuration document", Err: err}
	}
	id := config.LedgerID()
	if want != (crypto.LedgerID{}) && id != want {
		return nil, &ForeignLedgerError{Want: want, Got: id}
	}
	vkey, err := note.NewEd25519VerifierKey(Origin(id), ed25519.PublicKey(config.Nodes[0].Checkpoint[:]))
	if err != nil {
		return nil, &TamperedError{What: "node key", Err: err}
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, &TamperedError{What: "node key", Err: err}
	}
	if len(s.Keepers) != len(config.Keepers) {
		return nil, &TamperedError{What: "keepers", Err: fmt.Errorf("%d reachable, %d in the configuration", len(s.Keepers), len(config.Keepers))}
	}
	for i, k := range s.Keepers {
		if k.Key() != config.Keepers[i] {
			return nil, &TamperedError{What: fmt.Sprintf("key of keeper %d", i+1)}
		}
	}
	return &Client{Services: s, id: id, doc: doc, config: config, verifier: verifier}, nil
}

// ID is the ledger's id: the hash of its first configuration document.
func (c *Client) ID() crypto.LedgerID { return c.id }

// Genesis is the first configuration document itself; it must not be changed.
func (c *Client) Genesis() []byte { return c.doc }

// Config is the ledger's configuration.
func (c *Client) Config() contract.Config { return c.config }

// Params are what the configuration means to the contract.
func (c *Client) Params() contract.Params { return c.config.Params() }

// Origin is the first line of the ledger's checkpoints and the name of the key
// that signs them.
func Origin(id crypto.LedgerID) string { return "carekey/v1/" + hex.EncodeToString(id[:]) }

// Head fetches the newest checkpoint and verifies its signature.
func (c *Client) Head(ctx context.Context) (Head, error) {
	msg, err := c.Ledger.Checkpoint(ctx)
	if err != nil {
		return Head{}, err
	}
	return c.ReadHead(msg)
}

// maxNote bounds a checkpoint; real ones have about 300 bytes.
const maxNote = 4096

// ReadHead verifies a checkpoint that came by another way, for example inside
// the terms of a grant.
func (c *Client) ReadHead(msg []byte) (Head, error) {
	if len(msg) > maxNote {
		return Head{}, &TamperedError{What: "checkpoint", Err: fmt.Errorf("%d bytes", len(msg))}
	}
	n, err := note.Open(msg, note.VerifierList(c.verifier))
	if err != nil {
		return Head{}, &TamperedError{What: "checkpoint", Err: err}
	}
	origin, _, _ := bytes.Cut([]byte(n.Text), []byte("\n"))
	if string(origin) != Origin(c.id) {
		return Head{}, &TamperedError{What: "checkpoint of another ledger"}
	}
	// tlog.ParseTree wants Go's own first line; the rest of the format is the
	// same (C2SP tlog-checkpoint was made from it).
	tree, err := tlog.ParseTree(append([]byte("go.sum database tree"), n.Text[len(origin):]...))
	if err != nil {
		return Head{}, &TamperedError{What: "checkpoint", Err: err}
	}
	return Head{Size: uint64(tree.N), Root: crypto.Hash(tree.Hash), Note: msg}, nil
}

// chunk is how many leaves are asked for at a time: about 1 MiB.
const chunk = 4096

// Advance goes from the pin to the ledger's newest head. It reads every leaf in
// between and gives each to visit, and returns the new pin once the leaves are
// shown to be exactly those under the signed head. What visit was given is not
// verified before that: it must change nothing for good until Advance has
// returned without an error.
//
// known, if not zero, is a head that was verified before, at a size not below the
// pin's: the leaves must pass through it. It is for rescans from the beginning.
//
// Errors: *RollbackError if the head is older than the pin, *ForkError if the
// ledger contradicts what was verified before, *TamperedError if the leaves are
// not those of the head, and what visit returns.
func (c *Client) Advance(ctx context.Context, pin, known Pin, visit func(index uint64, leaf *contract.Leaf) error) (Pin, Head, error) {
	if !pin.valid() || (pin.Size > 0 && pin.Ledger != c.id) || (known.Size > 0 && (known.Ledger != c.id || known.Size < pin.Size)) {
		return Pin{}, Head{}, &TamperedError{What: "remembered head"}
	}
	head, err := c.Head(ctx)
	if err != nil {
		return Pin{}, Head{}, err
	}
	if pinned := max(pin.Size, known.Size); head.Size < pinned {
		return Pin{}, Head{}, &RollbackError{Pinned: pinned, Head: head.Size}
	}
	if head.Size == pin.Size {
		if head.Root != pin.Root {
			return Pin{}, Head{}, &ForkError{Size: pin.Size, Pinned: pin.Root, Head: head.Root}
		}
		return pin, head, nil
	}
	next := Pin{Ledger: c.id, Size: pin.Size, Hour: pin.Hour, Edge: append([]crypto.Hash(nil), pin.Edge...)}
	for next.Size < head.Size {
		to := min(next.Size+chunk, head.Size)
		leaves, err := c.Ledger.Leaves(ctx, next.Size, to)
		if err != nil {
			return Pin{}, Head{}, err
		}
		if uint64(len(leaves)) != to-next.Size {
			return Pin{}, Head{}, &TamperedError{What: "leaves", Err: fmt.Errorf("%d of %d answered", len(leaves), to-next.Size)}
		}
		for i := range leaves {
			leaf := &leaves[i]
			if leaf.Hour < next.Hour {
				return Pin{}, Head{}, &TamperedError{What: fmt.Sprintf("entry %d", next.Size), Err: fmt.Errorf("ledger time goes backwards")}
			}
			raw := leaf.Marshal()
			next.Edge = add(next.Edge, next.Size, crypto.Hash(tlog.RecordHash(raw[:])))
			next.Hour = leaf.Hour
			if err := visit(next.Size, leaf); err != nil {
				return Pin{}, Head{}, err
			}
			next.Size++
			if next.Size == known.Size && edgeRoot(next.Edge) != known.Root {
				return Pin{}, Head{}, &ForkError{Size: known.Size, Pinned: known.Root, Head: edgeRoot(next.Edge)}
			}
		}
		if err := ctx.Err(); err != nil {
			return Pin{}, Head{}, err
		}
	}
	next.Root = edgeRoot(next.Edge)
	if next.Root != head.Root {
		return Pin{}, Head{}, c.blame(ctx, pin, head)
	}
	return next, head, nil
}

// blame finds out why the leaves after the pin do not lead to the head: either
// the head is of another history, or the leaves are not the head's.
func (c *Client) blame(ctx context.Context, pin Pin, head Head) error {
	if pin.Size > 0 {
		if err := c.CheckPrefix(ctx, pin.Size, pin.Root, head); err != nil {
			return err
		}
	}
	return &TamperedError{What: fmt.Sprintf("an entry from %d to %d", pin.Size, head.Size-1), Err: fmt.Errorf("not what the checkpoint was signed for")}
}

// CheckPrefix verifies that the log of that size and root is the beginning of the
// log under head: *RollbackError if head is older, *ForkError if it is another
// history.
func (c *Client) CheckPrefix(ctx context.Context, size uint64, root crypto.Hash, head Head) error {
	switch {
	case size > head.Size:
		return &RollbackError{Pinned: size, Head: head.Size}
	case size == 0:
		return nil
	case size == head.Size:
		if root != head.Root {
			return &ForkError{Size: size, Pinned: root, Head: head.Root}
		}
		return nil
	}
	proof, err := c.Ledger.ProveConsistency(ctx, size, head.Size)
	if err != nil {
		return err
	}
	if tlog.CheckTree(hashes(proof), int64(head.Size), tlog.Hash(head.Root), int64(size), tlog.Hash(root)) != nil {
		return &ForkError{Size: size, Pinned: root, Head: head.Root}
	}
	return nil
}

func hashes(hs []crypto.Hash) []tlog.Hash {
	out := make([]tlog.Hash, len(hs))
	for i, h := range hs {
		out[i] = tlog.Hash(h)
	}
	return out
}
