package main

import (
	"strings"

	"rsc.io/qr"
)

// qrText draws a QR code with half blocks, two modules to a character cell, black
// on white whatever the terminal's colours are, with the quiet zone of four modules
// that readers want. Capitals are encoded in fewer bits, and an invitation reads the
// same in them.
func qrText(text string) (string, error) {
	code, err := qr.Encode(strings.ToUpper(text), qr.L)
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

// qrWidth is how many columns a code takes.
func qrWidth(code string) int {
	line, _, _ := strings.Cut(code, "\n")
	line = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[30;107m"), "\x1b[0m")
	return len([]rune(line))
}
