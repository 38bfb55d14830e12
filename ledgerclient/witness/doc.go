// Package witness has both sides of C2SP tlog-witness (https://c2sp.org/tlog-witness): who
// has the heads of a log cosigned, a Witness, and who cosigns them, a Cosigner.
//
//	POST add-checkpoint
//	old SIZE                 of the head that the witness cosigned last; 0: none
//	BASE64                   each hash of the proof that the new head begins with that one
//	(an empty line)
//	…                        the new head, a signed note
//
// The answer is the witness's cosignature, or 409 with the size that it should have been.
package witness

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
)

const (
	// MaxProof is how many hashes a request has at most.
	MaxProof = 63
	// MaxRequest is the most bytes of a request: a note and a proof.
	MaxRequest = ledgerclient.MaxNote + 4<<10

	path     = "/add-checkpoint"
	typeSize = "text/x.tlog.size"
)

// Request asks for a cosignature.
type Request struct {
	Old   uint64 // size of the head that was cosigned last, in entries
	Proof []crypto.Hash
	Note  []byte
}

// Marshal returns the body of the request.
func (r *Request) Marshal() []byte {
	b := fmt.Appendf(nil, "old %d\n", r.Old)
	for _, h := range r.Proof {
		b = append(base64.StdEncoding.AppendEncode(b, h[:]), '\n')
	}
	return append(append(b, '\n'), r.Note...)
}

// ParseRequest reads what Marshal writes; false if it is not that. The note is not looked
// at, and shares memory with b.
func ParseRequest(b []byte) (r Request, ok bool) {
	lines, msg, ok := bytes.Cut(b, []byte("\n\n"))
	if !ok {
		return r, false
	}
	for i, line := range bytes.Split(lines, []byte{'\n'}) {
		if i == 0 {
			size, _ := bytes.CutPrefix(line, []byte("old "))
			old, err := strconv.ParseUint(string(size), 10, 63)
			if err != nil {
				return r, false
			}
			r.Old = old
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(string(line))
		if err != nil || len(raw) != len(crypto.Hash{}) {
			return r, false
		}
		r.Proof = append(r.Proof, crypto.Hash(raw))
	}
	r.Note = msg
	return r, len(r.Proof) <= MaxProof && bytes.Equal(r.Marshal(), b)
}
