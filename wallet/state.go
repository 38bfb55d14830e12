package wallet

import (
	"bytes"
	"errors"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet/home"
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

func (w *Wallet) readBook() error {
	// Reading an address checks its signature: with a thousand contacts that is
	// worth a comparison.
	sealed, err := w.home.Read(home.BookFile)
	if err == nil && !w.bookDirty && w.bookRead != nil && bytes.Equal(sealed, w.bookRead) {
		return nil
	}
	w.bookRead = nil
	var b book
	err = w.home.ReadSealed(home.BookFile, &b)
	if err == nil && b.V != bookVersion {
		err = &VersionError{What: home.BookFile, Version: b.V, Known: bookVersion}
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
	name := w.home.In(home.StateFile)
	var s state
	err := w.home.ReadSealed(name, &s)
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
		w.passOver(home.BookFile, noBook)
	}
	same := s.CacheID == w.state.CacheID && s.CacheSize == w.state.CacheSize && w.cache.end() == s.CacheSize
	w.state = s
	w.dirty = false
	if same && w.threads.loaded {
		return nil
	}
	return w.readCache()
}

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
		if err := w.home.WriteSealed(home.BookFile, w.book); err != nil {
			return err
		}
		w.bookDirty = false
	}
	if w.dirty {
		if err := w.home.WriteSealed(w.home.In(home.StateFile), w.state); err != nil {
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
