package ledgerclient

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// A witness is somebody outside a ledger's network who looks at its heads, remembers the
// newest one, and cosigns only what begins with that (C2SP tlog-witness). So nodes that
// would show a wallet a history of its own need the witness too. Witnesses add to the
// nodes' signatures, and replace none of them.

const (
	// MaxWitnesses is how many keys of witnesses a wallet, or a node, takes. Their lines
	// fit into a note beside those of 16 nodes.
	MaxWitnesses = 16
	// MaxWitnessName is the most bytes of a witness's name.
	MaxWitnessName = 128
	// WitnessAge is by how much a cosignature may be older than the time of the head that is
	// asked about, and still counts: a witness is asked again every few minutes, also when
	// nothing was entered.
	WitnessAge = time.Hour
)

// ErrVkey: a text is no key of a witness. what
const ErrVkey fault.Code = "vkey-invalid"

// ParseWitness reads the key of a witness, a C2SP signed-note verifier key of type 4:
//
//	name+hash+base64(0x04 ‖ Ed25519 key 32)
//
// The name has 1 to MaxWitnessName bytes, no space and no "+"; the hash is the first 4 bytes
// of SHA-256(name ‖ "\n" ‖ 0x04 ‖ key) in 8 hexadecimal digits of lower case. The error is an
// [ErrVkey].
func ParseWitness(vkey string) (TimeVerifier, error) {
	bad := func(what string) (TimeVerifier, error) { return TimeVerifier{}, ErrVkey.With("what", what) }
	parts := strings.SplitN(vkey, "+", 3) // base64 has + too
	if len(parts) != 3 {
		return bad("it is not name+hash+key")
	}
	name := parts[0]
	if name == "" || len(name) > MaxWitnessName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) }) {
		return bad("its name is none")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(raw) == 0 {
		return bad("it is not whole")
	}
	if raw[0] != cosignatureType {
		return bad("it is of type " + strconv.Itoa(int(raw[0])) + "; that of a witness is of type 4, Ed25519 with a time")
	}
	if len(raw) != 1+32 {
		return bad("it is not whole")
	}
	v := NewTimeVerifier(name, [32]byte(raw[1:]))
	if v.Vkey() != vkey {
		return bad("its hash is of another key")
	}
	return v, nil
}

// Vkey is the key as programs of others take it: see ParseWitness.
func (v TimeVerifier) Vkey() string {
	return fmt.Sprintf("%s+%08x+%s", v.name, v.hash, base64.StdEncoding.EncodeToString(append([]byte{cosignatureType}, v.key[:]...)))
}

// Key is the Ed25519 key. Two names of one key are one witness: the name is not in what a
// cosignature signs.
func (v TimeVerifier) Key() [32]byte { return v.key }

// Newest returns the newest of the key's signatures under a note that verify, as its line
// and its time; "" if there is none. Other lines are passed over, whatever they are.
func (v TimeVerifier) Newest(msg []byte) (line string, at time.Time) {
	end := bytes.LastIndex(msg, []byte("\n\n"))
	if end < 0 {
		return "", at
	}
	text := msg[:end+1]
	for l := range bytes.Lines(msg[end+2:]) {
		coded, ok := bytes.CutPrefix(l, []byte("— "+v.name+" "))
		raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSuffix(coded, []byte{'\n'})))
		if !ok || err != nil || len(raw) != cosignatureSize || binary.BigEndian.Uint32(raw) != v.hash || !v.Verify(text, raw[4:]) {
			continue
		}
		if t := time.Unix(int64(binary.BigEndian.Uint64(raw[4:])), 0).UTC(); line == "" || t.After(at) {
			line, at = "— "+v.name+" "+base64.StdEncoding.EncodeToString(raw)+"\n", t
		}
	}
	return line, at
}

// Cosigned is what the ledger shows of one witness's cosignatures.
type Cosigned struct {
	Name string `json:"name"`
	// Size is of the newest head that it cosigned of the history that is asked about, in
	// entries; 0: none is shown.
	Size uint64    `json:"size"`
	Time time.Time `json:"time,omitzero"` // when it cosigned that head, by its own clock
	// Other: it cosigned a head that is not of this history, and that too few nodes signed.
	Other bool `json:"other,omitempty"`
}

// Counts reports whether the witness vouches for the history under a head.
func (c *Cosigned) Counts(head Head) bool {
	return c.Size > 0 && !c.Other && head.Time.Sub(c.Time) <= WitnessAge
}

// Cosigned asks the ledger which of these witnesses cosigned a head that was verified
// before, or one before it in the same history. It returns one element for each. What the
// ledger does not show is missing, and no error, whatever the reason: witnesses add to what
// was verified.
//
// Errors: *ForkError and *RollbackError if what the ledger shows for its witnesses was
// signed by enough nodes and is of another history; *TamperedError if it proves wrongly
// that it is of this one. What cannot be asked meanwhile is missing too.
func (c *Client) Cosigned(ctx context.Context, head Head, witnesses []TimeVerifier) ([]Cosigned, error) {
	out := make([]Cosigned, len(witnesses))
	under := func(msg []byte, take func(c *Cosigned, at time.Time)) (some bool) {
		for i, w := range witnesses {
			// A node's second name is no witness.
			if line, at := w.Newest(msg); line != "" && !slices.ContainsFunc(c.Config().Nodes, func(n contract.Node) bool { return n.Checkpoint == w.key }) {
				take(&out[i], at)
				some = true
			}
		}
		return some
	}
	for i, w := range witnesses {
		out[i].Name = w.name
	}
	source, ok := c.Ledger.(Witnessed)
	if !ok {
		return out, nil
	}
	msg, err := source.Witnessed(ctx)
	if err != nil {
		return out, ctx.Err()
	}
	older, err := Unverified(msg)
	if first, _, _ := bytes.Cut(msg, []byte{'\n'}); err != nil || string(first) != Origin(c.id) || !under(msg, func(*Cosigned, time.Time) {}) {
		return out, nil
	}
	_, undersigned := c.ReadHead(msg)
	if older.Size > head.Size { // others appended since it was read
		newer, err := c.Head(ctx)
		if err == nil {
			err = c.CheckHead(ctx, head, newer)
		}
		if err != nil {
			return out, against(ctx, err)
		}
		head = newer
	}
	err = c.CheckHead(ctx, older, head)
	_, forked := errors.AsType[*ForkError](err)
	_, larger := errors.AsType[*RollbackError](err)
	switch {
	case err == nil:
		under(msg, func(c *Cosigned, at time.Time) { c.Size, c.Time = older.Size, at })
	case undersigned != nil && forked:
		under(msg, func(c *Cosigned, _ time.Time) { c.Other = true })
	case undersigned != nil && larger: // nobody can tell yet what it is
	default:
		return out, against(ctx, err)
	}
	return out, nil
}

// against is an error that speaks against the ledger, and not of what cannot be asked now.
func against(ctx context.Context, err error) error {
	_, forked := errors.AsType[*ForkError](err)
	_, shorter := errors.AsType[*RollbackError](err)
	_, tampered := errors.AsType[*TamperedError](err)
	if forked || shorter || tampered {
		return err
	}
	return ctx.Err()
}

// Line signs the text of a note at s.Time and returns the signature as a line of that note.
func (s TimeSigner) Line(text []byte) (string, error) {
	sig, err := s.Sign(text)
	if err != nil {
		return "", err
	}
	raw := append(binary.BigEndian.AppendUint32(nil, s.hash), sig...)
	return "— " + s.name + " " + base64.StdEncoding.EncodeToString(raw) + "\n", nil
}
