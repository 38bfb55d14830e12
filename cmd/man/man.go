// Package man writes manual pages of what a program's help says, one for each of its
// commands and one for each of its guides, in the macros of man(7) as groff and mandoc
// read them. No program links it: pages are written when a release is made, by the
// programs' own tests.
//
// A date and a version are not known here: @DATE@ and @VERSION@ stand in their places.
package man

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Page is one page. Section is 1 for a command and 7 for a guide.
type Page struct {
	Name    string
	Section int
	Text    string // in the macros of man(7)
}

// File is where a page stands below a folder of manuals.
func (p Page) File() string {
	return fmt.Sprintf("man%d/%s.%d", p.Section, p.Name, p.Section)
}

// Write puts pages into their places below a folder, which it makes.
func Write(dir string, pages []Page) error {
	for _, p := range pages {
		path := filepath.Join(dir, filepath.FromSlash(p.File()))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(p.Text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Commands are the pages of a program and of all its commands that its help names. more
// stands at the end of the program's own page, as at the end of its help, and see are the
// guides that it names there.
func Commands(root *cobra.Command, more string, see []Page) []Page {
	root.InitDefaultCompletionCmd()
	var pages []Page
	var add func(c *cobra.Command)
	add = func(c *cobra.Command) {
		page := command(c)
		if c == root {
			page.help(more)
		}
		page.seeAlso(c, see)
		pages = append(pages, Page{name(c), 1, page.String()})
		for _, sub := range shown(c) {
			add(sub)
		}
	}
	add(root)
	return pages
}

// Guide is the page of a guide in plain Markdown: headings, paragraphs, items, tables of two
// columns and indented lines to be typed. plain takes the marks out of words.
func Guide(program, topic, short, markdown string, plain func(string) string) Page {
	title := program + "-" + topic
	page := begin(title, 7, program, short)
	first := true
	for block := range strings.SplitSeq(strings.TrimSpace(markdown), "\n\n") {
		switch heading := strings.TrimLeft(block, "# "); {
		case strings.HasPrefix(block, "#"):
			if !first { // the first is the title, which the page has
				page.section(plain(heading))
			} else {
				page.section("Description")
			}
			first = false
		case strings.HasPrefix(block, "    "):
			page.verbatim(block)
		case strings.HasPrefix(block, "|"):
			for i, line := range strings.Split(block, "\n") {
				if cells := strings.Split(strings.Trim(line, "| "), " | "); i > 1 && len(cells) == 2 { // behind the head and the rule
					page.item(plain(cells[0]), plain(cells[1]))
				}
			}
		default:
			page.paragraph(block, plain)
		}
	}
	return Page{title, 7, page.String()}
}

// Help is the page of a program that has one text for all of its commands.
func Help(program, short, text string) Page {
	page := begin(program, 1, program, short)
	page.section("Description")
	page.help(text)
	return Page{program, 1, page.String()}
}

// name is what a command's page is called.
func name(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// shown are the commands below one that its help lists.
func shown(c *cobra.Command) []*cobra.Command {
	var list []*cobra.Command
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			list = append(list, sub)
		}
	}
	return list
}

// writer makes the text of a page.
type writer struct{ strings.Builder }

func begin(name string, section int, program, short string) *writer {
	w := new(writer)
	fmt.Fprintf(w, ".TH %s %d @DATE@ \"%s @VERSION@\"\n.nh\n.ad l\n", strings.ToUpper(name), section, program)
	w.section("Name")
	fmt.Fprintf(w, "%s \\- %s\n", escaped(name), escaped(short))
	return w
}

// command is the page of one, but for what it has to do with others.
func command(c *cobra.Command) *writer {
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	w := begin(name(c), 1, c.Root().Name(), c.Short)
	w.section("Synopsis")
	if c.Runnable() {
		w.WriteString(typed.Replace(c.UseLine()) + "\n")
	}
	if len(shown(c)) > 0 {
		w.WriteString(".PP\n" + typed.Replace(c.CommandPath()) + " COMMAND\n")
	}
	w.section("Description")
	if c.Long != "" {
		w.help(c.Long)
	} else {
		w.paragraph(c.Short+".", same)
	}
	if len(shown(c)) > 0 {
		w.section("Commands")
		for _, sub := range shown(c) {
			w.item(sub.Name(), sub.Short)
		}
	}
	w.options("Options", c.NonInheritedFlags().FlagUsagesWrapped(0))
	w.options("Options of all commands", c.InheritedFlags().FlagUsagesWrapped(0))
	if c.Example != "" {
		w.section("Examples")
		w.verbatim(c.Example)
	}
	return w
}

func (w *writer) seeAlso(c *cobra.Command, guides []Page) {
	var names []string
	if c.HasParent() {
		names = append(names, name(c.Parent())+"(1)")
	}
	for _, sub := range shown(c) {
		names = append(names, name(sub)+"(1)")
	}
	if !c.HasParent() {
		for _, g := range guides {
			names = append(names, fmt.Sprintf("%s(%d)", g.Name, g.Section))
		}
	}
	w.section("See also")
	w.paragraph(strings.Join(names, ", "), same)
}

func (w *writer) section(title string) {
	fmt.Fprintf(w, ".SH \"%s\"\n", strings.ReplaceAll(escaped(strings.ToUpper(title)), `"`, `\(dq`))
}

func (w *writer) options(title, usages string) {
	if usages = strings.TrimRight(usages, "\n"); usages == "" {
		return
	}
	w.section(title)
	for line := range strings.SplitSeq(usages, "\n") {
		flag, what, _ := strings.Cut(strings.TrimSpace(line), "   ")
		w.item(flag, strings.TrimSpace(what))
	}
}

// item is a word, a flag or the cell of a table, and what it is behind it.
func (w *writer) item(word, what string) {
	fmt.Fprintf(w, ".TP\n%s\n%s\n", control(`\fB`+escaped(word)+`\fR`), control(escaped(what)))
}

var (
	heading    = regexp.MustCompile(`^[A-Z][A-Z]+\b`)
	listed     = regexp.MustCompile(`^(- |\d+\. )`)
	typedLines = regexp.MustCompile(`^\s*carekey[a-z-]* .*(\n\s*carekey[a-z-]* .*)*$`)
	columns    = regexp.MustCompile(`\S {2,}\S`)
)

// help is a text as commands have it: paragraphs, headings in capitals with indented lines
// below, and indented lines that are tables or are to be typed.
func (w *writer) help(text string) {
	for block := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		title, rest, more := strings.Cut(block, "\n")
		switch {
		case more && heading.MatchString(title) && (strings.HasPrefix(rest, "  ") || strings.ToUpper(title) == title):
			w.section(title)
			w.body(strings.TrimRight(rest, "\n"))
		case strings.ToUpper(title) == title && !more && heading.MatchString(title):
			w.section(title)
		default:
			w.body(block)
		}
	}
}

// body is filled where it is prose, and stays as it is where its lines mean something: in
// tables, in what is to be typed, and where they stand deeper than the first.
func (w *writer) body(block string) {
	lines := strings.Split(block, "\n")
	margin := len(lines[0]) - len(strings.TrimLeft(lines[0], " "))
	if margin > 0 && len(lines) == 1 || columns.MatchString(strings.TrimSpace(block)) || typedLines.MatchString(block) && !strings.HasSuffix(block, ".") {
		w.verbatim(block)
		return
	}
	deeper := func(line string) bool { return len(line) > margin && line[margin] == ' ' }
	for len(lines) > 0 {
		n := slices.IndexFunc(lines, func(line string) bool { return deeper(line) != deeper(lines[0]) })
		if n < 0 {
			n = len(lines)
		}
		if run := strings.Join(lines[:n], "\n"); deeper(run) {
			w.verbatim(run)
		} else {
			w.paragraph(run, same)
		}
		lines = lines[n:]
	}
}

func (w *writer) paragraph(block string, plain func(string) string) {
	mark, text := "", ""
	flush := func() {
		if text = strings.TrimSpace(text); text == "" {
			return
		}
		if mark == "" {
			fmt.Fprintf(w, ".PP\n%s\n", control(escaped(plain(text))))
		} else {
			fmt.Fprintf(w, ".IP \"%s\" 4\n%s\n", escaped(strings.TrimSpace(mark)), control(escaped(plain(text))))
		}
	}
	for line := range strings.SplitSeq(block, "\n") {
		line = strings.TrimSpace(line)
		if m := listed.FindString(line); m != "" {
			flush()
			mark, text, line = m, "", line[len(m):]
		}
		text += " " + line
	}
	flush()
}

// verbatim lines are not broken. They stand at the margin: they are made for 80 columns.
func (w *writer) verbatim(block string) {
	w.WriteString(".PP\n.in 2\n.nf\n")
	for line := range strings.SplitSeq(strings.Trim(block, "\n"), "\n") {
		line = strings.TrimRight(strings.ReplaceAll(line, "\t", "    "), " ")
		w.WriteString(control(typed.Replace(line)) + "\n")
	}
	w.WriteString(".fi\n.in\n")
}

// What groff would set as another sign. A hyphen in prose may be one.
var (
	signs = strings.NewReplacer(`\`, `\e`, "--", `\-\-`, "^", `\(ha`, "~", `\(ti`, "`", `\(ga`)
	typed = strings.NewReplacer(`\`, `\e`, "-", `\-`, "^", `\(ha`, "~", `\(ti`, "`", `\(ga`, "'", `\(aq`)
)

func escaped(s string) string { return signs.Replace(s) }

// control keeps a line that begins as a request does from being one.
func control(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}

func same(s string) string { return s }
