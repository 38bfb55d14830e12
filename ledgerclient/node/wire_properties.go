package node

import (
	"encoding/json"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
)

// Properties is what a node says of itself. A client takes limits and waiting
// times from it, and nothing that its safety depends on.
type Properties struct {
	Versions        []int           `json:"versions"`         // of this protocol
	Ledger          crypto.LedgerID `json:"ledger"`           // its id
	Time            string          `json:"time"`             // the node's clock, RFC 3339, full seconds, UTC
	Token           bool            `json:"token"`            // entries, payloads and uploads need a submit token
	QuarantineHours int             `json:"quarantine_hours"` // how long a payload without its entry is kept, at least
	EraseHours      int             `json:"erase_hours"`      // how long after its withdrawal a record is erased
	Limits          Limits          `json:"limits"`           //
}

// Limits of a node, none above those of the protocol.
type Limits struct {
	Entries int   `json:"entries"` // entries, deposits or revocations in one request
	Puts    int   `json:"puts"`    // payloads in one request
	Body    int64 `json:"body"`    // bytes of the largest request
	Blob    int64 `json:"blob"`    // bytes of one small payload
	Part    int64 `json:"part"`    // bytes of content in one part of an upload
	Content int64 `json:"content"` // bytes of one content
}

// Marshal encodes p as JSON.
func (p *Properties) Marshal() []byte {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // no field of it can fail
	}
	return b
}

// ParseProperties decodes properties. Limits are cut down to those of the
// protocol.
func ParseProperties(b []byte) (Properties, error) {
	var p Properties
	if err := json.Unmarshal(b, &p); err != nil {
		return Properties{}, malformed("properties", err)
	}
	l := &p.Limits
	if len(p.Versions) == 0 || p.QuarantineHours < 0 || p.EraseHours < 0 ||
		l.Entries < 1 || l.Puts < 1 || l.Body < 1 || l.Blob < 1 || l.Part < 1 || l.Content < 1 {
		return Properties{}, malformed("properties", codec.ErrRange)
	}
	l.Entries, l.Puts = min(l.Entries, MaxEntries), min(l.Puts, MaxPuts)
	l.Body, l.Blob = min(l.Body, MaxPutsSize), min(l.Blob, MaxBlob)
	l.Part, l.Content = min(l.Part, MaxPart), min(l.Content, MaxContent)
	return p, nil
}
