package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/atomicfile"
	"github.com/spf13/cobra"
)

// Names in a backup's folder. The mark is written first and makes the folder one.
const (
	backupMark   = "carekey-backup.json"
	backupWallet = "wallet"
	backupReadme = "README.txt"
)

// backupFolder holds the copy of a ledger in a backup.
func backupFolder(id crypto.LedgerID) string { return "ledger-" + hex.EncodeToString(id[:8]) }

// backupSheet is a page about a ledger at a node.
func backupSheet(id crypto.LedgerID) string { return "sheet-" + hex.EncodeToString(id[:8]) + ".txt" }

// backupInfo is what the mark says. It names nobody.
type backupInfo struct {
	V       int             `json:"v"`
	Ledger  crypto.LedgerID `json:"ledger"`  // the one that was backed up last
	Entries uint64          `json:"entries"` // of its copy; 0 if a node keeps it
}

func newBackup(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy the ledger and the wallet's sealed files, and check the copy",
		Long: `Copy what carekey restore needs besides the 24 words into a folder, and check the copy.
Into the same folder again, only what is new is copied.

Of a ledger in a folder all is copied but the keeper's shares: a share is destroyed
when its consent ends, and a copy of it would outlive that. A restore makes the
shares of your open consents again; others who use the ledger do the same with
theirs. The copy holds the ledger's keys: keep it where you would keep the ledger.

Of a ledger at a node nothing has to be copied: a page is written that tells how to
find it again, to be printed.

Not in a backup: the 24 words, and the key.`,
		Example: "  carekey backup /media/stick/carekey",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withLedgers(cmd, looks, alone, func(ctx context.Context, s *session) error {
				return backups{a}.make(ctx, s.all[0].w, s.all[0].l, args[0])
			})
		},
	}
}

// backups copies a ledger and the sealed files of a wallet.
type backups struct{ *app }

type backupJSON struct {
	Dir      string   `json:"dir"`
	Ledger   string   `json:"ledger"`
	Entries  uint64   `json:"entries"`         // in the copy of the ledger; 0 if a node keeps it
	Files    int      `json:"files"`           // that were copied this time
	Bytes    int64    `json:"bytes"`           // in them
	Sheet    string   `json:"sheet,omitempty"` // the page about a node
	Verified bool     `json:"verified"`
	Without  []string `json:"without"`
}

func (a backups) make(ctx context.Context, w *wallet.Wallet, l *ledger, to string) error {
	dir, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	if to == "" {
		return usage("the name of the folder is empty", "it goes: carekey backup DIR")
	}
	if l.away != nil {
		return l.away
	}
	if err := a.check(w, dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	id, _ := w.Ledger()
	info := backupInfo{V: 1, Ledger: id}
	// A mark that is there stays what it is until all is done: it may be of another
	// wallet's backup, or of another ledger, which still are one then.
	if _, err := readBackup(dir); err != nil {
		if err := writeBackupMark(dir, info); err != nil {
			return err
		}
	}
	write, err := w.Backup().Save(ctx, filepath.Join(dir, backupWallet))
	if err != nil {
		return err
	}
	j := backupJSON{Dir: dir, Ledger: id.String(), Without: []string{"words", "key"}}
	if l.folder != nil {
		if err := a.copyFolder(ctx, l, filepath.Join(dir, backupFolder(id)), &j); err != nil {
			return err
		}
		j.Without = append(j.Without, "shares")
	} else {
		size, err := length(ctx, l.Services)
		if err != nil {
			return err
		}
		text := sheet(l.at, w.Address(), a.now())
		j.Sheet = filepath.Join(dir, backupSheet(id))
		if err := atomicfile.Write(j.Sheet, []byte(text), 0o600); err != nil {
			return err
		}
		j.Entries = size
	}
	// After the copy of the ledger: until here, what was a backup before still is one.
	if err := write(); err != nil {
		return err
	}
	if err := w.Backup().SetDone(ctx, j.Entries); err != nil {
		return err
	}
	if l.folder == nil {
		j.Entries = 0
	}
	info.Entries = j.Entries
	if err := writeBackupMark(dir, info); err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(dir, backupReadme), []byte(backupText), 0o600); err != nil {
		return err
	}
	j.Verified = true
	return a.show(w, j)
}

// copyFolder copies the ledger and verifies every byte of the copy.
func (a backups) copyFolder(ctx context.Context, l *ledger, dst string, j *backupJSON) error {
	step, end := a.steps("copying")
	c, err := l.folder.Copy(ctx, dst, step)
	end()
	if err != nil {
		return err
	}
	there, err := a.openFolder(ctx, dst)
	if err != nil {
		return err
	}
	defer there.close()
	step, end = a.steps("verifying")
	v, err := there.verify(ctx, nil, true, step)
	end()
	if err != nil {
		return err
	}
	if v.Size != c.Size {
		return &ledgerclient.RollbackError{Pinned: c.Size, Head: v.Size}
	}
	j.Entries, j.Files, j.Bytes = c.Size, c.Files, c.Bytes
	return nil
}

// check reports whether a folder is free, or a backup, and not inside of what is
// backed up: there it would be lost with it.
func (a backups) check(w *wallet.Wallet, dir string) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	insides := []string{filepath.Join(home, "wallets"), filepath.Join(home, defaultLedger)}
	id, _ := w.Ledger()
	settings := w.Settings()
	if at, ok := settings.Ledger(id); ok && stored(home, at.At).dir != "" {
		insides = append(insides, stored(home, at.At).dir)
	}
	for _, in := range insides {
		if isInside(real(dir), real(in)) {
			return usage(dir+" is inside of what is to be backed up", "choose a folder elsewhere, best on another disk")
		}
	}
	if vacant, err := disk.Vacant(dir); vacant || err != nil {
		return err
	}
	if _, err := readBackup(dir); err != nil {
		return taken(dir)
	}
	return nil
}

// isInside reports whether a path is a folder's or below it.
func isInside(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// real is a path without symbolic links, as far as it exists.
func real(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if p, err := filepath.EvalSymlinks(path); err == nil {
		return p
	}
	if up := filepath.Dir(path); up != path {
		return filepath.Join(real(up), filepath.Base(path))
	}
	return path
}

func readBackup(dir string) (info backupInfo, err error) {
	b, err := disk.ReadFile(filepath.Join(dir, backupMark), 1<<16)
	if err != nil && !is[*disk.KindError](err) {
		return info, err
	}
	if err == nil {
		err = json.Unmarshal(b, &info)
	}
	if err != nil || info.V < 1 {
		return backupInfo{}, &wallet.DamagedError{File: backupMark, Err: err}
	}
	if info.V != 1 {
		return info, wallet.WrongVersion(backupMark, info.V, 1)
	}
	return info, nil
}

func writeBackupMark(dir string, info backupInfo) error {
	b, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, backupMark), append(b, '\n'), 0o600)
}

// backupText is for whoever finds the folder.
const backupText = `This is a backup made by carekey.

ledger-*     a copy of the ledger, with all payloads that it held and with its keys:
             keep it where nobody else can read it
sheet-*.txt  where a node keeps the ledger: how to find it again; print it
wallet       contacts, settings and imported tables, sealed: only the 24 words open them

Not in it: the 24 words, the key, and the keeper's shares, which a restore makes again.

To bring the wallet back on a new machine, with the 24 words at hand:

    carekey restore --ledger THIS-FOLDER

or, with the invitation that is on the sheet:

    carekey restore --ledger INVITATION --backup THIS-FOLDER
`

func (a backups) show(w *wallet.Wallet, j backupJSON) error {
	if j.Sheet == "" {
		a.say("Copied the ledger (%s) and the wallet's sealed files, and checked the copy.\n%s new, %s.", plural(int(j.Entries), "entry", "entries"),
			plural(j.Files, "file was", "files were"), bytesText(j.Bytes))
		a.say("Not in it: your 24 words and the key, without which it opens for nobody, and the keeper's shares, which a restore makes again.")
	} else {
		a.say("The ledger is kept by its node. %s tells how to find it again: print it.", j.Sheet)
		a.say("Not in it: your 24 words and the key.")
	}
	if n := len(w.Settings().Ledgers); n > 1 {
		a.say("Your wallet is on %d ledgers, and this backup is of one: see --ledger.", n)
	}
	care := w.Backup().Care()
	if care.WordsDue(a.now()) {
		a.next("find out whether you have the words that go with it: carekey words check")
	}
	a.data(j.Dir)
	return a.result(j)
}
