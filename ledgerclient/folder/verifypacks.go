package folder

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// check checks header, filter, rows and marks, and calls fits with each record
// that is held and the keys that lead to it. It returns errPack if anything is
// not what was written.
func (p *pack) check(fits func(body []byte, keys []crypto.Hash) bool) error {
	f, err := disk.Open(p.path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // all of it has ended
	}
	if err != nil {
		return err
	}
	defer f.Close()
	rows, err := p.all(f)
	if err != nil {
		return err
	}
	keys := map[span][]crypto.Hash{}
	for i := range rows {
		keys[rows[i].at] = append(keys[rows[i].at], rows[i].key)
	}
	next := p.first() + int64(p.rows)*packRow
	for _, at := range spans(rows) {
		if at.offset != next {
			return errPack
		}
		next += int64(at.length)
		body, held, err := readBody(f, at)
		if err != nil {
			return err
		}
		if held && !fits(body, keys[at]) {
			return errPack
		}
		clear(body)
	}
	if next != p.size {
		return errPack
	}
	return nil
}

// sharePacks checks all packs of shares.
func (v *vaultVerifier) sharePacks(ctx context.Context) error {
	files, err := v.readDir(v.path("keeper", "packs"))
	if err != nil {
		return v.found.addError(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), newSuffix) {
			continue // what a killed process left: nothing reads it
		}
		path := filepath.Join(v.path("keeper", "packs"), file.Name())
		bad := func(what string) { v.found.add(v.relative(path), NoEntry, what) }
		hour, ok := packEnd(path)
		if !ok {
			bad("not named after an hour")
			continue
		}
		err := v.lock.read(ctx, func(snap snapshot) error {
			p, err := openPack(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			var failed error
			err = p.check(func(body []byte, keys []crypto.Hash) bool {
				d, err := ledgerclient.ParseDeposit(body)
				if err != nil || len(keys) != 1 || keys[0] != crypto.Hash(d.Grant) {
					return false
				}
				defer d.Share.Wipe()
				index, ok, err := snap.Find(d.Grant)
				if err != nil || !ok {
					failed = errors.Join(failed, err)
					return err != nil
				}
				leaf, err := snap.Leaf(index)
				if err != nil {
					failed = errors.Join(failed, err)
					return true
				}
				e := &leaf.Entry
				return e.Kind == contract.KindGrant && e.NotAfter == hour && d.Keeper == v.public && keeper.CheckShare(&d, v.ledger, e)
			})
			return errors.Join(failed, err)
		})
		if errors.Is(err, errPack) {
			bad("not the deposits that were written")
		} else if err != nil {
			return err
		}
	}
	return nil
}
