package outbox

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/home"
)

// The file of a batch is sealed under its name. What is sealed is
//
//	version 1 ‖ length 4 ‖ the batch as JSON ‖ of each change the effect and the blobs
//
// with sizes of these in the JSON; the length is big-endian.

const version = 2

type fileBatch struct {
	Told    bool         `json:"told,omitempty"`
	Tag     string       `json:"tag,omitempty"`
	Changes []fileChange `json:"changes"`
}

type fileChange struct {
	Label   string    `json:"label"`
	Entry   []byte    `json:"entry"`
	Package []byte    `json:"package,omitempty"`
	Content []byte    `json:"content,omitempty"`
	Effect  int       `json:"effect,omitempty"` // bytes
	Puts    []filePut `json:"puts,omitempty"`
}

type filePut struct {
	Part     ledgerclient.Part `json:"part"`
	Locators [][]byte          `json:"locators"`
	Blob     int               `json:"blob"` // bytes
}

func (b *Batch) marshal() ([]byte, error) {
	f := fileBatch{Told: b.told, Tag: b.Tag, Changes: make([]fileChange, len(b.Changes))}
	size := 0
	for i, c := range b.Changes {
		raw := c.Entry.Marshal()
		x := fileChange{Label: c.Label, Entry: raw[:], Package: c.Package, Effect: len(c.Effect)}
		if c.Content != (crypto.Locator{}) {
			x.Content = c.Content[:]
		}
		size += len(c.Effect)
		for _, p := range c.Puts {
			y := filePut{Part: p.Part, Blob: len(p.Blob)}
			for j := range p.Locators {
				y.Locators = append(y.Locators, p.Locators[j][:])
			}
			x.Puts = append(x.Puts, y)
			size += len(p.Blob)
		}
		f.Changes[i] = x
	}
	head, err := json.Marshal(&f)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, 5+len(head)+size)
	out = binary.BigEndian.AppendUint32(append(out, version), uint32(len(head)))
	out = append(out, head...)
	for _, c := range b.Changes {
		out = append(out, c.Effect...)
		for _, p := range c.Puts {
			out = append(out, p.Blob...)
		}
	}
	return out, nil
}

var errFile = errors.New("not what was written")

// parse reads what marshal made; rest is what of it has not been read yet.
func parse(ledger crypto.LedgerID, rest []byte) (*Batch, error) {
	cut := func(n int) ([]byte, bool) {
		if n < 0 || n > len(rest) {
			return nil, false
		}
		b := rest[:n:n]
		rest = rest[n:]
		return b, true
	}
	size, ok := cut(4)
	if !ok {
		return nil, errFile
	}
	head, ok := cut(int(binary.BigEndian.Uint32(size)))
	var f fileBatch
	if !ok || json.Unmarshal(head, &f) != nil || len(f.Changes) == 0 {
		return nil, errFile
	}
	b := &Batch{told: f.Told, Tag: f.Tag}
	for _, x := range f.Changes {
		entry, err := contract.ParseEntry(x.Entry)
		if err != nil {
			return nil, err
		}
		c := New(ledger, x.Label, entry)
		c.Package = x.Package
		if x.Content != nil && !locate(&c.Content, x.Content) {
			return nil, errFile
		}
		if c.Effect, ok = cut(x.Effect); !ok {
			return nil, errFile
		}
		for _, y := range x.Puts {
			p := Put{Part: y.Part, Locators: make([]crypto.Locator, len(y.Locators))}
			for j := range y.Locators {
				if !locate(&p.Locators[j], y.Locators[j]) {
					return nil, errFile
				}
			}
			if p.Blob, ok = cut(y.Blob); !ok {
				return nil, errFile
			}
			c.Puts = append(c.Puts, p)
		}
		b.Changes = append(b.Changes, c)
	}
	if len(rest) > 0 {
		return nil, errFile
	}
	return b, nil
}

func locate(l *crypto.Locator, b []byte) bool { return copy(l[:], b) == len(l) && len(b) == len(l) }

// file is where a batch's file is in the home.
func (o *Outbox) file(name string) string { return o.Home.In(filepath.Join(home.JournalDir, name)) }

// write writes a batch down, durably.
func (o *Outbox) write(b *Batch) error {
	plain, err := b.marshal()
	if err != nil {
		return err
	}
	file := o.file(b.name)
	return o.Home.Write(file, o.Home.Key.Seal(filepath.ToSlash(file), plain))
}

// rewrite writes a batch anew that changed on its way. Revocations go on where that
// cannot be done: what is written of them has the same effect.
func (o *Outbox) rewrite(b *Batch) error {
	if b.name == "" {
		return nil
	}
	err := o.write(b)
	if err != nil && b.revokes() {
		o.Owner.Unwritten(err)
		return nil
	}
	return err
}

func (o *Outbox) read(name string) (*Batch, error) {
	file := o.file(name)
	sealed, err := o.Home.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &home.DamagedError{File: file, Err: err}
	}
	if err != nil {
		return nil, err
	}
	plain, err := o.Home.Key.Open(filepath.ToSlash(file), sealed)
	switch {
	case err != nil && inBlocks(sealed):
		return nil, &home.VersionError{What: file, Version: 1, Known: version}
	case err != nil:
		return nil, o.Home.Explain(file, err)
	case len(plain) == 0:
		return nil, &home.DamagedError{File: file, Err: errFile}
	case plain[0] != version:
		return nil, &home.VersionError{What: file, Version: int(plain[0]), Known: version}
	}
	b, err := parse(o.Client.ID(), plain[1:])
	if err != nil {
		return nil, &home.DamagedError{File: file, Err: err}
	}
	b.name = name
	return b, nil
}

// inBlocks recognises files of version 1: a row of blocks, each sealed behind its length.
func inBlocks(sealed []byte) bool {
	blocks := 0
	for ; len(sealed) > 4; blocks++ {
		n := uint64(binary.BigEndian.Uint32(sealed))
		if n > uint64(len(sealed)-4) {
			return false
		}
		sealed = sealed[4+n:]
	}
	return blocks > 0 && len(sealed) == 0
}

// remove takes a batch's file away, if it has one.
func (o *Outbox) remove(b *Batch) error {
	if b.name == "" {
		return nil
	}
	return os.Remove(o.Home.Path(o.file(b.name)))
}

func (o *Outbox) syncDir() error { return disk.SyncDir(o.Home.Path(o.file(""))) }

// newName is the name of a new file: behind all others, whatever the clock says.
func (o *Outbox) newName() string {
	at := uint64(o.Now().UnixNano())
	if n := len(o.waiting); n > 0 {
		before, _, _ := strings.Cut(o.waiting[n-1].name, "-")
		if last, err := strconv.ParseUint(before, 16, 64); err == nil {
			at = max(at, last+1)
		}
	}
	var r [8]byte
	rand.Read(r[:])
	return fmt.Sprintf("%016x-%s", at, hex.EncodeToString(r[:]))
}

// IsFile reports whether a name is one that a batch's file has.
func IsFile(name string) bool {
	at, random, _ := strings.Cut(name, "-")
	isHex := func(s string) bool { return len(s) == 16 && strings.Trim(s, "0123456789abcdef") == "" }
	return isHex(at) && isHex(random)
}

// names returns the names of the files, oldest first. The folder is made if it is missing.
func (o *Outbox) names() ([]string, error) {
	dir := o.Home.Path(o.file(""))
	entries, err := disk.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, os.Mkdir(dir, 0o700)
	}
	var names []string
	for _, e := range entries { // in the order of names
		if IsFile(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, err
}
