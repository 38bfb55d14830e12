package wallet

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/home"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/view"
)

// The book is what a wallet knows that no ledger does: the owner's name, contacts,
// where its ledgers are and whose word beside the nodes' she wants there, when the words
// were checked, what she says of her records and of parts of them, and roles of her own. It is kept in a sealed file of
// the profile's folder, and, so that 24 words and a ledger bring it back, in a
// hidden record on the ledger: an own record whose metadata says so, which is
// neither listed nor granted.
//
// # Two machines with one seed
//
// Each fact carries the time of its last change, and what was removed leaves a
// tombstone with such a time. Two books are merged fact by fact: the newer wins, and
// of two of one time the one whose bytes are larger. That is a join: order and
// repetition do not matter, so that machines which have read the same versions hold
// the same book. A contact is a name together with an address, so that two machines
// that gave one name to two addresses lose neither; the one that is not verified, or
// was named later, is shown with a number behind its name. So renamed it is still one
// contact: what was done to it last counts, under whichever of its names.
//
// Each version on the ledger says how much of the log its writer had read and merged:
// not what it could not read. A reader takes the newest version and those that no
// writer of what it read has merged.
//
// # What it tells others
//
// A version of the book looks like a version of any record, and all versions are one
// thread: anyone sees how often it was rewritten, and in which hours. It is written
// in a batch of its own, not with a grant, and dates alone do not cause a version:
// they go with the next one.

// Book is the wallet's book, as its owner's other machines see it.
type Book struct{ w *Wallet }

// Book returns the wallet's book.
func (w *Wallet) Book() Book { return Book{w} }

// book is the sealed file.
type book struct {
	V       int    `json:"v"`
	Profile string `json:"profile,omitempty"` // the profile's name on this machine; not on the ledger
	// Tables: some were imported on this machine, so that their file must be there; not on the ledger.
	Tables bool      `json:"tables,omitempty"`
	Facts  bookFacts `json:"facts"`

	contacts []Contact              // those that were not removed, by name: see show
	byName   map[string]int         // their places, by the form in which names are compared
	byPerson map[crypto.Address]int // the same by address; of several names the one that is shown: see Contact.before
}

const bookVersion = 2

func newBook() book {
	return book{V: bookVersion, Facts: bookFacts{Contacts: []contactFact{}, Ledgers: []ledgerFact{}}}
}

// keptBook is the book with its file.
type keptBook struct {
	book
	read  []byte // the sealed file that it was read from
	dirty bool   // it must be written before the lock is given up
}

// setLedgers makes facts of where the ledgers of the settings are.
func (bk Book) setLedgers() {
	for _, p := range bk.w.settings.Ledgers {
		bk.w.book.Facts.setLedger(ledgerFact{ID: p.ID, At: p.At}, bk.w.opt.Now())
	}
}

// Elsewhere are the ledgers that the owner used and this wallet is not on here: those that
// another machine of hers is on, and those that she left. What happened there is in nothing
// that this wallet shows.
func (bk Book) Elsewhere() (others, left []Place) {
	for _, l := range bk.w.book.Facts.Ledgers {
		switch _, here := bk.w.settings.Ledger(l.ID); {
		case here:
		case l.Removed:
			left = append(left, Place{ID: l.ID, At: l.At})
		default:
			others = append(others, Place{ID: l.ID, At: l.At})
		}
	}
	return others, left
}

// setName makes a fact of what the owner calls herself; "" is not known.
func (bk Book) setName(name string) {
	if name != "" {
		bk.w.book.Facts.Name = fact{name, bk.w.opt.Now().UnixMilli()}
	}
}

// sum identifies what the book says, whoever wrote it.
func (f *bookFacts) sum() crypto.Hash { return crypto.TaggedHash(crypto.TagBook, payload.Marshal(f)) }

// worth identifies what is worth a new version on the ledger: dates alone, and where
// ledgers are, go with the next change.
func (b *book) worth() crypto.Hash {
	f := bookFacts{Name: b.Facts.Name, Contacts: b.Facts.Contacts, Labels: b.Facts.Labels, Roles: b.Facts.Roles, Records: b.Facts.Records, Witnesses: b.Facts.Witnesses, Requests: b.Facts.Requests}
	return f.sum()
}

// Keep enters the book on the ledger if it was changed, as a batch of its own.
// While the ledger or the store is out of reach it does nothing: the next time will
// do.
// Call it after a command that changed contacts, and not with one that grants.
func (bk Book) Keep(ctx context.Context) (kept bool, err error) {
	err = bk.w.with(ctx, func() error {
		if bk.w.notes.Book == bk.w.book.worth() || bk.w.view.Away() != nil {
			return nil
		}
		if err := bk.w.Records().describeAll(ctx); err != nil { // another machine's book
			return err
		}
		if bk.w.view.Away() != nil {
			return nil
		}
		unread, err := bk.readPages(ctx)
		if err != nil {
			return err
		}
		waits := slices.ContainsFunc(bk.w.Changes().Pending(), func(p Pending) bool { return p.Action == KeepingBook })
		worth := bk.w.book.worth()
		if waits || bk.w.notes.Book == worth { // what waits may never get there: the next time tells
			return nil
		}
		bk.setLedgers()
		bk.w.book.dirty = true
		page := bookPage{V: payload.Version, Ledger: bk.w.client.ID(), Seen: min(unread, bk.w.view.Pin().Size), bookFacts: bk.w.book.Facts}
		body := payload.Marshal(&page)
		var t *view.Thread
		m := payload.Metadata{Version: 1, Category: payload.Other, Hidden: payload.Book}
		for own := range bk.w.view.Of(view.OwnBook) {
			if own.Status == contract.StatusOpen {
				t, m.Version = own, len(own.Versions)+1
				break
			}
		}
		_, _, err = bk.w.Records().put(ctx, t, &incoming{Reader: bytes.NewReader(body)}, m, nil, nil)
		if err == nil {
			bk.w.notes.Book = worth
		}
		kept = err == nil || errors.Is(err, ErrPending) // what is signed goes out
		return err
	})
	return kept, err
}

// readPages merges the versions of the book that came onto the ledger since it was
// last done, all of those that can be read or, if a service does not answer, none: a
// book that is merged in part must not be taken for what its owner left of it.
//
// A version that the store does not hold or has changed, and that no later one has
// seen, may come to light again. unread is its position, up to which this wallet can
// say that it has merged everything; without one it is beyond all positions.
func (bk Book) readPages(ctx context.Context) (unread uint64, err error) {
	type version struct {
		index uint64
		t     *view.Thread
		at    int
	}
	var news []version
	for _, t := range bk.w.view.Threads() {
		if t.Role != view.OwnBook && !t.IsUnknown() {
			continue
		}
		for i, index := range t.VersionIndexes() {
			if index >= bk.w.notes.BookRead {
				news = append(news, version{index, t, i})
			}
		}
	}
	unread = math.MaxUint64
	if len(news) == 0 {
		return unread, nil
	}
	slices.SortFunc(news, func(a, b version) int { return cmp.Compare(b.index, a.index) })
	known := map[crypto.Address]bool{} // the check of an address is what costs
	know := func(f *bookFacts) {
		for i := range f.Contacts {
			known[f.Contacts[i].Address] = true
		}
	}
	know(&bk.w.book.Facts)
	var pages []*bookPage
	covered := uint64(0) // the writer of a page had merged what is before it
	for _, v := range news {
		if v.index < covered {
			continue
		}
		var page *bookPage
		err := error(ErrMissing)
		if m := v.t.Versions[v.at]; m != nil {
			page, err = bk.readPage(ctx, v.t, m, known)
		}
		if isMissing(err) || isTampered(err) {
			unread = v.index // the newest come first
			continue
		}
		if err != nil {
			return 0, err
		}
		pages, covered = append(pages, page), max(covered, page.Seen)
		know(&page.bookFacts)
	}
	if len(pages) > 0 {
		for _, p := range pages {
			bk.w.book.Facts.merge(&p.bookFacts)
		}
		bk.w.book.show()
		bk.w.book.dirty = true
		// What the newest version says is on the ledger; if the merge says more, that is
		// worth a version.
		b := book{Facts: pages[0].bookFacts}
		bk.w.notes.Book = b.worth()
	}
	bk.w.notes.BookRead = max(bk.w.notes.BookRead, min(unread, news[0].index+1))
	return unread, nil
}

// readPage decrypts one version of the book; known is as for parsePage.
func (bk Book) readPage(ctx context.Context, t *view.Thread, m *payload.Metadata, known map[crypto.Address]bool) (*bookPage, error) {
	c, err := stored(bk).content(ctx, m, t.ID)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if m.Size > maxSmall {
		return nil, c.tampered("too long for a book")
	}
	var body bytes.Buffer
	if err := c.decrypt(ctx, &body, bk.w.keys.RecordIdentity(), m.SHA256, nil); err != nil {
		return nil, err
	}
	page, err := parsePage(body.Bytes(), known)
	if errors.Is(err, payload.ErrVersion) {
		return nil, err
	}
	if err == nil && page.Ledger != bk.w.client.ID() {
		err = errCommitment
	}
	if err != nil {
		return nil, tampered("content of record", t.ID, err)
	}
	return page, nil
}

// Contact is a local name for an address.
type Contact struct {
	Name     string         `json:"name"`
	Address  crypto.Address `json:"address"`
	Verified bool           `json:"verified"`      // the check words were compared with their owner
	Ref      string         `json:"ref,omitempty"` // the wallet owner's own reference, at most MaxRef bytes; never sent
}

// MaxRef is the most bytes of a reference of one's own to a contact.
const MaxRef = 64

// CheckRef returns a reference as it is kept: like a name, but at most MaxRef bytes, and
// it may be empty.
func CheckRef(ref string) (string, error) {
	if text.Name(ref) == "" {
		return "", nil
	}
	r, err := CheckName("ref", ref)
	if err == nil && len(r) > MaxRef {
		err = badInput("ref", ref, fmt.Sprintf("longer than %d bytes: ASCII takes one for a letter, other scripts two to four", MaxRef))
	}
	return r, err
}

// CheckName is [text.CheckName]. field names what it is in an [ErrInput].
func CheckName(field, name string) (string, error) {
	kept, why := text.CheckName(name)
	if why != "" {
		return "", badInput(field, name, why)
	}
	return kept, nil
}

// lookAtNews takes up what another machine with the same key wrote into the book.
func (bk Book) lookAtNews(ctx context.Context) error {
	if bk.w.view.Away() != nil {
		return nil
	}
	err := bk.w.Records().describeAll(ctx)
	if err == nil && bk.w.view.Away() == nil {
		_, err = bk.readPages(ctx)
	}
	if bk.w.view.DoWithout(err) || bk.w.view.Away() != nil {
		return nil // next time
	}
	if err == nil && bk.w.view.News() {
		bk.w.view.SetNews(false)
	}
	return err
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
		err = WrongVersion(home.BookFile, b.V, bookVersion)
	}
	if err != nil {
		b, sealed = newBook(), nil
	}
	b.show()
	bk.w.book = keptBook{book: b, read: sealed}
	return err
}
