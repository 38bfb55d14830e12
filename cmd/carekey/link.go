package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/shlink"
)

// linkJSON is what a link says of itself. Nobody vouches for it.
type linkJSON struct {
	Host  string `json:"host"` // who serves it
	Label string `json:"label"`
	Flags string `json:"flags"`
	Until string `json:"until"` // RFC 3339; "" if it says nothing
}

// linkFileJSON is a file that a link held. What its server says of it is as it came.
type linkFileJSON struct {
	File        string      `json:"file"`
	SHA256      crypto.Hash `json:"sha256"`
	Size        int         `json:"size"`
	Type        string      `json:"type"`
	Host        string      `json:"host"` // who served it
	Updated     string      `json:"updated,omitempty"`
	Status      string      `json:"status,omitempty"`
	FHIRVersion string      `json:"fhirVersion,omitempty"`
}

// fromLinkJSON is what was fetched by a link.
type fromLinkJSON struct {
	Link  linkJSON       `json:"link"`
	Files []linkFileJSON `json:"files"`
	View  *health.View   `json:"view,omitempty"` // with --view; of the files that are FHIR
}

// opensLink opens a SMART Health Link.
type opensLink struct {
	*app
	flags fetchFlags
	link  *shlink.Link
	files []linkFileJSON
}

func (x *opensLink) open(ctx context.Context) error {
	l := x.link
	say := shlink.Answers{}
	x.say("A link, served by %s.", cli.Clean(l.Host()))
	if l.Label != "" {
		x.say("It says of itself: %s", quoted(l.Label))
	}
	if !l.Until.IsZero() && !x.now().Before(l.Until) {
		x.say("note: it says that it ended on %s. That is a hint of its maker's: its server is asked all the same.", l.Until.Local().Format(dayLayout))
	}
	if strange := strings.Trim(l.Flags, "LPU"); strange != "" {
		x.say("note: flags in it that this carekey does not know are passed over: %s", quoted(strange))
	}
	// What would be written where is found out first: asking can count as an opening.
	to, err := wallet.PrepareLink(x.flags.dir, l.Host(), l.URL(), x.flags.flat)
	if err != nil {
		return err
	}
	defer to.Discard()
	if say.Recipient, err = x.recipient(ctx); err != nil {
		return err
	}
	if say.Passcode, err = x.passcode(ctx); err != nil {
		return err
	}
	client := shlink.Client{Local: x.flags.allowLocal, Wait: x.patience}
	err = client.Open(ctx, l, say, func(f *shlink.File) error { return x.save(to, f) })
	if len(x.files) == 0 && err == nil {
		x.say("The link holds no files.")
	}
	if len(x.files) > 0 || err == nil {
		shown := x.show(ctx)
		if err != nil {
			err = wallet.ErrPartly.Of(err, "done", len(x.files), "failed", 1)
		}
		return cmp.Or(err, shown)
	}
	return err
}

// recipient is who opens the link, and why, in one text: that is all that the specification has
// room for. A node that keeps links keeps so many bytes of it; a reason that is cut off helps
// nobody.
func (x *opensLink) recipient(ctx context.Context) (who string, err error) {
	if who = strings.TrimSpace(x.flags.by); who == "" {
		if !x.interactive() {
			return "", errNeed.With("what", "who opens it", "flag", "--by TEXT")
		}
		if who, err = ui.Line(ctx, x.in, x.err, "Who opens it? Whoever made the link may read that:"); err != nil {
			return "", err
		}
	}
	if why := strings.TrimSpace(x.flags.reason); why != "" && who != "" {
		who += ": " + why
	}
	if n := len(who); n == 0 || n > ledgerclient.MaxLinkBy {
		return "", usage(fmt.Sprintf("who opens it, and why, takes 1 to %d bytes together, and this has %s: %s", ledgerclient.MaxLinkBy, thousands(n), "most letters have one, others two to four"), "--by 'Dr Smith, City Clinic' --reason check-up")
	}
	return who, nil
}

// passcode is that of the link, "" if it takes none.
func (x *opensLink) passcode(ctx context.Context) (string, error) {
	if !x.link.Has('P') {
		return "", nil
	}
	var b []byte
	var err error
	switch {
	case x.flags.passcode != "":
		source := &passphraseSource{name: "--passcode-file", file: x.flags.passcode, fd: -1}
		b, err = cli.UnlessDone(ctx, func() ([]byte, error) { return source.take(true) })
	case x.interactive():
		b, err = ui.Passphrase(x.in, x.err, "Passcode of the link", false, nil)
	default:
		err = errNeed.With("what", "the link's passcode", "flag", "--passcode-file FILE")
	}
	defer clear(b)
	return string(b), err
}

// linkNames are names for the files of a link, by their type.
var linkNames = map[string]string{shlink.TypeFHIR: "fhir.json", shlink.TypeCard: "card.smart-health-card", shlink.TypeAccess: "access.json"}

// save writes one file.
func (x *opensLink) save(to *wallet.Fetched, f *shlink.File) error {
	path, sum, err := to.SaveAs(linkNames[f.Type], f.Body, x.flags.force)
	if err != nil {
		return err
	}
	what := "FHIR"
	switch f.Type {
	case shlink.TypeCard:
		what = "a SMART Health Card, whose signature was not checked"
	case shlink.TypeAccess:
		what = "what gives access to a FHIR server: keep it as secret as the link; carekey does not use it"
	}
	says := ""
	for _, said := range [][2]string{{"last changed", f.Updated}, {"status", f.Status}} {
		if said[1] != "" {
			says += fmt.Sprintf("; %s, by its server's word: %s", said[0], quoted(said[1]))
		}
	}
	if f.Host != x.link.Host() {
		says += "; served by " + cli.Clean(f.Host)
	}
	x.say("  %s (%s%s)", what, bytesText(int64(len(f.Body))), says)
	if slices.Contains([]string{"entered-in-error", "no-longer-valid", "retracted"}, f.Status) {
		x.say("warning: by its server's own word it is not to be relied on: %s", f.Status)
	}
	if v := f.FHIRVersion; f.Type == shlink.TypeFHIR && v != "" && !strings.HasPrefix(v, "4.") {
		x.say("warning: it is of FHIR version %s; carekey reads R4, and may not understand it", quoted(v))
	}
	if x.flags.view {
		x.say("  %s", cli.Clean(path))
	} else {
		x.printPath(path)
	}
	x.files = append(x.files, linkFileJSON{path, sum, len(f.Body), f.Type, f.Host, f.Updated, f.Status, f.FHIRVersion})
	return nil
}

// show ends it, with what the files say if that was asked for.
func (x *opensLink) show(ctx context.Context) error {
	l := x.link
	out := fromLinkJSON{Link: linkJSON{Host: l.Host(), Label: l.Label, Flags: l.Flags}, Files: list(x.files, same)}
	if !l.Until.IsZero() {
		out.Link.Until = l.Until.Format(time.RFC3339)
	}
	var failed error
	if x.flags.view {
		v := &viewing{app: x.app}
		for _, f := range x.files {
			if f.Type == shlink.TypeFHIR {
				v.paths = append(v.paths, f.File)
			}
		}
		if len(v.paths) > 0 {
			out.View, failed = v.look(ctx, nil)
		}
		if out.View != nil && !x.app.flags.json {
			failed = v.text(out.View)
		}
	}
	if err := x.result(out); err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	if len(x.files) > 0 {
		x.say("Written for you alone. That %s served it is all that is known of it: no ledger, no signature and no sender was checked. Whoever made the link may see that it was opened, and what was said of who looks.", cli.Clean(l.Host()))
	}
	return nil
}
