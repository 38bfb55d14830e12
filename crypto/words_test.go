package crypto

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestWordList(t *testing.T) {
	l := wordList()
	if len(l) != 2048 || !slices.IsSorted(l) || l[0] != "abandon" || l[2047] != "zoo" {
		t.Fatalf("%d words", len(l))
	}
	// The first four letters tell the words apart, as BIP-39 promises.
	seen := map[string]bool{}
	for _, w := range l {
		short := w[:min(4, len(w))]
		if seen[short] || len(w) < 3 || len(w) > 8 {
			t.Error(w)
		}
		seen[short] = true
	}
}

func TestWords24(t *testing.T) {
	b, err := os.ReadFile("../testdata/vectors/bip39-english-24.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Entropy, Words string }
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		words := strings.Fields(v.Words)
		e, err := EntropyFromWords(words)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(e.bytes()); got != v.Entropy {
			t.Errorf("%s, want %s", got, v.Entropy)
		}
		if !slices.Equal(e.Words(), words) {
			t.Errorf("%s", v.Entropy)
		}
		d, err := DecodeEntropy(e.Encode())
		if err != nil || !d.Equal(e) || len(e.Encode()) != 43 {
			t.Error(err)
		}
		upper, err := EntropyFromWords(strings.Fields(strings.ToUpper(v.Words)))
		if err != nil || !upper.Equal(e) {
			t.Error("upper case", err)
		}
	}
	if len(vectors) != 8 {
		t.Errorf("%d vectors", len(vectors))
	}
}

func TestWordsPublished(t *testing.T) {
	var all map[string][][]string
	external(t, &all, "bip39", "trezor_vectors.json")
	for _, v := range all["english"] {
		entropy, words := unhex(t, v[0]), strings.Fields(v[1])
		if !slices.Equal(toWords(entropy), words) {
			t.Errorf("words of %x", entropy)
		}
		if b, err := fromWords(words); err != nil || !slices.Equal(b, entropy) {
			t.Errorf("%x, %v; want %x", b, err, entropy)
		}
	}
	if len(all["english"]) != 24 {
		t.Errorf("%d vectors", len(all["english"]))
	}
}

func TestWordsRefused(t *testing.T) {
	words := NewEntropy().Words()
	var count *WordCountError
	for _, n := range []int{0, 12, 23} {
		if _, err := EntropyFromWords(words[:n]); !errors.As(err, &count) || count.Count != n {
			t.Errorf("%d words: %v", n, err)
		}
	}
	if _, err := EntropyFromWords(append(words, words[0])); !errors.As(err, &count) || count.Count != 25 {
		t.Error(err)
	}
	var word *WordError
	for _, bad := range []string{"", "aband", "abandons", " abandon", "Kelvin", "abandon\u0301", "\u212aey"} {
		w := slices.Clone(words)
		w[7] = bad
		if _, err := EntropyFromWords(w); !errors.As(err, &word) || word.Index != 7 || word.Word != bad {
			t.Errorf("%q: %v", bad, err)
		}
	}
	// Another word in one place: 8 bits of checksum let 1 in 256 pass.
	var sum *ChecksumError
	refused := 0
	for _, other := range wordList() {
		w := slices.Clone(words)
		w[11] = other
		if _, err := EntropyFromWords(w); errors.As(err, &sum) {
			refused++
		}
	}
	if refused < 1990 || refused > 2047 {
		t.Errorf("%d of 2047 refused", refused)
	}
}

func TestWordsRoundTrip(t *testing.T) {
	for size := 16; size <= 32; size += 4 {
		for range 50 {
			b := make([]byte, size)
			rand.Read(b)
			words := toWords(b)
			if got, err := fromWords(words); err != nil || !slices.Equal(got, b) || len(words) != size*3/4 {
				t.Fatalf("%x: %x, %v", b, got, err)
			}
		}
	}
}

func TestDecodeEntropyIsStrict(t *testing.T) {
	good := NewEntropy().Encode()
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", good[42])
	slack := good[:42] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last|1])
	for _, bad := range []string{"", good[:42], good + "A", good + "=", slack, " " + good[1:], good[:20] + "\n" + good[21:], good[:42] + "+"} {
		if _, err := DecodeEntropy(bad); err != ErrEntropy {
			t.Errorf("%v", err)
		}
	}
}
