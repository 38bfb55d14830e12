package agent

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/carekey/carekey/crypto/codec"
	"golang.org/x/sys/unix"
)

// apart runs f on a thread of its own, which ends with it: what it changes of the thread is
// of nothing else.
func apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// Threat: another user comes to the socket, as when its folder was opened by mistake. He
// is not served, whatever the modes are.
func TestAgentServesNobodyElse(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	r := begun(t, newPlace(t))
	for dir := filepath.Dir(r.socket); len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(r.socket, 0o666); err != nil {
		t.Fatal(err)
	}
	for uid, served := range map[int]bool{0: true, 12345: false} {
		apart(func() {
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
				t.Error(errno)
				return
			}
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err == nil {
				defer unix.Close(fd)
				err = unix.Connect(fd, &unix.SockaddrUnix{Name: r.socket})
			}
			if err != nil {
				t.Error(err)
				return
			}
			o := opening{version, r.wallet}
			unix.Write(fd, codec.Append(nil, o.fields)) // it may have hung up
			n, err := unix.Read(fd, make([]byte, greetingSize))
			if served == (n > 0) {
				return
			}
			t.Errorf("user %d: %d bytes, %v", uid, n, err)
		})
	}
}

// Without memory that stays where it is there is no agent.
func TestNoLockedMemory(t *testing.T) {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &was); err != nil {
		t.Fatal(err)
	}
	apart(func() {
		// Root may lock as much as it likes, with this capability.
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Max: was.Max}); err != nil {
			t.Error(err)
			return
		}
		defer unix.Setrlimit(unix.RLIMIT_MEMLOCK, &was)
		_, err := receive(nil)
		wants(t, "no locked memory", err, ErrMemory)
	})
}

// A program that was built to run at any address has pages of its file that the loader wrote
// to and then made read-only: they cannot be read again.
func TestShedLeavesWhatWasWritten(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := os.Getpagesize()
	if err := f.Truncate(int64(size)); err != nil {
		t.Fatal(err)
	}
	page, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page)
	page[0] = 7
	if err := unix.Mprotect(page, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	shed()
	if page[0] != 7 {
		t.Error("what was written is gone")
	}
}
