package contract

import (
	"bytes"
	"errors"
	"slices"

	"github.com/carekey/carekey/crypto"
)

// ContractVersion is the version of the rules in this package. A configuration
// entry activates a version; there is only this one yet.
const ContractVersion = 1

// Limits of a configuration document.
const (
	MaxNodes   = 16
	MaxKeepers = 16
	// MaxName is the longest name of a ledger, in bytes of UTF-8.
	MaxName = 64
)

// Node is one server of the ledger, by its two public keys.
type Node struct {
	Checkpoint [32]byte      // Ed25519: signs checkpoints
	Key        crypto.PubKey // signs config entries and approves configurations
}

// Approval is one node's signature under the configuration that is to follow.
type Approval struct {
	Node      crypto.PubKey    // Node.Key of a node of the configuration before
	Signature crypto.Signature // over Config.ApprovalDigest
}

// Config is the content of a configuration document. The document is public;
// its exact bytes count, and ParseConfig and Marshal are inverse to each other.
type Config struct {
	Name      string          // of the ledger, for people; 1 … MaxName bytes
	Contract  uint8           // version of the rules
	Nodes     []Node          // 1 … MaxNodes; no key twice. The first signs entry 0
	Threshold uint8           // how many nodes sign a head, and approve the next configuration; 1 … nodes
	Keepers   []crypto.PubKey // 1 … MaxKeepers; no key twice
	Release   uint8           // how many keepers' shares open an envelope; 1 … keepers
	Random    [16]byte        // makes two ledgers differ that are the same otherwise

	// Follow-ups only; zero and empty in the genesis document.
	Previous  crypto.Hash // Commitment of the configuration before
	Approvals []Approval
}

func (c *Config) isNode(key crypto.PubKey) bool {
	return slices.ContainsFunc(c.Nodes, func(n Node) bool { return n.Key == key })
}

// LedgerID returns the id of the ledger whose genesis document c is.
func (c *Config) LedgerID() crypto.LedgerID { return LedgerID(c.Marshal()) }

// LedgerID returns the id of the ledger that has the genesis document.
func LedgerID(document []byte) crypto.LedgerID {
	return crypto.LedgerID(crypto.TaggedHash(crypto.TagLedger, document))
}

// Commitment returns what the config entry with this document has as its
// commitment, and what the next configuration calls its previous one.
func (c *Config) Commitment() crypto.Hash { return ConfigCommitment(c.Marshal()) }

// ConfigCommitment returns the commitment of a configuration document.
func ConfigCommitment(document []byte) crypto.Hash {
	return crypto.TaggedHash(crypto.TagConfig, document)
}

// ApprovalDigest returns what the approving nodes sign: a hash of the document
// up to its first approval.
func (c *Config) ApprovalDigest() crypto.Hash {
	return crypto.TaggedHash(crypto.TagConfigApprove, c.marshalUnapproved())
}

// Approve signs the configuration with the key of a node of the one before.
// All other fields must be final.
func (c *Config) Approve(key *crypto.PrivateKey) {
	c.Approvals = append(c.Approvals, Approval{Node: key.Public(), Signature: key.Sign(c.ApprovalDigest())})
}

// CheckGenesis checks the document of entry 0 against the entry and returns the
// configuration that is in force from entry 0 on. The errors are *Refusal, and
// [ErrContractVersion] for a document that only later software can judge.
func CheckGenesis(document []byte, e *Entry) (Config, error) {
	c, err := readConfig(document, e)
	if err != nil {
		return Config{}, err
	}
	if c.Previous != (crypto.Hash{}) {
		return Config{}, &Refusal{Rule: RuleConfigPrevious}
	}
	return c, nil
}

// CheckConfig checks the document of a later config entry against the entry and
// the configuration in force, and returns the configuration that is in force
// after the entry. It does not judge the entry itself: that is for CheckShape,
// CheckSignature and Apply. The errors are those of CheckGenesis.
func CheckConfig(current Config, document []byte, e *Entry) (Config, error) {
	next, err := readConfig(document, e)
	if err != nil {
		return Config{}, err
	}
	if next.Previous != current.Commitment() {
		return Config{}, &Refusal{Rule: RuleConfigPrevious}
	}
	digest := next.ApprovalDigest()
	for i, a := range next.Approvals {
		for _, before := range next.Approvals[:i] {
			if before.Node == a.Node {
				return Config{}, &Refusal{Rule: RuleConfigSigner}
			}
		}
		if !current.isNode(a.Node) || !a.Node.Verify(digest, a.Signature) {
			return Config{}, &Refusal{Rule: RuleConfigSigner}
		}
	}
	if len(next.Approvals) < int(current.Threshold) {
		return Config{}, &Refusal{Rule: RuleConfigThreshold}
	}
	return next, nil
}

// Approved reports whether enough nodes of c have approved a document as its successor,
// also one of a contract version that this package does not know: in every version the
// approvals are the last lines, and sign all that stands before the first of them.
func (c *Config) Approved(document []byte) bool {
	at := bytes.Index(document, []byte("\nsign ")) + 1
	if at == 0 {
		return false
	}
	digest := crypto.TaggedHash(crypto.TagConfigApprove, document[:at])
	var by Config
	for line := range bytes.Lines(document[at:]) {
		if !bytes.HasPrefix(line, []byte("sign ")) || by.read(0, string(line)) != nil {
			return false
		}
	}
	for i, a := range by.Approvals {
		again := slices.ContainsFunc(by.Approvals[:i], func(b Approval) bool { return b.Node == a.Node })
		if again || !c.isNode(a.Node) || !a.Node.Verify(digest, a.Signature) {
			return false
		}
	}
	return len(by.Approvals) >= int(c.Threshold)
}

// readConfig parses the document that a config entry commits to.
func readConfig(document []byte, e *Entry) (Config, error) {
	if e.Commitment != ConfigCommitment(document) {
		return Config{}, &Refusal{Rule: RuleConfigDocument}
	}
	c, err := ParseConfig(document)
	if errors.Is(err, ErrContractVersion) {
		return Config{}, err
	}
	if err != nil {
		return Config{}, &Refusal{Rule: RuleConfigDocument}
	}
	return c, nil
}
