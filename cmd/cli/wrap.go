package cli

import (
	"bytes"
	"cmp"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/text/width"
)

// Columns is how many columns of a terminal a text of one line takes that [Clean] let
// through: two for a wide character of East Asian text and most pictures, none for a mark
// that stands on the character before it, one for any other. It counts as terminals do
// outside of the old East Asian encodings, whatever the locale, so that output is the
// same everywhere.
func Columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case r >= 0x4e00 && r <= 0x9fff, r >= 0xac00 && r <= 0xd7a3: // ideographs and Hangul syllables, without a look into tables
		return 2
	case unicode.In(r, unicode.Mn, unicode.Me), r >= 0x1160 && r <= 0x11ff, r >= 0xd7b0 && r <= 0xd7ff: // the latter are vowels and ends of a Hangul syllable
		return 0
	case wide(r):
		return 2
	}
	return 1
}

func wide(r rune) bool {
	if r < 0x1100 {
		return false
	}
	k := width.LookupRune(r).Kind()
	return k == width.EastAsianWide || k == width.EastAsianFullwidth
}

// MaxProse is how wide prose is at most, in columns: longer lines are hard to read.
const MaxProse = 100

// Prose is the width for prose that is written to w: that of the terminal, but at most
// MaxProse; 0 if w is none.
func Prose(w io.Writer) int {
	f, _ := w.(*os.File)
	return min(Width(f), MaxProse)
}

// Wrap breaks text of any number of lines so that a line has at most so many columns; with
// 0 it is returned as it is. It breaks at spaces, and between the characters of Chinese and
// Japanese. Never broken are words, which codes, ids and paths are, what stands between
// quotation marks of a shell, and commands of our programs, so that they can be pasted:
// what does not fit into a line stands on one of its own, and goes over its end if it must.
//
// What is broken goes on below its own beginning: behind error:, hint: and the like, in the
// second column of two, or else as far in as the line.
func Wrap(text string, columns int) string {
	if columns <= 0 || Columns(text) <= columns && !strings.Contains(text, "\n") {
		return text
	}
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		wrapLine(&b, line, columns)
	}
	return b.String()
}

// wrapLine is Wrap for one line.
func wrapLine(b *strings.Builder, line string, columns int) {
	if Columns(line) <= columns {
		b.WriteString(line)
		return
	}
	below := hang(line, columns)
	at := 0 // columns of the line so far
	for i, p := range chunks(line) {
		spaces, n := p.spaces, Columns(p.text)
		if i > 0 && at+spaces+n > columns {
			b.WriteByte('\n')
			at, spaces = 0, max(0, min(below, columns-n))
		}
		b.WriteString(strings.Repeat(" ", spaces))
		b.WriteString(p.text)
		at += spaces + n
	}
}

// hang is how far in a line goes on that is broken: behind its label, or below the last of
// what stands in columns, two spaces or more apart, if that leaves enough of the line.
func hang(line string, columns int) int {
	in, most := indent(line), columns*3/5
	if word, rest, ok := strings.Cut(line[in:], " "); ok && label(word) {
		if n := in + len(word) + 1 + indent(rest); n <= most {
			return n
		}
		return min(in, columns/2)
	}
	below := 0
	for at := in; ; {
		gap := strings.Index(line[at:], "  ")
		if gap < 0 {
			break
		}
		at += gap
		at += indent(line[at:])
		if n := Columns(line[:at]); at < len(line) && n <= most {
			below = n
		}
	}
	return cmp.Or(below, min(in, columns/2))
}

// label reports whether a line goes on behind its first word.
func label(word string) bool {
	switch word {
	case "error:", "hint:", "warning:", "Next:", "-":
		return true
	}
	n, ok := strings.CutSuffix(word, ".")
	return ok && n != "" && strings.Trim(n, "0123456789") == ""
}

// chunk is what is not broken, and the spaces before it.
type chunk struct {
	spaces int
	text   string
}

// chunks takes a line apart.
func chunks(line string) []chunk {
	var out []chunk
	for line != "" {
		rest := strings.TrimLeft(line, " ")
		p := chunk{spaces: len(line) - len(rest)}
		n := chunkLen(rest)
		p.text, line = rest[:n], rest[n:]
		out = append(out, p)
	}
	return out
}

// chunkLen is the length in bytes of what a text begins with that is not broken.
func chunkLen(s string) int {
	n := wordLen(s)
	if name := strings.TrimLeft(s[:n], "(\"`"); name != "carekey" && name != "carekey-node" && name != "$" {
		return n
	}
	return commandLen(s, n)
}

// argument is a word that is one of a command's, and of no sentence.
var argument = Pattern(`^(?:[A-Z]{2}|'|\S*[0-9@/=])`)

// commandLen is chunkLen of a command, whose name has n bytes. Its verbs are the first words,
// and then come flags and values; a stop too late does no harm. A line that says how a
// command goes, with brackets, is none to be pasted.
func commandLen(s string, n int) int {
	name, value := n, false // a value may follow, of the flag before
	for verbs := 0; n < len(s) && s[n] == ' ' && !strings.HasPrefix(s[n:], "  ") && !strings.ContainsRune(".,;:)", rune(s[n-1])); {
		k := wordLen(s[n+1:])
		word := s[n+1 : n+1+k]
		switch {
		case strings.ContainsAny(word, "[]|") || strings.HasPrefix(word, "("):
			return name
		case strings.HasPrefix(word, "-"):
			verbs, value = 2, true
		case value || argument().MatchString(word):
			verbs, value = 2, false
		default:
			if verbs++; verbs > 2 {
				return n
			}
		}
		n += 1 + k
	}
	return n
}

// wordLen is the length in bytes of the word that a text begins with: up to a space, or a
// place between wide characters. Within single quotation marks spaces are part of it.
func wordLen(s string) int {
	n := 0
	for n < len(s) && s[n] != ' ' {
		if s[n] == '\'' && (n == 0 || strings.ContainsRune("(=@", rune(s[n-1]))) {
			if end := strings.IndexByte(s[n+1:], '\''); end > 0 && closes(s[n+end+2:]) {
				n += end + 2
				continue
			}
		}
		r, size := utf8.DecodeRuneInString(s[n:])
		n += size
		if next, _ := utf8.DecodeRuneInString(s[n:]); wide(r) && wide(next) {
			break
		}
	}
	return n
}

// closes reports whether what follows a quotation mark lets it be a closing one.
func closes(rest string) bool {
	return rest == "" || strings.ContainsRune(" .,;:)'\\", rune(rest[0]))
}

// wrappedHelp prints a help as wide as it reads well. What stands in lines of some 80 columns
// becomes a paragraph again before.
func wrappedHelp(help func(*cobra.Command, []string)) func(*cobra.Command, []string) {
	return func(cmd *cobra.Command, args []string) {
		out := cmd.OutOrStdout()
		columns := Prose(out)
		if columns == 0 {
			help(cmd, args)
			return
		}
		var text bytes.Buffer
		cmd.SetOut(&text)
		help(cmd, args)
		cmd.SetOut(out)
		io.WriteString(out, Wrap(paragraphs(text.String()), columns))
	}
}

// paragraphs joins the lines of one, which begin alike and of which the first is nearly as
// wide as the source. Lines of two columns, and commands to be pasted, are none.
func paragraphs(text string) string {
	var b strings.Builder
	before := ""
	for i, line := range strings.Split(text, "\n") {
		in := indent(line)
		switch {
		case i == 0:
		case len(before) >= 60 && in == indent(before) && prose(before) && prose(line):
			b.WriteByte(' ')
			line = line[in:]
		default:
			b.WriteByte('\n')
		}
		b.WriteString(line)
		if before = line; in > 0 && !strings.HasPrefix(line, " ") {
			before = strings.Repeat(" ", in) + line
		}
	}
	return b.String()
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// prose reports whether a line is one of a paragraph. A command to be pasted stands further
// in than what is said of it, and a sentence may begin with carekey.
func prose(line string) bool {
	text := strings.TrimLeft(line, " ")
	return text != "" && !strings.Contains(text, "  ") && (text == line || !strings.HasPrefix(text, "carekey")) && !strings.HasPrefix(text, "$ ")
}
