package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/crash"
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
	rows  []func() *View // what the numbers lead to that were said
	from  int            // portion that was said of the page begins with this row
	more  bool           // there are rows behind it
	said  string         // search
}

// say shows the screen line by line, as Show does otherwise.
func (s *Screen) say(ctx context.Context, in io.Reader, out *os.File, at int) (int, error) {
	p := &spoken{Screen: s, in: in, out: out, at: at, stack: []*View{s.Places[at].View}}
	err := p.run(ctx)
	return p.at, err
}

func (p *spoken) run(ctx context.Context) error {
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
	asked := p.now()
	if p.Forget != nil {
		defer time.AfterFunc(p.Idle, func() {
			defer crash.Report()
			p.Forget()
		}).Stop()
	}
	line, err := readLine(ctx, p.in)
	if ctx.Err() == nil && errors.Is(err, ErrCanceled) { // the input has ended
		line, err = "quit", nil
	}
	if p.now().Sub(asked) >= p.Idle {
		return "", ErrLock
	}
	return line, err
}

// load loads the page that is meant, and says it.
func (p *spoken) load(ctx context.Context) error {
	v := p.stack[len(p.stack)-1]
	page := &Page{Title: v.Title}
	if v.Load == nil {
		page = v.Known()
	} else if loaded, err := v.Load(ctx, true); err != nil {
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
	found := lay(p.page, max(1, cli.Width(p.out)), p.said)
	for i := range found.pieces {
		if piece := &found.pieces[i]; piece.table != nil {
			p.tellTable(&b, piece)
		} else {
			b.WriteString(cli.Wrap(p.page.Sections[i].Text, cli.Prose(p.out)) + "\n")
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
			of, id := t.Of, t.ID(row)
			p.rows = append(p.rows, func() *View { return p.Open(of, id) })
			number = strconv.Itoa(len(p.rows))
		}
		numbered.Below[len(numbered.Rows)] = t.Below[row]
		numbered.Add(append([]string{number}, t.Rows[row]...)...)
	}
	if len(numbered.Rows) == 0 {
		b.WriteString("None.\n")
		return
	}
	numbered.Write(b, cli.Width(p.out)) // a builder takes all
}

// verbs are the words that are no places.
var verbs = []struct{ word, does string }{
	{"back", "to the page before"},
	{"again", "look again"},
	{"more", "the next rows"},
	{"lock", "the key leaves memory, and is asked for again"},
	{"quit", "end"},
}

// answer does what a line says; end reports that the screen is to end.
func (p *spoken) answer(ctx context.Context, line string) (end bool, err error) {
	if number, err := strconv.Atoi(line); err == nil {
		if number < 1 || number > len(p.rows) {
			return false, p.reply(fmt.Sprintf("There is no row %s.", cli.Clean(line)))
		}
		v := p.rows[number-1]()
		if v == nil {
			return false, p.reply("It leads to nothing.")
		}
		p.stack = append(p.stack, v)
		return false, p.load(ctx)
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
	for _, v := range verbs {
		words = append(words, v.word)
	}
	var meant []string
	for _, word := range words {
		if strings.HasPrefix(word, text.Fold(line)) {
			meant = append(meant, word)
		}
	}
	switch len(meant) {
	case 0:
		return false, p.reply("That is nothing that can be done here: ? lists what can.")
	case 1:
		return p.do(ctx, meant[0])
	}
	return false, p.reply("Which is meant: " + strings.Join(meant, ", ") + "?")
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
	for _, v := range verbs {
		rows.Add(v.word, v.does)
	}
	return rows.Text("  ") + "Of a word its beginning will do. " + fmt.Sprintf("After %s without one the screen locks.", inMinutes(p.Idle))
}

func (p *spoken) reply(text string) error {
	_, err := io.WriteString(p.out, cli.Wrap(text, cli.Prose(p.out))+"\n")
	return err
}
