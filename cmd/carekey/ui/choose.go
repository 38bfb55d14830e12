package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/text"
	tea "github.com/charmbracelet/bubbletea"
)

// Item is one thing to choose. Both texts pass through cli.Clean.
type Item struct {
	Label  string
	Detail string // shown after the label; may be empty
}

// ErrNoItems says that Choose was given nothing to choose from.
var ErrNoItems = errors.New("nothing to choose from")

// Choose lets the person take one item, or with multi set one or more, and
// returns their indices in ascending order, at least one. Arrows or j and k
// move, space marks (with multi), / filters by label and detail, enter takes.
// Marks stay when a filter hides them; their number is always shown.
func Choose(ctx context.Context, in, out *os.File, title string, items []Item, multi bool) ([]int, error) {
	if !Terminal(in, out) {
		return nil, ErrNoTerminal
	}
	if len(items) == 0 {
		return nil, ErrNoItems
	}
	if plain() {
		return chooseLine(ctx, in, out, title, items, multi)
	}
	end, err := run(ctx, in, out, newChoose(title, items, multi, styled()))
	if err != nil {
		return nil, err
	}
	if end.stage != chooseDone {
		return nil, ErrCanceled
	}
	return end.chosen(), nil
}

type chooseStage int

const (
	choosePick   chooseStage = iota
	chooseFilter             // the filter is being typed
	chooseDone
	chooseCanceled
)

// chooseModel is the list of Choose.
type chooseModel struct {
	title         string
	items         []Item // cleaned
	multi         bool
	style         style
	width, height int // 0 until known

	stage  chooseStage
	filter string
	shown  []int // indices of the items that pass the filter
	cursor int   // index in shown
	top    int   // first of shown on the screen
	marked map[int]bool
	hint   string
}

func newChoose(title string, items []Item, multi bool, s style) chooseModel {
	m := chooseModel{title: cli.Clean(title), multi: multi, style: s, marked: map[int]bool{}}
	for _, item := range items {
		m.items = append(m.items, Item{Label: cli.Clean(item.Label), Detail: cli.Clean(item.Detail)})
	}
	return m.filtered("")
}

func (m chooseModel) Init() tea.Cmd { return nil }

func (m chooseModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyMsg:
		m.hint = ""
		switch {
		case m.stage >= chooseDone:
		case msg.Type == tea.KeyCtrlC:
			m.stage = chooseCanceled
			return m, tea.Quit
		case m.stage == chooseFilter:
			m = m.typing(msg)
		case !msg.Paste:
			var cmd tea.Cmd
			m, cmd = m.picking(msg)
			return m.scrolled(), cmd
		}
	}
	return m.scrolled(), nil
}

// picking handles a key while the list has the keyboard.
func (m chooseModel) picking(key tea.KeyMsg) (chooseModel, tea.Cmd) {
	last := max(0, len(m.shown)-1)
	switch key.String() {
	case "esc":
		if m.filter != "" {
			return m.filtered(""), nil
		}
		m.stage = chooseCanceled
		return m, tea.Quit
	case "up", "k":
		m.cursor = max(0, m.cursor-1)
	case "down", "j":
		m.cursor = min(last, m.cursor+1)
	case "pgup":
		m.cursor = max(0, m.cursor-m.room())
	case "pgdown":
		m.cursor = min(last, m.cursor+m.room())
	case "home", "g":
		m.cursor = 0
	case "end", "G":
		m.cursor = last
	case "/":
		m.stage = chooseFilter
	case " ":
		if m.multi && len(m.shown) > 0 {
			// A copy: a model that was returned earlier must not change.
			marked := map[int]bool{m.shown[m.cursor]: !m.marked[m.shown[m.cursor]]}
			for i, on := range m.marked {
				if i != m.shown[m.cursor] {
					marked[i] = on
				}
			}
			m.marked = marked
		}
	case "enter":
		switch {
		case m.multi && m.count() == 0:
			m.hint = "nothing is marked yet: mark with space"
		case !m.multi && len(m.shown) == 0:
			m.hint = "nothing matches the filter"
		default:
			m.stage = chooseDone
			return m, tea.Quit
		}
	}
	return m, nil
}

// typing handles a key while the filter has the keyboard.
func (m chooseModel) typing(key tea.KeyMsg) chooseModel {
	switch key.Type {
	case tea.KeyEsc:
		m.stage = choosePick
		return m.filtered("")
	case tea.KeyEnter, tea.KeyUp, tea.KeyDown:
		m.stage = choosePick
	case tea.KeyCtrlU:
		return m.filtered("")
	case tea.KeyBackspace:
		if m.filter == "" {
			m.stage = choosePick
			return m
		}
		r := []rune(m.filter)
		return m.filtered(string(r[:len(r)-1]))
	case tea.KeyRunes, tea.KeySpace:
		if t := cli.Clean(string(key.Runes)); len(m.filter)+len(t) <= 64 {
			return m.filtered(m.filter + t)
		}
	}
	return m
}

// filtered shows the items that contain the filter's text.
func (m chooseModel) filtered(filter string) chooseModel {
	m.filter, m.cursor, m.top, m.shown = filter, 0, 0, nil
	want := text.Fold(filter)
	for i, item := range m.items {
		if strings.Contains(text.Fold(item.Label+" "+item.Detail), want) {
			m.shown = append(m.shown, i)
		}
	}
	return m
}

// room is how many items the screen has lines for: the title, an empty line,
// up to two lines of "more", an empty line and the keys are taken.
func (m chooseModel) room() int {
	height := m.height
	if height <= 0 {
		height = 24
	}
	taken := len(wrap(m.title, m.width)) + 5
	if m.filter != "" || m.stage == chooseFilter {
		taken++
	}
	return max(1, height-taken)
}

// scrolled moves the visible part so that the cursor is in it.
func (m chooseModel) scrolled() chooseModel {
	room := m.room()
	m.top = min(m.top, m.cursor)
	m.top = max(m.top, m.cursor-room+1)
	m.top = max(0, min(m.top, len(m.shown)-room))
	return m
}

func (m chooseModel) count() int {
	n := 0
	for _, on := range m.marked {
		if on {
			n++
		}
	}
	return n
}

// chosen is what enter takes, in ascending order.
func (m chooseModel) chosen() []int {
	if !m.multi {
		return []int{m.shown[m.cursor]}
	}
	var indices []int
	for i := range m.items {
		if m.marked[i] {
			indices = append(indices, i)
		}
	}
	return indices
}

func (m chooseModel) View() string {
	if m.stage >= chooseDone {
		return m.summary()
	}
	var lines []string
	for _, line := range wrap(m.title, m.width) {
		lines = append(lines, m.style.bold(line))
	}
	if m.stage == chooseFilter {
		lines = append(lines, fit("filter: "+m.filter+"_", m.width))
	} else if m.filter != "" {
		lines = append(lines, fit("filter: "+m.filter, m.width))
	}
	lines = append(lines, "")
	lines = append(lines, m.list()...)
	lines = append(lines, "", m.foot())
	return strings.Join(lines, "\n")
}

// list is the visible part of the items.
func (m chooseModel) list() []string {
	if len(m.shown) == 0 {
		return []string{"  nothing matches"}
	}
	widest := 0
	for _, i := range m.shown {
		widest = max(widest, columns(m.items[i].Label))
	}
	widest = min(widest, 40)
	if m.width > 0 {
		widest = min(widest, max(minimum, m.width/2)) // leaves room for details
	}

	var lines []string
	end := min(len(m.shown), m.top+m.room())
	if m.top > 0 {
		lines = append(lines, m.style.faint(fmt.Sprintf("  %d more above", m.top)))
	}
	for at := m.top; at < end; at++ {
		item := m.items[m.shown[at]]
		line := item.Label
		if item.Detail != "" {
			line = pad(truncate(line, widest), widest) + gap + item.Detail
		}
		if m.multi {
			mark := "[ ] "
			if m.marked[m.shown[at]] {
				mark = "[x] "
			}
			line = mark + line
		}
		line = fit(line, max(0, m.width-2))
		if at == m.cursor {
			lines = append(lines, "> "+m.style.current(line))
		} else {
			lines = append(lines, "  "+line)
		}
	}
	if below := len(m.shown) - end; below > 0 {
		lines = append(lines, m.style.faint(fmt.Sprintf("  %d more below", below)))
	}
	return lines
}

func (m chooseModel) foot() string {
	switch {
	case m.hint != "":
		return m.style.danger(fit(m.hint, m.width))
	case m.stage == chooseFilter:
		return m.style.keysLine(m.width, "type to filter    enter: back to the list    esc: no filter", "enter  esc: no filter")
	case m.multi:
		take := fmt.Sprintf("enter: take %d", m.count())
		return m.style.keysLine(m.width, "space: mark    "+take+"    /: filter    esc: stop", "space  "+take+"  esc")
	default:
		return m.style.keysLine(m.width, "enter: take    /: filter    esc: stop", "enter: take  esc: stop")
	}
}

// summary is what stays on the screen.
func (m chooseModel) summary() string {
	text := "(no answer)"
	if m.stage == chooseDone {
		var labels []string
		for _, i := range m.chosen() {
			labels = append(labels, m.items[i].Label)
		}
		text = strings.Join(labels, ", ")
	}
	return strings.Join(wrap(m.title+" "+text, m.width), "\n") + "\n"
}

// chooseLine is Choose on a plain terminal: numbers, and ranges with multi.
func chooseLine(ctx context.Context, in io.Reader, out io.Writer, title string, items []Item, multi bool) ([]int, error) {
	t := Table{}
	for i, item := range items {
		t.Add(fmt.Sprintf("%3d", i+1), item.Label, item.Detail)
	}
	if _, err := fmt.Fprintln(out, cli.Clean(title)); err != nil {
		return nil, err
	}
	if err := t.Write(out, 0); err != nil {
		return nil, err
	}
	question := "number (nothing: stop): "
	if multi {
		question = "numbers, as in 1 3 5-7 (nothing: stop): "
	}
	for {
		if _, err := io.WriteString(out, question); err != nil {
			return nil, err
		}
		line, err := readLine(ctx, in)
		if err != nil {
			return nil, err
		}
		if line == "" {
			return nil, ErrCanceled
		}
		indices := parseNumbers(line, len(items))
		if len(indices) == 1 || multi && len(indices) > 1 {
			return indices, nil
		}
	}
}

// parseNumbers reads numbers from 1 to n and ranges of them, separated by
// spaces or commas, and returns the indices in order; nil if anything is not.
func parseNumbers(line string, n int) []int {
	wanted := make([]bool, n)
	for _, field := range strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		from, to, isRange := strings.Cut(field, "-")
		if !isRange {
			to = from
		}
		a, errA := strconv.Atoi(from)
		b, errB := strconv.Atoi(to)
		if errA != nil || errB != nil || a < 1 || b > n || a > b {
			return nil
		}
		for i := a; i <= b; i++ {
			wanted[i-1] = true
		}
	}
	var indices []int
	for i, on := range wanted {
		if on {
			indices = append(indices, i)
		}
	}
	return indices
}
