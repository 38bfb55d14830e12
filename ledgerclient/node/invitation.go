package node

import (
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Invitation is all that a wallet must know of a node before it speaks with it.
// Who hands it over is trusted with it: it says which ledger this is, which key
// signs its heads and how the node proves itself. It is secret only as far as its
// token is.
//
// The text form is "carekey-node1" and lower-case base32 (RFC 4648 without padding)
// of
//
//	version 1 (1), ledger 32, checkpoint key 32
//	length 1, name of the ledger
//	number of URLs 1 (1 to 4), each behind its length in 1 byte
//	number of fingerprints 1 (0 or 1), SHA-256 of the SubjectPublicKeyInfo 32
//	length 1, submit token (0: none)
//	checksum 4: the first bytes of the tagged hash of what precedes
type Invitation struct {
	Ledger      crypto.LedgerID // its id
	Node        [32]byte        // Ed25519 key of the node, which signs the ledger's checkpoints
	Name        string          // of the ledger, as its configuration has it
	URLs        []string        // 1 to MaxURLs, in the order in which they are tried
	Fingerprint crypto.Hash     // of the key in the node's TLS certificate; zero: the system's authorities vouch for it
	Token       string          // submit token; "" for none
}

// InvitationTo is an invitation, without fingerprint and token, to the first node of the
// ledger with that configuration document.
func InvitationTo(genesis []byte, urls []string) (Invitation, error) {
	c, err := contract.ParseConfig(genesis)
	if err != nil {
		return Invitation{}, err
	}
	return Invitation{Ledger: c.LedgerID(), Node: c.Nodes[0].Checkpoint, Name: c.Name, URLs: urls}, nil
}

// Limits of an invitation.
const (
	MaxURLs = 4
	MaxURL  = 200 // bytes
)

const invitationPrefix = "carekey-node1"

// IsInvitation reports whether a text looks like an invitation rather than a path.
func IsInvitation(named string) bool {
	return crypto.HasPrefix(named, invitationPrefix)
}

func (i *Invitation) fields(c *codec.Codec) {
	version := uint8(1)
	codec.Int(c, &version)
	c.Bytes(i.Ledger[:], i.Node[:])
	codec.Sized[uint8](c, &i.Name, math.MaxUint8)
	codec.Counted[uint8](c, &i.URLs, MaxURLs, func(c *codec.Codec, u *string) { codec.Sized[uint8](c, u, MaxURL) })
	pinned := !i.Fingerprint.IsZero()
	if codec.Bool(c, &pinned); pinned {
		c.Bytes(i.Fingerprint[:])
		c.Check(!i.Fingerprint.IsZero())
	}
	codec.Sized[uint8](c, &i.Token, MaxToken)
}

// String returns the text form.
func (i Invitation) String() string {
	return crypto.EncodeCode(invitationPrefix, codec.Append(nil, i.fields), crypto.TagInvitationChecksum)
}

// MarshalText returns the text form.
func (i Invitation) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText is ParseInvitation.
func (i *Invitation) UnmarshalText(text []byte) error {
	parsed, err := ParseInvitation(string(text))
	if err == nil {
		*i = parsed
	}
	return err
}

// ParseInvitation reads an invitation; case, white space and what mail and messengers
// put around it do not matter. The error is an [ErrInvitation].
func ParseInvitation(handed string) (Invitation, error) {
	b, fault := crypto.DecodeCode(invitationPrefix, handed, crypto.TagInvitationChecksum)
	var i Invitation
	if fault == "" && (codec.Parse(b, i.fields) != nil || !i.Valid()) {
		fault = crypto.FaultMalformed
	}
	if fault != "" {
		return Invitation{}, ErrInvitation.With("fault", fault)
	}
	return i, nil
}

// Bytes is what String encodes, as it travels in a [crypto.Card].
func (i Invitation) Bytes() string { return string(codec.Append(nil, i.fields)) }

// ParseBytes reads what Bytes wrote. The error is an [ErrInvitation]: it is none, or of
// another version.
func ParseBytes(b string) (Invitation, error) {
	var i Invitation
	switch {
	case b != "" && b[0] != 1:
		return Invitation{}, ErrInvitation.With("fault", crypto.FaultVersion)
	case codec.Parse([]byte(b), i.fields) != nil || !i.Valid():
		return Invitation{}, ErrInvitation.With("fault", crypto.FaultMalformed)
	}
	return i, nil
}

// Place is Bytes without the token, as it travels in a [crypto.FetchCode].
func (i Invitation) Place() string {
	i.Token = ""
	return i.Bytes()
}

// ParsePlace is ParseBytes for what has no token.
func ParsePlace(place string) (Invitation, error) {
	i, err := ParseBytes(place)
	if err == nil && i.Token != "" {
		return Invitation{}, ErrInvitation.With("fault", crypto.FaultMalformed)
	}
	return i, err
}

// Valid reports whether String yields an invitation that ParseInvitation accepts.
func (i *Invitation) Valid() bool {
	if !contract.ValidName(i.Name) || len(i.URLs) < 1 || len(i.URLs) > MaxURLs || (i.Token != "" && !ValidToken(i.Token)) {
		return false
	}
	tls := false
	for n, u := range i.URLs {
		if !ValidURL(u) || slices.Contains(i.URLs[:n], u) {
			return false
		}
		tls = tls || strings.HasPrefix(u, "https://")
	}
	return tls || i.Fingerprint.IsZero()
}

// ValidURL reports whether a node can be reached at u: https, or http at an address of
// loopback, which no name server makes another machine of;
// a host, perhaps a port and a path, and nothing else; in the one form that URLs
// of a node have, without a slash at the end.
func ValidURL(u string) bool {
	p, err := url.Parse(u)
	if err != nil || len(u) > MaxURL || strings.ContainsFunc(u, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return false
	}
	only := url.URL{Scheme: p.Scheme, Host: p.Host, Path: p.Path, RawPath: p.RawPath}
	if only.String() != u || strings.HasSuffix(u, "/") || p.Host != strings.ToLower(p.Host) || p.Hostname() == "" || strings.HasSuffix(p.Host, ":") {
		return false
	}
	a, err := netip.ParseAddr(p.Hostname())
	return p.Scheme == "https" || p.Scheme == "http" && err == nil && a.Zone() == "" && a.Unmap().IsLoopback()
}
