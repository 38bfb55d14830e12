package outbox

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/home"
)

// The file of a batch is sealed under its name. What is sealed are a byte with the
// version, and the fields of the batch.
const version = 2

// What the fields may have. A file is read only if this wallet has sealed it.
const (
	maxChanges = 1 << 20
	maxBytes   = 1 << 28
)

func (b *Batch) fields(ledger crypto.LedgerID) func(*codec.Codec) {
	return func(c *codec.Codec) {
		v := uint8(version)
		codec.Int(c, &v)
		c.Check(v == version)
		codec.Bool(c, &b.told)
		codec.Sized[uint8](c, &b.Tag, 255)
		codec.Counted[uint32](c, &b.Changes, maxChanges, func(c *codec.Codec, x **Change) {
			if c.Reading() {
				*x = new(Change)
			}
			(*x).fields(c, ledger)
		})
		c.Check(len(b.Changes) > 0)
	}
}

func (x *Change) fields(c *codec.Codec, ledger crypto.LedgerID) {
	codec.Sized[uint8](c, &x.Label, 255)
	if ledgerclient.EntryField(c, &x.Entry); c.Reading() {
		x.ID = x.Entry.ID(ledger)
	}
	codec.Sized[uint32](c, &x.Package, maxBytes)
	c.Bytes(x.Content[:])
	codec.Sized[uint32](c, &x.Effect, maxBytes)
	codec.Counted[uint8](c, &x.Puts, 255, func(c *codec.Codec, p *Put) {
		codec.Int(c, &p.Part)
		codec.Counted[uint8](c, &p.Locators, 255, func(c *codec.Codec, l *crypto.Locator) { c.Bytes(l[:]) })
		codec.Sized[uint32](c, &p.Blob, maxBytes)
	})
}

// file is where a batch's file is in the home.
func (o *Outbox) file(name string) string { return o.Home.In(filepath.Join(home.JournalDir, name)) }

// write writes a batch down, durably.
func (o *Outbox) write(b *Batch) error {
	file := o.file(b.name)
	plain := codec.Append(make([]byte, crypto.SealRoom), b.fields(crypto.LedgerID{}))
	return o.Home.Write(file, o.Home.Key.SealInPlace(filepath.ToSlash(file), plain))
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
	plain, err := o.Home.Unseal(file)
	if err != nil {
		return nil, err
	}
	if len(plain) > 0 && plain[0] != version {
		return nil, home.WrongVersion(file, int(plain[0]), version)
	}
	b := &Batch{name: name}
	if err := codec.Parse(plain, b.fields(o.Client.ID())); err != nil {
		return nil, &home.DamagedError{File: file, Err: err}
	}
	return b, nil
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
	var last uint64
	if n := len(o.waiting); n > 0 {
		fmt.Sscanf(o.waiting[n-1].name, "%16x", &last)
	}
	var r [8]byte
	rand.Read(r[:])
	return fmt.Sprintf("%016x-%x", max(uint64(o.Now().UnixNano()), last+1), r)
}

var fileName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f]{16}-[0-9a-f]{16}$`) })

// IsFile reports whether a name is one that a batch's file has.
func IsFile(name string) bool { return fileName().MatchString(name) }

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
