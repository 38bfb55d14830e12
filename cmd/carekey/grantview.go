package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// What a grant would give, and what it would not, for the person who is to sign it.

// tally counts entries by words, of which one may have several.
func tally[S ~string](p *wallet.GrantPlan, words func(j *wallet.JudgedPart) []S) []wallet.Count {
	n := map[S]int{}
	for j := range p.Entries() {
		for _, w := range words(j) {
			n[w]++
		}
	}
	return wallet.Counts(n)
}

// goingBy are the words of entries that go, and stayingBy of those that stay for a reason.
func goingBy[S ~string](words func(j *wallet.JudgedPart) []S) func(*wallet.JudgedPart) []S {
	return stayingBy("", words)
}

func stayingBy[S ~string](why string, words func(j *wallet.JudgedPart) []S) func(*wallet.JudgedPart) []S {
	return func(j *wallet.JudgedPart) []S {
		if j.Stays != why {
			return nil
		}
		return words(j)
	}
}

func categoryOf(j *wallet.JudgedPart) []payload.Category    { return []payload.Category{j.Category} }
func sensitiveOf(j *wallet.JudgedPart) []health.Sensitivity { return j.Sensitive }

// unknownOf are the sentences of why carekey does not understand an entry, each once.
func unknownOf(j *wallet.JudgedPart) []string {
	out := list(j.Unclassified, unknownText)
	slices.Sort(out)
	return slices.Compact(out)
}

// unknownText says of entries, or of one, why they are unclassified; kind is one of those of
// a label.
func unknownText(kind string) string {
	for _, k := range []struct{ begins, says string }{
		{"code system ", "whose code system we do not know"},
		{"code without a system", "with a code of no system"},
		{"not a code of ", "with a code that its system does not have"},
		{"contained ", "with another entry inside"},
		{"no code", "with words in place of a code"},
		{"free text", "with free text"},
		{"attachment", "with a file inside"},
		{"modifier extension", "with an extension that changes the meaning"},
		{"extension ", "with an extension that we do not know"},
		{"implicit rules", "under rules that may change their meaning"},
		{"Bundle's implicit rules", "under rules of the whole file that may change their meaning"},
		{"yours", "that you marked"},
	} {
		if strings.HasPrefix(kind, k.begins) {
			return k.says
		}
	}
	if strings.HasSuffix(kind, " code without a name") {
		return "with a code that no table knows, and no name"
	}
	return "not understood (" + kind + ")"
}

// doubt is what is asked about at once: entries that stay since they are not understood.
type doubt struct {
	reasons []string // of unknownOf
	text    string
	number  int // of entries
}

// mostAsked is how many questions there are: whoever makes a file, or a table, can have a
// reason of its own for each entry.
const mostAsked = 8

// doubts are the reasons why entries are not understood and stay: those of most entries each by
// itself, and the others together.
func doubts(p *wallet.GrantPlan) (out []doubt) {
	all := tally(p, stayingBy(health.WhyUnclassified, unknownOf))
	for i, c := range all {
		if i < mostAsked-1 || len(all) == mostAsked {
			out = append(out, doubt{[]string{c.Of}, c.Of, c.Number})
			continue
		}
		rest := doubt{list(all[i:], func(c wallet.Count) string { return c.Of }), fmt.Sprintf("not understood for %d other reasons", len(all)-i), 0}
		for j := range p.Entries() {
			if rest.holds(j) {
				rest.number++
			}
		}
		return append(out, rest)
	}
	return out
}

// holds reports whether an entry stays for one of the reasons.
func (d *doubt) holds(j *wallet.JudgedPart) bool {
	return j.Stays == health.WhyUnclassified && slices.ContainsFunc(unknownOf(j), func(s string) bool { return slices.Contains(d.reasons, s) })
}

// inWords joins counts as "2 a, 1 b".
func inWords(cs []wallet.Count) string {
	return strings.Join(list(cs, func(c wallet.Count) string { return thousands(c.Number) + " " + c.Of }), ", ")
}

// fitsPreview is how many lines a preview has, so that it fits on a screen of 24 with the
// question below it.
const fitsPreview = 20

// everything is how much of a plan there is to read where nobody can ask for the rest of it.
const everything = math.MaxInt

// asked is what a person reads before she signs a plan, and what she can ask for besides.
// Where a screen does not hold it with the question, what matters most stands once more
// right above that. With --yes there is no question, and the preview is all there is to say.
//
// l is the plan as that of a link, nil if it is for somebody's wallet.
func (a *grants) asked(p *wallet.GrantPlan, l *wallet.LinkPlan, role *health.Role, g ground, columns int) (preview, all string) {
	if a.flags.yes {
		return space{columns, everything, everything}.preview(p, l, role, g), ""
	}
	preview, all = previewGrant(p, l, role, g, columns), sections(p, nil, cli.Prose(a.err))
	again := "\n\nIn short:\n" + space{columns, 1, 1}.inShort(p, l).Text("  ")
	if strings.Count(cli.Wrap(a.asProfile(preview), columns), "\n") >= fitsPreview {
		preview += again
	}
	return preview, all + again
}

// previewGrant is a plan in plain language, for the person who is to sign it. The longer
// it is, the fewer records are named one by one: what is left out is listed on demand. It
// has so many columns; with fewer than 80 what fits on no screen is scrolled, and leaves out
// no more than is easy to read.
func previewGrant(p *wallet.GrantPlan, l *wallet.LinkPlan, role *health.Role, g ground, columns int) (text string) {
	for _, most := range []struct{ records, lines int }{{6, 4}, {3, 3}, {2, 2}, {1, 2}, {1, 1}} {
		text = space{columns, most.records, most.lines}.preview(p, l, role, g)
		if strings.Count(cli.Wrap(text, columns), "\n") < fitsPreview {
			return text
		}
	}
	if columns < 80 {
		return space{columns, 3, 3}.preview(p, l, role, g)
	}
	return text
}

// space is what a preview may take: columns, records that are named one by one, and lines
// of what may be long.
type space struct{ columns, records, lines int }

// beside is how wide what stands beside the names of a preview's rows is.
func (s space) beside() int { return s.columns - 14 }

// inShort is to whom, what, what of that is sensitive, and until when.
func (s space) inShort(p *wallet.GrantPlan, l *wallet.LinkPlan) cli.Rows {
	who := cli.Clean(p.To.Name)
	if l != nil {
		opens := opensOf(l, ledgerclient.LinkAnswer{})
		who = strings.Replace(opens.holder(), linkHolder, strings.ToUpper(linkHolder), 1) + ", " + opens.times()
	} else if p.New || !p.To.Verified {
		who += ", NOT VERIFIED"
	}
	return cli.Rows{{"who", cli.Wrap(who, s.beside())}, {"may open", s.given(p)}, {"until", cli.Wrap(both(p.Until), s.beside())}}
}

func (s space) preview(p *wallet.GrantPlan, l *wallet.LinkPlan, role *health.Role, g ground) string {
	called := cli.Clean(p.To.Name)
	if utf8.RuneCountInString(called) > 24 {
		called = "the recipient"
	}
	var rows cli.Rows
	if l == nil {
		rows.Add("who", s.whom(p))
	} else {
		called = linkHolder
		opens := opensOf(l, ledgerclient.LinkAnswer{})
		rows.Add("who", cli.Wrap(strings.Replace(opens.holder(), linkHolder, strings.ToUpper(linkHolder), 1)+": the name that they type is not checked", s.beside()))
		rows.Add("opens", cli.Wrap(opens.times()+opens.code(), s.beside()))
	}
	if role.Name != "" {
		rows.Add("role", s.inLines(roleText(role, p), s.lines))
	}
	if p.Answers != nil {
		rows.Add("asks for", s.inLines(asksText(&p.Answers.Request), s.lines))
		if reason := said(p.Answers.Request.Reason); reason != "" {
			rows.Add("they say", s.inLines(reason, s.lines))
		}
		if len(p.Answers.More) > 0 {
			rows.Add("MORE", cli.Wrap("THAN ASKED: "+cli.Clean(strings.Join(p.Answers.More, ", ")), s.beside()))
		}
		if len(p.Answers.Less) > 0 {
			rows.Add("less", s.inLines("than asked: "+cli.Clean(strings.Join(p.Answers.Less, ", ")), s.lines))
		}
	}
	rows.Add("may open", s.given(p))
	if stays := s.kept(p); stays != "" {
		rows.Add("stays", stays)
	}
	why := p.Purpose.Word()
	if p.NotBefore != 0 {
		why += ", from " + both(p.NotBefore)
	}
	rows.Add("for", cli.Wrap(why, s.beside()))
	until := untilText(p.Until, p.NotAfter, called+"'s carekey keeps to it", s.columns)
	if l != nil {
		until = linkUntil(p.Until, p.NotAfter)
	}
	rows.Add("until", cli.Wrap(until, s.beside()))
	what := plural(len(p.Records), "record", "records")
	if n := len(slices.DeleteFunc(slices.Clone(p.Records), func(r wallet.RecordPlan) bool { return r.Whole })); n == len(p.Records) {
		what = "parts of " + what
	} else if n > 0 {
		what += ", of " + thousands(n) + " to parts only"
	}
	after := "You can revoke it at any time. That takes back nothing that was read until then."
	if s.lines > 3 {
		after += "\nLater versions of a record need a new grant."
	}
	if l != nil {
		after = "You can revoke it at any time. " + opensOf(l, ledgerclient.LinkAnswer{}).holds()
	}
	text := cli.Wrap("You are about to give "+called+" access to "+what+".", s.columns) + "\n\n" + rows.Text("  ") + "\n" + cli.Wrap(after+"\n"+g.gateLine(), s.columns)
	for _, w := range cautions(p, called, s) {
		text += "\n" + w
	}
	return text
}

// whom is who a consent is for, and whether that is sure.
func (s space) whom(p *wallet.GrantPlan) string {
	name := cli.Clean(p.To.Name)
	verified := ", check words compared"
	if p.New {
		verified = ", by a card, becomes a contact; NOT VERIFIED, check words not compared"
	} else if !p.To.Verified {
		verified = ", NOT VERIFIED, check words not compared yet"
	}
	if slices.ContainsFunc(p.Warnings, func(w wallet.Warning) bool { return w.Kind == "unseen" }) {
		verified += ", never seen on this ledger"
	}
	verified += ":"
	words := checkWords(p.To.Address)
	if len(words) > s.columns-12 { // four and four, as on a card
		half := p.To.Address.Words()
		words = strings.Join(half[:4], " ") + "\n" + strings.Join(half[4:], " ")
	}
	return cli.Wrap(name+verified, s.beside()) + "\n" + words
}

// inLines is a text in at most so many lines of a row.
func (s space) inLines(text string, lines int) string {
	text = strings.Join(list(strings.Split(text, "\u00a0"), cli.Clean), "\u00a0") // which it would take for a space
	all := strings.Split(cli.Wrap(text, s.beside()), "\n")
	if len(all) > lines {
		all = all[:lines]
		last := all[lines-1]
		for i := strings.LastIndexByte(last, ' '); cli.Columns(last) > s.beside()-4 && i > 0; i = strings.LastIndexByte(last, ' ') {
			last = last[:i] // no word is cut that fits into a line
		}
		cut := []rune(last)
		all[lines-1] = strings.TrimRight(string(cut[:min(len(cut), s.beside()-4)]), " ,;:(") + " ..."
	}
	return strings.Join(all, "\n")
}

// roleText spells out what a role is, and whether the plan goes beyond it.
func roleText(r *health.Role, p *wallet.GrantPlan) string {
	sensitive := "nothing sensitive"
	if len(r.Sensitive) == len(health.Sensitivities()) {
		sensitive = "all that is sensitive"
	} else if len(r.Sensitive) > 0 {
		sensitive = "also " + payload.Listed(r.Sensitive)
	}
	limits := fmt.Sprintf("at most %s, for %s", plural(r.MaxDays, "day", "days"), r.For())
	if p.Scope != nil && p.Scope.Beyond {
		return fmt.Sprintf("BEYOND its bounds (%s): %s: %s; %s", limits, r.Name, payload.Listed(r.Categories), sensitive)
	}
	return fmt.Sprintf("%s: %s; %s; %s", r.Name, payload.Listed(r.Categories), sensitive, limits)
}

// given names the records that something goes of, the first ones of many, and counts what
// that is.
func (s space) given(p *wallet.GrantPlan) string {
	var out []string
	for i := range p.Records {
		out = append(out, cli.Wrap(recordText(&p.Records[i]), s.beside()))
	}
	if n := len(out); n > s.records {
		out = append(out[:s.records-1], plural(n-s.records+1, "more record", "more records"))
		if s.records == 1 {
			out[0] = plural(n, "record", "records")
		}
	}
	if categories := tally(p, goingBy(categoryOf)); len(categories) > 0 {
		out = append(out, s.inLines("in it "+counted(categories)+textsText(p, true), s.lines))
	}
	if c := tally(p, goingBy(sensitiveOf)); len(c) > 0 {
		out = append(out, s.inLines("SENSITIVE: "+inWords(c), len(health.Sensitivities()))) // all of it
		if s.lines > 1 {
			out = append(out, s.inLines("these are "+strings.Join(sensitiveNames(p), ", "), s.lines))
		}
	}
	if n := tally(p, goingBy(unknownOf)); len(n) > 0 {
		out = append(out, s.inLines("NOT UNDERSTOOD: "+inWords(n), max(2, s.lines)))
	}
	return strings.Join(out, "\n")
}

// byNameOf is what an entry that goes had to be named by, or to be given whole.
func byNameOf(j *wallet.JudgedPart) []health.Sensitivity {
	out := slices.Clone(j.Sensitive)
	if len(j.Unclassified) > 0 {
		out = append(out, health.Unclassified)
	}
	return out
}

// sensitiveNames are what is sensitive and goes, in the file's words, each once.
func sensitiveNames(p *wallet.GrantPlan) []string {
	var out []string
	for j := range p.Entries() {
		if j.Stays != "" || len(j.Sensitive) == 0 {
			continue
		}
		if name := briefly(cmp.Or(j.Says, j.Type)); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// briefly is what an entry is called where several are named in a line.
func briefly(says string) string {
	name := []rune(cli.Clean(says))
	if len(name) > 30 {
		name = append(name[:27], []rune("...")...)
	}
	return string(name)
}

// recordText is what of a record goes.
func recordText(r *wallet.RecordPlan) string {
	title := []rune(cli.Clean(r.Title))
	if len(title) > 36 {
		title = append(title[:33], []rune("...")...)
	}
	line := fmt.Sprintf("%s, version %d", string(title), r.Version)
	all, goes := 0, 0
	for k := range r.Judged {
		if j := &r.Judged[k]; !j.Text {
			all++
			if j.Stays == "" {
				goes++
			}
		}
	}
	switch {
	case r.Whole && all > 0:
		line += ", WHOLE"
	case r.Whole && r.MayBeFHIR():
		line += ", WHOLE, with whatever is in it"
	case r.Whole && r.Date != "":
		line += fmt.Sprintf(" (%s, %s)", r.Category, r.Date)
	case r.Whole:
		line += fmt.Sprintf(" (%s)", r.Category)
	case r.Judged == nil: // nobody knows what is in it
	default:
		line = fmt.Sprintf("%s of %s of %s", thousands(goes), plural(all, "entry", "entries"), line)
	}
	return line + "  " + short(r.ID)
}

// textsText counts narratives: those that go, or those that stay though what they belong
// to is of a category that was asked for.
func textsText(p *wallet.GrantPlan, goes bool) string {
	n := 0
	for _, rs := range [][]wallet.RecordPlan{p.Records, p.Left} {
		for i := range rs {
			for k := range rs[i].Judged {
				if j := &rs[i].Judged[k]; j.Text && (j.Stays == "") == goes && j.Stays != health.WhyCategory {
					n++
				}
			}
		}
	}
	switch {
	case n == 0:
		return ""
	case goes:
		return ", and the text of " + thousands(n)
	}
	return plural(n, "text", "texts") + " in words (documents)"
}

// kept is what keptText says in the lines that there are. That a record stays is said
// before what each of several entries is.
func (s space) kept(p *wallet.GrantPlan) string {
	ids := 3
	if s.lines == everything {
		ids = everything
	}
	first, rest := kept(p, 2, ids)
	for kinds := 1; kinds >= 0 && strings.Count(cli.Wrap(strings.Join(first, "; "), s.beside()), "\n") >= s.lines; kinds-- {
		first, rest = kept(p, kinds, ids)
	}
	return s.inLines(strings.Join(append(first, rest...), "; "), s.lines)
}

// keptText counts what was meant and stays, by why; "" if nothing does.
func keptText(p *wallet.GrantPlan) string {
	first, rest := kept(p, 2, everything)
	return strings.Join(append(first, rest...), "; ")
}

// kept is the same in pieces: what a person must know first, and the rest. With kinds of 1
// it is not said what is not understood, and with 0 not what is sensitive either. Of records that stay for one reason so many are named.
func kept(p *wallet.GrantPlan, kinds, ids int) (first, rest []string) {
	var out []string
	in := func(least int, cs []wallet.Count) string {
		if kinds < least {
			return ""
		}
		return " (" + inWords(cs) + ")"
	}
	number := map[string]int{}
	for _, c := range tally(p, func(j *wallet.JudgedPart) []string { return []string{j.Stays} }) {
		number[c.Of] = c.Number
	}
	add := func(why, says string) {
		if n := number[why]; n > 0 {
			out = append(out, thousands(n)+" "+says)
		}
	}
	notNamed := func(j *wallet.JudgedPart) []health.Sensitivity {
		return slices.DeleteFunc(slices.Clone(j.Sensitive), func(s health.Sensitivity) bool {
			return p.Scope != nil && slices.Contains(p.Scope.Sensitive, string(s))
		})
	}
	add(health.WhySensitive, "sensitive"+in(1, tally(p, stayingBy(health.WhySensitive, notNamed))))
	add(health.WhyRules, "under rules of the whole file, which parts do not take along (--whole does)")
	add(health.WhyUnclassified, "unclassified"+in(2, tally(p, stayingBy(health.WhyUnclassified, unknownOf))))
	for _, l := range []struct{ why, one, many string }{
		{wallet.WhyNotSplit, "record of FHIR that was not split", "records of FHIR that were not split"},
		{wallet.WhyEarlier, "record that may be FHIR, and was added before carekey looked", "records that may be FHIR, and were added before carekey looked"},
		{wallet.WhyMissing, "record that the store has lost", "records that the store has lost"},
		{health.WhyDate, "record outside the dates, or without one", "records outside the dates, or without one"},
		{health.WhyWithout, "record that you left out", "records that you left out"},
		{health.WhyCategory, "record of another category", "records of other categories"},
	} {
		var titles []string
		for i := range p.Left {
			if r := &p.Left[i]; r.Judged == nil && r.Why == l.why {
				titles = append(titles, short(r.ID))
			}
		}
		if len(titles) > 0 {
			says := plural(len(titles), l.one, l.many) + " (" + strings.Join(titles[:min(len(titles), ids)], ", ")
			if len(titles) > ids {
				says += " ..."
			}
			out = append(out, says+")")
		}
	}
	first, out = out, nil
	add(health.WhyDocuments, "of documents")
	if texts := textsText(p, false); texts != "" {
		out = append(out, texts)
	}
	add(health.WhyDate, "outside the dates, or without one")
	add(health.WhyWithout, "that you left out")
	add(health.WhyCategory, "of other categories")
	return first, out
}

// cautions are what a person should think of before she signs, each in lines of its own.
func cautions(p *wallet.GrantPlan, name string, s space) []string {
	var out []string
	add := func(t string) {
		out = append(out, cli.Wrap(cli.CleanText(t), s.columns))
	}
	if len(p.Missed) > 0 {
		add("warning: " + missedText(p.Missed, s.lines == everything) + "; " + name + missedCost(p.Missed))
	}
	if n := p.Naming; n != nil {
		add("warning: " + namingText(n))
	}
	for _, w := range p.Warnings {
		t := warningText(w, cli.Clean(p.To.Name))
		if p.New && w.Kind == "unverified" { // no command finds who is no contact yet
			t = "compare the check words by voice first"
		}
		if t != "" {
			out = append(out, "warning: "+t)
		}
	}
	return out
}

// missedText names what stays back and matters, the worst first; of several only the first
// ones, unless all are to be named.
func missedText(missed []wallet.Missed, all bool) string {
	var names []string
	for i, m := range missed {
		if !all && i == 2 && len(missed) > 3 {
			names = append(names, fmt.Sprintf("%d more", len(missed)-i))
			break
		}
		names = append(names, briefly(m.Says))
	}
	if n := len(names) - 1; n > 0 {
		return strings.Join(names[:n], ", ") + " and " + names[n] + " are not in this grant"
	}
	return names[0] + " is not in this grant"
}

// missedCost is what that means.
func missedCost(missed []wallet.Missed) string {
	its, it := "its", "it"
	if len(missed) > 1 {
		its, it = "their", "them"
	}
	if slices.ContainsFunc(missed, func(m wallet.Missed) bool { return m.Category != "medications" }) {
		return " cannot take " + it + " into account"
	}
	return " cannot see " + its + " interactions"
}

// namingText says what still tells whose the rest is.
func namingText(n *wallet.Naming) string {
	if n.Resources == 0 {
		return fmt.Sprintf("This is not anonymous: no name and no id was found in the other parts (%s), and dates and rare facts tell too", thousands(n.Of))
	}
	return fmt.Sprintf("This is not anonymous: names, ids and dates stay in the other parts (here: in %s of %s)", thousands(n.Resources), thousands(n.Of))
}

// staysText says of a part why it stays.
func staysText(j *wallet.JudgedPart) string {
	switch j.Stays {
	case health.WhySensitive:
		return cmp.Or(payload.Listed(j.Sensitive), "sensitive") // a narrative stays since its resource does
	case health.WhyUnclassified:
		return strings.TrimSuffix("unclassified: "+payload.Listed(unknownOf(j)), ": ")
	case health.WhyRules:
		return "under rules of the whole file, which a part does not take along"
	case health.WhyCategory:
		return "other category"
	case health.WhyDate:
		return "outside the dates"
	case health.WhyWithout:
		return "left out"
	case wallet.WhyNotSplit:
		return "FHIR that could not be split"
	case wallet.WhyEarlier:
		return "may be FHIR, and was added before carekey looked"
	case wallet.WhyMissing:
		return "the store does not describe it"
	}
	return j.Stays
}

// partColumns is how wide a cell of a list of parts is at most where there is no terminal: what
// a part says, and the code systems that are not known, can be as long as a page.
const partColumns = 60

// sections lists the parts of each record with whether they go, or only those that meet a
// condition, in so many columns.
func sections(p *wallet.GrantPlan, only func(*wallet.JudgedPart) bool, columns int) string {
	var b bytes.Buffer
	for n, rs := range [][]wallet.RecordPlan{p.Records, p.Left} {
		for i := range rs {
			r := &rs[i]
			t := ui.Table{Columns: []ui.Column{ui.Key("part"), ui.Title("what"), ui.Word("category"), ui.Word("date"), ui.Text("goes")}, Cap: partColumns}
			rows := 0
			for k := range r.Judged {
				j := &r.Judged[k]
				if only != nil && !only(j) {
					continue
				}
				what := cmp.Or(j.Says, j.Type)
				if j.Text {
					what = fmt.Sprintf("text of part %d", k)
				}
				rows++
				goes := strings.TrimSuffix("yes: "+payload.Listed(byNameOf(j)), ": ")
				if j.Stays != "" {
					goes = "no: " + staysText(j)
				}
				t.Add(fmt.Sprintf("%4d", k+1), what, string(j.Category), j.Date, goes)
			}
			if only != nil && rows == 0 {
				continue
			}
			head := recordText(r)
			if n == 1 && r.Judged == nil {
				head = fmt.Sprintf("NOT %s: %s", head, staysText(&wallet.JudgedPart{Stays: r.Why}))
			}
			fmt.Fprintln(&b, head)
			if rows > 0 {
				t.Write(&b, columns)
			}
			fmt.Fprintln(&b)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}
