package node

import (
	"encoding/base64"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Token lets whoever holds it submit at every node of a ledger. An institution of the
// ledger gives it: it signs until when it is good, how much at a time, and a key that is
// made for this token alone. Every node can tell that from the ledger's configuration, and
// needs to have heard of the token from nobody.
//
// Each node counts what it sees: of n nodes that do not talk about it, all may be used.
//
//	version 1 (1), giver 33, until 4, hourly 4, key 33, signature 64
type Token struct {
	Giver     crypto.PubKey    // Node.Key of an institution in the configuration
	Until     contract.Hour    // it is good before this hour
	Hourly    uint32           // entries in an hour at one node, and at once; not 0
	Key       crypto.PubKey    // the token's own, by which it is known
	Signature crypto.Signature // by Giver, over the ledger's id and all before it
}

func (t *Token) fields(c *codec.Codec) {
	t.begin(c)
	c.Bytes(t.Key[:])
	c.Signature(t.Signature[:])
}

func (t *Token) begin(c *codec.Codec) {
	versionOne(c)
	c.Bytes(t.Giver[:])
	codec.Int(c, &t.Until)
	codec.Int(c, &t.Hourly)
	c.Check(t.Hourly > 0)
}

func versionOne(c *codec.Codec) {
	version := uint8(1)
	codec.Int(c, &version)
	c.Check(version == 1)
}

func (t *Token) digest(ledger crypto.LedgerID) crypto.Hash {
	return crypto.TaggedHash(crypto.TagToken, ledger[:], codec.Unsigned(t.fields))
}

// Of reports whether one of these nodes has given the token for that ledger. Whether it is
// still good is another question.
func (t *Token) Of(ledger crypto.LedgerID, nodes []contract.Node) bool {
	return named(nodes, t.Giver) && t.Giver.Verify(t.digest(ledger), t.Signature)
}

func named(nodes []contract.Node, key crypto.PubKey) bool {
	return slices.ContainsFunc(nodes, func(n contract.Node) bool { return n.Key == key })
}

// GivenToken is a token with its private key: who has the two may use it.
type GivenToken struct {
	Token
	secret *crypto.PrivateKey
}

// signer signs with the key of a node.
type signer interface {
	Sign(crypto.Hash) crypto.Signature
}

// GiveToken makes a token. giver is the public key of by.
func GiveToken(ledger crypto.LedgerID, giver crypto.PubKey, by signer, until contract.Hour, hourly uint32) GivenToken {
	t := GivenToken{secret: crypto.GenerateKey()}
	t.Token = Token{Giver: giver, Until: until, Hourly: hourly, Key: t.secret.Public()}
	t.Signature = by.Sign(t.digest(ledger))
	return t
}

// given are the fields of the text: those of the token with the private key in place of
// the public one.
func (t *GivenToken) given(c *codec.Codec) {
	t.begin(c)
	var secret [32]byte
	if !c.Reading() {
		secret = t.secret.ExposeSecret()
	}
	if c.Bytes(secret[:]); c.Reading() {
		var err error
		if t.secret, err = crypto.ParsePrivateKey(secret[:]); err == nil {
			t.Key = t.secret.Public()
		}
		c.Fail(err)
	}
	c.Bytes(t.Signature[:])
}

var tokenText = base64.RawURLEncoding.Strict()

// Secret is the token as it stands in an invitation, in base64url without padding.
func (t *GivenToken) Secret() string { return tokenText.EncodeToString(codec.Append(nil, t.given)) }

// ParseToken reads what Secret wrote, false if it is none.
func ParseToken(text string) (t GivenToken, ok bool) {
	b, err := tokenText.DecodeString(text)
	if err != nil || tokenText.EncodeToString(b) != text || codec.Parse(b, t.given) != nil {
		return GivenToken{}, false
	}
	return t, true
}

// Shown is the token as one node is shown it: that node can use it at no other. node is
// its key for checkpoints.
func (t *GivenToken) Shown(ledger crypto.LedgerID, node [32]byte) string {
	s := shownToken{Token: t.Token}
	s.proof = t.secret.Sign(s.digest(ledger, node))
	return tokenText.EncodeToString(codec.Append(nil, s.fields))
}

// shownToken is a token with the proof, for one node, that whoever shows it has its key.
type shownToken struct {
	Token
	proof crypto.Signature
}

func (s *shownToken) fields(c *codec.Codec) {
	c.Message(s.Token.fields)
	c.Signature(s.proof[:])
}

func (s *shownToken) digest(ledger crypto.LedgerID, node [32]byte) crypto.Hash {
	return crypto.TaggedHash(crypto.TagTokenShown, ledger[:], node[:], s.Key[:])
}

// ReadShown reads what Shown wrote for the node with that key, and verifies both
// signatures. false: it is none, is shown for another node, or none of the nodes has given
// it for that ledger.
func ReadShown(text string, ledger crypto.LedgerID, node [32]byte, nodes []contract.Node) (Token, bool) {
	var s shownToken
	b, err := tokenText.DecodeString(text)
	if err != nil || tokenText.EncodeToString(b) != text || codec.Parse(b, s.fields) != nil || !s.Of(ledger, nodes) || !s.Key.Verify(s.digest(ledger, node), s.proof) {
		return Token{}, false
	}
	return s.Token, true
}

// Withdrawn are the tokens that an institution has taken back, as it tells all nodes of the
// ledger: each of them keeps the list of each institution that has the highest number.
//
//	version 1 (1), giver 33, number 8
//	how many 4 (0 to 4,096), their keys 33 each, in ascending order, none twice
//	signature 64
type Withdrawn struct {
	Giver     crypto.PubKey
	Number    uint64 // counts up
	Keys      []crypto.PubKey
	Signature crypto.Signature // by Giver, over the ledger's id and all before it
}

// MaxWithdrawn is how many tokens of one institution can be taken back at a time. Those whose
// hours are over need not stand in the list.
const MaxWithdrawn = 4096

func (w *Withdrawn) fields(c *codec.Codec) {
	versionOne(c)
	c.Bytes(w.Giver[:])
	codec.Int(c, &w.Number)
	codec.Counted[uint32](c, &w.Keys, MaxWithdrawn, func(c *codec.Codec, k *crypto.PubKey) { c.Bytes(k[:]) })
	for i := 1; i < len(w.Keys); i++ {
		c.Check(comparePubKeys(w.Keys[i-1], w.Keys[i]) < 0)
	}
	c.Signature(w.Signature[:])
}

func comparePubKeys(a, b crypto.PubKey) int { return slices.Compare(a[:], b[:]) }

func (w *Withdrawn) digest(ledger crypto.LedgerID) crypto.Hash {
	return crypto.TaggedHash(crypto.TagTokensWithdrawn, ledger[:], codec.Unsigned(w.fields))
}

// Of reports whether one of these nodes has made the list for that ledger.
func (w *Withdrawn) Of(ledger crypto.LedgerID, nodes []contract.Node) bool {
	return named(nodes, w.Giver) && w.Giver.Verify(w.digest(ledger), w.Signature)
}

// Withdraw makes a list. giver is the public key of by.
func Withdraw(ledger crypto.LedgerID, giver crypto.PubKey, by signer, number uint64, keys []crypto.PubKey) Withdrawn {
	w := Withdrawn{Giver: giver, Number: number, Keys: slices.Clone(keys)}
	slices.SortFunc(w.Keys, comparePubKeys)
	w.Keys = slices.Compact(w.Keys)
	w.Signature = by.Sign(w.digest(ledger))
	return w
}

// WithdrawnForm are the lists of several institutions.
var WithdrawnForm = list("lists of withdrawn tokens", 0, contract.MaxNodes, func(c *codec.Codec, w *Withdrawn) { c.Message(w.fields) })

// MaxLists is how long the lists of withdrawn tokens of a ledger are at most, in bytes.
const MaxLists = contract.MaxNodes * (1 + 33 + 8 + 4 + MaxWithdrawn*33 + 64)
