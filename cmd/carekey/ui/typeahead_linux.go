package ui

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropTypedAhead forgets what was typed before now. Where that cannot be done a
// question is asked all the same.
func dropTypedAhead(in *os.File) { unix.IoctlSetInt(int(in.Fd()), unix.TCFLSH, unix.TCIFLUSH) }

const getTermios, setTermios = unix.TCGETS, unix.TCSETS

// stopping are the keys that stop a program or make it dump itself, and noKey is none.
var stopping = []int{unix.VSUSP, unix.VQUIT}

const noKey = 0
