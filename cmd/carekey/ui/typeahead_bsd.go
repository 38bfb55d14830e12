//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package ui

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropTypedAhead forgets what was typed before now. Where that cannot be done a
// question is asked all the same.
func dropTypedAhead(in *os.File) {
	const reading = 1 // FREAD of sys/fcntl.h
	unix.IoctlSetPointerInt(int(in.Fd()), unix.TIOCFLUSH, reading)
}

const getTermios, setTermios = unix.TIOCGETA, unix.TIOCSETA

// stopping are the keys that stop a program or make it dump itself, and noKey is none.
var stopping = []int{unix.VSUSP, unix.VDSUSP, unix.VQUIT}

const noKey = 0xff
