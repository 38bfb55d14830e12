package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
)

// direct is a ledger whose order a program keeps and the wallet uses itself, with
// who keeps the rest. Settings have it as the two with a space between them.
type direct struct {
	url   string // foo:anything, without spaces
	store string // a folder's absolute path, or an invitation
}

func (d direct) String() string { return d.url + " " + d.store }

// maxOrderURL is the size of the longest URL of an order, in bytes.
const maxOrderURL = 1024

// isOrder tells whether a text is the URL of an order. A scheme of one letter is the
// drive of a path.
func isOrder(text string) bool {
	scheme, _, _ := strings.Cut(text, ":")
	if _, ok := order.ProgramName(text); !ok || len(scheme) < 2 || len(text) > maxOrderURL || scheme == "http" || scheme == "https" {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
}

// parseDirect reads what String has written.
func parseDirect(text string) (direct, bool) {
	url, store, ok := strings.Cut(text, " ")
	if !ok || !isOrder(url) || !filepath.IsAbs(store) && !node.IsInvitation(store) {
		return direct{}, false
	}
	return direct{url, store}, true
}

// namedDirect reads what somebody names such a ledger by; ok is false for what is
// none at all, such as a folder whose name looks like one.
func namedDirect(named string) (d direct, ok bool, err error) {
	url, store, _ := strings.Cut(named, " ")
	if !isOrder(url) {
		return d, false, nil
	}
	if _, err := os.Lstat(named); err == nil {
		return d, false, nil
	}
	if store == "" {
		shown := order.Shown(url)
		return d, true, usage("an order alone is no ledger: who keeps the encrypted records and the shares of keys beside "+shown+"?",
			"name both: carekey ledger join "+shown+" --store INVITATION, or --store DIR; anywhere else --ledger '"+shown+" INVITATION'")
	}
	if text, ok, err := invitation(store); ok {
		return direct{url, text}, true, err
	}
	store, err = filepath.Abs(store)
	return direct{url, store}, true, err
}

// shown is the order's URL without a password that is in it.
func (d direct) shown() string { return order.Shown(d.url) }

// folderOf is the folder of a ledger that has one.
func folderOf(where string) string {
	if d, ok := parseDirect(where); ok {
		return d.store
	}
	return where
}

// replica is the folder in the home for the wallet's own replica. All profiles of a
// home share it: it holds nothing of anybody's, and can be made again. Its name tells
// neither the ledger nor the order.
func (d direct) replica(home string) string {
	id := d.store
	if inv, err := node.ParseInvitation(d.store); err == nil {
		id = inv.Ledger.String()
	}
	h := sha256.Sum256([]byte(id + " " + d.url))
	return filepath.Join(home, "replicas", hex.EncodeToString(h[:8]))
}

// trust is what else a person is to compare; keyed tells that the folder beside the
// order holds the ledger's keys.
func (d direct) trust(p order.Properties, keyed bool) [][2]string {
	name, _ := order.ProgramName(d.url)
	check := "this computer follows it, judges every entry, and believes the node's heads only if they are of the same log"
	if keyed {
		check = "this computer follows it, judges every entry, and signs the heads with the key in the folder"
	}
	return [][2]string{{"order", d.shown()}, {"kept by", "the program " + name + " in PATH, which calls itself " + cli.Clean(p.Name)}, {"checked", check}}
}
