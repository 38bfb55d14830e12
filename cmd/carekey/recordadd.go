package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/spf13/cobra"
)

// put adds files, folders or what comes on stdin; or one file as the next version of a
// record, which is named before it.
func (a *records) put(cmd *cobra.Command, args []string) (err error) {
	ctx, path, id := cmd.Context(), args[len(args)-1], ""
	if cmd.Name() == "update" {
		id, args = args[0], args[1:]
	}
	args = withoutAttestations(args)
	if a.category != "" {
		if a.describe.Category, err = wallet.ParseCategory(a.category); err != nil {
			return err
		}
	}
	if slices.Contains(args, "-") && len(args) > 1 {
		return usage("- is what comes on stdin, and is added alone", "name the files, or - and nothing else")
	}
	if id == "" {
		files, folder, err := a.gather(ctx, args)
		switch {
		case err != nil:
			return err
		case a.each && !folder:
			return usage("--each is for the files of a folder, and there is none", "leave it out")
		case len(files) > 1 && a.describe.Title != "":
			return usage("--title is for one record, and these are "+thousands(len(files)), "leave it out: each gets its own, which carekey record edit changes")
		case (len(files) > 1 || folder) && a.attestation != "":
			return usage("--attestation is for one file", "leave it out: FILE.attested beside a file is found")
		case len(files) > 1 || a.each:
			return a.putAll(cmd, files)
		case folder:
			return a.putOne(cmd, "", files[0].path, func() (io.ReadCloser, error) { return files[0].Open() }, files[0].Name)
		}
	}
	name := filepath.Base(path)
	if path == "-" {
		name = ""
	}
	return a.putOne(cmd, id, path, func() (io.ReadCloser, error) { return a.source(ctx, path) }, name)
}

// putOne adds what it opens, as the next version of the record with that id or, if it is
// "", as a new one.
func (a *records) putOne(cmd *cobra.Command, id, path string, open func() (io.ReadCloser, error), name string) error {
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	src := wallet.Source{Reader: f, Name: name, Size: sizeOf(f)}
	if src.Vouched, err = a.vouchedFor(path); err != nil {
		return err
	}
	return a.withWallet(cmd, writes|keeps, func(ctx context.Context, w *wallet.Wallet) error {
		r, existing, err := a.keep(ctx, w, id, src)
		if err != nil && !errors.Is(err, wallet.ErrPending) {
			return err
		}
		a.sayKept(r, existing, id != "")
		if existing && src.Vouched != nil && !r.Signed.Is() {
			a.say("It came with an attestation, which is not kept so. To keep it: carekey record update %s FILE", short(r.ID))
		}
		a.print("%s", r.ID)
		a.nextOf(r, existing, id != "")
		if id != "" {
			j := addedOf(r, existing)
			older, failed := a.sayOlder(ctx, w, r)
			j.Older = older
			return errors.Join(a.result([]addedJSON{j}), err, failed)
		}
		return errors.Join(a.result(addedOf(r, existing)), err)
	})
}

// source opens a file, or stdin for a hyphen. A pipe may keep the program waiting: an
// interruption ends that.
func (a *records) source(ctx context.Context, path string) (io.ReadCloser, error) {
	if path == "-" {
		r, w := io.Pipe()
		go func() {
			defer crash.Report()
			_, err := io.Copy(w, a.in)
			w.CloseWithError(err)
		}()
		return interruptible{r, context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })}, nil
	}
	f, err := cli.UnlessDone(ctx, func() (*os.File, error) { return os.Open(path) }) // of a named pipe: waits for a writer
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err == nil && info.IsDir(): // since it was looked at
		err = usage(path+" is a folder", "try again")
	case err == nil && info.Mode()&os.ModeDevice != 0: // such as /dev/zero, which never ends
		err = usage(path+" is a device", "name a file, or a pipe")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return interruptibleFile{f, context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })}, nil
}

// interruptible is read until it ends, or the program is stopped.
type interruptible struct {
	io.ReadCloser
	forget func() bool
}

func (r interruptible) Close() error { r.forget(); return r.ReadCloser.Close() }

// interruptibleFile can be read twice, if it is no pipe.
type interruptibleFile struct {
	*os.File
	forget func() bool
}

func (f interruptibleFile) Close() error { f.forget(); return f.File.Close() }

// inMemory is what is made of files, to be read like one.
type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// sizeOf is how many bytes a source has; -1 if nobody knows.
func sizeOf(f io.Reader) int64 {
	switch f := f.(type) {
	case inMemory:
		return f.Size()
	case interruptibleFile:
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return info.Size()
		}
	}
	return -1
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
		if err := a.confirm(ctx, sentence(explain(err).Message)+".", "Keep it in this wallet?", ""); err != nil {
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
		a.say("You have these bytes already, as %s.", quoted(r.Title))
	case r.Pending != "":
		a.say("%s: encrypted and signed; its entry is not known to be on the ledger yet (%s, %s).", quoted(r.Title), inShortOf(r), bytesText(r.Size))
	default:
		a.say("%s, version %d: encrypted, and on the ledger (%s, %s).", quoted(r.Title), r.Version, inShortOf(r), bytesText(r.Size))
	}
	if r.Signed.Is() {
		a.say("It is %s.", signedWords(r.Signed))
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
		a.next("to change it: carekey record edit %s --title ... --category ... --date ...", short(r.ID))
	}
}

// sayOlder tells which consents give an earlier version of a record, as they will until they end.
func (a *records) sayOlder(ctx context.Context, w *wallet.Wallet, r wallet.Record) (ids []string, err error) {
	given, err := a.inForceOn(ctx, w, r.ID)
	given = slices.DeleteFunc(given, func(c wallet.Consent) bool {
		return !slices.ContainsFunc(c.Records, func(of wallet.ConsentRecord) bool { return of.ID == r.ID && of.Version < r.Version })
	})
	links, consents := bySort(given)
	if len(consents) > 0 {
		a.next("%s an earlier version, and no new one: carekey grant --to NAME --record %s, then carekey revoke %s", plural(len(consents), "consent in force gives", "consents in force give"), short(r.ID), strings.Join(consents, " "))
	}
	if len(links) > 0 {
		a.next("%s what there was when made, and no new version: carekey link create, then carekey link revoke %s", plural(len(links), "link gives", "links give"), strings.Join(links, " "))
	}
	return list(given, func(c wallet.Consent) string { return c.ID.String() }), err
}

// addedJSON is a record with what is in it, if that was looked at now.
type addedJSON struct {
	recordJSON
	Holds    *wallet.Holding `json:"holds,omitempty"`
	Existing bool            `json:"existing"`        // nothing was added: it was there
	Older    []string        `json:"older,omitempty"` // consents in force, links too, that still give an earlier version; of an update

	// Of one of several files.
	Path  string       `json:"path,omitempty"`
	Error *cli.Failure `json:"error,omitempty"` // why it was not added: of its record nothing else is known
}

func addedOf(r wallet.Record, existing bool) addedJSON {
	return addedJSON{recordJSON: recordOf(r), Holds: r.Holds, Existing: existing}
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

// errInFile: one of several files is not added. file
const errInFile fault.Code = "in-file"

// toAdd is a file that is to be added, and where it is.
type toAdd struct {
	wallet.File
	path string
}

// gather finds what is to be added, and says what becomes of folders; folder tells that
// there is one. What one of several cannot be is told when its turn comes.
func (a *records) gather(ctx context.Context, args []string) (files []toAdd, folder bool, err error) {
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case arg == "-" || err != nil && len(args) == 1: // opened, it says why it cannot be
			files = append(files, toAdd{path: arg})
		case err == nil && info.IsDir():
			folder = true
			inside, err := a.inFolder(ctx, arg)
			if err != nil {
				return nil, true, err
			}
			files = append(files, inside...)
		default:
			files = append(files, a.plain(ctx, arg, info))
		}
	}
	return files, folder, nil
}

// plain is a file that is a record of its own.
func (a *records) plain(ctx context.Context, path string, info os.FileInfo) toAdd {
	f := toAdd{wallet.File{Name: filepath.Base(path), Size: -1, Open: func() (io.ReadCloser, error) { return a.source(ctx, path) }}, path}
	if info != nil && info.Mode().IsRegular() {
		f.Size = info.Size()
	}
	return f
}

// inFolder finds the files of a folder. Those that are FHIR, and can be together, are one
// record, unless each is to be one; every other is one of its own.
func (a *records) inFolder(ctx context.Context, path string) (files []toAdd, err error) {
	names, err := filesIn(path)
	if err != nil {
		return nil, err
	}
	var lines []byte
	var together []string
	large := false
	for _, name := range withoutAttestations(names) {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		files = append(files, a.plain(ctx, name, info))
		if a.each || large || isAttestation(name+wallet.AttestationEnd) { // what was signed is that file alone
			continue
		}
		file, err := readFHIR(ctx, name)
		if err != nil || file == nil {
			continue // told when its turn comes
		}
		if large = len(lines)+len(file) > health.MaxSplit; large {
			continue
		}
		more, err := health.AppendLines(lines, file)
		if errors.Is(err, health.ErrNotSplit) {
			continue
		}
		if err != nil {
			return nil, err
		}
		lines, together = more, append(together, name)
	}
	switch {
	case a.each:
		return files, nil
	case large:
		a.say("The FHIR files of %s are more than %d MiB together, and could not be split as one record: each file is a record.", path, health.MaxSplit>>20)
		return files, nil
	case len(together) == 0 || len(together) == 1 && len(files) > 1:
		return files, nil
	}
	absolute, err := filepath.Abs(path) // of a folder that is called . or ..
	if err != nil {
		return nil, err
	}
	one := toAdd{wallet.File{Name: filepath.Base(absolute) + ".ndjson", Size: int64(len(lines)), Open: func() (io.ReadCloser, error) { return inMemory{bytes.NewReader(lines)}, nil }}, path}
	files = append([]toAdd{one}, slices.DeleteFunc(files, func(f toAdd) bool { return slices.Contains(together, f.path) })...)
	if rest := len(files) - 1; rest > 0 {
		a.say("%s: %s of FHIR become one record; %s. To make a record of each file: --each.",
			path, plural(len(together), "file", "files"), plural(rest, "other file is a record of its own", "other files are a record each"))
	}
	return files, nil
}

// readFHIR reads a file that may be FHIR into memory; nil if it is none, or too large.
func readFHIR(ctx context.Context, path string) ([]byte, error) {
	return cli.UnlessDone(ctx, func() ([]byte, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		seen := health.NewDetector(path)
		file, err := io.ReadAll(io.TeeReader(io.LimitReader(f, 64<<10), seen))
		if err != nil || !seen.Begun() && !seen.FHIR() {
			return nil, err
		}
		rest, err := io.ReadAll(io.TeeReader(io.LimitReader(f, health.MaxSplit+1-int64(len(file))), seen))
		if file = append(file, rest...); err != nil || !seen.FHIR() || len(file) > health.MaxSplit {
			return nil, err
		}
		return file, nil
	})
}

// filesIn are the files in a folder by name, but for those that are hidden or that systems
// leave there.
func filesIn(path string) (names []string, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	left := []string{"desktop.ini", "thumbs.db", "@eadir"}
	for _, e := range entries {
		switch {
		case e.Name()[0] == '.' || slices.Contains(left, strings.ToLower(e.Name())):
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

// fewFiles is of how many files each is told what became of it.
const fewFiles = 20

// putAll adds files as a record each. One that cannot be added keeps no other out.
func (a *records) putAll(cmd *cobra.Command, files []toAdd) error {
	return a.withWallet(cmd, writes|keeps, func(ctx context.Context, w *wallet.Wallet) error {
		out, stopped := a.addAll(ctx, w, files, a.describe)
		if stopped == nil {
			stopped = a.others(ctx, w, files, out)
		}
		var all []addedJSON
		var first error
		done, failed, there := 0, 0, 0
		for i, x := range out {
			if x.Err != nil {
				err := x.Err
				if said, ok := errors.AsType[*fs.PathError](err); !ok || said.Path != files[i].path { // it does not name the file
					err = errInFile.Of(err, "file", files[i].path)
				}
				all = append(all, addedJSON{recordJSON: recordJSON{Record: wallet.Record{File: files[i].Name}}, Path: files[i].path, Error: failureOf(err)})
				if failed++; first == nil {
					first = err
				} else {
					a.say("error: %s", explain(err).Message)
				}
				continue
			}
			one := addedOf(x.Record, x.Existing)
			one.Path = files[i].path
			all = append(all, one)
			if done++; x.Existing {
				there++
			}
			if len(files) <= fewFiles {
				a.sayKept(x.Record, x.Existing, false)
			}
			a.print("%s", x.Record.ID)
		}
		if news := done - there; done > 0 && len(files) > fewFiles {
			if news > 0 && stopped == nil {
				a.say("%s: encrypted, and on the ledger.", plural(news, "record", "records"))
			}
			if there > 0 {
				a.say("You have the bytes of %s already: nothing was added for them.", plural(there, "file", "files"))
			}
		}
		if err := a.result(list(all, same)); err != nil {
			return err
		}
		switch {
		case stopped != nil:
			if rest := len(files) - len(out); rest > 0 && !a.flags.json {
				a.say("%s not added: the same command adds the rest, and nothing twice.", plural(rest, "file was", "files were"))
			}
			return stopped
		case done == 0:
			return first
		case first != nil:
			return wallet.ErrPartly.Of(first, "done", done, "failed", failed)
		}
		a.next("carekey record list")
		return nil
	})
}

// addAll adds files with what is said of all of them.
func (a *records) addAll(ctx context.Context, w *wallet.Wallet, files []toAdd, d wallet.Describe) ([]wallet.Added, error) {
	var total int64
	for _, f := range files {
		total += max(0, f.Size)
	}
	step, end := a.progress("encrypting", total)
	defer end()
	for i := range files {
		v, err := a.vouchedFor(files[i].path)
		if err != nil {
			open := err
			files[i].Open = func() (io.ReadCloser, error) { return nil, open } // told in its turn
		}
		files[i].Vouched = v
	}
	out, err := w.Records().AddAll(ctx, list(files, func(f toAdd) wallet.File { return f.File }), d, step)
	return out, cmp.Or(ctx.Err(), err)
}

// others adds the files about other persons to the rest, if it is wanted: that is asked once.
func (a *records) others(ctx context.Context, w *wallet.Wallet, files []toAdd, out []wallet.Added) error {
	var again []toAdd
	var at []int
	var said []string
	for i, x := range out {
		if errors.Is(x.Err, wallet.ErrOtherPerson) {
			if at = append(at, i); len(said) < fewFiles {
				said = append(said, files[i].path+": "+explain(x.Err).Message+".")
			}
			again = append(again, files[i])
		}
	}
	if len(again) == 0 || !a.flags.yes && !a.interactive() {
		return nil
	}
	if rest := len(again) - len(said); rest > 0 {
		said = append(said, plural(rest, "more file", "more files")+" about other persons.")
	}
	err := a.confirm(ctx, strings.Join(said, "\n"), "Keep "+map[bool]string{true: "it", false: "them"}[len(again) == 1]+" in this wallet?", "")
	if errors.Is(err, cli.ErrDeclined) {
		return nil // they stay out, and are told as such
	}
	if err != nil {
		return err
	}
	d := a.describe
	d.OtherPerson = true
	added, err := a.addAll(ctx, w, again, d)
	for i, x := range added {
		out[at[i]] = x
	}
	return err
}

// failureOf is an error as a program reads it beside what went well.
func failureOf(err error) *cli.Failure {
	f := explain(err)
	return &f
}
