package wallet

import "testing"

// What was mistyped is named by at most two slips, or by what it looks like; what is too
// short or too far is not guessed at.
func TestLike(t *testing.T) {
	names := []string{"Dr Smith", "Dr Smythe", "Maria", "José Núñez", "Bo"}
	for query, want := range map[string]string{
		"Dr Smiht": "Dr Smith", "dr smith": "Dr Smith", "Dr Smth": "Dr Smith", "Dr Ssmithh": "Dr Smith", "Dr Smythee": "Dr Smythe",
		"Dr Smyth": "Dr Smith", "Dr Sm\u0456th": "Dr Smith", "Mria": "Maria", "Amria": "Maria", "Marai": "Maria", "Mario": "Maria",
		"Jose Nunez": "José Núñez", "Jose\u0301 Nunez": "José Núñez",
		"Al": "", "Bob": "Bo", "X": "", "": "", "Dr Jones": "", "M": "", "!!": "", "Marialena": "",
	} {
		if got := Like(query, names); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	// By the definition, on every pair of short words.
	var words [][]rune
	for n := range 120 {
		var w []rune
		for ; n > 0; n /= 3 {
			w = append(w, rune("abc"[n%3]))
		}
		words = append(words, w)
	}
	for _, a := range words {
		for _, b := range words {
			for most := 1; most <= 3; most++ {
				if got, want := slips(a, b, most), min(most, slipsOf(a, b)); got != want {
					t.Fatalf("%q and %q, at most %d: %d, want %d", string(a), string(b), most, got, want)
				}
			}
		}
	}
}

// slipsOf is slips as it is defined.
func slipsOf(a, b []rune) int {
	if len(a) == 0 || len(b) == 0 {
		return len(a) + len(b)
	}
	cost := 1
	if a[0] == b[0] {
		cost = 0
	}
	n := min(slipsOf(a[1:], b[1:])+cost, slipsOf(a[1:], b)+1, slipsOf(a, b[1:])+1)
	if len(a) > 1 && len(b) > 1 && a[0] == b[1] && a[1] == b[0] {
		n = min(n, slipsOf(a[2:], b[2:])+1)
	}
	return n
}
