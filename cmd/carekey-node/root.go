package main

import (
	"github.com/carekey/carekey/cmd/cli"
	"github.com/spf13/cobra"
)

const about = `carekey-node runs a node of a ledger: it keeps the order of the entries, stores
ciphertext and holds a share of the key to each envelope, and serves all three to
wallets. It never sees a private key of theirs, a name or a record.

  carekey-node init /srv/ledger --name 'City ledger' --url https://ledger.example:8443
  carekey-node serve /srv/ledger --listen :8443
  carekey-node invite /srv/ledger`

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "carekey-node",
		Short: "A node of a ledger for health data",
		Long:  about,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	g := root.PersistentFlags()
	g.BoolVar(&a.flags.json, "json", false, "print one JSON value on stdout, errors and logs as JSON on stderr")
	g.BoolVarP(&a.flags.yes, "yes", "y", false, "answer every confirmation with yes")
	g.BoolVarP(&a.flags.quiet, "quiet", "q", false, "say nothing on stderr but errors and logs")
	root.AddCommand(newInit(a), newFound(a), newServe(a), newInvite(a), newToken(a), newStatus(a), newVkey(a), newBackup(a), newConform(a), newWitness(a), newUnit(a), newDevnet(a), cli.VersionCommand())
	cli.Program(root, exitStatus, schemas)
	return root
}

const exitStatus = `EXIT STATUS
  0    done; a server was told to stop
  1    unexpected: disk full, no permission, address in use, and the like
  2    wrong usage, or an answer is missing
  3    refused: there is a ledger or a server already, the clock is off
  5    the ledger is busy, or the backend of the order is out of reach
  6    verification failed: damaged files, an order that cannot be one,
       a backend that does not conform
  7    not found
  130  interrupted`
