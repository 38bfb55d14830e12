package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/spf13/cobra"
)

func newRole(a *app) *cobra.Command {
	r := roles{a}
	limit := 0
	ls := &cobra.Command{
		Use:   "list [--limit N]",
		Short: "List the roles",
		RunE:  a.onWallet(looks, func(_ context.Context, w *wallet.Wallet, _ []string) error { return r.list(w, limit) }),
	}
	firstFlag(ls, &limit)
	show := &cobra.Command{
		Use:               "show ROLE",
		Short:             "Say what is in a role",
		ValidArgsFunction: builtInRoles,
		RunE:              a.onWallet(looks, r.show),
	}
	add := &cobra.Command{
		Use:   "add FILE",
		Short: "Keep a role of your own",
		Long: `Keep a role of your own. FILE is JSON, as carekey role show ROLE --json prints one:

  {"v": 1, "name": "dentist", "categories": ["allergies", "medications"],
   "sensitive": [], "purposes": ["TREAT"], "maxDays": 30}

What is not in "sensitive" is not in the role. A role of yours with that name is
replaced; what was given by it stays as it was given.

Implants and aids are the category "devices". They once were in "other": a role of
before that names "other" alone gives none of them any more.`,
		RunE: r.add,
	}
	remove := &cobra.Command{
		Use:   "remove ROLE",
		Short: "Forget a role of your own; what was given by it stays",
		RunE:  a.onWallet(writes|keeps, r.remove),
	}
	acceptClock(a, add, remove)
	return group("role", "Named choices of what a nurse, a pharmacist ... gets to see", ls, show, add, remove)
}

// roles is what is done with roles.
type roles struct{ *app }

// builtInRoles completes the names that are known without the wallet.
func builtInRoles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return list(health.BuiltInRoles(), func(r health.Role) string { return r.Name }), cobra.ShellCompDirectiveNoFileComp
}

func (a roles) list(w *wallet.Wallet, limit int) error {
	all, unreadable := w.Roles().List()
	all, err := firstOf(&a.console, all, limit)
	if err != nil {
		return err
	}
	t := &ui.Table{Columns: []ui.Column{ui.Key("role"), ui.Title("gets"), ui.Word("sensitive"), ui.Word("at most"), ui.Word("whose")}}
	for _, r := range all {
		whose := "yours"
		if r.BuiltIn {
			whose = "built in"
		}
		sensitive := "none"
		if n := len(r.Sensitive); n > 0 {
			sensitive = fmt.Sprintf("%d of %d", n, len(health.Sensitivities()))
		}
		t.Add(r.Name, payload.Listed(r.Categories), sensitive, plural(r.MaxDays, "day", "days"), whose)
	}
	if err := a.table(t); err != nil {
		return err
	}
	for _, name := range unreadable {
		a.say("warning: your role %s was written by a newer carekey: it cannot be used here.", quoted(name))
	}
	a.next("carekey role show ROLE")
	return a.result(list(all, same))
}

func (a roles) show(_ context.Context, w *wallet.Wallet, args []string) error {
	r, err := w.Roles().Named(args[0])
	if err != nil {
		return err
	}
	var not []health.Sensitivity
	for _, s := range health.Sensitivities() {
		if !slices.Contains(r.Sensitive, s) {
			not = append(not, s)
		}
	}
	a.rows(cli.Rows{
		{"role", r.Name},
		{"gets", payload.Listed(r.Categories)},
		{"sensitive", cmp.Or(payload.Listed(r.Sensitive), "none")},
		{"not", cmp.Or(payload.Listed(not), "none is left out")},
		{"for", r.For()},
		{"at most", plural(r.MaxDays, "day", "days")},
	})
	return a.result(r.Role) // which role add takes
}

func (a roles) add(cmd *cobra.Command, args []string) error {
	file, err := readFile(cmd.Context(), args[0], health.MaxRole)
	if err != nil {
		return err
	}
	return a.withWallet(cmd, writes|keeps, func(ctx context.Context, w *wallet.Wallet) error {
		r, err := w.Roles().Add(ctx, file)
		if err != nil {
			return err
		}
		a.say("The role %s is yours.", quoted(r.Name))
		a.next("carekey role show %s", cli.Quote(r.Name))
		return a.result(wallet.OwnRole{Role: r})
	})
}

func (a roles) remove(ctx context.Context, w *wallet.Wallet, args []string) error {
	if err := w.Roles().Remove(ctx, args[0]); err != nil {
		return err
	}
	a.say("The role %s is no longer yours. What was given by it stays as it was given.", quoted(args[0]))
	return a.result(removedJSON{args[0]})
}

// removedJSON is the name of what was removed.
type removedJSON struct {
	Removed string `json:"removed"`
}

// readFile reads a file or a pipe that a person names, up to a byte more than it may have:
// who parses it says that it is too large.
func readFile(ctx context.Context, path string, most int) ([]byte, error) {
	return cli.UnlessDone(ctx, func() ([]byte, error) { // a pipe may have no writer
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, int64(most)+1))
	})
}
