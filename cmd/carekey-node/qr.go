package main

import (
	"errors"
	"os"
	"strings"

	"rsc.io/qr"
)

// qrText draws a QR code with half blocks, two modules to a character cell, black
// on white whatever the terminal's colours are, with the quiet zone of four modules
// that readers want. It takes so many columns.
func qrText(text string) (drawn string, columns int, err error) {
	code, err := qrCode(text)
	if err != nil {
		return "", 0, err
	}
	halves := map[[2]bool]string{{true, true}: "█", {true, false}: "▀", {false, true}: "▄", {false, false}: " "}
	const quiet = 4
	black := func(x, y int) bool { return code.Black(x-quiet, y-quiet) } // outside: white
	size := code.Size + 2*quiet
	var b strings.Builder
	for y := 0; y < size; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := range size {
			b.WriteString(halves[[2]bool{black(x, y), black(x, y+1)}])
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String(), size, nil
}

// qrCode encodes capitals, which take fewer bits: an invitation reads the same in them.
func qrCode(text string) (*qr.Code, error) { return qr.Encode(strings.ToUpper(text), qr.L) }

// writePNG writes a QR code as an image into a new file that only its owner can read.
func writePNG(path, text string) error {
	code, err := qrCode(text)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(code.PNG())
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
