//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package ui

import "os"

// echoOff would turn the echo of the terminal off. On Windows there is none but of what is
// being read; elsewhere nobody knows how.
func echoOff(*os.File) (restore func()) { return nil }
