package folder

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// ground is what the store and the keeper's vault stand on: the folder, its lock
// and its log.
type ground struct {
	dir    string
	ops    fileOps
	modes  modes
	ledger crypto.LedgerID
	hour   func() contract.Hour // this machine's clock
	// eraseDue tells whether a record withdrawn at that ledger hour is to be erased.
	eraseDue func(contract.Hour) bool
	lock     *log
	shares   *shareFiles
	payloads *segments
	filings  *segments
	links    *segments

	checked checkedEntries
	unkept  unkept
	stages  atomic.Uint32 // hour in which uploads were last looked at

	regained atomic.Bool // no file lacks its record, see regain
}

// newGround completes a ground.
func newGround(g *ground) *ground {
	g.shares = &shareFiles{g: g, of: map[contract.Hour]*shareFile{}}
	g.payloads = &segments{g: g, elem: []string{"payloads"}, full: segmentSize, least: segmentSize / 16}
	g.filings = &segments{g: g, elem: []string{"keeper", "filings"}, full: segmentSize, room: filingsRoom}
	g.links = &segments{g: g, elem: []string{"keeper", "links"}, full: segmentSize, least: segmentSize / 16}
	return g
}

// path is a path inside the folder.
func (g *ground) path(elem ...string) string {
	return filepath.Join(append([]string{g.dir}, elem...)...)
}

// relative names a file in errors.
func (g *ground) relative(path string) string {
	return relativeTo(g.dir, path)
}

func (g *ground) damaged(path, what string) error {
	return damagedFile(g.relative(path), what)
}

// mkdirs makes a folder inside the ledger's folder and those above it. Names that
// it made are durable.
func (g *ground) mkdirs(elem ...string) error {
	for i := range elem {
		dir := g.path(elem[:i+1]...)
		if err := disk.IsDir(dir); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		mode := g.modes.dir
		if elem[0] == "keeper" {
			mode = g.modes.keyDir // shares are keys
		}
		if err := g.ops.mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := g.ops.syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// fullHour is this hour's beginning. Files of the store and the keeper show no
// finer time, since the log shows none either. (What a file system keeps beyond
// the time of last change, like that of the last change of the file's status,
// cannot be set.)
func (g *ground) fullHour() time.Time { return time.Unix(int64(g.hour())*3600, 0) }

// modeOf are the permissions of a file at a path: the keeper's are not for everybody.
func (g *ground) modeOf(path string) fs.FileMode {
	if strings.HasPrefix(g.relative(path), "keeper/") {
		return g.modes.key
	}
	return g.modes.file
}

func (g *ground) removeOne(path string) error                  { return removeOne(g.ops, path) }
func (g *ground) open(path string) (*os.File, error)           { return openIn(g.dir, path) }
func (g *ground) read(path string, most int64) ([]byte, error) { return readIn(g.dir, path, most) }
func (g *ground) readDir(path string) ([]fs.DirEntry, error)   { return readDirIn(g.dir, path) }

func hexName[T ~[32]byte](h T) string { return hex.EncodeToString(h[:]) }
