package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/qr"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/spf13/cobra"
)

// inviteFlags are what an invitation is made of and where it goes.
type inviteFlags struct {
	token tokenFlags // of a new one that is put in
	urls  []string
	qr    bool
	png   string
}

func newInvite(a *app) *cobra.Command {
	var o inviteFlags
	c := &cobra.Command{
		Use:   "invite DIR [--token NAME] [-o FILE.png]",
		Short: "Print an invitation: all that a wallet must know of the node",
		Long: `Print one string with the ledger's name and id, the node's URLs and key and the
fingerprint of its TLS key, and at a terminal that is large enough a QR code of it.
Wallets are joined to the ledger with: carekey ledger join INVITATION

Hand it over in a way that people trust: whoever changes it on the way chooses the
ledger. It is secret only if there is a token in it.

--token NAME makes a new submit token of that name and puts it into the invitation,
which is how a wallet gets it. The first one closes this node, and so shuts out every
wallet that joined without, so that it is asked for: without a terminal add --yes.
` + "\n" + aboutTokens,
		RunE: func(cmd *cobra.Command, args []string) error {
			i, err := a.invite(cmd.Context(), args[0], &o)
			if err != nil {
				return err
			}
			text := i.String()
			if a.flags.json {
				return a.result(invitationJSON{text, i.Ledger.String(), i.Name, i.URLs, fingerprintText(i.Fingerprint), i.Token != ""})
			}
			return a.showInvitation(text, &o)
		},
	}
	c.Flags().StringArrayVar(&o.urls, "url", nil, "`URL` of the node, in place of those in node.json; up to 4")
	c.Flags().BoolVar(&o.qr, "qr", false, "show the QR code also where there is no terminal, or one that is too small")
	c.Flags().StringVarP(&o.png, "output", "o", "", "write the QR code as an image to a new `FILE.png`, for your eyes only")
	o.token.add(c)
	return c
}

type invitationJSON struct {
	Invitation  string   `json:"invitation"`
	Ledger      string   `json:"ledger"`
	Name        string   `json:"name"`
	URLs        []string `json:"urls"`
	Fingerprint string   `json:"fingerprint"` // "" if the system's authorities vouch
	Token       bool     `json:"token"`       // there is one in it
}

// invite makes an invitation, with a new token if it is to have one.
func (a *app) invite(ctx context.Context, dir string, o *inviteFlags) (node.Invitation, error) {
	var none node.Invitation
	cfg, f, err := a.openNode(dir)
	if err != nil {
		return none, err
	}
	defer f.Close()
	i, err := a.invitation(ctx, dir, cfg, f)
	if err != nil {
		return none, err
	}
	if len(o.urls) > 0 {
		i.URLs = nil
		for _, u := range o.urls {
			i.URLs = append(i.URLs, strings.TrimSuffix(u, "/"))
		}
	}
	if !slices.ContainsFunc(i.URLs, func(u string) bool { return strings.HasPrefix(u, "https://") }) {
		i.Fingerprint = crypto.Hash{}
	}
	if !i.Valid() {
		return none, usage("these URLs cannot be in an invitation", "1 to 4 of them, each once; "+aURL)
	}
	if err := o.token.wrong(); err != nil {
		return none, err
	}
	// Before a token is made for an image that cannot be written.
	if _, err := os.Lstat(o.png); o.png != "" && err == nil {
		return none, usage("the file exists: "+o.png, "name a new file: -o FILE.png")
	}
	if o.token.name != "" {
		if i.Token, err = a.giveToken(ctx, dir, cfg, f.ID(), &o.token); err != nil {
			return none, err
		}
		a.say("This invitation is secret: there is a token in it, and it is shown once.\nWho has joined already joins again with it: carekey ledger join INVITATION")
	} else if cfg.Closed {
		a.say("The node takes entries only with a token, and there is none in this invitation:\nwho is invited can look and revoke. To let others submit: --token NAME")
	}
	if o.png != "" {
		return i, writePicture(o.png, i.String())
	}
	return i, nil
}

// writePicture writes a QR code as a picture into a new file that only its owner can read.
func writePicture(path, text string) error {
	picture, err := qr.PNG(text)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(picture)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// showInvitation prints an invitation, with its QR code if it is all to be seen.
func (a *app) showInvitation(text string, o *inviteFlags) error {
	width, height := cli.Size(a.err)
	if o.qr || o.png == "" && width > 0 && !a.flags.quiet {
		code, w, h, err := qr.Text(text)
		if err != nil {
			return err
		}
		// Beside it stands the invitation itself.
		if rest := (len(text)+max(width, 1)-1)/max(width, 1) + 1; o.qr || w <= width && h+rest <= height {
			a.err.WriteString(code)
		} else {
			a.say("Its QR code does not fit: with the invitation it takes %d columns and %d lines,\nand this terminal has %d and %d. As an image: -o FILE.png", w, h+rest, width, height)
		}
	}
	a.print("%s", text)
	return nil
}

// invitation is the node's, without a token.
func (a *app) invitation(ctx context.Context, dir string, cfg *config, f *folder.Folder) (node.Invitation, error) {
	doc, err := f.Genesis(ctx)
	if err != nil {
		return node.Invitation{}, err
	}
	i, err := node.InvitationTo(doc, cfg.URLs)
	i.Node = f.Node().Checkpoint
	if err == nil && cfg.TLS.Pin {
		certs, err := openCertificate(dir, cfg)
		if err != nil {
			return node.Invitation{}, err
		}
		i.Fingerprint = node.Fingerprint(certs.leaf())
	}
	return i, err
}

func fingerprintText(h crypto.Hash) string {
	if h.IsZero() {
		return ""
	}
	return h.String()
}
