package crypto

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
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
	lane.OneGoroutine(t)
	words := NewEntropy().Words()
	for _, n := range []int{0, 12, 23} {
		if _, err := EntropyFromWords(words[:n]); !errors.Is(err, ErrWordCount) || !strings.HasSuffix(err.Error(), fmt.Sprintf("count=%d", n)) {
			t.Errorf("%d words: %v", n, err)
		}
	}
	if _, err := EntropyFromWords(append(words, words[0])); !errors.Is(err, ErrWordCount) {
		t.Error(err)
	}
	for _, bad := range []string{"", "aba", "abandt", "abandons", " abandon", "Kelvin", "abandon\u0301", "\u212aey"} {
		w := slices.Clone(words)
		w[7] = bad
		if _, err := EntropyFromWords(w); err == nil || err.Error() != "bad-words/word position=8" {
			t.Errorf("%q: %v", bad, err)
		}
	}
	// Another word in one place: 8 bits of checksum let 1 in 256 pass.
	refused := 0
	for _, other := range wordList() {
		w := slices.Clone(words)
		w[11] = other
		if _, err := EntropyFromWords(w); errors.Is(err, ErrChecksum) {
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

// A checksum that is wrong leads a person to the slip that she made.
func TestSuspects(t *testing.T) {
	e := Entropy{newSecret32(hashOf("suspects"))}
	right := e.Words()
	slip := func(change func(words []string)) []int {
		words := slices.Clone(right)
		change(words)
		_, err := EntropyFromWords(words)
		sum, ok := fault.As(err, ErrChecksum)
		if !ok {
			t.Fatalf("%v", err)
		}
		return fault.Get[[]int](sum, "suspects")
	}
	swapped := 0
	for i := range 23 {
		words := slices.Clone(right)
		words[i], words[i+1] = words[i+1], words[i]
		if _, err := EntropyFromWords(words); err == nil {
			continue // one in 256 happens to fit
		}
		swapped++
		if at := slip(func(w []string) { w[i], w[i+1] = w[i+1], w[i] }); !slices.Contains(at, i) {
			t.Errorf("words %d and %d exchanged: %v", i+1, i+2, at)
		}
	}
	if swapped < 20 {
		t.Errorf("%d exchanges tried", swapped)
	}
	letters := 0
	for i, was := range right {
		for _, other := range wordList() {
			if oneLetterApart(was, other) {
				words := slices.Clone(right)
				words[i] = other
				if _, err := EntropyFromWords(words); err == nil {
					continue
				}
				letters++
				if at := slip(func(w []string) { w[i] = other }); !slices.Contains(at, i) {
					t.Errorf("%s for %s at %d: %v", other, was, i+1, at)
				}
			}
		}
	}
	if letters == 0 {
		t.Error("no word of these has a neighbour: choose other entropy")
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{{"cat", "cut", true}, {"cat", "cats", true}, {"cat", "at", true}, {"cat", "cat", false}, {"cat", "dog", false}, {"cat", "scats", false}, {"abc", "acb", false}} {
		if oneLetterApart(c.a, c.b) != c.want || oneLetterApart(c.b, c.a) != c.want {
			t.Errorf("%s %s", c.a, c.b)
		}
	}
}

func hashOf(s string) []byte { h := TaggedHash(TagRoot, []byte(s)); return h[:] }

func TestWordsWithPrefix(t *testing.T) {
	for prefix, want := range map[string]string{"zo": "zone zoo", "ABAN": "abandon", "zz": "", "add": "add addict address"} {
		if got := strings.Join(WordsWithPrefix(prefix), " "); got != want {
			t.Errorf("%s: %s", prefix, got)
		}
	}
	if n := len(WordsWithPrefix("")); n != 2048 {
		t.Errorf("%d words in all", n)
	}
}

// No two words of the list begin with the same four letters, so four are enough, as
// many as one likes are taken, and three are not.
func TestWordsCut(t *testing.T) {
	for _, w := range wordList() {
		for n := 4; n <= len(w); n++ {
			if got := wholeWord(strings.ToUpper(w[:n])); !strings.EqualFold(got, w) {
				t.Errorf("%s is taken for %s", w[:n], got)
			}
		}
		if three := w[:3]; wholeWord(three) != three {
			t.Errorf("%s is taken for %s", three, wholeWord(three))
		}
		if long := w + "zz"; wholeWord(long) != long {
			t.Errorf("%s is taken for %s", long, wholeWord(long))
		}
	}
	e := NewEntropy()
	words := e.Words()
	for i, w := range words {
		words[i] = w[:min(4, len(w))]
	}
	if got, err := EntropyFromWords(words); err != nil || !got.Equal(e) {
		t.Error(err)
	}
	for _, w := range words {
		if len(w) > 4 {
			t.Error("the caller's words were changed")
		}
	}
}
