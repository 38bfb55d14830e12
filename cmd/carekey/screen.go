package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
)

// Who has a wallet and sits at a terminal gets a screen. A page of it is what a command says,
// in its words, with a session of its own from beginning to end: what is looked at behind a
// page and what another program does are two programs with one wallet, as ever. No rule of a
// wallet's is here.

const (
	screenIdle  = 5 * time.Minute // without a key a screen locks
	screenAgain = time.Minute     // after which what is seen is looked at again
)

// glance is carekey alone: how a wallet stands, and what leads on from there.
type glance struct {
	*app // its key has been read, unless who holds it unlocked is asked

	mu       sync.Mutex
	accesses []wallet.Event // that were new when a person looked, since the screen was unlocked
	last     map[*ui.View]*known
	cut      error // what an act ended with that was cut short: no page is left to say it
}

// known is what was seen of a page last, which says of when that was.
type known struct {
	page  ui.Page
	whole bool // the look did not fail
}

// unlock reads the key as any command does, on the terminal as it is. until is set if another
// program holds it: then that one is asked each time.
func (x *glance) unlock(ctx context.Context) (until time.Time, err error) {
	p, err := x.ownPlace()
	if err != nil {
		return until, err
	}
	key, err := x.keys(p).read(ctx)
	if err != nil {
		return until, err
	}
	if u, ok := key.(keyring.Unlocked); ok {
		u.Close()
		return u.Until, nil
	}
	if _, err := key.Get(ctx, p.settings.Item); err != nil { // nothing asks while the screen is there
		return until, err
	}
	x.key = key
	return until, nil
}

// paged is the program as one page has it: it speaks onto that, and asks nobody.
func (x *glance) paged(title string) *app {
	a := *x.app
	a.page = &ui.Page{Title: title}
	a.flags.noInput, a.flags.yes = true, false
	a.ask = func(string) ([]byte, error) { return nil, crypto.ErrKeyLocked }
	return &a
}

// view is a page that a verb says, on those ledgers that it is about.
func (x *glance) view(title string, which func(place) []place, verb func(ctx context.Context, s *session, asked bool) error) *ui.View {
	v := &ui.View{Title: title}
	v.Known = func() *ui.Page {
		x.mu.Lock()
		defer x.mu.Unlock()
		if kept := x.last[v]; kept != nil {
			return &kept.page
		}
		return nil
	}
	v.Load = func(ctx context.Context, asked bool) (*ui.Page, error) {
		a, ran := x.paged(title), false // whether the verb began
		err := a.within(ctx, looks, which, func(ctx context.Context, s *session) error {
			ran = true
			err := verb(ctx, s, asked)
			a.page.AsOf = asOf(groundsOf(s.all))
			return err
		})
		switch {
		case ctx.Err() != nil: // nobody waits for it any more
			return nil, nil
		case errors.Is(err, crypto.ErrKeyLocked):
			return nil, ui.ErrLock
		case err != nil && ran && !x.whole(v): // nothing better is known
			a.page.Fail(failed(&a.console, err))
		case err != nil:
			stays(a.page, v.Known(), !ran)
			a.page.Fail(failed(&a.console, err))
			return a.page, nil
		}
		x.keeps(v, a.page, err == nil)
		return a.page, nil
	}
	return v
}

// stays puts what was known before a look that failed below what that look says, with its time.
func stays(on, known *ui.Page, nothing bool) {
	switch {
	case known == nil:
	case nothing || len(on.Sections) == 0:
		on.AsOf, on.Sections = known.AsOf, slices.Concat(on.Sections, known.Sections)
	default:
		on.Say("\nAs it was seen before, " + known.AsOf + ":\n")
		on.Sections = append(on.Sections, known.Sections...)
	}
}

// keeps keeps what is known of a page now, until the screen is locked. It is whole if the look
// did not fail.
func (x *glance) keeps(v *ui.View, p *ui.Page, whole bool) {
	kept := known{*p, whole}
	if kept.page.AsOf == "" {
		kept.page.AsOf = "as of " + x.now().Local().Format("15:04")
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.last != nil {
		x.last[v] = &kept
	}
}

// whole reports whether something is known of a page that came of a look that did not fail.
func (x *glance) whole(v *ui.View) bool {
	x.mu.Lock()
	kept := x.last[v]
	x.mu.Unlock()
	if kept == nil {
		return v.Known() != nil // as the wallet's folder tells it
	}
	return kept.whole
}

// act is what a key does on ledgers: a person is asked within the screen.
func (x *glance) act(title string, want access, which func(place) []place, verb func(ctx context.Context, s *session) error) *ui.View {
	return &ui.View{Title: title, Act: func(ctx context.Context, on *ui.Page, with ui.Person) error {
		a := x.paged(title)
		a.page, a.person = on, with
		return x.acted(ctx, on, a.within(ctx, want, which, verb))
	}}
}

// acted is how a page ends on which something was done.
func (x *glance) acted(ctx context.Context, on *ui.Page, err error) error {
	if err == nil && ctx.Err() != nil {
		err = errEntered.Of(ctx.Err()) // it was done just then
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(err, ui.ErrCanceled):
		return x.cutShort(err, err)
	case errors.Is(err, crypto.ErrKeyLocked):
		if explain(err).Message == explain(crypto.ErrKeyLocked).Message { // nothing was begun
			return ui.ErrLock
		}
		return x.cutShort(err, ui.ErrLock)
	case errors.Is(err, ui.ErrLock):
		return ui.ErrLock
	case len(on.Sections) == 0 && (errors.Is(err, ui.ErrCanceled) || errors.Is(err, cli.ErrDeclined)):
		return ui.Back(explain(err).Message)
	}
	on.Fail(failed(&x.console, err))
	return nil
}

// cutShort keeps what an act ended with for the terminal, and returns how the screen ends.
func (x *glance) cutShort(err, end error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cut = err
	return end
}

// failed is an error as the command would end with it.
func failed(c *console, err error) string {
	f := explain(err)
	text := "error: " + f.Message
	if f.Hint != "" {
		text += "\nhint:  " + strings.ReplaceAll(c.ours(f.Hint), "\n", "\n       ")
	}
	return text
}

// asOf is when what is shown was so, if that is not now: a ledger is out of reach, or shows an
// old head.
func asOf(grounds []ground) string {
	for _, g := range grounds {
		if g.stale {
			return "as it was " + g.when()
		}
		if g.away {
			return "out of reach, as it was " + g.when()
		}
	}
	return ""
}

// live is a page that is looked at again by itself.
func live(v *ui.View) *ui.View {
	v.Every = screenAgain
	return v
}
