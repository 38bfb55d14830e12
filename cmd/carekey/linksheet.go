package main

import (
	"encoding/base64"
	"fmt"
	"html"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/qr"
	"github.com/carekey/carekey/wallet"
)

// linkHolder is how whom a link is for is called.
const linkHolder = "whoever has the link"

// linkHolds is what a link is as good as: no more than what its node keeps to.
const linkHolds = "Whoever has the link can open it; the name that they type is not checked, and what they copied stays with them. " +
	"Its node counts openings, enters them on the ledger and ends the link as far as it keeps the rules: from the first opening on it could also give what is in the link without an entry, past the openings, past the end and after a revocation. " +
	"It has not the link's key; but a page that it serves and has changed could take that from whoever opens the link there. A viewer of their own does without that page (--bare)."

// emergencyHolds is what an emergency link is as good as, beside that.
func emergencyHolds(perDay uint16) string {
	return fmt.Sprintf("An emergency link promises less than a consent: who finds it, or copies it, reads what is in it without asking you, for months, up to %s a day; you learn of it afterwards, as its node tells. Carry it as you would the same facts on paper.", plural(int(perDay), "time", "times"))
}

// opensText is how often a link opens.
func opensText(openings uint16, daily bool) string {
	t := plural(int(openings), "time", "times")
	if daily {
		return "up to " + t + " a day"
	}
	return t
}

func passcodeText(passcode bool) string {
	if passcode {
		return ", with a passcode, which 5 wrong tries end for good"
	}
	return ""
}

// linkSheet is a link on paper: a page of HTML that needs nothing else.
func linkSheet(text string, s wallet.Shown, label, ledger string, made time.Time) ([]byte, error) {
	picture, err := qr.PNG(text)
	if err != nil {
		return nil, err
	}
	holds, _, _ := strings.Cut(linkHolds, " A viewer of their own")
	how := []string{
		"Point a phone's camera at the code, or type the address below into a browser, and say who you are and why: the patient sees it.",
	}
	if strings.HasPrefix(text, "shlink:") {
		how[0] = "Read the code with a viewer of SMART Health Links, and say who you are: the patient sees it."
	}
	if s.Said.Attempts > 0 {
		how = append(how, "The passcode is not on this sheet. Wrong ones end the link.")
	}
	how = append(how, fmt.Sprintf("It can be opened until %s.", both(s.Until)))
	if s.Until-s.Granted > longLink {
		how = append(how, "It lasts for months: whoever finds this sheet can read what is in it, without asking.")
	}
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
	p("small", fmt.Sprintf("Ledger %s, consent %s, made %s with carekey.", ledger, short(s.ID), made.UTC().Format("2006-01-02")))
	b.WriteString("</body></html>\n")
	return []byte(b.String()), nil
}

// longLink is from when on a sheet says that it may be found, in hours.
const longLink = 31 * 24
