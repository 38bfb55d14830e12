package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Only what says that a folder cannot be synced, or a mode not be kept, is passed over:
// a disk that fails or is full is an error.
func TestPassedOver(t *testing.T) {
	for _, c := range []struct {
		err        syscall.Errno
		sync, keep bool
	}{
		{syscall.EINVAL, true, true}, {syscall.ENOTSUP, true, true}, {syscall.ENOSYS, true, true},
		{syscall.ENOENT, true, false}, {syscall.EBADF, true, false}, {syscall.EPERM, false, true},
		{syscall.EIO, false, false}, {syscall.ENOSPC, false, false}, {syscall.EROFS, false, false}, {syscall.EACCES, false, false},
	} {
		err := &fs.PathError{Op: "sync", Path: "d", Err: c.err}
		if cannotSync(err) != c.sync {
			t.Errorf("sync: %v", err)
		}
		if (unlessUnkept(err) == nil) != c.keep {
			t.Errorf("mode: %v", err)
		}
	}
	if unlessUnkept(nil) != nil || cannotSync(errors.New("x")) {
		t.Error("neither")
	}
	if err := SyncDir(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := SyncDir(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that does not exist was synced")
	}
}

// A file is read up to the size that it may have, and nothing else is.
func TestReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	var other *KindError
	for most, ok := range map[int64]bool{0: false, 99: false, 100: true, 1 << 40: true} {
		if b, err := ReadFile(path, most); (err == nil) != ok || ok && len(b) != 100 || !ok && !errors.As(err, &other) {
			t.Errorf("%d of 100 bytes: %d %v", most, len(b), err)
		}
	}
	if _, err := ReadFile(filepath.Dir(path), 1); !errors.As(err, &other) || other.Is != "a folder" {
		t.Errorf("a folder: %v", err)
	}
	if _, err := ReadFile(path+"x", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := IsDir(path); !errors.As(err, &other) || other.Is != "a file" {
		t.Errorf("a file as a folder: %v", err)
	}
	if _, err := ReadDir(path); !errors.As(err, &other) {
		t.Errorf("a file as a folder: %v", err)
	}
	if err := os.Symlink(path, path+".link"); err != nil {
		t.Skip("this system makes no links for everybody")
	}
	if err := os.Symlink(filepath.Dir(path), path+".dir"); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []int{os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_CREATE} {
		if _, err := Open(path+".link", flag, 0o600); !errors.As(err, &other) || other.Is != "a link" {
			t.Errorf("a link, opened with %#x: %v", flag, err)
		}
	}
	if _, err := ReadDir(path + ".dir"); !errors.As(err, &other) || other.Is != "a link" {
		t.Errorf("a link to a folder: %v", err)
	}
	if all, err := ReadDir(path + ".dir" + string(filepath.Separator)); err != nil || len(all) != 3 {
		t.Errorf("what a link leads to: %v %v", all, err)
	}
}

// A folder with nothing in it but what systems leave there is as good as empty; one with
// anything else is somebody's.
func TestVacant(t *testing.T) {
	if ok, err := Vacant(filepath.Join(t.TempDir(), "none")); !ok || err != nil {
		t.Errorf("no folder: %v %v", ok, err)
	}
	for name, vacant := range map[string]bool{
		".DS_Store": true, ".new-0123456789ab": true, "@eaDir": true, "#recycle": true, "$RECYCLE.BIN": true, "Desktop.ini": true,
		"Thumbs.db": true, "lost+found": true, "System Volume Information": true,
		"thesis.txt": false, "wallet": false, "desktop.ini.txt": false, "é": false, "a": false,
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if ok, err := Vacant(dir); ok != vacant || err != nil {
			t.Errorf("%q: %v %v", name, ok, err)
		}
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if ok, err := Vacant(path); ok || err == nil {
		t.Errorf("a file: %v %v", ok, err)
	}
}
