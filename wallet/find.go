package wallet

import (
	"cmp"
	"context"
	"strings"
	"unicode"

	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
	"golang.org/x/text/unicode/norm"
)

// RecordQuery says which of one's own records are meant: those that all of it fits.
type RecordQuery struct {
	Category payload.Category // of the record or, if it was split, of one of its parts; "" is any
	Search   string           // words of its title or its file's name, in any order
	Since    string           // of its date, as ParseDates has it
	Until    string
}

// Find lists the records that a query fits, as List does, and with what they hold, so far as
// that is known without their files. Of unknown it is not known: what they are, or are about,
// cannot be had.
func (rs Records) Find(ctx context.Context, q RecordQuery) (out, unknown []Record, err error) {
	dated := health.Selection{Since: q.Since, Until: q.Until}
	if err := checkSelection(&dated); err != nil {
		return nil, nil, err
	}
	if q.Category != "" {
		if q.Category, err = ParseCategory(string(q.Category)); err != nil {
			return nil, nil, err
		}
	}
	err = rs.w.Look(ctx, func() error {
		all, err := rs.List(ctx)
		if err != nil {
			return err
		}
		for _, r := range all {
			if r.Missing && q != (RecordQuery{}) {
				unknown = append(unknown, r)
				continue
			}
			if _, why := dated.Judge(&health.Label{Category: payload.Other, Date: r.Date}); why != "" || !holdsWords(r.Title+" "+r.File, q.Search) {
				continue
			}
			has, err := rs.hasCategory(ctx, r, q.Category)
			switch {
			case isMissing(err) || isTampered(err) || rs.w.view.DoWithout(err):
				r.Damaged = cmp.Or(r.Damaged, err)
				unknown = append(unknown, r)
			case err != nil:
				return err
			case has:
				if r.Holds, err = rs.keptHolding(r); err != nil {
					return err
				}
				out = append(out, r)
			}
		}
		return nil
	})
	return out, unknown, err
}

// keptHolding is what a record holds by the labels that are kept here; nil if none are, or if
// the tables or the owner say something else by now.
func (rs Records) keptHolding(r Record) (*Holding, error) {
	t := rs.w.view.Thread(r.ID)
	if r.Parts == 0 || t == nil {
		return nil, nil
	}
	tables, err := rs.w.Tables().All()
	if err != nil {
		return nil, err
	}
	k := rs.keptParts(t.Versions[len(t.Versions)-1], tables)
	if k == nil {
		return nil, nil
	}
	return holding(func(i int) (*health.Label, bool) { return &k.Parts[i].Label, k.Parts[i].Text }, len(k.Parts)), nil
}

// hasCategory reports whether a record, or something in it, is of a category.
func (rs Records) hasCategory(ctx context.Context, r Record, c payload.Category) (bool, error) {
	if c == "" || r.Parts == 0 {
		return c == "" || r.Category == c, nil
	}
	t := rs.w.view.Thread(r.ID)
	if t == nil { // on its way: its parts are not looked at yet
		return false, ErrMissing.With("part", "metadata", "id", r.ID)
	}
	p, err := rs.partsOf(ctx, t, len(t.Versions))
	if err != nil || p == nil {
		return false, err
	}
	for i := range p.Parts {
		if p.Parts[i].Label.Category == c {
			return true, nil
		}
	}
	return false, nil
}

// holdsWords reports whether a text has all words of another in it, whatever their case and
// accents.
func holdsWords(in, words string) bool {
	in = bare(in)
	for word := range strings.FieldsSeq(bare(words)) {
		if !strings.Contains(in, word) {
			return false
		}
	}
	return true
}

// bare is a text without what people leave out when they search: case, accents, forms of
// letters.
func bare(s string) string {
	return norm.NFC.String(strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case r == 'ς':
			return 'σ'
		}
		return r
	}, norm.NFKD.String(strings.ToLower(norm.NFKD.String(text.Visible(s))))))
}
