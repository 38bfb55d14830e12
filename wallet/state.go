package wallet

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
)

// state is what a wallet remembers of one of its ledgers, sealed like the book.
type state struct {
	V        int              `json:"v"`
	Pin      ledgerclient.Pin `json:"pin"`
	Seen     int64            `json:"seen"`              // Unix time of when Pin was the newest head, to ten minutes
	Looked   uint64           `json:"looked"`            // log size when `status` last showed what was opened
	Refused  map[string]int   `json:"refused,omitempty"` // refused attempts that `status` has shown, by consent
	Asked    uint64           `json:"asked,omitempty"`   // log index of the consent that `status` asked the keepers about last
	Held     uint64           `json:"held,omitempty"`    // the same of the shares that `sync` asked about
	Verified verified         `json:"verified"`          // the part of the log whose signatures were all checked

	Book     crypto.Hash `json:"book"`              // what of the book stands on this ledger, see book.worth
	BookRead uint64      `json:"bookRead"`          // log size up to which the book's versions were merged
	News     bool        `json:"news,omitempty"`    // records came that may be the book's
	BackedUp backedUp    `json:"backedUp,omitzero"` // the last backup of this ledger

	// Moved is what a move made of record versions and consents of other ledgers; see
	// origin.
	Moved map[string]movedTo `json:"moved,omitempty"`

	// The cache file belongs to this state if its blocks were sealed under CacheID
	// and its first CacheSize bytes are there; what follows them was never
	// committed.
	CacheID   string `json:"cacheId"`
	Rescan    bool   `json:"rescan,omitempty"` // the cache was lost: read the ledger from its beginning
	CacheSize int64  `json:"cacheSize"`        // bytes
}

type verified struct {
	Size uint64      `json:"size"`
	Root crypto.Hash `json:"root"`
}

// backedUp tells of a backup that was checked.
type backedUp struct {
	At   int64  `json:"at"`   // seconds since 1970
	Size uint64 `json:"size"` // entries of the log
}

const stateVersion = 1

// readSealed reads a sealed file of the profile's folder into v. The file's name is
// bound to what is in it, so that no file can stand in another's place.
func (w *Wallet) readSealed(name string, v any) error {
	sealed, err := readOwn(w.dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return &DamagedError{File: name, Err: err}
	}
	if err != nil {
		return err
	}
	plain, err := w.local.Open(filepath.ToSlash(name), sealed)
	if err != nil {
		return w.explainSealed(name, err)
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return &DamagedError{File: name}
	}
	return nil
}

func (w *Wallet) writeSealed(name string, v any) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.writeFile(name, w.local.Seal(filepath.ToSlash(name), plain))
}

// inLedger is the name of one of the open ledger's files in the profile's folder.
func (w *Wallet) inLedger(name string) string { return filepath.Join(w.folder, name) }

func (w *Wallet) readBook() error {
	// Reading an address checks its signature: with a thousand contacts that is
	// worth a comparison.
	sealed, err := readOwn(w.dir, bookFile)
	if err == nil && !w.bookDirty && w.bookRead != nil && bytes.Equal(sealed, w.bookRead) {
		return nil
	}
	w.bookRead = nil
	var b book
	err = w.readSealed(bookFile, &b)
	if err == nil && b.V != bookVersion {
		err = &VersionError{What: bookFile, Version: b.V, Known: bookVersion}
	}
	if err != nil {
		b, sealed = book{V: bookVersion}, nil
	}
	w.book, w.bookDirty, w.bookRead = b, false, sealed
	if b.Facts != nil && b.Facts.compose() {
		w.book.show()
	}
	return err
}

// readState reads the book, the sealed state of the ledger and, when another
// process changed it, the cache. A cache that does not fit the state is rebuilt
// from the ledger; to end consents, so is all that cannot be read.
func (w *Wallet) readState() error {
	w.keyless = nil
	noBook := w.readBook()
	if noBook != nil && !w.revoking {
		return noBook
	}
	name := w.inLedger(stateFile)
	var s state
	err := w.readSealed(name, &s)
	if err == nil && s.V != stateVersion {
		err = &VersionError{What: name, Version: s.V, Known: stateVersion}
	}
	if err != nil {
		if !w.revoking {
			return err
		}
		if noBook != nil { // unless the ledger knows the key, see locked
			w.keyless = err
		}
		s = state{V: stateVersion, CacheID: newCacheID(), Rescan: true}
		w.passOver(name, err)
	}
	if noBook != nil { // the ledger's copy of it is read instead
		s.BookRead, s.News = 0, true
		w.passOver(bookFile, noBook)
	}
	same := s.CacheID == w.state.CacheID && s.CacheSize == w.state.CacheSize && w.cache.end() == s.CacheSize
	w.state = s
	w.dirty = false
	if same && w.threads.loaded {
		return nil
	}
	return w.readCache()
}

// explainSealed tells a wrong key from a damaged file: both fail authentication.
// The item in the keyring is the wallet's own by a random name, so that a changed
// file is the likelier cause; but a key that opens no other sealed file either is
// the wrong one.
func (w *Wallet) explainSealed(name string, err error) error {
	if wrong := checkKey(w.dir, w.local); is[*WrongKeyError](wrong) {
		return wrong
	}
	return &DamagedError{File: name, Err: err}
}

// checkKey tells whether a key is that of the wallet whose files are in dir: a
// *WrongKeyError if it opens none of them. If it opens another one than the key check,
// that is damaged.
func checkKey(dir string, local *crypto.LocalKey) error {
	b, err := readOwn(dir, keyCheckFile)
	if err != nil {
		return err
	}
	_, err = local.Open(keyCheckFile, b)
	if err == nil {
		return nil
	}
	others, _ := filepath.Glob(filepath.Join(dir, ledgersDir, "*", stateFile))
	for _, path := range append(others, filepath.Join(dir, bookFile)) {
		name, rerr := filepath.Rel(dir, path)
		if rerr != nil {
			continue
		}
		if sealed, rerr := readOwn(dir, name); rerr == nil {
			if _, rerr := local.Open(filepath.ToSlash(name), sealed); rerr == nil {
				return &DamagedError{File: keyCheckFile, Err: err}
			}
		}
	}
	return &WrongKeyError{}
}

// keyCheckFile holds a sealed constant, to tell a wrong key from a damaged state.
const keyCheckFile = "key-check"

// save writes what changed: what is new in the cache first, then the state that
// counts it. The book comes before the state, which says what of the ledger is in
// it. Nothing is written over what could not be read or locked, nor of a ledger that
// cannot be believed.
func (w *Wallet) save() error {
	if len(w.unwritten) > 0 {
		return errors.Join(w.unwritten...)
	}
	if w.disbelieved() {
		return nil
	}
	if w.cache.end() > w.state.CacheSize {
		if err := w.appendCache(); err != nil {
			return err
		}
		w.dirty = true
	}
	if w.bookDirty {
		w.stampBook()
		if err := w.writeSealed(bookFile, w.book); err != nil {
			return err
		}
		w.bookDirty = false
	}
	if w.dirty {
		if err := w.writeSealed(w.inLedger(stateFile), w.state); err != nil {
			return err
		}
		w.dirty = false
	}
	return nil
}

// passOver takes note of a file that cannot be read. Nothing is written from then on:
// it is for a person to decide what becomes of it.
func (w *Wallet) passOver(name string, err error) {
	if !is[*DamagedError](err) && !is[*VersionError](err) {
		err = &DamagedError{File: name, Err: err}
	}
	w.unwritten = append(w.unwritten, err)
}

// trySave is save where Unwritten tells that it failed.
func (w *Wallet) trySave() {
	if err := w.save(); err != nil && len(w.unwritten) == 0 {
		w.unwritten = []error{err}
	}
}
