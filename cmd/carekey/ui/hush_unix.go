//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package ui

import (
	"os"

	"golang.org/x/sys/unix"
)

// echoOff turns the echo of the terminal off; nil if that cannot be done. Nor do keys stop the
// program or make it dump itself meanwhile: the shell would have a terminal without echo.
func echoOff(in *os.File) (restore func()) {
	was, err := unix.IoctlGetTermios(int(in.Fd()), getTermios)
	if err != nil {
		return nil
	}
	off := *was
	off.Lflag &^= unix.ECHO
	for _, key := range stopping {
		off.Cc[key] = noKey
	}
	if unix.IoctlSetTermios(int(in.Fd()), setTermios, &off) != nil {
		return nil
	}
	return func() { unix.IoctlSetTermios(int(in.Fd()), setTermios, was) }
}
