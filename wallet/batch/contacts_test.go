package batch

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
)

func TestReadContacts(t *testing.T) {
	id := crypto.NewEntropy().Root().Keys(crypto.LedgerID{})
	made, err := crypto.NewCard(id, "Zoë", "")
	if err != nil {
		t.Fatal(err)
	}
	address, card := id.Address().String(), made.String()
	forged := made
	forged.Name = "Eve"
	vcard := func(lines ...string) string {
		return "BEGIN:VCARD\nVERSION:4.0\n" + strings.Join(lines, "\n") + "\nEND:VCARD\n"
	}
	for name, c := range map[string]struct{ file, want string }{
		"a table":                {"ref,address,name\nMRN-1," + address + ",Maria\n", "Maria MRN-1"},
		"upper case":             {"name,address\nMaria," + strings.ToUpper(address) + "\n", "Maria "},
		"a card":                 {"name,card\n," + card + "\n", "Zoë "},
		"a card with a name":     {"name,address\nMaria," + card + "\n", "Maria "},
		"lines of JSON":          {`{"address":"` + card + `","ref":"7"}`, "Zoë 7"},
		"a vCard":                {vcard("FN:Maria", "X-CAREKEY-REF:7", "NOTE:hers is "+address+"."), "Maria 7"},
		"a folded address":       {vcard("FN:Maria", "URL:carekey:"+address[:40], " "+address[40:80], "\t"+address[80:]), "Maria "},
		"a folded letter":        {vcard("FN:Zo\xc3", " \xab", "NOTE:"+address), "Zoë "},
		"a card in a vCard":      {"\ufeff\r\n" + strings.ReplaceAll(vcard("FN:Maria", "X-CAREKEY-ADDRESS:"+card), "\n", "\r\n"), "Maria "},
		"one address twice":      {vcard("FN:Maria", "NOTE:"+address, "item2.impp;TYPE=home:"+strings.ToUpper(address)), "Maria "},
		"a long picture":         {vcard("PHOTO:"+strings.Repeat("A", 2*MaxLine), "FN:Maria", "NOTE:"+address), "Maria "},
		"two preferred names":    {vcard("FN;PREF=1:Maria", "FN:M.", "NOTE:"+address), "Maria "},
		"a colon in a parameter": {vcard(`FN;X="a:b":Maria`, "NOTE:"+address), "Maria "},

		"forged":               {"name,card\nEve," + forged.String() + "\n", "2:5 a card that its owner has not signed so: do not use it"},
		"mistyped":             {"name,address\nEve," + address[:60] + swapped(address[60]) + address[61:] + "\n", "2:5 has a typing mistake in it"},
		"both":                 {"name,card,address\nEve," + card + "," + address + "\n", "2:5 an address and a card in one row"},
		"no column":            {"name,ref\nEve,7\nEve,8\n", "2:1 there is no such column, and none of cards"},
		"two references":       {"name,address,ref\nEve," + address + ",7\nEve," + address + ",\nEve," + address + ",8\n", "4:" + fmt.Sprint(len("Eve,,")+len(address)+1) + " the same contact has another one in line 2"},
		"no name":              {"name,address\n," + address + "\n", "2:1 empty"},
		"a bad name":           {"name,address\na\u200bb," + address + "\n", "2:1 has characters that cannot be seen"},
		"a code for a name":    {"name,address\ncarekey1abc," + address + "\n", "2:1 is a code that people hand to each other"},
		"a file for a name":    {vcard("FN:@home", "NOTE:"+address), "3:4 begins with @, as files are named"},
		"a formula":            {"name,address\n=1+1," + address + "\n", "2:1 " + formula},
		"no name in a vCard":   {vcard("NOTE:" + address), "1:1 this vCard has no name"},
		"vCard 2.1":            {strings.Replace(vcard("FN:Maria", "NOTE:"+address), "4.0", "2.1", 1), "2:9 not a vCard of version 3.0 or 4.0: export it as one of these"},
		"no version":           {strings.Replace(vcard("FN:Maria", "NOTE:"+address), "VERSION:4.0\n", "", 1), "1:1 this vCard does not say of which version it is: export it as one of 3.0 or 4.0"},
		"quoted-printable":     {vcard("FN;ENCODING=QUOTED-PRINTABLE:Mar=C3=ADa", "NOTE:"+address), "3:30 its characters are encoded in another way (quoted-printable): export it as a vCard of version 4.0, or of 3.0 in UTF-8"},
		"other characters":     {vcard("FN:Mar\xeda", "NOTE:"+address), "3:7 not UTF-8: save the file as UTF-8"},
		"a long note":          {vcard("FN:Maria", "NOTE:"+strings.Repeat("A", MaxLine)), fmt.Sprintf("4:6 longer than %d bytes", MaxLine)},
		"cut off":              {"BEGIN:VCARD\nVERSION:4.0\nFN:Maria\n", "1:1 this vCard has no end: the file may have been cut off"},
		"between vCards":       {vcard("FN:Maria", "NOTE:"+address) + "FN:Eve\n", "6:1 stands in no vCard"},
		"nothing in the vCard": {vcard("FN:Maria"), "4:1 no address of carekey stands in it: a vCard has one in X-CAREKEY-ADDRESS, NOTE, URL or IMPP"},
		"nothing":              {"", "1:1 there is no row in it"},
		"UTF-32":               {"\xff\xfe\x00\x00a\x00\x00\x00", "1:1 it is UTF-32: save it as UTF-8"},
	} {
		f, err := ReadContacts(strings.NewReader(c.file))
		got := ""
		if bad, ok := errors.AsType[*LinesError](err); ok {
			got = fmt.Sprintf("%d:%d %s", bad.Problems[0].Line, bad.Problems[0].Column, bad.Problems[0].Why)
			if bad.Total != 1 {
				t.Errorf("%s: %d problems: %+v", name, bad.Total, bad.Problems)
			}
		} else if err == nil && len(f.Rows) == 1 && f.Rows[0].Address == id.Address() {
			got = f.Rows[0].Name + " " + f.Rows[0].Ref
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q (%v)", name, got, c.want, err)
		}
	}
}

// swapped is another letter.
func swapped(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

// Threat: a file from anywhere ends the program, or is kept in part: what is read has
// names, references and addresses that are ones, or everything that is wrong is said where
// it stands.
func FuzzReadContacts(f *testing.F) {
	address := crypto.NewEntropy().Root().Identity().Address().String()
	for _, s := range []string{"name,address,ref\nMaria," + address + ",7\n", `{"name":"Maria","address":"` + address + `"}`,
		"BEGIN:VCARD\nVERSION:3.0\nFN:Maria\nitem1.NOTE;CHARSET=utf-8:x " + address[:50] + "\n " + address[50:] + "\nEND:VCARD\n", "sep=;\nname;address\n", "\xff\xfen\x00", "BEGIN:VCARD\n:\n;:\n\"\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := ReadContacts(strings.NewReader(string(b)))
		bad, wrong := errors.AsType[*LinesError](err)
		switch {
		case err != nil && !wrong:
			t.Fatal(err)
		case wrong:
			for _, p := range bad.Problems {
				if p.Line < 1 || p.Column < 1 || p.Why == "" || p.Line > 2+strings.Count(string(b), "\n") && b[0] < 0xfe {
					t.Errorf("%+v", p)
				}
			}
		case len(file.Rows) == 0:
			t.Error("nothing, and nothing wrong")
		}
		for _, r := range file.Rows {
			if err == nil && (r.Name == "" || r.Address.IsZero() || r.Line < 1 || r.Column < 1) {
				t.Errorf("%+v", r)
			}
		}
	})
}
