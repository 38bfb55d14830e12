package folder

import (
	"context"
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
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// The body of a record in a pack of shares is a ledgerclient.Deposit; the key
// that leads to it is the id of its grant. A pack has shares of grants whose
// windows end in one hour, which its name begins with. Only who holds the lock
// exclusively writes packs: one whose name ends in .new was left by a killed
// process.

// packPrefix is what the names of the packs of a window's end begin with.
func packPrefix(end contract.Hour) string { return fmt.Sprintf("%010d-", end) }

// packEnd reads the hour in the name of a pack.
func packEnd(path string) (contract.Hour, bool) {
	digits, rest, ok := strings.Cut(filepath.Base(path), "-")
	n, err := strconv.ParseUint(digits, 10, 32)
	return contract.Hour(n), ok && rest != "" && err == nil
}

// isPack tells whether a file, as errors name it, is a pack of shares.
func (v vault) isPack(file string) bool { return strings.HasPrefix(file, "keeper/packs/") }

// packHours returns an empty pack for each hour at which enough windows end.
func (v vault) packHours(shares []keeper.Share) map[contract.Hour]*packWriter {
	count := map[contract.Hour]int{}
	for i := range shares {
		count[shares[i].NotAfter]++
	}
	packs := map[contract.Hour]*packWriter{}
	for hour, n := range count {
		if n >= packFrom {
			packs[hour] = &packWriter{}
		}
	}
	return packs
}

// writePacks writes packs under names that end in .new, and returns the paths
// that they are to be renamed to.
func (v vault) writePacks(b *batch, packs map[contract.Hour]*packWriter) (paths []string, err error) {
	for hour, w := range packs {
		if len(w.rows) == 0 {
			continue
		}
		if err := v.mkdirs("keeper", "packs"); err != nil {
			return nil, err
		}
		path := v.path("keeper", "packs", packPrefix(hour)+randomName())
		err := w.write(b, path+newSuffix)
		clear(w.data.Bytes())
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// packedShare reads a share from a pack; nil if there is none.
func (v vault) packedShare(g keeper.Grant) (*ledgerclient.Deposit, error) {
	found, damaged, err := v.packs.find(packPrefix(g.NotAfter), crypto.Hash(g.ID))
	if err != nil {
		return nil, err
	}
	for _, r := range found {
		raw, held, err := r.body()
		if err != nil && err != errPack {
			return nil, err
		}
		if err == nil && !held {
			continue
		}
		d, perr := ledgerclient.ParseDeposit(raw)
		clear(raw)
		if err == nil && perr == nil && d.Grant == g.ID {
			return &d, nil
		}
		damaged = r.pack.path
	}
	if damaged != "" {
		return nil, v.damaged(damaged, "not the deposits that were written")
	}
	return nil, nil
}

// endPacked overwrites shares in packs.
func (v vault) endPacked(grants ...keeper.Grant) error {
	var ends []packed
	for _, g := range grants {
		found, _, err := v.packs.find(packPrefix(g.NotAfter), crypto.Hash(g.ID))
		if err != nil {
			return err
		}
		for _, r := range found {
			if gone, err := r.gone(); err != nil {
				return err
			} else if !gone {
				ends = append(ends, r)
			}
		}
	}
	return v.packs.endAll(ends)
}

// gone tells whether a record was overwritten.
func (r packed) gone() (bool, error) {
	f, err := disk.Open(r.pack.path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	m, err := readMark(f, r.at)
	if err == errPack {
		err = nil
	}
	return m == packGone, err
}

// heldPacked lists the shares in packs that are not gone. A pack that cannot be read
// does not keep those in others from being listed: the error names it.
func (v vault) heldPacked() (held []keeper.Grant, err error) {
	if err := v.packs.look(); err != nil {
		return nil, err
	}
	packs, bad, err := v.packs.list("")
	if err != nil {
		return nil, err
	}
	for _, p := range packs {
		hour, ok := packEnd(p.path)
		if !ok {
			return nil, v.damaged(p.path, "not named after an hour")
		}
		ids, err := p.notGone()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			held = append(held, keeper.Grant{ID: contract.ID(id), NotAfter: hour})
		}
	}
	if len(bad) > 0 {
		err = v.damaged(bad[0], "not the deposits that were written")
	}
	return held, err
}

// notGone returns the keys of the records that are not gone. Rows that make no
// sense are left out.
func (p *pack) notGone() (keys []crypto.Hash, err error) {
	f, err := disk.Open(p.path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for i := range p.rows {
		r, err := p.row(f, i)
		if err != nil {
			continue
		}
		if m, err := readMark(f, r.at); err == errPack || err == nil && m != packGone {
			keys = append(keys, r.key)
		} else if err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// anyPackOver is anyOver for packs, whole or half-written.
func (v vault) anyPackOver(now contract.Hour) (bool, error) {
	files, err := v.readDir(v.path("keeper", "packs"))
	for _, f := range files {
		if hour, ok := packEnd(f.Name()); ok && uint64(hour)+keeper.GraceHours <= uint64(now) {
			return true, nil
		}
	}
	return false, err
}

// clean is cleanPacks under the lock.
func (v vault) clean(ctx context.Context) error {
	return v.lock.write(ctx, func(snapshot) error { return v.cleanPacks() })
}

// cleanPacks overwrites and removes packs that killed processes were writing.
func (v vault) cleanPacks() error {
	files, err := v.readDir(v.path("keeper", "packs"))
	if err != nil {
		return err
	}
	var left []string
	for _, f := range files {
		if strings.HasSuffix(f.Name(), newSuffix) {
			left = append(left, v.path("keeper", "packs", f.Name()))
		}
	}
	return v.overwrite(left)
}
