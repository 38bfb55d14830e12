package wallet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet/atomicfile"
)

// A wallet is one key and one address on any number of ledgers. What it knows of
// each is in a folder of its own, so that a ledger can be joined, left or be out of
// reach without any effect on the others. Settings list the ledgers: a folder that
// they do not name is garbage of a Join or Leave that was interrupted.

// Join opens the wallet in opt.Dir with a ledger that it is not on yet, and puts
// the wallet on it. at is what the settings say of where it is. A ledger that the
// wallet is on already is an *ExistsError.
func Join(ctx context.Context, opt Options, at string) (*Wallet, error) {
	unlock, err := lockHome(ctx, opt.Dir, opt.waitOrDefault())
	if err != nil {
		return nil, err
	}
	defer unlock()
	s, err := ReadSettings(opt.Dir)
	if err != nil {
		return nil, err
	}
	client, err := ledgerclient.Connect(ctx, opt.Services, crypto.LedgerID{})
	if err != nil {
		return nil, err
	}
	if _, ok := s.Ledger(client.ID()); ok {
		return nil, &ExistsError{What: "ledger"}
	}
	s.Ledgers = append(s.Ledgers[:len(s.Ledgers):len(s.Ledgers)], Place{ID: client.ID(), At: at})
	if !s.valid() { // the beginnings of two ids are the same: nobody meets that by chance
		return nil, &ledgerclient.TamperedError{What: "configuration document"}
	}
	entropy, err := readKey(ctx, opt, s)
	if err != nil {
		return nil, err
	}
	w := assemble(opt, s, client, entropy)
	if err := w.readBook(); err != nil {
		return nil, err
	}
	if err := w.newLedgerFolder(); err != nil {
		return nil, errors.Join(err, w.removeLedgerFolder())
	}
	if err := writeSettings(w.dir, s); err != nil {
		return nil, errors.Join(err, w.removeLedgerFolder())
	}
	return w, nil
}

// newLedgerFolder makes the folder of the open ledger anew.
func (w *Wallet) newLedgerFolder() error {
	if err := w.removeLedgerFolder(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(w.dir, w.inLedger(journalDir)), 0o700); err != nil {
		return err
	}
	if err := w.writeFile(w.inLedger(genesisFile), w.client.Genesis()); err != nil {
		return err
	}
	if err := w.keepDocuments(1); err != nil {
		return err
	}
	w.state = state{V: stateVersion, CacheID: newCacheID()}
	if err := w.writeSealed(w.inLedger(stateFile), w.state); err != nil {
		return err
	}
	// The folders themselves; the settings are written after this.
	return errors.Join(atomicfile.SyncDir(filepath.Join(w.dir, ledgersDir)), atomicfile.SyncDir(w.dir))
}

func (w *Wallet) removeLedgerFolder() error {
	return os.RemoveAll(filepath.Join(w.dir, w.folder))
}

func newCacheID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Genesis returns the configuration document of a ledger that the wallet in dir is
// on, as it was when the wallet joined it. It is public, and its hash is the id.
func Genesis(dir string, id crypto.LedgerID) ([]byte, error) {
	return os.ReadFile(filepath.Join(dir, ledgerFolder(id), genesisFile))
}

// On returns the same unlocked wallet with another of its ledgers open. The two must
// not be used at the same time.
func (w *Wallet) On(ctx context.Context, services ledgerclient.Services, id crypto.LedgerID) (*Wallet, error) {
	s, err := ReadSettings(w.dir)
	if err != nil {
		return nil, err
	}
	client, err := connect(ctx, w.dir, s, services, id)
	if err != nil {
		return nil, err
	}
	client.Now = w.now
	o := &Wallet{
		dir: w.dir, profile: w.profile, folder: ledgerFolder(client.ID()), settings: s, client: client, now: w.now, wait: w.wait,
		root: w.root, identity: w.identity, self: w.self, local: w.local, tagger: w.root.Tagger(client.ID()),
		threads: newThreads(),
	}
	return o, o.readState()
}

// LedgerName is the name that the open ledger gives itself.
func (w *Wallet) LedgerName() string { return w.client.Config().Name }
