package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
	"github.com/spf13/cobra"
)

const aboutFounding = `Several institutions found a ledger together, so that none of them can change, hide or
stop anything alone: what holds is signed by more than two thirds of their nodes. Wallets
join with an invitation of any of them. The four steps:

1. Each makes its keys, and sends the line that is printed to one of them:
     carekey-node found line /srv/ledger --as 'City hospital' --url https://city.example:8443
2. That one makes the draft of all lines, which are in a file or several:
     carekey-node found draft LINES... --name 'Region ledger' > region.draft
3. Each looks at the draft, and all compare its id by voice:
     carekey-node found show region.draft /srv/ledger
4. Each makes its node with the id that was compared, the first in the draft before
   the others:
     carekey-node found node /srv/ledger region.draft --id ID --order URL

Lines and draft are public, and no secret key leaves the folder that it was made in.
Who changes one on its way changes the id: that is why it is compared.`

func newFound(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "found",
		Short: "Found a ledger together with other institutions",
		Long:  aboutFounding,
		Args:  cli.NoVerb,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newFoundLine(a), newFoundDraft(a), newFoundShow(a), newFoundNode(a))
	return c
}

const (
	errOwnLine  fault.Code = "own-line-changed" // the line of this folder in a draft is not the one that it prints
	errDraftID  fault.Code = "draft-changed"    // a draft is of the ledger got, and want was compared
	errNotBegun fault.Code = "ledger-not-begun" // by, the member whose node begins it
)

type lineJSON struct {
	Line string `json:"line"`
	memberJSON
}

// memberJSON is a member of a draft.
type memberJSON struct {
	Name        string   `json:"name"`
	URLs        []string `json:"urls"`
	Fingerprint string   `json:"fingerprint"` // of the TLS key; "" if the system's authorities vouch
	Node        string   `json:"node"`        // key of the checkpoints
	Keeper      string   `json:"keeper"`
}

func memberOf(m node.Member) memberJSON {
	return memberJSON{m.Name, m.URLs, fingerprintText(m.Fingerprint), fmt.Sprintf("%x", m.Node.Checkpoint), m.Keeper.String()}
}

func newFoundLine(a *app) *cobra.Command {
	var o settingsFlags
	as := ""
	c := &cobra.Command{
		Use:   "line DIR --as NAME [--url URL]...",
		Short: "Make this institution's keys, and print its line",
		Long: `Make the keys of this institution's node and keeper in a folder, which must be empty
or not exist, with its settings and a TLS key as init does, and print its line: one
word with its name, its public keys and where its node will be found. It is public.

Once made, keys stay as they are: the same command without options prints the line
again.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := args[0]
			cfg, err := readConfig(dir)
			if e, is := fault.As(err, errNoNode); is && e != nil {
				if as == "" {
					return usage("the others must know whose line it is", "add --as 'City hospital'")
				}
				if !contract.ValidName(as) {
					return usage("that cannot be a name: want 1 to 64 bytes without invisible characters", "say another with --as")
				}
				if len(o.urls) == 0 {
					return usage("the others must know where the node will be found", "add --url https://city.example:8443; "+aURL)
				}
				if cfg, err = o.settings(dir); err != nil {
					return err
				}
				cfg.Name = as
				if _, err = makeKeys(dir); err != nil {
					return err
				}
				if err = a.keep(dir, cfg); err != nil {
					return err
				}
			} else if err == nil && (as != "" && as != cfg.Name || len(o.urls) > 0 && !slices.Equal(trimmed(o.urls), cfg.URLs)) {
				return usage("there is a line already, and it says something else", "print it with: carekey-node found line DIR; to say something else take another folder")
			}
			if err != nil {
				return err
			}
			m, _, err := ownMember(dir, cfg)
			if err != nil {
				return err
			}
			a.say("Keep %s safe: the keys in it speak for this institution.\nSend the line to who makes the draft; it is public. With the draft that comes back:\ncarekey-node found show DRAFT %s", filepath.Join(dir, "keys"), dir)
			if !a.flags.json {
				_, err := a.out.WriteString(m.String() + "\n") // one unbroken word, whatever the width
				return err
			}
			return a.result(lineJSON{m.String(), memberOf(m)})
		},
	}
	f := c.Flags()
	f.StringVar(&as, "as", "", "`NAME` of the institution, for people")
	o.add(c)
	return c
}

// ownMember is what the institution of a folder tells the others, with its keys.
func ownMember(dir string, cfg *config) (node.Member, folder.Keys, error) {
	k, err := keysIn(dir)
	if err != nil {
		return node.Member{}, k, err
	}
	m := node.Member{Name: cfg.Name, Node: k.Node(), Keeper: k.Keeper(), URLs: cfg.URLs}
	if cfg.TLS.Pin {
		certs, err := openCertificate(dir, cfg)
		if err != nil {
			return m, k, err
		}
		m.Fingerprint = node.Fingerprint(certs.leaf())
	}
	if !m.Valid() { // node.json was changed by hand
		return m, k, errConfig.With("path", filepath.Join(dir, configFile), "what", "its name or its urls cannot be in a line")
	}
	return m, k, nil
}

// draftJSON is a draft, for people to compare.
type draftJSON struct {
	Ledger    string       `json:"ledger"` // the id
	Name      string       `json:"name"`
	Threshold int          `json:"threshold"` // nodes that make a head
	Spare     int          `json:"spare"`     // nodes that may be missing, or lie
	Release   int          `json:"release"`   // keepers that open an envelope
	Members   []memberJSON `json:"members"`   // the first begins
	Own       *int         `json:"own"`       // which of them this folder is
	Draft     string       `json:"draft"`     // its text
}

func describeDraft(d *node.Draft) (draftJSON, []byte, error) {
	genesis, err := d.Genesis()
	if err != nil {
		return draftJSON{}, nil, err
	}
	j := draftJSON{Ledger: contract.LedgerID(genesis).String(), Name: d.Name, Threshold: int(d.Threshold), Spare: d.Spare(), Release: int(d.Release), Draft: d.String()}
	for _, m := range d.Members {
		j.Members = append(j.Members, memberOf(m))
	}
	return j, genesis, nil
}

func newFoundDraft(a *app) *cobra.Command {
	var name string
	var threshold, release uint8
	c := &cobra.Command{
		Use:   "draft FILE... --name NAME",
		Short: "Make the draft of a ledger from the members' lines",
		Args:  cli.Takes(1, contract.MaxNodes),
		Long: `Make the draft of a ledger from files with the lines of its members (- for standard
input), and print it: send it to all as it is. Their order stays, and the node of the
first begins the ledger. Nothing is kept here, so anybody can make it.

A head of the ledger needs more than two thirds of the nodes (--threshold); those that
are left may be missing, or lie. To open what a consent locks takes the shares of
--release keepers: one more than may lie, if nothing else is said.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			d := node.Draft{Name: name, Threshold: threshold, Release: release}
			for _, path := range args {
				text, err := a.readText(path)
				if err != nil {
					return err
				}
				for n, line := range slices.Collect(strings.Lines(text)) {
					if line = strings.TrimSpace(line); line == "" {
						continue
					}
					m, err := node.ParseMember(line)
					if e, is := fault.As(err, node.ErrMember); is {
						return node.ErrMember.With("fault", e.Value("fault"), "line", n+1, "path", path)
					}
					d.Members = append(d.Members, m)
				}
			}
			if name == "" {
				return usage("a ledger needs a name that people will see", "add --name 'City ledger'")
			}
			d.Threshold = cmp.Or(threshold, uint8(min(node.DefaultThreshold(len(d.Members)), 255)))
			d.Release = cmp.Or(release, uint8(max(0, d.Spare())+1))
			j, _, err := describeDraft(&d)
			if err != nil {
				return err
			}
			a.say("This is the draft of ledger %s.\nSend it to all %d members. Each looks at it with: carekey-node found show DRAFT DIR", j.Ledger, len(d.Members))
			if !a.flags.json {
				_, err := a.out.WriteString(j.Draft)
				return err
			}
			return a.result(j)
		},
	}
	f := c.Flags()
	f.StringVar(&name, "name", "", "`NAME` of the ledger, for people")
	f.Uint8Var(&threshold, "threshold", 0, "`NUMBER` of nodes that make a head together; more than two thirds")
	f.Uint8Var(&release, "release", 0, "`NUMBER` of keepers that open an envelope together")
	return c
}

// maxText is more than a draft, or the lines for one, have bytes.
const maxText = 256 << 10

// readText reads a file, or standard input for "-".
func (a *app) readText(path string) (string, error) {
	f := a.in
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return "", err
		}
		defer f.Close()
	}
	b, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(b) > maxText {
		err = usage("more than a draft is in "+path, "name the file with the draft, or with the lines for one")
	}
	return string(b), err
}

func (a *app) readDraft(path string) (node.Draft, error) {
	text, err := a.readText(path)
	if err != nil {
		return node.Draft{}, err
	}
	return node.ParseDraft(text)
}

// grouped is an id as people read it to each other: groups of 8 digits, 4 in a line.
func grouped(id string) string {
	var b strings.Builder
	for i := 0; i < len(id); i += 8 {
		switch {
		case i == 0:
		case i%32 == 0:
			b.WriteByte('\n')
		default:
			b.WriteByte(' ')
		}
		b.WriteString(id[i:min(i+8, len(id))])
	}
	return b.String()
}

func newFoundShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show DRAFT [DIR]",
		Short: "Show a draft and the id that all compare",
		Long: `Show what a draft says, and the id of the ledger that follows from it. With the folder
of this institution's keys its own line is compared with what the folder prints.

Each member reads the id from its own screen to the others, at best by telephone. If a
single digit differs, somebody changed the draft on its way: stop.`,
		Args: cli.Takes(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.readDraft(args[0])
			if err != nil {
				return err
			}
			j, genesis, err := describeDraft(&d)
			if err != nil {
				return err
			}
			if len(args) > 1 {
				cfg, err := readConfig(args[1])
				if err != nil {
					return err
				}
				own, _, err := ownLine(args[1], cfg, &d, genesis)
				if err != nil {
					return err
				}
				j.Own = &own
			}
			a.showDraft(&d, &j)
			return a.result(j)
		},
	}
}

func (a *app) showDraft(d *node.Draft, j *draftJSON) {
	n := len(d.Members)
	rows := cli.Rows{
		{"ledger", d.Name},
		{"nodes", fmt.Sprintf("%d, of which %d make a head: %d may be missing, or lie", n, d.Threshold, d.Spare())},
		{"keepers", fmt.Sprintf("%d, of which %d open what a consent locks", n, d.Release)},
		{"begins", d.Members[0].Name},
	}
	for i, m := range d.Members {
		name := m.Name
		if j.Own != nil && *j.Own == i {
			name += " (this folder's own line)"
		}
		rows.Add(fmt.Sprintf("member %d", i+1), fmt.Sprintf("%s\n%s\nkey %s", name, strings.Join(m.URLs, "\n"), j.Members[i].Node[:16]))
	}
	rows.Add("id", grouped(j.Ledger))
	a.print("%s", strings.TrimSuffix(rows.Text(""), "\n"))
	switch least, most := d.Spare()+1, n-d.Spare(); {
	case int(d.Release) < least:
		a.say("With %d keepers those who may lie, %d, could open what they like. %d is safer.", d.Release, d.Spare(), least)
	case int(d.Release) > most:
		a.say("While %d are missing, nothing opens: the other %d keepers are not enough.", d.Spare(), most)
	}
	a.say("Compare the id with all members, by voice. If a digit differs, stop. Then each, %s\nfirst: carekey-node found node DIR DRAFT --id ID --order URL", d.Members[0].Name)
}

// ownLine finds the line of a folder's keys in a draft, and compares it with what the
// folder prints. Errors: [folder.ErrNotNamed], errOwnLine.
func ownLine(dir string, cfg *config, d *node.Draft, genesis []byte) (i int, fd folder.Founding, err error) {
	m, keys, err := ownMember(dir, cfg)
	if err != nil {
		return 0, fd, err
	}
	if fd, err = keys.Founding(genesis); err != nil {
		return 0, fd, err
	}
	i = slices.IndexFunc(d.Members, func(other node.Member) bool { return other.Node == m.Node })
	if !reflect.DeepEqual(d.Members[i], m) {
		err = errOwnLine.With("dir", dir)
	}
	return i, fd, err
}

func newFoundNode(a *app) *cobra.Command {
	n := &founding{app: a}
	c := &cobra.Command{
		Use:   "node DIR DRAFT --id ID --order URL",
		Short: "Make this institution's node of the ledger in a draft",
		Long: `Make the ledger of a draft in the folder with this institution's keys, as init does,
with the other members as peers in node.json. --id is the id that all members
compared: a draft that was changed since is refused.

--order is the URL of the program that keeps the order of entries, which all members
share; it can differ in what it says of this computer: cometbft:/srv/order, where each runs
a validator on that folder (carekey-ledger-cometbft help). The node of the first member in
the draft begins the ledger there, and the others find it.`,
		Args: cli.Takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return n.make(cmd.Context(), args[0], args[1]) },
	}
	f := c.Flags()
	f.StringVar(&n.id, "id", "", "`ID` of the ledger, as all members compared it; spaces in it do not matter")
	f.StringVar(&n.order, "order", "", "`URL` of the backend that keeps the order")
	return c
}

// signedUnknown is what holds of a node whose folder is made anew while its ledger goes on.
const signedUnknown = "The ledger goes on already: this node may have signed in a folder that is lost. It signs nothing\nbefore the others have shown it what they signed; and payloads and shares that were in\nsuch a folder are not in this one."

// goesOn reports whether the ledger of a folder that was just made goes on already, so that its
// node may have signed something before, in a folder that is lost: another node shows a head
// with more than entry 0 that enough have signed; or the order has more, and none of the others
// answers.
func (a *app) goesOn(ctx context.Context, f *folder.Folder, cfg *config) (bool, error) {
	doc, err := f.Genesis(ctx)
	if err != nil {
		return false, err
	}
	c, err := contract.ParseConfig(doc)
	if err != nil {
		return false, err
	}
	heads := make([]ledgerclient.Head, len(cfg.Peers))
	answer := make([]bool, len(cfg.Peers))
	cfg.ask(func(i int, peer *node.Peer) {
		note, err := peer.Checkpoint(ctx)
		if err != nil {
			return
		}
		s, err := ledgerclient.OpenNote(f.ID(), c.Nodes, note)
		answer[i] = err == nil
		if err == nil {
			heads[i], _ = s.Under(c)
		}
	})
	if slices.ContainsFunc(heads, func(h ledgerclient.Head) bool { return h.Size > 1 }) {
		return true, nil
	}
	if slices.Contains(answer, true) {
		return false, ctx.Err()
	}
	b, err := a.openOrder(ctx, cfg.Order)
	if err != nil {
		return false, err
	}
	defer b.Close()
	head, err := b.Head(ctx)
	if err != nil {
		return false, err
	}
	at, _, err := f.Consumed(ctx)
	return head > at, err
}

// founding makes a node of the ledger in a draft.
type founding struct {
	*app
	id, order string // as they were given
}

func (a *founding) make(ctx context.Context, dir, draft string) error {
	d, err := a.readDraft(draft)
	if err != nil {
		return err
	}
	j, genesis, err := describeDraft(&d)
	if err != nil {
		return err
	}
	if a.id == "" {
		return usage("the id that all members compared is missing", "see it with: carekey-node found show DRAFT; then add --id ID")
	}
	if want := strings.ToLower(strings.Join(strings.Fields(a.id), "")); want != j.Ledger {
		return errDraftID.With("want", want, "got", j.Ledger)
	}
	if a.order == "" && len(d.Members) > 1 {
		return usage("several nodes need an order that they share", "add --order URL; see: carekey-node help init")
	}
	cfg, err := readConfig(dir)
	if err != nil {
		return err
	}
	own, fd, err := ownLine(dir, cfg, &d, genesis)
	if err != nil {
		return err
	}
	if f, err := a.openFolder(dir, cfg, true); err == nil {
		f.Close()
		return errNodeExists.With("dir", dir)
	} else if !errors.Is(err, folder.ErrNoLedger) {
		return err
	}
	// Before the ledger: where that is, the node is complete.
	err = edit(dir, func(c *config) error {
		c.Order, c.Peers = a.order, nil
		for i, m := range d.Members {
			if i != own {
				c.Peers = append(c.Peers, peerSetting{m.Name, m.URLs, m.Fingerprint})
			}
		}
		*cfg = *c
		return nil
	})
	if err != nil {
		return err
	}
	f, err := a.createIn(ctx, dir, fd, a.order)
	if t := (*ledgerclient.TamperedError)(nil); own > 0 && errors.As(err, &t) && t.What == "order" {
		return errNotBegun.Of(err, "by", d.Members[0].Name)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if len(d.Members) > 1 {
		before, err := a.goesOn(ctx, f, cfg)
		if err != nil {
			return err
		}
		if before {
			a.say(signedUnknown)
		} else if err := server.Founded(ctx, f, a.now()); err != nil {
			return err
		}
	}
	n, err := a.describe(ctx, f, dir, cfg)
	if err != nil {
		return err
	}
	a.say("Next: carekey-node serve %s --listen :%s", dir, portOf(cfg.URLs))
	return a.show(n)
}
