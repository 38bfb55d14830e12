package server

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
)

// WithdrawnFile keeps the lists of withdrawn tokens that a node has made or heard of, of each
// institution of its ledger the newest, as node.WithdrawnForm, in a file of the node's folder. A list
// is there before the node gives it out: what it has told of once it does not take back,
// whatever becomes of its settings, and it refuses a withdrawn token also when it begins
// anew and reaches nobody.
type WithdrawnFile struct {
	dir     string
	ledger  crypto.LedgerID
	members []contract.Node
}

// WithdrawnIn is the file in a node's folder. members are the nodes of the ledger, with that of
// the folder.
func WithdrawnIn(dir string, ledger crypto.LedgerID, members []contract.Node) WithdrawnFile {
	return WithdrawnFile{dir, ledger, members}
}

func (f WithdrawnFile) path(suffix string) string { return filepath.Join(f.dir, "withdrawn"+suffix) }

// Read returns the lists, in the order of the members. The error is a *folder.DamagedError if
// one is not what its institution has signed. Those of others than the members are passed over.
func (f WithdrawnFile) Read() (lists []node.Withdrawn, err error) {
	raw, err := disk.ReadFile(f.path(""), node.MaxLists)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := node.WithdrawnForm.Parse(raw)
	if err != nil {
		return nil, f.damaged()
	}
	for _, m := range f.members {
		for _, w := range all {
			if w.Giver != m.Key {
				continue
			}
			if !w.Of(f.ledger, f.members) {
				return nil, f.damaged()
			}
			lists = append(lists, w)
		}
	}
	return lists, nil
}

func (f WithdrawnFile) damaged() error {
	return &folder.DamagedError{File: "withdrawn", Entry: folder.NoEntry, What: "not what was signed"}
}

// Of returns the list of an institution; the zero value if there is none.
func (f WithdrawnFile) Of(giver crypto.PubKey) (w node.Withdrawn, err error) {
	lists, err := f.Read()
	if i := slices.IndexFunc(lists, func(w node.Withdrawn) bool { return w.Giver == giver }); i >= 0 {
		w = lists[i]
	}
	return w, err
}

// listWait is how long one waits for another process that writes the file.
const listWait = 10 * time.Second

// Take takes lists in that are newer than those that are there, durably, for several
// processes at the same time. What no member has signed is passed over.
func (f WithdrawnFile) Take(ctx context.Context, lists ...node.Withdrawn) error {
	lock, err := disk.Open(f.path(".lock"), os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if ok, err := disk.WaitLock(ctx, lock, true, listWait); err != nil {
		return err
	} else if !ok {
		return folder.ErrBusy.With("dir", f.dir, "waited", listWait)
	}
	all, err := f.Read()
	if err != nil {
		return err
	}
	newer := false
	for _, w := range lists {
		i := slices.IndexFunc(all, func(is node.Withdrawn) bool { return is.Giver == w.Giver })
		switch {
		case i >= 0 && all[i].Number >= w.Number || !w.Of(f.ledger, f.members):
			continue
		case i >= 0:
			all[i] = w
		default:
			all = append(all, w)
		}
		newer = true
	}
	if !newer {
		return nil
	}
	return replaceFile(f.path(""), node.WithdrawnForm.Marshal(all))
}

// replaceFile gives a file in a node's folder another content, durably: who reads it, also
// after a power failure, finds this one or that of before.
func replaceFile(path string, content []byte) error {
	tmp := path + ".new"
	file, err := disk.Open(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = disk.SyncDir(filepath.Dir(path))
	}
	return err
}
