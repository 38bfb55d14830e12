package wallet

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// Attestations are what issuers sign of files: that these bytes are theirs, not that they
// are true. Nothing of it is on a ledger.
type Attestations struct{ w *Wallet }

// Attestations returns the verbs for them.
func (w *Wallet) Attestations() Attestations { return Attestations{w} }

// AttestationEnd is behind the name of the file that goes beside one that was signed.
const AttestationEnd = ".attested"

// ErrSaltsUsed: an issuer gave salts that another version of the owner's has. Who was given
// parts of that one could test guesses of this. record
const ErrSaltsUsed fault.Code = "attestation/salts-used"

// Whom an issuer says that a file is about, as its reader sees it.
const (
	AboutYou    = "you"
	AboutGiver  = "giver"  // of a record that was granted
	AboutOther  = "other"  // another address
	AboutNobody = "nobody" // the issuer does not say
	AboutUntold = "untold" // of parts it is not told
)

// Vouching is what is known of who signed a file. The zero value is that nobody did.
type Vouching struct {
	Issuer   crypto.Address `json:"issuer"`
	Name     string         `json:"name,omitempty"` // of a contact; "" if the address is none's
	Verified bool           `json:"verified"`       // the contact's check words were compared
	Own      bool           `json:"own,omitempty"`  // signed with this wallet's own key
	Replaced bool           `json:"replaced"`       // the contact has another address by now: when it was signed cannot be shown
	About    string         `json:"about"`
	Title    string         `json:"title,omitempty"` // what the issuer calls it: his word, and hostile
	Signed   Hour           `json:"signed"`          // as the issuer says; nothing proves it
	Serial   payload.Serial `json:"serial"`
}

// Is reports whether somebody signed.
func (v Vouching) Is() bool { return !v.Issuer.IsZero() }

// vouching says who signed what was read; giver is whose record it is, of one's own zero.
func (w *Wallet) vouching(st *payload.Statement, d *payload.Detail, giver crypto.Address) Vouching {
	c := w.Contacts().known(st.Issuer)
	v := Vouching{Issuer: st.Issuer, Name: c.Name, Verified: c.Verified, Own: st.Issuer == w.Address(), Signed: Hour(st.Hour), Serial: st.Serial, About: AboutUntold}
	if v.Name == "" {
		v.Name = w.replaced(st.Issuer)
		v.Replaced = v.Name != ""
	}
	if d == nil {
		return v
	}
	v.Title = d.Title
	switch {
	case d.About == nil:
		v.About = AboutNobody
	case *d.About == w.Address():
		v.About = AboutYou
	case *d.About == giver:
		v.About = AboutGiver
	default:
		v.About = AboutOther
	}
	return v
}

// replaced is the contact that had an address which it has no more, and has another one now;
// "" if there is none.
func (w *Wallet) replaced(a crypto.Address) string {
	for _, f := range w.book.Facts.Contacts {
		if f.Removed && f.Address == a && f.Was == "" && w.Contacts().index(f.Name) >= 0 {
			return w.book.contacts[w.Contacts().index(f.Name)].Name
		}
	}
	return ""
}

// vouchedIn is what stands in one's own metadata: it was checked when it came, and is under
// a commitment of one's own.
func (w *Wallet) vouchedIn(m *payload.Metadata) Vouching {
	if m.Vouched == nil {
		return Vouching{}
	}
	st, d, err := m.Vouched.Read()
	if err != nil {
		return Vouching{}
	}
	return w.vouching(st, d, crypto.Address{})
}

// Sign signs a file: these bytes, whom they are about if that is said, and the head over the
// parts that they are cut into, under salts that are for this statement alone. What it
// returns is for the file's owner. A title that is "" is that of the file.
func (as Attestations) Sign(ctx context.Context, src Source, about *crypto.Address, title string) (a *payload.Attestation, err error) {
	if title != "" {
		if title, err = checkTitle(title); err != nil {
			return nil, err
		}
	}
	err = as.w.Look(ctx, func() error {
		f, err := readSigned(src)
		if err != nil {
			return err
		}
		st := payload.Statement{V: payload.Version, Issuer: as.w.Address(), Hour: as.w.view.Hour()}
		rand.Read(st.Serial[:])
		d := payload.Detail{V: payload.Version, Size: f.size, SHA256: f.sum, Title: title, About: about}
		if d.Title == "" {
			d.Title = titleOf(src.Name)
			if f.cut != nil {
				if own, err := checkTitle(health.About(f.cut).Title); err == nil {
					d.Title = own
				}
			}
		}
		v := payload.Vouched{Salt: crypto.Hash(crypto.NewSalt()), Detail: string(payload.Marshal(&d))}
		if f.cut != nil {
			salts := crypto.NewPartSalts()
			defer salts.Wipe()
			given := payload.Salts(salts.ExposeSecret())
			v.Salts = &given
			st.Root, st.Split = rootOf(f.cut, &given), health.SplitVersion
		}
		st.Detail = payload.DetailHash(v.Salt, []byte(v.Detail))
		v.Statement = string(payload.Marshal(&st))
		sig, err := as.w.keys.Sign(payload.AttestDigest(st.Issuer.Sign, []byte(v.Statement)))
		if err != nil {
			return err
		}
		v.Signature = payload.Signature(sig)
		a = &payload.Attestation{V: payload.Version, Vouched: v}
		return nil
	})
	return a, err
}

// signedFile is what of a file is signed.
type signedFile struct {
	size int64
	sum  crypto.Hash
	cut  *health.Cut // nil if it is not split
}

func readSigned(src Source) (f signedFile, err error) {
	in, err := receive(src)
	if err != nil {
		return f, err
	}
	h := sha256.New()
	if f.size, err = io.Copy(h, in); err != nil {
		return f, err
	}
	f.sum, f.cut = crypto.Hash(h.Sum(nil)), in.cut
	return f, nil
}

func rootOf(cut *health.Cut, salts *payload.Salts) crypto.Hash {
	seed := crypto.PartSaltsFrom((*[32]byte)(salts))
	defer seed.Wipe()
	return planParts(seed.Parts(), cut).frame.Root
}

// Check says who signed a file, by the attestation that came with it. What is not what was
// signed is a [payload.ErrAttestation].
func (as Attestations) Check(ctx context.Context, src Source, a *payload.Attestation) (v Vouching, part bool, err error) {
	st, d, err := a.Vouched.Read()
	if err != nil {
		return v, false, err
	}
	switch {
	case a.Proof != nil:
		err = proves(src, st, a.Proof)
	case d == nil:
		err = otherFile("it says nothing of a whole file, and has no proof of parts")
	default:
		var f signedFile
		if f, err = readSigned(src); err == nil {
			err = signedOf(st, d, a.Vouched.Salts, f)
		}
	}
	if err != nil {
		return v, false, err
	}
	err = as.w.Look(ctx, func() error { v = as.w.vouching(st, d, crypto.Address{}); return nil })
	return v, a.Proof != nil, err
}

func otherFile(why string) error { return payload.ErrAttestation.With("why", why) }

// errOtherBytes: what was signed is not this file.
var errOtherBytes = otherFile("what was signed are other bytes than these: the file was changed, or is another one")

// signedOf is nil if a file is the one that was signed.
func signedOf(st *payload.Statement, d *payload.Detail, salts *payload.Salts, f signedFile) error {
	if d == nil || d.Size != f.size || d.SHA256 != f.sum {
		return errOtherBytes
	}
	if salts == nil {
		return nil
	}
	if err := splitsAlike(st); err != nil {
		return err
	}
	if f.cut == nil || rootOf(f.cut, salts) != st.Root {
		return otherFile("the parts that were signed are not those of the file")
	}
	return nil
}

func splitsAlike(st *payload.Statement) error {
	if st.Split > health.SplitVersion {
		return WrongVersion("attestation", st.Split, health.SplitVersion)
	}
	return nil
}

// vouchedFor checks an attestation before the file that it came with becomes a version: what
// is left is that its bytes and parts are those that were signed.
func (rs Records) vouchedFor(v *payload.Vouched) error {
	st, d, err := v.Read()
	if err != nil {
		return err
	}
	if d == nil || (v.Salts == nil) != st.Root.IsZero() {
		return otherFile("it is not the one that its issuer made for the owner")
	}
	if err := splitsAlike(st); err != nil {
		return err
	}
	if v.Salts == nil {
		return nil
	}
	for t := range rs.threads() {
		for _, m := range t.Versions {
			if m != nil && m.Parts != nil && m.Parts.Salts != nil && *m.Parts.Salts == *v.Salts && m.Parts.Root != st.Root {
				return ErrSaltsUsed.With("record", t.ID)
			}
		}
	}
	return nil
}

// vouchFor has what its issuer signed go along with a file.
func (in *incoming) vouchFor(v *payload.Vouched) {
	if v == nil {
		return
	}
	if in.vouched = v; in.cut != nil {
		in.salts = v.Salts
	}
}

// checkVouched is for when the bytes of a version are known: m says what they are.
func (in *incoming) checkVouched(m *payload.Metadata) error {
	if in.vouched == nil {
		return nil
	}
	st, d, err := in.vouched.Read()
	if err != nil {
		return err
	}
	if d == nil || d.Size != m.Size || d.SHA256 != m.SHA256 {
		return errOtherBytes
	}
	if !st.Root.IsZero() && (m.Parts == nil || m.Parts.Root != st.Root) {
		return otherFile("the parts that were signed are not those of the file")
	}
	m.Vouched = in.vouched.ForWhole() // the salts stand with the parts
	return nil
}

// vouched checks what came with a granted record. A sender who says that somebody signed
// what he did not is like one who changed it: nothing of it is read.
func (in Inbox) vouched(v *payload.Vouched, giver crypto.Address, is func(*payload.Statement, *payload.Detail) bool) (Vouching, error) {
	if v == nil {
		return Vouching{}, nil
	}
	st, d, err := v.Read()
	if err != nil {
		return Vouching{}, err
	}
	if !is(st, d) {
		return Vouching{}, errOtherBytes
	}
	return in.w.vouching(st, d, giver), nil
}

// proofOf is what shows others later that parts are under the root.
func proofOf(frame crypto.Frame, parts []health.Granted, salts []partSalts) (*payload.Proof, error) {
	p := &payload.Proof{Leaves: frame.Leaves}
	for i, g := range parts {
		if salts[i].body == (crypto.Salt{}) {
			p.Parts = append(p.Parts, payload.ProofPart{Text: crypto.Hash(salts[i].text)})
			continue
		}
		before, after, err := g.Around()
		if err != nil {
			return nil, err
		}
		b, a := string(before), string(after)
		p.Parts = append(p.Parts, payload.ProofPart{Salt: crypto.Hash(salts[i].body), Before: &b, After: &a, Text: crypto.Hash(salts[i].text)})
	}
	return p, nil
}

// partSalts are those of the parts of an entry; zero of one that was not given.
type partSalts struct{ body, text crypto.Salt }

// proves is nil if a Bundle is made of parts under the statement's root, and of nothing else.
func proves(src Source, st *payload.Statement, p *payload.Proof) error {
	frame, err := crypto.FrameOf(p.Leaves)
	if err != nil || st.Root.IsZero() || frame.Root != st.Root {
		return otherFile("its proof is of parts of another record")
	}
	if err := splitsAlike(st); err != nil {
		return err
	}
	file, err := io.ReadAll(io.LimitReader(src, health.MaxSplit+1))
	if err != nil {
		return err
	}
	cut, err := health.Split(file)
	if err != nil {
		return errOtherBytes
	}
	is := func(salt crypto.Hash, body []byte) bool {
		return frame.Slot(crypto.PartLeaf(crypto.Salt(salt), body)) >= 0
	}
	var parts []health.Granted
	for i := range cut.Parts {
		x := &cut.Parts[i]
		if x.Text {
			text := x.Append(nil)
			of := &p.Parts[x.Entry]
			if !of.Text.IsZero() && !is(of.Text, text) {
				return errOtherBytes
			}
			if of.Salt.IsZero() {
				parts[x.Entry] = health.Granted{Body: text}
			} else if !of.Text.IsZero() {
				parts[x.Entry].Text = text
			}
			continue
		}
		if x.Entry >= len(p.Parts) {
			return errOtherBytes
		}
		of := &p.Parts[x.Entry]
		var g health.Granted
		if !of.Salt.IsZero() && of.Before != nil && of.After != nil {
			before, after := x.Resource()
			g.Body = slices.Concat([]byte(*of.Before), before, after, []byte(*of.After))
			if !is(of.Salt, g.Body) {
				return errOtherBytes
			}
		}
		parts = append(parts, g)
	}
	var again bytes.Buffer
	if len(parts) != len(p.Parts) || slices.ContainsFunc(parts, func(g health.Granted) bool { return len(g.Body) == 0 }) ||
		health.WriteSubset(&again, parts) != nil || !bytes.Equal(again.Bytes(), file) {
		return errOtherBytes
	}
	return nil
}

// attestation is what is written beside record i of an opening once it was read; nil if
// nobody signed it.
func (o *Opening) attestation(i int) []byte {
	r := &o.Records[i]
	a := payload.Attestation{V: payload.Version}
	switch {
	case r.part == nil && r.Metadata.Vouched != nil:
		a.Vouched = *r.Metadata.Vouched
	case r.part != nil && r.part.Vouched != nil && r.proof != nil:
		a.Vouched, a.Proof = *r.part.Vouched, r.proof
	default:
		return nil
	}
	return AttestationFile(&a)
}

// AttestationFile is the bytes of an attestation.
func AttestationFile(a *payload.Attestation) []byte { return append(payload.Marshal(a), '\n') }
