// Package passphrase judges passphrases. Its judgement is shown, never enforced.
package passphrase

import (
	"slices"
	"strings"
	"unicode"
)

// Strength estimates how hard a passphrase is to guess, in bits: a guesser who
// knows how people make passphrases needs about 2^Strength attempts for all of its
// kind. It is an estimate and rather too low than too high: what looks like words
// counts as words (1.8 bits a letter, the entropy of written English with its
// spaces left out), digits as years and dates, a row of keys as one pattern, and a password
// from the top of the lists as next to nothing. Nobody can see whether words were
// drawn by dice or are the beginning of a song; a song is weaker.
func Strength(passphrase []byte) float64 {
	text := strings.ToLower(string(passphrase))
	if common(text) {
		return 6
	}
	if common(unleet(text)) || common(unleet(strings.TrimRight(text, tail))) {
		return 10
	}
	bits := 0.0
	var before []string
	for _, run := range runs([]rune(text)) {
		word := string(run)
		if slices.Contains(before, word) {
			bits++ // the same again
			continue
		}
		before = append(before, word)
		bits += ofRun(run)
	}
	if text != string(passphrase) {
		bits++ // capital letters, which mostly begin words
	}
	return min(bits, 256)
}

// Strengths below WeakBelow are found in hours or days by somebody who has the key
// file and rents machines; from StrongFrom on nobody finds them. At the default
// work factor an attempt takes 256 MiB and about a second of one core, so that even
// a thousand graphics cards make no more than GuessesPerSecond.
const (
	WeakBelow        = 45.0
	StrongFrom       = 60.0
	GuessesPerSecond = 100_000.0
)

type class int

const (
	letters class = iota
	digits
	others
)

func classOf(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letters
	case unicode.IsDigit(r):
		return digits
	}
	return others
}

// runs cuts text where letters, digits and the rest meet.
func runs(text []rune) [][]rune {
	var out [][]rune
	for i, r := range text {
		if i == 0 || classOf(text[i-1]) != classOf(r) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], r)
	}
	return out
}

func ofRun(run []rune) float64 {
	n := float64(len(run))
	switch {
	case len(run) >= 3 && patterned(run):
		return 5
	case classOf(run[0]) == digits:
		return 2 * n // mostly years and dates
	case classOf(run[0]) == others:
		return min(n, 1)*3 + max(n-1, 0)*1.5
	case common(string(run)):
		return 6
	case run[0] > unicode.MaxLatin1 || !pronounceable(run):
		return 4.7 * n
	}
	return max(1.8*n, 4)
}

// patterned tells whether a run is one key, a sequence, or a row of the keyboard.
func patterned(run []rune) bool {
	steps := map[rune]bool{}
	for i := 1; i < len(run); i++ {
		steps[run[i]-run[i-1]] = true
	}
	if len(steps) == 1 && (steps[0] || steps[1] || steps[-1]) {
		return true
	}
	s := string(run)
	back := slices.Clone(run)
	slices.Reverse(back)
	for _, row := range []string{"qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm", "1234567890"} {
		if strings.Contains(row, s) || strings.Contains(row, string(back)) {
			return true
		}
	}
	return false
}

// pronounceable tells whether letters look like words: vowels among consonants.
func pronounceable(run []rune) bool {
	vowels, row, longest := 0, 0, 0
	for _, r := range run {
		if strings.ContainsRune("aeiouyäöüàâéèêëîïôûáíóúåæøœ", r) {
			vowels++
			row = 0
			continue
		}
		row++
		longest = max(longest, row)
	}
	share := float64(vowels) / float64(len(run))
	return share >= 0.2 && share <= 0.75 && longest <= 5
}

func unleet(s string) string {
	return strings.NewReplacer("4", "a", "@", "a", "3", "e", "0", "o", "1", "i", "!", "i", "5", "s", "$", "s", "7", "t").Replace(s)
}

// common tells whether s is, digits at its end apart, among the passwords that are
// tried first.
func common(s string) bool {
	return slices.Contains(first, strings.TrimRight(s, tail))
}

// tail is what people put at the end of a password to be let in.
const tail = "0123456789!.?"

var first = strings.Fields(`password passwort passphrase passwd pass secret geheim qwerty qwertz azerty letmein welcome willkommen
	admin administrator root login master monkey dragon football baseball soccer iloveyou sunshine princess shadow superman batman
	michael jordan hunter trustno freedom whatever hello hallo charlie ginger summer winter spring autumn flower love baby angel
	computer internet starwars pokemon test testing guest changeme default carekey health wallet doctor patient hospital`)
