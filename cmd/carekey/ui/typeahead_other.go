//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd && !windows

package ui

import "os"

// dropTypedAhead would forget what was typed before now; here nobody knows how.
func dropTypedAhead(*os.File) {}
