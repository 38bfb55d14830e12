package ui

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/carekey/carekey/crypto/crash"
	tea "github.com/charmbracelet/bubbletea"
)

// Screen is a program of pages: it shows one at a time in the alternate screen, and leads
// from one to the other.
type Screen struct {
	Places []Place                   // those that are a key away, at most nine; it begins at the first
	Open   func(of, id string) *View // what a row leads to; nil: to nothing
	Keys   []Lead                    // what else can be done with rows, and with what a page is about
	Idle   time.Duration             // after so long without a key it locks
	Now    func() time.Time          // the clock
	Locked string                    // what opens it again after it locked, for the help
}

// Lead is a key that leads on from rows, or from what the page is about if the cursor is on no such row.
type Lead struct {
	Key  string                   // one character, which means nothing else
	Word string                   // what it does, in one word in lower case
	Does string                   // the same in a few
	Of   string                   // what it is for, as Table.Of and View.Of say it
	Many bool                     // for several at once: such rows can be marked
	View func(ids []string) *View // where it leads to
}

// Place is a page that can be gone to from everywhere.
type Place struct {
	Word string // one word
	View *View
}

// View is how a page comes to be.
type View struct {
	Title string       // of the page, while nothing of it is known
	Of    string       // what it is about, as Table.Of says it; "": about nothing that a key is for
	ID    string       // which of these
	Known func() *Page // what is known of it without asking anybody, at once; may be nil, and return nil

	// Load makes the page anew, in a goroutine of its own; asked reports whether a person
	// waits for it. Its error ends the screen: what is wrong otherwise is said on the page.
	Load  func(ctx context.Context, asked bool) (*Page, error)
	Every time.Duration // it loads again by itself after this time; 0: never
	AtEnd bool          // it begins at its last row

	// Act, if it is set, is done once in place of Load: what it says goes onto the page, and a
	// person is asked with whom. Of an error that is a Back the page before is shown again, any
	// other one ends the screen.
	Act func(ctx context.Context, on *Page, with Person) error
}

// ErrLock is how a screen ends that locks itself.
var ErrLock = errors.New("locked")

// beat is how often a screen looks at the clock.
const beat = 5 * time.Second

// parting is how long the end waits for what still loads.
const parting = 5 * time.Second

// Show shows the screen until the person ends it: nil, or takes it away, an ErrCanceled. It
// begins at the place at, and returns the one at which it ended. An ErrLock says that nobody
// was there for as long as Idle, or that the person wants it: what was shown is in memory still,
// and a read of the terminal may be, so that the program is to end. Any other error is of a Load.
//
// Everything that was shown is wiped before the alternate screen is left. A terminal without
// escape sequences gets each page line by line, where it stays.
func (s *Screen) Show(ctx context.Context, in, out *os.File, at int) (int, error) {
	if !Terminal(in, out) {
		return at, ErrNoTerminal
	}
	ctx, stop := context.WithCancel(ctx) // of what still loads
	defer stop()
	if plain() {
		return s.say(ctx, in, out, at)
	}
	m := newFrame(ctx, s, at, styled())
	dropTypedAhead(in) // whoever typed it saw no screen
	_, err := drive(ctx, in, &wipingScreen{out}, m, tea.WithAltScreen(), tea.WithMouseCellMotion())
	if err == nil {
		err = m.err
	}
	stop()
	m.finish(out)
	defer m.acting.Unlock()
	loads := make(chan struct{})
	go func() {
		defer crash.Report()
		m.loading.Lock() // none begins any more
		close(loads)
	}()
	select {
	case <-loads:
	case <-time.After(parting): // what only looks may be cut
	}
	return m.at, err
}

// finish waits until what was being done has ended, however that is, and says so where it was
// no question that was left. Nothing is begun after it.
func (m *frame) finish(out io.Writer) {
	if m.acting.TryLock() {
		return
	}
	if m.cut {
		io.WriteString(out, "What was begun is being ended ...\n")
	}
	m.acting.Lock()
}
