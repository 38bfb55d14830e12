package wallet

import (
	"bytes"
	"io"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// recordPart is one part.
type recordPart struct {
	Sum    crypto.Hash  `json:"sum"` // SHA-256 of its bytes
	Leaf   crypto.Hash  `json:"leaf"`
	Slot   int          `json:"slot"`   // of the leaf in the frame
	Of     int          `json:"of"`     // slot of the resource that a narrative belongs to; else its own
	At     int64        `json:"at"`     // of the ciphertext, bytes from the region's start
	Length int64        `json:"length"` // of the ciphertext, bytes
	Size   int          `json:"size"`   // of what it has of the file, bytes
	Entry  int          `json:"entry"`  // of the file, from 0
	Text   bool         `json:"text"`   // a narrative
	Label  health.Label `json:"label"`
}

// partsMaker makes the keys of a version's parts; salts are those that an issuer gave, or
// nil.
func partsMaker(seed crypto.Seed, m *payload.Metadata, salts *payload.Salts) *crypto.Parts {
	if salts == nil {
		return seed.Parts(m.Ledger, m.Author, nil)
	}
	s := crypto.PartSaltsFrom((*[32]byte)(salts))
	return seed.Parts(m.Ledger, m.Author, &s)
}

// bodySize is the size of what is sealed of a part, in bytes.
func bodySize(p *health.Part) int {
	if p.Text {
		return crypto.NarrativeHeadSize + p.Len()
	}
	return p.Len()
}

// spare is by how much the classes of a cut's parts are larger than what they have of the
// file, in bytes.
func spare(cut *health.Cut) (n int64) {
	for i := range cut.Parts {
		x := &cut.Parts[i]
		n += int64(crypto.PartClass(bodySize(x)) - x.Len())
	}
	return n
}

// partsPlan is where each part of a cut goes.
type partsPlan struct {
	cut   *health.Cut
	keys  *crypto.Parts
	frame crypto.Frame
	parts []recordPart
	salts []crypto.Salt
	order []int // the parts by their leaves: the order of their ciphertexts
	size  int64 // of the region without padding, bytes
}

func planParts(keys *crypto.Parts, cut *health.Cut) *partsPlan {
	n := len(cut.Parts)
	p := &partsPlan{cut: cut, keys: keys, parts: make([]recordPart, n), salts: make([]crypto.Salt, n), order: make([]int, n)}
	leaves := make([]crypto.Hash, n)
	var body []byte
	for i := range cut.Parts {
		part := &cut.Parts[i]
		body = p.body(body[:0], i)
		var sum crypto.Hash
		if p.salts[i], leaves[i], sum = keys.Leaf(i, body); part.Text {
			sum = part.Sum()
		}
		p.parts[i] = recordPart{Sum: sum, Leaf: leaves[i], Size: part.Len(), Entry: part.Entry, Text: part.Text,
			Length: int64(crypto.PartClass(len(body)) + crypto.PartOverhead)}
		p.order[i] = i
	}
	p.frame = keys.Frame(leaves)
	slices.SortFunc(p.order, func(a, b int) int { return bytes.Compare(p.parts[a].Leaf[:], p.parts[b].Leaf[:]) })
	p.size = int64(crypto.FrameSize(len(p.frame.Leaves)))
	for _, i := range p.order {
		x := &p.parts[i]
		x.Slot, x.At = p.frame.Slot(x.Leaf), p.size
		p.size += x.Length
	}
	for i := range p.parts {
		x := &p.parts[i]
		x.Of = x.Slot
		if x.Text { // a narrative, of the part before it
			x.Of = p.parts[i-1].Slot
		}
	}
	return p
}

// body appends what is sealed of a part. Of a narrative its resource's part stands before it.
func (p *partsPlan) body(dst []byte, i int) []byte {
	x := &p.cut.Parts[i]
	if x.Text {
		dst = append(dst, crypto.NarrativeHead(p.salts[i-1], p.parts[i-1].Leaf)...)
	}
	return x.Append(dst)
}

// writeTo writes the region without its padding.
func (p *partsPlan) writeTo(w io.Writer) error {
	if _, err := w.Write(p.keys.SealFrame(p.frame)); err != nil {
		return err
	}
	var body, sealed []byte
	for _, i := range p.order {
		body = p.body(body[:0], i)
		sealed = p.keys.Seal(sealed[:0], p.salts[i], p.parts[i].Leaf, body)
		if _, err := w.Write(sealed); err != nil {
			return err
		}
	}
	return nil
}
