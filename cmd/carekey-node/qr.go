package main

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"strings"

	"rsc.io/qr"
)

// qrText draws a QR code with half blocks, two modules to a character cell, black
// on white whatever the terminal's colours are, with the quiet zone of four modules
// that readers want.
func qrText(text string) (string, error) {
	code, err := qrCode(text)
	if err != nil {
		return "", err
	}
	const quiet = 4
	black := func(x, y int) bool { return code.Black(x-quiet, y-quiet) } // outside: white
	size := code.Size + 2*quiet
	var b strings.Builder
	for y := 0; y < size; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := range size {
			switch top, bottom := black(x, y), black(x, y+1); {
			case top && bottom:
				b.WriteRune('█')
			case top:
				b.WriteRune('▀')
			case bottom:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String(), nil
}

// qrCode encodes capitals, which take fewer bits: an invitation reads the same in them.
func qrCode(text string) (*qr.Code, error) { return qr.Encode(strings.ToUpper(text), qr.L) }

// writePNG writes a QR code as an image, 8 pixels to a module, into a new file that
// only its owner can read.
func writePNG(path, text string) error {
	code, err := qrCode(text)
	if err != nil {
		return err
	}
	const scale, quiet = 8, 4
	size := (code.Size + 2*quiet) * scale
	drawn := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{color.White, color.Black})
	for y := range size {
		for x := range size {
			if code.Black(x/scale-quiet, y/scale-quiet) {
				drawn.SetColorIndex(x, y, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, drawn); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// qrWidth is how many columns a code takes.
func qrWidth(code string) int {
	line, _, _ := strings.Cut(code, "\n")
	line = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[30;107m"), "\x1b[0m")
	return len([]rune(line))
}
