package ui

import (
	"context"
	"fmt"

	"github.com/carekey/carekey/crypto/crash"
	tea "github.com/charmbracelet/bubbletea"
)

// stepping is who wants to know how far something is, within a context.
type stepping struct{}

// Step tells whoever waits for a page how far its Load is, in things that are called so. It
// may be called from any goroutine; where nobody waits it does nothing.
func Step(ctx context.Context, done, total uint64, things string) {
	if tell, ok := ctx.Value(stepping{}).(func(done, total uint64, things string)); ok && total > 0 {
		tell(min(done, total), total, things)
	}
}

// stepped is how far a page is that loads.
type stepped struct {
	of     *level
	serial int
	text   string
	next   tea.Cmd // waits for what comes then
}

// steps does a load, of which each step that is taken in time comes as a message, and then
// the page.
func (m *frame) steps(ctx context.Context, sh *level, serial int, load func(context.Context) tea.Msg) tea.Cmd {
	steps, end := make(chan string, 1), make(chan tea.Msg, 1)
	tell := func(done, total uint64, things string) {
		select { // what nobody has taken yet is not news any more
		case <-steps:
		default:
		}
		select {
		case steps <- far(done, total, things):
		default:
		}
	}
	var next tea.Cmd
	next = command(func() tea.Msg {
		select {
		case text := <-steps:
			return stepped{sh, serial, text, next}
		case msg := <-end:
			return msg
		}
	})
	return command(func() tea.Msg {
		go func() {
			defer crash.Report()
			end <- load(context.WithValue(ctx, stepping{}, tell))
		}()
		return next()
	})
}

// stepped takes how far a page is, if it is still wanted.
func (m *frame) stepped(s stepped) tea.Cmd {
	if s.of.stop != nil && s.of.serial == s.serial {
		s.of.far = s.text
	}
	return s.next
}

// stepsSaid returns a context of a load whose steps are said on lines of their own, a tenth at
// a time: each line stays, and is heard.
func (p *spoken) stepsSaid(ctx context.Context) context.Context {
	tenth := uint64(0)
	return context.WithValue(ctx, stepping{}, func(done, total uint64, things string) {
		if now := done * 10 / total; now > tenth && now < 10 { // the end is the page itself
			tenth = now
			p.reply(far(done, total, things)) // what cannot be written is an error of the page too
		}
	})
}

func far(done, total uint64, things string) string {
	return fmt.Sprintf("%d of %d %s ...", done, total, things)
}
