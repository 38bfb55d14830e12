package wallet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// issuer signs whatever it is told to, as no program of ours does.
type issuer struct{ keys *crypto.Keys }

func newIssuer() issuer { return issuer{crypto.NewEntropy().Root().Keys(crypto.LedgerID{})} }

func (i issuer) sign(t *testing.T, st payload.Statement, salt crypto.Hash, detail string, salts *payload.Salts) *payload.Vouched {
	t.Helper()
	st.Issuer, st.Detail = i.keys.Address(), payload.DetailHash(salt, []byte(detail))
	v := &payload.Vouched{Statement: string(payload.Marshal(&st)), Salt: salt, Detail: detail, Salts: salts}
	v.Signature = payload.Signature(must(i.keys.Sign(payload.AttestDigest(st.Issuer.Sign, []byte(v.Statement))))(t))
	return v
}

func signedFileOf(name string, file []byte, v *payload.Vouched) wallet.Source {
	src := fileOf(name, file)
	src.Vouched = v
	return src
}

// Threat: a file is taken for one that its issuer signed, and is not. Nothing of it is kept.
func TestAttestationThatDoesNotHold(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	lab, maria := tn.person("City Lab"), tn.person("Maria")
	file := fixture(t, "parts.json")
	about := maria.Address()
	sign := func(file []byte) *payload.Vouched {
		a := must(lab.Records().Attest(ctx, fileOf("report.json", file), &about, ""))(t)
		return &a.Vouched
	}
	v, of := sign(file), sign(bytes.Replace(file, []byte("2026"), []byte("2025"), 1))
	evil := newIssuer()
	order, _ := new(big.Int).SetString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)
	for name, test := range map[string]struct {
		change func(v *payload.Vouched)
		want   error
	}{
		"high s": {func(v *payload.Vouched) {
			s := new(big.Int).Sub(order, new(big.Int).SetBytes(v.Signature[32:]))
			s.FillBytes(v.Signature[32:])
		}, payload.ErrAttestation},
		"another signature":  {func(v *payload.Vouched) { v.Signature[3] ^= 1 }, payload.ErrAttestation},
		"of another file":    {func(v *payload.Vouched) { *v = *of }, payload.ErrAttestation},
		"detail of another":  {func(v *payload.Vouched) { v.Detail, v.Salt = of.Detail, of.Salt }, payload.ErrAttestation},
		"another salt":       {func(v *payload.Vouched) { v.Salt[0] ^= 1 }, payload.ErrAttestation},
		"salts of another":   {func(v *payload.Vouched) { v.Salts = of.Salts }, payload.ErrAttestation},
		"without its salts":  {func(v *payload.Vouched) { v.Salts = nil }, payload.ErrAttestation},
		"without its detail": {func(v *payload.Vouched) { v.Salt, v.Detail = crypto.Hash{}, "" }, payload.ErrAttestation},
		"another hour":       {func(v *payload.Vouched) { v.Statement = strings.Replace(v.Statement, `"hour":`, `"hour":1`, 1) }, payload.ErrAttestation},
		"another issuer's name": {func(v *payload.Vouched) {
			v.Statement = strings.Replace(v.Statement, lab.Address().String(), evil.keys.Address().String(), 1)
		}, payload.ErrAttestation},
		"of a newer carekey": {func(v *payload.Vouched) { v.Statement = strings.Replace(v.Statement, `"v":2`, `"v":3`, 1) }, payload.ErrVersion},
		"cut by a newer carekey": {func(v *payload.Vouched) {
			*v = *evil.sign(t, payload.Statement{V: payload.Version, Root: crypto.Hash{1}, Split: health.SplitVersion + 1}, v.Salt, v.Detail, v.Salts)
		}, wallet.ErrVersion},
		"root of another file": {func(v *payload.Vouched) {
			*v = *evil.sign(t, payload.Statement{V: payload.Version, Root: crypto.Hash{1}, Split: health.SplitVersion}, v.Salt, v.Detail, v.Salts)
		}, payload.ErrAttestation},
	} {
		bad := *v
		test.change(&bad)
		if _, _, err := maria.Records().Add(ctx, signedFileOf("report.json", file, &bad), wallet.Describe{}, nil); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if rs := must(maria.Records().List(ctx))(t); len(rs) > 0 {
		t.Errorf("kept: %v", rs)
	}
	// It holds as it is, about her; and it is told to somebody else that it is about another.
	r, _, err := maria.Records().Add(ctx, signedFileOf("report.json", file, v), wallet.Describe{}, nil)
	if err != nil || r.Signed.About != wallet.AboutYou || r.Signed.Issuer != lab.Address() || !r.Signed.Is() {
		t.Fatal(r.Signed, err)
	}
	otto := tn.person("Otto")
	if r, _, err := otto.Records().Add(ctx, signedFileOf("report.json", file, v), wallet.Describe{}, nil); err != nil || r.Signed.About != wallet.AboutOther {
		t.Error(r.Signed, err)
	}
}

// Threat: an issuer gives the salts of an earlier file again. Who was given parts of that
// could test what stands in this one.
func TestSaltsComeOnce(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	lab, maria := tn.person("City Lab"), tn.person("Maria")
	file := fixture(t, "parts.json")
	first := must(lab.Records().Attest(ctx, fileOf("a.json", file), nil, ""))(t).Vouched
	if again := must(lab.Records().Attest(ctx, fileOf("a.json", file), nil, ""))(t).Vouched; *again.Salts == *first.Salts || again.Statement == first.Statement {
		t.Error("two statements with the same salts")
	}
	r, _, err := maria.Records().Add(ctx, signedFileOf("a.json", file, &first), wallet.Describe{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	corrected := bytes.Replace(file, []byte("2026"), []byte("2025"), 1)
	evil := newIssuer()
	bad := evil.sign(t, payload.Statement{V: payload.Version, Root: crypto.Hash{1}, Split: health.SplitVersion}, first.Salt, first.Detail, first.Salts)
	if _, _, err := maria.Records().Update(ctx, r.ID.String(), signedFileOf("a.json", corrected, bad), wallet.Describe{}, nil); !errors.Is(err, wallet.ErrSaltsUsed) {
		t.Errorf("taken: %v", err)
	}
	// An update without an attestation is signed by nobody; a fresh one is taken.
	if r, _, err := maria.Records().Update(ctx, r.ID.String(), fileOf("a.json", corrected), wallet.Describe{}, nil); err != nil || r.Signed.Is() {
		t.Error(r.Signed, err)
	}
	good := must(lab.Records().Attest(ctx, fileOf("a.json", corrected), nil, ""))(t).Vouched
	if r, existing, err := maria.Records().Update(ctx, r.ID.String(), signedFileOf("a.json", corrected, &good), wallet.Describe{}, nil); err != nil || existing || !r.Signed.Is() || r.Version != 3 {
		t.Error(r, existing, err)
	}
}

// Threat: a sender says that an issuer signed what he sends, with the attestation of another
// record. Nothing of that is read.
func TestSenderWithAnotherAttestation(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	lab, maria, smith := tn.person("City Lab"), tn.person("Maria"), tn.person("Dr Smith")
	if _, _, err := maria.Contacts().Add(ctx, "Dr Smith", smith.Address().String()); err != nil {
		t.Fatal(err)
	}
	file := fixture(t, "parts.json")
	v := must(lab.Records().Attest(ctx, fileOf("a.json", file), nil, ""))(t).Vouched
	of := must(lab.Records().Attest(ctx, fileOf("a.json", bytes.Replace(file, []byte("2026"), []byte("2025"), 1)), nil, ""))(t).Vouched
	r, _, err := maria.Records().Add(ctx, signedFileOf("a.json", file, &v), wallet.Describe{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		whole bool
		v     *payload.Vouched
		holds bool
	}{
		"whole":               {true, v.ForWhole(), true},
		"whole, of another":   {true, of.ForWhole(), false},
		"parts":               {false, &payload.Vouched{Statement: v.Statement, Signature: v.Signature}, true},
		"parts, of another":   {false, &payload.Vouched{Statement: of.Statement, Signature: of.Signature}, false},
		"parts, not signed":   {false, &payload.Vouched{Statement: v.Statement, Signature: of.Signature}, false},
		"whole, not signed":   {true, func() *payload.Vouched { w := v.ForWhole(); w.Signature = of.Signature; return w }(), false},
		"whole, other detail": {true, func() *payload.Vouched { w := v.ForWhole(); w.Detail, w.Salt = of.Detail, of.Salt; return w }(), false},
	} {
		q := wallet.GrantRequest{To: "Dr Smith", Records: []string{r.ID.String()}, NotAfter: endOf(1), Select: health.Selection{Whole: test.whole}}
		if !test.whole {
			q.Select.Role = "nurse"
		}
		plan := must(maria.Grants().Plan(ctx, q))(t)
		id, err := maria.Grants().GiveTwisted(ctx, plan, wallet.Twist{Change: func(env *payload.Envelope, _ *payload.Terms) {
			if test.whole {
				env.Records[0].Vouched = test.v
			} else {
				env.Parts[0].Vouched = test.v
			}
		}})
		if err != nil {
			t.Fatal(name, err)
		}
		o := must(smith.Inbox().OpenByID(ctx, id.String(), ""))(t)
		to := must(wallet.PrepareFetch(t.TempDir(), o.Consent, false))(t)
		var out bytes.Buffer
		rerr := o.Read(ctx, 0, &out, nil)
		path, serr := to.Save(ctx, o, 0, false, nil)
		if !test.holds {
			if !errors.Is(rerr, payload.ErrAttestation) || !errors.Is(serr, payload.ErrAttestation) || out.Len() > 0 || path != "" || o.Records[0].Signed.Is() {
				t.Errorf("%s: %v, %v, %d bytes, %q", name, rerr, serr, out.Len(), path)
			}
			continue
		}
		if rerr != nil || serr != nil || !o.Records[0].Signed.Is() {
			t.Fatalf("%s: %v, %v", name, rerr, serr)
		}
		saved := must(os.ReadFile(path))(t)
		a := must(payload.ParseAttestation(must(os.ReadFile(path + wallet.AttestationEnd))(t)))(t)
		check := func(file []byte, a *payload.Attestation) error {
			_, _, err := smith.Records().Attested(ctx, fileOf("x.json", file), a)
			return err
		}
		if err := check(saved, a); err != nil || a.Vouched.Salts != nil || (a.Vouched.Detail == "") == test.whole {
			t.Fatalf("%s: %v", name, err)
		}
		for i := 0; i < len(saved); i += 1 + len(saved)/97 {
			bad := slices.Clone(saved)
			if bad[i] ^= 1; check(bad, a) == nil {
				t.Errorf("%s: byte %d changed, and taken", name, i)
			}
		}
		if test.whole {
			continue
		}
		// A narrative that nobody signed; a part that stands twice; a part less.
		parts := []health.Granted{{Body: []byte(`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">HIV</div>"},`)}}
		var forged bytes.Buffer
		if err := health.WriteSubset(&forged, time.Time{}, parts); err != nil {
			t.Fatal(err)
		}
		b := *a
		b.Proof = &payload.Proof{Leaves: a.Proof.Leaves, Parts: []payload.ProofPart{{}}}
		if check(forged.Bytes(), &b) == nil {
			t.Error("a narrative that nobody signed is taken")
		}
		b.Proof = &payload.Proof{Leaves: slices.Clone(a.Proof.Leaves), Parts: a.Proof.Parts}
		b.Proof.Leaves[0][0] ^= 1
		if check(saved, &b) == nil {
			t.Error("another frame is taken")
		}
		b.Proof = &payload.Proof{Leaves: a.Proof.Leaves, Parts: a.Proof.Parts[:len(a.Proof.Parts)-1]}
		if check(saved, &b) == nil {
			t.Error("an entry without proof is taken")
		}
		entry := saved[bytes.Index(saved, []byte("\n{")):bytes.Index(saved, []byte(",\n{"))]
		twice := bytes.Replace(saved, entry, slices.Concat(entry, []byte(","), entry), 1)
		b.Proof = &payload.Proof{Leaves: a.Proof.Leaves, Parts: slices.Concat(a.Proof.Parts[:1], a.Proof.Parts)}
		if check(twice, &b) == nil {
			t.Error("a part that stands twice is taken")
		}
	}
}

// Threat: a sender puts the narrative of one result into another, with an issuer's statement
// about both. Neither he who reads them nor who checks the file later takes it for signed.
func TestNarrativeInAnotherResource(t *testing.T) {
	ctx := context.Background()
	tn := newTown(t)
	lab, maria, smith := tn.person("City Lab"), tn.person("Maria"), tn.person("Dr Smith")
	if _, _, err := maria.Contacts().Add(ctx, "Dr Smith", smith.Address().String()); err != nil {
		t.Fatal(err)
	}
	result := func(id, says string) string {
		return `{"resource":{"resourceType":"Observation","id":"` + id + `","text":{"status":"generated","div":"<div>` + says + `</div>"},"status":"final",` +
			`"code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},"effectiveDateTime":"2024-05-01","valueInteger":1}}`
	}
	file := []byte(`{"resourceType":"Bundle","type":"collection","entry":[` + result("a", "within its range") + "," + result("b", "far too high") + `]}`)
	v := must(lab.Records().Attest(ctx, fileOf("a.json", file), nil, ""))(t).Vouched
	r, _, err := maria.Records().Add(ctx, signedFileOf("a.json", file, &v), wallet.Describe{}, nil)
	if err != nil || r.Parts != 4 {
		t.Fatal(r.Parts, err)
	}
	plan := must(maria.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", Records: []string{r.ID.String()}, NotAfter: endOf(1), Select: health.Selection{With: []string{"documents", "unclassified"}}}))(t)
	open := func(change func(p *payload.EnvelopePart)) (*wallet.Opening, *wallet.Fetched, error) {
		id, err := maria.Grants().GiveTwisted(ctx, plan, wallet.Twist{Change: func(env *payload.Envelope, _ *payload.Terms) { change(&env.Parts[0]) }})
		if err != nil {
			t.Fatal(err)
		}
		o, err := smith.Inbox().OpenByID(ctx, id.String(), "")
		if err != nil {
			return nil, nil, err
		}
		return o, must(wallet.PrepareFetch(t.TempDir(), o.Consent, false))(t), nil
	}
	narratives := func(p *payload.EnvelopePart) (of []*payload.Item) {
		for i := range p.Items {
			if x := &p.Items[i]; x.Of != x.Slot {
				of = append(of, x)
			}
		}
		if len(of) != 2 {
			t.Fatalf("%d narratives", len(of))
		}
		return of
	}
	for name, change := range map[string]func(p *payload.EnvelopePart){
		"exchanged":                func(p *payload.EnvelopePart) { x := narratives(p); x[0].Of, x[1].Of = x[1].Of, x[0].Of },
		"one in the other's place": func(p *payload.EnvelopePart) { x := narratives(p); x[0].Of, x[1].Of = x[1].Of, x[1].Slot },
	} {
		o, to, err := open(change)
		if err != nil {
			t.Fatal(name, err)
		}
		var out bytes.Buffer
		rerr := o.Read(ctx, 0, &out, nil)
		_, serr := to.Save(ctx, o, 0, false, nil)
		_, read := errors.AsType[*ledgerclient.TamperedError](rerr)
		if _, saved := errors.AsType[*ledgerclient.TamperedError](serr); !read || !saved || out.Len() > 0 {
			t.Errorf("%s: taken, %v, %v", name, rerr, serr)
		}
	}
	for split, age := range map[int]string{0: "older", 1: "older", health.SplitVersion + 1: "newer"} { // a part of version 1 names no resource
		_, _, err := open(func(p *payload.EnvelopePart) { p.Split = split })
		if f, ok := errors.AsType[*fault.Error](err); !ok || !errors.Is(err, wallet.ErrVersion) || f.Value("age") != age {
			t.Errorf("cut by version %d: %v", split, err)
		}
	}

	check := func(b []byte, a *payload.Attestation) error {
		_, _, err := smith.Records().Attested(ctx, fileOf("x.json", b), a)
		return err
	}
	save := func(change func(p *payload.EnvelopePart)) ([]byte, *payload.Attestation) {
		o, to, err := open(change)
		if err != nil {
			t.Fatal(err)
		}
		path, err := to.Save(ctx, o, 0, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		a := must(payload.ParseAttestation(must(os.ReadFile(path + wallet.AttestationEnd))(t)))(t)
		return must(os.ReadFile(path))(t), a
	}
	saved, a := save(func(*payload.EnvelopePart) {})
	if err := check(saved, a); err != nil || !bytes.Contains(saved, []byte("far too high")) {
		t.Fatal(err)
	}
	// She who was given both can put them as she likes, and shows nobody that they were signed so.
	turned := bytes.Replace(saved, []byte("within its range"), []byte("-"), 1)
	turned = bytes.Replace(turned, []byte("far too high"), []byte("within its range"), 1)
	turned = bytes.Replace(turned, []byte("<div>-"), []byte("<div>far too high"), 1)
	b := *a
	b.Proof = &payload.Proof{Leaves: a.Proof.Leaves, Parts: slices.Clone(a.Proof.Parts)}
	x := b.Proof.Parts
	x[0].Text, x[1].Text = x[1].Text, x[0].Text
	if err := check(turned, &b); !errors.Is(err, payload.ErrAttestation) {
		t.Errorf("exchanged, and taken for signed: %v", err)
	}
	// Alone each is what was signed, and names no resource to who has none.
	alone, a := save(func(p *payload.EnvelopePart) {
		p.Items = slices.DeleteFunc(p.Items, func(x payload.Item) bool { return x.Of == x.Slot })
		for i := range p.Items {
			p.Items[i].Of = p.Items[i].Slot
		}
	})
	if err := check(alone, a); err != nil || !bytes.Contains(alone, []byte("far too high")) {
		t.Error(err)
	}
	a.Proof.Parts[0].Of[0] ^= 1
	if err := check(alone, a); !errors.Is(err, payload.ErrAttestation) {
		t.Errorf("of another resource, and taken for signed: %v", err)
	}
}

// What an issuer signed goes along in a move: the file is encrypted anew, and its root stays.
func TestMoveTakesAttestationsAlong(t *testing.T) {
	ctx := context.Background()
	j := newJourney(t)
	from, to, err := j.open(t, func(s ledgerclient.Services) ledgerclient.Services { return s })
	if err != nil {
		t.Fatal(err)
	}
	file := fixture(t, "parts.json")
	v := must(j.from.person("City Lab").Records().Attest(ctx, fileOf("a.json", file), nil, ""))(t).Vouched
	if _, _, err := from.Records().Add(ctx, signedFileOf("report.json", file, &v), wallet.Describe{}, nil); err != nil {
		t.Fatal(err)
	}
	must(from.Moves().Run(ctx, to, nil))(t)
	rs := must(to.Records().List(ctx))(t)
	r := rs[len(rs)-1]
	if r.File != "report.json" || !r.Signed.Is() || r.Parts == 0 {
		t.Fatalf("%+v", r)
	}
	plan := must(to.Grants().Plan(ctx, wallet.GrantRequest{To: "Dr Smith", Records: []string{r.ID.String()}, NotAfter: endOf(1), Select: health.Selection{Role: "nurse"}}))(t)
	c, _, err := to.Grants().Give(ctx, plan)
	if err != nil {
		t.Fatal(err)
	}
	if o := must(j.clinic.Inbox().OpenByID(ctx, c.ID.String(), ""))(t); !o.Records[0].Part() || !o.Records[0].Signed.Is() || o.Records[0].NotSigned != nil {
		t.Errorf("%+v", o.Records[0])
	}
}

// BenchmarkBudgetAttest prints what signing a bundle of 10,000 resources takes, to what
// parsing it and adding a file of its size takes.
func BenchmarkBudgetAttest(b *testing.B) {
	ctx := context.Background()
	tn := newTown(b)
	w := tn.person("City Lab")
	n := 0
	attest := func() time.Duration {
		file := manyResources(10_000, n)
		n++
		start := time.Now()
		if _, err := w.Records().Attest(ctx, fileOf("x.json", file), nil, ""); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	add := func() time.Duration {
		file := manyResources(10_000, n)
		n++
		start := time.Now()
		var v any
		if err := json.Unmarshal(file, &v); err != nil {
			b.Fatal(err)
		}
		if _, _, err := w.Records().Add(ctx, fileOf("x.bin", append([]byte("x"), file...)), wallet.Describe{}, nil); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	pairs(b, 5, 1, attest, add)
}
