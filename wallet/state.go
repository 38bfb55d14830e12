package wallet

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
)

// state is what a wallet knows that the ledger does not: sealed under a key from
// the root, one small file.
type state struct {
	V        int              `json:"v"`
	Name     string           `json:"name"`
	Contacts []Contact        `json:"contacts"`
	Pin      ledgerclient.Pin `json:"pin"`
	Looked   uint64           `json:"looked"`            // log size when `status` last showed what was opened
	Refused  map[string]int   `json:"refused,omitempty"` // refused attempts that `status` has shown, by consent
	Verified verified         `json:"verified"`          // the part of the log whose signatures were all checked

	// The cache file belongs to this state if its frames were sealed under CacheID
	// and its first CacheSize bytes are there; what follows them was never
	// committed.
	CacheID   string `json:"cacheId"`
	Rescan    bool   `json:"rescan,omitempty"` // the cache was lost: read the ledger from its beginning
	CacheSize int64  `json:"cacheSize"`        // bytes
	Frames    uint64 `json:"frames"`
}

type verified struct {
	Size uint64      `json:"size"`
	Root crypto.Hash `json:"root"`
}

const stateVersion = 1

func newCacheID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// readState reads the sealed state and, when another process changed it, the
// cache. A cache that does not fit the state is rebuilt from the ledger.
func (w *Wallet) readState() error {
	sealed, err := os.ReadFile(filepath.Join(w.dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &DamagedError{File: stateFile, Err: err}
	}
	if err != nil {
		return err
	}
	plain, err := w.local.Open(stateFile, sealed)
	if err != nil {
		return w.explainState(err)
	}
	var s state
	if err := json.Unmarshal(plain, &s); err != nil {
		return &DamagedError{File: stateFile}
	}
	if s.V != stateVersion {
		return &VersionError{What: stateFile, Version: s.V}
	}
	same := s.CacheID == w.state.CacheID && s.CacheSize == w.state.CacheSize && len(w.frames) == 0
	w.state = s
	w.dirty = false
	if same && w.threads.loaded {
		return nil
	}
	return w.readCache()
}

// explainState tells a wrong key from a damaged file: both fail authentication.
// The item in the keyring is the wallet's own by a random name, so that a changed
// file is the likelier cause; but a key that opens no other sealed file either is
// the wrong one.
func (w *Wallet) explainState(err error) error {
	if b, rerr := os.ReadFile(filepath.Join(w.dir, keyCheckFile)); rerr == nil {
		if _, oerr := w.local.Open(keyCheckFile, b); oerr != nil {
			return &WrongKeyError{}
		}
	}
	return &DamagedError{File: stateFile, Err: err}
}

// keyCheckFile holds a sealed constant, to tell a wrong key from a damaged state.
const keyCheckFile = "key-check"

func (w *Wallet) writeState() error {
	plain, err := json.Marshal(w.state)
	if err != nil {
		return err
	}
	return w.writeFile(stateFile, w.local.Seal(stateFile, plain))
}

// save writes what changed: the cache's new frames first, then the state that
// counts them.
func (w *Wallet) save() error {
	if len(w.frames) > 0 {
		if err := w.appendCache(); err != nil {
			return err
		}
		w.dirty = true
	}
	if !w.dirty {
		return nil
	}
	if err := w.writeState(); err != nil {
		return err
	}
	w.dirty = false
	return nil
}
