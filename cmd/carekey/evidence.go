package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"

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

type evidenceJSON struct {
	Proves string           `json:"proves"` // "fork"
	ID     string           `json:"id"`     // of the ledger
	Name   string           `json:"name"`
	Older  evidenceHeadJSON `json:"older"`
	Newer  evidenceHeadJSON `json:"newer"`
	Root   string           `json:"root"` // of the newer head's history, at the size of the older one
}

type evidenceHeadJSON struct {
	Size uint64 `json:"size"` // entries
	Root string `json:"root"`
	Time string `json:"time,omitempty"` // when it was signed, if the signature tells
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
	head := func(h ledgerclient.Head) evidenceHeadJSON {
		j := evidenceHeadJSON{Size: h.Size, Root: hex.EncodeToString(h.Root[:])}
		if !h.Time.IsZero() {
			j.Time = h.Time.UTC().Format(time.RFC3339)
		}
		return j
	}
	j := evidenceJSON{
		Proves: "fork",
		ID:     found.Ledger.String(),
		Name:   found.Name,
		Older:  head(found.Older),
		Newer:  head(found.Newer),
		Root:   found.Root.String(),
	}
	if a.flags.json {
		return a.printJSON(j)
	}
	signed := func(h evidenceHeadJSON) string {
		s := plural(int(h.Size), "entry", "entries")
		if h.Time != "" {
			s += ", signed at " + h.Time
		}
		return s
	}
	a.print("The nodes of this ledger signed two histories. Neither is the beginning of the other.")
	a.rows(cli.Rows{
		{"ledger", j.ID},
		{"name", cli.Clean(j.Name)},
		{"one head", signed(j.Older)},
		{"", "root " + j.Older.Root},
		{"other head", signed(j.Newer)},
		{"", fmt.Sprintf("root %s of its first %d", j.Root, j.Older.Size)},
	})
	a.say("This holds whoever gave you the file. Compare the ledger's id with one you trust.")
	return nil
}
