package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/spf13/cobra"
)

// JSON: one value on stdout, times in RFC 3339 UTC, ids in full, lists never null.
// Fields are only ever added.

// list makes a JSON list of in; an empty one is [].
func list[A, B any](in []A, f func(A) B) []B {
	out := make([]B, 0, len(in))
	for _, x := range in {
		out = append(out, f(x))
	}
	return out
}

// firstFlag lets a command list the first alone, where none is the newest.
func firstFlag(c *cobra.Command, n *int) {
	c.Flags().IntVar(n, "limit", 0, "at most `N`, the first")
}

// firstOf are the first n of a list, or all of it if n is 0. How many it leaves out is said.
func firstOf[A any](c *console, all []A, n int) ([]A, error) {
	if err := cli.CheckLimit(n); err != nil || n == 0 || n >= len(all) {
		return all, err
	}
	c.say("%s after these: leave out --limit.", plural(len(all)-n, "more", "more"))
	return all[:n], nil
}

// same is for a list whose elements are as they should be.
func same[A any](x A) A { return x }

type recordJSON struct {
	wallet.Record
	Damaged string `json:"damaged,omitempty"` // error code: what the store holds is not what was signed
	Removed bool   `json:"removed,omitempty"`
}

func recordOf(r wallet.Record) recordJSON { return recordJSON{Record: r, Damaged: lostCode(r.Damaged)} }

// instant is a time in JSON; "" for the zero time.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

type consentJSON struct {
	wallet.Consent
	To      string `json:"to"` // contact, else address
	Address string `json:"address"`
	Purpose string `json:"purpose"`
	Damaged string `json:"damaged,omitempty"` // error code: what the store holds is not what was signed
	// Of a link that is active on the ledger: what its node says, or the error code for which
	// that is not known.
	Operator *linkSaidJSON `json:"operator,omitempty"`
	Unsaid   string        `json:"unsaid,omitempty"`
}

func consentOf(c wallet.Consent) consentJSON {
	c.Records = list(c.Records, same)
	j := consentJSON{Consent: c, To: who(c.To, c.Address), Address: addressText(c.Address), Purpose: c.Purpose.Word(), Damaged: lostCode(c.Damaged)}
	if c.Said != nil {
		j.Operator = new(linkSaidOf(*c.Said))
	} else if c.Unsaid != nil {
		j.Unsaid = explain(c.Unsaid).Code
	}
	return j
}

// senderOf is who gave a consent: the name is "" for a stranger, the address if it is not
// known.
func senderOf(r wallet.Received) wallet.ManifestSender {
	return wallet.ManifestSender{Name: r.From, Says: r.Says, Address: addressText(r.Address), Verified: r.Verified, Ref: r.Ref}
}

type receivedJSON struct {
	wallet.Received
	Sender  wallet.ManifestSender `json:"sender"`
	From    string                `json:"from"` // contact, else address
	Address string                `json:"address"`
	Known   bool                  `json:"known"` // the sender is a contact
	Titles  []string              `json:"titles"`
	Purpose string                `json:"purpose"`
	Fetched bool                  `json:"fetched"`
	Damaged string                `json:"damaged,omitempty"` // error code: what the store holds is not what was signed
}

func receivedOf(r wallet.Received) receivedJSON {
	r.Records = list(r.Records, same)
	titles := list(r.Records, func(c wallet.ConsentRecord) string { return c.Title })
	return receivedJSON{r, senderOf(r), who(r.From, r.Address), addressText(r.Address), r.From != "", titles, r.Purpose.Word(), r.Fetched > 0, lostCode(r.Damaged)}
}

type eventJSON struct {
	wallet.Event
	Who     string `json:"who"` // contact, else address
	Purpose string `json:"purpose"`
	Because string `json:"because,omitempty"` // why a keeper refused
	// Operator is, of the event that a link was given, what its node says of its openings.
	Operator *linkSaidJSON `json:"operator,omitempty"`
	// Of what a keeper tells: its number in the document of the consent, from 1, and its key.
	Keeper int           `json:"keeper,omitempty"`
	Key    crypto.PubKey `json:"keeperKey,omitzero"`
}

func eventOf(e wallet.Event) eventJSON {
	e.Records = list(e.Records, same)
	j := eventJSON{Event: e, Who: who(e.Who, e.Address), Purpose: e.Purpose.Word(), Keeper: e.Keeper.Number, Key: e.Keeper.Key}
	if e.What == wallet.Refused && e.More == 0 {
		j.Because = e.Code.String()
	}
	return j
}

// addressText is an address, or "" where it is not known.
func addressText(a crypto.Address) string {
	if a.IsZero() {
		return ""
	}
	return a.String()
}

// who is a contact's name, or else the address.
func who(name string, a crypto.Address) string {
	if name != "" {
		return name
	}
	return addressText(a)
}

// For people.

// short is the beginning of an id, enough to name it with.
func short[ID ~[32]byte](id ID) string { return hex.EncodeToString(id[:4]) }

// person is a contact's name or the beginning of an address.
func person(name string, a crypto.Address) string {
	switch {
	case name != "":
		return name
	case a.IsZero():
		return "(not known)"
	}
	return "unknown " + a.String()[:16]
}

// receiver is whom a consent is for: link says that it is whoever has a link.
func receiver(name string, a crypto.Address, link bool) string {
	if link {
		return "a link"
	}
	return person(name, a)
}

// sender is who gave a consent, with one's own reference to that contact: a stranger is
// called what he calls himself, and that it is his word is said beside it, however long
// that word is.
func sender(r wallet.Received) string {
	if r.Ref != "" {
		return person(r.From, r.Address) + " (" + r.Ref + ")"
	}
	says := strings.Join(strings.Fields(text.Name(cli.Clean(r.Says))), " ")
	if r.From != "" || says == "" {
		return person(r.From, r.Address)
	}
	const most = 40 // characters
	if letters := []rune(says); len(letters) > most {
		says = string(letters[:most]) + "..."
	}
	return says + " (says so; not verified)"
}

const dayLayout = "2 Jan 2006 15:04"

// dates are those in a list's cells: short at a terminal, in full for a script.
type dates struct{ now time.Time } // zero: for a script

// datesOn are those of the lists on a file.
func datesOn(out *os.File, now func() time.Time) dates {
	if cli.Width(out) == 0 {
		return dates{}
	}
	return dates{now().Local()}
}

// short is a time without the year that it is.
func (d dates) short(t time.Time, layout string) string {
	if t.Year() != d.now.Year() {
		layout = strings.Replace(layout, "2 Jan", "2 Jan 2006", 1)
	}
	return t.Format(layout)
}

// hour is a ledger hour of which the hour matters.
func (d dates) hour(h wallet.Hour) string {
	if d.now.IsZero() {
		return day(h)
	}
	return d.short(wallet.HourTime(h).Local(), "2 Jan 15:04")
}

// day is a ledger hour of which the day matters.
func (d dates) day(h wallet.Hour) string { return d.short(wallet.HourTime(h).Local(), "2 Jan") }

// near is a ledger hour of which the hour matters if it is not two days away.
func (d dates) near(h wallet.Hour) string {
	if away := wallet.HourTime(h).Sub(d.now); away.Abs() < 48*time.Hour || d.now.IsZero() {
		return d.hour(h)
	}
	return d.day(h)
}

// iso is a date as records have it.
func (d dates) iso(s string) string {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || d.now.IsZero() {
		return s
	}
	return d.short(t, "2 Jan")
}

// day is a ledger hour in the reader's own time.
func day[H ~uint32](h H) string { return wallet.HourTime(h).Local().Format(dayLayout) }

// both is a time in the reader's own zone and in UTC.
func both[H ~uint32](h H) string {
	t := wallet.HourTime(h)
	if _, offset := t.Local().Zone(); offset == 0 {
		return t.Format("Mon " + dayLayout + " UTC")
	}
	local := t.Local()
	if local.Day() == t.Day() {
		return local.Format("Mon "+dayLayout+" MST") + t.Format(" (15:04 UTC)")
	}
	return local.Format("Mon "+dayLayout+" MST") + t.Format(" ("+dayLayout+" UTC)")
}

// untilText is the end of a consent, and the ledger's where that is another: who keeps to
// the first, and that keepers hold everybody to the second.
func untilText[H ~uint32](until, ledger H, keeps string, columns int) string {
	if until == ledger {
		return both(until)
	}
	then := ",\n"
	if columns < 80 {
		then = ", " // it is broken elsewhere
	}
	return both(until) + "\n" + keeps + "; whatever program is used" + then + "keepers end it " + both(ledger)
}

// linkUntil is the end of a link, and what the ledger shows of it: its node alone keeps to
// the first, and nobody is held to the second who has opened the link.
func linkUntil[H ~uint32](until, ledger H) string {
	if until == ledger {
		return both(until)
	}
	return both(until) + "\nits node keeps to it; the ledger shows " + both(ledger)
}

// titles names record versions in a few words.
func titles(rs []wallet.ConsentRecord) string {
	var out []string
	for i, r := range rs {
		if i == 3 && len(rs) > 4 {
			out = append(out, fmt.Sprintf("%d more", len(rs)-3))
			break
		}
		out = append(out, titleOf(r))
	}
	return strings.Join(out, ", ")
}

// contents are what a consent is over.
func contents(r wallet.Received) string {
	if r.Missing {
		return lost(r.Damaged)
	}
	return titles(r.Records)
}

// titleOf names a record version. Of parts their recipient knows no title.
func titleOf(r wallet.ConsentRecord) string {
	title := r.Title
	switch {
	case r.Part && title == "":
		title = "PART of a record"
	case r.Part:
		title = "PART of " + title
	}
	switch {
	case r.Newest > 0:
		title = fmt.Sprintf("%s (version %d of %d)", title, r.Version, r.Newest)
	case r.Version > 1:
		title = fmt.Sprintf("%s (version %d)", title, r.Version)
	}
	return title + removedText(r)
}

func removedText(r wallet.ConsentRecord) string {
	if r.Removed {
		return " (removed)"
	}
	return ""
}

// Numbers in words are those of all packages.
var plural, thousands = payload.Counted, payload.Thousands

// bytesText is a size for people.
func bytesText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// openedText says how often a consent was used. Openings within one hour count as
// one, since they share an entry.
func openedText(openings int, last string) string {
	switch openings {
	case 0:
		return ground{}.says(noOpening)
	case 1:
		return "once, " + last
	}
	return fmt.Sprintf("%d times, last %s", openings, last)
}

// openingsText is how often a consent was opened, by its entries. Of a link one is made in an
// hour however many open it, and by its node, so that none may be there yet.
func openingsText(c wallet.Consent, last string) string {
	switch {
	case !c.Link:
		return openedText(c.Openings, last)
	case c.Openings == 0:
		return "no entry of an opening, as far as is known"
	}
	return fmt.Sprintf("in %s at least once, last %s: how often only its node says", plural(c.Openings, "hour", "hours"), last)
}

// lost says why a payload cannot be shown: damaged is why what the store holds is
// not what was signed, nil if it holds nothing.
func lost(damaged error) string {
	if is[*ledgerclient.UnreachableError](damaged) {
		return "(out of reach)"
	}
	if errors.Is(damaged, wallet.ErrUnread) {
		return "(not read yet)"
	}
	if damaged != nil {
		return "(TAMPERED WITH in the store)"
	}
	return "(not in the store)"
}

// lostCode is the error code of such a payload in JSON.
func lostCode(damaged error) string {
	if damaged == nil {
		return ""
	}
	return explain(damaged).Code
}

// onLedgers is a table with a column of ledgers at its end, if there are several.
func (s *session) onLedgers(columns ...ui.Column) *ui.Table {
	if len(s.titles) > 1 {
		columns = append(columns, ui.Text("ledger"))
	}
	return &ui.Table{Columns: columns}
}

// withTitle adds the cell of that column.
func (s *session) withTitle(cells []string, title string) []string {
	if len(s.titles) > 1 {
		return append(cells, title)
	}
	return cells
}

func warningText(w wallet.Warning, name string) string {
	switch w.Kind {
	case "unverified":
		return "compare the check words by voice: carekey contact verify " + cli.Quote(name)
	case "self":
		return "this is your own address"
	case "unseen": // is said of who it is
		return ""
	case "alike":
		return "your contact " + cli.Quote(cli.Clean(w.Detail)) + " looks much like this name, and has another address"
	case "long":
		return "this is for more than a year"
	case "empty":
		return "there is nothing of the category " + w.Detail + " that is given"
	case "overlap":
		return "consent " + w.Detail[:8] + " gives " + name + " the same already,\n         for " + w.Purpose.Word() + " until " + day(w.Until)
	}
	return w.Kind
}

func checkWords(a crypto.Address) string {
	w := a.Words()
	return strings.Join(w[:], " ")
}

// roughly is a duration as people say it.
func roughly(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return plural(int(d/time.Second), "second", "seconds")
	case d < 2*time.Hour:
		return plural(int(d/time.Minute), "minute", "minutes")
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour", "hours")
	}
	return plural(int(d/(24*time.Hour)), "day", "days")
}

// problem is a line about what is wrong with a file.
func problem(p batch.Problem) string {
	named := p.Field
	if p.Value != "" {
		named = strings.TrimSpace(named + " " + cli.Quote(cli.Clean(p.Value)))
	}
	if named != "" {
		named += ": "
	}
	return fmt.Sprintf("%s:%d:%d: %s%s", p.File, p.Line, p.Column, named, p.Why)
}

// besideColumns are what a text has that stands beside a list: less than breaks lines by hand.
const besideColumns = 48
