package crypto

import (
	"testing"
)

func TestStealthBothSidesAgree(t *testing.T) {
	for range 20 {
		l := LedgerID(TaggedHash(TagLedger, NewEntropy().bytes()))
		clinician := NewEntropy().Root().Identity()
		a := NewEntropy().Root().Seed(l, NewNonce()).Key()
		o, err := NewOffsets(l, a, clinician.Address())
		if err != nil {
			t.Fatal(err)
		}
		k, ok, err := clinician.Recognize(l, a.Public(), o.Sig)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if k.Sig != o.Sig || k.Seal != o.Seal {
			t.Error("the sides have different keys")
		}
		if id := (Hash{3}); k.Locator(id, 3) != o.Locator(id, 3) || o.Locator(id, 3) == o.Locator(id, 4) || o.Locator(id, 3) == o.Locator(Hash{4}, 3) {
			t.Error("locators")
		}
		digest := TaggedHash(TagEntry, o.Sig[:])
		if !o.Sig.Verify(digest, k.Sign(digest)) {
			t.Error("p_sig does not belong to P_sig")
		}
		ctx := SealContext{l, 4, a.Public()}
		sealed, err := SealPayload(ctx, []byte("body"), 0, o.Seal)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := k.Open(ctx, sealed); err != nil || string(b) != "body" {
			t.Errorf("p_seal does not belong to P_seal: %v", err)
		}
		keys := map[PubKey]bool{o.Sig: true, o.Seal: true, clinician.Address().Sign: true, clinician.Address().View: true, a.Public(): true}
		if len(keys) != 5 {
			t.Error("keys are not apart")
		}
	}
}

func TestStealthIsForOneOnly(t *testing.T) {
	l := LedgerID{1}
	smith, other := NewEntropy().Root().Identity(), NewEntropy().Root().Identity()
	seed := NewEntropy().Root().Seed(l, NewNonce())
	a := seed.Key()
	o, err := NewOffsets(l, a, smith.Address())
	if err != nil {
		t.Fatal(err)
	}
	// The same S with another V, as if the view key were wrong.
	wrongView := newIdentity(mustParse(t, smith.p().sign), GenerateKey())
	// The same V with another S.
	wrongSign := newIdentity(GenerateKey(), mustParse(t, smith.p().view))
	negated := func(p PubKey) PubKey { p[0] ^= 1; return p }
	for name, c := range map[string]struct {
		i               *Identity
		l               LedgerID
		a, counterparty PubKey
	}{
		"another person":     {other, l, a.Public(), o.Sig},
		"wrong view key":     {wrongView, l, a.Public(), o.Sig},
		"wrong sign key":     {wrongSign, l, a.Public(), o.Sig},
		"another ledger":     {smith, LedgerID{2}, a.Public(), o.Sig},
		"another thread":     {smith, l, GenerateKey().Public(), o.Sig},
		"the negated author": {smith, l, negated(a.Public()), o.Sig},
		"the negated key":    {smith, l, a.Public(), negated(o.Sig)},
		"P_seal":             {smith, l, a.Public(), o.Seal},
		"S":                  {smith, l, a.Public(), smith.Address().Sign},
		"nobody":             {smith, l, a.Public(), PubKey{}},
		"no point":           {smith, l, a.Public(), PubKey{5}},
	} {
		if k, ok, err := c.i.Recognize(c.l, c.a, c.counterparty); ok || k != nil || err != nil {
			t.Errorf("%s: %v %v", name, ok, err)
		}
	}
	if _, _, err := smith.Recognize(l, PubKey{2}, o.Sig); err != ErrPubKey {
		t.Error(err)
	}
	if _, _, err := smith.Recognize(l, PubKey{}, PubKey{}); err != ErrPubKey {
		t.Error(err)
	}
	if _, err := NewOffsets(l, a, Address{}); err == nil {
		t.Error("one-time keys for no address")
	}
	p, err := NewOffsets(l, seed.Key(), other.Address())
	if err != nil || p.Sig == o.Sig || p.Locator(Hash{}, 1) == o.Locator(Hash{}, 1) {
		t.Error("two people share one-time keys")
	}
}

func mustParse(t *testing.T, k *PrivateKey) *PrivateKey {
	t.Helper()
	b := k.ExposeSecret()
	c, err := ParsePrivateKey(b[:])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Why OneTimeKeys has no way out for p: h = p − s is known to the grantor.
func TestOneTimeKeyGivesTheMasterKey(t *testing.T) {
	l := LedgerID{1}
	smith := NewEntropy().Root().Identity()
	a := NewEntropy().Root().Seed(l, NewNonce()).Key()
	o, _ := NewOffsets(l, a, smith.Address())
	k, _, err := smith.Recognize(l, a.Public(), o.Sig)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := decompress(smith.Address().View)
	grantor, err := newStealth(a, &v, l, a.Public(), smith.Address())
	if err != nil {
		t.Fatal(err)
	}
	h := grantor.prk.scalar(TagStealthSign, grantor.context)
	s := new(scalar).NegateVal(h)
	s.Add(&k.sign.secret().d)
	if smith.p().sign.Public() != newPrivateKey(s, true).Public() {
		t.Error("the comment of OneTimeKeys is wrong")
	}
}
