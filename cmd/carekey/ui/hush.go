package ui

import (
	"os"
	"sync/atomic"
)

// hushed is what ends the Hush that is; nil if none is.
var hushed atomic.Pointer[func()]

// Hush keeps what is typed from being shown between questions and before a screen is there: a
// passphrase may be typed too early. What was typed until the function that it returns is
// called is dropped; lines that are read meanwhile are not shown either. It may be called more
// than once. Where it cannot be done all goes on as it is.
func Hush(in *os.File) (end func()) {
	restore := echoOff(in)
	if restore == nil {
		return func() {}
	}
	hushed.Store(&restore)
	return func() {
		if hushed.CompareAndSwap(&restore, nil) {
			if !plain() { // lines may be answers
				dropTypedAhead(in)
			}
			restore()
		}
	}
}
