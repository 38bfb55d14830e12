//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package hardening

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// closeOnExec keeps what this process was started with, such as a descriptor that the
// passphrase is read from, from the programs that it starts: they get the three
// standard streams, and what they are given on purpose.
func closeOnExec() {
	const first = 3
	if open, err := os.ReadDir("/dev/fd"); err == nil && len(open) > first {
		for _, e := range open {
			if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
				unix.CloseOnExec(fd)
			}
		}
		return
	}
	// Without /proc, or where /dev/fd shows the first three only. No more are open than
	// were allowed.
	last := uint64(1 << 20)
	var most unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &most); err == nil {
		last = min(last, uint64(most.Max))
	}
	for fd := first; uint64(fd) < last; fd++ {
		unix.CloseOnExec(fd)
	}
}
