package main

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/wallet/keyring"
)

// show shows the screen until the person ends it. A program that began anew because its screen
// locked reads nothing before she wants it to, and goes on at the place where that one was.
func (x *glance) show(ctx context.Context) error {
	at, locked := x.wasLocked()
	hushed := ui.Hush(x.in) // a passphrase that is typed too early is not to be seen
	defer hushed()
	var until time.Time
	for ask := "Enter goes on, q and enter ends:"; ; ask = "Enter tries again, q and enter ends:" {
		if locked {
			line, err := ui.Line(ctx, x.in, x.err, ask)
			x.say("") // what was typed did not show
			if err != nil || strings.HasPrefix(strings.ToLower(line), "q") {
				return err
			}
		}
		var err error
		if until, err = x.unlock(ctx); err == nil {
			break
		}
		if !locked || ctx.Err() != nil || errors.Is(err, ui.ErrCanceled) {
			return err
		}
		x.say("%s", failed(&x.console, err))
		x.passphrases.wipe() // a file is read again
		x.passphrases = new(passphrases)
	}
	s, err := x.screen(ctx)
	if err != nil {
		return err
	}
	if s.Locked, err = x.reopens(until); err != nil {
		return err
	}
	if at >= len(s.Places) {
		at = 0
	}
	hushed()
	at, err = s.Show(ctx, x.in, x.out, at) // and what was being done has ended
	switch {
	case errors.Is(err, ui.ErrCanceled) && x.cut != nil:
		return x.cut
	case errors.Is(err, ui.ErrCanceled):
		return errScreen.Of(err)
	case !errors.Is(err, ui.ErrLock):
		return err
	case x.cut != nil:
		x.say("%s", failed(&x.console, x.cut))
	}
	x.lock(at, s.Locked)
	return nil
}

// wasLocked reports whether the program began anew because its screen locked, and at which
// place that was.
func (x *glance) wasLocked() (at int, locked bool) {
	v := x.env(envLocked)
	os.Unsetenv(envLocked) // it is for nobody else; no system refuses this
	at, err := strconv.Atoi(v)
	return max(0, at), v != "" && err == nil
}

// lock replaces the program by itself, as it was started: so nothing of the key and of what
// was shown is in its memory any more, whatever held it. It returns if that cannot be, and then
// the program is to end.
func (x *glance) lock(at int, reopens string) {
	text := "The screen is locked. What was not confirmed was not done."
	if x.flags.passphraseFD >= 0 { // it is read, and closed with this program
		x.say("%s The program has ended: --passphrase-fd can be read only once.", text)
		return
	}
	x.say("%s %s", text, reopens)
	self, err := os.Executable()
	if err == nil {
		err = syscall.Exec(self, os.Args, append(os.Environ(), envLocked+"="+strconv.Itoa(at)))
	}
	x.say("The program has ended with it, because it cannot begin anew here: %v", err)
}

// reopens is what opens the screen again after it locked. until is set if another program holds
// the key.
func (x *glance) reopens(until time.Time) (string, error) {
	p, err := x.ownPlace()
	switch {
	case err != nil:
		return "", err
	case x.flags.passphraseFD >= 0:
		return "The program ends then: --passphrase-fd can be read only once.", nil
	case runtime.GOOS == "windows": // where a program cannot replace itself
		return "The program ends then: start it again.", nil
	case until.After(x.now()):
		return x.ours("carekey unlock holds your key until " + clockTime(until, x.now()) + ": so long whoever presses Enter is in, without a passphrase. carekey lock ends that."), nil
	case p.settings.Keyring != keyring.KindFile:
		return "The key is in the system's keyring: as long as that is unlocked, whoever presses Enter is in.", nil
	case x.env(envPassphrase) != "":
		return "The passphrase is read from the file that " + envPassphrase + " names: whoever presses Enter is in.", nil
	}
	return x.ours("Enter asks for the passphrase, unless carekey unlock holds the key by then."), nil
}

// screen is what there is to see.
func (x *glance) screen(ctx context.Context) (*ui.Screen, error) {
	x.mu.Lock()
	x.last = map[*ui.View]*known{}
	x.mu.Unlock()
	home, err := x.home(ctx)
	if err != nil {
		return nil, err
	}
	return &ui.Screen{
		Places: []ui.Place{
			{Word: "Home", View: home},
			{Word: "Records", View: x.recordList()},
			{Word: "Consents", View: live(x.consentList())},
			{Word: "Contacts", View: x.contactList()},
			{Word: "Audit", View: live(x.auditList())},
			{Word: "Inbox", View: live(x.inboxList())},
			{Word: "Ledgers", View: x.ledgerList()},
		},
		Open: func(of, id string) *ui.View {
			if open := opens[of]; open != nil {
				return open(x, id)
			}
			return nil
		},
		Keys: slices.Concat(x.ledgerLeads(), x.viewLeads(), x.grantLeads(), x.consentLeads(), x.fetchLeads(), x.cardLeads()),
		Idle: screenIdle,
		Now:  x.now,
	}, nil
}

// opens are what rows lead to, by what they are.
var opens = map[string]func(x *glance, id string) *ui.View{
	"record":   (*glance).record,
	"consent":  (*glance).consent,
	"contact":  (*glance).contact,
	"received": (*glance).received,
	"ledger":   (*glance).ledger,
}
