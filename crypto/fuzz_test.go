package crypto

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
)

// Whatever a parser accepts, it must write again as the very same bytes: one value
// has one form.

func FuzzParsePubKey(f *testing.F) {
	for i := range 4 {
		p := fixedEntropy(byte(i)).Root().SelfKey().Public()
		f.Add(p[:])
		p[0] ^= 4
		f.Add(p[:])
	}
	f.Add(make([]byte, 33))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePubKey(b)
		if err != nil {
			if !p.IsZero() {
				t.Error("a value beside the error")
			}
			return
		}
		if !bytes.Equal(p[:], b) {
			t.Errorf("%x came back as %x", b, p)
		}
		q, err := decompress(p)
		if err != nil || compress(&q) != p {
			t.Errorf("%x: %v", p, err)
		}
		uncompressed := raw(&q)
		if r, err := parseRaw(uncompressed[:]); err != nil || compress(&r) != p {
			t.Errorf("%x: %v", p, err)
		}
		text, err := p.MarshalText()
		var again PubKey
		if err != nil || again.UnmarshalText(text) != nil || again != p {
			t.Errorf("%s: %v", text, err)
		}
	})
}

func FuzzParsePrivateKey(f *testing.F) {
	k := fixedEntropy(0).Root().SelfKey().ExposeSecret()
	f.Add(k[:])
	f.Add(order.Bytes())
	f.Add(make([]byte, 32))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParsePrivateKey(b)
		if err != nil {
			return
		}
		if got := k.ExposeSecret(); !bytes.Equal(got[:], b) {
			t.Error("came back as another key")
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	for i := range 3 {
		a := fixedEntropy(byte(i)).Root().Identity().Address()
		f.Add(a.String())
		f.Add(strings.ToUpper(a.String()))
		f.Add(a.String()[:100] + "\n " + a.String()[100:])
		mixed := a
		mixed.View[0] ^= 1
		f.Add(mixed.String())
	}
	f.Add("carekey1")
	f.Fuzz(func(t *testing.T, handed string) {
		a, err := ParseAddress(handed)
		if err != nil {
			if addressFault(err) == "" || a != (Address{}) {
				t.Errorf("%v beside %v", a, err)
			}
			return
		}
		if want := lower(text.Code(handed)); a.String() != want {
			t.Errorf("%q came back as %q", want, a)
		}
		if b, err := ParseAddress(a.String()); err != nil || b != a {
			t.Errorf("%v", err)
		}
	})
}

func FuzzParseFetchCode(f *testing.F) {
	c := FetchCode{Ledger: LedgerID{1}, Consent: Hash{2}, Size: 3, Root: Hash{4}}
	f.Add(c.String())
	c.Place = "\x01 a place"
	f.Add(c.String())
	f.Add(strings.ToUpper(c.String()))
	f.Add("> " + c.String()[:99] + "\n> " + c.String()[99:] + ".")
	f.Add(FetchCode{}.String())
	f.Add(EncodeCode(fetchCodePrefix, []byte{1, 2, 3}, TagFetchCodeChecksum))
	f.Add(EncodeCode(fetchCodePrefix, append([]byte{1}, make([]byte, 106)...), TagFetchCodeChecksum))
	f.Fuzz(func(t *testing.T, handed string) {
		c, err := ParseFetchCode(handed)
		if err != nil {
			if fetchCodeFault(err) == "" || c != (FetchCode{}) {
				t.Errorf("%v beside %v", c, err)
			}
			return
		}
		if want := lower(text.Code(handed)); c.String() != want {
			t.Errorf("%q came back as %q", want, c)
		}
	})
}

func FuzzParseCard(f *testing.F) {
	keys := fixedEntropy(1).Root().Keys(LedgerID{})
	for _, place := range []string{"", "\x01 a place", strings.Repeat("p", MaxCardPlace)} {
		c, err := NewCard(keys, "Dr Smith, Müller", place)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(c.String())
		f.Add("Here is\n> " + strings.ToUpper(c.String()[:99]) + "\n> " + c.String()[99:] + ".")
		c.Name = "Mallory"
		f.Add(c.String())
	}
	f.Add(EncodeCode(cardPrefix, []byte{1, 2, 3}, TagCardChecksum))
	f.Add(EncodeCode(cardPrefix, append([]byte{1, 1, 'x'}, make([]byte, 204)...), TagCardChecksum))
	f.Fuzz(func(t *testing.T, handed string) {
		c, err := ParseCard(handed)
		if err != nil {
			if e, _ := fault.As(err, ErrCard); fault.Get[Fault](e, "fault") == "" && !errors.Is(err, ErrCardForged) || c != (Card{}) {
				t.Errorf("%v beside %v", c, err)
			}
			return
		}
		if want := lower(text.Code(handed)); c.String() != want {
			t.Errorf("%q came back as %q", want, c)
		}
	})
}

func FuzzEntropyFromWords(f *testing.F) {
	for i := range 3 {
		words := fixedEntropy(byte(i)).Words()
		f.Add(strings.Join(words, " "))
		f.Add(strings.ToUpper(strings.Join(words, " ")))
		words[0], words[1] = words[1], words[0]
		f.Add(strings.Join(words, " "))
		f.Add(strings.Join(words[:23], " "))
		cut := fixedEntropy(byte(i)).Words()
		for j, w := range cut {
			cut[j] = w[:min(len(w), 4+j%3)]
		}
		f.Add(strings.Join(cut, " "))
	}
	f.Fuzz(func(t *testing.T, text string) {
		words := strings.Fields(text)
		e, err := EntropyFromWords(words)
		if err != nil {
			return
		}
		for i, w := range e.Words() {
			if typed := lowerASCII(words[i]); typed != w && (len(typed) < 4 || !strings.HasPrefix(w, typed)) {
				t.Error("came back as other words")
			}
		}
	})
}

func FuzzDecodeEntropy(f *testing.F) {
	f.Add(fixedEntropy(0).Encode())
	f.Add(strings.Repeat("_", 43))
	f.Fuzz(func(t *testing.T, text string) {
		if e, err := DecodeEntropy(text); err == nil && e.Encode() != text {
			t.Error("came back as another text")
		}
	})
}

func FuzzParseShare(f *testing.F) {
	shares, err := fixedEntropy(0).Root().Seed(LedgerID{}, Nonce{}).Shares(2, 3)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range shares {
		b := s.Bytes()
		f.Add(b[:])
	}
	f.Add(make([]byte, 33))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseShare(b)
		if err != nil {
			return
		}
		if got := s.Bytes(); !bytes.Equal(got[:], b) {
			t.Error("came back as another share")
		}
	})
}

func FuzzUnpad(f *testing.F) {
	f.Add(pad(nil, 0))
	f.Add(pad([]byte("body"), 0))
	f.Add(pad(make([]byte, 5000), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if body, ok := unpad(b); ok && !bytes.Equal(pad(body, len(b)-4), b) {
			t.Error("came back as other bytes")
		}
	})
}

func FuzzHashText(f *testing.F) {
	f.Add([]byte(TaggedHash(TagEntry).String()))
	f.Add([]byte(strings.ToUpper(TaggedHash(TagEntry).String())))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Hash
		if h.UnmarshalText(b) == nil && h.String() != string(b) {
			t.Errorf("%q came back as %s", b, h)
		}
	})
}

// What opens with a key and in a context is exactly what was sealed: neither a
// payload nor a record's header has a second form.
func FuzzOpenPayload(f *testing.F) {
	g := golden(f)
	seals := [][]byte{g.bytes("payload sealed to P_seal and A"), g.bytes("payload sealed to the self key")}
	for _, s := range seals {
		f.Add(s)
	}
	f.Add([]byte("age-encryption.org/v1\n-> carekey-k256 AAAA\n\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"))
	ctx := g.sealContext()
	key, want := goldenRoot().SelfKey(), g.text("payload")
	f.Fuzz(func(t *testing.T, b []byte) {
		body, err := OpenPayload(ctx, key, b)
		if err == nil {
			if !bytes.Equal(b, seals[1]) || string(body) != want {
				t.Errorf("%q opened", body)
			}
			return
		}
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotForKey) {
			t.Errorf("%T", err)
		}
	})
}

func FuzzRecordFileKey(f *testing.F) {
	g := golden(f)
	record := g.bytes("record content")
	f.Add(record)
	f.Add(g.bytes("payload sealed to the self key"))
	key, want := goldenRoot().SelfKey(), g.bytes("record file key")
	header := bytes.Index(record, []byte("\n--- ")) + 5 + 43 + 1
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := RecordFileKey(bytes.NewReader(b), recordIdentity(key))
		if err != nil {
			return
		}
		got := k.ExposeSecret()
		if !bytes.Equal(got[:], want) || !bytes.HasPrefix(b, record[:header]) {
			t.Error("another header opened")
		}
	})
}

func FuzzOpenShare(f *testing.F) {
	g := golden(f)
	sealed := g.bytes("sealed share")
	f.Add(sealed)
	f.Add(make([]byte, 114))
	ctx, key, want := g.shareContext(), g.key("response key"), g.bytes("share 2 of 3")
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := OpenShare(ctx, key, b)
		if err != nil {
			return
		}
		got := s.Bytes()
		if !bytes.Equal(b, sealed) || !bytes.Equal(got[:], want) {
			t.Error("another share opened")
		}
	})
}
