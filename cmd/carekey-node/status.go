package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/spf13/cobra"
)

// description is a node in JSON.
type description struct {
	Dir         string      `json:"dir"`
	Name        string      `json:"name"`
	Ledger      string      `json:"ledger"`
	Node        string      `json:"node"` // key of the checkpoints
	URLs        []string    `json:"urls"`
	Fingerprint string      `json:"fingerprint"` // of the TLS key, if invitations pin it
	Expires     string      `json:"certificate_expires"`
	Entries     uint64      `json:"entries"`
	LastHour    string      `json:"last_entry"`
	Tokens      int         `json:"tokens"`              // that this institution gave and has not taken back
	Closed      bool        `json:"closed"`              // nothing is taken without a token
	Order       string      `json:"order"`               // "" for the folder itself
	Consumed    *uint64     `json:"consumed"`            // items of the order
	State       *orderState `json:"order_state"`         // of status alone; none of an order that does not say it
	Witnesses   []string    `json:"witnesses,omitempty"` // names of those that the server asks
	Serving     bool        `json:"serving"`             // a server runs on the folder
	Nodes       int         `json:"nodes"`               // of the ledger
	Threshold   int         `json:"threshold"`           // how many of them must sign a head
	Peers       []peerState `json:"peers"`               // of status alone
	Damaged     []string    `json:"damaged"`             // keys and files that are not what was written: nothing is served that such a key signs, and no link opened that may be meant
	Strange     []string    `json:"strange"`             // files and folders that carekey never wrote: passed over
	damage      error       // the first of Damaged
	config      contract.Config
	me          contract.Node
	asked       bool // Peers is filled in
	unsure      bool // it does not know what it has signed, see server.ErrUnsure
}

func (a *app) describe(ctx context.Context, f *folder.Folder, dir string, cfg *config) (description, error) {
	d := description{Dir: dir, Damaged: []string{}, Peers: []peerState{}, URLs: cfg.URLs, Tokens: len(cfg.good(a.now())), Closed: cfg.Closed, Order: order.Shown(cfg.Order)}
	i, err := a.invitation(ctx, dir, cfg, f)
	if err != nil {
		return d, err
	}
	doc, err := f.Genesis(ctx)
	if err != nil {
		return d, err
	}
	if d.config, err = contract.ParseConfig(doc); err != nil {
		return d, err
	}
	d.me = f.Node()
	d.Nodes, d.Threshold = len(d.config.Nodes), int(d.config.Threshold)
	d.Name, d.Ledger, d.Node, d.Fingerprint = i.Name, i.Ledger.String(), fmt.Sprintf("%x", i.Node), fingerprintText(i.Fingerprint)
	certs, err := openCertificate(dir, cfg)
	if err != nil {
		return d, err
	}
	d.Expires = certs.leaf().NotAfter.UTC().Format(time.RFC3339)
	for _, w := range cfg.Witnesses {
		name, _, _ := strings.Cut(w.Vkey, "+")
		d.Witnesses = append(d.Witnesses, name)
	}
	head, err := f.Head(ctx)
	if err != nil {
		return d, err
	}
	d.Entries = head.Size
	d.LastHour = time.Unix(int64(head.Hour)*3600, 0).UTC().Format(time.RFC3339)
	if cfg.Order != "" {
		n, _, err := f.Consumed(ctx)
		if err != nil {
			return d, err
		}
		d.Consumed = &n
	}
	for _, err := range f.CheckKeys() {
		d.Damaged, d.damage = append(d.Damaged, err.Error()), cmp.Or(d.damage, err)
	}
	strange, odd, err := f.Strangers()
	if err != nil {
		return d, err
	}
	d.Strange = append([]string{}, strange...)
	for _, err := range odd {
		d.Damaged, d.damage = append(d.Damaged, err.Error()), cmp.Or(d.damage, error(err))
	}
	if err := f.CheckLinks(ctx); err != nil {
		d.Damaged, d.damage = append(d.Damaged, err.Error()+": "+linksDamaged), cmp.Or(d.damage, err)
	}
	lock, err := claim(filepath.Join(dir, serveLock))
	if errors.Is(err, folder.ErrBusy) {
		d.Serving = true
		_, err := os.Lstat(filepath.Join(dir, "signed"))
		d.unsure = errors.Is(err, fs.ErrNotExist)
	} else if err == nil {
		lock.Close()
	}
	return d, nil
}

// orderState is what an order says of itself.
type orderState struct {
	Decides *bool  `json:"decides"` // null if it cannot be known here
	Waits   int    `json:"waits"`   // for how many seconds what was submitted here has waited to be ordered
	Words   string `json:"words"`
}

// askOrder asks the order in what state it is; nil if it does not say that. One that cannot be
// asked decides nothing of what is submitted here; but that its program is not found says
// nothing of a node that runs, and found it.
func (a *app) askOrder(ctx context.Context, url string) *orderState {
	ctx, cancel := context.WithTimeout(ctx, orderWithin)
	defer cancel()
	b, err := a.openOrder(ctx, url)
	if p, ok := errors.AsType[*order.ProgramError](err); ok && p.Fault == order.Missing {
		return &orderState{Words: explanations.Explain(err).Message}
	}
	if err != nil {
		return &orderState{Decides: new(false), Words: explanations.Explain(err).Message}
	}
	defer b.Close()
	of, is := b.(order.Stated)
	if !is {
		return nil
	}
	switch s, err := of.State(ctx); {
	case err != nil:
		return &orderState{Decides: new(false), Words: explanations.Explain(err).Message}
	case s != nil:
		return &orderState{new(s.Decides), int(s.Waits / time.Second), s.Words}
	}
	return nil
}

// orderWithin is how long status waits for the program of an order.
const orderWithin = 10 * time.Second

// text is the state in words. Where this node alone has nothing ordered, that is said alike.
func (s *orderState) text() string {
	text := strings.ReplaceAll(cli.Clean(s.Words), "; ", ";\n")
	switch {
	case s.Decides == nil:
		return "not known from here: " + text
	case !*s.Decides:
		return "HALTED HERE: " + text
	}
	return text
}

// linksDamaged is what holds where something of the links cannot be read.
const linksDamaged = "no link opens whose openings may have stood there, and the share of one of which nothing at all can be read goes to whoever has the link"

// show prints a node.
func (a *app) show(d description) error {
	kept := "this folder"
	if d.Consumed != nil {
		kept = fmt.Sprintf("%s (%d items read)", d.Order, *d.Consumed)
	}
	if d.State != nil {
		kept += "\n" + d.State.text()
	}
	vouched := "the system's certificate authorities"
	if d.Fingerprint != "" {
		vouched = "pinned by invitations: " + d.Fingerprint[:16] + "…"
	}
	tokens := "not needed: everybody may submit"
	if d.Closed {
		tokens = fmt.Sprintf("needed to submit; given here: %d", d.Tokens)
	}
	serving := "no"
	if d.Serving {
		serving = "yes"
	}
	rows := cli.Rows{{"ledger", d.Name}, {"id", d.Ledger}, {"folder", d.Dir}, {"urls", strings.Join(d.URLs, "\n")},
		{"tls key", vouched}, {"certificate", "until " + d.Expires[:10]}, {"order", kept},
		{"entries", fmt.Sprintf("%d, the last of %s", d.Entries, strings.Replace(d.LastHour[:16], "T", " ", 1)+" UTC")}, {"tokens", tokens}, {"serving", serving}}
	if d.asked {
		rows.Add("nodes", d.nodesText())
	}
	if len(d.Damaged) > 0 {
		rows.Add("damaged", strings.Join(d.Damaged, "\n"))
	}
	if n := len(d.Strange); n > 0 {
		rows.Add("not its own", fmt.Sprintf("%d files or folders that carekey never wrote and passes over,\nsuch as %s", n, cli.Clean(d.Strange[0])))
	}
	a.print("%s", strings.TrimSuffix(rows.Text(""), "\n"))
	return a.result(d)
}

func newStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status DIR",
		Short: "Show what is in a node's folder and whether a server runs on it",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, f, err := a.openNode(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			d, err := a.describe(cmd.Context(), f, args[0], cfg)
			if err != nil {
				return err
			}
			if d.asked = d.Nodes > 1; d.asked {
				if d.Peers, err = a.askPeers(cmd.Context(), f, cfg, d.config); err != nil {
					return err
				}
			}
			if cfg.Order != "" {
				d.State = a.askOrder(cmd.Context(), cfg.Order)
			}
			if err := a.show(d); err != nil {
				return err
			}
			return d.damage
		},
	}
}
