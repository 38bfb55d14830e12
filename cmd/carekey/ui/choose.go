package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
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
// returns their indices in ascending order, at least one. Arrows move, space marks
// (with multi), what is typed filters by label and detail, enter takes.
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
	return end.chosen(), nil
}

// chooseModel is the list of Choose.
type chooseModel struct {
	title string
	items []Item // cleaned
	multi bool
	style style

	filter string
	shown  []int // indices of the items that pass the filter
	cursor int   // index in shown
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

func (m chooseModel) key(key tea.KeyMsg, w window) (chooseModel, bool) {
	m.hint = ""
	last := max(0, len(m.shown)-1)
	switch key.Type {
	case tea.KeyUp:
		m.cursor = max(0, m.cursor-1)
	case tea.KeyDown:
		m.cursor = min(last, m.cursor+1)
	case tea.KeyPgUp:
		m.cursor = max(0, m.cursor-m.room(w))
	case tea.KeyPgDown:
		m.cursor = min(last, m.cursor+m.room(w))
	case tea.KeyHome:
		m.cursor = 0
	case tea.KeyEnd:
		m.cursor = last
	case tea.KeyEnter:
		switch {
		case m.multi && len(m.marked) == 0:
			m.hint = "nothing is marked yet: mark with space"
		case !m.multi && len(m.shown) == 0:
			m.hint = "nothing matches the filter"
		default:
			return m, true
		}
	default:
		switch filter := edited(m.filter, key, 64, visible); {
		case m.multi && key.Type == tea.KeySpace:
			return m.mark(), false
		case filter != m.filter:
			return m.filtered(filter), false
		}
	}
	return m, false
}

// mark marks what is under the cursor, or takes the mark from it.
func (m chooseModel) mark() chooseModel {
	if len(m.shown) == 0 {
		return m
	}
	m.marked = maps.Clone(m.marked) // a model that was returned earlier must not change
	if i := m.shown[m.cursor]; m.marked[i] {
		delete(m.marked, i)
	} else {
		m.marked[i] = true
	}
	return m
}

// filtered shows the items that contain the filter's text.
func (m chooseModel) filtered(filter string) chooseModel {
	m.filter, m.cursor, m.shown = filter, 0, nil
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
func (m chooseModel) room(w window) int {
	taken := len(Wrap(m.title, w.width)) + 5
	if m.filter != "" {
		taken++
	}
	return max(1, w.height-taken)
}

// chosen is what enter takes, in ascending order.
func (m chooseModel) chosen() []int {
	if !m.multi {
		return []int{m.shown[m.cursor]}
	}
	return slices.Sorted(maps.Keys(m.marked))
}

func (m chooseModel) view(w window, end ending) string {
	if end != going {
		return joinLines(Wrap(m.title+" "+m.summary(end), w.width)) + "\n"
	}
	var lines []string
	for _, line := range Wrap(m.title, w.width) {
		lines = append(lines, m.style.bold(line))
	}
	if m.filter != "" {
		lines = append(lines, fit("filter: "+m.filter+"_", w.width))
	}
	lines = append(append(lines, ""), m.list(w)...)
	return joinLines(append(lines, "", m.foot(w)))
}

// list is the visible part of the items.
func (m chooseModel) list(w window) []string {
	if len(m.shown) == 0 {
		return []string{"  nothing matches"}
	}
	widest, detail := 0, 0
	for _, i := range m.shown {
		widest, detail = max(widest, cli.Columns(m.items[i].Label)), max(detail, cli.Columns(m.items[i].Detail))
	}
	taken := len("> [ ] ") + len(gap)
	widest = min(widest, max(8, min(40, w.width/2), w.width-taken-detail)) // what details leave, or half of it

	var lines []string
	room := m.room(w)
	top := max(0, min(m.cursor-room/2, len(m.shown)-room))
	end := min(len(m.shown), top+room)
	if top > 0 {
		lines = append(lines, m.style.faint(fit(fmt.Sprintf("  %d more above", top), w.width)))
	}
	for at := top; at < end; at++ {
		item := m.items[m.shown[at]]
		line := item.Label
		if item.Detail != "" {
			line = pad(fit(line, widest), widest) + gap + item.Detail
		}
		if m.multi {
			mark := "[ ] "
			if m.marked[m.shown[at]] {
				mark = "[x] "
			}
			line = mark + line
		}
		line = fit(line, max(1, w.width-2))
		if at == m.cursor {
			lines = append(lines, fit("> "+m.style.current(line), w.width))
		} else {
			lines = append(lines, fit("  "+line, w.width))
		}
	}
	if below := len(m.shown) - end; below > 0 {
		lines = append(lines, m.style.faint(fit(fmt.Sprintf("  %d more below", below), w.width)))
	}
	return lines
}

func (m chooseModel) foot(w window) string {
	switch {
	case m.hint != "":
		return m.style.danger(fit(m.hint, w.width))
	case m.multi:
		take := fmt.Sprintf("enter: take %d", len(m.marked))
		return m.style.keysLine(w.width, "space: mark    "+take+"    type to filter    esc: stop", "space  enter  esc")
	default:
		return m.style.keysLine(w.width, "enter: take    type to filter    esc: stop", "enter: take  esc: stop")
	}
}

// summary is what stays on the screen.
func (m chooseModel) summary(end ending) string {
	if end != answered {
		return "(no answer)"
	}
	var labels []string
	for _, i := range m.chosen() {
		labels = append(labels, m.items[i].Label)
	}
	return strings.Join(labels, ", ")
}

// chooseLine is Choose on a plain terminal: numbers, and ranges with multi.
func chooseLine(ctx context.Context, in io.Reader, out io.Writer, title string, items []Item, multi bool) ([]int, error) {
	t := Table{Columns: []Column{Key(""), Title(""), Text("")}}
	for i, item := range items {
		t.Add(fmt.Sprintf("%3d", i+1), item.Label, item.Detail)
	}
	var list strings.Builder
	t.Write(&list, 0) // a builder takes all
	if _, err := io.WriteString(out, cli.Wrap(cli.Clean(title)+"\n"+list.String(), cli.Prose(out))); err != nil {
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
	var indices []int
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
			indices = append(indices, i-1)
		}
	}
	slices.Sort(indices)
	return slices.Compact(indices)
}
