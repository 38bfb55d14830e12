package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
)

// What a plan of many consents looks like.

// shownItems is how many rows of a plan's table, and people of its summary, are
// shown to a person.
const (
	shownItems  = 100
	shownPeople = 20
)

func batchQuestion(p *batch.Plan) string {
	switch {
	case p.End == 0:
		return "Give " + plural(p.Give, "consent", "consents") + "?"
	case p.Give == 0:
		return "End " + plural(p.End, "consent", "consents") + "?"
	}
	return "Give " + plural(p.Give, "consent", "consents") + " and end " + thousands(p.End) + "?"
}

// batchPreview is a plan in plain language.
func batchPreview(p *batch.Plan, g ground) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s: %s to give, %s to end, %s.\n", p.File, plural(p.Rows, "row", "rows"), plural(p.Give, "consent", "consents"), thousands(p.End), plural(p.Stay, "in force stays", "in force stay"))
	if p.Already > 0 {
		fmt.Fprintf(&b, "%s for nothing new.\n", map[bool]string{true: "1 row asks", false: thousands(p.Already) + " rows ask"}[p.Already == 1])
	}
	if p.Prune {
		fmt.Fprintf(&b, "PRUNE: every consent that the file does not name is ended.\n")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Elsewhere)) {
		command, file := "apply", cli.Quote(p.File)
		if !namesRows(p.File) {
			command = "plan"
		}
		if p.File == stdinName {
			file = "-"
		}
		fmt.Fprintf(&b, "%s for another wallet: carekey --profile %s batch %s %s\n", plural(p.Elsewhere[name], "row is", "rows are"), cli.Quote(name), command, file)
	}
	if len(p.Items) == 0 {
		b.WriteString("Nothing to do.\n")
	} else {
		b.WriteString("\n")
	}
	for _, line := range peopleOf(p) {
		b.WriteString("  " + line + "\n")
	}
	if len(p.People) > 0 {
		b.WriteString("\n")
	}
	if slices.ContainsFunc(p.Items, func(x batch.Item) bool { return x.Do == batch.Grant && contract.Hour(x.Until)%24 != 0 }) {
		b.WriteString("Each recipient's carekey keeps to these ends; whatever program is used, keepers end each at the first 00:00 UTC after it.\n")
	}
	if p.End > 0 {
		b.WriteString("What was opened before stays known: ending a consent takes back nothing that was read.\n")
	}
	warnings := together(p.Warnings)
	for i, w := range warnings {
		if i == shownPeople {
			fmt.Fprintf(&b, "warning: and %s more warnings: see --json\n", thousands(len(warnings)-i))
			break
		}
		b.WriteString("warning: " + batchWarning(&w) + "\n")
	}
	if len(p.Items) > 0 {
		b.WriteString(g.gateLine())
	}
	return cli.CleanText(strings.TrimSuffix(b.String(), "\n"))
}

// peopleOf says who gains and who loses what.
func peopleOf(p *batch.Plan) []string {
	var out []string
	for n := range p.People {
		q := &p.People[n]
		if n == shownPeople {
			out = append(out, fmt.Sprintf("and %s more", plural(len(p.People)-n, "person", "people")))
			break
		}
		var rows cli.Rows // what a title says stands behind its row's name, and imitates none
		for i := range q.Access {
			rows.Add(accessRow(&q.Access[i], q.Give > 0 && len(q.Access) == 1))
		}
		if q.State != batch.LinkOpens {
			rows.Add("its node", linkWords[q.State])
		}
		var consents []string
		if q.Give > 0 {
			consents = append(consents, thousands(q.Give)+" given")
		}
		if q.End > 0 {
			consents = append(consents, thousands(q.End)+" ended")
		}
		if q.Stay > 0 {
			consents = append(consents, thousands(q.Stay)+" stay")
		}
		rows.Add("consents", strings.Join(consents, ", "))
		out = append(out, cli.Clean(batchPerson(q.Who, q.Link))+"\n"+strings.TrimSuffix(rows.Text("    "), "\n"))
	}
	return out
}

// accessRow says how what somebody can open changes; alone that nothing else does.
func accessRow(c *batch.Access, alone bool) (word, says string) {
	what := plural(c.Records, "record", "records")
	if c.Records == len(c.Titles) {
		what = cli.Clean(strings.Join(c.Titles, ", "))
	}
	until := "until " + day(contract.Hour(c.Last))
	if c.First != c.Last {
		until += " at the latest"
	}
	switch c.Change {
	case batch.Loses:
		return "LOSES", what
	case batch.Sooner:
		return "can open", "ONLY " + until + ": " + what
	case batch.Gains:
		return "gains", until + ": " + what
	case batch.Newer:
		return "gains", "the newest version, " + until + ": " + what
	case batch.Longer:
		return "can open", "for longer, " + until + ": " + what
	}
	if alone {
		return "gains", "nothing: can open it already, " + until + ": " + what
	}
	return "keeps", until + ": " + what
}

// batchPerson is how a plan's table names somebody: strangers by the beginning of their
// address.
func batchPerson(who string, link bool) string {
	if a, err := crypto.ParseAddress(who); err == nil {
		return receiver("", a, link)
	}
	return receiver(who, crypto.Address{}, link)
}

// together makes one warning of those that say of record after record the same of the same
// rows, and lets it name the first ones.
func together(ws []batch.Warning) (out []batch.Warning) {
	const named = 3
	for i := 0; i < len(ws); {
		w := ws[i]
		var ids []string
		for ; i < len(ws) && ws[i].Kind == w.Kind && ws[i].Line == w.Line && ws[i].Count == w.Count; i++ {
			ids = append(ids, ws[i].Other)
		}
		switch w.Kind {
		case wallet.WhyNotSplit, wallet.WhyEarlier, wallet.WhyMissing, "anything":
			w.Other = "record " + ids[0]
			if len(ids) > 1 {
				w.Other = "records " + strings.Join(ids[:min(len(ids), named)], ", ")
			}
			if more := len(ids) - named; more > 0 {
				w.Other += " and " + thousands(more) + " more"
			}
			out = append(out, w)
		default:
			out = append(out, ws[i-len(ids):i]...)
		}
	}
	return out
}

func batchWarning(w *batch.Warning) string {
	at := fmt.Sprintf("line %d", w.Line)
	if w.Count > 1 {
		at = fmt.Sprintf("line %d and %s more", w.Line, thousands(w.Count-1))
	}
	who := cli.Clean(w.Who)
	switch w.Kind {
	case "unverified":
		return who + " is not verified (" + at + "): compare the check words by voice: carekey contact verify " + cli.Quote(who)
	case "self":
		return who + " is your own address (" + at + ")"
	case "long":
		return "for more than a year, until " + day(contract.Hour(w.Until)) + " (" + at + ")"
	case "new-purpose":
		return "the purpose " + w.Other + " was never used before (" + at + ")"
	case "lookalike":
		return "the name " + who + " looks like another contact's, " + cli.Clean(w.Other) + " (" + at + ")"
	case "empty":
		return "nothing of " + w.Other + " is there to be given (" + at + ")"
	case "sensitive":
		return "kept back, since it is sensitive and was not named: " + w.Other + " (" + at + ")"
	case "unclassified":
		entries := w.Other + " entries"
		if w.Other == "1" {
			entries = "1 entry"
		}
		return "kept back, since carekey does not understand all of it: " + entries + " (" + at + ")"
	case wallet.WhyNotSplit, wallet.WhyEarlier:
		return "kept back, since what was not split may hold anything: " + w.Other + " (" + at + ")"
	case wallet.WhyMissing:
		return "not given, since the store has lost it: " + w.Other + " (" + at + ")"
	case "anything":
		return "goes whole, with whatever is in it: " + w.Other + " (" + at + ")"
	case "whole":
		return "goes with the whole record, and is sensitive: " + w.Other + " (" + at + ")"
	case "missed":
		return "not given, and may matter to who treats you: " + cli.Clean(w.Other) + " (" + at + ")"
	case "naming":
		return "this is not anonymous: names, ids and dates stay in the other parts, in " + w.Other + " (" + at + ")"
	case "unseen":
		return "who gets something was never seen on this ledger (" + at + ")"
	case "open":
		return "can be opened still, by a consent in force that gave it before it was sensitive: " + w.Who + ", " + w.Other + " (" + at + ")"
	case "overlap":
		return "another consent gives some of it already (" + at + ")"
	}
	return w.Kind + " (" + at + ")"
}

// table prints the items of a plan, the first of many.
func (a batches) table(p *batch.Plan) error {
	t := ui.Table{Columns: []ui.Column{ui.Key("line"), ui.Word("change"), ui.Title("who"), ui.Text("what"), ui.Word("for"), ui.Word("until")}}
	when := datesOn(a.out, a.now)
	for i := range p.Items[:min(len(p.Items), shownItems)] {
		x := &p.Items[i]
		line, change := strconv.Itoa(x.Line), "gains"
		if x.Line == 0 {
			line = "-"
		}
		if x.Overlap {
			change = "overlaps" // what another consent gives already
		}
		if x.Do == batch.Revoke {
			change = "loses"
			if !x.Loses && x.Sooner {
				change = "sooner"
			} else if !x.Loses && x.Link {
				change = "ends"
			} else if !x.Loses {
				change = "replaced"
			}
			change += " " + short(x.Consent)
		}
		what := "(not known)"
		if len(x.Records) > 0 {
			what = titles(x.Records)
		}
		who := batchPerson(x.To, x.Link)
		if x.State != batch.LinkOpens {
			who += ", " + linkWords[x.State]
		}
		t.Add(line, change, who, what, x.Purpose, when.near(wallet.Hour(x.Until)))
	}
	a.print("")
	if err := a.app.table(&t); err != nil {
		return err
	}
	if n := len(p.Items) - shownItems; n > 0 {
		a.print("and %s more: --json shows all", thousands(n))
	}
	return nil
}
