package ledgerclient

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// Evidence proves to anybody that the nodes of a ledger signed two histories, of
// which neither is the beginning of the other. It needs nobody's word: only the
// ledger's configuration documents and two heads with the nodes' signatures.
//
// If both heads are of one size, their roots differ. Otherwise Root is that of the
// newer head's first entries, as many as the older head has; Proof shows that
// (RFC 6962 section 2.1.2); and the older head has another root.
//
// The text form is made to be read by people too:
//
//	carekey evidence 1
//	document SIZE          one for each document
//	…                      SIZE bytes, the last one a newline
//	older SIZE
//	…                      a signed note
//	newer SIZE
//	…                      a signed note
//	root BASE64            only if the sizes of the heads differ
//	proof BASE64           one for each hash
type Evidence struct {
	Documents    [][]byte // configuration documents, the genesis document first
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
}

const (
	evidenceHead = "carekey evidence 1\n"
	// MaxEvidence is the most bytes that an evidence file has.
	MaxEvidence = 1 << 20
	maxProof    = 128 // hashes of a consistency proof: at most two for each bit of a size
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
	configs, err := readConfigs(e.Documents)
	if err != nil {
		return nothing("configuration", err)
	}
	f := Finding{Ledger: contract.LedgerID(e.Documents[0]), Name: configs[0].Name}
	if f.Older, _, err = openHead(f.Ledger, configs, e.Older); err != nil {
		return nothing("older head", err)
	}
	if f.Newer, _, err = openHead(f.Ledger, configs, e.Newer); err != nil {
		return nothing("newer head", err)
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
	if err == nil {
		err = tlog.CheckTree(proof, int64(head.Size), tlog.Hash(head.Root), int64(n), root)
	}
	return root, proof, err
}
