package main

import (
	"bytes"
	"errors"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rsc.io/qr"
)

// What is drawn is the code, module by module, inside a white edge of four.
func TestQRText(t *testing.T) {
	const text = "carekey-node1abcdefghijklmnopqrstuvwxyz234567"
	drawn, columns, err := qrText(text)
	if err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode(strings.ToUpper(text), qr.L)
	if err != nil {
		t.Fatal(err)
	}
	y := -4
	for line := range strings.Lines(drawn) {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[30;107m"), "\x1b[0m\n")
		cells := []rune(line)
		if len(cells) != code.Size+8 || len(cells) != columns {
			t.Fatalf("%d cells in a row of a code of %d", len(cells), code.Size)
		}
		for i, c := range cells {
			x := i - 4
			top, bottom := c == '█' || c == '▀', c == '█' || c == '▄'
			if top != code.Black(x, y) || bottom != code.Black(x, y+1) {
				t.Fatalf("cell at %d, %d is %q", x, y, c)
			}
		}
		y += 2
	}
	if y < code.Size+4 {
		t.Errorf("only %d rows", y)
	}
	if _, _, err := qrText(strings.Repeat("x", 5000)); err == nil {
		t.Error("a text that fits into no code")
	}
}

// The image is the code, module by module, and belongs to its owner alone.
func TestQRImage(t *testing.T) {
	const text = "carekey-node1abcdefghijklmnopqrstuvwxyz234567"
	path := filepath.Join(t.TempDir(), "code.png")
	if err := writePNG(path, text); err != nil {
		t.Fatal(err)
	}
	if err := writePNG(path, "other"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("written over: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode(strings.ToUpper(text), qr.L)
	if err != nil {
		t.Fatal(err)
	}
	if want := (code.Size + 8) * 8; drawn.Bounds().Dx() != want || drawn.Bounds().Dy() != want {
		t.Fatalf("%v, want %d", drawn.Bounds(), want)
	}
	for y := -4; y < code.Size+4; y++ {
		for x := -4; x < code.Size+4; x++ {
			r, _, _, _ := drawn.At((x+4)*8+3, (y+4)*8+3).RGBA()
			if (r == 0) != code.Black(x, y) {
				t.Fatalf("module at %d, %d is %d", x, y, r)
			}
		}
	}
}
