package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/spf13/cobra"
)

// What a person is told of the parts of a record: what is in it, what of that goes only
// where it is named, and why.

func newParts(r *records) []*cobra.Command {
	show := &cobra.Command{
		Use:   "show ID [--all]",
		Short: "Say what is in a record, and what of it goes only by name",
		Long: `List the parts of a record's newest version: what each is, its category, its date, and
by what it has to be named in a grant. Below such a part stands why: the code in it, and
the table that knows that code, or the part that it points to. Numbers stay the same for
a version. Of a long record only such parts are listed, after a summary.`,
		RunE: r.onWallet(looks, r.show),
	}
	show.Flags().BoolVar(&r.all, "all", false, "list every part of a long record")
	words := sensitivityNames()
	label := &cobra.Command{
		Use:   "label ID PART... (--category C | --add S | --drop S | --reset)",
		Short: "Correct what is said of parts of a record",
		Long: `Say yourself what parts of a record are. PART is a number as in record show, or a range
as 3-7. It holds against every table, for all later versions in which a part has the same
bytes, and after a restore. What you gave before stays as it was given.

WORDS for what goes only where it is named
  ` + strings.Join(words[:4], ", ") + `,
  ` + strings.Join(words[4:], ", "),
		Example: "  carekey record label 1a2b3c4d 12 13 --drop unclassified",
		Args:    cli.Takes(2, -1),
		RunE:    r.onWallet(writes|keeps, r.label),
	}
	f := label.Flags()
	f.StringVar(&r.category, "category", "", "they are of `CATEGORY`")
	f.StringSliceVar(&r.add, "add", nil, "they go only where `WORD` is named")
	f.StringSliceVar(&r.drop, "drop", nil, "they go without that `WORD`, also if a table says otherwise")
	label.RegisterFlagCompletionFunc("category", cobra.FixedCompletions(categoryNames(), cobra.ShellCompDirectiveNoFileComp))
	for _, name := range []string{"add", "drop"} {
		label.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	f.BoolVar(&r.reset, "reset", false, "take back what you said of them")
	acceptClock(r.app, label)
	return []*cobra.Command{show, label}
}

// sensitivityNames are the words by which parts have to be named; unclassified is the last.
func sensitivityNames() []string {
	return list(append(health.Sensitivities(), health.Unclassified), func(s health.Sensitivity) string { return string(s) })
}

// longRecord is how many parts a record has at least that is shown in short.
const longRecord = 17

// things are the categories as people count them, in the order in which they ask.
var things = []struct{ category, one, many string }{
	{"problems", "problem", "problems"},
	{"medications", "medicine", "medicines"},
	{"allergies", "allergy", "allergies"},
	{"immunizations", "immunization", "immunizations"},
	{"labs", "result", "results"},
	{"vitals", "vital sign", "vital signs"},
	{"images", "image", "images"},
	{"documents", "document", "documents"},
	{"devices", "device", "devices"},
	{"claims", "claim", "claims"},
	{"demographics", "person", "persons"},
	{"other", "other", "others"},
}

// counted says how many there are of each category.
func counted(categories []wallet.Count) string {
	var out []string
	for _, t := range things {
		for _, c := range categories {
			if c.Of == t.category {
				out = append(out, strings.ReplaceAll(plural(c.Number, t.one, t.many), " ", "\u00a0"))
			}
		}
	}
	return strings.Join(out, ", ")
}

// byName says what of a record goes only where it is named; "" if nothing does.
func byName(h *wallet.Holding) string {
	var out []string
	if h.Sensitive > 0 {
		out = append(out, thousands(h.Sensitive)+" sensitive ("+strings.Join(list(h.Kinds, func(c wallet.Count) string { return c.Of }), ", ")+")")
	}
	if h.Unclassified > 0 {
		out = append(out, thousands(h.Unclassified)+" unclassified")
	}
	return strings.Join(out, ", ")
}

// sayHolding tells who added a file what is in it. ownTitle: the title is the file's.
func (a *records) sayHolding(r wallet.Record, ownTitle bool) {
	h := r.Holds
	switch {
	case r.Whole == payload.WholeFile:
		if ext := strings.ToLower(filepath.Ext(r.File)); ext == ".json" || ext == ".ndjson" {
			a.say("%s", "It is no FHIR, and is not split into parts: it is given whole, by its category.")
		}
	case h == nil:
	case h.NotSplit != "":
		a.say("%s", "It is taken for FHIR, and is not split into parts: "+h.NotSplit+". It can only be granted as a whole, and goes only where it is named.")
	case h.Form != "":
		a.say("%s", plural(h.Entries, "entry", "entries")+": "+counted(h.Categories)+".")
		if named := byName(h); named != "" {
			a.say("%s", "Of these, "+named+": left out where a grant does not name them.")
		}
		if n := len(h.Lapsed); n > 0 {
			said := cli.Clean(payload.Listed(h.Lapsed[:min(n, 5)]))
			if n > 5 {
				said += " and others"
			}
			a.say("What you said of %s holds no more, since this version has other bytes there: %s. Say it again: carekey record label.", plural(n, "part", "parts"), said)
		}
		if ownTitle {
			a.say("The title is the file's own; whoever may open the record as a whole sees it.")
		}
	}
}

// namedBy is what a part has to be named by to be given, in a fixed order.
func namedBy(p wallet.PartInfo) []string {
	out := list(p.Sensitive, func(s health.Sensitivity) string { return string(s) })
	if len(p.Unclassified) > 0 {
		out = append(out, string(health.Unclassified))
	}
	return out
}

func (a *records) show(ctx context.Context, w *wallet.Wallet, args []string) error {
	r, parts, err := w.Records().Parts(ctx, args[0])
	if err != nil {
		return err
	}
	withdrawn, corrections, err := w.Grants().Deliveries().SaidSince(ctx, r)
	if err != nil {
		return err
	}
	j := recordPartsJSON{recordJSON: recordOf(r), Holds: r.Holds, List: list(parts, same), Withdrawn: withdrawn}
	var since []string
	for _, d := range withdrawn {
		line := "WITHDRAWN by its sender on " + both(d.At)
		if d.Version != r.Version {
			line = fmt.Sprintf("version %d was %s", d.Version, line)
		}
		if d.Why != "" {
			line += ": " + said(d.Why) + " (their words)"
		}
		since = append(since, line)
	}
	for _, d := range corrections {
		since = append(since, "its sender delivered a correction: carekey deliver show "+short(d.ID))
		j.Corrections = append(j.Corrections, d.ID)
	}
	a.showParts(r, parts, since)
	return a.result(j)
}

// sourceText says who delivered a record.
func sourceText(s wallet.Sender) string {
	name := "an address you do not know: " + s.Address.String()[:24] + "…"
	switch {
	case s.Verified:
		name = cli.Clean(s.Name) + " (contact, verified)"
	case s.Name != "":
		name = cli.Clean(s.Name) + " (contact; check words not compared)"
	}
	return "delivered by " + name + " on " + both(s.Sent)
}

type recordPartsJSON struct {
	recordJSON
	Holds *wallet.Holding   `json:"holds,omitempty"`
	List  []wallet.PartInfo `json:"list"`

	// Of one that was delivered: versions that their sender withdrew, and deliveries that are
	// meant in its place and wait.
	Withdrawn   []wallet.Withdrawal `json:"withdrawn,omitempty"`
	Corrections []contract.ID       `json:"corrections,omitempty"`
}

// recordTold is what is known of a record that is not opened. Who delivered it chose its
// words: a line feed there would look like another row.
func recordTold(r wallet.Record) cli.Rows {
	rows := cli.Rows{{"title", cli.Clean(r.Title)}, {"version", fmt.Sprintf("%d, added %s", r.Version, addedText(r, dates{}))}, {"file", cli.Clean(r.File) + ", " + bytesText(r.Size)}}
	if r.Date != "" {
		rows.Add("date", cli.Clean(r.Date))
	}
	if r.Signed.Is() {
		rows.Add("signed", signedWords(r.Signed))
	}
	if r.Source.Delivery != (contract.ID{}) {
		rows.Add("source", sourceText(r.Source))
	}
	return rows
}

// showParts tells what is in a record, and lists its parts.
func (a *records) showParts(r wallet.Record, parts []wallet.PartInfo, since []string) {
	rows := recordTold(r)
	for _, line := range since {
		rows.Add("since", line)
	}
	h := r.Holds
	switch {
	case len(parts) > 0:
		rows.Add("in it", plural(h.Entries, "entry", "entries")+": "+counted(h.Categories))
		rows.Add("only by name", cmp.Or(byName(h), "none that the tables know"))
	case h != nil && h.NotSplit != "":
		rows.Add("parts", "none, although it is FHIR: "+h.NotSplit+". It can only be granted as a whole, and goes only where it is named")
	default:
		rows.Add("category", string(r.Category))
		rows.Add("parts", "none: it is granted as it is")
	}
	a.rows(rows)
	if len(parts) == 0 {
		return
	}
	shown := parts
	if len(parts) >= longRecord && !a.all {
		shown = slices.DeleteFunc(slices.Clone(parts), func(p wallet.PartInfo) bool { return len(namedBy(p)) == 0 })
	}
	if len(shown) == 0 {
		a.next("all %d parts: carekey record show %s --all", len(parts), short(r.ID))
		return
	}
	a.print("")
	a.print("%s", listOfParts(shown, a.all, cli.Prose(a.out)))
	drop := ""
	if slices.ContainsFunc(shown, func(p wallet.PartInfo) bool { return len(namedBy(p)) > 0 || p.Category == health.Documents }) {
		a.say("What is \"only by name\" goes only where a grant names it (--with WORD), or a role does, or with all of the record (--whole).")
		drop = ", --drop WORD"
	}
	if left := len(parts) - len(shown); left > 0 {
		a.next("the other %s: carekey record show %s --all", plural(left, "part", "parts"), short(r.ID))
	} else {
		a.next("to correct it: carekey record label %s PART, with --category C, --add WORD%s", short(r.ID), drop)
	}
}

// listOfParts lists parts, and below each why it goes only by name; all gives every reason.
// A width of more than 0 is that of the terminal.
func listOfParts(parts []wallet.PartInfo, all bool, width int) string {
	t := &ui.Table{Columns: []ui.Column{ui.Key("part"), ui.Title("what"), ui.Word("category"), ui.Word("date"), ui.Text("only by name")}, Below: map[int]string{}, Cap: partColumns}
	for i, p := range parts {
		t.Below[i] = reasons(p, all, width)
		what := cmp.Or(p.Says, p.Type)
		if p.Of != 0 {
			what = fmt.Sprintf("text of part %d", p.Of)
		}
		words := namedBy(p)
		if p.Category == health.Documents {
			words = append(words, string(health.Documents))
		}
		t.Add(fmt.Sprintf("%4d", p.Number), what, string(p.Category), p.Date, strings.Join(words, ", "))
	}
	var b bytes.Buffer
	t.Write(&b, width) // a buffer takes all
	return strings.TrimSuffix(b.String(), "\n")
}

// reasons are the lines below a part: one for each word by which it has to be named, or
// all that are known.
func reasons(p wallet.PartInfo, all bool, width int) string {
	said := map[string]bool{}
	as := false // it is what its resource is
	var b strings.Builder
	for _, why := range p.Why {
		word := why.Of
		if slices.Contains(p.Unclassified, word) {
			word = string(health.Unclassified) + " (" + word + ")"
		}
		if !all && (said[word] || word == string(p.Category)) {
			continue
		}
		said[word] = true
		if p.Of != 0 && why.Because == "its resource" {
			as = true
			continue
		}
		line := word + ": " + why.Because
		switch why.Table {
		case "":
		case "yours":
			line = word + ": you said so"
		default:
			line += " (" + why.Table + ")"
		}
		b.WriteString(cli.Wrap("      "+cli.Clean(line), width) + "\n")
	}
	if as {
		fmt.Fprintf(&b, "      as part %d\n", p.Of)
	}
	return b.String()
}

func (a *records) label(ctx context.Context, w *wallet.Wallet, args []string) (err error) {
	var c health.Correction
	if a.category != "" {
		if c.Category, err = wallet.ParseCategory(a.category); err != nil {
			return err
		}
	}
	if c.Add, err = sensitivities("add", a.add); err != nil {
		return err
	}
	if c.Drop, err = sensitivities("drop", a.drop); err != nil {
		return err
	}
	says := c.Category != "" || len(c.Add)+len(c.Drop) > 0
	switch {
	case !says && !a.reset:
		return usage("nothing is said of the parts", "say it with --category, --add or --drop; carekey record show says what is said of them now")
	case says && a.reset:
		return usage("--reset takes back all that you said", "do that first, then say the new")
	}
	for _, s := range c.Add {
		if slices.Contains(c.Drop, s) {
			return usage("--add and --drop both name "+string(s), "use one of them")
		}
	}
	numbers, err := partNumbers(args[1:])
	if err != nil {
		return err
	}
	parts, err := w.Records().Correct(ctx, args[0], numbers, c)
	if err != nil {
		return err
	}
	a.print("%s", listOfParts(parts, false, cli.Prose(a.out)))
	if a.reset {
		a.say("What you said of them is taken back: the tables say this.")
	} else {
		a.say("This holds for what you grant from now on, and for later versions too, where a part has the same bytes. To take it back: --reset.")
	}
	return a.result(list(parts, same))
}

// sensitivities reads the words of a flag.
func sensitivities(flag string, words []string) (out []health.Sensitivity, err error) {
	for _, word := range words {
		s := health.Sensitivity(strings.ToLower(strings.TrimSpace(word)))
		if !s.Valid() && s != health.Unclassified {
			return nil, wallet.ErrInput.With("field", flag, "value", word, "why", "not one of "+strings.Join(sensitivityNames(), ", "))
		}
		out = append(out, s)
	}
	return out, nil
}

// maxPart is above the number of any part.
const maxPart = 1 << 17

// partNumbers reads numbers of parts and ranges of them, in ascending order.
func partNumbers(args []string) (numbers []int, err error) {
	for _, arg := range args {
		for field := range strings.FieldsFuncSeq(arg, func(r rune) bool { return r == ',' || r == ' ' }) {
			from, to, isRange := strings.Cut(field, "-")
			if !isRange {
				to = from
			}
			first, err1 := strconv.Atoi(from)
			last, err2 := strconv.Atoi(to)
			if err := errors.Join(err1, err2); err != nil || first < 1 || last < first || last > maxPart {
				return nil, wallet.ErrInput.With("field", "part", "value", field, "why", "a part is a number as carekey record show has it, or a range as 3-7")
			}
			for n := first; n <= last; n++ {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers), nil
}
