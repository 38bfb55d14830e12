package passphrase

import "testing"

func TestStrength(t *testing.T) {
	for _, c := range []struct {
		passphrase  string
		least, most float64
	}{
		{"", 0, 0},
		{"password", 1, 10},
		{"Password1!", 1, 10},
		{"p4ssw0rd", 1, 12},
		{"P4$$w0rd2024", 1, 12},
		{"12345678", 1, 10},
		{"qwertyuiop", 1, 10},
		{"aaaaaaaaaaaaaaaaaaaa", 1, 10},
		{"Maria1984", 8, 25},
		{"24121984", 5, 20},
		{"falcon", 5, 20},
		{"falcon falcon falcon falcon falcon", 5, 25},
		{"Tr0ub4dor&3", 20, 45},
		{"correct horse battery staple", 40, 60},
		{"lamp ocean velvet cricket under maple", 55, 90}, // six words by dice: 66
		{"abandon ability able about above absent absorb abstract", 60, 110},
		{"xqzvbnmkpwrt", 45, 60}, // 12 random letters: 56
		{"k7#Qz!9vLx2@", 35, 80},
		{"zß4§Ω漢字かな", 10, 80},
	} {
		got := Strength([]byte(c.passphrase))
		if got < c.least || got > c.most {
			t.Errorf("%q: %.1f bits, want %g to %g", c.passphrase, got, c.least, c.most)
		}
	}
}

// Any bytes can be a passphrase.
func FuzzStrength(f *testing.F) {
	for _, s := range []string{"", "a", "correct horse", "aaa", "1984", "p4ssw0rd", "\xff\x00", "漢字"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if got := Strength(p); got < 0 || got > 256 {
			t.Errorf("%q: %g", p, got)
		}
	})
}
