package main

import (
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/wallet"
)

// place is where things are before anything is opened.
type place struct {
	home     string
	dir      string // of the wallet
	settings *wallet.Settings
	ledger   string          // where the ledger is: a folder
	id       crypto.LedgerID // which it must be; zero if only where it is was said
	given    bool            // the ledger was named by flag or environment
}

// defaultLedger is the folder inside the home, and how the settings name it: the
// home can be moved with both in it.
const defaultLedger = "ledger"

func (a *app) place() (place, error) {
	var p place
	var err error
	if p.home, err = a.home(); err != nil {
		return p, err
	}
	p.dir = wallet.ProfileDir(p.home, a.profile())
	s, err := wallet.ReadSettings(p.dir)
	if err == nil {
		p.settings = &s
	} else if !is[*wallet.NoWalletError](err) {
		return p, err
	}
	named := a.flags.ledger
	if named == "" {
		named = a.env(envLedger)
	}
	if named == "" {
		if p.settings == nil {
			p.ledger = filepath.Join(p.home, defaultLedger)
			return p, nil
		}
		at, _ := p.settings.Ledger(p.settings.Default)
		p.ledger, p.id = p.reach(at), at.ID
		return p, nil
	}
	p.given = true
	if p.settings != nil {
		at, ok, err := p.joined(named)
		if err != nil {
			return p, err
		}
		if ok {
			p.ledger, p.id = p.reach(at), at.ID
			return p, nil
		}
	}
	if text, ok, err := invitation(named); ok {
		p.ledger = text
		return p, err
	}
	if d, ok, err := namedDirect(named); ok {
		p.ledger = d.String()
		return p, err
	}
	if strings.Contains(named, "://") {
		return p, usage("ledger "+named+": not a folder", "a ledger is a folder or an invitation to a node: --ledger DIR, --ledger carekey-node1...")
	}
	p.ledger, err = filepath.Abs(named)
	return p, err
}

// reach is where a ledger of the wallet is. A folder inside the home moves with it.
func (p *place) reach(at wallet.Place) string {
	if filepath.IsAbs(at.At) || node.IsInvitation(at.At) {
		return at.At
	}
	if _, ok := parseDirect(at.At); ok {
		return at.At
	}
	return filepath.Join(p.home, at.At)
}

// kept is how the settings name the ledger.
func (p *place) kept() string {
	if !p.given {
		return defaultLedger
	}
	return p.ledger
}

// invitation is the invitation to the node that keeps the ledger, or what an order
// does not keep of it; false for one in a folder.
func (p *place) invitation() (node.Invitation, bool) { return invitationIn(p.ledger) }

func invitationIn(where string) (node.Invitation, bool) {
	if d, ok := parseDirect(where); ok {
		where = d.store
	}
	inv, err := node.ParseInvitation(where)
	return inv, err == nil
}

// on is the place with another of the wallet's ledgers.
func (p place) on(at wallet.Place) place {
	p.ledger, p.id, p.given = p.reach(at), at.ID, false
	return p
}

// joined finds the ledger of the wallet that somebody names by where it is, by its
// name, or by the beginning of its id.
func (p *place) joined(named string) (found wallet.Place, ok bool, err error) {
	path, err := filepath.Abs(named)
	if err != nil {
		return found, false, err
	}
	var invited crypto.LedgerID
	if node.IsInvitation(named) {
		inv, err := node.ParseInvitation(named)
		if err != nil {
			return found, false, err
		}
		invited = inv.Ledger
	}
	var matches []string
	for _, at := range p.settings.Ledgers {
		id := at.ID.String()
		prefix := len(named) >= 6 && strings.HasPrefix(id, strings.ToLower(named))
		where := p.reach(at)
		if where == path || where == named || invited == at.ID {
			return at, true, nil
		}
		if d, ok := parseDirect(where); ok && d.url == named {
			return at, true, nil
		}
		if prefix || text.Name(ledgerName(p.dir, at.ID)) == text.Name(named) {
			found, ok = at, true
			matches = append(matches, id)
		}
	}
	if len(matches) > 1 {
		return found, false, &wallet.AmbiguousError{What: "ledger", Query: named, Matches: matches}
	}
	return found, ok, nil
}

// ledgerName is the name that a ledger of the wallet in dir gives itself, or that its
// configuration cannot be read.
func ledgerName(dir string, id crypto.LedgerID) string {
	doc, err := wallet.Genesis(dir, id)
	if err != nil {
		return "(name cannot be read)"
	}
	config, _ := contract.ParseConfig(doc) // Genesis has parsed it
	return config.Name
}

// invitation is an invitation to a node as settings have it; ok is false for what is
// none at all.
func invitation(named string) (text string, ok bool, err error) {
	if !node.IsInvitation(named) {
		return "", false, nil
	}
	inv, err := node.ParseInvitation(named)
	return inv.String(), true, err
}

// showPlace is where a ledger is, for people: an invitation is long, and the token
// in it is nobody else's business.
func showPlace(where string) string {
	if d, ok := parseDirect(where); ok {
		return d.shown() + ", beside it " + showPlace(d.store)
	}
	if inv, err := node.ParseInvitation(where); err == nil {
		return inv.URLs[0]
	}
	return where
}

// trustIn says how a node proves to be the one of the invitation.
func trustIn(inv node.Invitation) [][2]string {
	secure := "TLS, vouched for by an authority that this computer trusts"
	switch {
	case strings.HasPrefix(inv.URLs[0], "http://"):
		secure = "none: the node is on this computer"
	case !inv.Fingerprint.IsZero():
		secure = "TLS with the key " + inv.Fingerprint.String()
	}
	out := [][2]string{{"connection", secure}}
	for _, u := range inv.URLs[1:] {
		out = append(out, [2]string{"also at", u})
	}
	if inv.Token != "" {
		out = append(out, [2]string{"token", "the invitation has one: with it the node can tell what comes from you"})
	}
	return out
}
