package wallet

import (
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/outbox"
	"github.com/carekey/carekey/wallet/view"
)

// Keeper is one of the keepers of a consent.
type Keeper struct {
	Number int           `json:"keeper"` // its line in the document under which the consent came, from 1
	Of     int           `json:"-"`      // how many there are
	Key    crypto.PubKey `json:"key"`
}

func keeperOf(c *contract.Config, line int) Keeper {
	return Keeper{line + 1, len(c.Keepers), c.Keepers[line]}
}

// keepersOf are the keepers of a consent.
func (w *Wallet) keepersOf(t *view.Thread) *contract.Config {
	_, config := w.client.ConfigAt(t.Index)
	return config
}

// Fault is why a keeper did not do what it was asked, when others were asked too: it gave no
// answer, refused, or what it said does not verify.
type Fault struct {
	Keeper
	Err error
}

// Faults returns, once, what keepers did not do since the wallet was opened, by their numbers
// in the newest document; 0 for one that has left. Of a ledger with one keeper there are
// none: what is wrong with that one is the error of what was asked.
func (lg Log) Faults() (out []Fault) {
	faults := lg.w.view.Faults()
	config := lg.w.client.Config()
	if len(config.Keepers) == 1 {
		return nil
	}
	for line, key := range config.Keepers {
		if err := faults[key]; err != nil {
			out = append(out, Fault{keeperOf(&config, line), err})
			delete(faults, key)
		}
	}
	for key, err := range faults {
		out = append(out, Fault{Keeper{Of: len(config.Keepers), Key: key}, err})
	}
	return out
}

// unheldOf are the keepers of a consent that have not acknowledged their shares, as far as this
// wallet knows.
func (cs Consents) unheldOf(t *view.Thread) (out []Keeper) {
	lines := t.Unheld
	if c := cs.w.outbox.For(t.ID); c != nil && (c.Label == string(Granting) || c.Label == string(Writing)) {
		lines = c.Unheld // fewer than open it: it waits
	}
	config := cs.w.keepersOf(t)
	for line := range config.Keepers {
		if lines>>line&1 != 0 {
			out = append(out, keeperOf(config, line))
		}
	}
	return out
}

// clockSlack is by how much a keeper's clock may be behind the nodes'.
const clockSlack = time.Minute

// final is from when on no keeper releases a share of a revoked consent, or so few do that
// they do not open it, whichever of them lie: once so many have acknowledged the end that of
// the others, with as many as may lie, too few are left; or some minutes after a head with the
// revocation, which enough nodes have signed, was seen first. Zero if neither is so, or will
// be. As many as open it must not be those who may lie.
func (w *Wallet) final(t *view.Thread, acked int) time.Time {
	config := w.keepersOf(t)
	if len(config.Keepers) == 1 || t.Status != contract.StatusClosed && acked == 0 {
		return time.Time{} // one keeper's word is all that there is, and it is shown
	}
	liars := ledgerclient.Liars(config)
	switch seen := w.view.Keeping(t).Revoked; {
	case acked >= outbox.Enough(config)+liars:
		return w.opt.Now().UTC().Truncate(time.Second)
	case int(config.Release) > liars && !seen.IsZero():
		return seen.Add(ledgerclient.KeeperBound + clockSlack)
	}
	return time.Time{}
}
