package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/spf13/cobra"
)

func newView(a *app) *cobra.Command {
	v := &viewing{app: a}
	c := &cobra.Command{
		Use:   "view [ID | FILE | DIR]... [-o FILE.html]",
		Short: "Put what records say side by side, in one picture",
		Long: `Put what your records say side by side: allergies, medicines, interactions, problems,
immunizations, results, procedures, reports and documents. Without arguments it is all of
your records; ID is one of them, FILE and DIR are files, such as those that carekey fetch
wrote: looking at files needs no wallet, asks nobody, and leaves no entry.

What several sources say alike stands once; what they say apart is shown apart. Two
persons are two headings and never merged: an identifier in common makes one, or the same
place in one record that was given in parts; a name does not. "None" is never said:
either a source states it, or had no information, or there is no information in what you
have. Read are FHIR files in JSON that carekey can cut into parts; others are named.

Interactions: the 15 pairs of classes of Phansalkar et al., JAMIA 2012;19:735, and no
others. What could not be checked is named. The view gives no advice.

The HTML page stands alone: it can be printed, and opened without a network. It is not
encrypted.`,
		Example: "  carekey view\n  carekey view maria --conflicts\n  carekey view maria -o maria.html",
		Args:    cli.Takes(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := v.sort(args); err != nil {
				return err
			}
			if len(args) > 0 && len(v.ids) == 0 {
				return v.show(cmd.Context(), nil)
			}
			return a.withLedgers(cmd, looks, everywhere, v.show)
		},
	}
	v.addFlags(c)
	c.Flags().StringVarP(&v.output, "output", "o", "", "write a page that can be printed to `FILE`")
	c.Flags().BoolVar(&v.force, "force", false, "overwrite FILE")
	return c
}

// viewing is what is to be looked at, and how.
type viewing struct {
	*app
	words  health.ViewWords
	output string
	force  bool

	ids   []string
	paths []string
}

func (v *viewing) addFlags(c *cobra.Command) {
	c.Flags().BoolVar(&v.words.Conflicts, "conflicts", false, "show only where sources differ and what may stand twice, the worst first")
	c.Flags().BoolVar(&v.words.Sources, "sources", false, "say where each line comes from")
}

// sort tells files from ids. What is there as a file is one.
func (v *viewing) sort(args []string) error {
	for _, arg := range args {
		_, err := os.Stat(arg)
		switch {
		case err == nil:
			v.paths = append(v.paths, arg)
		case errors.Is(err, fs.ErrNotExist) && len(arg) >= 6 && strings.Trim(strings.ToLower(arg), "0123456789abcdef") == "":
			v.ids = append(v.ids, arg)
		default:
			return err
		}
	}
	return nil
}

// errNothingRead: nothing of what was named can be looked at.
const errNothingRead fault.Code = "nothing-read"

// maxViewed is how many files are looked at in one view.
const maxViewed = 10_000

// look looks at all that was named, s being the wallet if it is needed. With all of one's
// records there may be a view and an error: of what could not be had.
func (v *viewing) look(ctx context.Context, s *session) (_ *health.View, worst error) {
	seen := health.NewViewing()
	if s != nil {
		worst = v.records(ctx, s, seen)
		if worst != nil && (ctx.Err() != nil || len(v.ids) > 0) {
			return nil, worst
		}
	}
	if err := v.files(ctx, seen); err != nil {
		return nil, err
	}
	return seen.View(v.now()), worst
}

// show prints what look sees.
func (v *viewing) show(ctx context.Context, s *session) error {
	view, worst := v.look(ctx, s)
	if view == nil {
		return worst
	}
	if v.output != "" {
		page := view.HTML()
		if err := wallet.SaveFile(v.output, crypto.Hash{}, v.force, func(dst io.Writer) error {
			_, err := dst.Write(page)
			return err
		}); err != nil {
			return err
		}
	}
	switch {
	case v.flags.json:
		if err := v.result(view); err != nil {
			return err
		}
	case v.output != "":
		v.printPath(v.output)
		v.say("The page is not encrypted: whoever has the file can read it.")
	default:
		if err := v.text(view); err != nil {
			return err
		}
	}
	if s == nil {
		v.say("Files were looked at where they are: nobody was asked, and no entry was made.")
	}
	if len(v.ids)+len(v.paths) > 0 && !slices.ContainsFunc(view.Sources, func(s health.ViewSource) bool { return s.Read }) {
		return errNothingRead
	}
	if !v.words.Conflicts && v.output == "" && v.page == nil && slices.ContainsFunc(view.Persons, func(p health.ViewPerson) bool { return len(p.Conflicts) > 0 }) {
		v.say("Where sources differ is listed with --conflicts.")
	}
	return worst
}

// records looks at one's own: those that were named, else all.
func (v *viewing) records(ctx context.Context, s *session, seen *health.Viewing) error {
	if len(v.ids) == 0 {
		_, err := s.each(ctx, func(o *opened) error {
			rs, err := o.w.Records().List(ctx)
			for _, r := range rs {
				if err == nil {
					err = v.record(ctx, o.w, r, seen)
				}
			}
			return err
		})
		return err
	}
	for _, id := range v.ids {
		r, o, err := find(ctx, s, id, func(o *opened) (wallet.Record, string, error) {
			versions, removed, err := o.w.Records().History(ctx, id)
			if err != nil {
				return wallet.Record{}, "", err
			}
			r := versions[len(versions)-1]
			if removed {
				err = wallet.ErrWithdrawn.With("record", r.ID)
			}
			return r, r.ID.String(), err
		})
		if err != nil {
			return err
		}
		if err := v.record(ctx, o.w, r, seen); err != nil {
			return err
		}
	}
	return nil
}

// record looks at the newest version of one record. One that the store does not hold is
// named; one that is not what was signed is an error.
func (v *viewing) record(ctx context.Context, w *wallet.Wallet, r wallet.Record, seen *health.Viewing) error {
	src := health.Source{Name: r.Title}
	if r.Missing {
		src.Name = "record " + short(r.ID)
		seen.AddUnread(src, strings.Trim(lost(r.Damaged), "()"))
		return nil
	}
	if r.Size > health.MaxSplit {
		seen.AddUnread(src, health.TooLarge)
		return nil
	}
	var file bytes.Buffer
	if _, err := w.Records().Open(ctx, r.ID.String(), &file, false, nil); err != nil {
		return err
	}
	if named := strings.ToLower(src.Name); !strings.HasSuffix(named, filepath.Ext(strings.ToLower(r.File))) {
		src.Name += filepath.Ext(r.File) // whether it should be FHIR is said by its name too
	}
	seen.Add(src, file.Bytes())
	return nil
}

// files looks at files and folders.
func (v *viewing) files(ctx context.Context, seen *health.Viewing) error {
	m := manifests{}
	n := 0
	look := func(path string) error {
		if n++; n > maxViewed {
			return usage(fmt.Sprintf("these are more than %s files", thousands(maxViewed)), "name fewer folders")
		}
		return v.file(ctx, path, m, seen)
	}
	for _, path := range v.paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			if err := look(path); err != nil {
				return err
			}
			continue
		}
		err = filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
			if err != nil {
				return err // d is nil if the folder is gone
			}
			hidden := strings.HasPrefix(d.Name(), ".") && at != path
			switch {
			case hidden && d.IsDir():
				return fs.SkipDir
			case hidden || d.IsDir() || m.is(at) || isAttestation(at):
				return nil
			case !d.Type().IsRegular(): // what may be behind it is not in the picture, which must say so
				seen.AddUnread(health.Source{Name: filepath.ToSlash(at)}, "a link, or no ordinary file")
				return nil
			}
			return look(at)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// file looks at one file.
func (v *viewing) file(ctx context.Context, path string, m manifests, seen *health.Viewing) error {
	f, err := cli.UnlessDone(ctx, func() (*os.File, error) { return os.Open(path) })
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return usage(path+" is no file", "name a file or a folder")
	}
	src := health.Source{Name: filepath.ToSlash(path)}
	if info.Size() > health.MaxSplit {
		seen.AddUnread(src, health.TooLarge)
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(f, health.MaxSplit+1))
	if err != nil {
		return err
	}
	m.of(&src, path, b)
	seen.Add(src, b)
	return nil
}

// manifests are those of senders' folders, as carekey fetch wrote them, by folder.
type manifests map[string]*wallet.Manifest

func (m manifests) in(folder string) *wallet.Manifest {
	got, ok := m[folder]
	if !ok {
		got, _ = wallet.ReadManifest(folder) // what cannot be read says nothing
		m[folder] = got
	}
	return got
}

// is reports whether a file is such a manifest.
func (m manifests) is(path string) bool {
	return filepath.Base(path) == "manifest.json" && m.in(filepath.Dir(path)) != nil
}

// of says who gave a file, of which record it is and whether it is part of that. A manifest
// that speaks of other bytes says nothing of these.
func (m manifests) of(src *health.Source, path string, file []byte) {
	sum := crypto.Hash(sha256.Sum256(file))
	for folder := filepath.Dir(path); ; folder = filepath.Dir(folder) {
		got := m.in(folder)
		rel, err := filepath.Rel(folder, path)
		if got == nil || err != nil {
			if strings.Count(filepath.ToSlash(rel), "/") > 1 || folder == filepath.Dir(folder) || err != nil {
				return
			}
			continue
		}
		for _, f := range got.Files {
			if f.File == filepath.ToSlash(rel) && f.SHA256 == sum {
				src.From, src.Part = cmp.Or(got.Sender.Name, "unknown "+got.Sender.Address[:min(16, len(got.Sender.Address))]), f.Part
				src.Record = fmt.Sprint(got.Sender.Address, f.Ledger, f.Record, f.Version)
			}
		}
		return
	}
}

// text prints a view for people, not wider than the terminal, and 80 columns where there is
// none.
func (v *viewing) text(view *health.View) error {
	width := cmp.Or(cli.Width(v.out), 80)
	words := v.words
	words.Only = words.Conflicts
	words.Sources = words.Sources || words.Conflicts // their numbers have to mean something
	if v.page != nil {
		v.page.LayOut(func(width, _ int) []string {
			return strings.Split(strings.Trim(viewText(view, words, max(24, min(width, 100))), "\n"), "\n")
		})
		return nil
	}
	_, err := io.WriteString(v.out, viewText(view, words, min(width, 100)))
	return err
}

// viewText lays out a view in lines of a width.
func viewText(view *health.View, words health.ViewWords, width int) string {
	var b strings.Builder
	for _, l := range view.Lines(words) {
		name, says := oneLine(l.Name), cli.Clean(oneLine(l.Text))
		if l.Kind == health.LinePerson {
			name = strings.ToUpper(name)
		}
		name = cli.Clean(name)
		first, rest := "", ""
		switch l.Kind {
		case health.LinePerson:
			b.WriteString("\n")
		case health.LineSection:
			rest = "  "
			b.WriteString("\n")
		case health.LineItem:
			first, rest = "  ", "      "
		case health.LineMore:
			first, rest = "    ", "      "
		case health.LineWarning:
			first, rest = "! ", "      "
		}
		switch {
		case name != "" && says != "":
			says = name + ": " + says
		default:
			says = name + says
		}
		if words.Sources && len(l.Sources) > 0 {
			says += " " + strings.ReplaceAll(fmt.Sprint(l.Sources), ",", "")
		}
		if spark := health.Spark(l.Trend); spark != "" {
			says += " " + spark
		}
		for i, line := range ui.Wrap(says, width-len(rest)) {
			indent := rest
			if i == 0 {
				indent = first
			}
			b.WriteString(strings.TrimRight(indent+line, " ") + "\n")
		}
	}
	return b.String()
}

// oneLine makes one line of a text of several.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
