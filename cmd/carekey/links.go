package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/qr"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/spf13/cobra"
)

// linking are the commands of links.
type linking struct{ *app }

func (a linking) command() *cobra.Command {
	return group("link", "Links: whoever has one opens parts of your records, without carekey", a.newCreate(), a.newList(), a.newShow(), a.newRevoke())
}

// links is the making and the showing of links.
type links struct {
	grants
	emergency   bool
	openings    int
	passcode    bool
	passcodeIn  string // file
	label, file string
	bare, force bool
}

// What is taken for a link where nothing is said.
const (
	linkFor         = "24h"
	fewOpenings     = 3
	emergencyFor    = "180d"
	emergencyPerDay = 10
)

// emergencyGoes is what an emergency link gives, with --category or without; who it is about,
// with the contacts in it, goes along with everything.
var emergencyGoes = []string{"allergies", "devices", "medications", "problems"}

func (a linking) newCreate() *cobra.Command {
	x := &links{grants: grants{app: a.app}}
	c := &cobra.Command{
		Use:   "create (--role ROLE | --category C... | --record ID... | --all | --emergency) [--for 24h | --until DATE]",
		Short: "Make a link, its QR code, or a sheet of paper with it",
		Long: "Show what a link would give, ask, and make it: a SMART Health Link, which a browser opens,\nor any viewer of such links. It is a consent as any: carekey audit shows its openings, and\ncarekey revoke ends it. What is printed on stdout is the link, which is as good as what is\nin it: hand it over as you would the papers themselves. A browser that opens it\nkeeps it, with its key, in its history: on a computer that others use that takes a private\nwindow.\n\n" +
			cli.Wrap(linkHolds, 86) + "\n\n" +
			"-o writes it into a new file: as a picture of its QR code where the name ends in .png, as\na sheet for paper where it ends in .html, else as text. What is behind the link is what\nthere is now, and FHIR alone: other files stay, and are named.\n\n" +
			"--emergency is for a card that is carried along: allergies, medications, problems, devices\n(implants, where a record has them as such and not only as an operation) and whose they are\nwith the contacts there, for 180 days, openings counted by the day. --category adds to\nthat; --role, --record and --all replace it.\n\n" +
			"A link needs a node that opens it, and a certificate of that which browsers trust. On a\nledger in a folder there is none, and with several keepers each would give its share to\nwhoever has the link, and count nothing.\n\nIts end on the ledger is the next midnight UTC, so that it does not tell that this is a\nlink. Its node keeps to the end that you chose.\n\n" + whatGoes,
		Example: "  carekey link create --role nurse --openings 1 -o ward.png\n  carekey link create --emergency --until 2027-06-30 -o card.html",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := x.checkOpenings(cmd.Flags().Changed("openings")); err != nil {
				return err
			}
			return a.withWallet(cmd, x.access(writes), x.create)
		},
	}
	x.chooses(c)
	s := c.Flags()
	s.StringVar(&x.length, "for", "", "how long it lasts, `TIME`: 12h, 30d or 6w (default: 24h; with --emergency 180d)")
	s.BoolVar(&x.emergency, "emergency", false, "what helps in an emergency, for months, openings counted by the day")
	s.IntVar(&x.openings, "openings", 0, fmt.Sprintf("it opens `N` times, 1 to %d; with --emergency so often each day (default: %d; with --emergency %d)", ledgerclient.MaxLinkOpenings, fewOpenings, emergencyPerDay))
	s.BoolVar(&x.passcode, "passcode", false, "ask for a passcode that whoever opens it must have; 5 wrong tries end the link")
	s.StringVar(&x.passcodeIn, "passcode-file", "", "the same: the first line of `FILE`")
	x.shows(c)
	acceptClock(a.app, c)
	return c
}

// shows gives a command the flags for how a link is handed out.
func (x *links) shows(c *cobra.Command) {
	s := c.Flags()
	s.StringVar(&x.label, "label", "", "`TEXT` that viewers show, and everybody who sees the link can read (default: none)")
	s.StringVarP(&x.file, "output", "o", "", "write it to a new `FILE`: a QR code (.png), a sheet for paper (.html), or text")
	s.BoolVar(&x.bare, "bare", false, "without the address of the node's page, for a viewer that the other side has")
	s.BoolVar(&x.force, "force", false, "replace the file if it is there")
}

func (a linking) newList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List your links, on every ledger of this wallet",
		RunE:  onEvery(a.app, looks, func(a linked, ctx context.Context, _ []string) error { return a.list(ctx) }),
	}
}

func (a linking) newShow() *cobra.Command {
	x := &links{grants: grants{app: a.app}}
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show a link again, and what its node says of its openings",
		Long: `Show a link again, also in a wallet that was restored: it is kept nowhere, and follows from
your key. Its label is not part of that: say it again.

What the node says of openings is its word, signed; nothing else shows how many there
were in one hour. A link lives at the node that holds it: without that node nobody opens
it, and it is not shown.`,
		RunE: onEvery(a.app, looks, func(a linked, ctx context.Context, args []string) error {
			return x.handOut(nil, func() (s wallet.Shown, ledger string, err error) {
				s, on, err := find(ctx, a.session, args[0], func(o *opened) (wallet.Shown, string, error) {
					s, err := o.w.Links().Show(ctx, args[0], x.label)
					if s.Link && ledgerclient.Unreachable(err) != nil {
						x.say("Link %s, %s, until %s. Whether it still opens is not known: its node does not say.", short(s.ID), titles(s.Records), both(s.Until))
					}
					return s, s.ID.String(), err
				})
				if err == nil {
					ledger = on.w.LedgerName()
				}
				return s, ledger, err
			})
		}),
	}
	x.shows(c)
	return c
}

func (a linking) newRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID...",
		Short: "End links",
		Long: `End links, as carekey revoke does with any consent, and refuse what is none. Their node
overwrites what is behind them, if it keeps the rules.`,
		Args: cli.Takes(1, -1),
		RunE: onEvery(a.app, ends, func(a revoking, ctx context.Context, ids []string) error {
			cs, err := namedConsents(ctx, a.session, ids, func(w *wallet.Wallet, id string) ([]wallet.Consent, error) {
				return w.Consents().Select(ctx, wallet.RevokeRequest{Consents: []string{id}})
			})
			if err != nil {
				return err
			}
			for _, c := range cs {
				if !c.Link {
					return wallet.ErrNotLink.With("consent", c.ID)
				}
			}
			return a.revoke(ctx, wallet.RevokeRequest{Consents: ids})
		}),
	}
}

// checkOpenings is how often a link opens: what was said, or else what is usual.
func (x *links) checkOpenings(said bool) error {
	switch {
	case !said && x.emergency:
		x.openings = emergencyPerDay
	case !said:
		x.openings = fewOpenings
	case x.openings < 1 || x.openings > ledgerclient.MaxLinkOpenings:
		return usage(fmt.Sprintf("a link opens 1 to %s times, not %d", thousands(ledgerclient.MaxLinkOpenings), x.openings), fmt.Sprintf("--openings %d", fewOpenings))
	}
	return nil
}

// create makes a link.
func (x *links) create(ctx context.Context, w *wallet.Wallet) error {
	if x.emergency && len(x.records) == 0 && x.role == "" && !x.all {
		for _, c := range emergencyGoes {
			if !slices.Contains(x.categories, c) {
				x.categories = append(x.categories, c)
			}
		}
	}
	if x.length == "" && x.until == "" {
		x.length = linkFor
		if x.emergency {
			x.length = emergencyFor
		}
	}
	r := wallet.LinkRequest{Openings: uint16(x.openings), Daily: x.emergency, Label: x.label}
	if _, err := w.Links().Takes(ctx); err != nil { // before anything is asked
		return err
	}
	var err error
	if r.GrantRequest, err = x.chosen(); err != nil {
		return err
	}
	if r.GrantRequest, err = x.missing(ctx, w, r.GrantRequest); err != nil {
		return err
	}
	if r.Passcode, err = x.askPasscode(ctx); err != nil {
		return err
	}
	var made *wallet.LinkPlan
	plan, err := x.plan(ctx, r.GrantRequest, func(ctx context.Context, g wallet.GrantRequest) (*wallet.GrantPlan, error) {
		r.GrantRequest = g
		p, err := w.Links().Plan(ctx, r)
		if p == nil {
			return nil, err
		}
		made = p
		return p.GrantPlan, err
	})
	if x.list && plan != nil { // also of one that gives nothing: why each part stays
		return errors.Join(x.showPlan(plan, linkHolder), err)
	}
	if err != nil {
		return err
	}
	role, err := w.Roles().Named(x.role)
	if err != nil && x.role != "" {
		return err
	}
	preview, all := x.asked(plan, made, &role.Role, groundOf(w), columnsOf(cli.Width(x.err)))
	if x.emergency {
		preview += "\n" + cli.Wrap(opensOf(made, ledgerclient.LinkAnswer{}).emergency(), columnsOf(cli.Width(x.err)))
	}
	if err := x.confirm(ctx, preview, "Make this link?", "", all); err != nil {
		return err
	}
	return x.handOut(made, func() (s wallet.Shown, ledger string, err error) {
		s, err = x.give(ctx, w, made)
		return s, w.LedgerName(), err
	})
}

// give makes a link.
func (x *links) give(ctx context.Context, w *wallet.Wallet, made *wallet.LinkPlan) (s wallet.Shown, err error) {
	id, err := w.Links().Give(ctx, made)
	if err != nil {
		if id != (contract.ID{}) {
			x.say("Signed: consent %s. The node has not got what is behind the link yet, and cannot open it. It is handed over with the next of these: carekey sync, or carekey link show %s", short(id), short(id))
		}
		return s, err
	}
	if s, err = w.Links().Show(ctx, id.String(), x.label); err != nil {
		x.say("Made: consent %s. It could not be shown: carekey link show %s", short(id), short(id))
	}
	return s, err
}

// askPasscode is the passcode of a new link; "" for none.
func (x *links) askPasscode(ctx context.Context) (string, error) {
	switch {
	case x.passcodeIn != "":
		source := &passphraseSource{name: "--passcode-file", file: x.passcodeIn, fd: -1}
		b, err := cli.UnlessDone(ctx, func() ([]byte, error) { return source.take(true) })
		defer clear(b)
		if err == nil && len(b) == 0 { // it would be none
			return "", wallet.ErrInput.With("field", "passcode", "why", "has 4 characters at least, and 64 bytes at most")
		}
		return string(b), err
	case !x.passcode || x.list:
		return "", nil
	case !x.interactive():
		return "", errNeed.With("what", "the link's passcode", "flag", "--passcode-file FILE")
	}
	b, err := ui.Passphrase(x.in, x.err, "Passcode of the link", true, nil)
	defer clear(b)
	return string(b), err
}

// linkShownJSON is a link with what its node says of it.
type linkShownJSON struct {
	consentJSON
	Text     string        `json:"text"` // the link; "" if it is over
	Page     string        `json:"page"` // the same behind the address of the node's page
	File     string        `json:"file,omitempty"`
	Operator linkSaidJSON  `json:"operator"`
	Plan     *linkPlanJSON `json:"plan,omitempty"` // of a new one
}

type linkPlanJSON struct {
	Openings uint16 `json:"openings"`
	Daily    bool   `json:"daily"` // openings are those of a day
	Passcode bool   `json:"passcode"`
	Size     int    `json:"size"` // of what the node keeps, bytes
	chosenJSON
}

// linkSaidJSON is what the node of a link says of it, signed. Nothing else shows it.
type linkSaidJSON struct {
	State    ledgerclient.LinkState `json:"state"`
	Openings uint16                 `json:"openings"` // in all, or in a day; 0: its node is an older one, and says neither this nor the next two
	Daily    bool                   `json:"daily"`
	Passcode bool                   `json:"passcode"`
	Left     uint16                 `json:"left"`     // openings, in all or of this day
	Attempts uint8                  `json:"attempts"` // wrong passcodes that are left; 0 also without one
	More     uint32                 `json:"more"`     // events before these
	Events   []linkEventJSON        `json:"events"`
}

type linkEventJSON struct {
	Time   string                    `json:"time"`
	What   ledgerclient.LinkHappened `json:"what"`
	By     string                    `json:"by"` // as it was typed
	Reason string                    `json:"reason"`
}

func linkSaidOf(a ledgerclient.LinkAnswer) linkSaidJSON {
	return linkSaidJSON{a.State, a.Openings, a.Daily, a.Passcode, a.Left, a.Attempts, a.More, list(a.Events, func(e ledgerclient.LinkEvent) linkEventJSON {
		return linkEventJSON{instant(e.Time()), e.What, e.By, e.Reason}
	})}
}

// errLinkOver ends the writing of a link that there is none of.
var errLinkOver = errors.New("the link is over")

// handOut hands out the link that get gets, or makes where a file for it can be had; made is
// its plan, nil if it was made before.
func (x *links) handOut(made *wallet.LinkPlan, get func() (s wallet.Shown, ledger string, err error)) error {
	file := x.file
	if file == "-" { // as wherever -o is: stdout
		file = ""
	}
	var s wallet.Shown
	var ledger, text string
	take := func() (err error) {
		if s, ledger, err = get(); err == nil && s.Text == "" {
			err = errLinkOver
		}
		if text = s.Viewer + "#" + s.Text; x.bare {
			text = s.Text
		}
		return err
	}
	var err error
	if file == "" {
		err = take()
	} else {
		err = wallet.SaveFile(file, crypto.Hash{}, x.force, func(dst io.Writer) error {
			if err := take(); err != nil {
				return err
			}
			b, err := x.rendered(file, text, s, opensOf(made, s.Said), ledger)
			if err == nil {
				_, err = dst.Write(b)
			}
			return err
		})
	}
	if err != nil && !errors.Is(err, errLinkOver) {
		if made != nil && s.Text != "" {
			x.say("Made: consent %s. It was not written: carekey link show %s -o FILE", short(s.ID), short(s.ID))
		}
		return err
	}
	opens := opensOf(made, s.Said)
	j := linkShownJSON{consentJSON: consentOf(s.Consent), Text: s.Text, Operator: linkSaidOf(s.Said)}
	if made != nil {
		j.Plan = &linkPlanJSON{made.Openings, made.Daily, made.Passcode, made.Size, chosenOf(made.GrantPlan)}
		x.say("Made: consent %s, until %s, %s%s.", short(s.ID), both(s.Until), opens.times(), opens.code())
	} else {
		x.say("Link %s, %s, until %s.\n%s", short(s.ID), titles(s.Records), both(s.Until), operatorSays(ledger, s.Said))
	}
	if err != nil {
		if early := endedEarly(s); early != "" {
			x.say("%s", early)
		}
		x.say("There is no link to show.")
		return x.result(j)
	}
	if older := outdated(s.Records); older != "" {
		x.say("note: %s\n  A link follows no record. For one with the new version: carekey link create, then carekey link revoke %s", older, short(s.ID))
	}
	j.Page, j.File = s.Viewer+"#"+s.Text, file
	if made == nil { // else it was said before
		x.say("%s", opens.holds())
	}
	if file != "" {
		x.printPath(file)
	} else {
		if err := x.draw(text); err != nil {
			return err
		}
		x.data(text)
	}
	x.next("you see its openings with carekey audit, and end it with carekey revoke %s", short(s.ID))
	return x.result(j)
}

// outdated says which records of a link have a newer version than it gives; "" if none has.
func outdated(rs []wallet.ConsentRecord) string {
	var out []string
	for _, r := range rs {
		if r.Newest > 0 && !r.Removed {
			out = append(out, fmt.Sprintf("%s has version %d by now, and the link gives version %d.", quoted(r.Title), r.Newest, r.Version))
		}
	}
	return strings.Join(out, "\n  ")
}

// rendered is a link as a file: what it is tells the name.
func (x *links) rendered(file, text string, s wallet.Shown, opens linkOpens, ledger string) ([]byte, error) {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".png":
		return qr.PNG(text)
	case ".html", ".htm":
		return linkSheet(text, s, opens, x.label, ledger)
	}
	return []byte(text + "\n"), nil
}

// draw draws a link's QR code, if all of it is to be seen.
func (x *links) draw(text string) error {
	width, height := cli.Size(x.err)
	if width == 0 || cli.Width(x.out) == 0 || !x.talks() {
		return nil
	}
	code, w, h, err := qr.Text(text)
	if err != nil {
		return err
	}
	if rest := (len(text)+width-1)/width + 14; w <= width && h+rest <= height {
		x.err.WriteString(code)
	} else {
		x.say("Its QR code takes %d columns and %d lines, and this terminal has %d and %d. As a picture: -o link.png", w, h+rest, width, height)
	}
	return nil
}

// linked are the links on every ledger.
type linked struct{ *session }

func (a linked) list(ctx context.Context) error {
	all, n, failed := collect(ctx, a.session, func(w *wallet.Wallet) ([]wallet.Consent, error) { return w.Links().List(ctx) })
	for _, l := range all {
		if isForged(l.Unsaid) {
			failed = errors.Join(failed, l.Unsaid)
		}
	}
	switch {
	case n == 0:
		return failed
	case a.flags.json:
		return errors.Join(a.result(list(all, consentOf)), failed)
	case len(all) == 0:
		if failed == nil {
			a.say("You made no links.")
			if a.taken(ctx) {
				a.next("carekey link create --role ROLE")
			} else {
				a.say("None of your ledgers takes links, or its node does not answer: carekey link create says why.")
			}
		}
		return failed
	}
	t := a.onLedgers(ui.Key("link"), ui.Text("records"), ui.Word("until"), ui.Word("status"), ui.Word("opened"))
	when := datesOn(a.out, a.now)
	for _, l := range all {
		cells := []string{short(l.ID), titles(l.Records), when.near(l.Until), statusText(l, when), openedText(l.Openings, when.day(l.LastOpened))}
		t.Add(a.withTitle(cells, a.titles[l.Ledger])...)
	}
	if err := a.session.table(t); err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(l wallet.Consent) bool {
		return l.Status == wallet.StatusActive && !l.Over && outdated(l.Records) != ""
	}) {
		a.say("\"version 1 of 2\" is an older one than you have: a link follows no record. For a new one: carekey link create, then carekey link revoke ID")
	}
	a.say("Opened counts hours in which there was an opening, as the ledger shows them. How often, in its node's words: carekey link show ID")
	return failed
}

// taken reports whether links can be made on one of these ledgers.
func (a linked) taken(ctx context.Context) bool {
	return slices.ContainsFunc(a.all, func(o *opened) bool {
		_, err := o.w.Links().Takes(ctx)
		return err == nil
	})
}

// usedUp says which openings are used up of a link that has none.
func usedUp(a ledgerclient.LinkAnswer) string {
	switch {
	case a.Openings == 0:
		return "its openings are used up, in all or for this day (UTC)"
	case a.Daily:
		return "its openings of this day are used up; it opens again at 00:00 UTC"
	}
	return "all its openings are used up"
}

// linkWords are what a link is that does not open as its node says, or of which that is not
// known.
var linkWords = map[batch.LinkState]string{
	batch.LinkLost:      "lost at its node",
	batch.LinkForged:    "not known: its node's answer DOES NOT VERIFY",
	batch.LinkNewer:     "not known: its node is of a newer carekey",
	batch.LinkUnsaid:    "not known: its node does not say",
	batch.LinkLocked:    "over: wrong passcodes",
	batch.LinkEnded:     "over at its node",
	batch.LinkUsedToday: "used up for today (UTC)",
	batch.LinkUsedUp:    "used up",
}

// linkStatus is what a link is that is active on the ledger, as its node says.
func linkStatus(c wallet.Consent) string {
	a := c.Said
	switch says, ok := linkWords[batch.StateOf(&c)]; {
	case ok:
		return says
	case a.Daily:
		return fmt.Sprintf("active, %d of %d left today", a.Left, a.Openings)
	case a.Openings == 0:
		return fmt.Sprintf("active, %d left", a.Left)
	}
	return fmt.Sprintf("active, %d of %d left", a.Left, a.Openings)
}

// isForged reports whether what a node said of a link does not verify.
func isForged(err error) bool {
	_, is := errors.AsType[*ledgerclient.TamperedError](err)
	return is
}

// operatorSays is what a link's node says of it, in words.
func operatorSays(ledger string, a ledgerclient.LinkAnswer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "As the operator of %s says, and nothing else shows: %s", cli.Clean(ledger), map[ledgerclient.LinkState]string{
		ledgerclient.LinkActive: "it can be opened", ledgerclient.LinkExhausted: usedUp(a), ledgerclient.LinkEnded: "it has ended", ledgerclient.LinkLocked: "too many wrong passcodes ended it for good",
	}[a.State])
	if a.State == ledgerclient.LinkActive {
		more := map[bool]string{true: " on this day (UTC)", false: ""}[a.Daily]
		if a.Openings == 0 {
			more = ", in all or on this day (UTC)"
		}
		fmt.Fprintf(&b, ", %s more%s", plural(int(a.Left), "time", "times"), more)
		if a.Attempts > 0 {
			fmt.Fprintf(&b, "; %s of its passcode left", plural(int(a.Attempts), "wrong try", "wrong tries"))
		}
	}
	b.WriteString(".")
	if a.More > 0 {
		fmt.Fprintf(&b, "\n  %s before these", plural(int(a.More), "event", "events"))
	}
	for _, e := range a.Events {
		what := map[ledgerclient.LinkHappened]string{ledgerclient.LinkOpened: "opened", ledgerclient.LinkWrong: "wrong passcode", ledgerclient.LinkRefused: "tried, refused"}[e.What]
		said := ""
		if e.By != "" {
			said = ", typed: " + cli.Clean(e.By)
		}
		if e.Reason != "" {
			said += ", because: " + cli.Clean(e.Reason)
		}
		fmt.Fprintf(&b, "\n  %s  %s%s", e.Time().Local().Format(dayLayout), what, said)
	}
	return b.String()
}
