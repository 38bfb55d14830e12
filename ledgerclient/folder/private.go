package folder

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/carekey/carekey/crypto"
)

// private keeps what follows from a ledger's files, but takes time to derive, in a folder
// that this user alone can write: the wallet's, or one inside a node's folder. The zero
// value keeps nothing. A file there has a name of the ledger's id and its folder, and is
//
//	kind 16 ‖ ledger id 32 ‖ number of sections 8 ‖ length of each 8 ‖ the sections ‖ SHA-256 of all of it
//
// written as a whole beside the old one, without a sync, and renamed. One that is gone,
// cut off, changed, of another ledger or another kind is as good as none. That cannot be
// written is no error.
type private struct {
	ops    fileOps
	path   string // of the files, but for their suffix; "": none
	ledger crypto.LedgerID
}

// kindSize is the size of a file's kind, which ends in its version.
const kindSize = 16

// privateIn keeps files of the ledger in the folder top in dir, which is made when it is
// first needed. Nothing is kept where others can write.
func privateIn(ops fileOps, dir, top string, ledger crypto.LedgerID) private {
	abs, err := filepath.Abs(top)
	if dir == "" || err != nil {
		return private{}
	}
	name := sha256.Sum256(append(ledger[:], abs...))
	return private{ops: ops, path: filepath.Join(dir, hex.EncodeToString(name[:16])), ledger: ledger}
}

// usable reports whether nobody else can write where the files are.
func (p private) usable() bool {
	if p.path == "" {
		return false
	}
	info, err := os.Lstat(filepath.Dir(p.path))
	return err == nil && info.IsDir() && (runtime.GOOS == "windows" || info.Mode().Perm()&0o022 == 0) && isOurs(info)
}

// save replaces a file.
func (p private) save(suffix, kind string, sections ...[]byte) {
	if p.path == "" {
		return
	}
	if dir := filepath.Dir(p.path); !p.usable() {
		if p.ops.mkdir(dir, 0o700) != nil || !p.usable() {
			return
		}
	}
	path := p.path + suffix
	tmp := path + ".new"
	if err := p.ops.remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	f, err := p.ops.open(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	sum, at := sha256.New(), int64(0)
	write := func(b []byte) {
		if err == nil {
			sum.Write(b)
			_, err = f.WriteAt(b, at)
			at += int64(len(b))
		}
	}
	write(p.head(kind, sections))
	for _, s := range sections {
		write(s)
	}
	write(sum.Sum(nil))
	if err = errors.Join(err, f.Close()); err == nil {
		err = p.ops.rename(tmp, path)
	}
	if err != nil {
		p.ops.remove(tmp)
	}
}

func (p private) head(kind string, sections [][]byte) []byte {
	b := append(make([]byte, 0, 256), kind...)
	b = append(b[:kindSize], p.ledger[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(sections)))
	for _, s := range sections {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
	}
	return b
}

// load reads a file of so many sections; nil if it is not whole, or not of that kind.
// Each section has room to grow a little.
func (p private) load(suffix, kind string, n int) [][]byte {
	if !p.usable() {
		return nil
	}
	f, err := p.ops.open(p.path+suffix, os.O_RDONLY, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	sections := make([][]byte, n)
	got := make([]byte, len(p.head(kind, sections)))
	if _, err := f.ReadAt(got, 0); err != nil {
		return nil
	}
	at, left := int64(len(got)), info.Size()-int64(len(got))-sha256.Size
	for i, b := 0, got[len(got)-8*n:]; i < n; i, b = i+1, b[8:] {
		size := binary.BigEndian.Uint64(b)
		if left < 0 || size > uint64(left) {
			return nil
		}
		left -= int64(size)
		sections[i] = make([]byte, size, size+size/32+4096)
	}
	if left != 0 || !bytes.Equal(got, p.head(kind, sections)) {
		return nil
	}
	sum := sha256.New()
	sum.Write(got)
	for _, s := range sections {
		if _, err := f.ReadAt(s, at); err != nil && err != io.EOF {
			return nil
		}
		sum.Write(s)
		at += int64(len(s))
	}
	want := make([]byte, sha256.Size)
	if _, err := f.ReadAt(want, at); err != nil && err != io.EOF || !bytes.Equal(want, sum.Sum(nil)) {
		return nil
	}
	return sections
}

// forget removes a file.
func (p private) forget(suffix string) {
	if p.usable() {
		p.ops.remove(p.path + suffix)
	}
}
