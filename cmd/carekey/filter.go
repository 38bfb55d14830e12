package main

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

// filter says which consents, or which of what happened to them, a list has.
type filter struct {
	who           string // a contact's name, or an address
	record        string // id or title
	after         string // a day
	active, ended bool
	limit         int
}

// whoFlag is that of a list with people in it.
func (f *filter) whoFlag(c *cobra.Command, flag, usage string) {
	c.Flags().StringVar(&f.who, flag, "", usage)
	cli.LimitFlag(c, &f.limit)
}

// chosen is a filter whose names are looked up.
type chosen struct {
	filter
	address crypto.Address
	ids     map[contract.ID]bool // of the records; who says a title means all that have it
	lost    error                // no record is called so now: some may have been when they were given
	begin   wallet.Hour
}

// look looks up what a filter names.
func (f *filter) look(ctx context.Context, s *session) (x chosen, err error) {
	x.filter = *f
	if err = cli.CheckLimit(f.limit); err == nil && f.active && f.ended {
		err = usage("a consent is in force or has ended: --active or --ended", "leave both out for all of them")
	}
	if err != nil {
		return x, err
	}
	if f.who != "" {
		c, err := s.all[0].w.Contacts().Named(f.who)
		if err != nil {
			if c.Address, _ = crypto.ParseAddress(f.who); c.Address.IsZero() {
				return x, err
			}
		}
		x.address = c.Address
	}
	if f.record != "" {
		x.ids = map[contract.ID]bool{}
		missed := notThere{}
		_, worst := s.each(ctx, func(o *opened) error {
			ids, err := o.w.Records().Called(ctx, f.record)
			for _, id := range ids {
				x.ids[id] = true
			}
			return missed.note(err)
		})
		switch worst = missed.nearest(f.record, worst); {
		case worst == nil:
		case len(x.ids) > 0 && !errors.Is(worst, wallet.ErrAmbiguous): // what else failed is said of what happened there
		case explain(worst).Exit == cli.ExitNotFound:
			x.lost = worst
		default:
			return x, worst
		}
	}
	if f.after != "" {
		begin, err := wallet.BeginningOfDay(f.after, s.now())
		if in, ok := fault.As(err, wallet.ErrInput); ok {
			return x, usage("--after "+f.after+": "+fault.Get[string](in, "why"), "name a day: --after 2026-11-21")
		}
		if err != nil {
			return x, err
		}
		x.begin = wallet.Hour(begin)
	}
	return x, nil
}

// has reports whether a consent with a person over records is chosen. What has no address
// is one whose terms cannot be had: then it is not known.
func (x *chosen) has(a crypto.Address, records []wallet.ConsentRecord) (yes, unknown bool) {
	if a.IsZero() {
		unknown = x.who != "" || x.record != ""
		return !unknown, unknown
	}
	yes = x.who == "" || a == x.address
	return yes && (x.record == "" || slices.ContainsFunc(records, x.isRecord)), false
}

// isRecord reports whether a record of a consent is chosen: it is one of those, or was
// called so when it was given.
func (x *chosen) isRecord(r wallet.ConsentRecord) bool {
	return x.ids[r.ID] || text.Name(r.Title) == text.Name(x.record)
}

// status reports whether a consent of that status is chosen.
func (x *chosen) status(s wallet.Status) bool {
	return !(x.active && ended(s) || x.ended && !ended(s))
}

// pick are those elements of a list that f chooses. Of how many it is not known is said.
func pick[A any](s *session, all []A, f func(A) (yes, unknown bool)) (out []A) {
	lost := 0
	for _, a := range all {
		yes, unknown := f(a)
		if yes {
			out = append(out, a)
		}
		if unknown {
			lost++
		}
	}
	if lost > 0 {
		s.say("Not among these: %s whose terms cannot be had, so that it is not known whose and what they are.", plural(lost, "more", "more"))
	}
	return out
}

// newest is the end of a list as far as there is a limit. How many it leaves out is said.
func newest[A any](s *session, x *chosen, all []A) []A {
	shown := cli.Newest(all, x.limit)
	if left := len(all) - len(shown); left > 0 {
		s.say("%s before these: leave out --limit.", plural(left, "more", "more"))
	}
	return shown
}

// byTime sorts what is on several ledgers by when it came there; what is on its way is last.
func byTime[A any](all []A, granted func(A) wallet.Hour) {
	slices.SortStableFunc(all, func(a, b A) int { return cmp.Compare(granted(a)-1, granted(b)-1) })
}
