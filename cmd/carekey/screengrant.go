package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
)

// grantLeads are the keys that give a consent: of records, to a contact, and in place of one
// that there is.
func (x *glance) grantLeads() []ui.Lead {
	return []ui.Lead{
		{Key: "g", Word: "give", Does: "give a consent of records", Of: "record", Many: true, View: func(ids []string) *ui.View {
			return x.giving(ids[0], func(s *session, _ *opened) *grants { return &grants{app: s.app, records: ids} }, nil)
		}},
		{Key: "g", Word: "give", Does: "give a contact a consent", Of: "contact", View: func(names []string) *ui.View {
			return x.giving("", func(s *session, _ *opened) *grants { return &grants{app: s.app, to: names[0]} }, nil)
		}},
		{Key: "g", Word: "give", Does: "give a consent", Of: "home", View: func([]string) *ui.View {
			return x.giving("", func(s *session, _ *opened) *grants { return &grants{app: s.app} }, nil)
		}},
		{Key: "n", Word: "anew", Does: "give a consent anew, longer or shorter, and end the old one", Of: "consent", View: func(ids []string) *ui.View {
			return x.anew(ids[0])
		}},
	}
}

// giving asks what a grant does not say, and gives it: on the ledger of a record, or that
// which is meant. after is what follows.
func (x *glance) giving(record string, begin func(*session, *opened) *grants, after func(context.Context, *session) error) *ui.View {
	which := everywhere
	if record == "" { // as the command: never on another one because this one could not be opened
		which = alone
	}
	return x.act("Give a consent", writes, which, func(ctx context.Context, s *session) error {
		on := s.all[0]
		if record != "" {
			var err error
			if _, on, err = find(ctx, s, record, func(o *opened) (struct{}, string, error) {
				_, _, err := o.w.Records().History(ctx, record)
				return struct{}{}, record, err
			}); err != nil {
				return err
			}
		}
		if title := s.titles[on.id()]; title != "" {
			s.say("On ledger %s.", title)
		}
		g := begin(s, on)
		if err := g.guide(ctx, on.w); err != nil {
			return err
		}
		return g.grant(ctx, on.w, nil)
	})
}

// anew gives a consent in place of one that there is, which ends then: so it is made longer
// or shorter, and of more or less.
func (x *glance) anew(id string) *ui.View {
	return x.act("Give consent "+id[:8]+" anew", writes, everywhere, func(ctx context.Context, s *session) error {
		c, on, err := find(ctx, s, id, func(o *opened) (wallet.Consent, string, error) {
			c, _, err := o.w.Consents().Show(ctx, id)
			return c, c.ID.String(), err
		})
		if err != nil {
			return err
		}
		if c.To == "" {
			return usage("who has this consent is not among your contacts", "give it to a contact")
		}
		g := &grants{app: s.app, to: c.To, purpose: c.Purpose.Word()}
		if !c.Missing && !slices.ContainsFunc(c.Records, func(r wallet.ConsentRecord) bool { return r.Part || r.Removed }) {
			g.records = list(c.Records, func(r wallet.ConsentRecord) string { return r.ID.String() })
		}
		s.say("It would take the place of consent %s, which you are asked about after it:\n%s", short(c.ID), previewRevoke([]wallet.Consent{c}))
		if err := g.guide(ctx, on.w); err != nil {
			return err
		}
		if err := g.grant(ctx, on.w, nil); err != nil {
			if errors.Is(err, wallet.ErrPending) {
				s.say("Consent %s stays as it was until you end it.", short(c.ID))
			}
			return err
		}
		err = revoking{s}.revoke(ctx, wallet.RevokeRequest{Consents: []string{id}})
		if errors.Is(err, cli.ErrDeclined) || errors.Is(err, ui.ErrCanceled) && ctx.Err() == nil {
			s.say("The new consent is given, and consent %s stays as it was.", short(c.ID))
			return nil
		}
		if err != nil {
			s.say("The new consent is given. Whether consent %s has ended, the list of consents tells.", short(c.ID))
		}
		return err
	})
}

// guide asks for what flags would say, one after the other: to whom, what, what for, how long.
func (a *grants) guide(ctx context.Context, w *wallet.Wallet) (err error) {
	if a.to == "" {
		if a.to, err = a.chooseContact(ctx, w); err != nil {
			return err
		}
	}
	if len(a.records) == 0 {
		if err := a.chooseWhat(ctx, w); err != nil {
			return err
		}
	}
	if err := a.chooseFor(ctx, w); err != nil {
		return err
	}
	return a.chooseLasting(ctx, w)
}

// chooseFor asks what it is for, if there is anything to choose.
func (a *grants) chooseFor(ctx context.Context, w *wallet.Wallet) error {
	words := wallet.Purposes()
	if a.role != "" && !a.beyond {
		role, err := w.Roles().Named(a.role)
		if err != nil {
			return err
		}
		words = list(role.Purposes, wallet.Purpose.Word)
	}
	if a.purpose != "" || len(words) == 1 {
		return nil
	}
	slices.SortStableFunc(words, func(x, y string) int { // what is meant most often first
		switch {
		case x == usualPurpose && y != usualPurpose:
			return -1
		case y == usualPurpose && x != usualPurpose:
			return 1
		}
		return 0
	})
	at, err := a.choose(ctx, "What for?", list(words, func(word string) ui.Item { return ui.Item{Label: word} }), false, "what for", "--purpose PURPOSE")
	if err != nil {
		return err
	}
	a.purpose = words[at[0]]
	return nil
}

// usualPurpose is the purpose of a grant that names none.
const usualPurpose = "treatment"

// chooseWhat asks by what is chosen what goes, and for that.
func (a *grants) chooseWhat(ctx context.Context, w *wallet.Wallet) error {
	at, err := a.choose(ctx, "What may be opened?", []ui.Item{
		{Label: "what a role gets", Detail: "nurse, pharmacist ..."}, {Label: "some categories", Detail: "labs, images ..."},
		{Label: "some records"}, {Label: "every record"},
	}, false, "what", "--role ROLE, --record ID, --category C or --all")
	if err != nil {
		return err
	}
	switch at[0] {
	case 0:
		all, _ := w.Roles().List()
		at, err := a.choose(ctx, "Which role?", list(all, func(r wallet.OwnRole) ui.Item {
			return ui.Item{Label: r.Name, Detail: strings.Join(list(r.Categories, func(c wallet.Category) string { return string(c) }), ", ")}
		}), false, "which role", "--role ROLE")
		if err != nil {
			return err
		}
		a.role = all[at[0]].Name
	case 1:
		all := wallet.Categories()
		at, err := a.choose(ctx, "Which categories?", list(all, func(c wallet.Category) ui.Item { return ui.Item{Label: string(c), Detail: c.Covers()} }), true, "which categories", "--category C")
		if err != nil {
			return err
		}
		for _, i := range at {
			a.categories = append(a.categories, string(all[i]))
		}
	case 2:
		a.records, err = a.chooseRecords(ctx, w)
		return err
	case 3:
		a.all = true
	}
	return nil
}
