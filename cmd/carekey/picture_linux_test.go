package main

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/carekey/carekey/crypto/lane"
)

// pictured is what the picture of the README shows, after what made it possible.
const (
	picturedBefore = `set -e
carekey init --name Maria --ledger "$INVITATION"; somebody clinic "Dr Smith"; met clinic "Dr Smith"; carekey contact verify "Dr Smith"
carekey record add "$FHIR/parts.json"; somebody lab "City lab"; met lab "City lab"; carekey grant --to "City lab" --category labs --for 90d`
	picturedLines = `carekey grant --to "Dr Smith" --role nurse --for 7d --yes > code
as clinic fetch "$(cat code)" --reason check-up -o records --quiet > /dev/null # elsewhere
carekey audit --quiet`
)

// The picture in the README is what a terminal of 80 columns shows in a real run.
func TestReadmePicture(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	s := newShown(t)
	if code, out := s.sh(picturedBefore); code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	var lines []string
	for line := range strings.Lines(picturedLines) {
		line, elsewhere := strings.CutSuffix(strings.TrimSuffix(line, "\n"), " # elsewhere")
		seat := sitAt(t, 80, 40, append(s.env, s.clock(), "TERM=xterm-256color", "PWD="+s.desk), true, "sh", "-c", "cd "+s.desk+"\n"+strings.Replace(shownPrelude, `"$@" --yes`, `"$@"`, 1)+line)
		if code := seat.end(); code != 0 {
			t.Fatalf("%s: exit %d\n%s", line, code, seat.screen)
		}
		if elsewhere {
			continue
		}
		said := regexp.MustCompile("\x1b\\[[0-9;?]*[a-zA-Z]").ReplaceAllString(strings.ReplaceAll(string(seat.screen), "\r", ""), "")
		lines = append(append(lines, "$ "+line), strings.Split(strings.Trim(said, "\n"), "\n")...)
		lines = append(lines, "")
	}
	_, said := s.sh("as clinic address")
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(line, checkWordsLine.FindString(said), "certain resource barely umbrella news online hand deputy")
	}
	got := picture(strings.Split(s.settled(strings.Join(lines, "\n")), "\n"))
	path := filepath.Join(top(), ".github", "carekey.svg")
	want, err := os.ReadFile(path)
	if string(want) != got {
		t.Errorf("the picture is not that of a run, %v:\n%s", err, strings.Join(lines, "\n"))
		if *updateShown {
			s.must(os.WriteFile(path, []byte(got), 0o644))
		}
	}
	if n := len(lines); n > 34 {
		t.Errorf("it is %d lines tall", n)
	}
}

var checkWordsLine = regexp.MustCompile(`([a-z]+ ){7}[a-z]+`)

// wordsApart are words with no more than one space between them.
var wordsApart = regexp.MustCompile(`\S+(?: \S+)*`)

// picture draws lines as a terminal: text, in colours of its own that suit a light and a
// dark page.
func picture(lines []string) string {
	const left, high, wide = 16, 18, 7.8
	lines = lines[:len(lines)-1]
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" role="img" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="13">
<title>carekey in a terminal</title>
<rect x="0.5" y="0.5" width="99.8%%" height="99.8%%" rx="8" fill="#0d1117" stroke="#57606a"/>
`, 2*left+int(80*wide), high*(len(lines)+1)+10)
	for i, line := range lines {
		colour := "#c9d1d9"
		if strings.HasPrefix(line, "$ ") {
			colour = "#7ee787"
		}
		for _, at := range wordsApart.FindAllStringIndex(line, -1) { // each where it belongs, whatever the font
			said := line[at[0]:at[1]]
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" fill="%s" textLength="%.1f">%s</text>`+"\n",
				left+wide*float64(utf8.RuneCountInString(line[:at[0]])), high*(i+1)+8, colour, wide*float64(utf8.RuneCountInString(said)), html.EscapeString(said))
		}
	}
	return b.String() + "</svg>\n"
}
