package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
)

// What a plan of many consents looks like.

// shownItems is how many rows of a plan's table, and people of its summary, are
// shown to a person.
const (
	shownItems  = 100
	shownPeople = 20
)

// thousands writes a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// many is plural for large numbers.
func many(n int, one, other string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + other
}

func batchQuestion(p *wallet.BatchPlan) string {
	give, end := counts(p)
	switch {
	case end == 0:
		return "Give " + many(give, "consent", "consents") + "?"
	case give == 0:
		return "End " + many(end, "consent", "consents") + "?"
	}
	return "Give " + many(give, "consent", "consents") + " and end " + thousands(end) + "?"
}

func counts(p *wallet.BatchPlan) (give, end int) {
	for i := range p.Items {
		if p.Items[i].Do == wallet.WishGrant {
			give++
		} else {
			end++
		}
	}
	return give, end
}

// batchPreview is a plan in plain language.
func batchPreview(p *wallet.BatchPlan, elsewhere rowsElsewhere, g ground) string {
	give, end := counts(p)
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s: %s to give, %s to end, %s in force stay.\n", p.File, many(p.Rows, "row", "rows"), many(give, "consent", "consents"), thousands(end), thousands(p.Stay))
	if p.Already > 0 {
		fmt.Fprintf(&b, "%s for nothing new.\n", map[bool]string{true: "1 row asks", false: thousands(p.Already) + " rows ask"}[p.Already == 1])
	}
	if p.Prune {
		fmt.Fprintf(&b, "PRUNE: every consent that the file does not name is ended.\n")
	}
	for _, name := range sortedKeys(elsewhere) {
		command, file := "apply", cli.Quote(p.File)
		if !namesRows(p.File) {
			command = "plan"
		}
		if p.File == stdinName {
			file = "-"
		}
		fmt.Fprintf(&b, "%s for another wallet: carekey --profile %s batch %s %s\n", many(elsewhere[name], "row is", "rows are"), cli.Quote(name), command, file)
	}
	if len(p.Items) == 0 {
		b.WriteString("Nothing to do.\n")
	} else {
		b.WriteString("\n")
	}
	for _, line := range peopleOf(p) {
		b.WriteString("  " + line + "\n")
	}
	if slices.ContainsFunc(p.Items, func(x wallet.BatchItem) bool { return x.Do == wallet.WishGrant && wallet.LedgerEnd(x.Until) != x.Until }) {
		b.WriteString("Each recipient's carekey keeps to these ends; whatever program is used, keepers\nend each at the first 00:00 UTC after it.\n")
	}
	if end > 0 {
		b.WriteString("What was opened before stays known: ending a consent takes back nothing that was read.\n")
	}
	for i, w := range p.Warnings {
		if i == shownPeople {
			fmt.Fprintf(&b, "warning: and %s more warnings: see --json\n", thousands(len(p.Warnings)-i))
			break
		}
		b.WriteString("warning: " + batchWarning(&w) + "\n")
	}
	if len(p.Items) > 0 {
		b.WriteString(g.gateLine())
	}
	return cli.CleanText(strings.TrimSuffix(b.String(), "\n"))
}

func sortedKeys(m map[string]int) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// peopleOf says who gains and who loses what.
func peopleOf(p *wallet.BatchPlan) []string {
	var out []string
	for n := range p.People {
		q := &p.People[n]
		if n == shownPeople {
			out = append(out, fmt.Sprintf("and %s more", many(len(p.People)-n, "person", "people")))
			break
		}
		var parts []string
		for i := range q.Access {
			parts = append(parts, accessText(&q.Access[i], q.Give > 0 && len(q.Access) == 1))
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
		parts = append(parts, "consents: "+strings.Join(consents, ", "))
		out = append(out, cli.Clean(batchPerson(p, q.To))+" "+strings.Join(parts, "; "))
	}
	return out
}

// accessText says how what somebody can open changes; alone that nothing else does.
func accessText(c *wallet.BatchAccess, alone bool) string {
	what := many(c.Records, "record", "records")
	if c.Records == len(c.Titles) {
		what = strings.Join(c.Titles, ", ")
	}
	until := "until " + day(c.Last)
	if c.First != c.Last {
		until += " at the latest"
	}
	switch c.Kind {
	case wallet.Loses:
		return "LOSES " + what
	case wallet.Sooner:
		return "can open " + what + " ONLY " + until
	case wallet.Gains:
		return "gains " + what + ", " + until
	case wallet.Newer:
		return "gains the newest version of " + what + ", " + until
	case wallet.Longer:
		return "can open " + what + " for longer, " + until
	}
	if alone {
		return "gains nothing: can open " + what + " already, " + until
	}
	return "keeps " + what + ", " + until
}

func batchPerson(p *wallet.BatchPlan, to int) string {
	if to < 0 || to >= len(p.Recipients) {
		return "(not known)"
	}
	return person(p.Recipients[to].Name, p.Recipients[to].Address)
}

func batchWarning(w *wallet.BatchWarning) string {
	at := fmt.Sprintf("line %d", w.Line)
	if w.Count > 1 {
		at = fmt.Sprintf("line %d and %s more", w.Line, thousands(w.Count-1))
	}
	who := cli.Clean(w.Who)
	switch w.Kind {
	case "unverified":
		return who + " is not verified (" + at + "): compare the check words by voice first: carekey contact verify " + cli.Quote(who)
	case "self":
		return who + " is your own address (" + at + ")"
	case "long":
		return "for more than a year, until " + day(w.Until) + " (" + at + ")"
	case "new-purpose":
		return "the purpose " + w.Other + " was never used before (" + at + ")"
	case "lookalike":
		return "the name " + who + " looks like another contact's, " + cli.Clean(w.Other) + " (" + at + ")"
	case "empty":
		return "no record is in the category " + w.Other + ", so that nothing of it is given (" + at + ")"
	case "overlap":
		return "another consent gives some of it already (" + at + ")"
	}
	return w.Kind + " (" + at + ")"
}

// planTable prints the items of a plan, the first of many.
func (a *app) planTable(p *wallet.BatchPlan) error {
	t := ui.Table{Header: []string{"LINE", "CHANGE", "WHO", "WHAT", "FOR", "UNTIL"}}
	for i := range p.Items[:min(len(p.Items), shownItems)] {
		x := &p.Items[i]
		line, change := strconv.Itoa(x.Line), "gains"
		if x.Line == 0 {
			line = "-"
		}
		if x.Overlap {
			change = "overlaps" // what another consent gives already
		}
		if x.Do == wallet.WishRevoke {
			change = "loses"
			if !x.Loses && x.Sooner {
				change = "sooner"
			} else if !x.Loses {
				change = "replaced"
			}
			change += " " + short(x.Consent)
		}
		what := "(not known)"
		if x.Set >= 0 {
			what = titles(p.Sets[x.Set])
		}
		t.Add(line, change, batchPerson(p, x.To), what, x.Purpose.Word(), day(x.Until))
	}
	a.print("")
	if err := a.table(&t); err != nil {
		return err
	}
	if n := len(p.Items) - shownItems; n > 0 {
		a.print("and %s more: --json shows all", thousands(n))
	}
	return nil
}

type planJSON struct {
	File      string            `json:"file"`
	Rows      int               `json:"rows"`
	Changes   bool              `json:"changes"` // a list of changes, not a state
	Prune     bool              `json:"prune"`
	Give      int               `json:"give"`
	End       int               `json:"end"`
	Stay      int               `json:"stay"`    // consents in force
	Already   int               `json:"already"` // rows that ask for nothing new
	Elsewhere map[string]int    `json:"elsewhere,omitempty"`
	Gate      string            `json:"gate"`
	Scope     string            `json:"scope"` // hash of what the plan was made on
	People    []planPersonJSON  `json:"people"`
	Warnings  []planWarningJSON `json:"warnings"`
	Items     []planItemJSON    `json:"items"`
}

type planWarningJSON struct {
	Kind  string `json:"kind"`
	Who   string `json:"who,omitempty"`
	Other string `json:"other,omitempty"`
	Line  int    `json:"line"`
	Count int    `json:"count"`
	Until string `json:"until,omitempty"` // the last end
}

type planPersonJSON struct {
	Who    string           `json:"who"`
	Give   int              `json:"give"` // consents
	End    int              `json:"end"`
	Stay   int              `json:"stay"`
	Access []planAccessJSON `json:"access"` // what she can open afterwards, beside now
}

type planAccessJSON struct {
	Change  string   `json:"change"` // "loses", "sooner", "gains", "newer", "longer", "keeps"
	Records int      `json:"records"`
	Titles  []string `json:"titles"`          // of the first three
	First   string   `json:"first,omitempty"` // the earliest end
	Last    string   `json:"last,omitempty"`  // the latest
}

type planItemJSON struct {
	Line     int           `json:"line"` // 0 when no row asked for it
	Do       string        `json:"do"`   // "grant" or "revoke"
	To       string        `json:"to"`
	Verified bool          `json:"verified"`
	Records  []versionJSON `json:"records"`
	Purpose  string        `json:"purpose"`
	From     string        `json:"from,omitempty"`
	Until    string        `json:"until"`
	Overlap  bool          `json:"overlap,omitempty"`
	Consent  string        `json:"consent,omitempty"`
	Why      string        `json:"why,omitempty"` // "asked", "replaced", "pruned"
	Loses    bool          `json:"loses,omitempty"`
	Sooner   bool          `json:"sooner,omitempty"` // what is left ends earlier
}

func planOf(p *wallet.BatchPlan, elsewhere rowsElsewhere) planJSON {
	give, end := counts(p)
	j := planJSON{File: p.File, Rows: p.Rows, Changes: p.Changes, Prune: p.Prune, Give: give, End: end, Stay: p.Stay, Already: p.Already,
		Elsewhere: elsewhere, Gate: string(p.Gate), Scope: p.Scope.String(),
		Warnings: list(p.Warnings, func(w wallet.BatchWarning) planWarningJSON {
			return planWarningJSON{w.Kind, w.Who, w.Other, w.Line, w.Count, stamp(w.Until)}
		}),
		People: list(p.People, func(q wallet.BatchPerson) planPersonJSON {
			name := ""
			if q.To >= 0 {
				name = who(p.Recipients[q.To].Name, p.Recipients[q.To].Address)
			}
			return planPersonJSON{name, q.Give, q.End, q.Stay, list(q.Access, func(c wallet.BatchAccess) planAccessJSON {
				return planAccessJSON{string(c.Kind), c.Records, c.Titles, stamp(c.First), stamp(c.Last)}
			})}
		})}
	j.Items = list(p.Items, func(x wallet.BatchItem) planItemJSON {
		i := planItemJSON{Line: x.Line, Do: string(x.Do), Purpose: x.Purpose.Word(), From: stamp(x.NotBefore), Until: stamp(x.Until),
			Overlap: x.Overlap, Why: x.Why, Loses: x.Loses, Sooner: x.Sooner, Records: list([]wallet.ConsentRecord(nil), versionOf)}
		if x.To >= 0 {
			i.To, i.Verified = who(p.Recipients[x.To].Name, p.Recipients[x.To].Address), p.Recipients[x.To].Verified
		}
		if x.Set >= 0 {
			i.Records = list(p.Sets[x.Set], versionOf)
		}
		if x.Do == wallet.WishRevoke {
			i.Consent = x.Consent.String()
		}
		return i
	})
	return j
}

// batchBar shows how far a batch is: one line that moves at a terminal, else a
// line for every thousand items.
type batchBar struct {
	app     *app
	moving  bool
	started time.Time
	from    int // items that were done before
	said    int
	drawn   int // columns
}

const sayEvery = 1000

func (a *app) newBatchBar(from wallet.BatchStatus) *batchBar {
	b := &batchBar{app: a, moving: a.talks() && cli.Width(a.err) > 0, started: time.Now(), from: from.Done, said: from.Done / sayEvery}
	if from.Done < from.Items {
		b.step(from)
	}
	return b
}

func (b *batchBar) step(s wallet.BatchStatus) {
	if !b.moving {
		if s.Done/sayEvery > b.said && s.Done < s.Items {
			b.said = s.Done / sayEvery
			b.app.say("%s of %s done", thousands(s.Done), thousands(s.Items))
		}
		return
	}
	const width = 24
	full := s.Done * width / max(1, s.Items)
	line := fmt.Sprintf("[%s%s] %s of %s", strings.Repeat("#", full), strings.Repeat("-", width-full), thousands(s.Done), thousands(s.Items))
	if took := time.Since(b.started).Seconds(); s.Done > b.from && took > 0 {
		rate := float64(s.Done-b.from) / took
		left := time.Duration(float64(s.Items-s.Done) / rate * float64(time.Second)).Round(time.Second)
		line += fmt.Sprintf(", %s/s, %s left", thousands(int(rate)), left)
	}
	b.draw(line)
}

func (b *batchBar) draw(line string) {
	if w := cli.Width(b.app.err); w > 1 && len(line) > w-1 {
		line = line[:w-1]
	}
	io.WriteString(b.app.err, "\r"+line+strings.Repeat(" ", max(0, b.drawn-len(line))))
	b.drawn = len(line)
}

func (b *batchBar) end() {
	if b.moving && b.drawn > 0 {
		io.WriteString(b.app.err, "\r"+strings.Repeat(" ", b.drawn)+"\r")
	}
}
