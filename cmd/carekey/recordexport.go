package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet"
)

// recordsOutJSON is what an export wrote, and where.
type recordsOutJSON struct {
	Dir string `json:"dir"`
	wallet.Exported
}

func (a *records) export(ctx context.Context, w *wallet.Wallet, args []string) error {
	if a.versions != "newest" && a.versions != "all" {
		return wallet.ErrInput.With("field", "versions", "value", a.versions, "why", "newest or all")
	}
	if args[0] == "-" {
		return usage("an export is a folder of files, and no stream", "name a folder")
	}
	var step func(int64)
	var end func()
	x, err := w.Records().Export(ctx, args[0], a.versions == "all", func(done, total int64) {
		if end == nil {
			step, end = a.progress("decrypting", total)
		}
		if step != nil {
			step(done)
		}
	})
	if end != nil {
		end()
	}
	if errors.Is(err, wallet.ErrFileExists) {
		return usage("there is an export in "+args[0]+" already", "name another folder: nothing is ever replaced")
	}
	if err != nil {
		return err
	}
	var first error
	for i := range x.Left {
		f := &x.Left[i]
		f.Error = explain(f.Err).Code
		if first == nil {
			first = f.Err
		}
		a.say("not written: %s, version %d (%s): %s", quoted(f.Title), f.Version, short(f.Record), explain(f.Err).Message)
	}
	index := func(dst io.Writer) error { _, err := io.WriteString(dst, indexOf(&x)); return err }
	manifest := func(dst io.Writer) error { return cli.WriteJSON(dst, x, true) }
	if err := wallet.SaveFile(filepath.Join(args[0], wallet.ExportIndex), crypto.Hash{}, false, index); err != nil {
		return err
	}
	if err := wallet.SaveFile(filepath.Join(args[0], wallet.ExportManifest), crypto.Hash{}, false, manifest); err != nil {
		return err
	}
	a.say("%s in %s, with %s and %s. NOT encrypted: keep them as you would keep paper.", plural(len(x.Files), "file", "files"), cli.Clean(args[0]), wallet.ExportIndex, wallet.ExportManifest)
	if others := len(w.Settings().Ledgers) - 1; others > 0 {
		a.say("Records on your %s are not among them: carekey record export DIR --ledger NAME", plural(others, "other ledger", "other ledgers"))
	}
	if err := a.result(recordsOutJSON{args[0], x}); err != nil {
		return err
	}
	if first != nil {
		return wallet.ErrPartly.Of(first, "done", len(x.Files), "failed", len(x.Left))
	}
	return nil
}

// indexOf lists an export for people.
func indexOf(x *wallet.Exported) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Records of %s\naddress %s\nledger %s, %s\n%s, not encrypted\n", cli.Clean(x.Name), x.Address, x.Ledger, wallet.HourTime(x.Made).Format("2006-01-02"), plural(len(x.Files), "file", "files"))
	say := func(f *wallet.ExportedFile, file string) {
		fmt.Fprintf(&b, "\n%s\n", cli.Clean(file))
		rows := cli.Rows{{"title", cli.Clean(f.Title)}, {"category", string(f.Category)}, {"date", f.Date}, {"record", fmt.Sprintf("%s, version %d", f.Record, f.Version)},
			{"added", fmt.Sprintf("%s as %s, %s", wallet.HourTime(f.Added).Format("2006-01-02"), cli.Clean(f.Original), bytesText(f.Size))}, {"sha-256", f.SHA256.String()}}
		if f.Date == "" {
			rows = append(rows[:2], rows[3:]...)
		}
		b.WriteString(rows.Text("  "))
	}
	for i := range x.Files {
		say(&x.Files[i], x.Files[i].File)
	}
	for i := range x.Left {
		say(&x.Left[i], "NOT WRITTEN: "+explain(x.Left[i].Err).Message)
	}
	return b.String()
}
