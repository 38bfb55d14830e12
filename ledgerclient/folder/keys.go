package folder

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Keys are what one institution of a ledger signs with: checkpoints, the entries that
// change the configuration, and what its keeper says. A configuration document names
// their public halves.
type Keys struct {
	checkpoint    ed25519.PrivateKey
	entry, keeper *crypto.PrivateKey

	in string // the folder in whose keys/ they are; "": in none yet
}

// String shows no key, also with %v and %+v.
func (k Keys) String() string { return fmt.Sprintf("keys of node %x", k.Node().Checkpoint) }

// Format shows no key with any verb.
func (k Keys) Format(s fmt.State, _ rune) { fmt.Fprint(s, k.String()) }

// NewKeys makes keys, which are kept nowhere yet.
func NewKeys() Keys {
	var seed [ed25519.SeedSize]byte
	rand.Read(seed[:])
	return Keys{checkpoint: ed25519.NewKeyFromSeed(seed[:]), entry: crypto.GenerateKey(), keeper: crypto.GenerateKey()}
}

// Node is the node that signs with them.
func (k Keys) Node() contract.Node {
	return contract.Node{Checkpoint: [32]byte(k.checkpoint.Public().(ed25519.PublicKey)), Key: k.entry.Public()}
}

// Keeper is the key of the keeper.
func (k Keys) Keeper() crypto.PubKey { return k.keeper.Public() }

// Sign signs a digest as the institution, with the key by which configuration documents
// name it.
func (k Keys) Sign(digest crypto.Hash) crypto.Signature { return k.entry.Sign(digest) }

// SignAsKeeper signs a digest with the key of the keeper.
func (k Keys) SignAsKeeper(digest crypto.Hash) crypto.Signature { return k.keeper.Sign(digest) }

// files are the files of keys, with what is in them.
func (k Keys) files() []founded {
	return []founded{
		{name: nodeKeyFile, data: marshalKey([32]byte(k.checkpoint.Seed()))},
		{name: entryKeyFile, data: marshalKey(k.entry.ExposeSecret())},
		{name: keeperKeyFile, data: marshalKey(k.keeper.ExposeSecret())},
	}
}

// KeysIn reads the keys that MakeKeys made, or Create. The error is a *DamagedError if one
// is missing, or is none.
func KeysIn(dir string) (k Keys, err error) {
	k = Keys{in: filepath.Clean(dir)}
	if k.checkpoint, err = CheckpointKey(dir); err != nil {
		return Keys{}, err
	}
	if k.entry, err = readCurveKey(dir, entryKeyFile); err == nil {
		k.keeper, err = readCurveKey(dir, keeperKeyFile)
	}
	if err != nil {
		return Keys{}, err
	}
	return k, nil
}

// CheckpointKey reads the key that signs checkpoints alone, for the engine of an order, whose
// votes are signed with it too. The error is that of KeysIn.
func CheckpointKey(dir string) (ed25519.PrivateKey, error) {
	seed, err := readKey(dir, nodeKeyFile)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed[:]), nil
}

// MakeKeys makes the keys of an institution in the folder in which it will keep a ledger
// that several found together: CreateFrom with a Founding of these keys makes the ledger
// beside them. The folder must be empty, or not exist and is then made for its owner
// alone. Keys that are there are returned, and never changed: others may have been told
// of them.
//
// Errors: ErrNotEmpty, ErrLedgerExists, ErrNetworkFS, ErrBusy, *DamagedError for a key that
// is none, and those of the file system.
func MakeKeys(dir string) (Keys, error) { return makeKeys(dir, systemFiles{}) }

func makeKeys(dir string, ops fileOps) (Keys, error) {
	info, err := makeDir(ops, dir)
	if err != nil {
		return Keys{}, err
	}
	m := modesOf(info.Mode())
	lock, err := claim(filepath.Join(dir, lockFile), dir, m.file, defaultWait)
	if err != nil {
		return Keys{}, err
	}
	defer lock.Close()
	names, err := entryNames(dir)
	if err == nil {
		err = mayFound(dir, names, besideKeys...)
	}
	if err == nil && !names["keys"] {
		err = ops.mkdir(filepath.Join(dir, "keys"), m.keyDir)
	}
	if err != nil {
		return Keys{}, err
	}
	for _, f := range NewKeys().files() {
		path := filepath.Join(dir, filepath.FromSlash(f.name))
		if _, err := os.Lstat(path); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return Keys{}, err
		}
		if err := replaceFile(ops, path, f.data, m.key); err != nil {
			return Keys{}, err
		}
	}
	for _, d := range []string{filepath.Join(dir, "keys"), dir} {
		if err := ops.syncDir(d); err != nil {
			return Keys{}, err
		}
	}
	return KeysIn(dir)
}

// besideKeys are the names that there may be with keys where no ledger is yet: of a node
// that is going to be.
var besideKeys = []string{"keys", "tls", "node.json", "node.json.lock"}
