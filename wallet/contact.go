package wallet

import (
	"cmp"
	"context"
	"maps"
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

// AddedContact is one that was added, or was there already.
type AddedContact struct {
	Contact
	New        bool     `json:"-"`                    // it was not there before
	Lookalikes []string `json:"lookalikes,omitempty"` // names that could be taken for this one, or have its address
}

// Add keeps an address under a name. The same pair again is not an error;
// a name that stands for another address is an [ErrNameTaken]. lookalikes are as in [AddedContact].
func (cs Contacts) Add(ctx context.Context, name, address string) (c Contact, lookalikes []string, err error) {
	a, err := crypto.ParseAddress(address)
	if err != nil {
		return Contact{}, nil, err
	}
	added, taken, err := cs.Import(ctx, []Contact{{Name: name, Address: a}})
	if err == nil && len(taken) > 0 {
		err = ErrNameTaken
	}
	if err != nil {
		return Contact{}, nil, err
	}
	return added[0].Contact, added[0].Lookalikes, nil
}

// Import adds many contacts, or none: taken are the places of those whose name stands for
// another address, in the book or before them, and with one of these nothing is kept. The
// same pair again is not an error; a Ref is kept, and an empty one leaves the one that is
// there. Whether one is verified is not imported.
func (cs Contacts) Import(ctx context.Context, people []Contact) (added []AddedContact, taken []int, err error) {
	people = slices.Clone(people)
	for i := range people {
		c := &people[i]
		if c.Name, err = CheckContact(c.Name); err == nil {
			c.Ref, err = CheckRef(c.Ref)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	err = cs.w.with(ctx, func() error {
		facts := map[contactKey]contactFact{}
		names, like, of := map[string]crypto.Address{}, map[string][]string{}, map[crypto.Address][]string{}
		note := func(c *Contact, skeleton string) {
			names[text.Name(c.Name)] = c.Address
			like[skeleton] = append(like[skeleton], c.Name)
			of[c.Address] = append(of[c.Address], c.Name)
		}
		for i := range cs.w.book.contacts {
			c := &cs.w.book.contacts[i]
			note(c, Skeleton(c.Name))
		}
		for i := range people {
			c := &people[i]
			out := AddedContact{Contact: *c}
			out.Verified = false
			if a, ok := names[text.Name(c.Name)]; ok && a != c.Address {
				taken = append(taken, i)
				continue
			} else if at := cs.index(c.Name); at >= 0 {
				have := cs.w.book.contacts[at]
				out.Contact = have
				if c.Ref != "" {
					out.Ref = c.Ref
				}
				if out.Ref != have.Ref {
					facts[contactKey{have.Name, have.Address}] = factOf(out.Contact)
				}
			} else {
				key := contactKey{c.Name, c.Address}
				out.Ref = cmp.Or(c.Ref, facts[key].Ref)
				if out.New = !ok; out.New {
					skeleton := Skeleton(c.Name)
					for _, others := range [][]string{like[skeleton], of[c.Address]} {
						for _, other := range others {
							if !slices.Contains(out.Lookalikes, other) {
								out.Lookalikes = append(out.Lookalikes, other)
							}
						}
					}
					note(c, skeleton)
				}
				facts[key] = factOf(out.Contact)
			}
			added = append(added, out)
		}
		if len(taken) > 0 || len(facts) == 0 {
			return nil
		}
		cs.set(slices.Collect(maps.Values(cs.apart(facts)))...)
		return nil
	})
	if err != nil || len(taken) > 0 {
		added = nil
	}
	return added, taken, err
}

// apart makes of new facts whose name another contact of that address had before contacts
// of their own: they are two names of one person then, and not one that was renamed.
func (cs Contacts) apart(facts map[contactKey]contactFact) map[contactKey]contactFact {
	for _, c := range cs.w.book.Facts.Contacts {
		if _, ok := facts[contactKey{c.Was, c.Address}]; ok && !c.Removed && c.Was != c.Name {
			c.Was = c.Name
			facts[contactKey{c.Name, c.Address}] = c
		}
		if f, ok := facts[contactKey{c.Name, c.Address}]; ok && c.Removed && c.Was != "" {
			f.Was = c.Name
			facts[contactKey{c.Name, c.Address}] = f
		}
	}
	return facts
}

// CheckContact is [CheckName] for what a contact is to be called. What names a file, or is
// one of the codes that people hand to each other, would not be found under its name.
func CheckContact(name string) (string, error) {
	kept, err := CheckName("name", name)
	switch {
	case err != nil:
		return "", err
	case kept[0] == '@':
		return "", badInput("name", kept, "begins with @, as files are named")
	case crypto.IsAddress(kept), crypto.IsCard(kept), crypto.IsFetchCode(kept):
		return "", badInput("name", kept, "is a code that people hand to each other")
	}
	return kept, nil
}

// Rename gives a contact another name. What was given to it and by it is shown under that
// one. A name that another contact has is an [ErrNameTaken]; lookalikes are as in [AddedContact].
func (cs Contacts) Rename(ctx context.Context, name, to string) (renamed AddedContact, err error) {
	if to, err = CheckContact(to); err != nil {
		return AddedContact{}, err
	}
	err = cs.change(ctx, name, func(c Contact) error {
		at := cs.index(c.Name)
		if other := cs.index(to); other >= 0 && other != at {
			return ErrNameTaken
		}
		renamed.Contact = c
		if c.Name == to {
			return nil
		}
		for i, other := range cs.w.book.contacts {
			if i != at && Skeleton(other.Name) == Skeleton(to) {
				renamed.Lookalikes = append(renamed.Lookalikes, other.Name)
			}
		}
		renamed.Name = to
		cs.set(cs.w.book.call(c, to)...)
		return nil
	})
	return renamed, err
}

// SetRef keeps the owner's own reference to a contact, at most [MaxRef] bytes; "" forgets
// it. It is in the book and is told to nobody.
func (cs Contacts) SetRef(ctx context.Context, name, ref string) (changed Contact, err error) {
	if ref, err = CheckRef(ref); err != nil {
		return Contact{}, err
	}
	err = cs.change(ctx, name, func(c Contact) error {
		changed = c
		if changed.Ref = ref; ref != c.Ref {
			cs.set(factOf(changed))
		}
		return nil
	})
	return changed, err
}

// List lists all contacts by name.
func (cs Contacts) List() []Contact { return slices.Clone(cs.w.book.contacts) }

// Named returns the contact of that name, in whatever form it is written (see
// [text.Name]): [ErrNotFound] if there is none, which names one that may be meant.
func (cs Contacts) Named(name string) (Contact, error) {
	i := cs.index(name)
	if i < 0 {
		return Contact{}, ErrNotFound.With("noun", "contact", "query", name, "like", Like(name, cs.names()))
	}
	return cs.w.book.contacts[i], nil
}

// names are those of all contacts.
func (cs Contacts) names() (out []string) {
	for i := range cs.w.book.contacts {
		out = append(out, cs.w.book.contacts[i].Name)
	}
	return out
}

// SetVerified remembers that a contact's check words were compared.
func (cs Contacts) SetVerified(ctx context.Context, name string) error {
	return cs.change(ctx, name, func(c Contact) error {
		if !c.Verified {
			c.Verified = true
			cs.set(factOf(c))
		}
		return nil
	})
}

// Remove forgets a name. Consents given to it stay as they are.
func (cs Contacts) Remove(ctx context.Context, name string) error {
	return cs.change(ctx, name, func(c Contact) error {
		cs.set(contactFact{Name: c.Name, Address: c.Address, Removed: true})
		return nil
	})
}

// change runs f with a contact.
func (cs Contacts) change(ctx context.Context, name string, f func(Contact) error) error {
	return cs.w.with(ctx, func() error {
		c, err := cs.Named(name)
		if err != nil {
			return err
		}
		return f(c)
	})
}

func (cs Contacts) set(facts ...contactFact) {
	cs.w.book.set(cs.w.opt.Now(), facts...)
	cs.w.book.dirty = true
}

// factOf is what the book says of a contact, but for when.
func factOf(c Contact) contactFact {
	return contactFact{Name: c.Name, Address: c.Address, Verified: c.Verified, Ref: c.Ref}
}

// index is the place of a contact in the book; -1 if there is none of that name.
func (cs Contacts) index(name string) int {
	if i, ok := cs.w.book.byName[text.Name(name)]; ok {
		return i
	}
	return -1
}

func sameName(a, b string) bool { return a == b || text.Name(a) == text.Name(b) }

// before reports whether a name of an address is shown in place of another one: a verified
// one is, and otherwise one with a reference of one's own, by which its owner is found.
func (c *Contact) before(other *Contact) bool {
	if c.Verified != other.Verified {
		return c.Verified
	}
	return c.Ref != "" && other.Ref == ""
}

// known returns the contact with an address, of several names the one that is shown; a
// stranger's is zero.
func (cs Contacts) known(a crypto.Address) Contact {
	if i, ok := cs.w.book.byPerson[a]; ok {
		return cs.w.book.contacts[i]
	}
	return Contact{}
}

// Like returns the one of some names that a person who typed query may have meant: one
// that looks like it (see [Skeleton]), or else the first of those that are the fewest slips
// away, at most two and less than half of its letters: a letter more, less, another one, or
// two that changed places. "" is none.
func Like(query string, names []string) (like string) {
	skeleton, q := Skeleton(query), []rune(text.Fold(text.Name(query)))
	best := min(2, (len(q)-1)/2) + 1
	for _, name := range names {
		if skeleton != "" && Skeleton(name) == skeleton {
			return name
		}
		if n := slips(q, []rune(text.Fold(name)), best); n < best {
			like, best = name, n
		}
	}
	return like
}

// slips is how many slips turn a into b (optimal string alignment), or most if they are not
// fewer. Only those letters are compared whose places are that close.
func slips(a, b []rune, most int) int {
	if abs := max(len(a)-len(b), len(b)-len(a)); abs >= most {
		return most
	}
	var before, last, row []int // of prefixes of a, one row a letter
	for i := range len(a) + 1 {
		before, last, row = last, row, make([]int, len(b)+1)
		least := most
		for j := range row {
			switch {
			case j < i-most || j > i+most:
				row[j] = most
				continue
			case i == 0 || j == 0:
				row[j] = i + j
			default:
				cost := 1
				if a[i-1] == b[j-1] {
					cost = 0
				}
				row[j] = min(last[j-1]+cost, last[j]+1, row[j-1]+1)
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					row[j] = min(row[j], before[j-2]+1)
				}
			}
			least = min(least, row[j])
		}
		if least >= most && i > 0 {
			return most
		}
	}
	return min(most, row[len(b)])
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
	return drawnAsOne.Replace(b.String())
}

var drawnAsOne = strings.NewReplacer("rn", "m", "vv", "w")

const confusables = "аεеіїјорсухкмтнвαβικνορτυχγωѕԁ01l|ıȷɑɡɩһԛԝѵӏոօսհցաƽ"

var latin = []rune("aeeiijopcyxkmthbabiknoptuxywsdoiiiijagihqwvinouhgws")
