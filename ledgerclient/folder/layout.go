package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/carekey/carekey/ledgerclient/disk"
)

// Every name that carekey gives inside a ledger's folder, as a path with slashes. A
// name that is not of this layout is nobody's: what a NAS, a file manager or a
// synchronisation leaves in a folder is passed over wherever a folder is listed, and is
// never removed. (A node keeps node.json, tls, signed and withdrawn beside its ledger.)
var (
	layoutFolders = layout(
		`keys`, `tls`,
		`payloads|contents|uploads`,
		`keeper(/(shares|filings|links))?`,
	)
	layoutFiles = layout(
		`format|genesis|leaves|lock|unfinished|checkpoint(\.room)?(\.new)?`,
		`keys/(node|replica)\.ed25519(\.new)?|keys/(node|keeper)\.k256(\.new)?`,
		`(payloads|keeper/(filings|links))/{number}(\.new)?`,
		`contents/{id}\.{part}`,
		`uploads/{random}`,
		`keeper/shares/{end}(\.new)?`,
		`node(\.json)?\.lock|node\.json|signed(\.new)?|withdrawn(\.new|\.lock)?|(tls/)?\.new-[0-9a-f]{12}|tls/[^/]+\.pem`,
	)
)

func layout(paths ...string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(` + strings.NewReplacer(
			`{id}`, `[0-9a-f]{64}`, // of an entry
			`{random}`, `[0-9a-f]{24}`,
			`{number}`, `[0-9]{10}`,
			`{end}`, `(0|[1-9][0-9]{0,9})`, // of a window, in hours
			`{part}`, `(metadata|content|terms|envelope|access)`,
		).Replace(strings.Join(paths, "|")) + `)$`)
	})
}

func ofLayout(rel string) bool {
	return layoutFiles().MatchString(rel) || layoutFolders().MatchString(rel)
}

// relativeTo is a path inside the ledger's folder, with slashes.
func relativeTo(top, path string) string {
	if r, err := filepath.Rel(top, path); err == nil {
		return filepath.ToSlash(r)
	}
	return filepath.Base(path)
}

// openIn opens a file of the ledger in top for reading. What is no regular file, or
// lies behind a link inside the ledger, is a *DamagedError.
func openIn(top, path string) (*os.File, error) {
	if err := insideOf(top, path); err != nil {
		return nil, err
	}
	f, err := disk.Open(path, os.O_RDONLY, 0)
	return f, damagedKind(top, err)
}

// readIn is openIn for a file of at most most bytes, which are returned.
func readIn(top, path string, most int64) ([]byte, error) {
	if err := insideOf(top, path); err != nil {
		return nil, err
	}
	b, err := disk.ReadFile(path, most)
	return b, damagedKind(top, err)
}

// readDirIn lists what carekey has written into a folder of the ledger; nothing if
// there is none.
func readDirIn(top, path string) ([]fs.DirEntry, error) {
	if err := insideOf(top, path); err != nil {
		return nil, err
	}
	all, err := disk.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, damagedKind(top, err)
	}
	in := relativeTo(top, path) + "/"
	own := all[:0]
	for _, e := range all {
		if ofLayout(in + e.Name()) {
			own = append(own, e)
		}
	}
	return own, nil
}

// insideOf returns a *DamagedError if a path leads through a link or a file inside
// of top: a ledger is moved to another disk as a whole.
func insideOf(top, path string) error {
	dir := filepath.Dir(path)
	if len(dir) <= len(filepath.Clean(top)) {
		return nil
	}
	if err := insideOf(top, dir); err != nil {
		return err
	}
	if err := disk.IsDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return damagedKind(top, err)
	}
	return nil
}

// damagedKind names what has the name of a file or folder of the ledger and is none.
func damagedKind(top string, err error) error {
	var other *disk.KindError
	if errors.As(err, &other) {
		return damagedFile(relativeTo(top, other.Path), "it is "+other.Is)
	}
	return err
}

// Strangers looks through the ledger's folder without opening a file. strange are the
// paths, with slashes, that carekey never writes: they are passed over, and nobody
// looks below them. damaged are those that carekey writes, but not as what they are:
// a link, a pipe, a folder in the place of a file.
func (l *log) Strangers() (strange []string, damaged []*DamagedError, err error) {
	strange, others, err := disk.Strangers(l.dir, layoutFiles(), layoutFolders())
	for _, o := range others {
		damaged = append(damaged, damagedFile(o.Path, "it is "+o.Is))
	}
	return strange, damaged, err
}
