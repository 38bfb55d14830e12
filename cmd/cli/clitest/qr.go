package clitest

import (
	"bytes"
	"image"
	"image/draw"
	"image/png"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// halves is a line of a QR code on a terminal: black on white, whatever its colours are.
var halves = regexp.MustCompile(`\x1b\[30;107m([█▀▄ ]+)\x1b\[0m\r?\n`)

// Screen is a picture of the QR code that a program drew on a terminal, as a PNG. It is
// white, and has no size, where nothing was drawn.
func Screen(t testing.TB, shown string) []byte {
	t.Helper()
	const side = 4 // pixels to a module
	lines := halves.FindAllStringSubmatch(shown, -1)
	columns := 0
	for _, line := range lines {
		columns = max(columns, len([]rune(line[1])))
	}
	shot := image.NewGray(image.Rect(0, 0, max(1, side*columns), max(1, 2*side*len(lines))))
	draw.Draw(shot, shot.Rect, image.White, image.Point{}, draw.Src)
	for y, line := range lines {
		for x, c := range []rune(line[1]) {
			for half, black := range []bool{c == '█' || c == '▀', c == '█' || c == '▄'} {
				if black {
					draw.Draw(shot, image.Rect(0, 0, side, side).Add(image.Pt(side*x, side*(2*y+half))), image.Black, image.Point{}, draw.Src)
				}
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, shot); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Zbar reads the QR code in a PNG with a decoder that is not ours. It skips the test where
// there is none.
func Zbar(t testing.TB, picture []byte) string {
	t.Helper()
	zbar, err := exec.LookPath("zbarimg")
	if err != nil {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skip("no zbarimg (zbar-tools)")
	}
	read := exec.Command(zbar, "--raw", "-q", "-")
	read.Stdin = bytes.NewReader(picture)
	out, err := read.Output()
	if err != nil {
		t.Errorf("an independent decoder reads nothing: %v", err)
	}
	return strings.TrimSuffix(string(out), "\n")
}
