package wallet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// Of a record of which only parts were granted, its recipient gets a Bundle that holds
// their bytes and says that it is not all. The sender signed what it is made of: the terms
// name the root that all leaves are under, and commit to the envelope with the head that
// all pieces are under. Each part is what its leaf says, and has its place by it.

// partName is the name of the file.
func partName(id contract.ID) string { return "part-" + hex.EncodeToString(id[:4]) + ".json" }

// maxSubset bounds what is held in memory of the granted parts of one record, in bytes.
// Their bodies are no more than the file that they were cut from.
const maxSubset = health.MaxSplit + 1<<20

// granted reads the granted parts of a record. All of the region is read, so that the
// store sees the same whatever was granted.
func (c *content) granted(ctx context.Context, ledger crypto.LedgerID, e *payload.EnvelopePart, progress func(int64)) (_ []health.Granted, _ *payload.Proof, err error) {
	in, err := c.span(e.Start, e.End)
	if err != nil {
		return nil, nil, err
	}
	region := readAhead(&counted{ctx: ctx, r: in, progress: progress})
	defer region.Close()
	sealed := make([]byte, crypto.FrameSize(e.Slots))
	if _, err := io.ReadFull(region, sealed); err != nil {
		return nil, nil, c.explain(err)
	}
	key := crypto.PartsFrameKeyFrom((*[32]byte)(&e.FrameKey))
	defer key.Wipe()
	frame, err := key.Open(ledger, e.Author, e.Root, e.Slots, sealed)
	if err != nil {
		return nil, nil, c.explain(err)
	}
	bodies, salts := map[uint32][]byte{}, map[uint32]crypto.Salt{} // by slot
	heads := map[uint32][]byte{}                                   // of narratives
	at, size := int64(len(sealed)), 0
	for i := range e.Items {
		it := &e.Items[i]
		if _, err := io.CopyN(io.Discard, region, int64(it.At)-at); err != nil {
			return nil, nil, c.explain(err)
		}
		at = int64(it.At) + int64(it.Length)
		if cap(sealed) < int(it.Length) {
			sealed = make([]byte, it.Length)
		}
		sealed = sealed[:it.Length]
		if _, err := io.ReadFull(region, sealed); err != nil {
			return nil, nil, c.explain(err)
		}
		salt, body, err := crypto.PartKeyFrom((*[16]byte)(&it.Key)).OpenSalted(ledger, e.Author, frame.Leaves[it.Slot], sealed)
		if err != nil {
			return nil, nil, c.explain(err)
		}
		if size += len(body); size > maxSubset {
			return nil, nil, c.tampered("its parts are larger than a file that is split")
		}
		salts[it.Slot] = salt
		body = bytes.Clone(body) // without the zeros behind it
		if bytes.HasPrefix(body, []byte{0}) && len(body) > crypto.NarrativeHeadSize {
			heads[it.Slot], body = body[:crypto.NarrativeHeadSize], body[crypto.NarrativeHeadSize:]
		}
		if narrative := heads[it.Slot] != nil; narrative == bytes.HasPrefix(body, []byte{'{'}) {
			return nil, nil, c.tampered("one of its parts is neither a resource nor a narrative")
		}
		bodies[it.Slot] = body
	}
	if _, err := io.Copy(io.Discard, region); err != nil {
		return nil, nil, c.explain(err)
	}
	texts, textSalts := map[uint32][]byte{}, map[uint32]crypto.Salt{} // by the slot of what they were cut from
	for i := range e.Items {
		if it := &e.Items[i]; it.Of != it.Slot {
			if !bytes.Equal(heads[it.Slot], crypto.NarrativeHead(salts[it.Of], frame.Leaves[it.Of])) {
				return nil, nil, c.tampered("a narrative is not of the resource that it is to go into")
			}
			texts[it.Of], textSalts[it.Of] = bodies[it.Slot], salts[it.Slot]
		}
	}
	var parts []health.Granted
	var under []partSalts
	for i := range e.Items {
		if it := &e.Items[i]; it.Of == it.Slot {
			parts = append(parts, health.Granted{Body: bodies[it.Slot], Text: texts[it.Slot]})
			of := partSalts{body: salts[it.Slot], text: textSalts[it.Slot]}
			if head := heads[it.Slot]; head != nil { // a narrative alone
				of = partSalts{text: salts[it.Slot], of: crypto.Hash(head[1:])}
			}
			under = append(under, of)
			delete(texts, it.Slot)
		}
	}
	if len(texts) > 0 {
		return nil, nil, c.tampered("a narrative comes without its resource")
	}
	if e.Vouched == nil {
		return parts, nil, nil
	}
	proof, err := proofOf(frame, parts, under)
	if err != nil {
		return nil, nil, c.explain(err)
	}
	return parts, proof, nil
}

// span reads what stands from start to end in the blob, start not being within its salt;
// each piece is checked against the committed head before a byte of it is handed on.
func (c *content) span(start, end int64) (*pieceReader, error) {
	r, err := c.pieces()
	if err != nil {
		return nil, err
	}
	if start < saltSize || end < start || end > c.m.ContentSize {
		return nil, c.tampered("the place of its parts is not in it")
	}
	r.piece, r.end = start/contract.PieceSize, end
	skip := start % contract.PieceSize
	if r.piece == 0 {
		skip -= saltSize
	}
	_, err = io.CopyN(io.Discard, r, skip)
	return r, err
}

// counted counts what is read, until its context is done.
type counted struct {
	ctx      context.Context
	r        io.Reader
	n        int64
	progress func(int64) // may be nil
}

func (c *counted) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.progress != nil {
		c.progress(c.n)
	}
	return n, err
}

// granted reads the granted parts of a record, and says in r what the file of them is.
func (o *Opening) granted(ctx context.Context, r *OpenedRecord, progress func(int64)) ([]health.Granted, error) {
	c, err := o.contents.open(ctx, &r.Metadata, r.ID)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer sparing(r.part.End - r.part.Start)()
	parts, proof, err := c.granted(ctx, o.w.client.ID(), r.part, progress)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	out := &counter{ctx: ctx, w: h}
	if err := health.WriteSubset(out, time.Time{}, parts); err != nil {
		return nil, c.explain(err)
	}
	r.Size, r.proof = out.n, proof
	h.Sum(r.SHA256[:0])
	return parts, nil
}

// proofOf is what shows others later that parts are under the root.
func proofOf(frame crypto.Frame, parts []health.Granted, salts []partSalts) (*payload.Proof, error) {
	p := &payload.Proof{Leaves: frame.Leaves}
	for i, g := range parts {
		if salts[i].body == (crypto.Salt{}) {
			p.Parts = append(p.Parts, payload.ProofPart{Text: crypto.Hash(salts[i].text), Of: salts[i].of})
			continue
		}
		before, after, err := g.Around()
		if err != nil {
			return nil, err
		}
		b, a := string(before), string(after)
		p.Parts = append(p.Parts, payload.ProofPart{Salt: crypto.Hash(salts[i].body), Before: &b, After: &a, Text: crypto.Hash(salts[i].text)})
	}
	return p, nil
}

// partSalts are those of the parts of an entry; zero of one that was not given.
type partSalts struct {
	body, text crypto.Salt
	of         crypto.Hash // of a narrative alone: what its part begins with
}

// attestation is what is written beside record i of an opening once it was read; nil if
// nobody signed it.
func (o *Opening) attestation(i int) []byte {
	r := &o.Records[i]
	a := payload.Attestation{V: payload.Version}
	switch {
	case r.part == nil && r.Metadata.Vouched != nil:
		a.Vouched = *r.Metadata.Vouched
	case r.part != nil && r.part.Vouched != nil && r.proof != nil:
		a.Vouched, a.Proof = *r.part.Vouched, r.proof
	default:
		return nil
	}
	return AttestationFile(&a)
}
