package node

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// MarshalEntries encodes a batch: the entries one behind the other, 222 bytes
// each.
func MarshalEntries(entries []contract.Entry) []byte {
	b := make([]byte, 0, len(entries)*contract.Size)
	for i := range entries {
		e := entries[i].Marshal()
		b = append(b, e[:]...)
	}
	return b
}

// ParseEntries decodes a batch of 1 to MaxEntries entries.
func ParseEntries(b []byte) ([]contract.Entry, error) {
	n := len(b) / contract.Size
	if n*contract.Size != len(b) {
		return nil, malformed("batch of entries", errLength)
	}
	if n < 1 || n > MaxEntries {
		return nil, malformed("batch of entries", errRange)
	}
	entries := make([]contract.Entry, n)
	for i := range entries {
		var err error
		if entries[i], err = contract.ParseEntry(b[i*contract.Size : (i+1)*contract.Size]); err != nil {
			return nil, malformed("batch of entries", err)
		}
	}
	return entries, nil
}

// The first byte of an outcome.
const (
	outcomeAccepted  = 0
	outcomeDuplicate = 1
	outcomeRefused   = 2
)

const maxRule = 32 // characters of a rule's name

// MarshalOutcomes encodes the answer to a batch, one outcome per entry: what 1,
// id 32, index 8, hour 4, and of a refusal the rule's name behind its length in
// 1 byte.
func MarshalOutcomes(outcomes []ledgerclient.Outcome) []byte {
	b := make([]byte, 0, len(outcomes)*(1+32+8+4))
	for i := range outcomes {
		o := &outcomes[i]
		what, index := byte(outcomeAccepted), o.Index
		switch {
		case o.Refusal != nil:
			what, index = outcomeRefused, 0
		case o.Duplicate:
			what = outcomeDuplicate
		}
		b = append(b, what)
		b = append(b, o.ID[:]...)
		b = binary.BigEndian.AppendUint64(b, index)
		b = binary.BigEndian.AppendUint32(b, uint32(o.Hour))
		if o.Refusal != nil {
			b = append(b, byte(len(o.Refusal.Rule)))
			b = append(b, o.Refusal.Rule...)
		}
	}
	return b
}

// ParseOutcomes decodes the answer to a batch of n entries.
func ParseOutcomes(b []byte, n int) ([]ledgerclient.Outcome, error) {
	r := reader{b: b}
	var outcomes []ledgerclient.Outcome
	for range n {
		var o ledgerclient.Outcome
		what := r.byte()
		r.check(what <= outcomeRefused)
		r.take(o.ID[:])
		o.Index = r.uint64()
		o.Hour = contract.Hour(r.uint32())
		o.Duplicate = what == outcomeDuplicate
		if what == outcomeRefused {
			rule := r.next(int(r.byte()))
			r.check(o.Index == 0 && validName(rule))
			o.Refusal = &contract.Refusal{Rule: contract.Rule(rule), Entry: o.ID, Hour: o.Hour}
		}
		if r.err != nil {
			break
		}
		outcomes = append(outcomes, o)
	}
	if err := r.end("answer to a batch"); err != nil {
		return nil, err
	}
	return outcomes, nil
}

// validName tells whether b can be a rule of this contract or a later one.
func validName(b []byte) bool {
	if len(b) == 0 || len(b) > maxRule {
		return false
	}
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// EntryPath is where the position of an entry is asked for. Asking tells the node
// which entry the client is interested in.
func EntryPath(id contract.ID) string { return PathEntry + hex.EncodeToString(id[:]) }

// ParseID reads 64 hexadecimal digits in lower case.
func ParseID(s string) (h crypto.Hash, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) || s != hex.EncodeToString(b) {
		return h, malformed("id", errSpare)
	}
	return crypto.Hash(b), nil
}

// MarshalPosition encodes the position of an entry: {"index":17}.
func MarshalPosition(index uint64) []byte {
	return append(strconv.AppendUint([]byte(`{"index":`), index, 10), '}')
}

// ParsePosition decodes the position of an entry.
func ParsePosition(b []byte) (uint64, error) {
	var p struct{ Index *uint64 }
	if err := json.Unmarshal(b, &p); err != nil || p.Index == nil {
		return 0, malformed("position", errSpare)
	}
	return *p.Index, nil
}

// ThreadProofPath is where the proof of a thread is asked for: the thread opened
// at index, at the head of that size. Asking tells the node which thread the
// client is interested in.
func ThreadProofPath(index, size uint64) string {
	return PathThreadProof + strconv.FormatUint(index, 10) + "/" + strconv.FormatUint(size, 10)
}

// ParseThreadProofPath reads what follows PathThreadProof.
func ParseThreadProofPath(s string) (index, size uint64, err error) {
	a, b, _ := strings.Cut(s, "/")
	index, err1 := parseDecimal(a)
	size, err2 := parseDecimal(b)
	if err1 != nil || err2 != nil {
		return 0, 0, malformed("path of a proof", errSpare)
	}
	return index, size, nil
}

// parseDecimal reads a number as it is written: no sign, no zeros before it.
func parseDecimal(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err == nil && strconv.FormatUint(n, 10) != s {
		err = errSpare
	}
	return n, err
}

// maxProof is the most hashes in an inclusion proof.
const maxProof = 64

// MarshalThreadProof encodes a proof: size 8, index 8, last leaf 258, slot behind
// its length in 1 byte (0 or 42), the two proofs each behind the number of its
// hashes in 1 byte, the follow-ups' positions, 8 bytes each, behind their number
// in 4 bytes.
func MarshalThreadProof(p *ledgerclient.ThreadProof) []byte {
	var b []byte
	b = binary.BigEndian.AppendUint64(b, p.Size)
	b = binary.BigEndian.AppendUint64(b, p.Index)
	last := p.Last.Marshal()
	b = append(b, last[:]...)
	b = append(b, byte(len(p.Slot)))
	b = append(b, p.Slot...)
	for _, proof := range [][]crypto.Hash{p.LastProof, p.SlotProof} {
		b = append(b, byte(len(proof)))
		for _, h := range proof {
			b = append(b, h[:]...)
		}
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.FollowUps)))
	for _, f := range p.FollowUps {
		b = binary.BigEndian.AppendUint64(b, f)
	}
	return b
}

// ParseThreadProof decodes a proof. The follow-ups are in ascending order.
func ParseThreadProof(b []byte) (ledgerclient.ThreadProof, error) {
	r := reader{b: b}
	var p ledgerclient.ThreadProof
	p.Size, p.Index = r.uint64(), r.uint64()
	if leaf := r.next(contract.LeafSize); r.err == nil {
		p.Last, r.err = contract.ParseLeaf(leaf)
	}
	slot := r.byte()
	r.check(slot == 0 || slot == contract.SlotSize)
	if slot > 0 {
		p.Slot = append([]byte(nil), r.next(int(slot))...)
	}
	for _, proof := range []*[]crypto.Hash{&p.LastProof, &p.SlotProof} {
		n := int(r.byte())
		r.check(n <= maxProof)
		for range n {
			var h crypto.Hash
			r.take(h[:])
			if r.err != nil {
				break
			}
			*proof = append(*proof, h)
		}
	}
	n := r.uint32()
	r.check(n <= MaxFollowUps && uint64(len(r.b)) == 8*uint64(n))
	for range n {
		if r.err != nil {
			break
		}
		f := r.uint64()
		r.check(len(p.FollowUps) == 0 || f > p.FollowUps[len(p.FollowUps)-1])
		p.FollowUps = append(p.FollowUps, f)
	}
	if err := r.end("state proof"); err != nil {
		return ledgerclient.ThreadProof{}, err
	}
	return p, nil
}

// MarshalConfigs encodes the configuration documents that followed the genesis
// document, oldest first, each behind its length in 4 bytes.
func MarshalConfigs(documents [][]byte) []byte {
	var b []byte
	for _, d := range documents {
		b = appendSized(b, d)
	}
	return b
}

// ParseConfigs decodes a list of at most MaxConfigs documents, none empty.
func ParseConfigs(b []byte) ([][]byte, error) {
	r := reader{b: b}
	var documents [][]byte
	for len(r.b) > 0 && r.err == nil {
		d := r.sized(MaxDocument)
		r.check(len(d) > 0 && len(documents) < MaxConfigs)
		documents = append(documents, append([]byte(nil), d...))
	}
	if err := r.end("list of configurations"); err != nil {
		return nil, err
	}
	return documents, nil
}
