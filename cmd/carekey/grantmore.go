package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
)

// moreRow is what the last row of a guided grant's last question leads to: what most grants
// need not say is asked only of who wants to.
const moreRow = "more ..."

// further are questions that a flag of grant would answer, as far as each applies to what is
// given.
type further struct {
	*grants
	rows []furtherRow
}

type furtherRow struct {
	ui.Item
	ask func(ctx context.Context) error
}

func (a *further) offer(label, detail string, ask func(ctx context.Context) error) {
	a.rows = append(a.rows, furtherRow{ui.Item{Label: label, Detail: detail}, ask})
}

// more asks one of these questions, and that one's.
func (a *grants) more(ctx context.Context, w *wallet.Wallet) error {
	r, err := a.chosen()
	if err != nil {
		return err
	}
	r.NotBefore, r.BeyondRole = 0, true // what is asked about is what goes, whenever that is
	if r.Until, err = wallet.EndAfter(lengths[0].flag, a.now()); err != nil {
		return err
	}
	r.Select.Without, r.Select.With = nil, nil                     // so that each can be taken back
	look := func(ctx context.Context) (*wallet.GrantPlan, error) { // also at one of which nothing goes
		plan, err := w.Grants().Plan(ctx, r)
		if plan != nil && errors.Is(err, wallet.ErrEmpty) {
			err = nil
		}
		return plan, err
	}
	plan, err := look(ctx)
	if err != nil {
		return err
	}
	f := &further{grants: a}
	f.parts(plan, func(ctx context.Context, dates string) (err error) {
		if r.Select.Since, r.Select.Until, err = wallet.ParseDates(dates); err == nil {
			_, err = look(ctx)
		}
		return err
	})
	f.offer("from a later day", a.from, func(ctx context.Context) error {
		return f.asksFor(ctx, &a.from, "The first day, as "+a.now().AddDate(0, 0, 7).Format("2006-01-02")+"; nothing is at once:", func(day string) error {
			_, err := wallet.BeginningOfDay(day, a.now())
			return err
		})
	})
	if a.role != "" && !a.beyond {
		f.offer("for longer than the role is for, or for something else", "", func(ctx context.Context) error {
			a.beyond, a.purpose = true, ""
			return a.chooseFor(ctx, w)
		})
	}
	at, err := a.choose(ctx, "What else?", list(f.rows, func(r furtherRow) ui.Item { return r.Item }), false, "what else", "--with, --without, --dated, --whole, --from or --beyond-role")
	if err != nil {
		return err
	}
	return f.rows[at[0]].ask(ctx)
}

// parts offers what there is to say of what of the records goes; dated reports what is wrong
// with dates.
func (a *further) parts(plan *wallet.GrantPlan, dated func(ctx context.Context, dates string) error) {
	if a.whole {
		a.offer("not the whole records after all", "", func(context.Context) error {
			a.whole = false
			return nil
		})
		return
	}
	var staying, going []string
	stays := false
	for j := range plan.Entries() {
		stays = stays || j.Stays != ""
		switch {
		case j.Stays == health.WhySensitive:
			for _, s := range j.Sensitive {
				staying = append(staying, string(s))
			}
		case j.Category == health.Documents && j.Stays != "" && j.Stays != health.WhyDate:
			staying = append(staying, string(health.Documents))
		case j.Stays == "" && j.Category != health.Demographics:
			going = append(going, string(j.Category))
		}
	}
	words := func(label, title string, of []string, to *[]string) {
		slices.Sort(of)
		if of = slices.Compact(of); len(of) == 0 {
			return
		}
		a.offer(label, strings.Join(*to, ", "), func(ctx context.Context) error {
			at, err := a.choose(ctx, title, list(of, func(w string) ui.Item { return ui.Item{Label: w} }), true, label, "--with or --without")
			if err != nil {
				return err
			}
			*to = list(at, func(i int) string { return of[i] })
			return nil
		})
	}
	words("also what goes only by its name", "What goes too?", staying, &a.with)
	words("not all of it", "What is left out?", slices.Concat(going, a.with), &a.without)
	a.offer("only what is of some dates", a.dated, func(ctx context.Context) error {
		return a.asksFor(ctx, &a.dated, "Of which dates? As 2024-03..2025, 2024.., ..2023-06-30 or 2024; nothing is all:", func(dates string) error { return dated(ctx, dates) })
	})
	if stays && a.role == "" && len(a.with)+len(a.without)+len(a.categories) == 0 && a.dated == "" {
		a.offer("the records as they are, with all that is in them", "", func(context.Context) error {
			a.whole = true
			return nil
		})
	}
}

// asksFor asks for a text that is checked, until it is one; none takes it back.
func (a *further) asksFor(ctx context.Context, to *string, question string, check func(string) error) error {
	for {
		text, err := asks(&a.console).Line(ctx, question)
		if err != nil {
			return err
		}
		if text == "" {
			*to = ""
			return nil
		}
		if err := check(text); err != nil {
			a.say("%s", failed(&a.console, err))
			continue
		}
		*to = text
		return nil
	}
}

// chooseLasting asks how long a guided grant lasts, and before that what else there is to say
// as long as one wants to.
func (a *grants) chooseLasting(ctx context.Context, w *wallet.Wallet) error {
	for a.length == "" && a.until == "" {
		r, err := a.chosen()
		if err != nil {
			return err
		}
		may, err := a.lasts(w, r)
		if err != nil {
			return err
		}
		more := false
		if a.length, a.until, more, err = a.askEnd(ctx, may, a.besides()); err != nil {
			return err
		}
		if more {
			if err := a.more(ctx, w); err != nil {
				return err
			}
		}
	}
	return nil
}

// besides is the row that leads to what else there is to say, with what was said.
func (a *grants) besides() *ui.Item {
	var said []string
	for _, words := range []struct {
		of   string
		list []string
	}{{"with ", a.with}, {"without ", a.without}, {"of ", []string{a.dated}}, {"from ", []string{a.from}}} {
		if text := strings.Join(words.list, ", "); text != "" {
			said = append(said, words.of+text)
		}
	}
	if a.whole {
		said = append(said, "whole records")
	}
	if a.beyond {
		said = append(said, "beyond the role")
	}
	return &ui.Item{Label: moreRow, Detail: strings.Join(said, "; ")}
}

// lasts is how long a consent may last, by its role.
func (a *grants) lasts(w *wallet.Wallet, r wallet.GrantRequest) (func(contract.Hour) bool, error) {
	role, err := wallet.OwnRole{}, error(nil) // which is for as long as one likes
	if a.role != "" && !a.beyond {
		role, err = w.Roles().Named(a.role)
	}
	begins := max(a.hour(), r.NotBefore)
	return func(end contract.Hour) bool { return role.Lasts(int(end-begins)) && end > begins }, err
}
