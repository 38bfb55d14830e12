package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/wallet"
)

// This file is what people are told of the keepers of a consent. Of several each is named by
// the beginning of its key too: numbers are those of one document, and of a consent.

// keeperName names a keeper.
func keeperName(k wallet.Keeper) string {
	switch {
	case k.Number == 0:
		return "a keeper that left (" + k.Key.String()[:8] + ")"
	case k.Of > 1:
		return fmt.Sprintf("keeper %d (%s)", k.Number, k.Key.String()[:8])
	}
	return fmt.Sprintf("keeper %d", k.Number)
}

// keeperNames names several, two a line.
func keeperNames(ks []wallet.Keeper) string {
	var lines []string
	for some := range slices.Chunk(ks, 2) {
		lines = append(lines, strings.Join(list(some, keeperName), ", "))
	}
	return strings.Join(lines, ",\n")
}

// holdText says how many keepers hold a share of a consent, if it is not all of them.
func holdText(c wallet.Consent) string {
	have := c.Keepers - len(c.Unheld)
	if len(c.Unheld) == 0 {
		return ""
	}
	holds := "hold shares"
	if have == 1 {
		holds = "holds a share"
	}
	text := fmt.Sprintf("%d of %d keepers %s", have, c.Keepers, holds)
	if have < c.Release {
		text += fmt.Sprintf(", %d are needed", c.Release)
	}
	return text
}

// keepersText is what concerns the keepers of a consent; "" of one with one keeper.
func keepersText(c wallet.Consent) string {
	if c.Keepers == 0 {
		return ""
	}
	text := fmt.Sprintf("any %d of %d give the key to an opening", c.Release, c.Keepers)
	if held := holdText(c); held != "" && !ended(c.Status) {
		text += "\n" + held + "; not yet\n" + keeperNames(c.Unheld)
	}
	return text
}

// finalText says from when on the end of a consent holds whichever keepers lie; "" if that
// is not known, or it has one keeper.
func finalText(c wallet.Consent, now time.Time) string {
	if c.Final.IsZero() {
		return ""
	}
	text := "since " + c.Final.Local().Format(dayLayout)
	if c.Final.After(now) {
		text = "from " + c.Final.Local().Format(dayLayout) + " on"
	}
	text += ": too few keepers are left\nto give the key"
	switch c.Liars {
	case 0:
		return text
	case 1:
		return text + ", also if one of them lies"
	}
	return text + fmt.Sprintf(", also if %d of them lie", c.Liars)
}

// stoppedRows say at which keepers a consent with several has stopped, and what is not known.
func stoppedRows(r wallet.Revocation, now time.Time) (rows cli.Rows) {
	c := r.Consent
	var said []string
	for i, k := range r.Acks {
		if i+1 < len(r.Acks) && r.Acks[i+1].Key == k.Key {
			continue // its last word counts
		}
		what := "gives nothing any more"
		if k.End == ledgerclient.DestroyedShare {
			what = "has destroyed its share"
		}
		said = append(said, keeperName(k.Keeper)+" "+what)
	}
	rows.Add("stopped", strings.Join(append([]string{fmt.Sprintf("at %d of %d keepers, as they have signed", r.Stopped, c.Keepers)}, said...), "\n"))
	if len(r.Silent) > 0 {
		rows.Add("no word of", keeperNames(r.Silent))
	}
	if final := finalText(c, now); final != "" {
		rows.Add("final", final)
	} else {
		rows.Add("final", "not yet: enough keepers may be left to give the key")
	}
	return rows
}

// shareText says how many of the keepers hold their shares of a consent's key.
func shareText(have, of int) string {
	if have == 1 {
		return fmt.Sprintf("1 of %d keepers says that it holds its share of its key", of)
	}
	return fmt.Sprintf("%d of %d keepers say that they hold their shares of its key", have, of)
}

// silentText names keepers that gave no answer.
func silentText(ks []wallet.Keeper) string {
	if len(ks) == 0 || ks[0].Of == 1 {
		return "A keeper"
	}
	return sentence(strings.Join(list(ks, keeperName), ", "))
}

// tellFaults says which of several keepers did not do what they were asked; the others did,
// or the command has failed.
func (s *session) tellFaults(o *opened) {
	for _, f := range o.w.Log().Faults() {
		name := sentence(keeperName(f.Keeper))
		if o.l.keeps != nil {
			if is := o.l.keeps(f.Key); is != "" {
				name = strings.Replace(name, "(", "("+cli.Clean(is)+", ", 1)
			}
		}
		if refused, ok := errors.AsType[*ledgerclient.KeeperError](f.Err); ok && refused.Code == ledgerclient.NoShare {
			s.say("%s says that it holds no share of the key of consent %s.", name, short(refused.Grant))
		} else if ok {
			s.say("%s refused: %s.", name, refused.Code)
		} else if ledgerclient.Unreachable(f.Err) != nil {
			s.say("%s gave no answer.", name)
		} else {
			s.say("%s", uselessText(name, f.Err))
		}
	}
}

// tellPassed says which of several nodes did not do what they were asked; another one did, or
// the command has failed. What all heads are is said as away.
func (s *session) tellPassed(l *ledger, away error) {
	if l.passed == nil {
		return
	}
	for _, p := range l.passed() {
		if errors.Is(p.Err, ledgerclient.ErrStale) && errors.Is(away, ledgerclient.ErrStale) {
			continue
		}
		s.say("%s", passedText(p))
	}
}

// passedText says what a node did not do.
func passedText(p node.PassedOver) string {
	name := fmt.Sprintf("Node %d", p.Line+1)
	if p.Line < 0 {
		name = "A node that left"
	} else if p.Name != "" {
		name += " (" + cli.Clean(p.Name) + ")"
	}
	refused, isRefused := errors.AsType[*node.RefusedError](p.Err)
	store, byStore := errors.AsType[*ledgerclient.StoreError](p.Err)
	keeper, byKeeper := errors.AsType[*ledgerclient.KeeperError](p.Err)
	switch away := ledgerclient.Unreachable(p.Err); {
	case isRefused && away == nil:
		return fmt.Sprintf("%s refused: %s.", name, refused)
	case isRefused:
		return fmt.Sprintf("%s could not do it: %s.", name, refused)
	case away != nil:
		return fmt.Sprintf("%s gave no answer in time.", name)
	case byStore:
		return fmt.Sprintf("%s refused: %s.", name, store.Reason)
	case byKeeper:
		return fmt.Sprintf("%s refused: %s.", name, keeper.Code)
	}
	return uselessText(name, p.Err)
}

// uselessText says what is wrong with what somebody gave. That he lies it says only of what
// cannot be otherwise: a head is also too old where one's own clock is wrong, and another
// certificate is shown by who stands between.
func uselessText(name string, err error) string {
	_, tampered := errors.AsType[*ledgerclient.TamperedError](err)
	_, forked := errors.AsType[*ledgerclient.ForkError](err)
	_, rolledBack := errors.AsType[*ledgerclient.RollbackError](err)
	what := "gave nothing that can be used"
	if tampered || forked || rolledBack {
		what = "is not to be believed"
	}
	return fmt.Sprintf("%s %s: %s.", name, what, explain(err).Message)
}
