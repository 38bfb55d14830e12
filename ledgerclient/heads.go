package ledgerclient

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/note"
)

// A head of the log is no node's word: it is valid when as many nodes as the threshold of
// the configuration in force says have signed it (SPEC.md, "Checkpoint"). What follows
// reads notes that bear the signatures of some, and makes one note of several.

const (
	// MaxNote is the most bytes of a checkpoint with all its signatures. Those of 16
	// nodes, and of as many that they take over from, are 12 KiB; the rest is for witnesses.
	MaxNote = 16 << 10
	// maxSignatures is how many signature lines a note has: package note reads no more.
	maxSignatures = 100
)

// Signed is what one node put under a checkpoint.
type Signed struct {
	Plain bool      // the signature that holds for good
	Time  time.Time // of its newest timestamped signature, UTC; zero: it made none
}

// Signatures are a checkpoint whose signatures were verified.
type Signatures struct {
	Head Head // without a time, which depends on who counts; its note is what was read
	// By has an element for each of the nodes that were asked about, in their order.
	By []Signed

	text    string
	nodes   []contract.Node
	lines   [][2]note.Signature // of each node: the plain one and the newest timestamped one; empty: none
	foreign []note.Signature    // of nobody who was asked about, as they came
}

// OpenNote reads a checkpoint of a ledger and verifies what the nodes signed: those of one
// configuration, or of several. Lines of others are passed over. A line of a node that
// does not verify spoils the note.
//
// The error is a *TamperedError. Without a signature of any of the nodes it is not one:
// how many are enough is for Under.
func OpenNote(id crypto.LedgerID, nodes []contract.Node, msg []byte) (Signatures, error) {
	fail := func(err error) (Signatures, error) {
		return Signatures{}, &TamperedError{What: "checkpoint", Err: err}
	}
	if len(msg) > MaxNote {
		return fail(fmt.Errorf("%d bytes", len(msg)))
	}
	origin, timed := Origin(id), TimeName(id)
	first, _, _ := bytes.Cut(msg, []byte{'\n'})
	if string(first) != origin && bytes.HasPrefix(first, []byte(originPrefix)) {
		return Signatures{}, &TamperedError{What: "checkpoint of another ledger"}
	}
	// Package note takes the lines apart. It is told of no key, since it keeps one
	// signature of those whose 32-bit ids are alike, and the first of several times.
	_, err := note.Open(msg, note.VerifierList())
	unverified, ok := errors.AsType[*note.UnverifiedNoteError](err)
	if !ok {
		return fail(err)
	}
	if string(first) != origin {
		return fail(errors.New("not one of a ledger"))
	}
	s := Signatures{text: unverified.Note.Text, nodes: nodes, By: make([]Signed, len(nodes)), lines: make([][2]note.Signature, len(nodes))}
	if s.Head, err = Unverified([]byte(s.text)); err != nil {
		return Signatures{}, err
	}
	s.Head.Note = bytes.Clone(msg)
	for _, line := range unverified.Note.UnverifiedSigs {
		if line.Name != origin && line.Name != timed {
			s.foreign = append(s.foreign, line)
			continue
		}
		known, err := s.take(line, line.Name == timed)
		if err != nil {
			return fail(err)
		}
		if !known {
			s.foreign = append(s.foreign, line)
		}
	}
	return s, nil
}

// take verifies a line that has the name of the nodes' signatures, and reports whether it
// is of one of the nodes.
func (s *Signatures) take(line note.Signature, timed bool) (known bool, err error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(line.Base64)
	if err != nil {
		return false, err
	}
	for i := range s.nodes {
		key := s.nodes[i].Checkpoint
		kind := byte(plainType)
		if timed {
			kind = cosignatureType
		}
		if keyID(line.Name, kind, key) != line.Hash {
			continue
		}
		known = true
		switch { // what does not verify may be of another key with this id
		case !timed && ed25519.Verify(key[:], []byte(s.text), raw[4:]):
			s.By[i].Plain, s.lines[i][0] = true, line
			return true, nil
		case timed && NewTimeVerifier(line.Name, key).Verify([]byte(s.text), raw[4:]):
			if t := time.Unix(int64(binary.BigEndian.Uint64(raw[4:])), 0).UTC(); t.After(s.By[i].Time) {
				s.By[i].Time, s.lines[i][1] = t, line
			}
			return true, nil
		}
	}
	if known {
		return true, errors.New("a node's signature does not verify")
	}
	return false, nil
}

// Under judges the checkpoint by a configuration whose nodes were asked about: it is a
// head if as many of them as its threshold have signed it, each counted once; its time is
// the newest that as many of them have signed, so that those who may lie move nothing. Its
// note has the lines of the nodes that were asked about and no others, so that it has room
// in what travels (FORMAT.md, "Room").
//
// Errors: [ErrTooFew]; *TamperedError if none of them has signed.
func (s *Signatures) Under(c contract.Config) (Head, error) {
	var times []time.Time
	for i, by := range s.By {
		if by.Plain && slices.ContainsFunc(c.Nodes, func(n contract.Node) bool { return n.Checkpoint == s.nodes[i].Checkpoint }) {
			times = append(times, by.Time)
		}
	}
	switch have, need := len(times), int(c.Threshold); {
	case have == 0:
		return Head{}, &TamperedError{What: "checkpoint", Err: errors.New("no signature of a node")}
	case have < need:
		return Head{}, ErrTooFew.With("have", have, "need", need)
	}
	slices.SortFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	head := s.Head
	head.Note, head.Time = s.marshal(false), times[c.Threshold-1]
	return head, nil
}

// JoinNotes makes one note of several over one text: of each node that was asked about the
// plain signature and the newest timestamped one, in the order of the nodes, and behind
// them the lines of others, of each key the first that came, as far as [MaxNote] allows.
// Of others nothing is verified. What it returns is the same for the same notes.
//
// Errors: those of OpenNote for one of the notes, and *TamperedError if they are not over
// one text.
func JoinNotes(id crypto.LedgerID, nodes []contract.Node, first []byte, more ...[]byte) ([]byte, error) {
	all, err := OpenNote(id, nodes, first)
	if err != nil {
		return nil, err
	}
	others := make([]Signatures, len(more))
	for i, msg := range more {
		if others[i], err = OpenNote(id, nodes, msg); err != nil {
			return nil, err
		}
	}
	all, err = all.With(others...)
	return all.Head.Note, err
}

// Of is the checkpoint with what one of the nodes put under it alone, which is given by its
// place among those that were asked about.
func (s Signatures) Of(node int) Signatures {
	one := s
	one.By, one.lines, one.foreign = make([]Signed, len(s.By)), make([][2]note.Signature, len(s.lines)), nil
	one.By[node], one.lines[node] = s.By[node], s.lines[node]
	one.Head.Note = one.marshal(false)
	return one
}

// With is what JoinNotes is for notes that were verified, for the same nodes.
func (s Signatures) With(more ...Signatures) (Signatures, error) {
	all := s
	all.By, all.lines, all.foreign = slices.Clone(s.By), slices.Clone(s.lines), slices.Clone(s.foreign)
	for _, m := range more {
		if m.text != all.text {
			return Signatures{}, &TamperedError{What: "checkpoint", Err: errors.New("not over the text of the first")}
		}
		for n, by := range m.By {
			if by.Plain && !all.By[n].Plain {
				all.By[n].Plain, all.lines[n][0] = true, m.lines[n][0]
			}
			if by.Time.After(all.By[n].Time) {
				all.By[n].Time, all.lines[n][1] = by.Time, m.lines[n][1]
			}
		}
		all.foreign = append(all.foreign, m.foreign...)
	}
	all.Head.Note = all.marshal(true)
	return all, nil
}

// marshal is the note with the lines of the nodes that were asked about, and of others.
func (s *Signatures) marshal(others bool) []byte {
	b := []byte(s.text + "\n")
	count := 0
	add := func(line note.Signature) {
		next := fmt.Sprintf("— %s %s\n", line.Name, line.Base64)
		if len(b)+len(next) <= MaxNote && count < maxSignatures {
			b = append(b, next...)
			count++
		}
	}
	for _, lines := range s.lines {
		for _, line := range lines {
			if line.Name != "" {
				add(line)
			}
		}
	}
	if !others {
		return b
	}
	// Of one key the first counts: who joins them puts before others what it trusts.
	type name struct {
		name string
		hash uint32
	}
	seen := map[name]bool{}
	for _, line := range s.foreign {
		if by := (name{line.Name, line.Hash}); !seen[by] {
			seen[by] = true
			add(line)
		}
	}
	return b
}

// CheckNodes reports whether heads of a configuration can be believed: any two that enough
// nodes signed have an honest signer in common as long as fewer nodes lie than may be
// missing, n − t of n. That is so where 3t > 2n, and [ErrThreshold] is returned where it
// is not. The contract allows such a document; no wallet takes heads under it, and no
// honest node founds a ledger with it or approves it.
func CheckNodes(c contract.Config) error {
	if n, t := len(c.Nodes), int(c.Threshold); 3*t <= 2*n {
		return ErrThreshold.With("nodes", n, "threshold", t)
	}
	return nil
}
