package wallet

import (
	"context"
	"slices"
	"strings"

	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/view"
)

// People name a record by its title, and a consent by the contact that it was given to or
// came from, where an id is asked for. That holds where only one is meant: of a contact's
// consents one in force, or else one at all.

// named is what people name: the records, or the consents, of a role.
type named struct {
	w    *Wallet
	role view.Role
	what string // "record" or "consent"
}

// meant returns the id of what a query names.
// What may be the beginning of an id stays as it is, unless only a name fits it: what none
// fits is an [ErrNotFound], what several fit an [ErrAmbiguous]. A stranger can make a
// consent whose id begins like the name of a contact.
func (n named) meant(ctx context.Context, query string) (string, error) {
	w := n.w
	q := strings.ToLower(text.Code(query))
	id := strings.Trim(q, "0123456789abcdef") == "" && len(q) <= 64
	begins := id && len(q) >= minPrefix && n.begins(q)
	if id && len(q) == 64 || begins && n.role == view.OwnRecord || text.Name(query) == "" {
		return query, nil
	}
	search := n.records
	if n.role != view.OwnRecord {
		search = n.consents
	}
	ids, names, err := search(ctx, query)
	if begins && len(ids) > 0 {
		for t := range w.view.Of(n.role) {
			if beginsWith(t.ID, q) && !slices.Contains(ids, t.ID) {
				ids = append(ids, t.ID)
			}
		}
	}
	switch {
	case begins && len(ids) == 0: // whatever became of looking for names
		return query, nil
	case err != nil:
		return "", err
	case len(ids) == 1:
		return ids[0].String(), nil
	case len(ids) == 0 && id:
		return query, nil
	case len(ids) == 0:
		if w.view.Behind() != nil {
			return "", w.view.Behind() // it may be there by now
		}
		return "", ErrNotFound.With("noun", n.what, "query", query, "like", Like(query, names))
	}
	over := n.role != view.OwnRecord && !slices.ContainsFunc(ids, func(id contract.ID) bool {
		t := w.view.Thread(id)
		return t == nil || w.Consents().statusOf(t) != StatusExpired && w.Consents().statusOf(t) != StatusRevoked
	})
	return "", ambiguous(query, ids, over)
}

// ambiguous says that several are meant, of which it names ten at most; over, that all of
// them are consents that have ended.
func ambiguous(query string, ids []contract.ID, over bool) error {
	var matches []string
	for _, id := range ids[:min(len(ids), 10)] {
		matches = append(matches, id.String())
	}
	return ErrAmbiguous.With("query", query, "matches", matches, "over", over)
}

// begins reports whether an id of anything that is there begins so.
func (n named) begins(q string) bool {
	for _, t := range n.w.view.Threads() {
		if beginsWith(t.ID, q) {
			return true
		}
	}
	return n.w.Changes().find(AddingRecord, q) != nil || n.w.Changes().find(Granting, q) != nil
}

// records are the records of a title that were not removed; names are all titles.
func (n named) records(ctx context.Context, query string) (ids []contract.ID, names []string, err error) {
	all, err := n.w.Records().List(ctx)
	for i := range all {
		if !all[i].Missing {
			names = append(names, all[i].Title)
		}
		if !all[i].Missing && sameName(all[i].Title, query) {
			ids = append(ids, all[i].ID)
		}
	}
	return ids, names, err
}

// consents are the consents with a contact of a name: those in force, or else all;
// names are those of all contacts.
func (n named) consents(ctx context.Context, query string) (ids []contract.ID, names []string, err error) {
	names = n.w.Contacts().names()
	c, none := n.w.Contacts().Named(query)
	if none != nil {
		return nil, names, nil
	}
	var ended []contract.ID
	note := func(s *Seen, id contract.ID) {
		switch {
		case s.Address != c.Address:
		case s.Status == StatusExpired || s.Status == StatusRevoked:
			ended = append(ended, id)
		default:
			ids = append(ids, id)
		}
	}
	if n.role == view.OwnGrant {
		all, err := n.w.Consents().List(ctx)
		if err != nil {
			return nil, nil, err
		}
		for i := range all {
			s := &all[i].Seen
			if t := n.w.view.Thread(all[i].ID); s.Address.IsZero() && t != nil && n.w.Consents().isFor(t, c.Address) {
				s.Address = c.Address // its terms cannot be had, and it is theirs all the same
			}
			note(s, all[i].ID)
		}
	} else {
		all, err := n.w.Inbox().List(ctx)
		if err != nil {
			return nil, nil, err
		}
		for i := range all {
			note(&all[i].Seen, all[i].Consent)
		}
	}
	if len(ids) == 0 {
		ids = ended
	}
	return ids, names, nil
}
