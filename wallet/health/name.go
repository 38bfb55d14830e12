package health

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// nameWord is a word of somebody's name, in the two forms by which it is compared: without
// accents, and with what is written for them where a keyboard has none (Jörg is Jorg or Joerg).
type nameWord struct {
	plain, long string
	script      *unicode.RangeTable // of its first letter; nil if it is none of nameScripts
}

// nameScripts are the scripts in which names are compared with names of the same script: another
// script writes the same name otherwise. In the first three one letter stands for a name that
// begins with it.
var nameScripts = []*unicode.RangeTable{unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Arabic, unicode.Hebrew, unicode.Han, unicode.Hangul,
	unicode.Hiragana, unicode.Katakana, unicode.Devanagari, unicode.Bengali, unicode.Tamil, unicode.Thai, unicode.Armenian, unicode.Georgian}

// Bounds of what is compared of one person: who has more of either has no such name.
const (
	maxSpellings = 5  // names
	maxNameWords = 10 // words of a name
)

var (
	instead  = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ø", "oe", "å", "aa")
	unbroken = strings.NewReplacer("ß", "ss", "ø", "o", "ł", "l", "đ", "d", "ð", "d", "þ", "th", "æ", "ae", "œ", "oe", "ı", "i")
)

// folded is a name in small letters and without the accents of Latin, Greek and Cyrillic. The
// marks of other scripts are letters of theirs.
func folded(s string) string {
	return unbroken.Replace(strings.Map(func(r rune) rune {
		if r >= 0x300 && r < 0x370 { // Combining Diacritical Marks
			return -1
		}
		return r
	}, norm.NFKD.String(strings.ToLower(s))))
}

func foldedLong(s string) string {
	return folded(instead.Replace(strings.ToLower(norm.NFC.String(s))))
}

// personWords are the words of names, each once. The two forms of a text have the same words: neither
// makes a letter of what is none.
func personWords(names ...string) (out []nameWord) {
	for _, name := range names {
		plain, long := strings.FieldsFunc(folded(name), notName), strings.FieldsFunc(foldedLong(name), notName)
		for i := range min(len(plain), len(long)) {
			w := nameWord{plain: plain[i], long: long[i]}
			if len(out) == maxNameWords || slices.ContainsFunc(out, func(o nameWord) bool { return o.plain == w.plain }) {
				continue
			}
			r, _ := utf8.DecodeRuneInString(w.plain)
			if at := slices.IndexFunc(nameScripts, func(t *unicode.RangeTable) bool { return unicode.Is(t, r) }); at >= 0 {
				w.script = nameScripts[at]
			}
			out = append(out, w)
		}
	}
	return out
}

func notName(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) }

// is reports whether two words may be one name, or the beginning of one and the name.
func (w nameWord) is(o nameWord) bool {
	if w.plain == o.plain || w.plain == o.long || w.long == o.plain || w.long == o.long {
		return true
	}
	if !slices.Contains(nameScripts[:3], w.script) {
		return false
	}
	return utf8.RuneCountInString(w.plain) == 1 && strings.HasPrefix(o.plain, w.plain) || utf8.RuneCountInString(o.plain) == 1 && strings.HasPrefix(w.plain, o.plain)
}

// spelling is one name of somebody: the words of given names, and all words. Of a name that
// is one text, which are given is not known.
type spelling struct{ given, all []nameWord }

func spellingOf(n tree) spelling {
	given := n.strs("given")
	return spelling{personWords(given...), personWords(append(append(slices.Clip(given), n.strs("family")...), n.str("text"))...)}
}

// against compares two names: whether there is a script that both are written in, and whether
// in each such script one has all words of the other. Family names change; so where both
// have given names, only these are compared.
func (s spelling) against(o spelling) (compared, fits bool) {
	a, b := s.given, o.given
	if len(a) == 0 || len(b) == 0 {
		a, b = s.all, o.all
	}
	fits = true
	for _, script := range nameScripts {
		x, y := written(a, script), written(b, script)
		if len(x) == 0 || len(y) == 0 {
			continue
		}
		compared = true
		fits = fits && (holdsAll(x, y) || holdsAll(y, x))
	}
	return compared, fits
}

func written(words []nameWord, script *unicode.RangeTable) (out []nameWord) {
	for _, w := range words {
		if w.script == script {
			out = append(out, w)
		}
	}
	return out
}

// holdsAll reports whether each of the words is one of these.
func holdsAll(these, words []nameWord) bool {
	return !slices.ContainsFunc(words, func(w nameWord) bool { return !slices.ContainsFunc(these, w.is) })
}

// otherNames reports whether two people are called otherwise: of their names that can be
// compared no two fit.
func otherNames(a, b []spelling) bool {
	any := false
	for _, x := range a {
		for _, y := range b {
			compared, fits := x.against(y)
			if compared && fits {
				return false
			}
			any = any || compared
		}
	}
	return any
}

// sortedWords makes one of "Maria ANNA Exámple" and "example, maria anna".
func sortedWords(name string) string {
	words := strings.FieldsFunc(folded(name), func(r rune) bool { return unicode.IsSpace(r) || r == ',' })
	slices.Sort(words)
	return strings.Join(words, " ")
}
