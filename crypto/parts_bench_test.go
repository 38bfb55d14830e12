package crypto

import (
	"crypto/rand"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// What parts cost, for each part of the usual size, beside the cipher and the hash that
// they can't do without.
func BenchmarkParts(b *testing.B) {
	const size = 2600 // bytes: what a resource of a record has on average
	l, a := LedgerID{1}, GenerateKey().Public()
	p := NewEntropy().Root().Seed(l, Nonce{}).Parts(l, a, nil)
	body := make([]byte, size)
	rand.Read(body)
	salt, leaf, _ := p.Leaf(7, body)
	var sealed []byte
	b.Run("leaf", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			p.Leaf(7, body)
		}
	})
	b.Run("seal", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			sealed = p.Seal(sealed[:0], salt, leaf, body)
		}
	})
	key := p.Key(leaf)
	b.Run("open", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if _, err := key.Open(l, a, leaf, sealed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("key", func(b *testing.B) {
		for b.Loop() {
			p.Key(leaf)
		}
	})
	b.Run("raw/hash", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			TaggedHash(TagPart, salt[:], body)
		}
	})
	b.Run("raw/cipher", func(b *testing.B) {
		b.SetBytes(size)
		aead := newAEAD(make([]byte, 32))
		out := make([]byte, 0, PartClass(size)+PartOverhead)
		for b.Loop() {
			out = aead.Seal(out[:0], make([]byte, chacha20poly1305.NonceSize), out[:PartClass(size)], leaf[:])
		}
	})
	leaves := make([]Hash, 10_000)
	for i := range leaves {
		_, leaves[i], _ = p.Leaf(i, body)
	}
	b.Run("frame of 10,000", func(b *testing.B) {
		for b.Loop() {
			p.SealFrame(p.Frame(leaves))
		}
	})
	f := p.Frame(leaves)
	frame := p.SealFrame(f)
	b.Run("open frame of 10,000", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.FrameKey().Open(l, a, f.Root, len(f.Leaves), frame); err != nil {
				b.Fatal(err)
			}
		}
	})
}
