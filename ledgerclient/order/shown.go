package order

import (
	"net/url"
	"strings"
)

// Shown is the URL of an order as it is shown to people: without the password in it.
// That is what stands between the user's name and @, and the value of a parameter that
// is called one, or a secret, key or token. Otherwise it is as it was given.
func Shown(text string) string {
	const hidden = "…"
	u, err := url.Parse(text)
	if err != nil {
		scheme, _, _ := strings.Cut(text, ":")
		return scheme + ":" + hidden // nobody knows where in it a password is
	}
	if pass, ok := u.User.Password(); ok {
		// As it is written, which may not be as package url would write it.
		begin := strings.Index(text, "//") + 2
		if at := strings.LastIndex(text[begin:], "@"); at >= 0 {
			user, _, _ := strings.Cut(text[begin:begin+at], ":")
			text = text[:begin] + user + ":" + hidden + text[begin+at:]
		} else {
			text = strings.ReplaceAll(text, pass, hidden)
		}
	}
	before, query, ok := strings.Cut(text, "?")
	if !ok {
		return text
	}
	parts := strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' })
	for i, p := range parts {
		name, _, valued := strings.Cut(p, "=")
		for _, s := range []string{"pass", "pwd", "secret", "key", "token", "auth"} {
			if valued && strings.Contains(strings.ToLower(name), s) {
				parts[i] = name + "=" + hidden
				break
			}
		}
	}
	return before + "?" + strings.Join(parts, "&")
}
