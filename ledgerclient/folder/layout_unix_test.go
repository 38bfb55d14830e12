//go:build unix

package folder

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"golang.org/x/sys/unix"
)

// Whoever can write a shared ledger's folder puts a pipe, a link to a private file, a
// folder or a hundred gigabytes of nothing in the place of a file, or a link in the
// place of a folder. Nothing hangs, nothing of the private file is taken in or copied,
// memory stays small, and the error names the file; what does not need it works.
func TestForeignKinds(t *testing.T) {
	lane.OneGoroutine(t)
	f, clock, p, _ := livedIn(t)
	p.must(f.Close())
	private := filepath.Join(t.TempDir(), "private")
	secret := []byte("nobody else's business")
	p.must(os.WriteFile(private, secret, 0o600))
	elsewhere := t.TempDir()
	p.must(os.WriteFile(filepath.Join(elsewhere, "mine"), secret, 0o600))

	files := slices.Sorted(maps.Keys(snapshotDir(t, f.dir)))
	seen := map[string]bool{} // one of each kind
	var names []string
	for _, name := range files {
		kind := name
		for _, id := range strings.Split(name, "/") {
			if len(id) >= 24 || id != "" && id[0] >= '0' && id[0] <= '9' {
				kind = strings.Replace(kind, id, "", 1)
			}
		}
		if !seen[kind] {
			seen[kind] = true
			names = append(names, name)
		}
	}
	for _, dir := range foldersOf(t, f.dir) {
		if dir != "." {
			names = append(names, dir)
		}
	}
	tries := 0
	// In the usual lane every kind in its turn, in the long one all of each.
	turn := []string{"folder", "link", "pipe", "sparse"}
	for n, name := range names {
		info, err := os.Stat(f.path(name))
		p.must(err)
		kinds := map[string]func(path string) error{
			"pipe":   func(path string) error { return unix.Mkfifo(path, 0o600) },
			"link":   func(path string) error { return os.Symlink(private, path) },
			"folder": func(path string) error { return os.MkdirAll(filepath.Join(path, "x"), 0o700) },
			"sparse": func(path string) error {
				b, err := os.ReadFile(f.path(name))
				if err == nil {
					err = os.WriteFile(path, b, 0o600)
				}
				if err == nil {
					err = os.Truncate(path, 100<<30)
				}
				if errors.Is(err, unix.EFBIG) {
					err = os.Truncate(path, 8<<30)
				}
				return err
			},
		}
		if info.IsDir() {
			delete(kinds, "folder")
			delete(kinds, "sparse")
			kinds["link"] = func(path string) error { return os.Symlink(elsewhere, path) }
		}
		for i, kind := range turn {
			put := kinds[kind]
			if put == nil || lane.Pick(false, (n+i)%4 != 0, true) {
				continue
			}
			tries++
			dir, dst := filepath.Join(t.TempDir(), "l"), filepath.Join(t.TempDir(), "copy")
			copyDir(t, f.dir, dir)
			path := filepath.Join(dir, filepath.FromSlash(name))
			p.must(os.RemoveAll(path))
			p.must(put(path))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f, err := open(dir, Options{Clock: clock.now}, systemFiles{})
			if err == nil {
				_, err = f.Verify(ctx, nil, nil)
				_, cerr := f.Copy(ctx, dst, nil)
				if err == nil {
					err = cerr
				}
				if perr := f.store.PutBlobs(ctx, p.grant().puts); perr != nil && !strings.HasPrefix(name, "payloads") && name != "uploads" && name != "contents" {
					t.Errorf("%s as a %s: a payload: %v", name, kind, perr)
				}
				f.Close()
			}
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 512<<20 {
				t.Errorf("%s as a %s: took %d MB", name, kind, n>>20)
			}
			var damaged *DamagedError
			own := name == "lock" || strings.HasSuffix(name, ".room") || name == "leaves" || name == "uploads"
			if err != nil && !errors.As(err, &damaged) {
				t.Errorf("%s as a %s: %v", name, kind, err)
			} else if err == nil && !own {
				t.Errorf("%s as a %s: nothing was found", name, kind)
			} else if damaged != nil && !strings.HasPrefix(damaged.File, name) && !strings.HasPrefix(name, damaged.File) {
				t.Errorf("%s as a %s: %v", name, kind, err)
			}
			if _, wrong, err := (&log{dir: dir}).Strangers(); kind != "sparse" && (len(wrong) != 1 || err != nil || wrong[0].File != name) {
				t.Errorf("%s as a %s: Strangers tells of %v %v", name, kind, wrong, err)
			}
			for _, in := range []string{dir, dst} {
				filepath.WalkDir(in, func(path string, d fs.DirEntry, err error) error {
					if err == nil && d.Type().IsRegular() {
						if info, err := d.Info(); err == nil && info.Size() < 1<<30 {
							if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, secret) {
								t.Errorf("%s as a %s: the private file was taken into %s", name, kind, path)
							}
						} else if in == dst {
							t.Errorf("%s as a %s: copied, %d bytes", name, kind, info.Size())
						}
					}
					return nil
				})
			}
			p.must(os.RemoveAll(dir))
			p.must(os.RemoveAll(dst))
			if b, err := os.ReadFile(filepath.Join(elsewhere, "mine")); err != nil || !bytes.Equal(b, secret) {
				t.Fatalf("%s as a %s: a file elsewhere is gone: %v", name, kind, err)
			}
			if there, _ := os.ReadDir(elsewhere); len(there) != 1 {
				t.Errorf("%s as a %s: written to where the link leads: %v", name, kind, there)
			}
		}
	}
	if tries < lane.Pick(60, 15, 15) {
		t.Errorf("only %d tries", tries)
	}
}
