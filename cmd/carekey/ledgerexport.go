package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/spf13/cobra"
)

// ledgerOutJSON is what an export of a ledger wrote, and where.
type ledgerOutJSON struct {
	Dir    string          `json:"dir"`
	Ledger crypto.LedgerID `json:"ledger"`
	Size   uint64          `json:"size"` // entries
	Root   crypto.Hash     `json:"root"`
	Files  int             `json:"files"` // written now: what was there already is not written again
	Vkey   string          `json:"vkey"`  // key of the checkpoint
}

func (a ledgers) newExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export DIR",
		Short: "Write the ledger's log as files that stock tools for such logs can read",
		Long: `Write the whole log into a folder as C2SP tlog-tiles: a checkpoint, the tiles of its
tree and the entries, as any reader, mirror or monitor of such logs takes them. Every
entry is checked to be under the signed head before a file gets its name. The entries
are those that everybody can read on the ledger: no name, no record, no key.

Into the same folder again it writes only what is new, and compares the rest. A file
that is not the ledger's is never replaced. The key that is printed checks the
checkpoint: a tool is given it, and the folder.

With --ledger no wallet is needed.`,
		Example: "  carekey ledger export DIR\n  carekey ledger export DIR --ledger /srv/health",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.export(cmd, args[0]) },
	}
}

func (a ledgers) export(cmd *cobra.Command, dir string) error {
	// A ledger's own folder has a checkpoint too, and nothing is put into that.
	if vacant, err := disk.Vacant(dir); err != nil {
		return err
	} else if !vacant && disk.IsDir(filepath.Join(dir, "tile")) != nil {
		return taken(dir)
	}
	p, err := a.place()
	if err != nil {
		return err
	}
	if p.settings != nil {
		return a.withLedgers(cmd, looks, alone, func(ctx context.Context, s *session) error {
			w := s.all[0].w
			if _, away := w.Log().OutOfReach(); away != nil {
				return away
			}
			size, root, _, err := w.Log().Head(ctx)
			if err != nil {
				return err
			}
			return a.exportLog(ctx, s.all[0].l, p.id, ledgerclient.Head{Size: size, Root: root}, dir)
		})
	}
	l, err := a.openLedger(cmd.Context(), p)
	if err != nil {
		return err
	}
	defer l.close()
	return a.exportLog(cmd.Context(), l, p.id, ledgerclient.Head{}, dir)
}

// exportLog writes the log of a ledger, which goes on from what the wallet saw of it.
func (a ledgers) exportLog(ctx context.Context, l *ledger, id crypto.LedgerID, seen ledgerclient.Head, dir string) error {
	c, err := ledgerclient.Connect(ctx, l.Services, id)
	if err != nil {
		return err
	}
	c.Now = a.now
	head, err := c.Head(ctx)
	if err == nil {
		err = c.CheckHead(ctx, seen, head)
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return err
	}
	step, end := a.steps("verifying")
	x, err := node.Export(ctx, c, dir, step)
	end()
	if err != nil {
		return err
	}
	j := ledgerOutJSON{Dir: dir, Ledger: c.ID(), Size: x.Head.Size, Root: x.Head.Root, Files: x.Files}
	if j.Vkey, err = ledgerclient.VerifierKey(ledgerclient.Origin(j.Ledger), c.Config().Nodes[0].Checkpoint); err != nil {
		return err
	}
	a.say("%s in %s, as tlog-tiles: %s new. The key of its checkpoint:", plural(int(j.Size), "entry", "entries"), dir, plural(j.Files, "file", "files"))
	if !a.flags.json {
		_, err := a.out.WriteString(j.Vkey + "\n") // one unbroken word, whatever the width
		return err
	}
	return a.result(j)
}
