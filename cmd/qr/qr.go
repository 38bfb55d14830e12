// Package qr draws QR codes, on a terminal and as pictures, and reads them from pictures.
// What begins with carekey reads the same in capitals, which take fewer bits: it is written
// in them. Anything else, such as a link, is written as it is.
package qr

import (
	"strings"

	rsc "rsc.io/qr"
)

// quiet is the white edge that readers want, in modules.
const quiet = 4

// Text draws a code with half blocks, two modules to a character cell, black on white
// whatever the terminal's colours are. It takes so many columns and lines.
func Text(text string) (drawn string, columns, lines int, err error) {
	code, err := encode(text)
	if err != nil {
		return "", 0, 0, err
	}
	halves := map[[2]bool]string{{true, true}: "█", {true, false}: "▀", {false, true}: "▄", {false, false}: " "}
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
	return b.String(), size, (size + 1) / 2, nil
}

// PNG returns a code as a picture, 8 pixels to a module.
func PNG(text string) ([]byte, error) {
	code, err := encode(text)
	if err != nil {
		return nil, err
	}
	return code.PNG(), nil
}

func encode(text string) (*rsc.Code, error) {
	if strings.HasPrefix(text, "carekey") {
		text = strings.ToUpper(text)
	}
	return rsc.Encode(text, rsc.L)
}
