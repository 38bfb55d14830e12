package folder

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// packedProblems checks the payloads of an entry that has none in files. A store
// that has nothing of it was never given it.
func (v *storeVerifier) packedProblems(id contract.ID, e *contract.Entry) (found []problem, err error) {
	rows, damaged, err := v.packs.payloads.find("", crypto.Hash(id))
	if err != nil || len(rows) == 0 && damaged == "" {
		return nil, err
	}
	parts, at, broken, err := v.packedParts(id)
	if err != nil {
		return nil, err
	}
	for _, r := range broken {
		found = append(found, problem{r.pack.path, "not what the entry commits to"})
	}
	for i := range parts {
		if what := v.packedDamage(e, &parts[i]); what != "" {
			found = append(found, problem{at[i].pack.path, what})
		}
	}
	if len(rows) > 0 && len(found) == 0 {
		for _, part := range partsOf(e) {
			if !slices.ContainsFunc(parts, func(p packedPayload) bool { return p.part == part }) {
				found = append(found, problem{rows[0].pack.path, "a payload is missing"})
			}
		}
	}
	return found, nil
}

func (v *storeVerifier) packedDamage(e *contract.Entry, p *packedPayload) string {
	const other = "not what the entry commits to"
	want, reason := committed(e, p.pkg, p.part)
	if reason != "" || want != crypto.BlobHash(p.blob) {
		return other
	}
	return ""
}

// payloadPacks checks every row of every pack of payloads, and that it leads to
// the payload that it should.
func (v *storeVerifier) payloadPacks() error {
	packs, bad, err := v.packs.payloads.list("")
	if err != nil {
		return err
	}
	for _, path := range bad {
		v.found.add(v.relative(path), NoEntry, errPack.Error())
	}
	for _, p := range packs {
		err := p.check(func(body []byte, keys []crypto.Hash) bool {
			payload, ok := parsePackedPayload(body)
			if !ok || len(keys) != 1+len(payload.names) || !slices.Contains(keys, crypto.Hash(payload.id)) {
				return false
			}
			for _, name := range payload.names {
				if k, ok := unhex(name); !ok || !slices.Contains(keys, k) {
					return false
				}
			}
			return true
		})
		if err == errPack {
			v.found.add(v.relative(p.path), NoEntry, err.Error())
		} else if err != nil {
			return err
		}
	}
	return nil
}

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
			p, err := openPack(sharePack, path)
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
