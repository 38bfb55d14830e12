package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/text"
)

// portion is how many rows of each table are said at once.
const portion = 50

// spoken is the screen line by line, for terminals that cannot be drawn on and for people who
// hear what is on them: each page is said once, and then what comes next is asked.
type spoken struct {
	*Screen
	in    io.Reader
	out   *os.File
	at    int
	stack []*View
	page  *Page
	rows  []named // that the numbers are of which were said
	from  int     // portion that was said of the page begins with this row
	more  bool    // there are rows behind it
	said  string  // search
}

// say shows the screen line by line, as Show does otherwise.
func (s *Screen) say(ctx context.Context, in io.Reader, out *os.File, at int) (int, error) {
	p := &spoken{Screen: s, in: in, out: out, at: at, stack: []*View{s.Places[at].View}}
	err := p.run(ctx)
	return p.at, err
}

func (p *spoken) run(ctx context.Context) error {
	if err := p.reply("Page by page, line by line: what is said stays in this terminal. Asking ..."); err != nil {
		return err
	}
	if err := p.load(ctx); err != nil {
		return err
	}
	for {
		line, err := p.ask(ctx)
		if err != nil {
			return err
		}
		end, err := p.answer(ctx, line)
		if end || err != nil {
			return err
		}
	}
}

// ask asks what comes next. Who answers after a time without a word is not who was there.
func (p *spoken) ask(ctx context.Context) (string, error) {
	if _, err := io.WriteString(p.out, "What next (? lists it): "); err != nil {
		return "", err
	}
	line := ""
	err := p.waits(ctx, func(ctx context.Context) (err error) {
		line, err = readLine(ctx, p.in)
		if ctx.Err() == nil && errors.Is(err, ErrCanceled) { // the input has ended
			line, err = "quit", nil
		}
		return err
	})
	return line, err
}

// waits waits for a person, but not for longer than it takes to lock.
func (p *spoken) waits(ctx context.Context, answer func(context.Context) error) error {
	asked := p.Now()
	ctx, stop := context.WithTimeoutCause(ctx, p.Idle, ErrLock)
	defer stop()
	err := answer(ctx)
	if p.idle(asked) || context.Cause(ctx) == ErrLock {
		return ErrLock
	}
	return err
}

// teller asks a person line by line, after what was said since the last question.
type teller struct {
	*spoken
	on *Page
}

// ask puts a question below what was said.
func (t *teller) ask(ctx context.Context, above string, question func(context.Context) error) error {
	page := &Page{Title: t.on.Title, Sections: t.on.Sections}
	t.on.Sections = nil
	if above = strings.TrimRight(above, "\n"); above != "" {
		page.Say(above)
	}
	if len(page.Sections) > 0 {
		page.prepare()
		t.page, t.said, t.from = page, "", 0
		if err := t.tell(); err != nil {
			return err
		}
	}
	if f, ok := t.in.(*os.File); ok {
		dropTypedAhead(f)
	}
	return t.waits(ctx, question)
}

func (t *teller) Choose(ctx context.Context, title string, items []Item, multi bool) (at []int, err error) {
	if len(items) == 0 {
		return nil, ErrNoItems
	}
	err = t.ask(ctx, "", func(ctx context.Context) (err error) {
		at, err = chooseLine(ctx, t.in, t.out, title, items, multi)
		return err
	})
	return at, err
}

func (t *teller) Confirm(ctx context.Context, preview, rest, question, word string) (bool, error) {
	for text := preview; ; text = rest {
		var end confirmModel
		err := t.ask(ctx, text, func(ctx context.Context) (err error) {
			end, err = confirmLine(ctx, t.in, t.out, question, word, rest != "")
			return err
		})
		if err != nil || !end.list {
			return end.yes, err
		}
	}
}

func (t *teller) Line(ctx context.Context, question string) (line string, err error) {
	err = t.ask(ctx, "", func(ctx context.Context) (err error) {
		if _, err := io.WriteString(t.out, cli.Wrap(cli.CleanText(question), cli.Prose(t.out))+" "); err != nil {
			return err
		}
		line, err = readLine(ctx, t.in)
		return err
	})
	return line, err
}

// load loads the page that is meant, and says it.
func (p *spoken) load(ctx context.Context) error {
	v := p.stack[len(p.stack)-1]
	page := &Page{Title: v.Title}
	if v.Act != nil {
		was, said, from, rows, more := p.page, p.said, p.from, p.rows, p.more // its questions are pages too
		err := v.Act(ctx, page, &teller{p, page})
		p.stack = p.stack[:len(p.stack)-1]
		if back, ok := errors.AsType[Back](err); ok {
			p.page, p.said, p.from, p.rows, p.more = was, said, from, rows, more
			return p.reply(cli.CleanText(string(back)))
		}
		if err != nil {
			return err
		}
		done := &View{Title: v.Title, Known: func() *Page { return page }} // it is not done again, and back leads to the page before it
		p.stack = append(p.stack, done)
	} else if v.Load == nil {
		page = v.Known()
	} else if loaded, err := v.Load(p.stepsSaid(ctx), true); err != nil {
		return err
	} else if loaded != nil {
		page = loaded
	}
	page.prepare()
	p.page, p.said, p.from = page, "", 0
	return p.tell()
}

// tell says the page, or the next portion of it.
func (p *spoken) tell() error {
	var b strings.Builder
	title := cli.Clean(p.page.Title)
	if p.page.AsOf != "" {
		title += " (" + cli.Clean(p.page.AsOf) + ")"
	}
	b.WriteString("\n" + title + "\n\n")
	p.rows, p.more = nil, false
	found := lay(p.page, max(1, cli.Width(p.out)), 0, least, p.said)
	for i := range found.pieces {
		switch piece, s := &found.pieces[i], p.page.Sections[i]; {
		case piece.table != nil:
			p.tellTable(&b, piece)
		case s.Laid != nil:
			b.WriteString(strings.Join(piece.lines, "\n") + "\n")
		default:
			b.WriteString(cli.Wrap(s.Text, cli.Prose(p.out)) + "\n")
		}
	}
	if p.more {
		b.WriteString("There are more: say more.\n")
	}
	b.WriteString("\n")
	_, err := io.WriteString(p.out, b.String())
	return err
}

// tellTable says a portion of a table's rows, with a number before each that leads on.
func (p *spoken) tellTable(b *strings.Builder, piece *piece) {
	t := piece.table.Table
	numbered := Table{Columns: append([]Column{Key("row")}, t.Columns...), Below: map[int]string{}, Cap: t.Cap}
	to := min(len(piece.shown), p.from+portion)
	p.more = p.more || to < len(piece.shown)
	for _, row := range piece.shown[min(p.from, to):to] {
		number := ""
		if t.Of != "" {
			p.rows = append(p.rows, named{t.Of, t.ID(row)})
			number = strconv.Itoa(len(p.rows))
		}
		numbered.Below[len(numbered.Rows)] = t.Below[row]
		numbered.Add(append([]string{number}, t.Rows[row]...)...)
	}
	if len(numbered.Rows) == 0 { // a table without rows is on no page
		says := "None with these words.\n"
		if len(piece.shown) > 0 {
			says = "No more of these.\n"
		}
		b.WriteString(says)
		return
	}
	numbered.Write(b, cli.Width(p.out)) // a builder takes all
}

// verbs are the words that are no places.
var verbs = []struct{ word, does string }{
	{"back", "to the page before"},
	{"again", "look again"},
	{"more", "the next rows"},
	{"lock", "the program begins anew, without the key and what was said"},
	{"quit", "end"},
}

// answer does what a line says; end reports that the screen is to end.
func (p *spoken) answer(ctx context.Context, line string) (end bool, err error) {
	if number, err := strconv.Atoi(line); err == nil {
		if number < 1 || number > len(p.rows) {
			return false, p.reply(fmt.Sprintf("There is no row %s.", cli.Clean(line)))
		}
		row := p.rows[number-1]
		return false, p.push(ctx, p.Open(row.of, row.id))
	}
	if search, ok := strings.CutPrefix(line, "/"); ok {
		p.said, p.from = search, 0
		return false, p.tell()
	}
	switch line {
	case "":
		return false, nil
	case "?":
		return false, p.reply(p.help())
	}
	var words []string
	for _, place := range p.Places {
		words = append(words, strings.ToLower(place.Word))
	}
	for _, k := range p.Keys {
		words = append(words, k.Word)
	}
	for _, v := range verbs {
		words = append(words, v.word)
	}
	word, numbers, _ := strings.Cut(line, " ")
	var meant []string
	for _, said := range words {
		if strings.HasPrefix(said, text.Fold(word)) {
			meant = append(meant, said)
		}
	}
	switch meant = slices.Compact(meant); len(meant) {
	case 0:
		return false, p.reply("That is nothing that can be done here: ? lists what can.")
	case 1:
		if keys := p.called(meant[0]); len(keys) > 0 {
			return false, p.lead(ctx, keys, numbers)
		}
		if numbers == "" {
			return p.do(ctx, meant[0])
		}
		return false, p.reply("No numbers go with " + meant[0] + ".")
	}
	return false, p.reply("Which is meant: " + strings.Join(meant, ", ") + "?")
}

// push goes to a page.
func (p *spoken) push(ctx context.Context, v *View) error {
	if v == nil {
		return p.reply("It leads to nothing.")
	}
	p.stack = append(p.stack, v)
	return p.load(ctx)
}

// called are the keys that have this word: it may be for several things.
func (p *spoken) called(word string) (keys []Lead) {
	for _, k := range p.Keys {
		if k.Word == word {
			keys = append(keys, k)
		}
	}
	return keys
}

// lead goes where a word leads to, with the rows of some numbers, or with what the page is
// about.
func (p *spoken) lead(ctx context.Context, keys []Lead, numbers string) error {
	which := "Say it with the number of a row that it is for, as in " + keys[0].Word + " 1."
	if slices.ContainsFunc(keys, func(k Lead) bool { return k.Many }) {
		which = "Say it with the numbers of rows that it is for, as in " + keys[0].Word + " 1 3-5."
	}
	rows := list(parseNumbers(numbers, len(p.rows)), func(n int) named { return p.rows[n] })
	if v := p.stack[len(p.stack)-1]; numbers == "" && v.ID != "" {
		rows = []named{{v.Of, v.ID}}
	}
	for _, k := range keys {
		other := slices.ContainsFunc(rows, func(r named) bool { return r.of != k.Of })
		if len(rows) > 0 && !other && (len(rows) == 1 || k.Many) {
			return p.push(ctx, k.View(list(rows, func(r named) string { return r.id })))
		}
	}
	return p.reply(which)
}

func list[T, U any](of []T, f func(T) U) []U {
	out := make([]U, len(of))
	for i, x := range of {
		out[i] = f(x)
	}
	return out
}

// do does what a word says.
func (p *spoken) do(ctx context.Context, word string) (end bool, err error) {
	switch word {
	case "quit":
		return true, nil
	case "lock":
		return false, ErrLock
	case "more":
		if !p.more {
			return false, p.reply("There are no more.")
		}
		p.from += portion
		return false, p.tell()
	case "back":
		if len(p.stack) == 1 && p.at == 0 {
			return false, p.reply("There is no page before: quit ends.")
		}
		if p.stack = p.stack[:len(p.stack)-1]; len(p.stack) == 0 {
			p.at, p.stack = 0, []*View{p.Places[0].View}
		}
	case "again":
	default:
		for i, place := range p.Places {
			if strings.ToLower(place.Word) == word {
				p.at, p.stack = i, []*View{place.View}
			}
		}
	}
	return false, p.load(ctx)
}

// help says what can be answered.
func (p *spoken) help() string {
	rows := cli.Rows{{"a number", "open that row"}, {"/words", "only rows with all these words; / alone: all rows"}}
	for _, place := range p.Places {
		rows.Add(strings.ToLower(place.Word), "go there")
	}
	for _, k := range p.Keys {
		rows.Add(k.Word+" and numbers", k.Does)
	}
	for _, v := range verbs {
		rows.Add(v.word, v.does)
	}
	return rows.Text("  ") + "Of a word its beginning will do. " + strings.TrimSpace(fmt.Sprintf("After %s without one the screen locks. %s", inMinutes(p.Idle), p.Locked))
}

func (p *spoken) reply(text string) error {
	_, err := io.WriteString(p.out, cli.Wrap(text, cli.Prose(p.out))+"\n")
	return err
}
