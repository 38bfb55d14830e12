package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/spf13/cobra"
)

func newEvidence(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "evidence FILE",
		Short: "Check the proof that a ledger showed two histories",
		Long: `Check an evidence file, which a wallet writes when a ledger shows it another history
than it has shown before, to this wallet or to somebody else's. No wallet and no
ledger is needed: the file holds the ledger's configuration and two heads with the
signatures of its nodes. What must be compared with a source that you trust is the
ledger's id.`,
		RunE: func(cmd *cobra.Command, args []string) error { return evidence(cmd.Context(), a, args[0]) },
	}
}

func evidence(ctx context.Context, a *app, path string) error {
	raw, err := cli.UnlessDone(ctx, func() ([]byte, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, ledgerclient.MaxEvidence+1))
	})
	if err != nil {
		return err
	}
	e, err := ledgerclient.ParseEvidence(raw)
	if err != nil {
		return err
	}
	found, err := e.Check()
	if err != nil {
		return err
	}
	signed := func(h ledgerclient.Head) string {
		s := plural(int(h.Size), "entry", "entries")
		if !h.Time.IsZero() {
			s += ", signed at " + instant(h.Time)
		}
		return s
	}
	a.print("The nodes of this ledger signed two histories. Neither is the beginning of the other.")
	rows := cli.Rows{
		{"ledger", found.Ledger.String()},
		{"name", cli.Clean(found.Name)},
		{"one head", signed(found.Older)},
		{"", "root " + found.Older.Root.String()},
		{"other head", signed(found.Newer)},
		{"", fmt.Sprintf("root %s of its first %d", found.Root, found.Older.Size)},
	}
	name := "signed both"
	for _, key := range found.Both {
		rows.Add(name, "node "+key.String())
		name = ""
	}
	a.rows(rows)
	a.say("This holds whoever gave you the file. Compare the ledger's id with one you trust.")
	return a.result(evidenceJSON{"fork", found})
}

type evidenceJSON struct {
	Proves string `json:"proves"` // "fork"
	ledgerclient.Finding
}
