package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newLedger(a *app) *cobra.Command {
	l := ledgers{a}
	info := &cobra.Command{
		Use:   "info",
		Short: "Show which ledger this is, how long it is, and what its gate is worth",
		Long: `Show which ledger this is, how long it is, and whether an opening can happen without
leaving an entry (its gate). With --ledger no wallet is needed.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return l.look(cmd, false, false) },
	}
	var all bool
	verify := &cobra.Command{
		Use:   "verify [--all]",
		Short: "Check every byte of the ledger, the store and the keeper that anybody would use",
		Long: `Check all of a ledger: the configuration, the keys, every entry's signature and its
place under the rules, the signed head, the store and the keeper's files. The first
thing that is wrong is named, and the exit code is 6. With a wallet, its own memory
of the ledger is checked too. Of a ledger at a node it is every entry, the state that
follows from them, and the signed head: what its store and its keeper give is checked
whenever it is used. Where the node takes links, the page that opens them in a browser is
asked for as anybody would, and its hash compared with that of this version's: it is what
was served just now, and whoever serves it can serve another one to somebody else.

A wallet marks what it found in order, in its own folder and sealed. The next time all
entries are hashed again; if they are the same bytes, their signatures and the rules are
not checked again. So are the keeper's files read, and what is the same there is not
checked again. Payloads are read again if their file was changed since, by all that the
system says of it, and a thirtieth of them in any case. What was taken from the mark is
told. --all takes nothing from it.

With --ledger no wallet is needed: then all is checked.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return l.look(cmd, true, all) },
	}
	verify.Flags().BoolVar(&all, "all", false, "check all of it again, also what was found in order before")
	return group("ledger", "The ledgers that you use", l.newList(), l.newJoin(), l.newDefault(), newLedgerMove(a), l.newLeave(), l.newWitness(), info, l.newConfirm(), verify, l.newExport(), newEvidence(a))
}

type ledgerJSON struct {
	ID      crypto.LedgerID   `json:"id"`
	Size    uint64            `json:"size"` // entries
	Root    crypto.Hash       `json:"root"`
	Gate    ledgerclient.Gate `json:"gate"`
	Reach   string            `json:"reach"`
	OK      bool              `json:"ok"`
	Name    string            `json:"name"`
	Updated wallet.Hour       `json:"updated"`        // of the last entry; of several nodes without a wallet, that of the head
	AsOf    string            `json:"asOf,omitempty"` // out of reach: when it was followed last
	// Configuration is the commitment of the newest document, by which two people see whether
	// they know the same nodes; Unconfirmed is that nothing is granted before it was compared.
	Configuration crypto.Hash `json:"configuration"`
	Unconfirmed   bool        `json:"unconfirmed,omitempty"`
	Nodes         []nodeJSON  `json:"nodes,omitempty"`   // of the newest document; none if out of reach
	Threshold     int         `json:"threshold"`         // how many of them must sign a head
	Keepers       []string    `json:"keepers,omitempty"` // keys, in the order of the document; none if out of reach
	Release       int         `json:"release,omitempty"` // how many of them give the key to an opening

	Witnesses  *wallet.Witnessed `json:"witnesses,omitempty"`  // info: if any is wanted
	Signatures uint64            `json:"signatures,omitempty"` // verify: of entries, that were checked this time
	Page       *pageJSON         `json:"page,omitempty"`       // verify: that opens links in a browser; none if no links are taken
	checkedJSON
}

// pageJSON is the page that opens links in a browser, as it was served to this wallet.
type pageJSON struct {
	SHA256 crypto.Hash `json:"sha256"`
	Known  bool        `json:"known"` // it is that of this version
}

// linkPage asks for the page that opens links; nil if no links are taken.
func linkPage(ctx context.Context, links ledgerclient.Links) (*pageJSON, error) {
	pages, ok := links.(ledgerclient.LinkPages)
	if !ok {
		return nil, nil
	}
	h, err := pages.LinkPage(ctx)
	if errors.Is(err, ledgerclient.ErrNoLinks) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return &pageJSON{h, h.String() == ledgerclient.KnownPage}, nil
}

// nodeJSON is one of a ledger's nodes, and what it put under the head.
type nodeJSON struct {
	Key    string `json:"key"` // signs heads; 64 hexadecimal digits
	Signed bool   `json:"signed"`
	Time   string `json:"time,omitempty"` // when it said that there is no larger head
}

// signers are the nodes of a ledger's newest configuration.
func signers(c *ledgerclient.Client, head ledgerclient.Head) (nodes []nodeJSON, err error) {
	config := c.Config()
	note, err := ledgerclient.OpenNote(c.ID(), config.Nodes, head.Note)
	for i, by := range note.By {
		n := nodeJSON{Key: ledgerclient.Key(config.Nodes[i].Checkpoint).String(), Signed: by.Plain}
		if !by.Time.IsZero() {
			n.Time = instant(by.Time)
		}
		nodes = append(nodes, n)
	}
	return nodes, err
}

// signed says who signed the head.
func (j *ledgerJSON) signed() string {
	n := len(j.Nodes)
	if n == 1 {
		return "its head is signed by its node"
	}
	have := 0
	for _, node := range j.Nodes {
		if node.Signed {
			have++
		}
	}
	return fmt.Sprintf("its head is signed by %d of its %d nodes; %d must sign, so that %d may be missing", have, n, j.Threshold, n-j.Threshold)
}

// unwise says what the number of keepers that open does not stand, of as many institutions
// that lie or are missing as the ledger's heads do.
func (j *ledgerJSON) unwise() string {
	switch spare := len(j.Nodes) - j.Threshold; {
	case j.Release <= spare:
		return fmt.Sprintf(",\nand %d may lie: they could give it without an entry", spare)
	case j.Release > len(j.Keepers)-spare:
		return fmt.Sprintf(",\nand %d may be missing: then nothing is opened", spare)
	}
	return ""
}

// checkedJSON says of verify what was checked this time, and what was not.
type checkedJSON struct {
	Keeper   uint64        `json:"keeper,omitempty"`   // records of the keeper's that were checked this time
	Payloads *payloadsJSON `json:"payloads,omitempty"` // of a ledger in a folder
	Before   *beforeJSON   `json:"before,omitempty"`   // what was taken from the wallet's mark; none: all was checked
	Unread   bool          `json:"unread,omitempty"`   // there is a mark that could not be read
}

type payloadsJSON struct {
	Bytes int64  `json:"bytes"`
	Read  int64  `json:"read"`            // of these, this time
	Whole string `json:"whole,omitempty"` // since when each was read once
}

type beforeJSON struct {
	Entries uint64 `json:"entries"` // whose signatures and rules were checked before
	Time    string `json:"time"`    // of the check
}

// verifyJSON is what verify found in order.
type verifyJSON struct {
	Size       uint64
	Root       crypto.Hash
	Signatures uint64
	checkedJSON
}

func (a ledgers) look(cmd *cobra.Command, verify, all bool) error {
	p, err := a.place()
	if err != nil {
		return err
	}
	if p.settings != nil {
		return a.withLedgers(cmd, looks, alone, func(ctx context.Context, s *session) error {
			return a.lookAt(ctx, s.all[0].l, p, s.all[0].w, verify, all)
		})
	}
	l, err := a.openLedger(cmd.Context(), p)
	if err != nil {
		return err
	}
	defer l.close()
	return a.lookAt(cmd.Context(), l, p, nil, verify, all)
}

func (a ledgers) newConfirm() *cobra.Command {
	return &cobra.Command{
		Use:   "confirm CONFIGURATION",
		Short: "Say that the ledger's nodes are those that others know, after you compared them",
		Long: `Say that the ledger's newest configuration, which says who signs its heads, is the one
that others know, and that its keepers may give the key to what you grant. Needed only
after the keepers were changed, or after the nodes were while this wallet did not look at
the ledger for more than 30 days: whoever has the keys of nodes that left could show a
ledger of its own then. Until it is confirmed nothing is granted. CONFIGURATION is what
carekey ledger info shows to somebody else who uses the ledger, or keeps one of its nodes.`,
		Args: cli.Takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var config crypto.Hash
			if err := config.UnmarshalText([]byte(args[0])); err != nil {
				return usage("a configuration is 64 hexadecimal digits", "ask for them: carekey ledger info shows them")
			}
			return a.withWallet(cmd, looks, func(ctx context.Context, w *wallet.Wallet) error {
				if err := w.Log().Confirm(ctx, config); err != nil {
					return err
				}
				a.say("Confirmed: what you grant goes to this ledger again.")
				id, _ := w.Ledger()
				return a.result(ledgerIDJSON{id})
			})
		},
	}
}

// lookAt shows a ledger; w is nil where there is no wallet.
func (a ledgers) lookAt(ctx context.Context, l *ledger, p place, w *wallet.Wallet, verify, all bool) error {
	g := ground{Properties: l.Ledger.Properties()}
	j := ledgerJSON{Gate: g.Gate, Reach: g.Reach, OK: true}
	var hour contract.Hour
	var keepers []wallet.Keeper
	var away, err error
	if w != nil { // the ledger goes on from what the wallet saw
		if j.Size, j.Root, hour, err = w.Log().Head(ctx); err != nil {
			return err
		}
		_, away = w.Log().OutOfReach()
	}
	if away != nil && verify {
		return away
	}
	if away != nil {
		g, j.Name = groundOf(w), w.LedgerName()
		j.ID, _ = w.Ledger()
		j.Configuration, _ = w.Log().Unconfirmed()
		j.AsOf = instant(g.since)
	} else {
		c, err := ledgerclient.Connect(ctx, l.Services, p.id)
		if err != nil {
			return err
		}
		head, err := c.Head(ctx)
		if err != nil {
			return err
		}
		if w == nil { // the wallet has read all of it
			if hour, err = lastHour(ctx, l.Services); err != nil {
				return err
			}
		}
		config := c.Config()
		j.ID, j.Name, j.Size, j.Root = c.ID(), config.Name, head.Size, head.Root
		j.Configuration, j.Threshold = config.Commitment(), int(config.Threshold)
		for i, key := range config.Keepers {
			j.Keepers, keepers = append(j.Keepers, key.String()), append(keepers, wallet.Keeper{Number: i + 1, Of: len(config.Keepers), Key: key})
		}
		j.Release = int(config.Release)
		if j.Nodes, err = signers(c, head); err != nil {
			return err
		}
	}
	if w != nil {
		_, j.Unconfirmed = w.Log().Unconfirmed()
	}
	j.Updated = wallet.Hour(hour)
	if w != nil && !verify {
		if j.Witnesses, err = witnessed(ctx, w); err != nil {
			return err
		}
	}
	if verify {
		step, end := a.verifying(ctx)
		v, err := l.verify(ctx, w, all, step)
		end()
		if err != nil {
			return err
		}
		j.Size, j.Root, j.Signatures, j.checkedJSON = v.Size, v.Root, v.Signatures, v.checkedJSON
		if j.Page, err = linkPage(ctx, l.Services.Links); err != nil {
			return err
		}
	}
	rows := cli.Rows{
		{"ledger", j.ID.String()},
		{"name", cli.Clean(j.Name)},
		{"entries", fmt.Sprint(j.Size)},
		{"root", j.Root.String()},
	}
	if w == nil && len(j.Nodes) > 1 { // the last entry's is one node's word
		rows.Add("signed", "in the hour from "+wallet.HourTime(hour).Format("2006-01-02 15:04 UTC")+" on")
	} else {
		rows.Add("last entry", wallet.HourTime(hour).Format("2006-01-02 15:04 UTC"))
	}
	rows.Add("reach", j.Reach)
	if j.Unconfirmed {
		rows.Add("configuration", j.Configuration.String()+a.ours(" (to be confirmed: carekey ledger confirm)"))
	} else if len(j.Nodes) > 1 {
		rows.Add("configuration", j.Configuration.String())
	}
	if len(j.Keepers) > 1 {
		rows.Add("keepers", fmt.Sprintf("any %d of %d give the key to an opening%s:\n%s", j.Release, len(j.Keepers), j.unwise(), keeperNames(keepers)))
	}
	if !verify && len(j.Nodes) > 1 {
		rows.Add("who can what", j.powersText())
	}
	rows.Add("state", j.state(away != nil, verify, w != nil))
	if p := j.Page; p != nil {
		is := "the one that this version of carekey has"
		if !p.Known {
			is = "NOT the one that this version of carekey has: the node is of another version, or its page was changed"
		}
		rows.Add("page of links", fmt.Sprintf("%s\n(SHA-256 as it was served just now: %s)", p.SHA256, is))
	}
	if s := j.Witnesses; s != nil {
		rows.Add("witnesses", witnessWords(*s))
	}
	a.rows(rows)
	a.print("%s", g.says(eachOpening))
	a.warnOf(j.Witnesses)
	if !verify && away == nil {
		a.next("carekey ledger verify checks every byte of it")
	}
	return a.result(j)
}

// state says what is known of the ledger.
func (j *ledgerJSON) state(away, verify, known bool) string {
	all := "everything verifies: %s, the store and the keeper's files\n(%s)"
	if j.Gate == ledgerclient.Enforced { // its store and keeper are where nobody else can look
		all = "all that a node shows verifies: %s, the rules, the state roots and the signed head\n(%s)"
	}
	switch {
	case away:
		return "out of reach: this is what was verified last"
	case verify:
		return fmt.Sprintf(all, plural(int(j.Size), "entry", "entries"), j.now())
	case known:
		return j.signed() + ", and continues what this wallet has seen"
	}
	return j.signed()
}

// now says what was checked this time, and what was not.
func (j *ledgerJSON) now() string {
	text := plural(int(j.Signatures), "signature", "signatures")
	if j.Keeper > 0 {
		text += ", " + plural(int(j.Keeper), "record of the keeper's", "records of the keeper's")
	}
	text += " checked this time"
	if b := j.Before; b != nil {
		text += ";\n" + plural(int(b.Entries), "entry is the same", "entries are the same") + " as when all was found in order: " + local(b.Time)
	}
	if p := j.Payloads; p != nil && p.Read < p.Bytes {
		text += fmt.Sprintf(";\nof the payloads %d %% read again, the others are as they were: last whole check on %s", (100*p.Read+p.Bytes-1)/p.Bytes, local(p.Whole))
	}
	if j.Unread {
		text += ";\nthe mark of what was checked before cannot be read"
	}
	return text
}

// local is a time of JSON in the reader's own zone.
func local(instant string) string {
	t, err := time.Parse(time.RFC3339, instant)
	if err != nil {
		return instant
	}
	return t.Local().Format(dayLayout)
}
