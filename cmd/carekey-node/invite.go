package main

import (
	"context"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/embedded"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/spf13/cobra"
)

func newInvite(a *app) *cobra.Command {
	var o struct {
		token string
		urls  []string
		qr    bool
	}
	c := &cobra.Command{
		Use:   "invite DIR [--token NAME]",
		Short: "Print an invitation: all that a wallet must know of the node",
		Long: `Print one string with the ledger's name and id, the node's URLs and key and the
fingerprint of its TLS key, and at a terminal a QR code of it. Wallets are joined
to the ledger with: carekey ledger join INVITATION

Hand it over in a way that people trust: whoever changes it on the way chooses the
ledger. It is secret only if there is a token in it.

--token NAME makes a new submit token of that name and puts it into the invitation.
` + "\n" + aboutTokens,
		Args: cli.Takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := args[0]
			cfg, err := readConfig(dir)
			if err != nil {
				return err
			}
			f, err := a.openFolder(dir, cfg, false)
			if err != nil {
				return err
			}
			defer f.Close()
			i, err := a.invitation(cmd.Context(), dir, cfg, f)
			if err != nil {
				return err
			}
			if len(o.urls) > 0 {
				i.URLs = nil
				for _, u := range o.urls {
					i.URLs = append(i.URLs, strings.TrimSuffix(u, "/"))
				}
			}
			if pinless := !hasTLS(i.URLs); pinless {
				i.Fingerprint = crypto.Hash{}
			}
			if !i.Valid() {
				return usage("these URLs cannot be in an invitation", "a URL is like https://ledger.example:8443; 1 to 4 of them, each once")
			}
			if o.token != "" {
				first := false
				err := edit(dir, func(c *config) (err error) {
					first = len(c.Tokens) == 0
					i.Token, err = c.addToken(o.token, a.now())
					return err
				})
				if err != nil {
					return err
				}
				a.sayFirst(first)
				a.say("This invitation is secret: there is a token in it.")
			} else if len(cfg.Tokens) > 0 {
				a.say("The node takes entries only with a token, and there is none in this invitation:\nwho is invited can read and fetch. To let others submit: --token NAME")
			}
			text := i.String()
			if a.flags.json {
				return a.printJSON(struct {
					Invitation  string   `json:"invitation"`
					Ledger      string   `json:"ledger"`
					Name        string   `json:"name"`
					URLs        []string `json:"urls"`
					Fingerprint string   `json:"fingerprint"` // "" if the system's authorities vouch
					Token       bool     `json:"token"`       // there is one in it
				}{text, i.Ledger.String(), i.Name, i.URLs, fingerprintText(i.Fingerprint), i.Token != ""})
			}
			if width := cli.Width(a.err); o.qr || width > 0 && !a.flags.quiet {
				code, err := qrText(text)
				if err != nil {
					return err
				}
				if o.qr || qrWidth(code) <= width {
					a.err.WriteString(code)
				}
			}
			a.print("%s", text)
			return nil
		},
	}
	c.Flags().StringVar(&o.token, "token", "", "make a submit token `NAME` and put it in")
	c.Flags().StringArrayVar(&o.urls, "url", nil, "`URL` of the node, in place of those in node.json; up to 4")
	c.Flags().BoolVar(&o.qr, "qr", false, "show the QR code also where there is no terminal")
	return c
}

// invitation is the node's, without a token.
func (a *app) invitation(ctx context.Context, dir string, cfg *config, f *embedded.Folder) (node.Invitation, error) {
	doc, err := f.Genesis(ctx)
	if err != nil {
		return node.Invitation{}, err
	}
	c, err := contract.ParseConfig(doc)
	if err != nil {
		return node.Invitation{}, err
	}
	i := node.Invitation{Ledger: c.LedgerID(), Node: c.Nodes[0].Checkpoint, Name: c.Name, URLs: cfg.URLs}
	if cfg.TLS.Pin {
		certs, err := openCertificate(dir, cfg)
		if err != nil {
			return node.Invitation{}, err
		}
		if i.Fingerprint, err = certs.fingerprint(); err != nil {
			return node.Invitation{}, err
		}
	}
	return i, nil
}

func hasTLS(urls []string) bool {
	for _, u := range urls {
		if strings.HasPrefix(u, "https://") {
			return true
		}
	}
	return false
}

func fingerprintText(h crypto.Hash) string {
	if h.IsZero() {
		return ""
	}
	return h.String()
}
