package folder

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"sync"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/keeper"
)

// shareFiles are the files in keeper/shares, each with the shares of the grants whose
// windows end in one hour. A process remembers where each share lies: that is never
// longer true than its record says so.
type shareFiles struct {
	g  *ground
	mu sync.Mutex
	of map[contract.Hour]*shareFile
}

// shareFile is what was seen of one file.
type shareFile struct {
	name int64
	end  int64
	at   map[contract.ID][]int64
	gaps []segRecord
}

func (s *shareFiles) path(end contract.Hour) string {
	return s.g.path("keeper", "shares", strconv.FormatUint(uint64(end), 10))
}

// hours are the hours for which there are files.
func (s *shareFiles) hours() (all []contract.Hour, err error) {
	files, err := s.g.readDir(s.g.path("keeper", "shares"))
	for _, f := range files {
		if h, err := strconv.ParseUint(f.Name(), 10, 32); err == nil {
			all = append(all, contract.Hour(h))
		}
	}
	return all, err
}

// open opens the file of an hour and takes in what is new in it; nil if there is none.
func (s *shareFiles) open(end contract.Hour, write bool) (*segment, *shareFile, error) {
	f, err := s.g.openSegment(s.path(end), write)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.of[end]
	if seen == nil || f.bad || seen.name != f.name || f.size < seen.end {
		seen = &shareFile{name: f.name, end: segmentHeader, at: map[contract.ID][]int64{}}
	}
	if f.size != seen.end {
		for r, err := range f.records(seen.end) {
			if err != nil {
				f.Close()
				return nil, nil, err
			}
			if r.isGap() {
				seen.gaps = append(seen.gaps, r)
			}
			for _, k := range r.keys {
				seen.at[contract.ID(k)] = append(seen.at[contract.ID(k)], r.at)
			}
		}
		seen.end = f.scanned
	}
	s.of[end] = seen
	return f, seen, nil
}

// records returns those of grants that have not ended.
func (f *shareFile) records(s *segment, ids ...contract.ID) (all []segRecord, err error) {
	for _, id := range ids {
		for _, at := range f.at[id] {
			r, ok, err := readHead(s, at)
			if err != nil {
				return nil, err
			}
			if ok && r.mark != markGone && slices.Contains(r.keys, crypto.Hash(id)) {
				all = append(all, r)
			}
		}
	}
	return all, nil
}

// ready opens the file of an hour to write it, which is made if make is true. What is no
// record there is overwritten: it may be a share that nobody can find any more. The lock
// is held exclusively.
func (s *shareFiles) ready(end contract.Hour, make bool) (*segment, *shareFile, error) {
	f, seen, err := s.open(end, true)
	if err == nil && f == nil && make {
		if err = s.g.mkdirs("keeper", "shares"); err == nil {
			err = s.g.makeSegment(s.path(end), nil, 0)
		}
		if err == nil {
			f, seen, err = s.open(end, true)
		}
	}
	if err != nil || f == nil {
		return nil, nil, err
	}
	if f.checked == 0 {
		err = s.g.nameSegment(f.path)
		f.checked = segmentHeader
	}
	if err == nil && len(seen.gaps) > 0 {
		err = f.bury(seen.gaps)
	}
	if err == nil {
		seen.end, seen.gaps = min(seen.end, roundUp(f.size)), nil
		err = f.settle(s.g, seen.end, 0)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, seen, nil
}

// add adds shares, durably.
func (s *shareFiles) add(end contract.Hour, records []byte) error {
	f, seen, err := s.ready(end, true)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.add(s.g, seen.end, records, 0, false)
}

// destroy overwrites shares of one hour, and removes a file of which nothing is left.
func (s *shareFiles) destroy(end contract.Hour, ids ...contract.ID) error {
	f, seen, err := s.ready(end, false)
	if err != nil || f == nil {
		return err
	}
	defer f.Close()
	records, err := seen.records(f, ids...)
	if err == nil && len(records) > 0 {
		err = f.end(s.g, records)
	}
	if err != nil {
		return err
	}
	for r, err := range f.records(0) {
		if err != nil || r.mark != markGone {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := s.g.ops.remove(f.path); err != nil {
		return err
	}
	return s.g.ops.syncDir(s.g.path("keeper", "shares"))
}

// share reads a share; nil if there is none.
func (v vault) share(g keeper.Grant) (*ledgerclient.Deposit, error) {
	f, seen, err := v.shares.open(g.NotAfter, false)
	if err != nil || f == nil {
		return nil, err
	}
	defer f.Close()
	return v.shareIn(f, seen, g)
}

// shareIn is share in the file of its hour.
func (v vault) shareIn(f *segment, seen *shareFile, g keeper.Grant) (*ledgerclient.Deposit, error) {
	records, err := seen.records(f, g.ID)
	if err != nil {
		return nil, err
	}
	damaged := len(seen.gaps) > 0 || f.bad
	for _, r := range records {
		if r.mark != markHeld {
			continue
		}
		raw, ok, err := r.body(f)
		if err != nil {
			return nil, err
		}
		d, perr := ledgerclient.Parse[ledgerclient.Deposit](raw)
		clear(raw)
		if ok && perr == nil && d.Grant == g.ID {
			return &d, nil
		}
		d.Share.Wipe()
		damaged = true
	}
	if damaged {
		return nil, v.damaged(f.path, "share of "+g.ID.String()+" is not the deposit that was written")
	}
	return nil, nil
}

// Held lists the shares that are there. A file that cannot be read does not keep those in
// others from being listed: the error names it.
func (v vault) held() (held []keeper.Grant, err error) {
	hours, err := v.shares.hours()
	for _, end := range hours {
		ids, herr := v.heldUntil(end)
		for _, id := range ids {
			held = append(held, keeper.Grant{ID: id, NotAfter: end})
		}
		err = errors.Join(err, herr)
	}
	return held, err
}

func (v vault) heldUntil(end contract.Hour) (ids []contract.ID, err error) {
	f, seen, err := v.shares.open(end, false)
	if err != nil || f == nil {
		return nil, err
	}
	defer f.Close()
	for id := range seen.at {
		// One whose end was not finished must be destroyed as well.
		if records, err := seen.records(f, id); err != nil {
			return nil, err
		} else if len(records) > 0 {
			ids = append(ids, id)
		}
	}
	if len(seen.gaps) > 0 {
		err = v.damaged(f.path, "not the deposits that were written")
	}
	return ids, err
}

// over are the hours of files whose shares are all to be destroyed.
func (v vault) over(now contract.Hour) (over []contract.Hour, err error) {
	all, err := v.shares.hours()
	for _, end := range all {
		if uint64(end)+keeper.GraceHours <= uint64(now) {
			over = append(over, end)
		}
	}
	return over, err
}
