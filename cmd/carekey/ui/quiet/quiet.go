// Package quiet keeps Bubble Tea's start from talking to the terminal.
//
// Bubble Tea v1 asks the terminal for its background colour when the program
// starts, whatever the program was started for: it writes an escape sequence to
// standard output, swallows what was typed meanwhile, and waits up to five
// seconds for a terminal that does not answer. We use no colour that depends on
// the background, so the answer is given here.
//
// This must happen before Bubble Tea is initialised. The language
// specification says how: packages are initialised in the order of their import
// paths as soon as what they import is ready, and "github.com/carekey" sorts
// before "github.com/charmbracelet/bubbletea". A test starts a program on a
// pseudo-terminal and sees that it stays silent.
package quiet

import "github.com/charmbracelet/lipgloss"

var _ = answer()

func answer() bool {
	lipgloss.SetHasDarkBackground(true)
	return true
}
