package wallet

import (
	"bytes"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/view"
)

// notes are what a wallet remembers of one of its ledgers beside what the ledger says:
// they stand in the sealed state.
type notes struct {
	Looked   uint64         `json:"looked"`            // log size when `status` last showed what was opened
	Refused  map[string]int `json:"refused,omitempty"` // refused attempts that `status` has shown, by consent
	Asked    uint64         `json:"asked,omitempty"`   // log index of the consent that `status` asked the keepers about last
	Held     uint64         `json:"held,omitempty"`    // the same of the shares that `sync` asked about
	Book     crypto.Hash    `json:"book"`              // what of the book stands on this ledger, see book.worth
	BookRead uint64         `json:"bookRead"`          // log size up to which the book's versions were merged
	BackedUp backedUp       `json:"backedUp,omitzero"` // the last backup of this ledger

	// Moved is what a move made of record versions and consents of other ledgers; see
	// origin.
	Moved map[string]movedTo `json:"moved,omitempty"`
}

// backedUp tells of a backup that was checked.
type backedUp struct {
	At   int64  `json:"at"`   // seconds since 1970
	Size uint64 `json:"size"` // entries of the log
}

// notesOf reads what is remembered of another of the wallet's ledgers.
func (w *Wallet) notesOf(id crypto.LedgerID) (n notes, err error) {
	f := w.home
	f.Ledger = home.LedgerFolder(id)
	_, err = view.ReadPin(f, &n)
	return n, err
}

func (bk Book) read() error {
	// Reading an address checks its signature: with a thousand contacts that is
	// worth a comparison.
	sealed, err := bk.w.home.Read(home.BookFile)
	if err == nil && !bk.w.book.dirty && bk.w.book.read != nil && bytes.Equal(sealed, bk.w.book.read) {
		return nil
	}
	bk.w.book.read = nil
	var b book
	err = bk.w.home.ReadSealed(home.BookFile, &b)
	if err == nil && b.V != bookVersion {
		err = &VersionError{What: home.BookFile, Version: b.V, Known: bookVersion}
	}
	if err != nil {
		b, sealed = book{V: bookVersion}, nil
	}
	bk.w.book = keptBook{book: b, read: sealed}
	if b.Facts != nil && b.Facts.compose() {
		bk.w.book.show()
	}
	return err
}

// readState reads the book and what is kept of the ledger. To end consents, what cannot
// be read is read from the ledger.
func (w *Wallet) readState() error {
	w.lock.keyless = nil
	noBook := w.Book().read()
	if noBook != nil && !w.opt.Revoking {
		return noBook
	}
	lost, err := w.view.Load()
	if err != nil {
		return err
	}
	if noBook != nil { // the ledger's copy of it is read instead
		w.lock.keyless = lost // unless the ledger knows the key, see locked
		w.notes.BookRead = 0
		w.view.SetNews(true)
		w.view.PassOver(home.BookFile, noBook)
	}
	return nil
}

// save writes what changed. The book comes before the state, which says what of the
// ledger is in it.
func (w *Wallet) save() error {
	if w.book.dirty && len(w.view.Unwritten()) == 0 && !w.view.Disbelieved() {
		w.Book().stamp()
		if err := w.home.WriteSealed(home.BookFile, w.book.book); err != nil {
			return err
		}
		w.book.dirty = false
	}
	return w.view.Save()
}

// trySave is save where Unwritten tells that it failed.
func (w *Wallet) trySave() {
	if err := w.save(); err != nil && len(w.view.Unwritten()) == 0 {
		w.view.AddUnwritten(err)
	}
}
