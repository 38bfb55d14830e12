package ui

import (
	"os"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/charmbracelet/x/ansi"
)

// style draws attributes, or nothing if it is false. Only the attributes that
// every terminal has and that suit every background are used.
type style bool

// styled is the style for this process's terminal.
func styled() style { return style(os.Getenv("NO_COLOR") == "" && !plain()) }

func (s style) bold(t string) string    { return s.sgr("1", t) }
func (s style) faint(t string) string   { return s.sgr("2", t) }
func (s style) danger(t string) string  { return s.sgr("1;31", t) }
func (s style) current(t string) string { return s.sgr("7", t) }

func (s style) sgr(attribute, t string) string {
	if !s || t == "" {
		return t
	}
	return "\x1b[" + attribute + "m" + t + "\x1b[0m"
}

// fit cuts text to a number of columns.
func fit(t string, width int) string {
	columns := 0
	for i, r := range t { // what is far behind the end is not looked at: attributes are shorter than that
		if columns += cli.Columns(string(r)); columns > width+64 {
			t = t[:i]
			break
		}
	}
	return ansi.Truncate(t, width, "...")
}

// keysLine is the last line of a prompt: the keys, in fewer words where the
// terminal is narrow.
func (s style) keysLine(width int, long, short string) string {
	if cli.Columns(long) > width {
		long = fit(short, width)
	}
	return s.faint(long)
}

// Wrap is cli.Wrap for a screen, into which every line has to fit: what that would let go
// over the end is broken too.
func Wrap(t string, width int) []string {
	lines := strings.Split(cli.Wrap(t, width), "\n")
	for i, l := range lines {
		if cli.Columns(l) > width {
			lines[i] = ansi.Hardwrap(l, width, true)
		}
	}
	return strings.Split(strings.Join(lines, "\n"), "\n")
}
