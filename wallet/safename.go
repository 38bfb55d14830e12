package wallet

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/text/unicode/norm"
)

// SafeName turns a stranger's file name into one that is safe in a folder of any
// system: one path element, composed (two forms of one name clash everywhere, or
// nowhere), no control, invisible or reserved characters, no
// leading dot or dash, at most 120 bytes. id makes a name where nothing is left.
func SafeName(name string, id contract.ID) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	var b strings.Builder
	for _, r := range norm.NFC.String(strings.ToValidUTF8(name, "_")) {
		switch {
		case r < 0x20, r == 0x7f, strings.ContainsRune(`<>:"|?*`, r), !isVisible(r):
			b.WriteByte('_')
		default:
			b.WriteRune(r)
		}
	}
	safe := shortName(trimName(b.String()))
	stem, _ := splitExt(safe)
	if strings.Trim(safe, "_. ") == "" || reservedOnWindows(stem) {
		safe = shortName(strings.TrimSuffix("record-"+hex.EncodeToString(id[:4])+"-"+safe, "-"))
	}
	return safe
}

// shortName cuts a name to 120 bytes, before the extension, which tells programs what the
// file is.
func shortName(name string) string {
	for len(name) > 120 {
		stem, ext := splitExt(name)
		if stem == "" || len(ext) > 20 {
			stem, ext = name, ""
		}
		_, n := utf8.DecodeLastRuneInString(stem)
		name = trimName(stem[:len(stem)-n] + ext)
	}
	return name
}

// trimName takes off what hides a file, makes it look like a flag, or is lost on
// Windows.
func trimName(name string) string {
	return strings.TrimRight(strings.TrimLeft(name, ".- "), ". ")
}
