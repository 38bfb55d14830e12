package view

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/home"
)

// Files of the folder that a wallet keeps of each of its ledgers.
const (
	cacheFile   = "cache"   // sealed frames: what the ledger holds of this wallet; can be rebuilt
	sitesFile   = "sites"   // where the institutions of the ledger are reached, as they have signed it: what it is is the matter of whoever reaches them
	GenesisFile = "genesis" // the ledger's configuration document, public: opens the wallet when the ledger is out of reach
)

// configFile is the ledger's n-th configuration document after the genesis.
func configFile(n int) string { return fmt.Sprintf("config-%d", n) }

func newCacheID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Genesis returns the configuration document of a ledger that the wallet in dir is
// on, as it was when the wallet joined it. It is public, and its hash is the id:
// *home.DamagedError if it is not.
func Genesis(dir string, id crypto.LedgerID) ([]byte, error) {
	name := filepath.Join(home.LedgerFolder(id), GenesisFile)
	doc, err := home.ReadFile(dir, name)
	if err != nil {
		return nil, err
	}
	if config, err := contract.ParseConfig(doc); err != nil || config.LedgerID() != id {
		return nil, &home.DamagedError{File: name, Err: err}
	}
	return doc, nil
}

// Documents reads the configuration documents that were kept of a ledger.
func Documents(dir string, id crypto.LedgerID) ([][]byte, error) {
	doc, err := Genesis(dir, id)
	if err != nil {
		return nil, err
	}
	docs := [][]byte{doc}
	for {
		doc, err := home.ReadFile(dir, filepath.Join(home.LedgerFolder(id), configFile(len(docs))))
		if errors.Is(err, fs.ErrNotExist) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
}

// Sites returns what KeepSites kept of a ledger, of which nothing is verified; nil if there
// is nothing that can be read.
func Sites(dir string, id crypto.LedgerID) []byte {
	b, err := home.ReadFile(dir, filepath.Join(home.LedgerFolder(id), sitesFile))
	if err != nil {
		return nil
	}
	return b
}

// KeepSites keeps where a ledger's institutions are reached, if the wallet in dir is on it.
func KeepSites(dir string, id crypto.LedgerID, sites []byte) error {
	if _, err := Genesis(dir, id); err != nil {
		return err
	}
	f := home.Folder{Dir: dir, Ledger: home.LedgerFolder(id)}
	return f.Write(f.In(sitesFile), sites)
}

// keepDocuments keeps the configuration documents that followed since the wallet
// looked last; from is how many it has.
func (v *View) keepDocuments(from int) error {
	docs := v.Client.Documents()
	for i := from; i < len(docs); i++ {
		if err := v.Home.Write(v.Home.In(configFile(i)), docs[i]); err != nil {
			return err
		}
	}
	return nil
}

// Create makes the folder of a ledger that the wallet was not on, with these folders in it.
func (v *View) Create(folders ...string) error {
	if err := v.Remove(); err != nil {
		return err
	}
	for _, name := range append(folders, "") {
		if err := os.MkdirAll(v.Home.Path(v.Home.In(name)), 0o700); err != nil {
			return err
		}
	}
	if err := v.Home.Write(v.Home.In(GenesisFile), v.Client.Genesis()); err != nil {
		return err
	}
	if err := v.keepDocuments(1); err != nil {
		return err
	}
	v.threads.loaded = true
	v.state = state{V: fileVersion, CacheID: newCacheID(), Notes: v.Notes}
	if err := v.Home.WriteSealed(v.Home.In(home.StateFile), v.state); err != nil {
		return err
	}
	// The folders themselves; the settings are written after this.
	return errors.Join(disk.SyncDir(v.Home.Path(home.LedgersDir)), disk.SyncDir(v.Home.Dir))
}

// Remove forgets a ledger: its folder with all that is in it.
func (v *View) Remove() error { return os.RemoveAll(v.Home.Path(v.Home.Ledger)) }
