package ledgerclient

import (
	"bytes"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
)

// TestLinkMessages: what is signed of a link is taken for nothing else, and for that link
// alone.
func TestLinkMessages(t *testing.T) {
	s := newSamples(t)
	d := LinkDeposit{Ledger: s.ledger, Grant: s.deposit.Grant, Keeper: s.keeper.Public(), Name: crypto.Hash{7}, End: 480_100, Openings: 3, Package: s.deposit.Package, File: []byte("file")}
	Sign(&d, s.author)
	if err := d.Verify(s.author.Public()); err != nil {
		t.Fatal(err)
	}
	r := LinkReceipt{Ledger: d.Ledger, Grant: d.Grant, Keeper: d.Keeper, Deposit: d.Hash(), Hour: 480_001}
	Sign(&r, s.keeper)
	if err := r.Verify(&d); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(d *LinkDeposit){
		"name": func(d *LinkDeposit) { d.Name[0]++ }, "end": func(d *LinkDeposit) { d.End++ }, "openings": func(d *LinkDeposit) { d.Openings++ },
		"daily": func(d *LinkDeposit) { d.Daily = true }, "passcode": func(d *LinkDeposit) { d.Passcode.Attempts = 1 }, "package": func(d *LinkDeposit) { d.Package = nil },
		"file": func(d *LinkDeposit) { d.File = []byte("fill") }, "grant": func(d *LinkDeposit) { d.Grant[0]++ },
	} {
		other := d
		if change(&other); other.Verify(s.author.Public()) == nil || r.Verify(&other) == nil {
			t.Errorf("%s: another deposit is taken for it", name)
		}
	}

	q := Inquiry{Ledger: s.ledger, Keeper: s.keeper.Public(), Grant: d.Grant, Nonce: [32]byte{1}}
	q.SignLink(s.author)
	if err := q.VerifyLink(s.author.Public()); err != nil || q.Verify(s.author.Public()) == nil || q.VerifyState(s.author.Public(), s.partner.Public()) == nil {
		t.Fatal("an inquiry about a link is one about a keeper's filings", err)
	}
	if s.inquiry.VerifyLink(s.author.Public()) == nil {
		t.Fatal("an inquiry about a keeper's filings is one about a link")
	}
	a := LinkAnswer{Inquiry: q.Hash(), Openings: 3, Passcode: true, Left: 2, Events: []LinkEvent{{What: LinkOpened, At: 1_728_000_000, By: "Dr A", Reason: "a fall"}}}
	Sign(&a, s.keeper)
	if err := a.Verify(&q); err != nil {
		t.Fatal(err)
	}
	changed := a
	changed.Events = []LinkEvent{{What: LinkOpened, At: 1_728_000_000, By: "Dr B", Reason: "a fall"}}
	if changed.Verify(&q) == nil {
		t.Fatal("changed words are taken")
	}
	for name, change := range map[string]func(a *LinkAnswer){
		"openings": func(a *LinkAnswer) { a.Openings++ }, "of a day": func(a *LinkAnswer) { a.Daily = true },
		"no passcode": func(a *LinkAnswer) { a.Passcode = false }, "an older one": func(a *LinkAnswer) { a.Openings, a.Passcode = 0, false },
	} {
		other := a
		if change(&other); other.Verify(&q) == nil {
			t.Errorf("%s: another answer is taken for it", name)
		}
	}
	// That of an older node is understood: it does not say how the link opens.
	old := LinkAnswer{Inquiry: q.Hash(), State: LinkExhausted, Attempts: 2}
	Sign(&old, s.keeper)
	raw := Marshal(&old)
	got, err := Parse[LinkAnswer](raw)
	if err != nil || raw[0] != 1 || got.Verify(&q) != nil || got.State != LinkExhausted || got.Openings != 0 || got.Attempts != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, version := range []byte{0, 3} {
		raw[0] = version
		if _, err := Parse[LinkAnswer](raw); err == nil {
			t.Errorf("version %d is taken", version)
		}
		_, err := ParseLinkAnswer(raw)
		if e, newer := fault.As(err, ErrNewerAnswer); newer != (version == 3) || newer && e.Value("version") != 3 || err == nil {
			t.Errorf("version %d: %v", version, err)
		}
	}
	none := Marshal(&a)
	copy(none[1+32+1:], []byte{0, 0})
	if _, err := Parse[LinkAnswer](none); err == nil {
		t.Error("an answer of this version without openings is taken")
	}
	again := q
	again.Nonce[0]++
	again.SignLink(s.author)
	if a.Verify(&again) == nil {
		t.Fatal("an old answer is taken for a new one")
	}
}

// TestLinkMessagesBounds: one encoding, and nothing out of range.
func TestLinkMessagesBounds(t *testing.T) {
	d := LinkDeposit{Openings: 1, Package: []byte("p"), File: []byte("f")}
	parse := func(d LinkDeposit) error {
		raw := Marshal(&d)
		got, err := Parse[LinkDeposit](raw)
		if err == nil && !bytes.Equal(Marshal(&got), raw) {
			t.Error("two encodings")
		}
		return err
	}
	if err := parse(d); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(d *LinkDeposit){
		"no openings": func(d *LinkDeposit) { d.Openings = 0 }, "many openings": func(d *LinkDeposit) { d.Openings = MaxLinkOpenings + 1 },
		"many attempts": func(d *LinkDeposit) { d.Passcode.Attempts = MaxLinkAttempts + 1 }, "long package": func(d *LinkDeposit) { d.Package = make([]byte, maxPackage+1) },
	} {
		odd := d
		if change(&odd); parse(odd) == nil {
			t.Errorf("%s is taken", name)
		}
	}
	raw := Marshal(&d)
	for i, b := range map[int]byte{0: 2, 1 + 32 + 32 + 33 + 32 + 4 + 2: 2, 1 + 32 + 32 + 33 + 32 + 4 + 3: 2} {
		odd := bytes.Clone(raw)
		if odd[i] = b; func() error { _, err := Parse[LinkDeposit](odd); return err }() == nil {
			t.Errorf("byte %d: %d is taken", i, b)
		}
	}
	for name, e := range map[string]LinkEvent{
		"who": {By: strings.Repeat("a", MaxLinkBy+1)}, "why": {Reason: strings.Repeat("a", MaxLinkReason+1)}, "what": {What: LinkRefused + 1}, "no text": {By: "\xff"},
	} {
		a := LinkAnswer{Events: []LinkEvent{e}}
		if got, err := Parse[LinkAnswer](Marshal(&a)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, c := range []struct {
		text, want string
		most       int
	}{{"abc", "abc", 3}, {"abcde", "a…", 4}, {"abcd", "…", 3}, {"aüü", "a…", 4}, {"abcdef…", "abc…", 6}, {"abcde…", "abcde…", 8}, {"aü", "a", 2}, {"aü", "aü", 3}, {"\xffab", "…", 4}, {"\xffab", "\ufffdab", 5}, {"", "", 0}} {
		if got := CutText(c.text, c.most); got != c.want {
			t.Errorf("%q in %d: %q", c.text, c.most, got)
		}
	}
}
