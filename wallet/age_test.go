package wallet

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/plugin"
	"github.com/carekey/carekey/crypto"
)

// An identity has one text, and what another program wrote under our name is
// refused.
func TestAgePointer(t *testing.T) {
	for _, home := range []string{"", "/", "/home/Γιώργος/care key", `C:\Users\maria`, strings.Repeat("/x", maxHome/2)} {
		p := AgePointer{Folder: [8]byte{1, 2, 3}, Wallet: [16]byte{4, 5}, Home: home}
		text := p.String()
		got, err := ParseAgePointer(text)
		if err != nil || got != p {
			t.Fatalf("%q: %v, %v", home, got, err)
		}
		for _, bad := range []string{"", text[:len(text)-1], text + "Q", strings.ToLower(text), " " + text, strings.Replace(text, "CAREKEY", "YUBIKEY", 1)} {
			if _, err := ParseAgePointer(bad); !isInput(err) {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
	long := AgePointer{Home: strings.Repeat("x", maxHome+1)}
	for _, payload := range [][]byte{{}, {1}, make([]byte, agePointerFixed), append([]byte{1}, make([]byte, 23)...),
		append(append([]byte{1}, make([]byte, 24)...), 0xff), append(append([]byte{1}, make([]byte, 24)...), '/', 0), append(append([]byte{1}, make([]byte, 24)...), '/', '\n')} {
		_, err := ParseAgePointer(plugin.EncodeIdentity(AgePlugin, payload))
		if !isInput(err) && !errors.Is(err, ErrVersion) {
			t.Errorf("%x: %v", payload, err)
		}
	}
	if _, err := ParseAgePointer(long.String()); !isInput(err) {
		t.Error("a home of any length is read")
	}
}

func isInput(err error) bool {
	return errors.Is(err, ErrInput)
}

func FuzzAgePointer(f *testing.F) {
	for _, p := range []AgePointer{{}, {Home: "/home/maria"}, {Folder: [8]byte{255}, Wallet: [16]byte{1}, Home: "C:\\"}} {
		f.Add(p.String())
	}
	f.Add("AGE-PLUGIN-CAREKEY-1")
	f.Add(plugin.EncodeIdentity(AgePlugin, []byte{2}))
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseAgePointer(text)
		if err == nil && p.String() != text {
			t.Errorf("%q is written as %q", text, p)
		}
	})
}

func FuzzAgeRecipient(f *testing.F) {
	k := AgeKey{crypto.NewEntropy().Root().Keys(crypto.LedgerID{})}
	f.Add(k.RecipientText())
	f.Add("age1carekey1")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseAgeRecipient(text)
		if (err == nil) != (r != nil) {
			t.Errorf("%v, %v", r, err)
		}
	})
}

// The key that age is lent opens what was encrypted to its recipient, and nothing
// that the wallet seals: metadata, terms and envelopes are bound to their entries.
func TestAgeKeyOpensOnlyRecords(t *testing.T) {
	k := AgeKey{crypto.NewEntropy().Root().Keys(crypto.LedgerID{})}
	r, err := ParseAgeRecipient(k.RecipientText())
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	w, err := age.Encrypt(&file, r)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "record")
	w.Close()
	if out, err := age.Decrypt(&file, k.Identity()); err != nil {
		t.Error(err)
	} else if b, err := io.ReadAll(out); err != nil || string(b) != "record" {
		t.Errorf("%q, %v", b, err)
	}
	for part := range byte(6) {
		sealed, err := crypto.SealPayload(crypto.SealContext{Part: part, Author: k.keys.Self()}, []byte("terms"), 0, k.keys.Self())
		if err != nil {
			t.Fatal(err)
		}
		var none *age.NoIdentityMatchError
		if _, err := age.Decrypt(bytes.NewReader(sealed), k.Identity()); !errors.As(err, &none) {
			t.Errorf("part %d: %v", part, err)
		}
	}
	p := k.At("", "default")
	if p.Dir("home") != ProfileDir("home", "default") || k.Check(p) != nil {
		t.Errorf("points to %s", p.Dir("home"))
	}
	if err := (&AgeKey{crypto.NewEntropy().Root().Keys(crypto.LedgerID{})}).Check(p); !errors.Is(err, ErrOtherWallet) {
		t.Error(err)
	}
	if filepath.Base(p.Dir("")) == "default" {
		t.Error("an identity tells the profile's name")
	}
}
