package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/spf13/cobra"
)

// put adds a file or a folder, as the next version of a record if one is named before it.
func (a *records) put(cmd *cobra.Command, args []string) (err error) {
	ctx, path, id := cmd.Context(), args[len(args)-1], ""
	if len(args) > 1 {
		id = args[0]
	}
	if a.category != "" {
		if a.describe.Category, err = wallet.ParseCategory(a.category); err != nil {
			return err
		}
	}
	f, err := cli.UnlessDone(ctx, func() (*os.File, error) { return os.Open(path) }) // of a named pipe: waits for a writer
	if err != nil {
		return err
	}
	defer f.Close()
	// A pipe may keep the program waiting: an interruption ends that.
	defer context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	src := wallet.Source{Reader: f, Name: filepath.Base(path), Size: -1}
	switch {
	case info.IsDir() && a.each:
		return a.putEach(cmd, path)
	case info.IsDir():
		if src, err = folderOf(ctx, path); err != nil {
			return err
		}
	case a.each:
		return usage("--each is for the files of a folder, and "+path+" is none", "leave it out")
	case info.Mode()&os.ModeDevice != 0: // such as /dev/zero, which never ends
		return usage(path+" is a device", "name a file, or a pipe")
	case info.Mode().IsRegular():
		src.Size = info.Size()
	}
	return a.withWallet(cmd, writes|keeps, func(ctx context.Context, w *wallet.Wallet) error {
		r, existing, err := a.keep(ctx, w, id, src)
		if err != nil && !errors.Is(err, wallet.ErrPending) {
			return err
		}
		a.sayKept(r, existing, id != "")
		a.print("%s", r.ID)
		a.nextOf(r, existing, id != "")
		if id != "" {
			return errors.Join(a.result([]addedJSON{addedOf(r, existing)}), err)
		}
		return errors.Join(a.result(addedOf(r, existing)), err)
	})
}

// keep encrypts what is read from src, as the next version of the record with that id or,
// if it is "", as a new one. About another person it is asked for.
func (a *records) keep(ctx context.Context, w *wallet.Wallet, id string, src wallet.Source) (r wallet.Record, existing bool, err error) {
	d := a.describe
	for {
		step, end := a.progress("encrypting", src.Size)
		if id != "" {
			r, existing, err = w.Records().Update(ctx, id, src, d, step)
		} else {
			r, existing, err = w.Records().Add(ctx, src, d, step)
		}
		end()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
			return r, existing, ctx.Err()
		case !errors.Is(err, wallet.ErrOtherPerson) || d.OtherPerson || src.Size < 0 || !a.flags.yes && !a.interactive(): // a pipe is at its end
			return r, existing, err
		}
		if err := a.confirm(ctx, wrapped(sentence(explain(err).Message)+".", 80), "Keep it in this wallet?", ""); err != nil {
			return r, existing, err
		}
		d.OtherPerson = true
	}
}

// sayKept tells what became of a file, and what is in it.
func (a *records) sayKept(r wallet.Record, existing, update bool) {
	switch {
	case existing && update:
		a.say("Nothing changed: these are the bytes of version %d.", r.Version)
	case existing:
		a.say("%s", wrapped("You have these bytes already, as "+quoted(r.Title)+".", 80))
	case r.Pending != "":
		a.say("%s", wrapped(fmt.Sprintf("%s: encrypted and signed; its entry is not known to be on the ledger yet (%s, %s).", quoted(r.Title), inShortOf(r), bytesText(r.Size)), 80))
	default:
		a.say("%s", wrapped(fmt.Sprintf("%s, version %d: encrypted, and on the ledger (%s, %s).", quoted(r.Title), r.Version, inShortOf(r), bytesText(r.Size)), 80))
	}
	a.sayHolding(r, a.describe.Title == "" && !update)
}

// nextOf tells what is likely to come next.
func (a *records) nextOf(r wallet.Record, existing, update bool) {
	d, was := a.describe, wallet.Describe{Title: r.Title, Category: r.Category, Date: r.Date}
	would := wallet.Describe{Title: cmp.Or(d.Title, r.Title), Category: cmp.Or(d.Category, r.Category), Date: cmp.Or(d.Date, r.Date)}
	switch {
	case !existing && r.Pending == "" && r.Parts > 0:
		a.next("look at its parts: carekey record show %s", short(r.ID))
	case !existing && r.Pending == "":
		a.next("carekey grant --to NAME --record %s --for 30d", short(r.ID))
	case existing && !update && was != would:
		a.say("Its description stays as it was.")
		a.next("to change it: carekey record update %s FILE --title ... --category ... --date ...", short(r.ID))
	}
}

// addedJSON is a record with what is in it, if that was looked at now.
type addedJSON struct {
	recordJSON
	Holds    *wallet.Holding `json:"holds,omitempty"`
	Existing bool            `json:"existing"` // nothing was added: it was there
}

func addedOf(r wallet.Record, existing bool) addedJSON {
	return addedJSON{recordOf(r), r.Holds, existing}
}

// inShortOf is what a record is granted by: its category, or those of its parts.
func inShortOf(r wallet.Record) string {
	switch {
	case r.Parts > 0:
		return plural(r.Parts, "part", "parts")
	case r.Whole == payload.WholeFHIR:
		return "FHIR, whole"
	}
	return string(r.Category)
}

// errInFile: a file of a folder cannot be added. file; done, how many before it were;
// folder: they were to be one record
const errInFile fault.Code = "in-file"

// folderOf makes one source of the files of a folder, which must be FHIR.
func folderOf(ctx context.Context, path string) (wallet.Source, error) {
	names, err := filesIn(path)
	if err != nil {
		return wallet.Source{}, err
	}
	var lines []byte
	for _, name := range names {
		file, err := readFile(ctx, name, health.MaxSplit)
		if err == nil {
			lines, err = health.AppendLines(lines, file)
		}
		if err != nil {
			return wallet.Source{}, errInFile.Of(err, "file", filepath.Base(name), "folder", true)
		}
	}
	absolute, err := filepath.Abs(path) // of a folder that is called . or ..
	if err != nil {
		return wallet.Source{}, err
	}
	return wallet.Source{Reader: bytes.NewReader(lines), Name: filepath.Base(absolute) + ".ndjson", Size: int64(len(lines))}, nil
}

// filesIn are the files in a folder that are not hidden, by name.
func filesIn(path string) (names []string, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		switch {
		case e.Name()[0] == '.':
		case e.IsDir():
			return nil, usage("there is a folder in "+path+": "+cli.Clean(e.Name()), "add its files by themselves")
		case !e.Type().IsRegular():
			return nil, usage("there is no ordinary file in "+path+": "+cli.Clean(e.Name()), "move it away")
		default:
			names = append(names, filepath.Join(path, e.Name()))
		}
	}
	if len(names) == 0 {
		return nil, usage("there are no files in "+path, "name a file, or a folder of files")
	}
	return names, nil
}

// putEach adds each file of a folder as a record of its own.
func (a *records) putEach(cmd *cobra.Command, path string) error {
	names, err := filesIn(path)
	if err != nil {
		return err
	}
	return a.withWallet(cmd, writes|keeps, func(ctx context.Context, w *wallet.Wallet) error {
		var added []addedJSON
		one := func(name string) error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				return err
			}
			r, existing, err := a.keep(ctx, w, "", wallet.Source{Reader: f, Name: filepath.Base(name), Size: info.Size()})
			if err != nil && !errors.Is(err, wallet.ErrPending) {
				return err
			}
			added = append(added, addedOf(r, existing))
			a.sayKept(r, existing, false)
			a.print("%s", r.ID)
			return err
		}
		for _, name := range names {
			if err = one(name); err != nil {
				err = errInFile.Of(err, "file", filepath.Base(name), "done", len(added), "folder", false)
				break
			}
		}
		if err == nil {
			a.next("carekey record list")
		}
		return errors.Join(a.result(list(added, same)), err)
	})
}
