package health

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/wallet/payload"
)

var update = flag.Bool("update", false, "write the golden bundle anew")

const golden = "../../testdata/fhir/consents-export.json"

// address is one that is the same in every run: S and V from two small numbers.
// Its signature is not what these tests are about.
func address(n byte) crypto.Address {
	key := func(b byte) crypto.PubKey {
		var d [32]byte
		d[31] = b
		k, err := crypto.ParsePrivateKey(d[:])
		if err != nil {
			panic(err)
		}
		return k.Public()
	}
	return crypto.Address{Sign: key(n), View: key(n + 100)}
}

func id(n byte) (id crypto.Hash) {
	for i := range id {
		id[i] = n + byte(i)
	}
	return id
}

func hour(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

var maria = Giver{Name: "Maria Example", Address: address(1)}

// samples has one consent of every kind that is mapped in a way of its own.
func samples(t *testing.T) []Given {
	allergies := GivenRecord{ID: id(1), Version: 1, Title: "Allergies"}
	letter := GivenRecord{ID: id(2), Version: 3, Title: "Letter <of> \"Dr\u00a0Who\" & \x1bson"}
	base := Given{Ledger: crypto.LedgerID{0xab, 31: 0xcd}, ID: id(10), To: "Dr Smith", Address: address(2), Records: []GivenRecord{allergies}, Purpose: "TREAT",
		Until: hour(t, "2026-12-22T00:00:00Z"), Granted: hour(t, "2026-11-21T12:00:00Z"), Status: "active"}
	revoked, expired, upcoming, research, test := base, base, base, base, base
	revoked.ID, revoked.Status, revoked.Revoked = id(11), "revoked", hour(t, "2026-11-23T08:00:00Z")
	revoked.Records = []GivenRecord{allergies, letter}
	expired.ID, expired.Status, expired.Until, expired.Purpose = id(12), "expired", hour(t, "2026-11-22T00:00:00Z"), "PATRQT"
	upcoming.ID, upcoming.Status, upcoming.From = id(13), "upcoming", hour(t, "2026-12-01T00:00:00Z")
	research.ID, research.Purpose, research.To = id(14), "HRESCH", "" // no contact any more
	test.ID, test.Purpose = id(15), "HTEST"
	parts := base
	parts.ID, parts.Records = id(16), []GivenRecord{allergies, {ID: id(3), Version: 2, Title: "Discharge after psychosis", Part: "nurse: medications, vitals"}}
	return []Given{base, revoked, expired, upcoming, research, test, parts}
}

func marshal(t *testing.T, v any, indent string) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGolden(t *testing.T) {
	b, err := NewBundle(maria, samples(t))
	if err != nil {
		t.Fatal(err)
	}
	got := marshal(t, b, "  ")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the export is not %s (-update writes it anew):\n%s", golden, got)
	}
}

// What would say more than was signed is not written at all.
func TestUnmappable(t *testing.T) {
	for name, spoil := range map[string]func(*Given){
		"no address":    func(c *Given) { c.Address = crypto.Address{} },
		"no records":    func(c *Given) { c.Records = nil },
		"purpose":       func(c *Given) { c.Purpose = "BTG" },
		"no purpose":    func(c *Given) { c.Purpose = "" },
		"status":        func(c *Given) { c.Status = "waiting" },
		"no end":        func(c *Given) { c.Until = time.Time{} },
		"window":        func(c *Given) { c.From = c.Until },
		"year 10000":    func(c *Given) { c.Until = time.Unix(int64(^uint32(0))*3600, 0) },
		"year 10000, 2": func(c *Given) { c.Until = hour(t, "9999-12-31T23:00:00Z").Add(time.Hour) },
	} {
		c := samples(t)[0]
		spoil(&c)
		_, err := NewBundle(maria, []Given{c})
		if e, _ := fault.As(err, ErrUnmappable); fault.Get[crypto.Hash](e, "consent") != c.ID {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The vector is of the did:key specification's secp256k1 examples.
func TestDIDKey(t *testing.T) {
	seed, err := hex.DecodeString("9085d2bef69286a6cbb51623c8fa258629945cd55ca705cc4e66700396894e0c")
	if err != nil {
		t.Fatal(err)
	}
	k, err := crypto.ParsePrivateKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	if got := didKey(k.Public()); got != "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme" {
		t.Error(got)
	}
}

// Every purpose that a grant can carry has HL7's words, and no other.
func TestPurposes(t *testing.T) {
	for _, word := range payload.Purposes() {
		p, ok := payload.ParsePurpose(word)
		if !ok || purposes[string(p)] == "" {
			t.Errorf("%s: %v", p, ok)
		}
	}
	if len(purposes) != len(payload.Purposes()) {
		t.Errorf("%d purposes", len(purposes))
	}
}

// The package's page and the policy say what the resources name.
func TestPolicyNamesWhatIsExported(t *testing.T) {
	for uri, systems := range map[string][]string{PolicyURI: {ConsentSystem}, PartsPolicyURI: {ConsentSystem, PartSystem}} {
		name := uri[strings.LastIndexByte(uri, '/')+1:]
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range systems {
			if !strings.Contains(string(b), s) {
				t.Errorf("%s does not name %s", name, s)
			}
		}
	}
}

// A consent to parts of a record permits no reader the record, and does not tell what it
// is called.
func TestPartsAreNotTheRecord(t *testing.T) {
	all := samples(t)
	whole, parts := all[0], all[len(all)-1]
	out, err := NewConsent(maria, &parts)
	if err != nil {
		t.Fatal(err)
	}
	text := string(marshal(t, out, ""))
	record := parts.Records[1]
	if strings.Contains(text, `"`+record.ID.String()) || strings.Contains(text, "psychosis") {
		t.Errorf("the record itself is there: %s", text)
	}
	want := Identifier{PartSystem, fmt.Sprintf("%s/%s/2", parts.ID, record.ID)}
	if got := out.Provision.Data[1].Reference; *got.Identifier != want || got.Display != "Part of a record: nurse: medications, vitals" {
		t.Errorf("%+v", got)
	}
	if got := out.Provision.Data[0].Reference; got.Identifier.System != RecordSystem || got.Display != "Allergies" {
		t.Errorf("the whole record beside it: %+v", got)
	}
	if out.Policy[0].URI != PartsPolicyURI {
		t.Errorf("policy: %+v", out.Policy)
	}
	if out, err = NewConsent(maria, &whole); err != nil || out.Policy[0].URI != PolicyURI {
		t.Errorf("policy of a whole record: %+v %v", out, err)
	}
}

// people are the recipients of generated consents.
var people = []crypto.Address{address(2), address(3), address(4), address(5), address(6)}

// at is the beginning of an hour that a ledger can name.
func at(hour int) time.Time { return time.Unix(int64(hour)*3600, 0) }

// generate makes any consent that a wallet can hold.
func generate(r *rand.Rand) Given {
	texts := []string{"", "Dr Smith", " ", "Ωμέγα", "a\u00a0b\u2028c\ufeff", "\x00\x1b[31m\u0085", "<b>&amp;\"'</b>]]>", "𝒳\U0010ffff\ufffe", "\xff\xfe", "null",
		strings.Repeat("ß", 200), "\u202eevil", `\"`, "urn:uuid:", "<script>alert(1)</script>"}
	text := func() string { return texts[r.IntN(len(texts))] }
	purposes := payload.Purposes()
	p, ok := payload.ParsePurpose(purposes[r.IntN(len(purposes))])
	if !ok {
		panic(p)
	}
	c := Given{Ledger: crypto.LedgerID{0xab, 31: 0xcd}, To: text(), Address: people[r.IntN(len(people))], Purpose: string(p), Granted: at(r.IntN(600_000))}
	for i := range c.ID {
		c.ID[i] = byte(r.Uint32())
	}
	for range 1 + r.IntN(4) {
		c.Records = append(c.Records, GivenRecord{ID: id(byte(r.Uint32())), Version: 1 + r.IntN(1000), Title: text(), Part: []string{"", text()}[r.IntN(2)]})
	}
	if r.IntN(2) == 0 {
		c.From = at(1 + r.IntN(1_000_000))
	}
	begin := c.From
	if begin.IsZero() {
		begin = at(0)
	}
	c.Until = begin.Add(time.Duration(1+r.IntN(100_000)) * time.Hour)
	if r.IntN(20) == 0 {
		c.Until = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	}
	c.Status = []string{"active", "upcoming", "expired", "revoked"}[r.IntN(4)]
	if c.Status == "revoked" {
		c.Revoked = c.Granted.Add(time.Duration(r.IntN(100_000)) * time.Hour)
	}
	return c
}

var (
	stringPattern = regexp.MustCompile(`^[ \r\n\t\S]+$`)
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9\-.]{1,64}$`)
	timePattern   = regexp.MustCompile(`^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z$`)
)

// Whatever a wallet holds, the export keeps R4's patterns for texts, ids and times,
// its narrative is well-formed, and the window is the one that was signed.
func TestEveryConsentExports(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		c := generate(r)
		out, err := NewConsent(maria, &c)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		plainTexts(t, out)
		if !idPattern.MatchString(out.ID) || !timePattern.MatchString(out.DateTime) || !timePattern.MatchString(out.Provision.Period.End) || !timePattern.MatchString(out.Meta.LastUpdated) {
			t.Fatalf("%+v", out)
		}
		for d := xml.NewDecoder(strings.NewReader(out.Text.Div)); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%v: %s", err, out.Text.Div)
			}
		}
		// The last second in the period is the last one that the contract allows.
		end, err := time.Parse(time.RFC3339, out.Provision.Period.End)
		if err != nil || !end.Add(time.Second).Equal(c.Until) {
			t.Fatalf("ends %s, signed for %s", out.Provision.Period.End, c.Until)
		}
		if (out.Status == "inactive") != (c.Status == "revoked") || (out.Provision.Period.Start == "") != c.From.IsZero() || len(out.Provision.Data) != len(c.Records) {
			t.Fatalf("%+v of %+v", out, c)
		}
	}
}

// needNode gives the folder in which npm ci was run over testdata/node.
func needNode(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("CAREKEY_NODE")
	_, err := os.Stat(filepath.Join(dir, "node_modules", "fhir"))
	if dir != "" && err == nil {
		return dir
	}
	why := "CAREKEY_NODE names no folder with the packages of testdata/node (npm ci over a copy of its package.json and package-lock.json)"
	if os.Getenv("CAREKEY_NO_SKIP") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
	return ""
}

func validators(t *testing.T, dir string, args ...string) {
	t.Helper()
	script, err := os.Open("../../testdata/node/fhir.mjs")
	if err != nil {
		t.Fatal(err)
	}
	defer script.Close()
	cmd := exec.Command("node", append([]string{"--input-type=module", "-"}, args...)...)
	cmd.Dir, cmd.Stdin = dir, script
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %v", args[0], err)
	}
	t.Logf("%s", bytes.TrimSpace(out))
}

// Three validators that are not ours accept the golden bundle and 300 generated
// consents, alone and in bundles; and they catch it when an export is spoiled.
func TestValidators(t *testing.T) {
	lane.OneGoroutine(t)
	dir := needNode(t)
	r := rand.New(rand.NewPCG(3, 4))
	var lines bytes.Buffer
	for range lane.Pick(30, 10, 10) {
		var cs []Given
		for range 10 {
			cs = append(cs, generate(r))
		}
		g := maria
		g.Name = []string{"Maria", "", "\x00", "Ωμέγα <i>"}[r.IntN(4)]
		b, err := NewBundle(g, cs)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(marshal(t, b, ""))
	}
	empty, err := NewBundle(maria, nil)
	if err != nil {
		t.Fatal(err)
	}
	lines.Write(marshal(t, empty, ""))
	file := filepath.Join(t.TempDir(), "bundles.ndjson")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(golden)
	if err != nil {
		t.Fatal(err)
	}
	validators(t, dir, "validate", path, file)
	validators(t, dir, "mutants", path)
}

func ExampleNewConsent() {
	c := Given{Ledger: crypto.LedgerID{0xab, 31: 0xcd}, ID: id(10), To: "Dr Smith", Address: address(2), Purpose: "TREAT", Status: "active", Until: at(500_000), Granted: at(498_000),
		Records: []GivenRecord{{ID: id(1), Version: 1, Title: "Allergies"}}}
	r, err := NewConsent(maria, &c)
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Status, r.Provision.Type, r.Provision.Period.End)
	// Output: active permit 2027-01-15T07:59:59Z
}

// Who reads an export that was made without the ledger sees of when it is.
func TestNarrativeSaysAsOf(t *testing.T) {
	c := samples(t)[0]
	now, err := NewConsent(maria, &c)
	if err != nil {
		t.Fatal(err)
	}
	c.AsOf = time.Date(2026, 11, 21, 12, 30, 0, 0, time.UTC)
	then, err := NewConsent(maria, &c)
	if err != nil || strings.Contains(now.Text.Div, "As of") || !strings.Contains(then.Text.Div, "As of 2026-11-21T12:30:00Z") {
		t.Errorf("%v\n%s\n%s", err, now.Text.Div, then.Text.Div)
	}
}

// plainTexts fails if what is exported has an empty list, or a text that R4 does not allow.
func plainTexts(t *testing.T, out any) {
	t.Helper()
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, x := range v {
				walk(x)
			}
		case []any:
			if len(v) == 0 {
				t.Fatalf("an empty list: %+v", out)
			}
			for _, x := range v {
				walk(x)
			}
		case string:
			if !stringPattern.MatchString(v) || strings.TrimSpace(v) != v {
				t.Fatalf("not a text of R4: %q", v)
			}
		case bool:
		default:
			t.Fatalf("%T in %+v", v, out)
		}
	}
	var plain any
	if err := json.Unmarshal(marshal(t, out, ""), &plain); err != nil {
		t.Fatal(err)
	}
	walk(plain)
}
