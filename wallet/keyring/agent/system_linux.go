package agent

import (
	"net"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/carekey/carekey/ledgerclient/disk"
	"golang.org/x/sys/unix"
)

// peer is the uid of who is at the other end.
func peer(c *net.UnixConn) (int, error) {
	var cred *unix.Ucred
	err := withDescriptor(c, func(fd int) (err error) {
		cred, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}

// The clocks that run while the machine sleeps, and that do not.
const (
	bootClock  = unix.CLOCK_BOOTTIME
	awakeClock = unix.CLOCK_MONOTONIC
)

// shed gives back what starting took. Of the program's own file that is most of what was
// ever looked at in it: it is read again where it is needed.
func shed() {
	debug.FreeOSMemory()
	maps, _ := disk.ReadFile("/proc/self/smaps", 1<<20) // without it the process is larger
	var begin, end uint64
	for line := range strings.Lines(string(maps)) {
		f := strings.Fields(line) // addresses, permissions, offset, device, inode, path; or a name and a value
		if len(f) >= 5 && strings.Contains(f[0], "-") {
			begin, end = 0, 0
			if from, to, _ := strings.Cut(f[0], "-"); len(f) >= 6 && !strings.Contains(f[1], "w") && f[4] != "0" {
				begin, _ = strconv.ParseUint(from, 16, 64)
				end, _ = strconv.ParseUint(to, 16, 64)
			}
		}
		// Pages that were written to before they became read-only, as the loader does where
		// addresses are by chance, are in no file.
		if len(f) == 3 && f[0] == "Anonymous:" && f[1] == "0" && begin < end {
			unix.Syscall(unix.SYS_MADVISE, uintptr(begin), uintptr(end-begin), unix.MADV_DONTNEED)
		}
	}
}

// undumped keeps a page out of core files.
func undumped(page []byte) error { return unix.Madvise(page, unix.MADV_DONTDUMP) }
