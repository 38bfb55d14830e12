package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// samplePayloads are one of each, with every field set.
func samplePayloads(t testing.TB) (Metadata, Terms, Envelope, Access) {
	entropy, err := crypto.DecodeEntropy("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
	if err != nil {
		t.Fatal(err)
	}
	addr := entropy.Root().Identity().Address()
	ledger := crypto.LedgerID{1, 2, 3}
	m := Metadata{V: Version, Ledger: ledger, Author: addr.Sign, Version: 2, Title: "Blood <test> & \"more\" \u2028", Category: "labs", Date: "2026-11-21", Added: 498000,
		File: "αίμα.pdf", Size: 10, SHA256: crypto.Hash{4}, Content: Locator{5}, ContentSize: 4096, AgeSize: 300, Head: crypto.Hash{6}}
	tr := Terms{V: Version, Ledger: ledger, Author: addr.Sign, Recipient: addr.View, From: addr, To: addr, NotBefore: 0, NotAfter: 500000, Purpose: "TREAT",
		Records: []TermsRecord{{Record: crypto.Hash{7}, Version: 2, Title: "t", Category: "labs", Date: ""}}, K: 1, N: 1, Envelope: crypto.Hash{8}, Lock: crypto.Hash{9},
		Shares: []crypto.Hash{{10}}, Checkpoint: "carekey/v1/…\n1\nx\n\n— signature\n"}
	env := Envelope{V: Version, Ledger: ledger, Author: addr.Sign, Records: []EnvelopeRecord{{Record: crypto.Hash{7}, Version: 2, FileKey: FileKey{11}, Content: Locator{12},
		ContentSize: 4096, AgeSize: 300, Head: crypto.Hash{13}, File: "../../.ssh/authorized_keys", Size: 5, SHA256: crypto.Hash{14}}}}
	note := Access{V: Version, Ledger: ledger, Grant: crypto.Hash{15}, Author: addr.Sign, From: addr, Reason: "έλεγχος", Checkpoint: "c"}
	return m, tr, env, note
}

// reencode parses a payload of any kind and returns its one encoding.
var reencode = map[string]func([]byte) ([]byte, error){
	"metadata":          func(b []byte) ([]byte, error) { v, err := ParseMetadata(b); return marshalAny(v), err },
	"terms":             func(b []byte) ([]byte, error) { v, err := ParseTerms(b); return marshalAny(v), err },
	"exact end":         func(b []byte) ([]byte, error) { v, err := ParseTerms(b); return marshalAny(v), err },
	"name":              func(b []byte) ([]byte, error) { v, err := ParseTerms(b); return marshalAny(v), err },
	"envelope":          func(b []byte) ([]byte, error) { v, err := ParseEnvelope(b); return marshalAny(v), err },
	"access":            func(b []byte) ([]byte, error) { v, err := ParseAccess(b); return marshalAny(v), err },
	"by":                func(b []byte) ([]byte, error) { v, err := ParseAccess(b); return marshalAny(v), err },
	"metadata of parts": func(b []byte) ([]byte, error) { v, err := ParseMetadata(b); return marshalAny(v), err },
	"terms of parts":    func(b []byte) ([]byte, error) { v, err := ParseTerms(b); return marshalAny(v), err },
	"envelope of parts": func(b []byte) ([]byte, error) { v, err := ParseEnvelope(b); return marshalAny(v), err },
	"terms of a letter": func(b []byte) ([]byte, error) { v, err := ParseTerms(b); return marshalAny(v), err },
	"attestation": func(b []byte) ([]byte, error) {
		v, err := ParseAttestation(append(bytes.Clone(b), '\n'))
		return marshalAny(v), err
	},
	"hidden": func(b []byte) ([]byte, error) { v, err := ParseMetadata(b); return marshalAny(v), err },
}

func marshalAny[T any](v *T) []byte {
	if v == nil {
		return nil
	}
	return Marshal(v)
}

func encoded(t testing.TB) map[string][]byte {
	m, tr, env, note := samplePayloads(t)
	hidden := m
	hidden.Title, hidden.Category, hidden.Date, hidden.File, hidden.Hidden = "", Other, "", "", Book
	exact := tr
	exact.Until = exact.NotAfter - 6
	named := tr
	named.Name = "Maria \U0001f9ea"
	by := note
	by.By = "Nurse \U0001f9ea"
	pm, pt, pe := samplePartial(t)
	letter := tr
	letter.Records, letter.Letter, letter.Request = []TermsRecord{}, NewLetter(LetterDeny, Denial{"no <more> \u2028"}), crypto.Hash{16}
	return map[string][]byte{"terms of a letter": Marshal(&letter), "metadata of parts": Marshal(&pm), "terms of parts": Marshal(&pt), "envelope of parts": Marshal(&pe), "metadata": Marshal(&m), "terms": Marshal(&tr), "exact end": Marshal(&exact), "name": Marshal(&named), "envelope": Marshal(&env), "access": Marshal(&note), "by": Marshal(&by),
		"hidden": Marshal(&hidden)}
}

// One payload has one encoding: no other order, spelling, spacing, field or
// repetition is read as the same.
func TestPayloadsHaveOneEncoding(t *testing.T) {
	for kind, b := range encoded(t) {
		parse := reencode[kind]
		if again, err := parse(b); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s does not survive: %v", kind, err)
		}
		for name, bad := range map[string][]byte{
			"empty":          nil,
			"a space":        append([]byte{' '}, b...),
			"a newline":      append(append([]byte(nil), b...), '\n'),
			"two of them":    append(append([]byte(nil), b...), b...),
			"cut":            b[:len(b)-1],
			"unknown field":  []byte(strings.Replace(string(b), `"ledger"`, `"x":0,"ledger"`, 1)),
			"repeated field": []byte(strings.Replace(string(b), `{"v":`, `{"v":7,"v":`, 1)),
			"other case":     []byte(strings.Replace(string(b), `"ledger"`, `"Ledger"`, 1)),
			"upper-case hex": bytes.Replace(b, []byte("010203"), []byte("010203"[:4]+"0B"), 1),
			"newer version":  []byte(strings.Replace(string(b), `"v":2`, `"v":3`, 1)),
			"older version":  []byte(strings.Replace(string(b), `"v":2`, `"v":1`, 1)),
			"null":           []byte("null"),
			"an array":       []byte("[]"),
			"escaped":        []byte(strings.Replace(string(b), `"ledger"`, `"\u006cedger"`, 1)),
			"bad UTF-8":      bytes.Replace(b, []byte(`"v"`), []byte("\"v\xff\""), 1),
		} {
			if _, err := parse(bad); err == nil {
				t.Errorf("%s, %s: accepted", kind, name)
			}
		}
	}
}

// No fmt verb prints a key that travels in an envelope.
func TestEnvelopeKeysAreNotPrinted(t *testing.T) {
	_, _, env, _ := samplePayloads(t)
	env.Records[0].FileKey = FileKey(bytes.Repeat([]byte{0xab}, 16))
	env.Records[0].Content = Locator(bytes.Repeat([]byte{0xcd}, 32))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
		s := strings.ToLower(fmt.Sprintf(verb, env))
		for _, leak := range []string{"abab", "cdcd", "171 171", "205 205", "0xab", "0xcd"} {
			if strings.Contains(s, leak) {
				t.Errorf("%s prints %s", verb, leak)
			}
		}
	}
}

func FuzzPayloads(f *testing.F) {
	for _, b := range encoded(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for kind, parse := range reencode {
			if again, err := parse(b); err == nil && !bytes.Equal(again, b) {
				t.Errorf("%s: parsed, but encodes differently:\n%q\n%q", kind, b, again)
			}
		}
	})
}

// What others may make a wallet show and keep has its bounds, and what this wallet
// writes stays within them.
func TestPayloadsOfOthersAreBounded(t *testing.T) {
	lane.OneGoroutine(t)
	_, tr, env, note := samplePayloads(t)
	long := func(n int, s string) string { return strings.Repeat(s, n) }
	for _, n := range []int{0, 1} {
		tr := tr
		tr.Records = []TermsRecord{tr.Records[0]}
		tr.Records[0].Title = long(MaxTitle/4, "\U0001f9ea") + long(n, "a")
		if _, err := ParseTerms(Marshal(&tr)); (err == nil) != (n == 0) {
			t.Errorf("title: %v", err)
		}
		tr.Records[0].Title, tr.Records[0].Date = "t", long(MaxWord+n, "1")
		if _, err := ParseTerms(Marshal(&tr)); (err == nil) != (n == 0) {
			t.Errorf("date: %v", err)
		}
		for field, of := range map[string]func(*Terms) *string{
			"date":     func(t *Terms) *string { return &t.Records[0].Date },
			"category": func(t *Terms) *string { return (*string)(&t.Records[0].Category) },
			"purpose":  func(t *Terms) *string { return (*string)(&t.Purpose) },
		} {
			tr := tr
			tr.Records = []TermsRecord{{Record: crypto.Hash{7}, Version: 2, Title: "t"}}
			*of(&tr) = []string{"newer-Word-2", "labs)\nVerified. ("}[n]
			if _, err := ParseTerms(Marshal(&tr)); (err == nil) != (n == 0) {
				t.Errorf("%s: %v", field, err)
			}
		}
		env := env
		env.Records = []EnvelopeRecord{env.Records[0]}
		env.Records[0].File = long(MaxFile+n, "f")
		if _, err := ParseEnvelope(Marshal(&env)); (err == nil) != (n == 0) {
			t.Errorf("file: %v", err)
		}
		named := tr
		named.Name = long(MaxName/4, "😀") + long(n, "a")
		if _, err := ParseTerms(Marshal(&named)); (err == nil) != (n == 0) {
			t.Errorf("name: %v", err)
		}
		by := note
		by.By = long(MaxBy/4, "😀") + long(n, "a")
		if _, err := ParseAccess(Marshal(&by)); (err == nil) != (n == 0) {
			t.Errorf("by: %v", err)
		}
		note.Reason = long(MaxReason/4, "😀") + long(n, "a")
		if _, err := ParseAccess(Marshal(&note)); (err == nil) != (n == 0) {
			t.Errorf("reason: %v", err)
		}
	}
	// The records of the largest terms are no longer than the terms may be, and the terms fit into
	// their blob, also when every character is one that encoding/json escapes.
	r := tr.Records[0]
	r.Title = long(MaxTitle, "<")
	tr.Records = make([]TermsRecord, 0, 10_000)
	for range cap(tr.Records) {
		tr.Records = append(tr.Records, r)
	}
	for EscapedSize(Marshal(&tr)) > MaxTerms {
		tr.Records = tr.Records[:len(tr.Records)-len(tr.Records)/16]
	}
	body := Marshal(&tr)
	if _, err := ParseTerms(body); err != nil {
		t.Fatal(err)
	}
	if b, err := json.Marshal(tr.Records); err != nil || len(b) > MaxTerms {
		t.Errorf("a list of %d bytes, %v", len(b), err)
	}
	for what, test := range map[string]struct{ plain, most int }{
		"terms": {64 + MaxTerms, MaxTermsBlob}, "note": {len(Marshal(&note)) + maxCheckpoint, MaxAccessBlob},
	} {
		key := crypto.GenerateKey().Public()
		sealed, err := crypto.SealPayload(crypto.SealContext{}, make([]byte, test.plain), 0, key, key)
		if err != nil || len(crypto.NewSalt())+len(sealed) > test.most {
			t.Errorf("%s: %d bytes sealed, %d are read, %v", what, len(sealed), test.most, err)
		}
	}
}

// vectors are those of testdata/vectors/payload.json, which another writer made.
type vectors struct {
	Attest   crypto.Hash
	Payloads []struct {
		Name, Kind, Text string
		Written          *bool // by this program; the others are of later ones, or of none
	}
	Rooms []struct {
		Nodes, Keepers int
		Terms, Access  struct{ Padded, Least, Most int }
	}
}

func readVectors(t *testing.T) (v vectors) {
	b, err := os.ReadFile("../../testdata/vectors/payload.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil || len(v.Payloads) < 10 || len(v.Rooms) < 5 {
		t.Fatal(err, len(v.Payloads), len(v.Rooms))
	}
	return v
}

func init() { // what stands in a letter has its version from the terms around it
	reencode["ask"] = func(b []byte) ([]byte, error) {
		v, err := (&Letter{LetterAsk, string(b)}).Ask()
		return marshalAny(v), err
	}
	reencode["deny"] = func(b []byte) ([]byte, error) {
		v, err := (&Letter{LetterDeny, string(b)}).Denial()
		return marshalAny(v), err
	}
	reencode["withdraw"] = func(b []byte) ([]byte, error) {
		v, err := (&Letter{LetterWithdraw, string(b)}).Withdrawal()
		return marshalAny(v), err
	}
	reencode["deliver"] = func(b []byte) ([]byte, error) {
		v, err := (&Letter{LetterDeliver, string(b)}).Notice()
		return marshalAny(v), err
	}
}

// Another writer's payloads are read, and written as the same bytes. What has its place
// in the format, and no field yet, is told from damage: it is of a newer program.
func TestGoldenPayloads(t *testing.T) {
	for _, v := range readVectors(t).Payloads {
		again, err := reencode[v.Kind]([]byte(v.Text))
		if v.Written == nil {
			if _, newer := fault.As(err, ErrVersion); err == nil || newer {
				t.Errorf("%s: %v", v.Name, err)
			}
			continue
		}
		if *v.Written {
			if err != nil || string(again) != v.Text {
				t.Errorf("%s: %v\n%s\n%s", v.Name, err, v.Text, again)
			}
			continue
		}
		if newer, _ := fault.As(err, ErrVersion); fault.Get[string](newer, "age") != "newer" || fault.Get[int](newer, "version") != Version {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}

// What an observer sees of a payload is its size. With however many nodes and keepers an
// access, and the terms of up to 20 records, are of one size whatever stands in them, or
// will: the largest that the format allows and the smallest are sealed to as many bytes.
func TestRoomDependsOnTheLedgerOnly(t *testing.T) {
	key := crypto.GenerateKey().Public()
	sealed := func(body, room int) int {
		b, err := crypto.SealPayload(crypto.SealContext{}, make([]byte, body), room, key, key)
		if err != nil {
			t.Fatal(err)
		}
		return len(b)
	}
	for _, v := range readVectors(t).Rooms {
		const proof = 64 // the signature before the terms
		for what, x := range map[string]struct{ least, most, padded, room int }{
			"terms":  {proof + v.Terms.Least, proof + v.Terms.Most, v.Terms.Padded, TermsRoom(v.Nodes, v.Keepers)},
			"access": {v.Access.Least, v.Access.Most, v.Access.Padded, AccessRoom(v.Nodes)},
		} {
			least, most := sealed(x.least, x.room), sealed(x.most, x.room)
			if least != most || least < x.padded || least > x.padded+1<<10 {
				t.Errorf("%s with %d nodes: %d and %d bytes, padded to %d", what, v.Nodes, least, most, x.padded)
			}
		}
	}
}

// The largest of each kind that a wallet writes is sealed to as many bytes as the
// smallest: a reason, twenty titles or a file's name tell nobody apart.
func TestPayloadsAreOfOneSize(t *testing.T) {
	m, tr, env, note := samplePayloads(t)
	// A node's checkpoint with its cosignature, as long as they get with one node.
	note.Checkpoint = "carekey/v1/" + strings.Repeat("f", 64) + "\n18446744073709551615\n" + strings.Repeat("A", 44) + "\n\n" +
		strings.Repeat("— carekey/v1/"+strings.Repeat("f", 64)+" "+strings.Repeat("A", 104)+"\n", 2)
	same := func(what string, room int, least, most []byte) {
		t.Helper()
		var size [2]int
		for i, body := range [][]byte{least, most} {
			key := crypto.GenerateKey().Public()
			b, err := crypto.SealPayload(crypto.SealContext{}, body, room, key, key)
			if err != nil {
				t.Fatal(err)
			}
			size[i] = len(b)
		}
		if size[0] != size[1] {
			t.Errorf("%s: the smallest takes %d bytes (%d of them its own), the largest %d (%d)", what, size[0], len(least), size[1], len(most))
		}
	}
	small := note
	small.Reason, small.Checkpoint = "", ""
	for _, c := range []string{"a", "😀", `"`, `\`, "\n", "\t", "\u2028", "<", "\x7f", "é", "\x01"} {
		big := note
		big.Reason = strings.Repeat(c, MaxReason/len(c))
		if c == "\x01" {
			big.Reason = big.Reason[:333]
		}
		big.By = strings.Repeat(c, MaxBy/max(len(c), len(Marshal(c))/2-1))
		if !ByFits(big.By) {
			t.Errorf("by %q is refused", c)
		}
		if !ReasonFits(big.Reason) {
			t.Errorf("a reason of %q is refused", c)
		}
		same(fmt.Sprintf("access with %q", c), AccessRoom(1), Marshal(&small), Marshal(&big))
	}
	for _, bad := range []string{strings.Repeat("😀", MaxReason/4+1), strings.Repeat("a", MaxReason+1), strings.Repeat("\x01", 334), "\xff"} {
		if ReasonFits(bad) {
			t.Errorf("a reason of %q… is taken", bad[:min(len(bad), 8)])
		}
	}
	for c, n := range map[string]int{"😀": MaxTitle / 4, `"`: MaxTitle / 2, "\x01": MaxTitle / 6, "\u2028": MaxTitle / 6, "a": MaxTitle} {
		title := strings.Repeat(c, n)
		if !TitleFits(title) || TitleFits(title+c) {
			t.Errorf("%d of %q: the bound is elsewhere", n, c)
		}
		bigM, smallM := m, m
		bigM.Title, bigM.File, smallM.Title, smallM.File, smallM.Date = title, strings.Repeat(c, MaxFile/len(c)), "t", "f", ""
		bigM.Category, bigM.Size, bigM.ContentSize, bigM.AgeSize, bigM.Version = "immunizations", 1<<62, 1<<62, 1<<62, 1<<30
		same(fmt.Sprintf("metadata with %q", c), 0, Marshal(&smallM), Marshal(&bigM))
		bigT, smallT := tr, tr
		bigT.Records, smallT.Records = nil, []TermsRecord{tr.Records[0]}
		for range 20 {
			bigT.Records = append(bigT.Records, TermsRecord{Record: crypto.Hash{7}, Version: 1 << 30, Title: title, Category: "immunizations", Date: "2026-11-21"})
		}
		smallT.Checkpoint, bigT.Checkpoint, bigT.Purpose = "", note.Checkpoint, "CLINTRCH"
		bigT.Until, bigT.Name = bigT.NotAfter-1, strings.Repeat(c, MaxName/len(Marshal(c)[1:len(Marshal(c))-1]))
		signature := make([]byte, 64) // of the sender, before the terms
		same(fmt.Sprintf("terms with %q", c), TermsRoom(1, 1), append(signature, Marshal(&smallT)...), append(signature, Marshal(&bigT)...))
		bigE, smallE := env, env
		bigE.Records, smallE.Records = []EnvelopeRecord{env.Records[0]}, []EnvelopeRecord{env.Records[0]}
		smallE.Records[0].File, bigE.Records[0].File = "f", bigM.File
		same(fmt.Sprintf("envelope with %q", c), 0, Marshal(&smallE), Marshal(&bigE))
	}
}

// maxCheckpoint is more than a checkpoint has in a payload: what is longer than
// ledgerclient.MaxNote is refused, and each end of a line takes two bytes there.
const maxCheckpoint = 2 * 16 << 10

// Terms have one form for each end: the exact one stands in them only where it is not the
// ledger's, and never outside the window. Terms without it end with the ledger's.
func TestExactEndInTerms(t *testing.T) {
	_, tr, _, _ := samplePayloads(t)
	tr.NotBefore = 499_000
	for until, good := range map[contract.Hour]bool{0: true, 499_001: true, 499_999: true, 499_000: false, 1: false, 500_000: false, 500_001: false, ^contract.Hour(0): false} {
		tr.Until = until
		got, err := ParseTerms(Marshal(&tr))
		if (err == nil) != good {
			t.Errorf("until %d: %v", until, err)
		}
		if want := map[bool]contract.Hour{true: tr.NotAfter, false: until}[until == 0]; good && got.End() != want {
			t.Errorf("until %d: ends at %d", until, got.End())
		}
	}
	tr.Until = 499_999
	b := bytes.Replace(Marshal(&tr), []byte(`"until":499999`), []byte(`"until":0`), 1)
	if _, err := ParseTerms(b); err == nil || !bytes.Contains(b, []byte(`"until":0`)) {
		t.Errorf("a second form of no exact end: %v", err)
	}
}

// A scope tells people all that it says, the role first.
func TestScopeWords(t *testing.T) {
	for want, s := range map[string]Scope{
		"labs, vitals; nothing sensitive, if there is any":                                                         {Categories: []Category{"labs", "vitals"}},
		"labs; with unclassified; nothing known to be sensitive, if there is any":                                  {Categories: []Category{"labs"}, Sensitive: []string{"unclassified"}},
		"nurse: labs; with hiv, unclassified; dated 2024-03-01 to 2025-12-31":                                      {Role: "nurse", Categories: []Category{"labs"}, Sensitive: []string{"hiv", "unclassified"}, Since: "2024-03-01", Until: "2025-12-31"},
		"nurse (beyond its days or purposes): labs; nothing sensitive, if there is any; dated 2024-03-01 or later": {Role: "nurse", Beyond: true, Categories: []Category{"labs"}, Since: "2024-03-01"},
		"nothing; dated 2025-12-31 or earlier":                                                                     {Until: "2025-12-31"},
	} {
		if got := s.Words(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A statement is what another writer's is: its detail is the one that it names, and what is
// signed has the signing key in it.
func TestStatementsOfAnotherWriter(t *testing.T) {
	vs := readVectors(t)
	for _, v := range vs.Payloads {
		if v.Name != "attestation" {
			continue
		}
		a, err := ParseAttestation([]byte(v.Text + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		st, err := parseSigned[Statement](a.Vouched.Statement)
		if err != nil || DetailHash(a.Vouched.Salt, []byte(a.Vouched.Detail)) != st.Detail || AttestDigest(st.Issuer.Sign, []byte(a.Vouched.Statement)) != vs.Attest {
			t.Errorf("%v", err)
		}
		if _, _, err := a.Vouched.Read(); !errors.Is(err, ErrAttestation) {
			t.Errorf("a signature that is none: %v", err)
		}
		return
	}
	t.Fatal("no attestation")
}
