package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/spf13/cobra"
)

func newRecord(a *app) *cobra.Command {
	r := &records{app: a}
	own := []*cobra.Command{r.newAdd(), r.newList(), r.newGet(), r.newUpdate(), r.newEdit(), r.newHistory(), r.newRemove(), r.newExport(), r.newAttest(), newTables(a)}
	return group("record", "Your records", append(own, newParts(r)...)...)
}

// records is what a patient does with her own.
type records struct {
	*app
	describe   wallet.Describe
	category   string
	output     string
	age, force bool

	search, dated string // of list
	limit         int
	versions      string // of export

	attestation string // that came with the file that is added

	each       bool     // file of a folder is a record
	all, reset bool     // of show and label
	add, drop  []string // words that parts are to have, or no longer
}

func (r *records) newAdd() *cobra.Command {
	c := &cobra.Command{
		Use:   "add (FILE... | DIR | -) [--each]",
		Short: "Encrypt files and keep each as a record",
		Long: `Encrypt files for yourself alone and enter them on the ledger, each as a record, all by
one step. Any file will do: FHIR, PDF, images; - is what comes on stdin, which needs a
--title unless it is FHIR with one. The same bytes again are the same record.

FHIR in JSON (a Bundle, one resource, or NDJSON, up to 32 MiB) is also split into parts
with a key each, so that you can grant some of it: what is in it is said, and title and
date are taken from it. What cannot be split is said too, and is granted as a whole. A
file about another person than your other records is taken only when you say so, which
is asked once for all of them.

FOLDERS
  The FHIR files of a folder are one record, if together they are no larger than 32 MiB:
  an NDJSON file called after the folder, with a line for each resource, in the order of
  their names. The bytes of a resource stay as they are, but for ends of lines in it,
  which become spaces, and white space around it. A Bundle, what cannot be split and
  every file that is no FHIR is a record of its own, of exactly its bytes. What becomes
  of a folder is said before anything is entered. --each makes a record of each file.

SIGNED FILES
  What its issuer signed comes with an attestation: FILE.attested beside it is found and
  said, another one is named with --attestation. A file that is not the one that was
  signed is not added, and the exit code is 6. Its parts are signed too.

One file that cannot be added keeps no other out: it is named, and the exit code is 8.
The same command again adds what is missing, and nothing twice.`,
		Example: "  carekey record add allergies.json --category allergies\n  carekey record add *.pdf --category documents",
		Args:    cli.Takes(1, -1),
		RunE:    r.put,
	}
	r.describeFlags(c, "the file's name", "other", "none")
	acceptClock(r.app, c)
	c.Flags().BoolVar(&r.describe.OtherPerson, "other-person", false, "take it although it is about another person than your other records")
	c.Flags().StringVar(&r.attestation, "attestation", "", "the attestation `FILE` that came with it (default: FILE.attested, if it is there)")
	c.Flags().BoolVar(&r.each, "each", false, "make a record of each file of a folder, FHIR or not")
	return c
}

func (r *records) newUpdate() *cobra.Command {
	c := &cobra.Command{
		Use:   "update ID (FILE | -)",
		Short: "Make a file the next version of a record",
		Long: `Make a file, or what comes on stdin, the next version of a record. Consents that you
gave stay with the version they were given for; the new one needs a new grant.`,
		Args: cli.Takes(2, 2),
		RunE: r.put,
	}
	r.describeFlags(c, "as before", "as before", "as before")
	c.Flags().StringVar(&r.attestation, "attestation", "", "the attestation `FILE` that came with it (default: FILE.attested, if it is there)")
	acceptClock(r.app, c)
	c.Flags().BoolVar(&r.describe.OtherPerson, "other-person", false, "take it although it is about another person than your other records")
	return c
}

func (r *records) newEdit() *cobra.Command {
	c := &cobra.Command{
		Use:   "edit ID (--title TITLE | --category CATEGORY | --date DATE)",
		Short: "Change how a record is called, dated and sorted",
		Long: `Change the title, the category or the date of a record's newest version. Its content and
its versions stay. It is kept with your contacts, sealed, and comes back with your words:
others see that you kept something, and not which record it is about.

Consents that you gave show what they did when you gave them; the next one shows this.`,
		Example: "  carekey record edit 1a2b3c4d --title 'Blood test' --date 2026-05-04",
		Args:    cli.Takes(1, 1),
		RunE:    r.onWallet(writes|keeps, r.edit),
	}
	r.describeFlags(c, "as before", "as before", "as before; none is no date")
	acceptClock(r.app, c)
	return c
}

// describeFlags are how a record is called, dated and sorted, with what each is if it is not
// given.
func (r *records) describeFlags(c *cobra.Command, title, category, date string) {
	c.Flags().StringVar(&r.describe.Title, "title", "", "`TITLE`, for you and those who may open it (default: "+title+")")
	c.Flags().StringVar(&r.category, "category", "", "`CATEGORY`, one of: "+strings.Join(categoryNames(), ", ")+" (default: "+category+")")
	c.Flags().StringVar(&r.describe.Date, "date", "", "the day that it is about, `DATE`: 2026-11-21 (default: "+date+")")
	c.RegisterFlagCompletionFunc("category", cobra.FixedCompletions(categoryNames(), cobra.ShellCompDirectiveNoFileComp))
}

func (r *records) newList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List your records",
		Long: `List your records, oldest first. What is named here, all of it has to fit: the category
of a record or, if it was split, of one of its parts; words of its title or its file's
name, whatever their case and accents; its date, as DATES of carekey grant --help.

A * is beside those with something in them that is known to be sensitive.`,
		Example: "  carekey record list --search blood --dated 2025..",
		RunE:    r.onWallet(looks, r.list),
	}
	c.Flags().StringVar(&r.category, "category", "", "of this `CATEGORY`, or with parts of it")
	c.Flags().StringVar(&r.search, "search", "", "with these `WORDS` in the title or the file's name")
	c.Flags().StringVar(&r.dated, "dated", "", "about these `DATES`: 2024-03..2025, 2024.., ..2023-06-30 or 2024")
	c.RegisterFlagCompletionFunc("category", cobra.FixedCompletions(categoryNames(), cobra.ShellCompDirectiveNoFileComp))
	cli.LimitFlag(c, &r.limit)
	return c
}

func (r *records) newGet() *cobra.Command {
	c := &cobra.Command{
		Use:   "get ID [-o FILE]",
		Short: "Decrypt the newest version of a record",
		Long: `Decrypt the newest version of a record. ID, here and in every command that asks for a
record's, is the beginning of its id, or its title, if no other record has it.`,
		Example: "  carekey record get 'Blood test' -o blood.json",
		RunE:    r.get,
	}
	c.Flags().StringVarP(&r.output, "output", "o", "", "write to `FILE`; - is stdout (the default)")
	c.Flags().BoolVar(&r.age, "age", false, "keep it encrypted: an age file, which age opens with carekey age identity")
	c.Flags().BoolVar(&r.force, "force", false, "overwrite FILE")
	return c
}

func (r *records) newHistory() *cobra.Command {
	c := &cobra.Command{
		Use:   "history ID [--limit N]",
		Short: "List every version of a record",
		RunE:  r.onWallet(looks, r.history),
	}
	cli.LimitFlag(c, &r.limit)
	return c
}

func (r *records) newRemove() *cobra.Command {
	c := &cobra.Command{
		Use:   "remove ID",
		Short: "Withdraw a record for good, and have the store erase its content",
		RunE:  r.onWallet(writes|keeps, r.remove),
	}
	acceptClock(r.app, c)
	return c
}

func (r *records) newExport() *cobra.Command {
	c := &cobra.Command{
		Use:   "export DIR [--versions all]",
		Short: "Decrypt all your records into a folder, to keep them or to leave",
		Long: `Decrypt the newest version of every record into files of a folder, which is made. They
are called by their titles; index.txt lists them, and manifest.json does for programs.
They are NOT encrypted: whoever can read the folder reads all of it.

Nothing is ever replaced. An export that was stopped goes on when it is run again. What
cannot be had is named, the rest is written, and the exit code is 8. Records on another
ledger are exported from there, with --ledger; what was granted to you is others', and
is had with carekey fetch. The consents: carekey consent export.`,
		Args: cli.Takes(1, 1),
		RunE: r.onWallet(looks, r.export),
	}
	c.Flags().StringVar(&r.versions, "versions", "newest", "`WHICH` versions: newest or all")
	c.RegisterFlagCompletionFunc("versions", cobra.FixedCompletions([]string{"newest", "all"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func categoryNames() []string {
	var out []string
	for _, c := range wallet.Categories() {
		out = append(out, string(c))
	}
	return out
}

// quoted puts a text of somebody's between quotation marks, within one line.
func quoted(s string) string { return `"` + cli.Clean(s) + `"` }

func (a *records) list(ctx context.Context, w *wallet.Wallet, _ []string) error {
	since, until, err := wallet.ParseDates(a.dated)
	if err == nil {
		err = cli.CheckLimit(a.limit)
	}
	if err != nil {
		return err
	}
	q := wallet.RecordQuery{Category: payload.Category(a.category), Search: a.search, Since: since, Until: until}
	all, unknown, err := w.Records().Find(ctx, q)
	if err != nil {
		return err
	}
	rs := cli.Newest(all, a.limit)
	switch {
	case len(all) == 0 && q != (wallet.RecordQuery{}):
		a.say("No record of yours is like that.")
		a.next("carekey record list")
	case len(all) == 0:
		a.say("You have no records.")
		a.next("carekey record add FILE")
	}
	err = errors.Join(a.table(rs), a.result(list(rs, listedOf)))
	if len(unknown) > 0 { // a program would take what it gets for all
		why := cmp.Or(unknown[0].Damaged, error(wallet.ErrMissing.With("part", "metadata", "id", unknown[0].ID)))
		err = errors.Join(err, wallet.ErrPartly.Of(why, "done", len(all), "failed", len(unknown)))
	}
	if left := len(all) - len(rs); left > 0 {
		a.say("%s before these: leave out --limit.", plural(left, "more", "more"))
	}
	if len(unknown) > 0 {
		a.say("%s", "Of "+plural(len(unknown), "record", "records")+" it is not known whether this fits, since what they are cannot be had: "+
			strings.Join(list(unknown, func(r wallet.Record) string { return short(r.ID) }), ", ")+".")
	}
	return err
}

// listedJSON is a record as record list has it.
type listedJSON struct {
	recordJSON
	Sensitive *int `json:"sensitive,omitempty"` // entries with a sensitive fact in them; not there if it is not known here, or the record has no parts
}

func listedOf(r wallet.Record) listedJSON {
	j := listedJSON{recordJSON: recordOf(r)}
	if r.Holds != nil {
		j.Sensitive = &r.Holds.Sensitive
	}
	return j
}

// Marks of records that have parts.
const (
	marksSensitive = " *"
	marksUnknown   = " ?"
)

// sensitiveMark marks a record with something sensitive in it, or of which that is not known.
func sensitiveMark(r wallet.Record) string {
	switch {
	case r.Parts == 0:
		return ""
	case r.Holds == nil:
		return marksUnknown
	case r.Holds.Sensitive > 0:
		return marksSensitive
	}
	return ""
}

// sayMarks says what the marks in a list mean.
func (a *records) sayMarks(rs []wallet.Record) {
	marked := func(mark string) bool {
		return slices.ContainsFunc(rs, func(r wallet.Record) bool { return !r.Missing && sensitiveMark(r) == mark })
	}
	if marked(marksSensitive) {
		a.say("* Something in it is sensitive: carekey record show ID says what.")
	}
	if marked(marksUnknown) {
		a.say("? Not known here whether something in it is sensitive: carekey record show ID.")
	}
}

func (a *records) table(rs []wallet.Record) error {
	t := &ui.Table{Columns: []ui.Column{ui.Key("record"), ui.Title("title"), ui.Word("category"), ui.Word("version"), ui.Word("date"), ui.Word("size"), ui.Word("added")}}
	t.Of, t.ID = "record", func(i int) string { return rs[i].ID.String() }
	t.Aside = func(i int) (text, keys string) {
		rows := cli.Rows{{"record", short(rs[i].ID)}}
		if rs[i].Missing {
			rows.Add("title", lost(rs[i].Damaged))
		} else {
			rows = append(append(rows, recordTold(rs[i])...), [2]string{"category", inShortOf(rs[i])})
		}
		return rows.Text(""), "It is not opened by this. enter: what is in it; v: what it says"
	}
	when := datesOn(a.out, a.now)
	for _, r := range rs {
		if r.Missing {
			t.Add(short(r.ID), lost(r.Damaged), "", fmt.Sprint(r.Version))
			continue
		}
		t.Add(short(r.ID), r.Title, inShortOf(r)+sensitiveMark(r), fmt.Sprint(r.Version), when.iso(r.Date), bytesText(r.Size), addedText(r, when))
	}
	if err := a.app.table(t); err != nil {
		return err
	}
	a.sayMarks(rs)
	return nil
}

func (a *records) history(ctx context.Context, w *wallet.Wallet, args []string) error {
	if err := cli.CheckLimit(a.limit); err != nil {
		return err
	}
	all, removed, err := w.Records().History(ctx, args[0])
	if err != nil {
		return err
	}
	rs := cli.Newest(all, a.limit)
	if left := len(all) - len(rs); left > 0 {
		a.say("%s before these: leave out --limit.", plural(left, "more", "more"))
	}
	t := &ui.Table{Columns: []ui.Column{ui.Key("version"), ui.Title("title"), ui.Word("category"), ui.Word("date"), ui.Word("size"), ui.Word("added"), ui.Key("sha-256")}}
	when := datesOn(a.out, a.now)
	for _, r := range rs {
		if r.Missing {
			t.Add(fmt.Sprint(r.Version), lost(r.Damaged))
			continue
		}
		t.Add(fmt.Sprint(r.Version), r.Title, string(r.Category), when.iso(r.Date), bytesText(r.Size), when.near(r.Added), r.SHA256.String()[:16]+"...")
	}
	if err := a.app.table(t); err != nil {
		return err
	}
	if removed {
		a.say("The record was removed: nothing of it can be opened any more.")
	}
	out := list(rs, recordOf)
	for i := range out {
		out[i].Removed = removed
	}
	return a.result(out)
}

func (a *records) get(cmd *cobra.Command, args []string) error {
	toFile := a.output != "" && a.output != "-"
	if a.flags.json && !toFile {
		return usage("--json and the record both want stdout", "write the record to a file: -o FILE")
	}
	terminal := !toFile && ui.Terminal(a.out, a.out)
	if terminal && a.age {
		return errBinary
	}
	return a.withWallet(cmd, looks, func(ctx context.Context, w *wallet.Wallet) error {
		versions, removed, err := w.Records().History(ctx, args[0])
		if err != nil {
			return err
		}
		r := versions[len(versions)-1]
		if removed {
			return wallet.ErrWithdrawn.With("record", r.ID)
		}
		step, end := a.progress("decrypting", r.Size)
		defer end()
		open := func(dst io.Writer) error {
			_, err := w.Records().Open(ctx, r.ID.String(), dst, a.age, step)
			return err
		}
		if terminal {
			text := &textOnly{w: cli.NewCleanWriter(a.out)}
			defer text.w.Flush()
			return open(text)
		}
		if !toFile {
			return open(a.out)
		}
		sum := r.SHA256
		if a.age {
			sum = crypto.Hash{}
		}
		if err := wallet.SaveFile(a.output, sum, a.force, open); err != nil {
			return err
		}
		a.say("%s, version %d, is in %s.", quoted(r.Title), r.Version, a.output)
		if a.age {
			a.next("age -d -i FILE %s, with what carekey age identity printed in FILE", a.output)
		}
		return a.result([]recordJSON{recordOf(r)})
	})
}

// textOnly passes text on to a terminal and refuses anything else.
type textOnly struct {
	w     *cli.CleanWriter
	begun bool
}

func (t *textOnly) Write(p []byte) (int, error) {
	if !t.begun {
		t.begun = true
		head := p[:min(len(p), 4096)]
		for i := 0; i < utf8.UTFMax && len(head) > 0 && !utf8.Valid(head); i++ {
			head = head[:len(head)-1] // a character may be cut in two
		}
		if bytes.IndexByte(p, 0) >= 0 || !utf8.Valid(head) || len(head) == 0 {
			return 0, errBinary
		}
	}
	return t.w.Write(p)
}

// editedJSON is a record as it is described now.
type editedJSON struct {
	recordJSON
	Changed  bool `json:"changed"`
	Consents int  `json:"consents"` // in force, that show what they did before
}

func (a *records) edit(ctx context.Context, w *wallet.Wallet, args []string) (err error) {
	d := a.describe
	if a.category != "" {
		if d.Category, err = wallet.ParseCategory(a.category); err != nil {
			return err
		}
	}
	noDate := strings.EqualFold(d.Date, "none")
	if noDate {
		d.Date = ""
	}
	if d == (wallet.Describe{}) && !noDate {
		return usage("nothing is said of the record", "say it with --title, --category or --date; carekey record show says what is said now")
	}
	was, is, err := w.Records().Edit(ctx, args[0], d, noDate)
	if err != nil {
		return err
	}
	j := editedJSON{recordJSON: recordOf(is), Changed: was != is}
	if !j.Changed {
		a.say("Nothing changed: that is what is said of it.")
		return a.result(j)
	}
	cs, err := w.Consents().List(ctx)
	if err != nil {
		return err
	}
	for _, c := range cs {
		if inForce(c.Status) && slices.ContainsFunc(c.Records, func(r wallet.ConsentRecord) bool {
			return r.ID == is.ID && !r.Part && (r.Title != is.Title || r.Category != is.Category || r.Date != is.Date)
		}) {
			j.Consents++
		}
	}
	a.say("%s is %s now (%s).", quoted(was.Title), quoted(is.Title), strings.Join(slices.DeleteFunc([]string{inShortOf(is), is.Date}, func(s string) bool { return s == "" }), ", "))
	if j.Consents > 0 {
		a.say("%s", plural(j.Consents, "consent in force shows", "consents in force show")+" what was said when it was given, as long as it holds. What you grant from now on shows this.")
	}
	return a.result(j)
}

func (a *records) remove(ctx context.Context, w *wallet.Wallet, args []string) error {
	versions, removed, err := w.Records().History(ctx, args[0])
	if err != nil {
		return err
	}
	r := versions[len(versions)-1]
	at := groundOf(w)
	var open []wallet.Consent // that give it
	if !removed {
		if open, err = a.inForceOn(ctx, w, r.ID); err != nil {
			return err
		}
		also := ", also for consents that you gave"
		if at.Gate != ledgerclient.Advisory { // it is served until it is erased
			also = ""
		}
		preview := fmt.Sprintf("%s, %s, will be withdrawn for good%s.\n%s", quoted(r.Title), plural(r.Version, "version", "versions"), also, at.says(erased))
		links, consents := bySort(open)
		if also == "" && len(consents) > 0 {
			preview += "\nUntil then it opens by " + plural(len(consents), "consent", "consents") + " in force: removing it revokes none."
		}
		if len(links) > 0 {
			preview += "\n" + linkCopies(links)
		}
		if err := a.confirm(ctx, preview, "Remove it?", "yes"); err != nil {
			return err
		}
		if r, _, err = w.Records().Remove(ctx, r.ID.String()); err != nil && !errors.Is(err, wallet.ErrPending) {
			return err
		}
	}
	switch {
	case err != nil:
	case removed:
		a.say("%s was removed before.", quoted(r.Title))
	case at.Gate == ledgerclient.Advisory:
		a.say("%s was withdrawn on the ledger, and its content erased from the store.", quoted(r.Title))
	default:
		a.say("%s was withdrawn on the ledger. %s", quoted(r.Title), at.says(erased))
	}
	links, consents := bySort(open)
	if len(consents) > 0 {
		a.next("%s still in force, and to be ended by itself: carekey revoke %s", plural(len(consents), "consent that gives it is", "consents that give it are"), strings.Join(consents, " "))
	}
	if len(links) > 0 {
		a.next("%s", linkCopies(links))
	}
	j := recordOf(r)
	j.Removed = err == nil
	return errors.Join(a.result([]recordJSON{j}), err)
}

// inForceOn are the consents in force by which a record, or parts of it, opens.
func (a *records) inForceOn(ctx context.Context, w *wallet.Wallet, id contract.ID) ([]wallet.Consent, error) {
	cs, err := w.Consents().List(ctx)
	return slices.DeleteFunc(cs, func(c wallet.Consent) bool {
		return !inForce(c.Status) || c.Link && c.Over || !slices.ContainsFunc(c.Records, func(r wallet.ConsentRecord) bool { return r.ID == id })
	}), err
}

// linkCopies says what of a record that was removed is left behind links.
func linkCopies(links []string) string {
	return plural(len(links), "link has a copy of what it gives", "links have copies of what they give") + " at the node, and removing does not erase that: carekey link revoke " + strings.Join(links, " ")
}

// bySort are the short ids of links, and of the other consents.
func bySort(cs []wallet.Consent) (links, others []string) {
	for _, c := range cs {
		if c.Link {
			links = append(links, short(c.ID))
		} else {
			others = append(others, short(c.ID))
		}
	}
	return links, others
}

// addedText is when a record's newest version was added, and what waits.
func addedText(r wallet.Record, when dates) string {
	switch r.Pending {
	case wallet.AddingRecord:
		return "pending: not on the ledger yet"
	case wallet.UpdatingRecord:
		return when.near(r.Added) + ", a new version waits"
	case wallet.RemovingRecord:
		return when.near(r.Added) + ", its removal waits"
	}
	return when.near(r.Added)
}
