package folder

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Founding is what a ledger begins with at one institution: the configuration document,
// with the private keys of that institution which it names, and entry 0. Document and
// entry are the same in every folder that the ledger is ever kept in.
type Founding struct {
	Genesis []byte         // configuration document
	Entry   contract.Entry // entry 0, signed by the first node; zero at others until the order has it

	keys Keys
}

// follows tells that the ledger's keys are others', see CreateReplica.
func (f *Founding) follows() bool { return f.keys.entry == nil }

// begins tells that entry 0 is at hand, and was not read in an order.
func (f *Founding) begins() bool { return f.Entry != contract.Entry{} }

// String shows no key, also with %v and %+v.
func (f Founding) String() string {
	return "founding of ledger " + contract.LedgerID(f.Genesis).String()
}

// Format shows no key with any verb.
func (f Founding) Format(s fmt.State, _ rune) { fmt.Fprint(s, f.String()) }

// NewFounding makes the keys and the configuration of a new ledger of that name, with one
// node and one keeper. The error is [contract.ErrConfig] if the name is none.
func NewFounding(name string) (Founding, error) {
	var random [16]byte
	rand.Read(random[:])
	return foundingOf(name, NewKeys(), random)
}

// FoundingOf is NewFounding with given keys: for checkpoints, for entry 0 and for
// the keeper. random makes two ledgers differ that are the same otherwise.
func FoundingOf(name string, checkpoint ed25519.PrivateKey, entry, keeper *crypto.PrivateKey, random [16]byte) (Founding, error) {
	return foundingOf(name, Keys{checkpoint: checkpoint, entry: entry, keeper: keeper}, random)
}

func foundingOf(name string, k Keys, random [16]byte) (Founding, error) {
	c := contract.Config{
		Name:      name,
		Contract:  contract.ContractVersion,
		Nodes:     []contract.Node{k.Node()},
		Threshold: 1,
		Keepers:   []crypto.PubKey{k.Keeper()},
		Release:   1,
		Random:    random,
	}
	return k.Founding(c.Marshal())
}

// Founding is that of a ledger with that configuration document. Which of its lines are
// of this institution follows from its keys; the one of the first node signs entry 0.
//
// Errors: [contract.ErrConfig] for what is no document of a new ledger; ErrNotNamed;
// [ledgerclient.ErrThreshold].
func (k Keys) Founding(genesis []byte) (Founding, error) {
	c, err := contract.ParseConfig(genesis)
	if err != nil {
		return Founding{}, err
	}
	if !slices.Contains(c.Nodes, k.Node()) || !slices.Contains(c.Keepers, k.Keeper()) {
		return Founding{}, ErrNotNamed
	}
	if err := ledgerclient.CheckNodes(c); err != nil {
		return Founding{}, err
	}
	f := Founding{Genesis: genesis, keys: k}
	if c.Nodes[0] != k.Node() {
		return f, nil
	}
	f.Entry = contract.Entry{
		Version:    contract.Version,
		Kind:       contract.KindConfig,
		Author:     k.entry.Public(),
		Commitment: contract.ConfigCommitment(genesis),
	}
	return f, f.Entry.Sign(c.LedgerID(), k.entry)
}
