package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/fault"
)

const (
	errBinary fault.Code = "binary-to-terminal" // a terminal is no place for these bytes
	// errNeed: a person would have to be asked, and there is none. what: the question, or a
	// noun; flag, that answers
	errNeed fault.Code = "answer-needed"
)

// console is how a command speaks: data on out, talk and questions on err.
type console struct {
	in, out, err *os.File
	flags        flags
	heard        map[string]bool // what was said already, and is not said again; nil: everything is
	person       ui.Person       // answers within a screen; nil: who sits at the terminal
	page         *ui.Page        // a screen's, onto which all is put that is said and printed; nil: the files above
}

// interactive reports whether a person can be asked.
func (c *console) interactive() bool {
	return c.person != nil || !c.flags.noInput && ui.Terminal(c.in, c.err)
}

// asks is who answers.
func asks(c *console) ui.Person {
	if c.person != nil {
		return c.person
	}
	return ui.Seat{In: c.in, Out: c.err}
}

// talks reports whether stderr is for people: with --json it carries the error only.
func (c *console) talks() bool { return !c.flags.quiet && !c.flags.json }

// say talks on stderr.
func (c *console) say(format string, args ...any) {
	if c.page == nil && !c.talks() { // a page has all of what it is about
		return
	}
	text := fmt.Sprintf(c.oursFormat(format), args...)
	if c.heard[text] {
		return
	}
	if c.heard != nil {
		c.heard[text] = true
	}
	if c.page != nil { // which breaks lines where it is drawn
		c.page.Say(text)
		return
	}
	fmt.Fprintln(c.err, prose(c.err, "%s", text))
}

// prose are lines for people, as wide as they read well on a file.
func prose(to *os.File, format string, args ...any) string {
	return cli.Wrap(cli.CleanText(fmt.Sprintf(format, args...)), cli.Prose(to))
}

// ours makes the commands that a text of our own names act on the wallet and the ledger
// that this command line named, so that they can be pasted as they stand. What the
// environment names holds for them anyway.
func (c *console) ours(text string) string {
	profile, ledger := "", ""
	if c.flags.profile != "" {
		profile = " --profile " + cli.Quote(c.flags.profile)
	}
	if c.flags.ledger != "" {
		ledger = " --ledger " + cli.Quote(c.flags.ledger)
		if at, err := named(c.flags.ledger); err == nil && at.node != nil { // long, and it may hold a token
			ledger = " --ledger " + short(at.node.Ledger)
		}
	}
	var b strings.Builder
	done := 0
	var at [][]int
	if profile+ledger != "" { // most often neither: a start does without the pattern
		at = commandNamed().FindAllStringSubmatchIndex(text, -1)
	}
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		line, _, _ := strings.Cut(text[m[0]:end], "\n")
		b.WriteString(text[done:m[3]])
		b.WriteString(profile)
		if !strings.Contains(line, " --ledger ") {
			b.WriteString(ledger)
		}
		done = m[3]
	}
	b.WriteString(text[done:])
	return strings.ReplaceAll(b.String(), theirs, "carekey ")
}

// theirs begins a command that somebody else runs, with a wallet of their own: the space
// that does not break keeps ours from it, and is printed as one that does.
const theirs = "carekey\u00a0"

// oursFormat is ours for a text with verbs of package fmt.
func (c *console) oursFormat(format string) string {
	// The flags of who called may hold a per cent sign.
	marked := console{flags: flags{profile: strings.ReplaceAll(c.flags.profile, "%", "%%"), ledger: strings.ReplaceAll(c.flags.ledger, "%", "%%")}}
	return marked.ours(format)
}

// commandNamed finds commands of this program in a text, without a profile of their own.
// A test compares the verbs with those that there are.
var commandNamed = cli.Pattern(`(?:^|[^-\w./])(carekey)(?: --ledger \S+)? (?:\.\.\.|(?:COMMAND|address|age|audit|backup|batch|card|consent|contact|deliver|doctor|fetch|grant|inbox|init|keyring|ledger|link|lock|profile|record|request|restore|revoke|role|status|sync|try|unlock|version|view|words)\b)`)

// next names the command that is likely to come next. A screen has keys.
func (c *console) next(format string, args ...any) {
	if c.page == nil {
		c.say("Next: "+format, args...)
	}
}

// print writes data for people to stdout, where with --json only the result goes.
func (c *console) print(format string, args ...any) {
	switch {
	case c.page != nil:
		c.page.Say(fmt.Sprintf(c.oursFormat(format), args...))
	case !c.flags.json:
		fmt.Fprintln(c.out, prose(c.out, c.oursFormat(format), args...))
	}
}

// rows writes rows to stdout.
func (c *console) rows(r cli.Rows) { c.print("%s", strings.TrimSuffix(r.Text(""), "\n")) }

// printPath prints a path as it is, or fit for a terminal.
func (c *console) printPath(path string) {
	if cli.Width(c.out) > 0 || c.page != nil {
		path = cli.Clean(path)
	}
	switch {
	case c.page != nil:
		c.page.Say(path)
	case !c.flags.json:
		fmt.Fprintln(c.out, path)
	}
}

// data writes what a script would take from stdout; at a terminal it stands apart
// from the talk.
func (c *console) data(what any) {
	apart := c.page == nil && c.talks() && cli.Width(c.out) > 0
	if apart {
		fmt.Fprintln(c.err)
	}
	c.print("%s", what)
	if apart {
		fmt.Fprintln(c.err)
	}
}

// result prints what a command did for a program. All that people are told is silent
// then. What may be a hundred thousand rows is made ready for one of the two only.
func (c *console) result(v any) error {
	if c.flags.json {
		return cli.WriteJSON(c.out, v, true)
	}
	return nil
}

// table prints a table that has rows, not wider than the terminal.
func (c *console) table(t *ui.Table) error {
	switch {
	case c.page != nil:
		c.page.Show(t)
		return nil
	case c.flags.json || len(t.Rows) == 0:
		return nil
	}
	return t.Write(c.out, cli.Width(c.out))
}

// choose lets a person take from a list; flag is what would have answered.
func (c *console) choose(ctx context.Context, title string, items []ui.Item, multi bool, what, flag string) ([]int, error) {
	if !c.interactive() {
		return nil, errNeed.With("what", what, "flag", flag)
	}
	return asks(c).Choose(ctx, title, items, multi)
}

// bars reports whether there is a line on which it can be shown how far something is.
func bars(c *console) bool { return c.page == nil && c.talks() && cli.Width(c.err) > 0 }

// progressFrom is the size in bytes from which on a bar is worth showing.
const progressFrom = 32 << 20

// progress returns what to call while a file goes by, nil where no bar is shown,
// and what to call at the end.
func (c *console) progress(what string, total int64) (step func(done int64), end func()) {
	if total < progressFrom || !bars(c) {
		return nil, func() {}
	}
	b := &bar{out: c.err, what: what, total: total, at: -1}
	return b.step, b.end
}

// bar is a progress bar of one line.
type bar struct {
	out   io.Writer
	what  string
	total int64
	at    int64 // percent that is shown
}

func (b *bar) step(done int64) {
	percent := min(100, done*100/b.total)
	if percent == b.at {
		return
	}
	b.at = percent
	const width = 30
	full := int(percent) * width / 100
	fmt.Fprintf(b.out, "\r%s [%s%s] %3d%%", b.what, strings.Repeat("#", full), strings.Repeat("-", width-full), percent)
}

func (b *bar) end() {
	if b.at >= 0 {
		fmt.Fprint(b.out, "\r", strings.Repeat(" ", len(b.what)+40), "\r")
	}
}

// stepsFrom is how many things take long.
const stepsFrom = 1000

// steps shows how far something is, on a terminal and where it takes long.
func (c *console) steps(what string) (step func(done, total uint64), end func()) {
	if !bars(c) {
		return nil, func() {}
	}
	b := &bar{out: c.err, what: what, at: -1}
	return func(done, total uint64) {
		if total >= stepsFrom {
			b.total = int64(total)
			b.step(int64(done))
		}
	}, b.end
}

// flags are those that every command has.
type flags struct {
	json, yes, noInput, quiet bool
	plain                     bool // line by line
	profile, ledger           string
	acceptClock               bool // of the commands that write
	passphraseFD              int  // -1 if not given
}
