package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/shlink"
	"github.com/spf13/cobra"
)

type fetchFlags struct {
	all, force, flat, view bool
	dir, reason, by        string

	passcode   string // the file with that of a link
	allowLocal bool

	watch  string // the folder for what comes; "" is no watch
	spread time.Duration
	unit   bool
}

// check is what is wrong with flags that say each other's contrary.
func (f *fetchFlags) check(cmd *cobra.Command, args []string) error {
	given := cmd.Flags().Changed
	if !given("watch") {
		if given("spread") || f.unit {
			return usage("--spread and --unit are for a watch", "add --watch DIR")
		}
		if f.dir == "-" {
			return usage("what is fetched are files of a folder, and no stream", "name the folder: -o DIR")
		}
		if len(args) > 0 && f.all {
			return usage("either one is named, or everything is meant with --all", "what there is: carekey inbox")
		}
		return nil
	}
	switch {
	case f.passcode != "" || f.allowLocal:
		return notALink
	case !f.all || len(args) > 0:
		return usage("a watch fetches everything that comes, and nothing by name", "it goes: carekey fetch --all --watch DIR")
	case given("output") || f.watch == "" || f.watch == "-":
		return usage("a watch has its folder from --watch", "it goes: carekey fetch --all --watch DIR")
	case f.view:
		return usage("a watch shows nothing", "look at what came: carekey view DIR")
	case f.spread < leastSpread || f.spread > mostSpread:
		return usage(fmt.Sprintf("--spread %s: openings are spread over %s to %s", f.spread, roughly(leastSpread), roughly(mostSpread)), "write it like 30m or 24h")
	}
	f.dir = f.watch
	return nil
}

var notALink = usage("--passcode-file and --allow-local are for a link", "a link begins with shlink:/, or has that behind a viewer's address and #")

func newFetch(a *app) *cobra.Command {
	var f fetchFlags
	c := &cobra.Command{
		Use:   "fetch [CODE | LINK | @FILE | - | CONSENT | --all] [-o DIR | --watch DIR [--spread TIME] [--unit]] [--reason TEXT] [--by TEXT]",
		Short: "Open what was granted to you, and leave an entry that its owner sees",
		Long: `Open what was granted to you. An entry with your reason goes onto the ledger first;
then the keepers give the key, and the records are written below the folder, for you
alone, apart by who gave them:

  DIR/NAME-FINGERPRINT/CONSENT/FILE

Two patients' files never meet: the fingerprint, 8 digits of the SHA-256 of the sender's
address, finds the folder again when the name changes. manifest.json in it says what each
file is. What is there is left alone: a file that is another one gets a name of its own.
The key is not kept: the next fetch asks again. Interrupted, it says which openings were
entered and not written: fetched again in the same hour of the ledger they are not entered
anew. What was fetched is named on stdout, one file a line; with --view that is said
beside, and what they say follows in one picture, as carekey view shows it.

Where several people look with one wallet, --by says who does: the patient reads it in
carekey audit as what this wallet's owner says. Nothing proves it. CAREKEY_BY says it
for every fetch.

A CONSENT is named by the beginning of its id, as carekey inbox lists it, or by the
contact whose it is, if it is the only one in force; without any you are asked which.
The fetch code that its giver may have sent says the same, and where the ledger is: of
one that this wallet is not on it is shown what you would trust, and asked, as in carekey
ledger join. @FILE is a file with a fetch code in it, text or the picture of a QR code; -
is standard input.

A LINK is a SMART Health Link, of anybody: shlink:/..., or that behind the address of a
viewer. It needs no wallet. Its server is asked by https, and told who looks (--by) and
why: whoever made the link may read that. All that is known of what it gives is who
served it: no ledger, no signature and no sender is checked. The files go to

  DIR/link-SERVER-DIGITS/FILE

with 8 digits of the SHA-256 of the link's address. Servers on this computer and in
networks of one's own are asked with --allow-local alone, since it is the link that names
them. Whoever has a link can open it: with @FILE or - it does not stand on the command
line, which others on this computer can see. Its passcode, if it has one, is asked for, or
is the first line of --passcode-file.

--watch DIR goes on until it is told to end: it looks about every 5 minutes, and opens
what it finds, and was never fetched, into DIR. What is opened in one go is seen to
belong together by everybody who reads the ledger; so each consent waits a time by
chance, up to --spread, and is opened by itself. The times are kept: killed or put to
sleep it goes on, and does not open at once what it missed. What cannot be reached is
tried again, up to an hour later; what fails otherwise is said and left to you. With
--json each file is one value on a line of its own, and so is each failure on stderr.
--unit prints a unit for systemd that does the same, and does nothing.`,
		Example: "  carekey fetch\n  carekey fetch 55aef0c0 --reason 'check-up on Monday' -o maria\n  carekey fetch --all --watch records --reason 'treatment'\n  carekey fetch 55aef0c0 --by 'Nurse Ada' --reason 'check-up'\n  carekey fetch carekey-fetch1ahf5mrsiydw76ex6jkypvylnu...",
		Args:    cli.Takes(0, -1),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(a, cmd, args) },
	}
	c.Flags().BoolVar(&f.all, "all", false, "everything that can be opened now")
	c.Flags().StringVarP(&f.dir, "output", "o", ".", "folder `DIR` for the files")
	c.Flags().StringVar(&f.reason, "reason", "", "why you look: the patient reads `TEXT`")
	c.Flags().StringVar(&f.by, "by", "", "who looks: the patient reads `TEXT` (default: CAREKEY_BY)")
	c.Flags().BoolVar(&f.force, "force", false, "replace files of the same names")
	c.Flags().BoolVar(&f.flat, "flat", false, "write the files into DIR itself, for scripts")
	c.Flags().StringVar(&f.watch, "watch", "", "with --all: go on, and open what comes into folder `DIR`")
	c.Flags().DurationVar(&f.spread, "spread", time.Hour, "with --watch: within what `TIME` each is opened, by chance")
	c.Flags().Lookup("spread").DefValue = "1h"
	c.Flags().BoolVar(&f.unit, "unit", false, "with --watch: print a systemd unit that does it")
	c.Flags().BoolVar(&f.view, "view", false, "show what they say in one picture, see carekey view")
	c.Flags().StringVar(&f.passcode, "passcode-file", "", "`FILE` whose first line is the passcode of a link")
	c.Flags().BoolVar(&f.allowLocal, "allow-local", false, "a link may lead to this computer, or into a network of one's own")
	acceptClock(a, c)
	return c
}

// run fetches once, or watches.
func (f fetchFlags) run(a *app, cmd *cobra.Command, args []string) error {
	if !cmd.Flags().Changed("by") {
		f.by = a.env(envBy)
	}
	if err := f.check(cmd, args); err != nil {
		return err
	}
	if f.watch != "" {
		return (&fetchWatch{&watching{app: a}, f}).run(cmd)
	}
	if len(args) == 0 && !f.all && !a.interactive() {
		return usage("name a fetch code or a consent, or everything with --all", "what there is: carekey inbox")
	}
	named, code, link, err := (handing{a}).toFetch(strings.Join(args, ""))
	if err != nil {
		return err
	}
	if link != nil {
		return (&opensLink{app: a, flags: f, link: link}).open(cmd.Context())
	}
	if f.passcode != "" || f.allowLocal {
		return notALink
	}
	which := everywhere
	if code != nil { // it names its ledger
		if err := (ledgers{a}).follow(cmd.Context(), code); err != nil {
			return err
		}
		which = func(p place) []place {
			if at, ok := p.settings.Ledger(code.Ledger); ok && a.flags.ledger == "" {
				return []place{p.on(at)}
			}
			return []place{p}
		}
	}
	return a.withLedgers(cmd, writes, which, func(ctx context.Context, s *session) error {
		x := &fetching{session: s, flags: f}
		return x.interrupted(x.fetch(ctx, code, named))
	})
}

// toFetch reads what somebody names: a fetch code, a link, or a consent by its id or whose
// it is, and then there is neither.
func (a handing) toFetch(named string) (id string, code *crypto.FetchCode, link *shlink.Link, err error) {
	if named == "-" {
		named = "@-"
	}
	said, is, err := a.read(named, aFetchCode, aLink)
	if err != nil {
		return "", nil, nil, err
	}
	if is == aLink {
		link, err = shlink.Parse(said)
		return "", nil, link, err
	}
	if is != "" && is != aFetchCode {
		return "", nil, nil, usage("this is "+is.String()+", and no fetch code", "a fetch code begins with carekey-fetch1; without one: carekey inbox")
	}
	if is == aFetchCode || utf8.RuneCountInString(text.Code(said)) > 64 { // longer than an id, and than a name
		c, err := crypto.ParseFetchCode(said)
		return said, &c, nil, err
	}
	return said, nil, nil, nil
}

type fetchedJSON struct {
	wallet.ManifestFile
	Sender wallet.ManifestSender `json:"sender"`
	Signed wallet.Vouching       `json:"signed,omitzero"` // by its issuer
}

// fetching collects what was fetched and what was not.
type fetching struct {
	*session
	flags  fetchFlags
	files  []fetchedJSON
	failed int
	first  error

	// Of an interruption, or when the key is locked meanwhile: consents whose opening was entered, and that were not saved.
	left []contract.ID
	hour wallet.Hour // of the first of these openings; 0 if none is known
	pace wallet.Pace
}

// A fetch was interrupted, or its key was locked meanwhile, and what it had opened is not all
// written. consents, which, until
const (
	errUnwritten       fault.Code = "interrupted/unwritten"
	errLockedUnwritten fault.Code = "key-locked/unwritten"
)

// leave notes a consent whose opening was entered in that hour, or 0.
func (x *fetching) leave(id contract.ID, hour wallet.Hour) {
	if x.left = append(x.left, id); hour != 0 && (x.hour == 0 || hour < x.hour) {
		x.hour = hour
	}
}

// interrupted is why a fetch ended, with what it leaves if somebody interrupted it, or locked
// its key.
func (x *fetching) interrupted(err error) error {
	if err == nil || len(x.left) == 0 {
		return err
	}
	until := ""
	if x.hour != 0 {
		until = day(x.hour + 1)
	}
	code := errUnwritten
	if errors.Is(err, crypto.ErrKeyLocked) {
		code = errLockedUnwritten
	}
	return code.Of(err, "consents", len(x.left), "which", strings.Join(list(x.left, short[contract.ID]), ", "), "until", until)
}

func (x *fetching) fetch(ctx context.Context, code *crypto.FetchCode, id string) error {
	w := x.all[0].w
	switch {
	case x.flags.all, id == "":
		rs, _, err := collect(ctx, x.session, func(w *wallet.Wallet) ([]wallet.Received, error) { return w.Inbox().List(ctx) })
		if err != nil {
			if err := x.fail(ctx, err); err != nil {
				return err
			}
		}
		rs = slices.DeleteFunc(rs, func(r wallet.Received) bool { return r.Status != wallet.StatusActive })
		if !x.flags.all && len(rs) > 0 {
			if rs, err = x.choose(ctx, rs); err != nil {
				return err
			}
		}
		if slices.ContainsFunc(rs, func(r wallet.Received) bool { return r.Address != rs[0].Address }) {
			x.say("note: what is opened in one go is seen to belong together, by everybody who reads the ledger: that several people gave to one recipient. To keep them apart, leave it to carekey fetch --all --watch DIR, which opens each at a time by chance.")
		}
		for _, o := range x.all {
			var ids []contract.ID
			for _, r := range rs {
				if r.Ledger == o.id() {
					ids = append(ids, r.Consent)
				}
			}
			for len(ids) > 0 {
				some := ids[:x.pace.Next(len(ids))]
				ids = ids[len(some):]
				if err := x.open(ctx, o.w, func() ([]*wallet.Opening, []error, error) {
					return o.w.Inbox().By(x.flags.by).OpenAll(ctx, some, x.flags.reason)
				}); err != nil {
					return err
				}
			}
		}
	case code != nil:
		if err := x.open(ctx, w, single(func() (*wallet.Opening, error) {
			return w.Inbox().By(x.flags.by).OpenByCode(ctx, *code, x.flags.reason)
		})); err != nil {
			return err
		}
	default:
		if len(x.all) > 1 {
			r, o, err := find(ctx, x.session, id, func(o *opened) (wallet.Received, string, error) {
				r, err := o.w.Inbox().Find(ctx, id)
				return r, r.Consent.String(), err
			})
			if err != nil {
				return err
			}
			w, id = o.w, r.Consent.String()
		}
		if err := x.open(ctx, w, single(func() (*wallet.Opening, error) {
			return w.Inbox().By(x.flags.by).OpenByID(ctx, id, x.flags.reason)
		})); err != nil {
			return err
		}
	}
	return x.end(ctx)
}

// choose asks which consents of the inbox are meant. What tells them apart, and when they
// end, has room on a narrow terminal too.
func (x *fetching) choose(ctx context.Context, rs []wallet.Received) (chosen []wallet.Received, err error) {
	when := dates{x.now().Local()}
	at, err := x.session.choose(ctx, "What do you want to open? Its owner sees that you did.", list(rs, func(r wallet.Received) ui.Item {
		detail := "until " + when.near(r.Until) + ", "
		if r.Fetched > 0 {
			detail += "fetched " + when.day(r.LastFetched) + ", "
		}
		return ui.Item{Label: short(r.Consent) + "  " + sender(r) + ": " + contents(r), Detail: detail + r.Purpose.Word()}
	}), true, "what to open", "a fetch code, a consent of carekey inbox, or --all")
	for _, i := range at {
		chosen = append(chosen, rs[i])
	}
	return chosen, err
}

// single is what opens one consent, for open.
func single(open func() (*wallet.Opening, error)) func() ([]*wallet.Opening, []error, error) {
	return func() ([]*wallet.Opening, []error, error) {
		o, err := open()
		return []*wallet.Opening{o}, []error{err}, nil
	}
}

// open opens consents and saves their records. Only what ends all of it is returned, and what
// that leaves is noted; other failures are counted, and the rest is fetched.
func (x *fetching) open(ctx context.Context, w *wallet.Wallet, open func() ([]*wallet.Opening, []error, error)) (interrupted error) {
	var prepared []*wallet.Fetched
	var begun []wallet.Received
	to := map[contract.ID]*wallet.Fetched{}
	w.BeforeOpening = func(r wallet.Received) error {
		f, err := wallet.PrepareFetch(x.flags.dir, r, x.flags.flat)
		if err == nil {
			prepared, begun, to[r.Consent] = append(prepared, f), append(begun, r), f
		}
		return err
	}
	// Once all is written: with one folder for all, what is refused made it for the others.
	defer func() {
		for _, f := range slices.Backward(prepared) { // a sender's folder was made with the first
			f.Discard()
		}
	}()
	all, errs, err := open()
	opened, saved := map[contract.ID]bool{}, map[contract.ID]bool{}
	for i, o := range all {
		if o != nil && errs[i] == nil {
			opened[o.Consent.Consent] = true
			x.pace.Add(o)
		}
	}
	defer func() {
		if interrupted == nil {
			return
		}
		for _, r := range begun {
			hour, entered := w.Inbox().Entered(r)
			if opened[r.Consent] {
				hour = max(hour, r.LastFetched) // with an opening of before, in this hour
			}
			if !saved[r.Consent] && (opened[r.Consent] || entered) {
				x.leave(r.Consent, hour)
			}
		}
	}()
	if err != nil { // of all of them
		x.failed += len(all) - 1
		return x.fail(ctx, err)
	}
	for i, o := range all {
		if errs[i] != nil {
			err = x.fail(ctx, errs[i])
		} else if err = x.save(ctx, o, to[o.Consent.Consent]); err == nil {
			saved[o.Consent.Consent] = true
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// save saves the records of a consent that was opened. Only what ends all of it is returned.
func (x *fetching) save(ctx context.Context, o *wallet.Opening, to *wallet.Fetched) (failed error) {
	saved := make([]string, len(o.Records))
	defer func() {
		// Also of what is there of an opening that was interrupted.
		aside, err := to.Note(context.WithoutCancel(ctx), o, saved)
		if err != nil && failed == nil {
			failed = x.fail(ctx, err)
		} else if aside != "" {
			x.say("manifest.json was none of carekey's, and is kept as %s.", aside)
		}
	}()
	if o.Consent.From == "" {
		x.say("warning: the sender is not among your contacts: %s", o.Consent.Address)
		x.say("To keep who that is under a name of your own: carekey contact add NAME --from %s", short(o.Consent.Consent))
	}
	if o.Earlier && strings.TrimSpace(x.flags.reason+x.flags.by) != "" {
		x.say("note: you opened it within this hour already. That entry stands, with what was said then of who looked and why.")
	}
	// What the sender wrote is kept within its line, so that it says nothing in our name.
	x.say("%s", cli.Clean(fmt.Sprintf("From %s, for %s:", sender(o.Consent), o.Consent.Purpose.Word())))
	for i, r := range o.Records {
		step, end := x.progress("decrypting", r.Size)
		path, err := to.Save(ctx, o, i, x.flags.force, step)
		end()
		if err != nil {
			if err := x.fail(ctx, err); err != nil {
				return err
			}
			continue
		}
		saved[i] = path
		if o.Records[i].Part() {
			text := fmt.Sprintf("PART of a record, version %d (%s): other entries may exist. It was chosen by: %s", r.Version, bytesText(o.Records[i].Size), o.Consent.Scope.Words())
			x.say("  %s", cli.Clean(text))
		} else {
			x.say("%s", cli.Clean(fmt.Sprintf("  %s, version %d (%s, %s)", quoted(r.Title), r.Version, r.Category, bytesText(r.Size))))
		}
		if r.Signed.Is() {
			x.say("  %s", signedWords(r.Signed))
		}
		if x.flags.view {
			x.say("  %s", cli.Clean(path))
		} else {
			x.printPath(path)
		}
		x.files = append(x.files, fetchedJSON{o.File(i, path), senderOf(o.Consent), r.Signed})
	}
	return nil
}

// picture shows what was fetched, in one value with the files for a program.
func (x *fetching) picture(ctx context.Context) error {
	v := &viewing{app: x.app, paths: list(x.files, func(f fetchedJSON) string { return f.File })}
	view, err := v.look(ctx, nil)
	if x.app.flags.json { // what is there is named even if it cannot be looked at
		return cmp.Or(x.result(fetchedViewJSON{list(x.files, same), view}), err)
	}
	if err != nil {
		return err
	}
	if len(x.files) > 0 {
		return v.text(view)
	}
	return nil
}

type fetchedViewJSON struct {
	Files []fetchedJSON `json:"files"`
	View  *health.View  `json:"view"` // null if the files cannot be looked at
}

// fail counts a failure, and returns one after which nothing more can be done.
func (x *fetching) fail(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, crypto.ErrKeyLocked) {
		return err
	}
	x.failed++
	if x.first == nil {
		x.first = err
	} else if f := explain(err); true {
		x.say("error: %s", f.Message)
	}
	return nil
}

func (x *fetching) end(ctx context.Context) error {
	if len(x.files) == 0 && x.first != nil {
		return x.first
	}
	show := func() error { return x.result(list(x.files, same)) }
	if x.flags.view {
		show = func() error { return x.picture(ctx) }
	}
	if err := show(); err != nil {
		return err
	}
	if x.first != nil {
		return wallet.ErrPartly.Of(x.first, "done", len(x.files), "failed", x.failed)
	}
	if len(x.files) == 0 {
		x.say("There is nothing to fetch.")
		return nil
	}
	x.say("Verified, and written for you alone. Its owner sees that you opened it.")
	return nil
}
