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
//   - On a terminal that understands escape sequences prompts are Bubble Tea
//     programs; with TERM=dumb they are lines, without any escape sequence.
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
	"syscall"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/term"

	_ "github.com/carekey/carekey/cmd/carekey/ui/quiet" // before Bubble Tea
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

// plain reports whether the terminal takes no escape sequences. Windows sets no
// TERM and needs none.
func plain() bool {
	t := os.Getenv("TERM")
	return t == "dumb" || t == "" && runtime.GOOS != "windows"
}

// run shows the model until it quits. out is what is written to; it differs
// from the terminal itself for a screen that cleans up after itself.
//
// The end of ctx and the signals that end a program become a control-C, which
// every model takes as a cancellation: Bubble Tea's own ways out do not wait for
// its reader, which may then still hold the terminal. Nor is a panic Bubble Tea's: it
// would print the value and the arguments of functions. The terminal is put right, and
// the panic goes on.
func run[M tea.Model](ctx context.Context, in *os.File, out io.Writer, m M, options ...tea.ProgramOption) (M, error) {
	var none M
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if ctx.Err() != nil {
		return none, canceled(ctx)
	}
	options = append(options, tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler(), tea.WithoutCatchPanics())
	p := tea.NewProgram(m, options...)
	defer func() {
		if r := recover(); r != nil {
			p.ReleaseTerminal()
			panic(r)
		}
	}()
	defer context.AfterFunc(ctx, func() { p.Send(tea.KeyMsg{Type: tea.KeyCtrlC}) })()
	end, err := p.Run()
	if ctx.Err() != nil {
		return none, canceled(ctx)
	}
	if err != nil {
		return none, err
	}
	return end.(M), nil
}

func canceled(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrCanceled, context.Cause(ctx))
}
