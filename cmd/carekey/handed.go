package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/qr"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/wallet/shlink"
)

// What people hand to each other is one word of text, of some kinds. An argument has it as
// it is, or names a file in which it stands with @FILE, and standard input with @-. So no
// name is ever taken for a file, and no file for a name.

// kind is a kind of what people hand to each other.
type kind string

const (
	anAddress    kind = "address"
	aCard        kind = "card"
	anInvitation kind = "invitation"
	aFetchCode   kind = "fetch code"
	aLink        kind = "link"
)

func (k kind) String() string {
	if k == anAddress || k == anInvitation {
		return "an " + string(k)
	}
	return "a " + string(k)
}

// kindOf is which kind a text looks like, whole or not; "" if it is none.
func kindOf(handed string) kind {
	switch {
	case crypto.IsCard(handed):
		return aCard
	case node.IsInvitation(handed):
		return anInvitation
	case crypto.IsFetchCode(handed):
		return aFetchCode
	case shlink.Is(handed):
		return aLink
	case crypto.IsAddress(handed):
		return anAddress
	}
	return ""
}

// parse reports why a text is none of the kind.
func (k kind) parse(handed string) (err error) {
	switch k {
	case aCard:
		_, _, err = parseCard(handed)
	case anInvitation:
		_, err = node.ParseInvitation(handed)
	case aFetchCode:
		_, err = crypto.ParseFetchCode(handed)
	case aLink:
		_, err = shlink.Parse(handed)
	default:
		_, err = crypto.ParseAddress(handed)
	}
	return err
}

// parseCard reads a card and the invitation in it, nil if it has none.
func parseCard(handed string) (crypto.Card, *node.Invitation, error) {
	c, err := crypto.ParseCard(handed)
	if err != nil || c.Place == "" {
		return c, nil, err
	}
	inv, err := node.ParseBytes(c.Place)
	if err != nil {
		return crypto.Card{}, nil, err
	}
	return c, &inv, nil
}

// maxHanded is the size of the largest text file that is looked through, in bytes.
const maxHanded = 64 << 10

// handing reads what is handed over.
type handing struct{ *app }

// read returns what an argument hands over. What is neither @FILE nor @- is returned as it
// is, with what it looks like; of a file it is the one text in it that is of a wanted kind,
// which parses.
func (a handing) read(arg string, wanted ...kind) (said string, is kind, err error) {
	path, file := strings.CutPrefix(arg, "@")
	if !file {
		return arg, kindOf(arg), nil
	}
	in, shown := a.in, path
	switch path {
	case "":
		return "", "", usage("@ alone names no file", "name it: @FILE, or @- for standard input")
	case "-":
		shown = "standard input"
	default:
		if in, err = os.Open(path); err != nil {
			return "", "", err
		}
		defer in.Close()
	}
	found, err := findHanded(in)
	for _, code := range []fault.Code{qr.ErrPicture, text.ErrEncoding} {
		if bad, ok := fault.As(err, code); ok {
			err = code.With("file", shown, "why", fault.Get[string](bad, "why"))
		}
	}
	if err != nil {
		return "", "", err
	}
	t, err := theOne(shown, found, wanted)
	return t.text, t.kind, err
}

// ledger is read for an argument that says which ledger: of a card the invitation in it.
func (a handing) ledger(arg string) (string, error) {
	said, is, err := a.read(arg, aCard, anInvitation)
	if err != nil || is != aCard {
		return said, err
	}
	c, inv, err := parseCard(said)
	if err != nil {
		return "", err
	}
	if inv == nil {
		return "", usage("the card of "+cli.Quote(cli.Clean(c.Name))+" says of no ledger where it is", "that of its owner is in a folder: name the folder, or ask whoever keeps the ledger for an invitation")
	}
	return inv.String(), nil
}

// theOne is the only one of the wanted kinds in a file.
func theOne(shown string, found []handed, wanted []kind) (handed, error) {
	var good, bad, others []handed
	for _, t := range found {
		switch {
		case !slices.Contains(wanted, t.kind):
			others = append(others, t)
		case t.err != nil:
			bad = append(bad, t)
		default:
			good = append(good, t)
		}
	}
	if forged := slices.IndexFunc(bad, func(t handed) bool { return errors.Is(t.err, crypto.ErrCardForged) }); forged >= 0 {
		return handed{}, bad[forged].err // whatever else there is came with it
	}
	want := strings.Join(list(wanted, func(k kind) string { return string(k) }), " or ")
	switch {
	case len(good) == 1:
		return good[0], nil
	case len(good) > 1:
		return handed{}, usage(fmt.Sprintf("%s holds %s: which is meant?", shown, countKinds(good)), "leave one of them in it, or name that one itself instead of the file")
	case len(bad) > 0:
		return handed{}, bad[0].err
	case len(others) > 0:
		return handed{}, usage(fmt.Sprintf("%s holds %s, and no %s", shown, countKinds(others), want), "what is needed here begins with "+begins(wanted))
	}
	return handed{}, usage(fmt.Sprintf("%s holds no %s", shown, want), "what is needed here begins with "+begins(wanted))
}

// begins are the beginnings of the texts of some kinds.
func begins(kinds []kind) string {
	return strings.Join(list(kinds, func(k kind) string {
		return cmp.Or(map[kind]string{aCard: "carekey-card1", anInvitation: "carekey-node1", aFetchCode: "carekey-fetch1", aLink: "shlink:/"}[k], "carekey1")
	}), " or ")
}

func countKinds(found []handed) string {
	var out []string
	for _, k := range []kind{aCard, anInvitation, anAddress, aFetchCode, aLink} {
		n := 0
		for _, t := range found {
			if t.kind == k {
				n++
			}
		}
		switch {
		case n == 1:
			out = append(out, k.String())
		case n > 1 && k == anAddress:
			out = append(out, fmt.Sprintf("%d addresses", n))
		case n > 1:
			out = append(out, fmt.Sprintf("%d %ss", n, string(k)))
		}
	}
	return strings.Join(out, " and ")
}

// handed is what looks like something that was handed over, among other words.
type handed struct {
	kind kind
	text string // without what was put into and around it, if it is whole
	err  error  // why it is not
}

// findHanded looks for what was handed over in a text, or in the QR codes of a picture.
func findHanded(r io.Reader) (found []handed, err error) {
	in := bufio.NewReader(r)
	var texts []string
	if begin, _ := in.Peek(8); qr.IsPNG(begin) {
		texts, err = qr.Read(in)
	} else {
		var b []byte
		b, err = text.Read(in, maxHanded)
		texts = []string{string(b)}
	}
	for _, t := range texts {
		for _, some := range findTokens(t) {
			same := func(f handed) bool {
				return f.text == some.text || some.kind != aLink && strings.EqualFold(f.text, some.text)
			}
			if !slices.ContainsFunc(found, same) {
				found = append(found, some)
			}
		}
	}
	return found, err
}

var (
	// hyphenBroken is where a mail program broke a line within a beginning.
	hyphenBroken = cli.Pattern(`(?i)(carekey-)[\s>|]+`)
	beginning    = cli.Pattern(`(?i)carekey(?:-card|-node|-fetch)?1`)
	noBase32     = cli.Pattern(`(?i)[^a-z2-7]`)
	// aLinkIn is a link with the viewer's address before it, if it has one.
	aLinkIn = cli.Pattern(`(?i)(?:https?://[^\s#"'<>]+#)?shlink:/[\w-]*`)
)

// maxTokens is how many beginnings of a text are looked at, and maxPieces into how many
// words something may have been broken.
const (
	maxTokens = 32
	maxPieces = 600
)

// findTokens finds what was handed over among other words. Where one ends is not to be
// seen: it may have been broken into lines, and words may follow. Its checksum tells.
func findTokens(t string) (found []handed) {
	for _, link := range aLinkIn().FindAllString(t, maxTokens) {
		found = append(found, handed{kind: aLink, text: link, err: aLink.parse(link)})
	}
	t = aLinkIn().ReplaceAllString(t, " ")
	t = beginning().ReplaceAllString(hyphenBroken().ReplaceAllString(t, "$1"), " $0")
	words := strings.Fields(t)
	for i := 0; i < len(words) && len(found) < maxTokens; i++ {
		so := text.Code(words[i])
		k := kindOf(so)
		if k == "" {
			continue
		}
		t := handed{kind: k, text: so, err: k.parse(so)}
		whole := func(err error) bool { return err == nil || errors.Is(err, crypto.ErrCardForged) }
		for j := i + 1; !whole(t.err) && j < min(len(words), i+maxPieces) && !noBase32().MatchString(text.Code(words[j])); j++ {
			so += text.Code(words[j])
			if err := k.parse(so); whole(err) {
				t.text, t.err, i = so, err, j
			}
		}
		found = append(found, t)
	}
	return found
}
