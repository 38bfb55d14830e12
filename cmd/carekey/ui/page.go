package ui

import "github.com/carekey/carekey/cmd/cli"

// Page is a screen as data: what stands on it, in the order in which it was said. It may be
// made in any goroutine; who has handed it on changes it no more.
type Page struct {
	Title    string    // cleaned when it is drawn
	AsOf     string    // when what is on it was so, in words; "": now
	Sections []Section // texts and tables, never two texts one behind the other
}

// Section is a piece of a page: a table, lines that are laid out for a width, or a text.
type Section struct {
	Text  string // cleaned, of any number of lines, which have any width
	Table *Table
	Laid  func(width, height int) []string // cleaned; what is wider is cut; height is how many lines are seen at once, 0 where no picture is: line by line

	ready *prepared // the table
}

// Say puts a text onto the page, on lines of its own: a line feed at its end makes an empty
// one. It passes through cli.CleanText.
func (p *Page) Say(text string) {
	text = cli.CleanText(text)
	if n := len(p.Sections); n > 0 && p.Sections[n-1].Table == nil && p.Sections[n-1].Laid == nil {
		p.Sections[n-1].Text += "\n" + text
		return
	}
	p.Sections = append(p.Sections, Section{Text: text})
}

// LayOut puts lines onto the page that are made for the room that there is, each time that this
// changes.
func (p *Page) LayOut(lines func(width, height int) []string) {
	p.Sections = append(p.Sections, Section{Laid: lines})
}

// Fail puts what is wrong with the page before all that is on it.
func (p *Page) Fail(text string) {
	first := Page{}
	first.Say(text + "\n")
	p.Sections = append(first.Sections, p.Sections...)
}

// Show puts a table onto the page. One without rows is left out.
func (p *Page) Show(t *Table) {
	if len(t.Rows) > 0 {
		p.Sections = append(p.Sections, Section{Table: t, ready: &prepared{Table: t}})
	}
}
