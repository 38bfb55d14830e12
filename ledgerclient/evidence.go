package ledgerclient

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// Evidence proves to anybody that the nodes of a ledger signed two histories, of
// which neither is the beginning of the other. It needs nobody's word: only the
// ledger's configurations and two heads with the nodes' signatures. It names the nodes
// that signed both.
//
// If both heads are of one size, their roots differ. Otherwise Root is that of the
// newer head's first entries, as many as the older head has; Proof shows that
// (RFC 6962 section 2.1.2); and the older head has another root.
//
// The text form is made to be read by people too:
//
//	carekey evidence 1
//	document SIZE          the genesis document; the Succession of each later one
//	…                      SIZE bytes, the last one a newline
//	older SIZE
//	…                      a signed note
//	newer SIZE
//	…                      a signed note
//	root BASE64            only if the sizes of the heads differ
//	proof BASE64           one for each hash
type Evidence struct {
	Documents    [][]byte // configurations as Client.Documents shows them, the genesis document first
	Older, Newer []byte   // signed notes; Older has as many entries as Newer, or fewer
	Root         tlog.Hash
	Proof        tlog.TreeProof
}

// Finding is what an Evidence proves.
type Finding struct {
	Ledger crypto.LedgerID `json:"id"`
	Name   string          `json:"name"` // of the ledger
	Older  Head            `json:"older"`
	Newer  Head            `json:"newer"`
	Root   crypto.Hash     `json:"root"` // of the newer head's history at the older head's size: not Older.Root
	// Both are the checkpoint keys that signed both histories, in the order of the
	// configurations: whoever holds them lied. Where a head takes more than two thirds of
	// the nodes there is one at least, unless a configuration's nodes gave their keys away
	// after they had left.
	Both []Key `json:"both"`
}

// Key is a node's Ed25519 checkpoint key.
type Key [32]byte

func (k Key) String() string { return hex.EncodeToString(k[:]) }

// MarshalText returns the key in lower-case hexadecimal.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

const (
	evidenceHead = "carekey evidence 1\n"
	// MaxEvidence is the most bytes that an evidence file has.
	MaxEvidence = 1 << 20
)

// Marshal returns the text form.
func (e *Evidence) Marshal() []byte {
	b := []byte(evidenceHead)
	part := func(name string, data []byte) {
		b = append(fmt.Appendf(b, "%s %d\n", name, len(data)), data...)
	}
	for _, d := range e.Documents {
		part("document", d)
	}
	part("older", e.Older)
	part("newer", e.Newer)
	if e.Root == (tlog.Hash{}) {
		return b
	}
	b = fmt.Appendf(b, "root %v\n", e.Root)
	for _, h := range e.Proof {
		b = fmt.Appendf(b, "proof %v\n", h)
	}
	return b
}

// ParseEvidence reads the text form, with which the result shares memory. What parses
// re-encodes identically; whether it proves anything is for Check. The error is an
// [ErrEvidence].
func ParseEvidence(b []byte) (*Evidence, error) {
	bad := func(what string) (*Evidence, error) { return nil, ErrEvidence.With("what", what) }
	if len(b) > MaxEvidence {
		return bad("longer than 1 MiB")
	}
	rest, ok := bytes.CutPrefix(b, []byte(evidenceHead))
	if !ok {
		return bad("not an evidence file of version 1")
	}
	var e Evidence
	for len(rest) > 0 {
		line, after, _ := bytes.Cut(rest, []byte{'\n'})
		keyword, value, _ := strings.Cut(string(line), " ")
		if rest = after; keyword == "root" || keyword == "proof" {
			h, err := tlog.ParseHash(value)
			if err != nil {
				return bad("a hash is not complete")
			}
			if keyword == "proof" {
				e.Proof = append(e.Proof, h)
			} else {
				e.Root = h
			}
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > len(after) || after[n-1] != '\n' {
			return bad("a document or a head is not complete")
		}
		data := after[:n:n]
		rest = after[n:]
		switch keyword {
		case "document":
			e.Documents = append(e.Documents, data)
		case "older":
			e.Older = data
		case "newer":
			e.Newer = data
		}
	}
	if len(e.Documents) == 0 || e.Older == nil || e.Newer == nil {
		return bad("a document or a head is missing")
	}
	// What is there twice, in another order or not known is not written again.
	if len(e.Documents) > 1+maxConfigs || len(e.Proof) > maxProof || !bytes.Equal(e.Marshal(), b) {
		return bad("not encoded as it was written")
	}
	return &e, nil
}

// Check verifies the evidence and says what it proves. The error is an
// [ErrEvidence]: it proves nothing.
func (e *Evidence) Check() (Finding, error) {
	nothing := func(what string, why error) (Finding, error) { return Finding{}, ErrEvidence.Of(why, "what", what) }
	if len(e.Documents) == 0 {
		return nothing("no configuration document", nil)
	}
	terms, err := readTerms(e.Documents)
	if err != nil {
		return nothing("configuration", err)
	}
	f := Finding{Ledger: contract.LedgerID(e.Documents[0]), Name: terms[0].Name, Both: []Key{}}
	nodes := allNodes(terms)
	var signed [2]Signatures
	for i, h := range []struct {
		what string
		note []byte
		to   *Head
	}{{"older head", e.Older, &f.Older}, {"newer head", e.Newer, &f.Newer}} {
		if signed[i], err = OpenNote(f.Ledger, nodes, h.note); err == nil {
			*h.to, err = signed[i].underAny(terms)
		}
		if err != nil {
			return nothing(h.what, err)
		}
	}
	for i, n := range nodes {
		if signed[0].By[i] != (Signed{}) && signed[1].By[i] != (Signed{}) {
			f.Both = append(f.Both, Key(n.Checkpoint))
		}
	}
	n, m := f.Older.Size, f.Newer.Size
	switch {
	case n < 1 || n > m:
		return nothing("the older head has more entries", nil)
	case n == m:
		if e.Root != (tlog.Hash{}) || len(e.Proof) > 0 {
			return nothing("a proof where none is needed", nil)
		}
		f.Root = f.Newer.Root
	default:
		if err := tlog.CheckTree(e.Proof, int64(m), tlog.Hash(f.Newer.Root), int64(n), e.Root); err != nil {
			return nothing("the consistency proof does not hold", err)
		}
		f.Root = crypto.Hash(e.Root)
	}
	if f.Root == f.Older.Root {
		return nothing("the two heads are of one history", nil)
	}
	return f, nil
}

// underAny judges a checkpoint by that of the configurations, the newest first, of which
// enough nodes have signed it: who has left may sign no other history either.
func (s *Signatures) underAny(terms []term) (head Head, err error) {
	for i := len(terms) - 1; i >= 0; i-- {
		if head, err = s.Under(terms[i].Config); err == nil {
			break
		}
	}
	return head, err
}

// historyError says what is wrong when older seems not to be the beginning of
// the history under newer: *ForkError, with evidence where older has its note; or
// *TamperedError if the entries under newer do begin with older's, so that only
// what was said about them was wrong. It reads all leaves.
func (c *Client) historyError(ctx context.Context, older, newer Head) error {
	fork := &ForkError{Size: older.Size, Pinned: older.Root}
	e := &Evidence{Older: older.Note, Newer: newer.Note}
	if older.Size == newer.Size {
		fork.Head = newer.Root
	} else {
		root, proof, err := c.proveFromLeaves(ctx, older.Size, newer)
		if err != nil {
			return fork // no proof of it for others, but no doubt either: the ledger failed to show that it is one history
		}
		if crypto.Hash(root) == older.Root {
			return &TamperedError{What: "consistency proof"}
		}
		e.Root, e.Proof = root, proof
	}
	e.Documents = c.Documents()
	if _, err := e.Check(); err == nil {
		fork.Evidence = e
	}
	return fork
}

// proveFromLeaves reads the leaves under head and returns the root of the first n
// with the proof that it is theirs, 1 ≤ n < head.Size. Memory: 64 bytes for each leaf.
func (c *Client) proveFromLeaves(ctx context.Context, n uint64, head Head) (root tlog.Hash, proof tlog.TreeProof, err error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, a := range at {
			out[i] = stored[a]
		}
		return out, nil
	})
	for {
		stored = stored[:0]
		err = c.eachLeaf(ctx, 0, head.Size, func(i uint64, leaf *contract.Leaf) error {
			raw := leaf.Marshal()
			more, err := tlog.StoredHashes(int64(i), raw[:], reader)
			stored = append(stored, more...)
			return err
		})
		if err == nil {
			root, err = tlog.TreeHash(int64(n), reader)
		}
		if err == nil {
			proof, err = tlog.ProveTree(int64(head.Size), int64(n), reader)
		}
		if err == nil && tlog.CheckTree(proof, int64(head.Size), tlog.Hash(head.Root), int64(n), root) != nil {
			err = &TamperedError{What: "leaves"}
		}
		if !c.elsewhere(err) {
			return root, proof, err
		}
	}
}
