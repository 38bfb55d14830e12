package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

// The ledgers of one wallet: joining, listing, choosing, leaving.

func (a ledgers) newJoin() *cobra.Command {
	var asDefault bool
	var store string
	c := &cobra.Command{
		Use:   "join (INVITATION | CARD | @FILE | DIR | ORDER --store (INVITATION | DIR)) [--default]",
		Short: "Put this wallet on another ledger, after showing what you would trust",
		Long: `Put this wallet on another ledger: the one in a folder, that of a node whose operator
gave you an invitation, or the one that somebody's card names. @FILE reads a card or an
invitation from a text or from a PNG of its QR code, @- from standard input. Your key and
address stay the same, and so do your contacts; records and consents are on one ledger
each. To take them along: carekey ledger move. Joining again changes where the ledger is
looked for.

A ledger's order may be kept by a program: for foo:anything by carekey-ledger-foo in
PATH. Your wallet can use it directly, with --store for who keeps the rest: a node
that follows the same order, or a folder made for it (carekey-node init --order). What
follows from the order is worked out here and compared with the head that is signed.`,
		Args: cli.Takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			named := args[0]
			if store != "" {
				said, err := handing(a).ledger(store)
				if err != nil {
					return err
				}
				named += " " + said
			}
			return a.join(cmd.Context(), named, asDefault)
		},
	}
	c.Flags().StringVar(&store, "store", "", "`WHO` keeps store and keeper beside an order that is used directly")
	c.Flags().BoolVar(&asDefault, "default", false, "make it the ledger that is meant when none is named")
	return c
}

func (a ledgers) newList() *cobra.Command {
	limit := 0
	c := &cobra.Command{
		Use:   "list [--limit N]",
		Short: "List the ledgers that this wallet is on; nothing is unlocked and nobody asked",
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.ownPlace()
			if err != nil {
				return err
			}
			return a.list(p, limit)
		},
	}
	firstFlag(c, &limit)
	return c
}

func (a ledgers) newDefault() *cobra.Command {
	return &cobra.Command{
		Use:   "default LEDGER",
		Short: "Choose the ledger that is meant when none is named",
		RunE: func(cmd *cobra.Command, args []string) error {
			p, at, err := a.find(args[0])
			if err != nil {
				return err
			}
			if err := wallet.SetDefault(cmd.Context(), p.dir, at.ID); err != nil {
				return err
			}
			if a.flags.json {
				p.settings.Default = at.ID
				return a.list(p, 0)
			}
			a.say("From now on %s is meant when no ledger is named.", ledgerWords(p.dir, at.ID))
			return nil
		},
	}
}

func (a ledgers) newLeave() *cobra.Command {
	return &cobra.Command{
		Use:   "leave LEDGER",
		Short: "Forget a ledger; what is on it stays there",
		Long: `Forget a ledger and what this wallet remembers of it. Records and consents stay on
it as they are, and joining it again finds them. Until then what is opened there, and
was, is in no status, audit or accounting of yours. Not while something that you
signed for it waits, and not the default ledger.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.leave(cmd, args[0]) },
	}
}

// ledgers is what is done with those of a wallet.
type ledgers struct{ *app }

// find finds a ledger that the wallet is on.
func (a ledgers) find(named string) (place, wallet.Place, error) {
	p, err := a.ownPlace()
	if err != nil {
		return p, wallet.Place{}, err
	}
	at, ok, err := p.joined(named)
	if err == nil && !ok {
		err = wallet.ErrNotFound.With("noun", "ledger", "query", named, "like", wallet.Like(named, p.names()))
	}
	return p, at, err
}

type placeJSON struct {
	at      locator
	ID      crypto.LedgerID `json:"id"`
	Name    string          `json:"name"`
	At      string          `json:"at"`      // folder, or addresses of a node
	Default bool            `json:"default"` // it is meant when none is named
	Waiting int             `json:"waiting"` // batches of changes that wait for it
	// Of status, for the ledgers that it shows.
	Gate      string `json:"gate,omitempty"`
	Operators int    `json:"operators,omitempty"` // independent ones, that would have to break the rules together
	AsOf      string `json:"asOf,omitempty"`      // out of reach: when it was followed last
	// If any is wanted.
	Witnesses *wallet.Witnessed `json:"witnesses,omitempty"`
}

func (a ledgers) places(p place) ([]placeJSON, error) {
	var out []placeJSON
	for _, at := range p.settings.Ledgers {
		n, err := wallet.Waiting(p.dir, at.ID)
		if err != nil {
			return nil, err
		}
		l := stored(p.home, at.At)
		out = append(out, placeJSON{
			at:      l,
			ID:      at.ID,
			Name:    ledgerName(p.dir, at.ID),
			At:      l.shown(),
			Default: at.ID == p.settings.Default,
			Waiting: n,
		})
	}
	return out, nil
}

func (a ledgers) list(p place, limit int) error {
	places, err := a.places(p)
	if err == nil {
		places, err = firstOf(&a.console, places, limit)
	}
	if err != nil {
		return err
	}
	t := &ui.Table{Columns: []ui.Column{ui.Key("ledger"), ui.Title("name"), ui.Title("where"), ui.Word("which"), ui.Word("waiting")}}
	t.Of, t.ID = "ledger", func(i int) string { return places[i].ID.String() }
	for _, j := range places {
		meant := ""
		if j.Default {
			meant = "default"
		}
		t.Add(short(j.ID), j.Name, j.At, meant, waitingText(j))
	}
	return errors.Join(a.table(t), a.result(list(places, same)))
}

func waitingText(j placeJSON) string {
	if j.Waiting == 0 {
		return "nothing"
	}
	return plural(j.Waiting, "change", "changes")
}

func (a ledgers) join(ctx context.Context, text string, asDefault bool) error {
	p, err := a.ownPlace()
	if err != nil {
		return err
	}
	if text, err = handing(a).ledger(text); err != nil {
		return err
	}
	at, err := named(text)
	if err != nil {
		return err
	}
	j, err := a.put(ctx, p, at, asDefault, false)
	if err != nil {
		return err
	}
	switch id := short(j.ID); {
	case !j.Joined:
	case asDefault:
		a.next("carekey ledger move --ledger %s --to %s takes your records and consents along", short(p.settings.Default), id)
	default:
		a.next("carekey --ledger %s COMMAND works on it; carekey ledger default %s makes that the rule", id, id)
	}
	return a.result(j)
}

// put puts the wallet in a place on a ledger, after asking whether that one is to be
// trusted, unless somebody was asked, and says so.
func (a ledgers) put(ctx context.Context, p place, at locator, asDefault, asked bool) (*joinedJSON, error) {
	at = a.tokened(p, at)
	l, err := a.opener(p).open(ctx, at)
	if isNoLedger(err) {
		return nil, usage("there is no ledger in "+at.dir, "carekey init --new-ledger makes one; join takes one that is there, or an invitation")
	}
	if err != nil {
		return nil, err
	}
	defer l.close()
	c, err := ledgerclient.Connect(ctx, l.Services, crypto.LedgerID{})
	if err != nil {
		return nil, err
	}
	c.Now = a.now
	head, err := c.Head(ctx)
	if err != nil {
		return nil, err
	}
	was, known := p.settings.Ledger(c.ID())
	if !asked && (!known || was.At != at.kept(p.home)) {
		if err := a.confirm(ctx, previewJoin(l, c, head, a.looked(p, was)), "Trust this ledger?", ""); err != nil {
			l.close() // nothing stays of what was not wanted
			return nil, errors.Join(err, at.forget(p.home))
		}
	}
	k, err := a.keys(p).early(ctx)
	if err != nil {
		return nil, err
	}
	w, joined, err := wallet.Join(ctx, wallet.Options{
		Dir:      p.dir,
		Keyring:  k,
		Services: l.Services,
		Now:      a.now,
		Profile:  a.profile(),
	}, at.kept(p.home))
	if err != nil {
		return nil, err
	}
	if asDefault {
		if err := wallet.SetDefault(ctx, p.dir, c.ID()); err != nil {
			return nil, err
		}
	}
	s, err := w.Changes().Sync(ctx) // from here on the wallet holds the ledger to what it has shown
	if err != nil {
		return nil, err
	}
	if words := ledgerWords(p.dir, c.ID()); joined {
		a.say("This wallet is on %s too: %s followed and verified.", words, plural(int(s.To), "entry", "entries"))
	} else {
		a.say("This wallet is on %s already; it is looked for in %s from now on.", words, at.shown())
	}
	return &joinedJSON{
		ID: c.ID(), Name: w.LedgerName(), At: at.shown(), Entries: s.To, Gate: l.Ledger.Properties().Gate,
		Joined: joined, Default: asDefault || p.settings.Default == c.ID(),
	}, nil
}

// tokened is a node where the wallet looks for a ledger already, with the token that it has
// for it: a card or an invitation without one takes none away. Another place gets no token
// of this one.
func (a ledgers) tokened(p place, at locator) locator {
	if at.node == nil || at.node.Token != "" {
		return at
	}
	was, _ := p.settings.Ledger(at.node.Ledger)
	old := stored(p.home, was.At)
	if old.node != nil && old.order == at.order && old.node.Place() == at.node.Place() {
		return old
	}
	return at
}

// looked is where the wallet looks for a ledger that it is on; no node and no folder for
// one that it is not on.
func (a ledgers) looked(p place, was wallet.Place) (at locator) {
	if was.At != "" {
		at = stored(p.home, was.At)
	}
	return at
}

type joinedJSON struct {
	At      string            `json:"at"`
	Default bool              `json:"default"`
	Entries uint64            `json:"entries"`
	Gate    ledgerclient.Gate `json:"gate"`
	ID      crypto.LedgerID   `json:"id"`
	Joined  bool              `json:"joined"` // false: it was on it already
	Name    string            `json:"name"`
}

// errNoPlace: a fetch code is of a ledger that the wallet is not on, and does not say where
// it is. code, its ledger
const errNoPlace fault.Code = "foreign-code/no-place"

// follow puts the wallet on the ledger of a fetch code, if it is on that one not yet and
// none is named, after asking. Until then nobody there hears of it: who made the code may
// be anybody.
func (a ledgers) follow(ctx context.Context, code *crypto.FetchCode) error {
	p, err := a.ownPlace()
	if err != nil {
		return err
	}
	if _, ok := p.settings.Ledger(code.Ledger); ok || a.flags.ledger != "" {
		return nil
	}
	at, err := placeIn(code)
	if err != nil {
		return err
	}
	return a.stranger(ctx, p, at, "The fetch code leads to a ledger that your wallet is not on.", "nobody signs a fetch code")
}

// stranger puts a wallet that is not on it on the ledger of a node which somebody names who
// may be anybody, after asking. Until then nobody there hears of it. leads and but are what
// is to be known of who names it.
func (a ledgers) stranger(ctx context.Context, p place, at locator, leads, but string) error {
	inv := at.node
	question := "Trust this ledger?"
	if !a.interactive() {
		question = "is the ledger " + quoted(inv.Name) + " at " + at.shown() + " to be trusted? Your wallet is not on it"
	}
	rows := at.ledger(inv.Name, inv.Ledger, inv.Node)
	text := leads + " " + strings.ReplaceAll(whoRuns, "\n", " ") + " Nobody was asked there yet, and " + but + ". Compare what is shown here with what the ledger's operator says."
	preview := cli.Wrap(text, columnsOf(cli.Width(a.err))) + "\n\n" + append(rows, at.trust("")...).Text("  ") + "\n" + ground{Properties: at.properties()}.says(eachOpening)
	err := a.confirm(ctx, preview, question, "")
	if err != nil {
		return err
	}
	if a.key == nil { // the keyring is asked once for all that follows
		if a.key, err = a.keys(p).read(ctx); err != nil {
			return err
		}
	}
	_, err = a.put(ctx, p, at, false, true)
	return err
}

// placeIn is the node that a fetch code names.
func placeIn(code *crypto.FetchCode) (locator, error) {
	if code.Place == "" {
		return locator{}, errNoPlace.With("code", code.Ledger)
	}
	inv, err := node.ParsePlace(code.Place)
	if e, ok := fault.As(err, node.ErrInvitation); ok { // nobody has seen an invitation
		err = crypto.ErrFetchCode.With("fault", e.Value("fault"))
	}
	if err == nil && inv.Ledger != code.Ledger {
		err = ledgerclient.ErrForeign.With("want", code.Ledger, "got", inv.Ledger)
	}
	return locator{node: &inv}, err
}

const whoRuns = "Whoever runs it keeps the order of entries, the encrypted records and the shares of keys."

// ledger says which ledger is there.
func (l locator) ledger(name string, id crypto.LedgerID, key [32]byte) cli.Rows {
	return cli.Rows{{"name", cli.Clean(name)}, {"where", l.shown()}, {"ledger id", id.String()}, {"node key", hex.EncodeToString(key[:])}}
}

// previewJoin says what a person would trust with a ledger; was is where it was looked for
// by a wallet that is on it.
func previewJoin(l *ledger, c *ledgerclient.Client, head ledgerclient.Head, was locator) string {
	config := c.Config()
	rows := l.at.ledger(config.Name, c.ID(), config.Nodes[0].Checkpoint)
	rows.Add("entries", fmt.Sprint(head.Size))
	begins := "You are about to put your wallet on another ledger."
	if was != (locator{}) {
		begins = "Your wallet is on this ledger. Where it looks for it, or with which token, would change."
		rows.Add("until now", was.shown())
		if was.node != nil && was.node.Token != "" && (l.at.node == nil || l.at.node.Token == "") {
			rows.Add("token", "the one that you have is given up, and none comes in its place")
		}
	}
	return begins + " " + whoRuns + " Compare what is shown here with what its operator says.\n\n" +
		append(rows, l.at.trust(l.program)...).Text("  ") + "\n" + ground{Properties: l.Ledger.Properties()}.says(eachOpening)
}

func (a ledgers) leave(cmd *cobra.Command, named string) error {
	p, at, err := a.find(named)
	if err != nil {
		return err
	}
	words := ledgerWords(p.dir, at.ID)
	a.flags.ledger = at.ID.String()
	return a.withWallet(cmd, looks, func(ctx context.Context, w *wallet.Wallet) error {
		preview := "Your wallet will forget " + words + " and what it verified there. Records and consents stay on it, and consents go on until they end. Until you join it again, what is opened and was opened there is in no status, audit or accounting."
		if err := a.confirm(ctx, preview, "Leave it?", ""); err != nil {
			return err
		}
		if err := w.Leave(ctx); err != nil {
			return err
		}
		if err := stored(p.home, at.At).forget(p.home); err != nil {
			return err
		}
		a.say("This wallet has left %s. Joined again, it shows all that happened there.", words)
		return a.result(ledgerIDJSON{at.ID})
	})
}

type ledgerIDJSON struct {
	ID crypto.LedgerID `json:"id"`
}
