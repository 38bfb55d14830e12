package crypto

import (
	"crypto/aes"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
)

func TestSelfTag(t *testing.T) {
	root := NewEntropy().Root()
	x, y := root.Tagger(LedgerID{1}), root.Tagger(LedgerID{2})
	other := NewEntropy().Root().Tagger(LedgerID{1})
	for range 100 {
		n := NewNonce()
		tag := x.Tag(n)
		if got, ok := x.Open(tag); !ok || got != n {
			t.Fatal("own tag not opened")
		}
		if _, ok := y.Open(tag); ok {
			t.Error("opened on another ledger")
		}
		if _, ok := other.Open(tag); ok {
			t.Error("opened by another person")
		}
		for i := range tag {
			bad := tag
			bad[i] ^= 1
			if _, ok := x.Open(bad); ok {
				t.Error("changed tag opened")
			}
		}
	}
	block, err := aes.NewCipher(derive(root.bytes(), TagSelfTag, (&LedgerID{1})[:]))
	if err != nil {
		t.Fatal(err)
	}
	n := NewNonce()
	want := append(n[:], 0, 0, 0, 0)
	block.Encrypt(want, want)
	if got := x.Tag(n); string(got[:]) != string(want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestSelfTagOpenDoesNotAllocate(t *testing.T) {
	x := NewEntropy().Root().Tagger(LedgerID{1})
	own, other := x.Tag(NewNonce()), SelfTag{7}
	if n := testing.AllocsPerRun(1000, func() { x.Open(own); x.Open(other) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSelfTagConcurrent(t *testing.T) {
	x := NewEntropy().Root().Tagger(LedgerID{1})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				n := NewNonce()
				if got, ok := x.Open(x.Tag(n)); !ok || got != n {
					t.Error("mixed up")
					return
				}
			}
		})
	}
	wg.Wait()
}

// Everything derived is different from everything else, and the same again.
func TestDerivationsAreApart(t *testing.T) {
	collect := func(e Entropy) map[string]string {
		root := e.Root()
		l, m := LedgerID{1}, LedgerID{2}
		n, o := Nonce{1}, Nonce{2}
		id := Hash{5}
		m1 := map[string]string{"entropy": string(e.bytes()), "root": string(root.bytes())}
		key := func(k *PrivateKey) string { b := k.ExposeSecret(); return string(b[:]) }
		m1["s"], m1["v"] = key(root.Identity().p().sign), key(root.Identity().p().view)
		m1["self"] = key(root.SelfKey())
		m1["local"] = string(derive(root.bytes(), TagLocalKey))
		m1["tag l"] = string(derive(root.bytes(), TagSelfTag, l[:]))
		m1["tag m"] = string(derive(root.bytes(), TagSelfTag, m[:]))
		for name, s := range map[string]Seed{"l n": root.Seed(l, n), "m n": root.Seed(m, n), "l o": root.Seed(l, o)} {
			m1["seed "+name] = string(s.bytes())
			m1["a "+name] = key(s.Key())
			m1["K "+name] = string(s.LockKey().bytes())
			x, y, z := s.Locator(id, 1), s.Locator(id, 2), s.Locator(Hash{6}, 1)
			c := s.ContentLocator()
			m1["x "+name], m1["y "+name], m1["z "+name], m1["c "+name] = string(x[:]), string(y[:]), string(z[:]), string(c[:])
			shares, err := s.Shares(3, 3)
			if err != nil {
				t.Fatal(err)
			}
			for i, share := range shares {
				m1["share "+name+string(rune('0'+i))] = string(share.data.bytes())
			}
		}
		return m1
	}
	all := map[string]string{}
	for n := range byte(2) {
		first, again := collect(fixedEntropy(n*0x40)), collect(fixedEntropy(n*0x40))
		for what, v := range first {
			if again[what] != v {
				t.Errorf("%s is not the same again", what)
			}
			if before, ok := all[v]; ok {
				t.Errorf("%s is %s", what, before)
			}
			all[v] = what
		}
	}
	if len(all) < 60 {
		t.Errorf("%d values", len(all))
	}
}

func TestScalarDerivationRejects(t *testing.T) {
	// The counter is part of the context: with every value accepted at once, the
	// first try must be expand with counter 0.
	k := extract([]byte("secret"))
	want := k.expand(TagThreadKey, []byte("context"), []byte{0})
	got := k.scalar(TagThreadKey, []byte("context")).Bytes()
	if string(got[:]) != string(want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestLocal(t *testing.T) {
	k := NewEntropy().Root().LocalKey()
	plain := []byte("state")
	sealed := k.Seal("journal", plain)
	if len(sealed) != len(plain)+40 {
		t.Errorf("%d bytes", len(sealed))
	}
	if b, err := k.Open("journal", sealed); err != nil || string(b) != "state" {
		t.Fatal(err)
	}
	if string(k.Seal("journal", plain)) == string(sealed) {
		t.Error("the nonce is not fresh")
	}
	refused := func(k *LocalKey, name string, b []byte, why string) {
		t.Helper()
		_, err := k.Open(name, b)
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", why, err)
		}
	}
	refused(k, "journal2", sealed, "other name")
	refused(k, "", sealed, "no name")
	refused(NewEntropy().Root().LocalKey(), "journal", sealed, "other key")
	for i := range sealed {
		b := append([]byte(nil), sealed...)
		b[i] ^= 0x10
		refused(k, "journal", b, "changed byte")
		refused(k, "journal", sealed[:i], "cut")
	}
	refused(k, "journal", append(sealed, 0), "longer")
	big := make([]byte, 1<<20)
	rand.Read(big)
	if b, err := k.Open("", k.Seal("", big)); err != nil || string(b) != string(big) {
		t.Error(err)
	}
}
