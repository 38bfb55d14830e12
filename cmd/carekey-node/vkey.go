package main

import (
	"github.com/carekey/carekey/ledgerclient"
	"github.com/spf13/cobra"
)

type vkeyJSON struct {
	Ledger string `json:"ledger"`
	Origin string `json:"origin"` // first line of the checkpoints
	Vkey   string `json:"vkey"`
}

func newVkey(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "vkey DIR",
		Short: "Print the key of the checkpoints as monitors and witnesses take it",
		Long: `Print the public key that signs a ledger's checkpoints as a C2SP verifier key: the
origin, a hash and the key, joined by +. Programs that read transparency logs take it:

  carekey-node vkey /srv/ledger > ledger.vkey
  fsck --storage_url https://ledger.example:8443/carekey/v1/ --public_key ledger.vkey

It is public. Whoever gets it in a way that can be trusted can tell this ledger's
checkpoints from those of any other.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, f, err := a.openNode(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			i, err := a.invitation(cmd.Context(), args[0], cfg, f)
			if err != nil {
				return err
			}
			j := vkeyJSON{Ledger: i.Ledger.String(), Origin: ledgerclient.Origin(i.Ledger)}
			if j.Vkey, err = ledgerclient.VerifierKey(j.Origin, i.Node); err != nil {
				return err
			}
			if !a.flags.json {
				_, err := a.out.WriteString(j.Vkey + "\n") // one unbroken word, whatever the width
				return err
			}
			return a.result(j)
		},
	}
}
