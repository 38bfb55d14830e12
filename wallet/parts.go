package wallet

import (
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// recordParts are the parts of one version of an own record.
type recordParts struct {
	Metadata *payload.Metadata // with its Parts: root, and where the region is
	Parts    []recordPart      // in the order of the file
	Persons  []health.Person   // whom the file is about

	keys *crypto.Parts
}

// recordPart is one part.
type recordPart struct {
	Sum    crypto.Hash  `json:"sum"` // SHA-256 of its bytes
	Leaf   crypto.Hash  `json:"leaf"`
	Slot   int          `json:"slot"`   // of the leaf in the frame
	Of     int          `json:"of"`     // slot of the resource that a narrative belongs to; else its own
	At     int64        `json:"at"`     // of the ciphertext, bytes from the region's start
	Length int64        `json:"length"` // of the ciphertext, bytes
	Size   int          `json:"size"`   // of the part, bytes
	Entry  int          `json:"entry"`  // of the file, from 0
	Text   bool         `json:"text"`   // a narrative
	Label  health.Label `json:"label"`
}

// FrameKey returns the key of the frame.
func (p *recordParts) FrameKey() crypto.PartsFrameKey { return p.keys.FrameKey() }

// Key returns the key of a part, counted from 0.
func (p *recordParts) Key(i int) crypto.PartKey { return p.keys.Key(p.Parts[i].Leaf) }
