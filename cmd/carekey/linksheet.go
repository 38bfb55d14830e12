package main

import (
	"encoding/base64"
	"fmt"
	"html"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/qr"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// linkHolder is how whom a link is for is called.
const linkHolder = "whoever has the link"

// linkHolds is what a link is as good as: no more than what its node keeps to.
const linkHolds = "Whoever has the link can open it; the name that they type is not checked, and what they copied stays with them. " +
	"What is in it is as it was when it was made, and follows no change of a record. " +
	"Its node counts openings, enters them on the ledger and ends the link as far as it keeps the rules: from the first opening on it could also give what is in the link without an entry, past the openings, past the end and after a revocation. " +
	"It has not the link's key; but a page that it serves and has changed could take that from whoever opens the link there. A viewer of their own does without that page (--bare)."

// linkOpens is how a link opens, and for whom.
type linkOpens struct {
	openings        uint16 // 0: its node is an older one, which does not say
	daily, passcode bool
}

// opensOf is how a link opens, by its plan, or else as its node says.
func opensOf(made *wallet.LinkPlan, said ledgerclient.LinkAnswer) linkOpens {
	if made != nil {
		return linkOpens{made.Openings, made.Daily, made.Passcode}
	}
	return linkOpens{said.Openings, said.Daily, said.Passcode || said.Attempts > 0}
}

// holder is whom a link is for.
func (o linkOpens) holder() string {
	if o.passcode {
		return linkHolder + " and its passcode"
	}
	return linkHolder
}

// holds is linkHolds, of one with a passcode too.
func (o linkOpens) holds() string {
	return "W" + o.holder()[1:] + strings.TrimPrefix(linkHolds, "W"+linkHolder[1:])
}

// emergency is what a link that opens day after day is as good as, beside that.
func (o linkOpens) emergency() string {
	finds := "who finds it, or copies it,"
	if o.passcode {
		finds = "who finds or copies it, and has its passcode,"
	}
	return fmt.Sprintf("An emergency link promises less than a consent: %s reads what is in it without asking you, %s, until it ends; you learn of it afterwards, as its node tells. Carry it as you would the same facts on paper.", finds, o.times())
}

// times is how often a link opens.
func (o linkOpens) times() string {
	t := plural(int(o.openings), "time", "times")
	if o.daily {
		return "up to " + t + " a day (UTC)"
	}
	return t
}

func (o linkOpens) code() string {
	if o.passcode {
		return ", with a passcode, which 5 wrong tries end for good"
	}
	return ""
}

// paper is what a sheet says of how a link opens.
func (o linkOpens) paper(until string) (says []string) {
	switch {
	case o.openings == 0:
		says = append(says, fmt.Sprintf("It can be opened until %s, as often as was chosen when it was made.", until))
	case o.daily:
		says = append(says, fmt.Sprintf("It can be opened up to %s a day (UTC), until %s.", plural(int(o.openings), "time", "times"), until))
	default:
		says = append(says, fmt.Sprintf("It can be opened %s in all, until %s.", plural(int(o.openings), "time", "times"), until))
	}
	finds := "Whoever finds this sheet, or copies it, can open it"
	if o.passcode {
		says = append(says, "Its passcode is not on this sheet. Wrong ones end the link for good.")
		finds = "Whoever has this sheet, or a copy, and the passcode can open it"
	}
	finds += " without asking the patient, who learns of it afterwards, as its node tells."
	if o.daily {
		finds += " Openings are counted anew from 00:00 UTC: it promises less than a consent for one person."
	}
	return append(says, finds)
}

// linkSheet is a link on paper: a page of HTML that needs nothing else.
func linkSheet(text string, s wallet.Shown, opens linkOpens, label, ledger string) ([]byte, error) {
	picture, err := qr.PNG(text)
	if err != nil {
		return nil, err
	}
	holds, _, _ := strings.Cut(opens.holds(), " A viewer of their own")
	how := []string{
		"Point a phone's camera at the code, or type the address below into a browser, and say who you are and why: the patient sees it.",
	}
	how = append(how, "The browser keeps that address in its history: on a computer that others use, open it in a private window, or delete it there.")
	if strings.HasPrefix(text, "shlink:") {
		how[0] = "Read the code with a viewer of SMART Health Links, and say who you are: the patient sees it."
		how = how[:1]
	}
	made := wallet.HourTime(contract.Hour(s.Granted)).Format("2006-01-02")
	how = append(how, "What it opens is as it was on "+made+", and does not show what changed since.")
	how = append(how, opens.paper(both(s.Until))...)
	var b strings.Builder
	b.WriteString(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>Health link</title>
<style>
body { font: 12pt/1.4 sans-serif; max-width: 18cm; margin: 1cm auto; padding: 0 0.5cm; color: #000; background: #fff }
img { width: 8cm; height: 8cm; image-rendering: pixelated; display: block }
code { font: 9pt/1.3 monospace; overflow-wrap: anywhere }
small { font-size: 9pt }
</style></head><body>
<h1>Health link</h1>
`)
	p := func(tag, t string) {
		fmt.Fprintf(&b, "<%s>%s</%s>\n", tag, html.EscapeString(cli.Clean(t)), tag)
	}
	if label != "" {
		p("h2", label)
	}
	fmt.Fprintf(&b, "<img alt=\"QR code of the link below\" src=\"data:image/png;base64,%s\">\n", base64.StdEncoding.EncodeToString(picture))
	for _, t := range how {
		p("p", t)
	}
	p("code", text)
	fmt.Fprintf(&b, "<p><small>%s</small></p>\n", html.EscapeString("This sheet is as good as what is behind it: keep it as you would that. "+holds))
	p("small", fmt.Sprintf("Ledger %s, consent %s, made %s with carekey.", ledger, short(s.ID), made))
	b.WriteString("</body></html>\n")
	return []byte(b.String()), nil
}
