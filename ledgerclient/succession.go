package ledgerclient

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// Succession is a configuration document that follows another one, with what shows that
// it came into force: the handover checkpoint. Approvals alone do not: enough nodes may
// have approved two drafts, or one that was never ordered (SPEC.md, "Handover").
//
// The text form, from which nodes, wallets and evidence files read and write it:
//
//	…                 the document
//	entry BASE64      the leaf of the entry that commits to it
//	proof BASE64      one for each hash of its inclusion (RFC 6962 section 2.1.1)
//	…                 the handover checkpoint, a signed note
type Succession struct {
	Document []byte
	Entry    contract.Leaf
	Proof    tlog.RecordProof
	Note     []byte // of a log in which the entry is the last
}

// maxProof bounds the hashes of a proof: at most two for each bit of a size.
const maxProof = 128

// Marshal returns the text form.
func (s *Succession) Marshal() []byte {
	leaf := s.Entry.Marshal()
	b := fmt.Appendf(bytes.Clone(s.Document), "entry %s\n", base64.StdEncoding.EncodeToString(leaf[:]))
	for _, h := range s.Proof {
		b = fmt.Appendf(b, "proof %v\n", h)
	}
	return append(b, s.Note...)
}

// ParseSuccession reads the text form, with which the result shares memory. What parses
// re-encodes identically; whether it holds is for Connect and Evidence.Check. The error is
// a *TamperedError.
func ParseSuccession(b []byte) (s Succession, err error) {
	bad := func(what string) (Succession, error) {
		return Succession{}, &TamperedError{What: "configuration document", Err: errors.New(what)}
	}
	at := bytes.Index(b, []byte("\nentry ")) + 1
	if at == 0 {
		return bad("its entry is not shown")
	}
	s.Document, s.Note = b[:at:at], b[at:]
	for first := true; first || bytes.HasPrefix(s.Note, []byte("proof ")); first = false {
		line, rest, _ := bytes.Cut(s.Note, []byte{'\n'})
		s.Note = rest
		_, value, _ := strings.Cut(string(line), " ")
		if !first {
			h, err := tlog.ParseHash(value)
			if err != nil || len(s.Proof) == maxProof {
				return bad("the proof of its entry is not complete")
			}
			s.Proof = append(s.Proof, h)
			continue
		}
		leaf, err := base64.StdEncoding.DecodeString(value)
		if err == nil {
			s.Entry, err = contract.ParseLeaf(leaf)
		}
		if err != nil {
			return bad("its entry is not complete")
		}
	}
	if !bytes.Equal(s.Marshal(), b) {
		return bad("not encoded as it was written")
	}
	return s, nil
}

// term is a configuration of a ledger and when it is in force.
type term struct {
	contract.Config
	shown []byte // the document, of a later one with its succession
	// handover is the head of the log whose last entry brought it into force; of the
	// genesis document one without a note, of size 1.
	handover Head
}

// ReadConfigs checks a ledger's configurations as Client.Documents has them, the genesis
// document first, and returns them. The errors are *TamperedError and [ErrThreshold].
func ReadConfigs(shown [][]byte) (all []*contract.Config, err error) {
	terms, err := readTerms(shown)
	for i := range terms {
		all = append(all, &terms[i].Config)
	}
	return all, err
}

// readTerms checks a ledger's configurations as they are shown: the genesis document,
// and the successions of those that followed, oldest first. The list needs no other word
// than the ledger's id. The errors are *TamperedError, and [ErrThreshold] for a
// configuration under which no head can be believed.
func readTerms(shown [][]byte) ([]term, error) {
	fail := func(i int, err error) ([]term, error) {
		if errors.Is(err, ErrThreshold) {
			return nil, err
		}
		what := "configuration document"
		if i > 0 {
			what = fmt.Sprintf("configuration document %d", i)
		}
		return nil, &TamperedError{What: what, Err: err}
	}
	first, err := contract.ParseConfig(shown[0])
	if err == nil && !first.Previous.IsZero() {
		err = fmt.Errorf("it follows another one")
	}
	if err == nil {
		err = CheckNodes(first)
	}
	if err != nil {
		return fail(0, err)
	}
	if len(shown)-1 > maxConfigs {
		return nil, &TamperedError{What: "configuration documents", Err: fmt.Errorf("%d of them", len(shown)-1)}
	}
	terms := []term{{first, shown[0], Head{Size: 1}}}
	id := first.LedgerID()
	for i, b := range shown[1:] {
		next, err := terms[i].follow(id, b)
		if err != nil {
			return fail(i+1, err)
		}
		terms = append(terms, next)
	}
	return terms, nil
}

// follow verifies a succession of t: enough nodes of t approve the document, a node of t
// signed its entry, and enough nodes of both signed the head under which that is the last.
func (t *term) follow(id crypto.LedgerID, b []byte) (term, error) {
	s, err := ParseSuccession(b)
	if err != nil {
		return term{}, err
	}
	next, err := contract.CheckConfig(t.Config, s.Document, &s.Entry.Entry)
	if err == nil {
		err = CheckNodes(next)
	}
	if err == nil {
		err = signedByNode(id, t.Nodes, &s.Entry.Entry)
	}
	if err != nil {
		return term{}, err
	}
	note, err := OpenNote(id, append(t.Nodes[:len(t.Nodes):len(t.Nodes)], next.Nodes...), s.Note)
	if err != nil {
		return term{}, err
	}
	for _, c := range []contract.Config{t.Config, next} {
		if _, err := note.Under(c); err != nil {
			return term{}, err
		}
	}
	head, leaf := note.Head, s.Entry.Marshal()
	if head.Size <= t.handover.Size {
		return term{}, errors.New("it comes before the one that it follows")
	}
	if err := tlog.CheckRecord(s.Proof, int64(head.Size), tlog.Hash(head.Root), int64(head.Size)-1, tlog.RecordHash(leaf[:])); err != nil {
		return term{}, err
	}
	return term{next, b, head}, nil
}

// signedByNode checks that a configuration entry is signed by one of the nodes.
func signedByNode(id crypto.LedgerID, nodes []contract.Node, e *contract.Entry) error {
	if e.Kind != contract.KindConfig {
		return errors.New("its entry is of another kind")
	}
	for i := range nodes {
		if nodes[i].Key == e.Author {
			return contract.CheckSignature(id, e)
		}
	}
	return errors.New("not signed by a node")
}

// allNodes are the nodes of all configurations, each once.
func allNodes(terms []term) (nodes []contract.Node) {
	if len(terms) == 1 {
		return terms[0].Nodes
	}
	seen := map[[32]byte]bool{}
	for _, t := range terms {
		for _, n := range t.Nodes {
			if !seen[n.Checkpoint] {
				seen[n.Checkpoint] = true
				nodes = append(nodes, n)
			}
		}
	}
	return nodes
}

// at is the number of the configuration by which a head of that size is judged: that of its
// last entry. It is in force for the entry behind it.
func at(terms []term, size uint64) int {
	for i := len(terms) - 1; i > 0; i-- {
		if terms[i].handover.Size <= size {
			return i
		}
	}
	return 0
}
