package ui

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a view with testdata/NAME.golden. A line feed is added, since
// a view has none at its end.
func golden(t *testing.T, name, view string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	got := view + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew); got:\n%s", path, got)
	}
}

// keys are the names used in tests; any other text is typed.
var keys = map[string]tea.KeyMsg{
	"enter": {Type: tea.KeyEnter}, "esc": {Type: tea.KeyEsc}, "ctrl+c": {Type: tea.KeyCtrlC},
	"up": {Type: tea.KeyUp}, "down": {Type: tea.KeyDown}, "left": {Type: tea.KeyLeft},
	"right": {Type: tea.KeyRight}, "pgup": {Type: tea.KeyPgUp}, "pgdown": {Type: tea.KeyPgDown},
	"home": {Type: tea.KeyHome}, "end": {Type: tea.KeyEnd}, "tab": {Type: tea.KeyTab},
	"backspace": {Type: tea.KeyBackspace}, "ctrl+u": {Type: tea.KeyCtrlU},
	"space": {Type: tea.KeySpace, Runes: []rune{' '}},
}

// press sends keys to a model and reports whether the last one made it quit.
func press[M tea.Model](m M, names ...string) (_ M, quit bool) {
	for _, name := range names {
		if key, ok := keys[name]; ok {
			m, quit = send(m, key)
			continue
		}
		for _, r := range name {
			m, quit = send(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}})
		}
	}
	return m, quit
}

func send[M tea.Model](m M, msg tea.Msg) (M, bool) {
	next, cmd := m.Update(msg)
	quit := false
	if cmd != nil {
		_, quit = cmd().(tea.QuitMsg)
	}
	return next.(M), quit
}

func size[M tea.Model](m M, width, height int) M {
	m, _ = send(m, tea.WindowSizeMsg{Width: width, Height: height})
	return m
}

// withoutStyle removes the attributes that style writes.
func withoutStyle(s string) string {
	for {
		from := strings.Index(s, "\x1b[")
		if from < 0 {
			return s
		}
		s = s[:from] + s[from+strings.IndexByte(s[from:], 'm')+1:]
	}
}

func TestStyleChangesNoText(t *testing.T) {
	for _, s := range []style{false, true} {
		views := []string{
			size(showing(numbered, firstAndLast, s), 80, 24).View(),
			size(showing(numbered, firstAndLast, s), 40, 16).View(),
			size(confirming("Grant this?", "", s), 80, 24).View(),
			size(confirming("Remove this?", "yes", s), 80, 24).View(),
			size(choosing("Which?", fruit, true, s), 80, 24).View(),
		}
		for i, view := range views {
			if got := strings.Contains(view, "\x1b"); got != bool(s) {
				t.Errorf("view %d with style %v: escape sequence present is %v", i, s, got)
			}
			views[i] = withoutStyle(view)
		}
		golden(t, "all", strings.Join(views, "\n----\n"))
	}
}
