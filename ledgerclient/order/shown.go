package order

import (
	"net/url"
	"strings"
)

// Shown is the URL of an order as it is shown to people: without what may be a password
// in it, which are the user and the parameters. Otherwise it is as it was given.
func Shown(text string) string {
	const hidden = "…"
	u, err := url.Parse(text)
	if err != nil {
		scheme, _, _ := strings.Cut(text, ":")
		return scheme + ":" + hidden // nobody knows where in it a password is
	}
	shown := text
	if end := strings.IndexAny(text, "?#"); end >= 0 {
		shown = text[:end+1] + hidden
	}
	if u.User != nil { // as it is written, which may not be as package url would write it
		scheme, rest, _ := strings.Cut(shown, "//")
		shown = scheme + "//" + hidden + rest[strings.LastIndex(rest, "@"):]
	}
	return shown
}
