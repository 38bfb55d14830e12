package health

import "strings"

// normalText is the form in which words are looked for: letters in lower case and digits,
// with one blank wherever something else stands, where a digit meets a letter and where a
// capital follows a small letter, and at both ends. So a word is found in a name, a
// sentence, an address and an id alike.
func normalText(s string) string {
	out := make([]byte, 0, len(s)+8)
	feed(s, func(c byte) bool { out = append(out, c); return true })
	return string(out)
}

// normalWord is a word of a table in that form: what has no star at an end must have a
// blank there.
func normalWord(s string) string {
	w := normalText(strings.Trim(s, "*"))
	if strings.HasPrefix(s, "*") {
		w = w[1:]
	}
	if strings.HasSuffix(s, "*") {
		w = w[:len(w)-1]
	}
	return w
}

// Kinds of bytes, for feed.
const (
	blank = iota
	digit
	small
	capital
)

var byteKinds = func() (k [256]byte) {
	for c := range k {
		switch {
		case '0' <= c && c <= '9':
			k[c] = digit
		case 'a' <= c && c <= 'z':
			k[c] = small
		case 'A' <= c && c <= 'Z':
			k[c] = capital
		}
	}
	return k
}()

// feed gives put the bytes of normalText(s), until it reports false.
func feed(s string, put func(c byte) bool) {
	if !put(' ') {
		return
	}
	before := byte(blank)
	for i := 0; i < len(s); i++ {
		c := s[i]
		kind := byteKinds[c]
		if kind == blank {
			if before != blank && !put(' ') {
				return
			}
			before = blank
			continue
		}
		if before != blank && ((kind == digit) != (before == digit) || kind == capital && before == small) && !put(' ') {
			return
		}
		if kind == capital {
			c += 'a' - 'A'
		}
		if before = kind; !put(c) {
			return
		}
	}
	if before != blank {
		put(' ')
	}
}

// machine finds all words of the tables in one pass (Aho and Corasick, Efficient string
// matching, 1975).
type machine struct {
	next []int32  // of state*alphabet + letter
	says []uint16 // what the words that end in a state say
}

const alphabet = 37 // a to z, 0 to 9, blank

var letters = func() (l [256]int32) {
	for c := range l {
		switch {
		case 'a' <= c && c <= 'z':
			l[c] = int32(c - 'a')
		case '0' <= c && c <= '9':
			l[c] = int32(26 + c - '0')
		default:
			l[c] = 36
		}
	}
	return l
}()

func newMachine(words []word) *machine {
	states := 1
	for _, w := range words {
		states += len(w.text)
	}
	m := &machine{next: make([]int32, alphabet, states*alphabet), says: make([]uint16, 1, states)}
	for _, w := range words {
		state := int32(0)
		for i := range len(w.text) {
			at := int(state)*alphabet + int(letters[w.text[i]])
			if m.next[at] == 0 {
				m.next[at] = int32(len(m.says))
				m.next = append(m.next, make([]int32, alphabet)...)
				m.says = append(m.says, 0)
			}
			state = m.next[at]
		}
		m.says[state] |= w.says
	}
	// By the length of what was read: where a state has no next, that of the longest
	// ending of it that is a state too.
	back := make([]int32, len(m.says))
	queue := make([]int32, 0, len(m.says))
	for l := range alphabet {
		if to := m.next[l]; to != 0 {
			queue = append(queue, to)
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		state := int(queue[0])
		m.says[state] |= m.says[back[state]]
		for l := range alphabet {
			to, other := m.next[state*alphabet+l], m.next[int(back[state])*alphabet+l]
			if to == 0 {
				m.next[state*alphabet+l] = other
			} else {
				back[to] = other
				queue = append(queue, to)
			}
		}
	}
	return m
}

// find returns what the words in s say.
func (m *machine) find(s string) (says uint16) {
	state := int32(0)
	step := func(letter int32) {
		state = m.next[int(state)*alphabet+int(letter)]
		says |= m.says[state]
	}
	step(letters[' '])
	before := byte(blank)
	for i := 0; i < len(s); i++ {
		c := s[i]
		kind := byteKinds[c]
		if kind == blank {
			if before != blank {
				step(letters[' '])
			}
			before = blank
			continue
		}
		if before != blank && ((kind == digit) != (before == digit) || kind == capital && before == small) {
			step(letters[' '])
		}
		if before = kind; kind == capital {
			c += 'a' - 'A'
		}
		step(letters[c])
	}
	if before != blank {
		step(letters[' '])
	}
	return says
}
