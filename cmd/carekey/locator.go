package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/carekey/carekey/wallet"
)

// locator says where a ledger is: in a folder or at a node; and, if the wallet uses its
// order itself, what keeps that one. It is read once, and then opened or shown.
type locator struct {
	order string           // URL of the order, foo:anything without spaces; "" if folder or node keep it
	node  *node.Invitation // to who keeps the ledger, or what the order does not; nil for a folder
	dir   string           // absolute path of that folder
	bad   error            // why the settings' text for it cannot be read
}

// defaultLedger is the folder inside the home, and how the settings name it: the
// home can be moved with both in it.
const defaultLedger = "ledger"

func homeLedger(home string) locator { return locator{dir: filepath.Join(home, defaultLedger)} }

// kept is how the settings of a wallet in a home have it: an order comes first, and then
// a space.
func (l locator) kept(home string) string {
	where := l.dir
	switch {
	case l.node != nil:
		where = l.node.String()
	case l == homeLedger(home):
		where = defaultLedger
	}
	if l.order != "" {
		where = l.order + " " + where
	}
	return where
}

// stored reads what the settings have.
func stored(home, text string) (l locator) {
	if url, rest, ok := strings.Cut(text, " "); ok && isOrder(url) {
		l.order, text = url, rest
	}
	if l.bad = l.keep(text); l.dir != "" && !filepath.IsAbs(l.dir) {
		l.dir = filepath.Join(home, l.dir)
	}
	return l
}

// named reads what somebody writes, who may mean a folder whose name looks like an order.
func named(text string) (l locator, err error) {
	_, noFile := os.Lstat(text)
	url, rest, _ := strings.Cut(text, " ")
	switch {
	case node.IsInvitation(text):
	case isOrder(url) && noFile != nil && rest == "":
		shown := order.Shown(url)
		return l, usage("an order alone is no ledger: who keeps the encrypted records and the shares of keys beside "+shown+"?",
			"name both: carekey ledger join "+shown+" --store INVITATION, or --store DIR; anywhere else --ledger '"+shown+" INVITATION'")
	case isOrder(url) && noFile != nil:
		l.order, text = url, rest
	case strings.Contains(text, "://"):
		return l, usage("ledger "+text+": an address alone, and not a folder",
			"a ledger at a node is named with the invitation that its operator gives you: it says whose keys to expect there")
	}
	if err = l.keep(text); l.dir != "" {
		l.dir, err = filepath.Abs(l.dir)
	}
	return l, err
}

// keep takes a folder or an invitation.
func (l *locator) keep(text string) error {
	if !node.IsInvitation(text) {
		l.dir = text
		return nil
	}
	inv, err := node.ParseInvitation(text)
	l.node = &inv
	return err
}

// maxOrderURL is the size of the longest URL of an order, in bytes.
const maxOrderURL = 1024

// isOrder reports whether a text is the URL of an order. A scheme of one letter is the
// drive of a path.
func isOrder(text string) bool {
	scheme, _, _ := strings.Cut(text, ":")
	if _, ok := order.ProgramName(text); !ok || len(scheme) < 2 || len(text) > maxOrderURL || scheme == "http" || scheme == "https" {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
}

// replica is the folder in the home for the wallet's own replica of an order. All
// profiles of a home share it: it holds nothing of anybody's, and can be made again. Its
// name tells neither the ledger nor the order.
func (l locator) replica(home string) string {
	id := l.dir
	if l.node != nil {
		id = l.node.Ledger.String()
	}
	h := sha256.Sum256([]byte(id + " " + l.order))
	return filepath.Join(home, "replicas", hex.EncodeToString(h[:8]))
}

// forget removes what the home holds of the ledger and no settings name.
func (l locator) forget(home string) error {
	if l.order == "" {
		return nil
	}
	return os.RemoveAll(l.replica(home))
}

// shown is where the ledger is, for people: an invitation is long, and the token in it
// is nobody else's business, as is a password in the URL of an order.
func (l locator) shown() string {
	where := l.dir
	switch {
	case l.bad != nil:
		where = "(invitation cannot be read)"
	case l.node != nil:
		where = l.node.URLs[0]
	}
	if l.order != "" {
		where = order.Shown(l.order) + ", beside it " + where
	}
	return where
}

// line is shown, and for a folder alone whether it is there.
func (l locator) line(joined bool) string {
	if l.order != "" || l.node != nil {
		return l.shown()
	}
	if _, err := os.Stat(l.dir); err == nil {
		return l.dir
	}
	if joined {
		return l.dir + " (NOT THERE: was it moved? name its place with --ledger DIR)"
	}
	return l.dir + " (not there yet)"
}

// properties are those of the ledger that are known without reaching it.
func (l locator) properties() ledgerclient.Properties {
	p := ledgerclient.Properties{
		Gate:      ledgerclient.Advisory,
		Reach:     l.dir,
		Clock:     "local",
		Operators: 1,
	}
	if l.node != nil {
		p = node.Away(*l.node)
	}
	if l.order != "" {
		p = order.Beside(l.order, p)
	}
	return p
}

// trust is what a person is to compare, besides the ledger's own configuration, before
// joining: how a node proves to be the one of the invitation, and who keeps the order.
// program is what the latter calls itself.
func (l locator) trust(program string) (rows cli.Rows) {
	if l.node != nil {
		secure := "TLS, vouched for by an authority that this computer trusts"
		switch {
		case strings.HasPrefix(l.node.URLs[0], "http://"):
			secure = "none: the node is on this computer"
		case !l.node.Fingerprint.IsZero():
			secure = "TLS with the key " + l.node.Fingerprint.String()
		}
		rows.Add("connection", secure)
		for _, u := range l.node.URLs[1:] {
			rows.Add("also at", u)
		}
		if l.node.Token != "" {
			rows.Add("token", "the invitation has one: with it the node can tell what comes from you")
		}
	}
	if l.order != "" {
		name, _ := order.ProgramName(l.order)
		check := "this computer follows it, judges every entry, and believes the node's heads only if they are of the same log"
		if l.node == nil {
			check = "this computer follows it, judges every entry, and signs the heads with the key in the folder"
		}
		rows.Add("order", order.Shown(l.order))
		rows.Add("kept by", "the program "+name+" in PATH, which calls itself "+cli.Clean(program))
		rows.Add("checked", check)
	}
	return rows
}

// place is which wallet is meant, and which ledger, before anything is opened.
type place struct {
	home     string
	dir      string // of the wallet
	settings *wallet.Settings
	at       locator
	id       crypto.LedgerID // which ledger it must be; zero if only where it is was said
	given    bool            // the ledger was named by flag or environment
}

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
	} else if !errors.Is(err, wallet.ErrNoWallet) {
		return p, err
	}
	text := a.flags.ledger
	if text == "" {
		text = a.env(envLedger)
	}
	switch {
	case text != "":
		p.given = true
		said, err := handing{a}.ledger(text)
		if err != nil {
			return p, err
		}
		if a.flags.ledger != "" { // a file may not be there twice
			a.flags.ledger = said
		}
		text = said
		joined, ok, err := p.joined(text)
		if err == nil && ok {
			p.at, p.id = stored(p.home, joined.At), joined.ID
		} else if err == nil {
			if p.at, err = named(text); err == nil {
				err = p.mistyped(text)
			}
		}
		return p, err
	case p.settings == nil:
		p.at = homeLedger(p.home)
	default:
		at, _ := p.settings.Ledger(p.settings.Default)
		p.at, p.id = stored(p.home, at.At), at.ID
	}
	return p, nil
}

// mistyped is that a text which is no folder may have been meant for the name of a ledger of
// the wallet.
func (p *place) mistyped(text string) error {
	if p.settings == nil || p.at.node != nil || p.at.order != "" {
		return nil
	}
	if _, err := os.Lstat(p.at.dir); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if like := wallet.Like(text, p.names()); like != "" {
		return wallet.ErrNotFound.With("noun", "ledger", "query", text, "like", like)
	}
	return nil
}

// names are those of the wallet's ledgers.
func (p *place) names() []string {
	return list(p.settings.Ledgers, func(at wallet.Place) string { return ledgerName(p.dir, at.ID) })
}

// ownPlace is the place of a wallet that is there.
func (a *app) ownPlace() (place, error) {
	p, err := a.place()
	if err == nil && p.settings == nil {
		err = noWallet(p.dir)
		if mark, _ := wallet.Unfinished(p.dir); mark == "" && a.flags.profile+a.env(envProfile) != "" {
			err = errNotNamed.With("profile", a.profile(), "dir", p.dir, "like", profiles{a}.like())
		}
	}
	return p, err
}

// Why there is no wallet, where that is known.
const (
	errNotNamed   fault.Code = "no-wallet/named"
	errRestoring  fault.Code = "no-wallet/restoring"
	errRemoving   fault.Code = "no-wallet/removing"
	errUnfinished fault.Code = "no-wallet/unfinished"
	errHeadless   fault.Code = "no-wallet/headless"
)

func noWallet(dir string) error {
	mark, _ := wallet.Unfinished(dir)
	code := map[wallet.Mark]fault.Code{
		"": wallet.ErrNoWallet, wallet.Headless: errHeadless,
		wallet.BeingRestored: errRestoring, wallet.BeingRemoved: errRemoving, wallet.BeingMade: errUnfinished,
	}[mark]
	return code.With("dir", dir)
}

// on is the place with another of the wallet's ledgers.
func (p place) on(at wallet.Place) place {
	p.at, p.id, p.given = stored(p.home, at.At), at.ID, false
	return p
}

// joined finds the ledger of the wallet that somebody names by where it is, by its
// name, or by the beginning of its id.
func (p *place) joined(query string) (found wallet.Place, ok bool, err error) {
	if p.settings == nil {
		return found, false, nil
	}
	want, bad := named(query)
	if bad != nil && want.node != nil {
		return found, false, bad
	}
	var matches []string
	for _, at := range p.settings.Ledgers {
		id, l := at.ID.String(), stored(p.home, at.At)
		if bad == nil && (l.kept(p.home) == want.kept(p.home) || want.node != nil && want.node.Ledger == at.ID) || l.order != "" && l.order == query {
			return at, true, nil
		}
		if len(query) >= 6 && strings.HasPrefix(id, strings.ToLower(query)) || text.Name(ledgerName(p.dir, at.ID)) == text.Name(query) {
			found, ok = at, true
			matches = append(matches, id)
		}
	}
	if len(matches) > 1 {
		return found, false, wallet.ErrAmbiguous.With("query", query, "matches", matches)
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

// ledgerWords names a ledger of the wallet in dir.
func ledgerWords(dir string, id crypto.LedgerID) string {
	return ledgerTitle(cli.Clean(ledgerName(dir, id))) + " (" + short(id) + ")"
}

// ledgerTitles are the names of the wallet's ledgers, with the beginnings of their ids
// where two are named alike.
func ledgerTitles(p place) map[crypto.LedgerID]string {
	out, same := map[crypto.LedgerID]string{}, map[string]int{}
	for _, at := range p.settings.Ledgers {
		out[at.ID] = ledgerTitle(cli.Clean(ledgerName(p.dir, at.ID)))
		same[out[at.ID]]++
	}
	for id, title := range out {
		if same[title] > 1 {
			out[id] = title + " " + short(id)
		}
	}
	return out
}

// ledgerTitle is a ledger's name as it is shown.
func ledgerTitle(name string) string {
	if name == "" {
		return "ledger"
	}
	return name
}
