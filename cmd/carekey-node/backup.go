package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/atomicfile"
	"github.com/spf13/cobra"
)

const notInBackup = `Not in it are the keeper's shares, so that a key that was destroyed does not live on
in a backup. From a backup the ledger goes on with all its entries and payloads, but
what was granted and not opened before stays closed until the one who granted it
deposits the key again or grants anew. Nor are uploads in it that were under way.
Of a ledger with several nodes it is not in it what this one signed last: put in the
place of the folder, it signs nothing before the others have shown it what they
signed, twice as many as may be missing and one more, and it has read as much.`

func newBackup(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "backup DIR TARGET",
		Short: "Copy the ledger into another folder, consistent and verified",
		Long: `Copy the ledger, its payloads, the keys and the settings of a node into another
folder, while a server may be running, and verify every byte and signature of the
copy. A target that holds an earlier backup is brought up to date.

` + notInBackup + `

The copy holds the node's private keys: keep it as safe as the folder. To go on from
it, serve it in place of the folder. Never serve both: two nodes with one key that
order differently are caught as forgers.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, target := args[0], args[1]
			cfg, f, err := a.openNode(dir)
			if err != nil {
				return err
			}
			defer f.Close()
			copied, err := f.Copy(cmd.Context(), target, nil)
			if err != nil {
				return err
			}
			if err := copyNodeFiles(dir, target); err != nil {
				return err
			}
			root, err := a.verify(cmd.Context(), target, cfg)
			if err != nil {
				return err
			}
			a.print("%s: all of it verified. Entries: %d. New payload files: %d, of %.1f MB.", target, copied.Size, copied.Files, float64(copied.Bytes)/1e6)
			a.say("%s", notInBackup)
			return a.result(backupJSON{target, copied.Size, root, copied.Files, copied.Bytes, true, false})
		},
	}
}

type backupJSON struct {
	Dir      string `json:"dir"`
	Entries  uint64 `json:"entries"`
	Root     string `json:"root"`
	Files    int    `json:"files"` // with payloads that were copied this time
	Bytes    int64  `json:"bytes"` // in them
	Verified bool   `json:"verified"`
	Shares   bool   `json:"shares"` // they are never in a backup
}

// copyNodeFiles copies the settings, the tokens that were taken back, and the TLS key that the
// node made itself. What the node signed last is in no backup, also not from a copy of the whole folder
// that is brought up to date: a node that goes on from it must ask.
func copyNodeFiles(dir, target string) error {
	if err := os.MkdirAll(filepath.Join(target, "tls"), 0o700); err != nil {
		return err
	}
	for _, name := range []string{privateKey, certificate, configFile, "withdrawn"} {
		b, err := disk.ReadFile(path(dir, name), 1<<20)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the certificate is one that was given
		}
		if err != nil {
			return err
		}
		if err := atomicfile.Write(path(target, name), b, 0o600); err != nil {
			return err
		}
	}
	if err := os.Remove(filepath.Join(target, "signed")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
