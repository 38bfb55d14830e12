package wallet

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// What an issuer signs of a file is that these bytes are his, not that they are true.
// Nothing of it is on a ledger.

// AttestationEnd is behind the name of the file that goes beside one that was signed.
const AttestationEnd = ".attested"

// Attest signs a file: these bytes, whom they are about if that is said, and the head over the
// parts that they are cut into, under salts that are for this statement alone. What it
// returns is for the file's owner. A title that is "" is that of the file.
func (rs Records) Attest(ctx context.Context, src Source, about *crypto.Address, title string) (a *payload.Attestation, err error) {
	if title != "" {
		if title, err = checkTitle(title); err != nil {
			return nil, err
		}
	}
	err = rs.w.Look(ctx, func() error {
		f, err := readSigned(src)
		if err != nil {
			return err
		}
		st := payload.Statement{V: payload.Version, Issuer: rs.w.Address(), Hour: rs.w.view.Hour()}
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
		sig, err := rs.w.keys.Sign(payload.AttestDigest(st.Issuer.Sign, []byte(v.Statement)))
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

// Attested says who signed a file, by the attestation that came with it. What is not what was
// signed is a [payload.ErrAttestation].
func (rs Records) Attested(ctx context.Context, src Source, a *payload.Attestation) (v Vouching, part bool, err error) {
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
	err = rs.w.Look(ctx, func() error { v = rs.w.Contacts().vouching(st, d, crypto.Address{}); return nil })
	return v, a.Proof != nil, err
}

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
	used := map[int]bool{}
	is := func(salt crypto.Hash, body []byte) bool { // each once
		slot := frame.Slot(crypto.PartLeaf(crypto.Salt(salt), body))
		fresh := slot >= 0 && !used[slot]
		used[slot] = true
		return fresh
	}
	var parts []health.Granted
	for i := range cut.Parts {
		x := &cut.Parts[i]
		if x.Text {
			text := x.Append(nil)
			of := &p.Parts[x.Entry]
			head := append([]byte{0}, of.Of[:]...)
			if body := parts[x.Entry].Body; body != nil {
				salt := crypto.Salt(of.Salt)
				head = crypto.NarrativeHead(salt, crypto.PartLeaf(salt, body))
			}
			if of.Text.IsZero() || !is(of.Text, slices.Concat(head, text)) {
				return errOtherBytes
			}
			if parts[x.Entry].Body == nil {
				parts[x.Entry].Body = text
			} else {
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
		health.WriteSubset(&again, time.Time{}, parts) != nil || !bytes.Equal(again.Bytes(), file) {
		return errOtherBytes
	}
	return nil
}

// AttestationFile is the bytes of an attestation.
func AttestationFile(a *payload.Attestation) []byte { return append(payload.Marshal(a), '\n') }
