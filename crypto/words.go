package crypto

import (
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"sync"
)

// english is the English word list of BIP-39: 2048 words in alphabetical order,
// one a line.
//
//go:embed english.txt
var english string

var wordList = sync.OnceValue(func() []string { return strings.Fields(english) })

// Entropy is the secret of a person: the 32 bytes behind 24 words. It is the item
// in the operating system's keyring.
type Entropy struct{ secret32 }

// ErrEntropy says that a text is not what [Entropy.Encode] writes.
var ErrEntropy = errors.New("not an encoded wallet secret")

// NewEntropy returns a new random secret.
func NewEntropy() Entropy {
	var b [32]byte
	rand.Read(b[:])
	defer clear(b[:])
	return Entropy{newSecret32(b[:])}
}

// Words returns the 24 words (BIP-39, English).
func (e Entropy) Words() []string { return toWords(e.bytes()) }

// EntropyFromWords reads 24 words, in any case. A word of more than four letters may
// be cut after its fourth or a later one, since no two words of the list begin with
// the same four. Its errors are [ErrWordCount], [ErrWord] and [ErrChecksum].
func EntropyFromWords(words []string) (Entropy, error) {
	if len(words) != 24 {
		return Entropy{}, ErrWordCount.With("count", len(words))
	}
	words = slices.Clone(words)
	for i, w := range words {
		words[i] = wholeWord(w)
	}
	b, err := fromWords(words)
	if errors.Is(err, ErrChecksum) {
		err = ErrChecksum.With("suspects", suspects(words))
	}
	if err != nil {
		return Entropy{}, err
	}
	defer clear(b)
	return Entropy{newSecret32(b)}, nil
}

// WordsWithPrefix returns the words of the list that begin with that, in
// alphabetical order; for completing what a person types.
func WordsWithPrefix(prefix string) []string {
	prefix = lowerASCII(prefix)
	list := wordList()
	from, _ := slices.BinarySearch(list, prefix)
	to := from
	for to < len(list) && strings.HasPrefix(list[to], prefix) {
		to++
	}
	return slices.Clone(list[from:to])
}

// wholeWord is the word of the list that was cut, or w if there is none.
func wholeWord(w string) string {
	if len(w) < 4 {
		return w
	}
	if all := WordsWithPrefix(w); len(all) == 1 {
		return all[0]
	}
	return w
}

// suspects returns the positions at which one slip would make the checksum right.
func suspects(words []string) []int {
	words = slices.Clone(words)
	var at []int
	right := func() bool {
		b, err := fromWords(words)
		clear(b)
		return err == nil
	}
	for i := range words {
		was := lowerASCII(words[i])
		found := false
		for _, other := range wordList() {
			if found = oneLetterApart(was, other); found {
				words[i] = other
				if found = right(); found {
					break
				}
			}
		}
		words[i] = was
		if !found && i+1 < len(words) && !strings.EqualFold(was, words[i+1]) {
			words[i], words[i+1] = words[i+1], words[i]
			found = right()
			words[i], words[i+1] = words[i+1], words[i]
		}
		if found {
			at = append(at, i)
		}
	}
	return at
}

// oneLetterApart tells whether one letter changed, added or left out makes a of b.
func oneLetterApart(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if a == b || len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return a[i+1:] == b[i+1:]
	}
	return a[i:] == b[i+1:]
}

// Encode returns the secret as text for the keyring: base64url without padding,
// 43 characters.
func (e Entropy) Encode() string { return base64.RawURLEncoding.EncodeToString(e.bytes()) }

// DecodeEntropy reads what [Entropy.Encode] wrote, and returns [ErrEntropy] for
// anything else.
func DecodeEntropy(text string) (Entropy, error) {
	if len(text) != 43 {
		return Entropy{}, ErrEntropy
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	defer clear(b)
	if err != nil || len(b) != 32 {
		return Entropy{}, ErrEntropy
	}
	return Entropy{newSecret32(b)}, nil
}

// Equal reports, in constant time, whether both are the same secret.
func (e Entropy) Equal(o Entropy) bool { return e.equal(o.secret32) }

// toWords is BIP-39 for 16 to 32 bytes, a multiple of 4: the bits, then the first
// len/4 bits of their SHA-256, 11 bits a word.
func toWords(entropy []byte) []string {
	sum := sha256.Sum256(entropy)
	bits := append(slices.Clone(entropy), sum[0])
	words := elevenBits(bits, len(entropy)*3/4)
	clear(bits)
	return words
}

// elevenBits returns the words for the first n groups of 11 bits.
func elevenBits(bits []byte, n int) []string {
	words := make([]string, n)
	acc, have := uint32(0), 0
	for i := range words {
		for have < 11 {
			acc, bits, have = acc<<8|uint32(bits[0]), bits[1:], have+8
		}
		have -= 11
		words[i] = wordList()[acc>>have&0x7ff]
	}
	return words
}

// fromWords is the inverse of toWords for 12 to 24 words, a multiple of 3.
func fromWords(words []string) ([]byte, error) {
	bits := make([]byte, 0, 40)
	defer clear(bits[:cap(bits)])
	acc, have := uint32(0), 0
	for i, w := range words {
		index, ok := slices.BinarySearch(wordList(), lowerASCII(w))
		if !ok {
			return nil, ErrWord.With("position", i+1)
		}
		acc, have = acc<<11|uint32(index), have+11
		for have >= 8 {
			have -= 8
			bits = append(bits, byte(acc>>have))
		}
	}
	size := len(words) * 4 / 3
	entropy := bits[:size:size]
	// What is left after the entropy is the checksum: 4 to 8 bits.
	sum := byte(acc << (8 - have))
	if have == 0 {
		sum = bits[size]
	}
	want := sha256.Sum256(entropy)
	if shift := 8 - len(words)/3; sum>>shift != want[0]>>shift {
		return nil, ErrChecksum
	}
	return slices.Clone(entropy), nil
}

// lowerASCII is strings.ToLower for A to Z only: Unicode's lower case maps letters
// of other scripts to ASCII.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
