package embedded

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// vault is the folder `keeper`:
//
//	shares/<end of the window, hour>/<grant id>   a ledgerclient.Deposit
//	packs/<end of the window, hour>-<random>      many of them that came together, see pack
//	stops/<grant id>                              the revocation that was seen
//	answers/<grant id>                            refused requests, one behind the other
//	more/<grant id>                               how many were refused after so many: decimal, "\n"
//	acks/<grant id>                               acknowledgements, one behind the other
//
// A share lies in one file only; while it is written that is <grant id>.new, and
// while it is destroyed <grant id>.gone, so that nothing half done is ever read as
// a share. To destroy it the file is overwritten in place with random bytes, that
// is made durable, and then it is removed. A share in a pack is overwritten where it lies. On a file system that never overwrites (Btrfs, ZFS, APFS, snapshots of any), on flash memory, which
// writes elsewhere and erases later, and in copies that somebody took, this
// cannot be promised; only an encrypted disk helps there.
type vault struct{ *ground }

var _ keeper.Vault = vault{}

// More bytes than each of the files has.
const (
	maxShare   = 1 << 10
	maxStop    = 1 << 10
	maxAcks    = 16 * ledgerclient.AcknowledgementSize
	maxAnswers = 1 << 20
)

func (v vault) shareFile(g keeper.Grant) string {
	return v.path("keeper", "shares", strconv.FormatUint(uint64(g.NotAfter), 10), hexName(g.ID))
}
func (v vault) stopFile(id contract.ID) string    { return v.path("keeper", "stops", hexName(id)) }
func (v vault) answersFile(id contract.ID) string { return v.path("keeper", "answers", hexName(id)) }
func (v vault) moreFile(id contract.ID) string    { return v.path("keeper", "more", hexName(id)) }
func (v vault) acksFile(id contract.ID) string    { return v.path("keeper", "acks", hexName(id)) }

// Read returns what is held about a grant.
func (v vault) Read(ctx context.Context, g keeper.Grant) (rec keeper.Record, err error) {
	err = v.lock.read(ctx, func(snapshot) error {
		if err := v.packs.shares.look(); err != nil {
			return err
		}
		rec, err = v.record(g)
		return err
	})
	return rec, err
}

func (v vault) record(g keeper.Grant) (rec keeper.Record, err error) {
	if rec.Stopped, err = exists(v.stopFile(g.ID)); err != nil {
		return rec, err
	}
	if rec.Acks, err = v.acks(g.ID); err != nil {
		return rec, err
	}
	rec.Share, err = v.share(g)
	return rec, err
}

// share reads a share; nil if there is none.
func (v vault) share(g keeper.Grant) (*ledgerclient.Deposit, error) {
	path := v.shareFile(g)
	raw, err := v.readFile(path, maxShare)
	if err != nil {
		return nil, err
	}
	if raw == nil {
		return v.packedShare(g)
	}
	defer clear(raw)
	d, err := ledgerclient.ParseDeposit(raw)
	if err != nil || d.Grant != g.ID {
		return nil, v.damaged(path, "not the deposit that was written")
	}
	return &d, nil
}

func (v vault) acks(id contract.ID) ([]ledgerclient.Acknowledgement, error) {
	path := v.acksFile(id)
	raw, err := v.readFile(path, maxAcks)
	if raw == nil || err != nil {
		return nil, err
	}
	var acks []ledgerclient.Acknowledgement
	for first := true; first || len(raw) > 0; first = false {
		n := min(len(raw), ledgerclient.AcknowledgementSize)
		a, err := ledgerclient.ParseAcknowledgement(raw[:n])
		if err != nil || a.Grant != id {
			return nil, v.damaged(path, "not the acknowledgements that were written")
		}
		acks = append(acks, a)
		raw = raw[n:]
	}
	return acks, nil
}

// Store keeps shares. What was held before under a grant's name but does not
// read as a deposit is overwritten and replaced.
func (v vault) Store(ctx context.Context, shares []keeper.Share) (held []bool, err error) {
	held = make([]bool, len(shares))
	err = v.lock.write(ctx, func(snapshot) error {
		if err := v.cleanPacks(); err != nil {
			return err
		}
		if err := v.packs.shares.look(); err != nil {
			return err
		}
		pack := v.packHours(shares)
		files := len(pack)
		for i := range shares {
			if pack[shares[i].NotAfter] == nil {
				files++
			}
		}
		b := v.newBatch(files)
		var names []string // written as .new, to be renamed
		seen := map[contract.ID]bool{}
		for i := range shares {
			s := &shares[i]
			g := keeper.Grant{ID: s.Deposit.Grant, NotAfter: s.NotAfter}
			path := v.shareFile(g)
			var damaged *DamagedError
			rec, err := v.record(g)
			switch {
			case errors.As(err, &damaged) && damaged.File == v.relative(path):
				if err := v.overwrite([]string{path}); err != nil {
					return err
				}
			case errors.As(err, &damaged) && v.isPack(damaged.File):
				if err := v.endPacked(g); err != nil {
					return err
				}
			case err != nil:
				return err
			}
			over := rec.Stopped || destroyed(rec.Acks)
			if rec.Share != nil {
				held[i] = !over && rec.Share.Share.Equal(s.Deposit.Share)
				rec.Share.Share.Wipe()
				continue
			}
			if over || seen[g.ID] {
				continue
			}
			seen[g.ID] = true
			held[i] = true
			if w := pack[g.NotAfter]; w != nil {
				raw := s.Deposit.Marshal()
				w.add([]crypto.Hash{crypto.Hash(g.ID)}, raw)
				clear(raw)
				continue
			}
			if err := v.mkdirs("keeper", "shares", filepath.Base(filepath.Dir(path))); err != nil {
				return err
			}
			if err := v.overwrite([]string{path + ".new"}); err != nil {
				return err
			}
			raw := s.Deposit.Marshal()
			err = b.write(path+".new", raw)
			clear(raw)
			if err != nil {
				return err
			}
			names = append(names, path)
		}
		packs, err := v.writePacks(b, pack)
		if err != nil {
			return err
		}
		names = append(names, packs...)
		if err := b.flush(); err != nil {
			return err
		}
		for _, path := range names {
			if err := b.rename(path+".new", path); err != nil {
				return err
			}
		}
		return b.syncNames()
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

func destroyed(acks []ledgerclient.Acknowledgement) bool {
	for _, a := range acks {
		if a.End == ledgerclient.DestroyedShare {
			return true
		}
	}
	return false
}

// Stop marks grants as stopped.
func (v vault) Stop(ctx context.Context, revocations []contract.Entry) error {
	return v.lock.write(ctx, func(snapshot) error {
		if err := v.mkdirs("keeper", "stops"); err != nil {
			return err
		}
		files := map[string][]byte{}
		for i := range revocations {
			path := v.stopFile(revocations[i].Subject)
			raw := revocations[i].Marshal()
			if have, err := v.readFile(path, maxStop); err != nil {
				return err
			} else if len(have) == len(raw) {
				continue // the first revocation that was seen stays
			}
			files[path] = raw[:]
		}
		// Also when nothing is new: another process may have been killed before it
		// made the names durable.
		return v.replaceAll("stops", files)
	})
}

// replaceAll gives files in keeper/<dir> their content, durably.
func (v vault) replaceAll(dir string, files map[string][]byte) error {
	b := v.newBatch(len(files))
	renames := map[string]string{}
	for path, data := range files {
		tmp, err := b.replace(path, data)
		if err != nil {
			return err
		}
		renames[tmp] = path
	}
	if len(files) > 0 {
		if err := b.flush(); err != nil {
			return err
		}
	}
	for tmp, path := range renames {
		if err := b.rename(tmp, path); err != nil {
			return err
		}
	}
	b.dirs[v.path("keeper", dir)] = true
	return b.syncNames()
}

// Destroy overwrites and removes shares.
func (v vault) Destroy(ctx context.Context, grants []keeper.Grant) error {
	return v.lock.write(ctx, func(snapshot) error {
		if err := v.cleanPacks(); err != nil {
			return err
		}
		if err := v.packs.shares.look(); err != nil {
			return err
		}
		if err := v.endPacked(grants...); err != nil {
			return err
		}
		var paths []string
		b := v.newBatch(len(grants))
		for _, g := range grants {
			path := v.shareFile(g)
			paths = append(paths, path+".new", path+".gone")
			there, err := exists(path)
			if err != nil || !there {
				if err != nil {
					return err
				}
				continue
			}
			// One that a killed process left there would be replaced, not overwritten.
			if err := v.overwrite([]string{path + ".gone"}); err != nil {
				return err
			}
			if err := b.rename(path, path+".gone"); err != nil {
				return err
			}
		}
		if err := b.syncNames(); err != nil {
			return err
		}
		if err := v.overwrite(paths); err != nil {
			return err
		}
		dirs := map[string]bool{}
		for _, path := range paths {
			dirs[filepath.Dir(path)] = true
		}
		removed := false
		for dir := range dirs {
			// Fails while other shares are in it, which is as it should be.
			removed = v.ops.remove(dir) == nil || removed
		}
		if !removed {
			return nil
		}
		return v.ops.syncDir(v.path("keeper", "shares"))
	})
}

// overwrite destroys files: first their bytes, durably, then their names. Those
// that do not exist are passed over.
func (v vault) overwrite(paths []string) error {
	var there []string
	for _, path := range paths {
		if ok, err := exists(path); err != nil {
			return err
		} else if ok {
			there = append(there, path)
		}
	}
	b := v.newBatch(len(there))
	for _, path := range there {
		if err := v.scramble(b, path); err != nil {
			return err
		}
	}
	if len(there) == 0 {
		return nil
	}
	if err := b.flush(); err != nil {
		return err
	}
	for _, path := range there {
		if err := v.ops.remove(path); err != nil {
			return err
		}
		b.dirs[filepath.Dir(path)] = true
	}
	return b.syncNames()
}

// scramble fills a file with random bytes in place.
func (v vault) scramble(b *batch, path string) error {
	f, err := v.ops.open(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(noise(int(info.Size())), 0); err != nil {
		return err
	}
	return b.finish(path, f)
}

// noise is n random bytes.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// Acknowledge files acknowledgements.
func (v vault) Acknowledge(ctx context.Context, acks []ledgerclient.Acknowledgement) error {
	return v.lock.write(ctx, func(snapshot) error {
		if err := v.mkdirs("keeper", "acks"); err != nil {
			return err
		}
		files := map[string][]byte{}
		for i := range acks {
			a := &acks[i]
			path := v.acksFile(a.Grant)
			filed, pending := files[path]
			if !pending {
				have, err := v.acks(a.Grant)
				if err != nil {
					return err
				}
				for j := range have {
					filed = append(filed, have[j].Marshal()...)
				}
			}
			if !hasEnd(filed, a.End) {
				files[path] = append(filed, a.Marshal()...)
			}
		}
		return v.replaceAll("acks", files)
	})
}

// hasEnd looks for an end among encoded acknowledgements.
func hasEnd(filed []byte, end ledgerclient.End) bool {
	for ; len(filed) > 0; filed = filed[ledgerclient.AcknowledgementSize:] {
		if a, err := ledgerclient.ParseAcknowledgement(filed[:ledgerclient.AcknowledgementSize]); err == nil && a.End == end {
			return true
		}
	}
	return false
}

// File keeps a refused request, or counts it.
func (v vault) File(ctx context.Context, r ledgerclient.Refused, limit int) error {
	return v.lock.write(ctx, func(snapshot) error {
		id := r.Answer.Grant
		filed, raw, err := v.filed(id)
		if err != nil {
			return err
		}
		request := r.Request.Marshal()
		for i := range filed {
			if bytes.Equal(filed[i].Request.Marshal(), request) {
				return nil
			}
		}
		if len(filed) >= limit {
			return v.count(id)
		}
		if err := v.mkdirs("keeper", "answers"); err != nil {
			return err
		}
		return v.replaceAll("answers", map[string][]byte{v.answersFile(id): append(raw, r.Marshal()...)})
	})
}

// count counts one more refused request.
func (v vault) count(id contract.ID) error {
	more, err := v.more(id)
	if err != nil || more == math.MaxUint32 {
		return err
	}
	if err := v.mkdirs("keeper", "more"); err != nil {
		return err
	}
	return v.replaceAll("more", map[string][]byte{v.moreFile(id): moreLine(more + 1)})
}

func moreLine(n uint32) []byte { return append(strconv.AppendUint(nil, uint64(n), 10), '\n') }

// more is how many refused requests were only counted.
func (v vault) more(id contract.ID) (uint32, error) {
	path := v.moreFile(id)
	raw, err := v.readFile(path, maxStop)
	if raw == nil || err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(string(raw), "\n"), 10, 32)
	if err != nil || n == 0 || !bytes.Equal(raw, moreLine(uint32(n))) {
		return 0, v.damaged(path, "not the number that was written")
	}
	return uint32(n), nil
}

// Filed returns the refused requests of a grant.
func (v vault) Filed(ctx context.Context, grant contract.ID) (filed []ledgerclient.Refused, more uint32, err error) {
	err = v.lock.read(ctx, func(snapshot) error {
		if filed, _, err = v.filed(grant); err == nil {
			more, err = v.more(grant)
		}
		return err
	})
	return filed, more, err
}

func (v vault) filed(id contract.ID) (filed []ledgerclient.Refused, raw []byte, err error) {
	path := v.answersFile(id)
	raw, err = v.readFile(path, maxAnswers)
	if raw == nil || err != nil {
		return nil, nil, err
	}
	for rest := raw; len(filed) == 0 || len(rest) > 0; {
		var r ledgerclient.Refused
		if r, rest, err = ledgerclient.ParseRefused(rest); err != nil || r.Answer.Grant != id {
			return nil, nil, v.damaged(path, "not the answers that were written")
		}
		filed = append(filed, r)
	}
	return filed, raw, nil
}

// Held lists the shares that are there.
func (v vault) Held(ctx context.Context) (held []keeper.Grant, err error) {
	err = v.lock.read(ctx, func(snapshot) error {
		held, err = v.held()
		return err
	})
	return held, err
}

func (v vault) held() ([]keeper.Grant, error) {
	hours, err := v.readDir(v.path("keeper", "shares"))
	if err != nil {
		return nil, err
	}
	var held []keeper.Grant
	for _, h := range hours {
		hour, err := strconv.ParseUint(h.Name(), 10, 32)
		if err != nil || !h.IsDir() {
			continue // no hour's: verify tells
		}
		files, err := v.readDir(v.path("keeper", "shares", h.Name()))
		if err != nil {
			return nil, err
		}
		seen := map[string]bool{}
		for _, f := range files {
			// What a killed process was writing or destroying must be destroyed as well.
			name := strings.TrimSuffix(strings.TrimSuffix(f.Name(), ".new"), ".gone")
			if seen[name] {
				continue
			}
			seen[name] = true
			id, _ := unhex(name)
			held = append(held, keeper.Grant{ID: id, NotAfter: contract.Hour(hour)})
		}
	}
	packed, err := v.heldPacked()
	return append(held, packed...), err
}

// anyOver tells whether a share is filed under a window that ended so long ago
// that the share is to be destroyed.
func (v vault) anyOver(now contract.Hour) (bool, error) {
	hours, err := v.readDir(v.path("keeper", "shares"))
	for _, h := range hours {
		hour, err := strconv.ParseUint(h.Name(), 10, 32)
		if err == nil && hour+keeper.GraceHours <= uint64(now) {
			return true, nil
		}
	}
	if err != nil {
		return false, err
	}
	return v.anyPackOver(now)
}
