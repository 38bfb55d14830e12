package folder

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Founding is what a ledger begins with: the configuration document with the
// private keys that it names, and entry 0. It is the same in every folder that
// the ledger is ever kept in.
type Founding struct {
	Genesis []byte         // configuration document
	Entry   contract.Entry // entry 0, signed

	checkpoint ed25519.PrivateKey
	entry      *crypto.PrivateKey
	keeper     *crypto.PrivateKey
}

// follows tells that the ledger's keys are others', see CreateReplica.
func (f *Founding) follows() bool { return f.entry == nil }

// String shows no key, also with %v and %+v.
func (f Founding) String() string {
	return "founding of ledger " + contract.LedgerID(f.Genesis).String()
}

// Format shows no key with any verb.
func (f Founding) Format(s fmt.State, _ rune) { fmt.Fprint(s, f.String()) }

// NewFounding makes the keys and the configuration of a new ledger of that name.
// The error is [contract.ErrConfig] if the name is none.
func NewFounding(name string) (Founding, error) {
	var seed [32]byte
	var random [16]byte
	rand.Read(seed[:])
	rand.Read(random[:])
	return FoundingOf(name, ed25519.NewKeyFromSeed(seed[:]), crypto.GenerateKey(), crypto.GenerateKey(), random)
}

// FoundingOf is NewFounding with given keys: for checkpoints, for entry 0 and for
// the keeper. random makes two ledgers differ that are the same otherwise.
func FoundingOf(name string, checkpoint ed25519.PrivateKey, entry, keeper *crypto.PrivateKey, random [16]byte) (Founding, error) {
	c := contract.Config{
		Name:      name,
		Contract:  contract.ContractVersion,
		Nodes:     []contract.Node{{Checkpoint: [32]byte(checkpoint.Public().(ed25519.PublicKey)), Key: entry.Public()}},
		Threshold: 1,
		Keepers:   []crypto.PubKey{keeper.Public()},
		Release:   1,
		Random:    random,
	}
	doc := c.Marshal()
	if _, err := contract.ParseConfig(doc); err != nil {
		return Founding{}, err
	}
	e := contract.Entry{
		Version:    contract.Version,
		Kind:       contract.KindConfig,
		Author:     entry.Public(),
		Commitment: contract.ConfigCommitment(doc),
	}
	if err := e.Sign(c.LedgerID(), entry); err != nil {
		return Founding{}, err
	}
	return Founding{Genesis: doc, Entry: e, checkpoint: checkpoint, entry: entry, keeper: keeper}, nil
}
