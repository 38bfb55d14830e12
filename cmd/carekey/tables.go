package main

import (
	"context"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/spf13/cobra"
)

func newTables(a *app) *cobra.Command {
	t := &tables{app: a}
	show := &cobra.Command{
		Use:   "show [--limit N]",
		Short: "List the tables, and what they say of how many codes",
		RunE:  a.onWallet(looks, t.show),
	}
	add := &cobra.Command{
		Use:   "import FILE",
		Short: "Use a table of your own beside those that are built in",
		Long: `Use a table of your own beside those that are built in. It is called as its file, and
takes the place of one of yours of that name. FILE is CSV in UTF-8; its first line is

  system,code,says,what,source,date

A line says of a code, or of all that begin so where it ends with *, what it is: one of the
words of carekey record label, unclassified, or plain for what is not sensitive. Of what
two tables say all holds, and nothing that one holds back is plain by another. It is
no part of the ledger: only a carekey backup brings it back.`,
		RunE: t.add,
	}
	remove := &cobra.Command{
		Use:   "remove (TABLE | --all)",
		Short: "No longer use a table that you imported",
		Args:  cli.Takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if named := len(args) == 1 && args[0] != ""; named == t.all {
				return usage("name a table, or all that you imported with --all", "what there is: carekey record tables")
			}
			return a.withWallet(cmd, looks, func(ctx context.Context, w *wallet.Wallet) error {
				return t.remove(ctx, w, strings.Join(args, ""))
			})
		},
	}
	remove.Flags().BoolVar(&t.all, "all", false, "all that you imported, also if they do not open any more")
	c := group("tables", "What parts of records are labelled by", show, add, remove)
	c.RunE = show.RunE
	firstFlag(show, &t.limit)
	firstFlag(c, &t.limit)
	return c
}

// tables is what is done with the tables of codes.
type tables struct {
	*app
	all   bool
	limit int
}

// tableJSON is a table, counted.
type tableJSON struct {
	Name    string         `json:"name"`
	BuiltIn bool           `json:"builtIn"`
	Lines   int            `json:"lines"`
	Says    map[string]int `json:"says"`            // lines, by the word that they say
	Pairs   int            `json:"pairs,omitempty"` // of medicines that carekey view looks for; such a table labels nothing
}

func tableOf(t *health.Table, builtIn bool) tableJSON {
	j := tableJSON{Name: t.Name, BuiltIn: builtIn, Lines: len(t.Rows), Says: map[string]int{}}
	for _, r := range t.Rows {
		j.Says[string(r.Says)]++
	}
	return j
}

func (a *tables) show(_ context.Context, w *wallet.Wallet, _ []string) error {
	all, err := w.Tables().All()
	if err != nil {
		return err
	}
	imported, err := w.Tables().Imported()
	if err != nil {
		return err
	}
	found := append(list(health.Own(), func(t *health.Table) tableJSON { return tableOf(t, true) }),
		list(imported, func(t *health.Table) tableJSON { return tableOf(t, false) })...)
	name, lines := health.InteractionTable()
	found = append(found, tableJSON{Name: name, BuiltIn: true, Lines: lines, Says: map[string]int{}, Pairs: health.InteractionPairs})
	if found, err = firstOf(&a.console, found, a.limit); err != nil {
		return err
	}
	t := &ui.Table{Columns: []ui.Column{ui.Key("table"), ui.Word("whose"), ui.Word("lines"), ui.Title("what they say")}}
	for _, j := range found {
		whose := "built in"
		if !j.BuiltIn {
			whose = "yours"
		}
		var says []string
		for _, word := range append(sensitivityNames(), "plain") {
			if j.Says[word] > 0 {
				says = append(says, word)
			}
		}
		if j.Pairs > 0 {
			says = []string{plural(j.Pairs, "pair", "pairs") + " of medicines, for carekey view"}
		}
		t.Add(j.Name, whose, thousands(j.Lines), strings.Join(says, ", "))
	}
	if err := a.table(t); err != nil {
		return err
	}
	a.say("Version %s. They know some of what is sensitive, not all. A part with a code system that they do not know is unclassified. A code that they lack, in a system that they know, passes for harmless.", all.Version())
	return a.result(tablesJSON{all.Version(), found})
}

type tablesJSON struct {
	Version string      `json:"version"`
	Tables  []tableJSON `json:"tables"`
}

func (a *tables) add(cmd *cobra.Command, args []string) error {
	file, err := readFile(cmd.Context(), args[0], health.MaxTable)
	if err != nil {
		return err
	}
	return a.withWallet(cmd, looks, func(ctx context.Context, w *wallet.Wallet) error {
		t, err := w.Tables().Import(ctx, args[0], file)
		if err != nil {
			return err
		}
		a.say("%s is used from now on, beside the tables that are built in (%s).", quoted(t.Name), plural(len(t.Rows), "line", "lines"))
		a.next("carekey record tables")
		return a.result(tableOf(t, false))
	})
}

func (a *tables) remove(ctx context.Context, w *wallet.Wallet, name string) error {
	if err := w.Tables().Remove(ctx, name); err != nil {
		return err
	}
	if a.all {
		a.say("No table but those that are built in is used from now on.")
	} else {
		a.say("%s is no longer used.", quoted(name))
	}
	return a.result(removedJSON{name})
}
