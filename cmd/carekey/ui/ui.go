// Package ui is carekey's side of the terminal: screens and prompts that a
// person answers.
//
// The rules of the terminal:
//
//   - Nothing here decides anything. A function shows, asks and returns the
//     answer; words for errors are elsewhere.
//   - Talk and prompts go to the out that the caller names, standard error as a
//     rule, so that standard output carries data only.
//   - Only [Terminal] says whether somebody can be asked. Without a terminal
//     every prompt returns [ErrNoTerminal] and has written nothing.
//   - On a terminal that understands escape sequences prompts and screens are Bubble
//     Tea programs; with TERM=dumb or [EnvPlain] they are lines, without any escape
//     sequence, of which none is ever drawn again.
//   - NO_COLOR (https://no-color.org) turns every attribute off. Nothing is said
//     by colour alone.
//   - The 24 words are only ever drawn in the alternate screen, never beyond its
//     size, and are wiped from it before it is left.
//   - Text that came from others (names, titles, reasons, messages of other
//     programs) goes through [cli.Clean], [cli.CleanText] or [cli.CleanWriter].
package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/term"

	_ "github.com/carekey/carekey/cmd/carekey/ui/quiet" // before Bubble Tea
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/fault"
)

// ErrNoTerminal: a prompt was called for and there is nobody to ask.
var ErrNoTerminal = errors.New("no terminal to ask on")

const (
	// ErrPlainTerminal: the terminal cannot show something and take it back.
	// Only Words returns it.
	ErrPlainTerminal fault.Code = "plain-terminal"

	// ErrCanceled: the person left the prompt without an answer (escape,
	// control-C, end of input), or it was taken away by a signal or by the end
	// of the context. In the last case the context's cause is wrapped too.
	ErrCanceled fault.Code = "interrupted/prompt"
)

// Terminal reports whether both files are terminals, so that a person can be
// asked on them.
func Terminal(in, out *os.File) bool {
	return in != nil && out != nil && term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd()))
}

// EnvPlain is the variable that asks for lines in place of screens, if it is 1: for people
// who hear what is on them.
const EnvPlain = "CAREKEY_PLAIN"

// plain reports whether the terminal is to get no escape sequences. Windows sets no
// TERM and needs none.
func plain() bool {
	t := os.Getenv("TERM")
	return os.Getenv(EnvPlain) == "1" || t == "dumb" || t == "" && runtime.GOOS != "windows"
}

// ending is how a prompt ended, if it has.
type ending int

const (
	going ending = iota
	answered
	left // without an answer
)

// window is the size of the terminal in characters.
type window struct{ width, height int }

// asking is what one prompt shows and does with keys. All else is the same for every one.
type asking[P any] interface {
	// key returns what becomes of the prompt, and whether it has its answer.
	key(key tea.KeyMsg, w window) (P, bool)
	// view is what is on the screen; after the end, what stays there.
	view(w window, end ending) string
}

// prompt is a prompt as Bubble Tea takes it. Nothing is shown, and no key is taken, before
// the size of the window is known.
type prompt[P asking[P]] struct {
	of P
	window
	end ending
}

func (m prompt[P]) Init() tea.Cmd { return nil }

func (m prompt[P]) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.window = window{msg.Width, msg.Height}
		if m.width <= 0 || m.height <= 0 { // a line that does not know its size
			m.window = window{80, 24}
		}
	case tea.KeyMsg:
		switch done := false; {
		case m.end != going:
			return m, nil
		case msg.Type == tea.KeyEsc || msg.Type == tea.KeyCtrlC:
			m.end = left
		case m.width > 0:
			if m.of, done = m.of.key(msg, m.window); done {
				m.end = answered
			}
		}
		if m.end != going {
			return m, tea.Quit
		}
	}
	return m, nil
}

func (m prompt[P]) View() string {
	if m.width == 0 {
		return ""
	}
	return m.of.view(m.window, m.end)
}

// edited is a line after a key was pressed: at most so many bytes, of the characters that
// keep does not map to -1.
func edited(line string, key tea.KeyMsg, most int, keep func(rune) rune) string {
	switch key.Type {
	case tea.KeyBackspace:
		_, n := utf8.DecodeLastRuneInString(line)
		return line[:len(line)-n]
	case tea.KeyCtrlU:
		return ""
	case tea.KeyRunes, tea.KeySpace:
		if t := line + strings.Map(keep, string(key.Runes)); len(t) <= most {
			return t
		}
	}
	return line
}

// visible keeps what can be seen.
func visible(r rune) rune {
	if r == ' ' || cli.Visible(r) {
		return r
	}
	return -1
}

// run shows a prompt until it has its answer; without one the error is an ErrCanceled.
// out is what is written to; it differs from the terminal itself for a screen that
// cleans up after itself.
//
// The end of ctx and the signals that end a program become a control-C: Bubble Tea's own
// ways out do not wait for its reader, which may then still hold the terminal. Nor is a
// panic Bubble Tea's: it would print the value and the arguments of functions. The
// terminal is put right, and the panic goes on.
func run[P asking[P]](ctx context.Context, in *os.File, out io.Writer, of P, options ...tea.ProgramOption) (P, error) {
	model, err := drive(ctx, in, out, prompt[P]{of: of}, options...)
	if err != nil {
		return of, err
	}
	end := model.(prompt[P])
	if end.end != answered {
		return end.of, ErrCanceled
	}
	return end.of, nil
}

// drive is run for any model, and returns it as it ended.
func drive(ctx context.Context, in *os.File, out io.Writer, model tea.Model, options ...tea.ProgramOption) (tea.Model, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if ctx.Err() != nil {
		return model, canceled(ctx)
	}
	options = append(options, tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler(), tea.WithoutCatchPanics())
	p := tea.NewProgram(model, options...)
	running.Store(p)
	defer running.Store(nil)
	defer func() {
		if r := recover(); r != nil {
			p.ReleaseTerminal()
			panic(r)
		}
	}()
	defer context.AfterFunc(ctx, func() { p.Send(tea.KeyMsg{Type: tea.KeyCtrlC}) })()
	model, err := p.Run()
	if ctx.Err() != nil {
		return model, canceled(ctx)
	}
	return model, err
}

// running is what has the terminal now; nil if nothing has.
var running atomic.Pointer[tea.Program]

// PutRight leaves the terminal as it was, for a program that ends while a prompt or a screen
// has it: what is done beside those may crash, and they themselves do not come back then.
func PutRight() {
	if p := running.Swap(nil); p != nil {
		p.ReleaseTerminal()
	}
	if restore := hushed.Swap(nil); restore != nil {
		(*restore)()
	}
}

func canceled(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrCanceled, context.Cause(ctx))
}
