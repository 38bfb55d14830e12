package wallet

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"golang.org/x/text/unicode/norm"
)

// Contacts are the people that the wallet's owner has given names to.
type Contacts struct{ w *Wallet }

// Contacts returns the wallet's contacts.
func (w *Wallet) Contacts() Contacts { return Contacts{w} }

// Add keeps an address under a name. The same pair again is not an error;
// a name that stands for another address is an [ErrExists]. lookalikes are
// existing names that a person could take for this one.
func (cs Contacts) Add(ctx context.Context, name, address string) (c Contact, lookalikes []string, err error) {
	if name, err = CheckName("name", name); err != nil {
		return Contact{}, nil, err
	}
	a, err := crypto.ParseAddress(address)
	if err != nil {
		return Contact{}, nil, err
	}
	err = cs.w.with(ctx, func() error {
		if i := cs.index(name); i >= 0 {
			if c = cs.w.book.contacts[i]; c.Address != a {
				return ErrNameTaken
			}
			return nil
		}
		for _, other := range cs.w.book.contacts {
			if Skeleton(other.Name) == Skeleton(name) || other.Address == a {
				lookalikes = append(lookalikes, other.Name)
			}
		}
		c = Contact{Name: name, Address: a}
		cs.set(contactFact{Name: name, Address: a})
		return nil
	})
	return c, lookalikes, err
}

// List lists all contacts by name.
func (cs Contacts) List() []Contact { return slices.Clone(cs.w.book.contacts) }

// Named returns the contact of that name, in whatever form it is written (see
// [text.Name]): [ErrNotFound] if there is none.
func (cs Contacts) Named(name string) (Contact, error) {
	i := cs.index(name)
	if i < 0 {
		return Contact{}, cs.none(name)
	}
	return cs.w.book.contacts[i], nil
}

// none says that there is no contact of that name, and which one a person could
// take for it.
func (cs Contacts) none(name string) error {
	like := ""
	looks := func(c Contact) bool { return Skeleton(c.Name) == Skeleton(name) }
	if i := slices.IndexFunc(cs.w.book.contacts, looks); i >= 0 {
		like = cs.w.book.contacts[i].Name
	}
	return ErrNotFound.With("noun", "contact", "query", name, "like", like)
}

// SetVerified remembers that a contact's check words were compared.
func (cs Contacts) SetVerified(ctx context.Context, name string) error {
	return cs.change(ctx, name, func(c Contact) {
		if !c.Verified {
			cs.set(contactFact{Name: c.Name, Address: c.Address, Verified: true})
		}
	})
}

// Remove forgets a name. Consents given to it stay as they are.
func (cs Contacts) Remove(ctx context.Context, name string) error {
	return cs.change(ctx, name, func(c Contact) { cs.set(contactFact{Name: c.Name, Address: c.Address, Removed: true}) })
}

// change runs f with a contact.
func (cs Contacts) change(ctx context.Context, name string, f func(Contact)) error {
	return cs.w.with(ctx, func() error {
		c, err := cs.Named(name)
		if err == nil {
			f(c)
		}
		return err
	})
}

func (cs Contacts) set(c contactFact) {
	cs.w.book.set(c, cs.w.opt.Now())
	cs.w.book.dirty = true
}

// index is the place of a contact in the book; -1 if there is none of that name.
func (cs Contacts) index(name string) int {
	return slices.IndexFunc(cs.w.book.contacts, func(c Contact) bool { return sameName(c.Name, name) })
}

func sameName(a, b string) bool { return a == b || text.Name(a) == text.Name(b) }

// known returns the contact with an address, of several names a verified one; a
// stranger's is zero.
func (cs Contacts) known(a crypto.Address) (found Contact) {
	for _, c := range cs.w.book.contacts {
		if c.Address == a && (found.Name == "" || c.Verified && !found.Verified) {
			found = c
		}
	}
	return found
}

// Skeleton maps names that look alike to one string: case, spaces, punctuation, accents,
// letters that are drawn in several forms (full-width, mathematical: NFKD) and the
// letters of other scripts that are drawn like Latin ones. It follows the idea of
// Unicode TR 39 for the letters that matter most, Greek and Cyrillic.
func Skeleton(name string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(norm.NFKD.String(text.Visible(name)))) {
		if i := strings.IndexRune(confusables, r); i >= 0 {
			r = latin[utf8.RuneCountInString(confusables[:i])]
		}
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(r)
		}
	}
	return strings.NewReplacer("rn", "m", "vv", "w").Replace(b.String())
}

const confusables = "аεеіїјорсухкмтнвαβικνορτυχγωѕԁ01l|ıȷɑɡɩһԛԝѵӏոօսհցաƽ"

var latin = []rune("aeeiijopcyxkmthbabiknoptuxywsdoiiiijagihqwvinouhgws")
