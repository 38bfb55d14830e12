package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/spf13/cobra"
)

type auditExport struct {
	fhir, force bool
	year        int
	output      string
}

// command is carekey audit export.
func (x *auditExport) command(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "export (--fhir | --accounting YEAR) [-o FILE]",
		Short: "Write what happened for other programs, or as an accounting of a year's disclosures",
		Long: `Write what happened to your consents, from what carekey audit verifies. What gave no
answer is named, and ends with exit 8. It is neither encrypted nor signed, and it names
you, who opened what, and the titles of your records.

--fhir writes a FHIR R4 bundle of AuditEvents by the Basic Audit Log Patterns of IHE: each
opening as a disclosure, each refused attempt as a decision against it. Time is the
ledger's hour; network addresses, programs and organizations are said to be unknown. The
keepers are asked about ended consents too, as with carekey audit --all. What you gave and
revoked is in carekey consent export --fhir. Of a link it has one entry an hour, with the
words of the first: the others are in carekey audit.

--accounting lists the year's openings as an accounting of disclosures does (as in 45 CFR
164.528): when, to whom, what, and for which purpose, treatment too. The reason is what
the recipient says. What she reads again of what she opened leaves no entry, and is not
in it. Of a link the ledger has the first opening of each hour; the others are in it as the
operator of its node says, and marked so. Days are those of your time zone. It is a table
on a terminal, CSV otherwise, and JSON with --json; a cell of the CSV that a spreadsheet
would take for a formula begins with '.

How far an opening leaves an entry that you see depends on the ledger: carekey audit --help`,
		Example: "  carekey audit export --accounting 2026 -o disclosures.csv\n  carekey audit export --fhir -o audit.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			switch accounting := cmd.Flags().Changed("accounting"); {
			case x.fhir == accounting:
				return usage("say as what it is to be written", "it goes: "+cmd.UseLine())
			case accounting && (x.year < 1970 || x.year > 9999):
				return usage("that is no year", "for example: --accounting 2026")
			}
			return onEvery(a, looks, func(a events, ctx context.Context, _ []string) error { return a.export(ctx, *x) })(cmd, args)
		},
	}
	c.Flags().BoolVar(&x.fhir, "fhir", false, "AuditEvents, as FHIR R4")
	c.Flags().IntVar(&x.year, "accounting", 0, "the openings of a `YEAR`")
	c.Flags().Lookup("accounting").DefValue = "0" // what the help leaves out
	c.Flags().StringVarP(&x.output, "output", "o", "", "write to `FILE`; - is stdout (the default)")
	c.Flags().BoolVar(&x.force, "force", false, "overwrite FILE")
	return c
}

// exportedEvents is what was written to a file.
type exportedEvents struct {
	File   string `json:"file"`
	Events int    `json:"events"`
}

// disclosureJSON is an opening in an accounting of disclosures.
type disclosureJSON struct {
	Time     wallet.Hour            `json:"time"`
	To       string                 `json:"to"` // contact, else address; "" if it is not known
	Address  string                 `json:"address"`
	Records  []wallet.ConsentRecord `json:"records"`
	Purpose  string                 `json:"purpose"`
	By       string                 `json:"by,omitempty"` // who looked, in the recipient's own words
	Says     string                 `json:"says"`         // why, in the recipient's own words
	Ledger   crypto.LedgerID        `json:"ledger"`
	Consent  crypto.Hash            `json:"consent"`
	Operator bool                   `json:"operator"`          // of a link: the ledger does not show this one; it is the word of whoever runs the link's node
	Missing  []string               `json:"missing,omitempty"` // "terms": whom and what it is for is not known; "store": it gave no answer about the reason; "says": the reason cannot be read
}

func (a events) export(ctx context.Context, x auditExport) error {
	es, _, failed := a.happened(ctx, x.fhir) // an accounting has what the ledger has
	if failed != nil {                       // who reads the file would take it for all
		return failed
	}
	counts := func(e wallet.Event) bool { return e.What == wallet.Opened || e.What == wallet.Refused }
	if !x.fhir {
		counts = func(e wallet.Event) bool {
			return e.What == wallet.Opened && wallet.HourTime(e.Hour).Local().Year() == x.year
		}
	}
	lacking := es
	if !x.fhir { // refused attempts are what a keeper alone knows of
		lacking = slices.Clone(es)
		for i := range lacking {
			lacking[i].Missing = slices.DeleteFunc(slices.Clone(lacking[i].Missing), func(m string) bool { return m == "keeper" })
		}
	}
	incomplete := worse(tamperedIn(es), missingIn(a.all, lacking))
	es = slices.DeleteFunc(es, func(e wallet.Event) bool { return !counts(e) })
	var lost []wallet.Event
	for _, e := range es {
		if e.Address.IsZero() {
			lost = append(lost, e)
		}
	}
	rows := list(es, func(e wallet.Event) disclosed { return disclosed{Event: e} })
	links := slices.ContainsFunc(es, func(e wallet.Event) bool { return e.Link })
	if !x.fhir {
		more, unsaid, err := a.byOperators(ctx, es)
		if err != nil {
			return err
		}
		more = slices.DeleteFunc(more, func(d disclosed) bool { return !counts(d.Event) })
		rows, incomplete = append(rows, more...), worse(incomplete, unsaid)
		slices.SortStableFunc(rows, func(x, y disclosed) int { return cmp.Compare(x.Hour, y.Hour) })
	}
	if err := a.write(rows, x); err != nil {
		return err
	}
	a.say("%s. Not encrypted, and not signed: keep it as you keep your records. What holds is on the ledger.\n%s", plural(len(rows), "event", "events"), limits(groundsOf(a.all)))
	switch {
	case links && x.fhir:
		a.say("Of links it has one entry an hour, with what the first who opened it typed. Whoever else opened it in that hour is in carekey audit, as the operator of its node says.")
	case links:
		a.say("Of links the ledger has the first opening of an hour. Others are in it as the operator of their node says: nothing else shows them.")
	}
	if others := len(a.all[0].w.Settings().Ledgers) - len(a.all); others > 0 {
		a.say("What happened on your %s is not in it: leave out --ledger.", plural(others, "other ledger", "other ledgers"))
	}
	if err := a.sayElsewhere(); err != nil {
		return err
	}
	if incomplete == nil && len(lost) > 0 {
		return wallet.ErrPartly.Of(wallet.ErrMissing.With("part", "terms", "id", lost[0].Consent), "done", len(es)-len(lost), "failed", len(lost))
	}
	return incomplete
}

// sayElsewhere says what an export lacks since this wallet is not on the ledgers where it
// happened, or no longer.
func (a events) sayElsewhere() error {
	home, err := a.home()
	if err != nil {
		return err
	}
	where := func(ps []wallet.Place) string {
		return strings.Join(list(ps, func(p wallet.Place) string { return stored(home, p.At).shown() }), ", ")
	}
	others, left := a.all[0].w.Book().Elsewhere()
	if n := len(others); n > 0 {
		a.say("What happened on %s that another computer of yours uses is not in it: %s", plural(n, "ledger", "ledgers"), where(others))
	}
	if n := len(left); n > 0 {
		a.say("What happened on %s that you left, also before you left, is not in it: %s. To have it, join again: carekey ledger join", plural(n, "ledger", "ledgers"), where(left))
	}
	return nil
}

func (a events) write(es []disclosed, x auditExport) error {
	save := func(dst io.Writer) error {
		return cli.WriteJSON(dst, a.bundle(list(es, func(d disclosed) wallet.Event { return d.Event })), true)
	}
	toFile := x.output != "" && x.output != "-"
	if !x.fhir {
		rows := list(es, disclosureOf)
		save = func(dst io.Writer) error { return accountingCSV(dst, rows, a.nameOf) }
		switch {
		case toFile:
		case a.flags.json:
			return a.result(rows)
		case cli.Width(a.out) > 0:
			return a.accounting(es)
		}
	}
	if !toFile {
		return save(a.out)
	}
	if err := wallet.SaveFile(x.output, crypto.Hash{}, x.force, save); err != nil {
		return err
	}
	return a.result(exportedEvents{x.output, len(es)})
}

// disclosed is an opening in an accounting.
type disclosed struct {
	wallet.Event
	operator string // whose word it is, the ledger's name; "" if the ledger shows it
}

// byOperators are openings of links that the ledger does not show: those of an hour after the
// first. Whoever shows them has counted them. unsaid is why one does not say.
func (a events) byOperators(ctx context.Context, es []wallet.Event) (out []disclosed, unsaid, err error) {
	said, unsaid, err := a.operators(ctx, es, true)
	if err != nil {
		return nil, nil, err
	}
	first := saidOnce(said)
	for _, e := range es {
		answer, ok := first(e)
		if !ok {
			continue
		}
		_, rest := matched(es, e.Consent, answer)
		for _, o := range rest {
			e.Hour, e.By, e.Reason, e.HasReason, e.Damaged, e.Missing = wallet.Hour(o.At/3600), o.By, o.Reason, true, false, nil
			out = append(out, disclosed{e, a.nameOf(e.Ledger)})
		}
	}
	return out, unsaid, nil
}

// bundle is what happened as FHIR.
func (a events) bundle(es []wallet.Event) *health.Bundle {
	giver := health.Giver{Name: a.all[0].w.Name(), Address: a.all[0].w.Address()}
	alike := map[string]int{}
	return health.NewAuditBundle(giver, list(es, func(e wallet.Event) health.Happened {
		h := health.Happened{
			Consent: health.Given{Ledger: e.Ledger, ID: e.Consent, To: e.Who, Address: e.Address, Purpose: string(e.Purpose)},
			Hour:    wallet.HourTime(e.Hour),
			More:    e.More,
		}
		if e.What == wallet.Refused {
			h.Keeper = e.Keeper.Number
			if e.More == 0 {
				h.Because = e.Code.String()
			}
		} else if h.Said, h.Quiet = reasonOf(e); h.Quiet != "" {
			h.Quiet = "the recipient's reason: " + h.Quiet
		} else if e.By != "" {
			h.Said = strings.TrimSuffix("by "+cli.Quote(e.By)+": "+h.Said, ": ")
		}
		for _, r := range e.Records {
			given := health.GivenRecord{ID: r.ID, Version: r.Version, Title: r.Title}
			if r.Part {
				given.Part = "what the consent gives"
			}
			h.Consent.Records = append(h.Consent.Records, given)
		}
		key := fmt.Sprint(e.Ledger, e.Consent, e.Hour, h.Keeper, h.Because, min(h.More, 1))
		h.Nth = alike[key]
		alike[key]++
		return h
	}))
}

func disclosureOf(e disclosed) disclosureJSON {
	says, _ := reasonOf(e.Event)
	to := who(e.Who, e.Address)
	if e.Link {
		to = receiver("", e.Address, true)
	}
	d := disclosureJSON{Time: e.Hour, To: to, Address: addressText(e.Address), Records: list(e.Records, same),
		Purpose: e.Purpose.Word(), By: e.By, Says: says, Ledger: e.Ledger, Consent: e.Consent, Operator: e.operator != ""}
	if e.Address.IsZero() {
		d.Missing = append(d.Missing, "terms")
	}
	switch {
	case slices.Contains(e.Missing, "store"):
		d.Missing = append(d.Missing, "store")
	case e.Damaged || !e.HasReason:
		d.Missing = append(d.Missing, "says")
	}
	return d
}

// accounting shows it to a person.
func (a events) accounting(es []disclosed) error {
	t := a.onLedgers(ui.Word("time"), ui.Text("to"), ui.Text("records"), ui.Word("for"), ui.Text("says"), ui.Key("consent"))
	when := datesOn(a.out, a.now)
	for _, e := range es {
		says, quiet := reasonOf(e.Event)
		if quiet != "" {
			quiet = "(" + quiet + ")"
		}
		by := looked(e.Event)
		if e.operator != "" {
			by += ", as the operator of " + cli.Clean(e.operator) + " says"
		}
		cells := []string{when.hour(e.Hour), by, titles(e.Records), e.Purpose.Word(), cmp.Or(says, quiet), short(e.Consent)}
		t.Add(a.withTitle(cells, a.titles[e.Ledger])...)
	}
	return a.session.table(t)
}

// accountingCSV writes it for a spreadsheet, with times of the person's own time zone.
func accountingCSV(dst io.Writer, rows []disclosureJSON, operator func(crypto.LedgerID) string) error {
	w := csv.NewWriter(dst)
	w.Write([]string{"time", "to", "address", "records", "purpose", "says", "consent", "ledger", "missing", "by", "shown"})
	for _, d := range rows {
		titles := list(d.Records, func(r wallet.ConsentRecord) string {
			if r.Part {
				return fmt.Sprintf("part of %s, version %d", cmp.Or(r.Title, r.ID.String()), r.Version)
			}
			return fmt.Sprintf("%s, version %d", r.Title, r.Version)
		})
		shown := "on the ledger"
		if d.Operator {
			shown = "as the operator of " + operator(d.Ledger) + " says"
		}
		cells := []string{wallet.HourTime(d.Time).Local().Format(time.RFC3339), d.To, d.Address, strings.Join(titles, "; "), d.Purpose, d.Says,
			d.Consent.String(), d.Ledger.String(), strings.Join(d.Missing, " "), d.By, shown}
		for i, c := range cells {
			cells[i] = cell(c)
		}
		w.Write(cells)
	}
	w.Flush()
	return w.Error()
}

// cell is a text that no spreadsheet takes for a formula, however it came there: also not
// one that ends a cell at each semicolon, as they do where the comma is in numbers.
func cell(s string) string {
	pieces := strings.Split(cli.Clean(s), ";")
	for i, p := range pieces {
		if begin := strings.TrimLeftFunc(p, unicode.IsSpace); strings.IndexAny(begin, "=+-@＝＋－＠") == 0 {
			pieces[i] = p[:len(p)-len(begin)] + "'" + begin
		}
	}
	return strings.Join(pieces, ";")
}
