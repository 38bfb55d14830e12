package server

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/folder"
)

// signedFile is the largest head that a node has ever signed, with the latest time, in its
// own note. It is written before the signature leaves. The log itself does not remember that: where
// the order is kept elsewhere it is derived, and may be derived anew. It is in no backup: one of
// before says less than was signed. Where it is missing others say it, see cosigner.heard.
type signedFile struct{ path string }

func newSignedFile(dir string) signedFile { return signedFile{filepath.Join(dir, "signed")} }

func (f signedFile) damaged(what string) error {
	return &folder.DamagedError{File: filepath.Base(f.path), Entry: folder.NoEntry, What: what}
}

// read returns the head; one of size 0 if the node has signed none.
func (f signedFile) read(c *cosigner) (head ledgerclient.Head, err error) {
	raw, err := disk.ReadFile(f.path, ledgerclient.MaxNote)
	if errors.Is(err, fs.ErrNotExist) {
		return head, nil
	}
	if err != nil {
		return head, err
	}
	s, err := ledgerclient.OpenNote(c.id, c.config.Nodes[c.me:c.me+1], raw)
	if err != nil || !s.By[0].Plain || s.By[0].Time.IsZero() {
		return head, f.damaged("not what was written")
	}
	s.Head.Time = s.By[0].Time
	return s.Head, nil
}

// write makes a note the one that read finds, durably.
func (f signedFile) write(raw []byte) error { return replaceFile(f.path, raw) }
