package main

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// offers are what a shell is offered while a command line is written. That asks nobody,
// writes nothing and looks at no ledger: what is sealed in the wallet's folder is offered
// only if its key is there without a question, and in time.
type offers struct{ *app }

// offer is what may stand in one place: values, each with a tab and what it is behind it.
type offer func(o offers, ctx context.Context) []string

const (
	offerTime = 5 * time.Second // for all of it: a key file is slow to open, on purpose
	maxOffers = 200
)

// offeredArgs are what commands take, and offeredFlags what flags do. A flag of one command
// alone has its name before.
var (
	offeredArgs = map[string]offer{
		"contact verify": offers.contacts, "contact remove": offers.contacts, "contact rename": offers.contacts, "contact show": offers.contacts,
		"record get": offers.records, "record show": offers.records, "record history": offers.records, "record remove": offers.records,
		"record update": offers.records, "record label": offers.records, "record edit": offers.records, "view": offers.records,
		"role show": offers.roles, "role remove": offers.ownRoles,
		"consent show": offers.given, "consent explain": offers.given, "consent export": offers.given, "revoke": offers.open,
		"request show": offers.requests, "request approve": offers.requests, "request deny": offers.requests, "request withdraw": offers.requests,
		"deliver show": offers.deliveries, "deliver withdraw": offers.sent, "inbox accept": offers.delivered, "inbox decline": offers.delivered,
		"link show": offers.given, "link revoke": offers.open,
		"fetch":          offers.received,
		"ledger default": offers.ledgers, "ledger leave": offers.ledgers,
		"profile remove": offers.profiles,
	}
	offeredFlags = map[string]offer{
		"to": offers.contacts, "inbox from": offers.contacts, "contact add from": offers.received,
		"record": offers.records, "role": offers.roles,
		"profile": offers.profiles, "ledger": offers.ledgers, "ledger move to": offers.ledgers,
		"category":   func(offers, context.Context) []string { return categoryNames() },
		"with":       func(offers, context.Context) []string { return append(sensitivityNames(), string(health.Documents)) },
		"add":        func(offers, context.Context) []string { return sensitivityNames() },
		"drop":       func(offers, context.Context) []string { return sensitivityNames() },
		"without":    func(offers, context.Context) []string { return slices.Concat(categoryNames(), sensitivityNames()) },
		"purpose":    func(offers, context.Context) []string { return wallet.Purposes() },
		"unlock for": unlockTimes, "keyring unlock for": unlockTimes,
		"for": func(offers, context.Context) []string { return []string{"12h", "1d", "7d", "30d", "6w", "90d", "365d"} },
	}
)

func unlockTimes(offers, context.Context) []string { return []string{"15m", "1h", "8h"} }

// install tells all commands below c.
func (o offers) install(c *cobra.Command) {
	path := strings.TrimPrefix(strings.TrimPrefix(c.CommandPath(), c.Root().Name()), " ")
	if of, ok := offeredArgs[path]; ok {
		most := 1
		if strings.Contains(c.Use, "...") {
			most = maxOffers
		}
		files := strings.Contains(c.Use, "FILE |") || strings.Contains(c.Use, "| FILE")
		c.ValidArgsFunction = o.function(of, most, files)
	}
	set := c.NonInheritedFlags()
	set.VisitAll(func(f *pflag.Flag) {
		of, own := offeredFlags[strings.TrimPrefix(path+" "+f.Name, " ")]
		if !own {
			of = offeredFlags[f.Name]
		}
		kind, _ := pflag.UnquoteUsage(f)
		switch {
		case f.Value.Type() == "bool":
		case of != nil:
			_ = c.RegisterFlagCompletionFunc(f.Name, o.function(of, maxOffers, f.Name == "ledger")) // it fails for what is registered
		case kind != "FILE" && kind != "DIR" && !own:
			_ = c.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
		}
	})
	for _, sub := range c.Commands() {
		o.install(sub)
	}
}

// function makes a cobra function of what is offered for at most so many arguments; files
// may stand there too.
func (o offers) function(of offer, most int, files bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) (found []string, how cobra.ShellCompDirective) {
		how = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		if files {
			how = cobra.ShellCompDirectiveKeepOrder
		}
		if len(args) >= most {
			return nil, how
		}
		ctx, stop := context.WithTimeout(cmd.Context(), offerTime)
		defer stop()
		all, err := cli.UnlessDone(ctx, func() ([]string, error) { return of(o.silent(), ctx), nil })
		if err != nil {
			return nil, how
		}
		for _, line := range all {
			value, _, _ := strings.Cut(line, "\t")
			if len(found) < maxOffers && strings.HasPrefix(strings.ToLower(value), strings.ToLower(begun)) && !slices.Contains(args, value) {
				found = append(found, line)
			}
		}
		return found, how
	}
}

// silent is for what asks and says nothing, and reads nothing that a person meant for the
// command itself.
func (o offers) silent() offers {
	a := *o.app
	a.flags.noInput, a.flags.quiet, a.flags.passphraseFD, a.ask = true, true, -1, nil
	if strings.HasPrefix(a.flags.ledger, "@") {
		a.flags.ledger = ""
	}
	return offers{&a}
}

// names are those of the wallet on each ledger that is meant.
func (o offers) names(ctx context.Context) (all []wallet.Names) {
	p, err := o.place()
	if err != nil || p.settings == nil {
		return nil
	}
	key := o.keys(p).unasked(ctx)
	if key == nil {
		return nil
	}
	for _, q := range everywhere(p) {
		if n, err := wallet.ReadNames(ctx, wallet.Options{Dir: q.dir, Keyring: key, Ledger: q.id, Now: o.now}); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// described is a value with what it is. Whatever stands in either is text to every shell:
// of somebody's words no value is made that a shell could read as anything else.
func described(value, what string) (string, bool) {
	plain := func(r rune) bool {
		return unicode.In(r, unicode.L, unicode.N, unicode.M) || strings.ContainsRune(" ._-,'+@", r)
	}
	if value == "" || strings.ContainsRune("-@ ", rune(value[0])) || strings.ContainsFunc(value, func(r rune) bool { return !plain(r) }) || cli.Clean(value) != value {
		return "", false
	}
	if what = cli.Clean(what); what == "" {
		return value, true
	}
	return value + "\t" + what, true
}

// offered makes offers of a list, each once.
func offered[T any](of []T, f func(T) (value, what string)) (out []string) {
	for _, x := range of {
		if s, ok := described(f(x)); ok && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (o offers) contacts(ctx context.Context) []string {
	for _, n := range o.names(ctx) { // the same on every ledger
		return offered(n.Contacts, func(c wallet.Contact) (string, string) {
			if c.Verified {
				return c.Name, "check words compared"
			}
			return c.Name, ""
		})
	}
	return nil
}

func (o offers) records(ctx context.Context) (out []string) {
	for _, n := range o.names(ctx) {
		slices.Reverse(n.Records) // the newest first
		out = append(out, offered(n.Records, func(r wallet.Record) (string, string) { return short(r.ID), r.Title })...)
	}
	return out
}

func (o offers) given(ctx context.Context) []string { return o.consents(ctx, false) }

// open are consents that can be ended.
func (o offers) open(ctx context.Context) []string { return o.consents(ctx, true) }

func (o offers) consents(ctx context.Context, open bool) (out []string) {
	for _, n := range o.names(ctx) {
		slices.Reverse(n.Given)
		n.Given = slices.DeleteFunc(n.Given, func(c wallet.Consent) bool {
			return open && c.Status != wallet.StatusActive && c.Status != wallet.StatusUpcoming
		})
		out = append(out, offered(n.Given, func(c wallet.Consent) (string, string) {
			return short(c.ID), receiver(c.To, c.Address, c.Link) + ": " + titles(c.Records) + " (" + string(c.Status) + ")"
		})...)
	}
	return out
}

func (o offers) received(ctx context.Context) (out []string) {
	for _, n := range o.names(ctx) {
		slices.Reverse(n.Received)
		out = append(out, offered(n.Received, func(r wallet.Received) (string, string) {
			return short(r.Consent), "from " + person(r.From, r.Address) + ": " + titles(r.Records) + " (" + string(r.Status) + ")"
		})...)
	}
	return out
}

func (o offers) requests(ctx context.Context) (out []string) {
	for _, n := range o.names(ctx) {
		slices.Reverse(n.Requests)
		out = append(out, offered(n.Requests, func(r wallet.Request) (string, string) {
			return short(r.ID), person(r.Name, r.Address) + " (" + string(r.Status) + ")"
		})...)
	}
	return out
}

func (o offers) deliveries(ctx context.Context) []string {
	return o.deliveriesThat(ctx, func(wallet.Delivery) bool { return true })
}

func (o offers) sent(ctx context.Context) []string {
	return o.deliveriesThat(ctx, func(d wallet.Delivery) bool { return d.Mine })
}

func (o offers) delivered(ctx context.Context) []string {
	return o.deliveriesThat(ctx, func(d wallet.Delivery) bool { return !d.Mine })
}

func (o offers) deliveriesThat(ctx context.Context, are func(wallet.Delivery) bool) (out []string) {
	for _, n := range o.names(ctx) {
		slices.Reverse(n.Deliveries)
		n.Deliveries = slices.DeleteFunc(n.Deliveries, func(d wallet.Delivery) bool { return !are(d) })
		out = append(out, offered(n.Deliveries, func(d wallet.Delivery) (string, string) {
			return short(d.ID), person(d.Name, d.Address) + ": " + cli.Clean(d.Title)
		})...)
	}
	return out
}

// roles are one's own where the key is there, and those that everybody has.
func (o offers) roles(ctx context.Context) []string {
	for _, n := range o.names(ctx) {
		return offered(n.Roles, func(r wallet.OwnRole) (string, string) { return r.Name, payload.Listed(r.Categories) })
	}
	return offered(health.BuiltInRoles(), func(r health.Role) (string, string) { return r.Name, payload.Listed(r.Categories) })
}

// ownRoles are those that can be removed.
func (o offers) ownRoles(ctx context.Context) []string {
	for _, n := range o.names(ctx) {
		own := slices.DeleteFunc(n.Roles, func(r wallet.OwnRole) bool { return r.BuiltIn })
		return offered(own, func(r wallet.OwnRole) (string, string) { return r.Name, payload.Listed(r.Categories) })
	}
	return nil
}

// ledgers lie in clear.
func (o offers) ledgers(context.Context) []string {
	o.flags.ledger = ""
	p, err := o.place()
	if err != nil || p.settings == nil {
		return nil
	}
	return offered(p.settings.Ledgers, func(at wallet.Place) (string, string) { return short(at.ID), ledgerName(p.dir, at.ID) })
}

// profiles are those whose names can be had.
func (o offers) profiles(ctx context.Context) []string {
	home, err := o.home()
	if err != nil {
		return nil
	}
	o.flags.profile = "" // what is being written
	all, _ := wallet.Profiles(home)
	return offered(all, func(p wallet.Profile) (string, string) {
		if p.Dir == wallet.ProfileDir(home, o.profile()) {
			return o.profile(), ""
		}
		if p.Err != nil || p.Removing {
			return "", ""
		}
		key := o.keys(place{dir: p.Dir, settings: &p.Settings}).unasked(ctx)
		if key == nil {
			return "", ""
		}
		name, owner, _ := wallet.ReadProfile(ctx, wallet.Options{Dir: p.Dir, Keyring: key})
		return name, owner
	})
}
