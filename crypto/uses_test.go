package crypto

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"filippo.io/age"

	"github.com/carekey/carekey/crypto/codec"
)

// held copies a root to where HoldKeys holds it.
func held(r Root) *[HeldMemory]byte {
	m := new([HeldMemory]byte)
	copy(m[:], r.bytes())
	return m
}

// asked are the keys of r as another process holds them. said is told of each request and
// its answer.
func asked(t testing.TB, r Root, l LedgerID, said func(request, answer []byte)) *Keys {
	t.Helper()
	holder := HoldKeys(held(r))
	k, err := AskKeys(l, func(request []byte) ([]byte, error) {
		answer, ok := holder.Answer(nil, request)
		if !ok {
			return nil, errors.New("no request")
		}
		if said != nil {
			said(request, answer)
		}
		return answer, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// use does with keys what a wallet does, and returns all that came of it that is the same
// each time.
func use(t testing.TB, k *Keys, other Root, l LedgerID) (out [][]byte) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	add := func(b []byte) { out = append(out, bytes.Clone(b)) }
	add([]byte(k.Address().String()))
	self := k.Self()
	add(self[:])
	tag := k.Tagger().Tag(Nonce{7})
	add(tag[:])
	seed, err := k.Seed(Nonce{8})
	must(err)
	add(seed.bytes())
	sig, err := k.Sign(TaggedHash(TagTerms, []byte("x")))
	must(err)
	add(sig[:])

	// As the counterparty of somebody's thread.
	theirs := other.Seed(l, Nonce{9}).Key()
	o, err := NewOffsets(l, theirs, k.Address())
	must(err)
	c, mine, err := k.Recognize(theirs.Public(), o.Sig)
	must(err)
	if !mine || c.Sig != o.Sig || c.Seal != o.Seal || c.Locator(Hash{1}, 2) != o.Locator(Hash{1}, 2) {
		t.Fatal("not recognised as it is")
	}
	sig, err = c.Sign(TaggedHash(TagTerms, []byte("y")))
	must(err)
	add(sig[:])
	in := SealContext{Ledger: l, Part: 3, Author: theirs.Public()}
	sealed, err := SealPayload(in, []byte("for the other side"), 0, o.Seal, self)
	must(err)
	for _, open := range []func(SealContext, []byte) ([]byte, error){c.Open, k.Open} {
		b, err := open(in, sealed)
		must(err)
		add(b)
		for _, not := range []SealContext{{Ledger: l, Part: 4, Author: in.Author}, {Ledger: l, Part: 3, Author: o.Sig}} {
			if _, err := open(not, sealed); !errors.Is(err, ErrNotForKey) {
				t.Errorf("opens in another context: %v", err)
			}
		}
	}
	var record bytes.Buffer
	w, err := age.Encrypt(&record, RecordRecipient(self))
	must(err)
	io.WriteString(w, "a record")
	must(w.Close())
	fileKey, err := RecordFileKey(bytes.NewReader(record.Bytes()), k.RecordIdentity())
	must(err)
	plain, err := age.Decrypt(bytes.NewReader(record.Bytes()), fileKey.Identity())
	must(err)
	b, err := io.ReadAll(plain)
	must(err)
	add(b)

	// What is not one's own.
	if _, mine, err := k.Recognize(theirs.Public(), theirs.Public()); mine || err != nil {
		t.Error(mine, err)
	}
	if _, mine, err := k.Recognize(theirs.Public(), PubKey{}); mine || err != nil {
		t.Error(mine, err)
	}
	for _, bad := range []PubKey{{}, PubKey(append([]byte{2}, bytes.Repeat([]byte{0xff}, 32)...)), {5}} {
		if _, _, err := k.Recognize(bad, o.Sig); !errors.Is(err, ErrPubKey) {
			t.Errorf("author key %v: %v", bad, err)
		}
	}
	foreign, err := SealPayload(in, []byte("x"), 0, other.SelfKey().Public())
	must(err)
	if _, err := k.Open(in, foreign); !errors.Is(err, ErrNotForKey) {
		t.Error(err)
	}
	return out
}

// Keys that another process holds do what they do here, to the byte.
func TestHeldKeysDoTheSame(t *testing.T) {
	root, other, l := fixedEntropy(1).Root(), fixedEntropy(2).Root(), LedgerID{3}
	here, there := root.Keys(l), asked(t, root, l, nil)
	if a, b := use(t, here, other, l), use(t, there, other, l); len(a) != len(b) {
		t.Fatal(len(a), len(b))
	} else {
		for i := range a {
			if !bytes.Equal(a[i], b[i]) {
				t.Errorf("%d: %x here, %x there", i, a[i], b[i])
			}
		}
	}
	if b, err := there.LocalKey().Open("state", here.LocalKey().Seal("state", []byte("x"))); err != nil || string(b) != "x" {
		t.Error(b, err)
	}
	if n, ok := here.Tagger().Open(there.Tagger().Tag(Nonce{5})); !ok || n != (Nonce{5}) {
		t.Error(n, ok)
	}
	if there.Lost() != nil {
		t.Error(there.Lost())
	}
	there.Wipe()
	if !fixedEntropy(1).Root().equal(root.secret32) {
		t.Error("the one who asks has overwritten the root")
	}
}

// Threat: a program that may ask for a while copies what it gets. It never gets the root,
// and no key that signs for the person or opens what is sealed for her.
func TestHeldKeysStayThere(t *testing.T) {
	root, other, l := fixedEntropy(1).Root(), fixedEntropy(2).Root(), LedgerID{3}
	var answers []byte
	uses := map[byte]bool{}
	k := asked(t, root, l, func(request, answer []byte) {
		uses[request[0]] = true
		answers = append(answers, answer...)
		if len(answer) > MaxKeyMessage || len(request) > MaxKeyMessage {
			t.Errorf("%d bytes asked, %d answered", len(request), len(answer))
		}
	})
	use(t, k, other, l)
	if len(uses) != useOpenAs {
		t.Errorf("only the uses %v were asked for", uses)
	}
	id := root.Identity()
	theirs := other.Seed(l, Nonce{9}).Key()
	o, err := NewOffsets(l, theirs, id.Address())
	if err != nil {
		t.Fatal(err)
	}
	one, _, err := id.Recognize(l, theirs.Public(), o.Sig)
	if err != nil {
		t.Fatal(err)
	}
	entropy := fixedEntropy(1)
	secrets := map[string][]byte{"entropy": entropy.bytes(), "root": root.bytes(), "prk of the root": extract(root.bytes())}
	for name, key := range map[string]*PrivateKey{"s": id.p().sign, "v": id.p().view, "self key": root.SelfKey(), "p_sig": one.sign, "p_seal": one.seal} {
		b := key.ExposeSecret()
		secrets[name] = b[:]
	}
	for name, secret := range secrets {
		if bytes.Contains(answers, secret) {
			t.Errorf("%s was handed out", name)
		}
	}
	seed := root.Seed(l, Nonce{8})
	if !bytes.Contains(answers, seed.bytes()) {
		t.Error("the search above finds nothing: a seed is handed out")
	}
}

// What the holder derives for a use is gone after it, and after Wipe nothing follows from
// the root any more.
func TestHeldKeysWipe(t *testing.T) {
	memory := held(fixedEntropy(1).Root())
	holder := HoldKeys(memory)
	if _, ok := holder.Answer(nil, codec.Append(nil, (&keyRequest{use: useBegin}).fields)); !ok {
		t.Fatal("no answer")
	}
	if root := fixedEntropy(1).Root(); bytes.Contains(memory[:], root.bytes()) || bytes.Contains(memory[:], extract(root.bytes())) {
		t.Error("the root is still there, which is not needed")
	}
	if holder.Wipe(); *memory != [HeldMemory]byte{} {
		t.Error("something is left")
	}
	defer func() {
		if recover() == nil {
			t.Error("what was wiped still answers")
		}
	}()
	holder.Answer(nil, codec.Append(nil, (&keyRequest{use: useBegin}).fields))
}

// A use that was not performed is no verdict: neither damage nor somebody else's. From
// then on nothing is asked, and who did not look at the error finds it.
func TestKeysLost(t *testing.T) {
	root, l := fixedEntropy(1).Root(), LedgerID{3}
	gone := errors.New("it has hung up")
	in := SealContext{Ledger: l, Part: 3, Author: GenerateKey().Public()}
	sealed, err := SealPayload(in, []byte("x"), 0, root.SelfKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	var record bytes.Buffer
	w, err := age.Encrypt(&record, RecordRecipient(root.SelfKey().Public()))
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	theirs := GenerateKey()
	o, err := NewOffsets(l, theirs, root.Identity().Address())
	if err != nil {
		t.Fatal(err)
	}
	uses := map[string]func(k *Keys) error{
		"seed":      func(k *Keys) error { _, err := k.Seed(Nonce{}); return err },
		"sign":      func(k *Keys) error { _, err := k.Sign(Hash{}); return err },
		"recognise": func(k *Keys) error { _, _, err := k.Recognize(theirs.Public(), o.Sig); return err },
		"open":      func(k *Keys) error { _, err := k.Open(in, sealed); return err },
		"record": func(k *Keys) error {
			_, err := RecordFileKey(bytes.NewReader(record.Bytes()), k.RecordIdentity())
			return err
		},
		"card": func(k *Keys) error { _, err := NewCard(k, "Maria", ""); return err },
	}
	for how, answer := range map[string]func(good []byte) ([]byte, error){
		"gone":      func([]byte) ([]byte, error) { return nil, gone },
		"empty":     func([]byte) ([]byte, error) { return nil, nil },
		"too short": func(good []byte) ([]byte, error) { return good[:len(good)-1], nil },
		"too long":  func(good []byte) ([]byte, error) { return append(good, 0), nil },
		"no state":  func(good []byte) ([]byte, error) { return append([]byte{answers}, good[1:]...), nil },
	} {
		for name, use := range uses {
			holder := HoldKeys(held(root))
			n := 0
			k, err := AskKeys(l, func(request []byte) ([]byte, error) {
				good, _ := holder.Answer(nil, request)
				if n++; n == 1 {
					return good, nil
				}
				return answer(good)
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := use(k); !errors.Is(err, ErrKeyLocked) || how == "gone" && !errors.Is(err, gone) {
				t.Errorf("%s, %s: %v", how, name, err)
			}
			if _, err := k.Seed(Nonce{}); !errors.Is(err, ErrKeyLocked) || n != 2 || !errors.Is(k.Lost(), ErrKeyLocked) {
				t.Errorf("%s, %s, afterwards: %v, %d requests, lost %v", how, name, err, n, k.Lost())
			}
		}
		if _, err := AskKeys(l, func([]byte) ([]byte, error) { return answer(make([]byte, 229)) }); !errors.Is(err, ErrKeyLocked) {
			t.Errorf("%s, at the beginning: %v", how, err)
		}
	}
}

// Whatever is asked: what parses is one request in its one form, and its answer is one in
// its one form; nothing else is answered.
func FuzzKeyRequest(f *testing.F) {
	root, l := fixedEntropy(1).Root(), LedgerID{3}
	use(f, asked(f, root, l, func(request, _ []byte) { f.Add(request) }), fixedEntropy(2).Root(), l)
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{useSign}, 300))
	holder := HoldKeys(held(root))
	f.Fuzz(func(t *testing.T, b []byte) {
		answer, ok := holder.Answer([]byte("x"), b)
		var r keyRequest
		if parses := codec.Parse(b, r.fields) == nil; parses != ok || !bytes.HasPrefix(answer, []byte("x")) {
			t.Fatalf("answered %v, parses %v", ok, parses)
		}
		if answer = answer[1:]; !ok {
			if len(answer) > 0 {
				t.Errorf("%x to no request", answer)
			}
			return
		}
		if again := codec.Append(nil, r.fields); !bytes.Equal(again, b) {
			t.Errorf("%x came back as %x", b, again)
		}
		var a keyAnswer
		if err := codec.Parse(answer, a.fields(r.use)); err != nil || len(answer) > MaxKeyMessage || len(b) > MaxKeyMessage {
			t.Errorf("%d bytes asked, %d answered: %v", len(b), len(answer), err)
		}
	})
}

// Whatever is answered: what parses has one form.
func FuzzKeyAnswer(f *testing.F) {
	l := LedgerID{3}
	use(f, asked(f, fixedEntropy(1).Root(), l, func(request, answer []byte) { f.Add(request[0], answer) }), fixedEntropy(2).Root(), l)
	f.Add(uint8(0), []byte{0})
	f.Fuzz(func(t *testing.T, use uint8, b []byte) {
		var a keyAnswer
		if codec.Parse(b, a.fields(use)) == nil {
			if again := codec.Append(nil, a.fields(use)); !bytes.Equal(again, b) {
				t.Errorf("%x came back as %x", b, again)
			}
		}
	})
}

// Keys on another ledger find and make there what the root makes there, and nothing of the
// ledger that they were on before, wherever they are.
func TestKeysOnAnotherLedger(t *testing.T) {
	root := fixedEntropy(3).Root()
	one, two := LedgerID{1}, LedgerID{2}
	for where, before := range map[string]*Keys{"here": root.Keys(one), "held": asked(t, root, one, nil)} {
		k, err := before.On(two)
		if err != nil {
			t.Fatal(where, err)
		}
		tag := k.Tagger().Tag(Nonce{5})
		if n, ok := root.Tagger(two).Open(tag); !ok || n != (Nonce{5}) {
			t.Error(where, "an entry of theirs is not found again")
		}
		if _, ok := root.Tagger(one).Open(tag); ok {
			t.Error(where, "an entry is found on the other ledger")
		}
		seed, err := k.Seed(Nonce{5})
		if want := root.Seed(two, Nonce{5}); err != nil || !bytes.Equal(seed.bytes(), want.bytes()) {
			t.Errorf("%s: the seed is not that ledger's: %v", where, err)
		}
		if k.Address() != before.Address() {
			t.Error(where, "another address")
		}
	}
	gone := errors.New("it has hung up")
	holder := HoldKeys(held(root))
	there := true
	k, err := AskKeys(one, func(request []byte) ([]byte, error) {
		if !there {
			return nil, gone
		}
		answer, _ := holder.Answer(nil, request)
		return answer, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	there = false
	if _, err := k.On(two); !errors.Is(err, ErrKeyLocked) || !errors.Is(err, gone) || k.Lost() == nil {
		t.Errorf("nobody holds them any more: %v, lost %v", err, k.Lost())
	}
}

// Threat: a watch waits for hours, and its memory holds what opens the wallet's files and
// finds its entries. Wipe overwrites the keys of ciphers too, on each ledger and wherever the
// other keys are, and nothing is sealed or tagged with what is left.
func TestKeysWipeCiphers(t *testing.T) {
	root := fixedEntropy(3).Root()
	other := asked(t, root, LedgerID{1}, nil)
	for where, k := range map[string]*Keys{"here": fixedEntropy(3).Root().Keys(LedgerID{1}), "held": other} {
		on, err := k.On(LedgerID{2})
		if err != nil {
			t.Fatal(where, err)
		}
		ciphers := []any{k.LocalKey().p().aead, k.Tagger().p().block, on.Tagger().p().block}
		for _, c := range ciphers {
			v := reflect.ValueOf(c).Elem()
			if v.IsZero() || !whole(v.Type()) {
				t.Fatalf("%s: %T does not hold its key in itself", where, c)
			}
		}
		k.Wipe()
		for _, c := range ciphers {
			if !reflect.ValueOf(c).Elem().IsZero() {
				t.Errorf("%s: %T is left", where, c)
			}
		}
		k.Wipe() // a second time it is no use
		for name, use := range map[string]func(){
			"tag":        func() { k.Tagger().Tag(Nonce{}) },
			"tag there":  func() { on.Tagger().Tag(Nonce{}) },
			"find":       func() { k.Tagger().Open(SelfTag{}) },
			"seal":       func() { k.LocalKey().Seal("state", nil) },
			"open state": func() { on.LocalKey().Open("state", make([]byte, 100)) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: what was wiped is used: %s", where, name)
					}
				}()
				use()
			}()
		}
	}
}

// whole reports whether values of a type hold all that they are made of: nothing that they
// point to is left when they are overwritten.
func whole(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			if !whole(f.Type) {
				return false
			}
		}
		return true
	case reflect.Array:
		return whole(t.Elem())
	}
	return t.Kind() <= reflect.Complex128
}
