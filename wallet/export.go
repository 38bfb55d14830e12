package wallet

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
)

// Exported is what an export wrote, as its manifest.json says it. Files are in the order of
// the records, oldest first.
type Exported struct {
	V       int             `json:"v"`
	Name    string          `json:"name"`
	Address crypto.Address  `json:"address"`
	Ledger  crypto.LedgerID `json:"ledger"`
	Made    Hour            `json:"made"`
	Files   []ExportedFile  `json:"files"`
	Left    []ExportedFile  `json:"left"` // could not be had: File is "", Error says why
}

// ExportedFile is one version of a record, decrypted. File is relative to the export's
// folder; Original is what the file was called when it was added.
type ExportedFile struct {
	File     string           `json:"file"`
	Title    string           `json:"title"`
	Category payload.Category `json:"category"` // of one that was split its parts have their own
	Date     string           `json:"date,omitempty"`
	Original string           `json:"original"`
	Size     int64            `json:"size"` // bytes
	SHA256   crypto.Hash      `json:"sha256"`
	Record   contract.ID      `json:"record"`
	Version  int              `json:"version"`
	Added    Hour             `json:"added"`
	Error    string           `json:"error,omitempty"` // code
	Err      error            `json:"-"`
}

// What an export writes beside the records, at the end.
const (
	ExportManifest = "manifest.json"
	ExportIndex    = "index.txt"
)

// Export decrypts the newest version of every record that was not removed into files of a
// folder, which it makes; with all, every version. A file is called by its record's title,
// in a form that is safe on every system, and appears only when it is whole. None is ever
// replaced: one with the same bytes is left alone, so that an export goes on where it was
// stopped, and beside another one the name gets the record's id. A folder with an export
// is an [ErrFileExists]. progress is told how many bytes of how many are done.
//
// What cannot be had is in Left, and keeps nothing else. The caller writes [ExportManifest]
// and [ExportIndex].
func (rs Records) Export(ctx context.Context, dir string, all bool, progress func(done, total int64)) (Exported, error) {
	w := rs.w
	x := Exported{V: 1, Name: w.Name(), Address: w.Address(), Ledger: w.client.ID(), Files: []ExportedFile{}, Left: []ExportedFile{}}
	type one struct {
		ExportedFile
		m    *payload.Metadata
		many bool // versions of the record
	}
	var todo []one
	var total, done int64
	err := w.Look(ctx, func() error {
		if err := w.view.NeedThreads(); err != nil {
			return err
		}
		if err := rs.describeAll(ctx); err != nil {
			return err
		}
		x.Made = Hour(w.view.Hour())
		for t := range rs.threads() {
			for i := range t.Versions {
				if i < len(t.Versions)-1 && !all {
					continue
				}
				r, m := rs.versionRecord(t, i), rs.said(t, i)
				f := ExportedFile{Title: r.Title, Category: r.Category, Date: r.Date, Original: r.File, Size: r.Size, SHA256: r.SHA256, Record: t.ID, Version: i + 1, Added: r.Added}
				if m == nil {
					if f.Err = t.Damage(); f.Err == nil {
						f.Err = ErrMissing.With("part", "metadata", "id", t.ID)
					}
				}
				todo = append(todo, one{f, m, all && len(t.Versions) > 1})
				total += r.Size
			}
		}
		for _, c := range w.outbox.Openings(string(AddingRecord)) {
			r := rs.pendingOf(c)
			todo = append(todo, one{ExportedFile: ExportedFile{Title: r.Title, Category: r.Category, Original: r.File, Size: r.Size, Record: r.ID, Version: 1, Err: ErrPending.Of(w.Changes().Stuck())}})
		}
		return nil
	})
	if err != nil {
		return x, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return x, err
	}
	taken := map[string]bool{}
	for _, name := range []string{ExportManifest, ExportIndex} {
		if err := MaySave(filepath.Join(dir, name), false); err != nil {
			return x, err
		}
		taken[foldName(name)] = true
	}
	for i := range todo {
		f := &todo[i]
		before := done
		done += f.Size
		if f.Err == nil {
			f.File, f.Err = rs.exportTo(ctx, dir, exportName(&f.ExportedFile, f.many), taken, &f.ExportedFile, f.m, func(n int64) {
				if progress != nil {
					progress(before+n, total)
				}
			})
			if err := f.Err; err != nil && !isMissing(err) && !isTampered(err) && ledgerclient.Unreachable(err) == nil {
				return x, err // there is no room, or the person has stopped it
			}
		}
		if f.Err != nil {
			x.Left = append(x.Left, f.ExportedFile)
			continue
		}
		x.Files = append(x.Files, f.ExportedFile)
	}
	return x, nil
}

// exportTo decrypts a version into a new file, and returns its name.
func (rs Records) exportTo(ctx context.Context, dir, safe string, taken map[string]bool, f *ExportedFile, m *payload.Metadata, progress func(int64)) (string, error) {
	return saveBeside(safe, f.Record, taken, func(name string) error {
		return SaveFile(filepath.Join(dir, name), m.SHA256, false, func(dst io.Writer) error {
			c, err := stored(rs).content(ctx, m, f.Record)
			if err != nil {
				return err
			}
			defer c.Close()
			return c.decrypt(ctx, dst, rs.w.keys.RecordIdentity(), crypto.Hash{}, progress)
		})
	})
}

// exportName is what a version's file is called: by its title, with the extension that it
// came with, so that programs know what it is.
func exportName(f *ExportedFile, many bool) string {
	title := strings.NewReplacer("/", "_", `\`, "_").Replace(f.Title)
	_, ext := splitExt(f.Original)
	if len(ext) > 20 {
		ext = ""
	}
	title = strings.TrimSuffix(title, ext)
	if many {
		ext = fmt.Sprintf(" (version %d)%s", f.Version, ext)
	}
	for title != "" && len(SafeName(title+ext, f.Record)) >= maxSaveName { // what is cut off is of the title
		title = shorten(title)
	}
	return SafeName(title+ext, f.Record)
}
