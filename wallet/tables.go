package wallet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/home"
)

// Tables are what parts of records are labelled by: those of the program and those that
// the owner imported. Hers are in a sealed file of the profile's folder, of which a backup
// has a copy, and not in the book: they may be large, and she has them.
type Tables struct{ w *Wallet }

// Tables returns what parts of records are labelled by.
func (w *Wallet) Tables() Tables { return Tables{w} }

// MaxTables is how many tables an owner can import.
const MaxTables = 8

// tablesFile is the sealed file.
type tablesFile struct {
	V      int             `json:"v"`
	Tables []importedTable `json:"tables"`
}

type importedTable struct {
	Name string `json:"name"`
	Text []byte `json:"text"` // as it was imported
}

const tablesFileVersion = 1

// keptTables are the tables with their file.
type keptTables struct {
	read     []byte // the sealed file that they were read from
	file     tablesFile
	imported []*health.Table
	all      *health.Tables // nil: not read yet
}

// All returns all tables. Imported ones that do not open are a *[DamagedError], and not
// left out: without them, parts would be given that they hold back.
func (ts Tables) All() (*health.Tables, error) {
	err := ts.read()
	return ts.w.tables.all, err
}

// Imported returns the tables that the owner imported, in the order in which she did.
func (ts Tables) Imported() ([]*health.Table, error) {
	err := ts.read()
	return slices.Clone(ts.w.tables.imported), err
}

func (ts Tables) read() error { return ts.w.tables.from(ts.w.home, ts.w.book.Tables) }

// from reads the tables of a wallet's folder, or of a copy of it. With imported they must be
// there: without them parts would go that the owner had held back.
func (k *keptTables) from(f home.Folder, imported bool) error {
	sealed, err := f.Read(home.TablesFile)
	if imported && errors.Is(err, fs.ErrNotExist) {
		*k = keptTables{}
		return &DamagedError{File: home.TablesFile, Err: err}
	}
	if errors.Is(err, fs.ErrNotExist) {
		*k = keptTables{file: tablesFile{V: tablesFileVersion}, all: health.BuiltIn()}
		return nil
	}
	if err != nil {
		return err
	}
	if k.all != nil && bytes.Equal(sealed, k.read) {
		return nil
	}
	*k = keptTables{}
	if err := f.ReadSealed(home.TablesFile, &k.file); err != nil {
		return err
	}
	if k.file.V != tablesFileVersion {
		return WrongVersion(home.TablesFile, k.file.V, tablesFileVersion)
	}
	all := health.BuiltIn()
	for _, t := range k.file.Tables {
		table, err := health.ParseTable(t.Name, bytes.NewReader(t.Text))
		if err != nil {
			return &DamagedError{File: home.TablesFile, Err: err}
		}
		k.imported, all = append(k.imported, table), all.With(table)
	}
	k.read, k.all = sealed, all
	return nil
}

// Import keeps the text of a table under a name, which is that of its file. An imported
// one of the name is replaced; the name of one of the program's own is an [ErrBuiltIn].
// Labels are made anew when they are needed.
func (ts Tables) Import(ctx context.Context, name string, text []byte) (table *health.Table, err error) {
	if name, err = CheckName("table", baseName(name)); err != nil {
		return nil, err
	}
	if table, err = health.ParseTable(name, bytes.NewReader(text)); err != nil {
		return nil, err
	}
	if s := health.BuiltIn().Stray(table); s != "" {
		return nil, health.ErrTable.With("why", fmt.Sprintf("no code is of a system %q: write its address, http://... or urn:..., or snomed, loinc, rxnorm, icd-10, icd-9 or cvx", s))
	}
	if isOwnTable(name) {
		return nil, ErrBuiltIn.With("name", name)
	}
	return table, ts.change(ctx, func(f *tablesFile) error {
		at := f.index(name)
		switch {
		case at >= 0:
			f.Tables[at] = importedTable{name, text}
		case len(f.Tables) == MaxTables:
			return badInput("table", name, fmt.Sprintf("there are %d already: remove one", MaxTables))
		default:
			f.Tables = append(f.Tables, importedTable{name, text})
		}
		return nil
	})
}

// isOwnTable reports whether a table of the program's own has that name.
func isOwnTable(name string) bool {
	interactions, _ := health.InteractionTable()
	return sameName(interactions, name) || slices.ContainsFunc(health.Own(), func(t *health.Table) bool { return sameName(t.Name, name) })
}

// Remove forgets an imported table, "" all of them, also such as do not open any more:
// [ErrNotFound] if there is none. What is built in stays: [ErrBuiltIn].
func (ts Tables) Remove(ctx context.Context, name string) error {
	if name == "" {
		return ts.w.with(ctx, func() error {
			err := os.Remove(ts.w.home.Path(home.TablesFile))
			if gone := errors.Is(err, fs.ErrNotExist); gone && !ts.w.book.Tables {
				return ErrNotFound.With("noun", "table", "query", name)
			} else if err != nil && !gone {
				return err
			}
			ts.w.book.Tables, ts.w.book.dirty = false, true
			return nil
		})
	}
	return ts.change(ctx, func(f *tablesFile) error {
		at := f.index(name)
		if at < 0 && isOwnTable(name) {
			return ErrBuiltIn.With("name", name)
		}
		if at < 0 {
			var names []string
			for _, t := range f.Tables {
				names = append(names, t.Name)
			}
			return ErrNotFound.With("noun", "table", "query", name, "like", Like(name, names))
		}
		f.Tables = slices.Delete(f.Tables, at, at+1)
		return nil
	})
}

// change runs f with what is in the file, and writes it.
func (ts Tables) change(ctx context.Context, f func(*tablesFile) error) error {
	return ts.w.with(ctx, func() error {
		if err := ts.read(); err != nil {
			return err
		}
		file := ts.w.tables.file
		file.Tables = slices.Clone(file.Tables)
		if err := f(&file); err != nil {
			return err
		}
		if err := ts.w.home.WriteSealed(home.TablesFile, file); err != nil {
			return err
		}
		ts.w.book.Tables, ts.w.book.dirty = true, true
		return nil
	})
}

func (f *tablesFile) index(name string) int {
	return slices.IndexFunc(f.Tables, func(t importedTable) bool { return sameName(t.Name, name) })
}
