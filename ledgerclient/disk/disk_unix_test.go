//go:build unix

package disk

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Nobody waits for a pipe, whoever opens it for what.
func TestPipes(t *testing.T) {
	dir, err := os.MkdirTemp("", "disk") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pipe, socket := filepath.Join(dir, "p"), filepath.Join(dir, "s")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var other *KindError
	for path, is := range map[string]string{pipe: "a pipe", socket: "no file"} {
		for _, flag := range []int{os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE} {
			if _, err := Open(path, flag, 0o600); !errors.As(err, &other) || other.Is != is {
				t.Errorf("%s, opened with %#x: %v", path, flag, err)
			}
		}
		if _, err := ReadFile(path, 1); !errors.As(err, &other) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := ReadDir(path); !errors.As(err, &other) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := OpenDir(path); err == nil {
			t.Errorf("%s was opened as a folder", path)
		}
	}
}
