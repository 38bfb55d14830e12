package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// packSet is the packs of one folder, as this process saw them last. Of each it
// holds the filter in memory, some 40 bytes for each grant of a batch of thousands.
type packSet struct {
	g    *ground
	elem []string // the folder inside the ledger's

	mu    sync.Mutex
	seen  bool
	asOf  time.Time          // last change of the folder when it was looked at; zero: look again
	packs []*pack            // by name
	begin map[string][]*pack // by what their names begin with up to a hyphen
	bad   []string           // paths of those that cannot be read
}

func (s *packSet) dir() string { return s.g.path(s.elem...) }

// newSuffix ends the name of a pack that is being written.
const newSuffix = ".new"

// look finds out which packs there are.
func (s *packSet) look() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A folder that was changed while it was looked at, or just before, may be changed
	// again without showing another time.
	now, asOf := time.Now(), time.Time{}
	if info, err := os.Lstat(s.dir()); err == nil {
		if asOf = info.ModTime(); asOf.Equal(s.asOf) && len(s.bad) == 0 {
			return nil
		}
	}
	files, err := s.g.readDir(s.dir())
	if err != nil {
		return err
	}
	if s.asOf = (time.Time{}); now.Sub(asOf) > 2*time.Second {
		s.asOf = asOf
	}
	known := map[string]*pack{}
	for _, p := range s.packs {
		known[p.path] = p
	}
	s.seen, s.packs, s.bad, s.begin = true, nil, nil, map[string][]*pack{}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), newSuffix) {
			continue
		}
		path := filepath.Join(s.dir(), f.Name())
		p := known[path]
		if p == nil {
			p, err = openPack(path)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				continue // removed meanwhile
			case err == errPack:
				s.bad = append(s.bad, path)
				continue
			case err != nil:
				s.packs, s.asOf = nil, time.Time{}
				return err
			}
		}
		s.packs = append(s.packs, p)
		if i := strings.IndexByte(f.Name(), '-'); i >= 0 {
			begin := f.Name()[:i+1]
			s.begin[begin] = append(s.begin[begin], p)
		}
	}
	return nil
}

// list returns the packs whose names begin with prefix, which is empty or ends in a
// hyphen, and the paths of those that cannot be read.
func (s *packSet) list(prefix string) (packs []*pack, bad []string, err error) {
	s.mu.Lock()
	seen := s.seen
	s.mu.Unlock()
	if !seen {
		if err := s.look(); err != nil {
			return nil, nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if prefix == "" {
		return s.packs, s.bad, nil
	}
	for _, path := range s.bad {
		if strings.HasPrefix(filepath.Base(path), prefix) {
			bad = append(bad, path)
		}
	}
	return s.begin[prefix], bad, nil
}

// packed is a record in a pack.
type packed struct {
	pack *pack
	at   span
}

// find returns the records that a key leads to, in the packs whose names begin
// with prefix, as of the last look. damaged is a pack in which the key may be but
// that cannot be read; "" if there is none.
func (s *packSet) find(prefix string, key crypto.Hash) (found []packed, damaged string, err error) {
	packs, bad, err := s.list(prefix)
	if err != nil {
		return nil, "", err
	}
	if len(bad) > 0 {
		damaged = bad[0]
	}
	for _, p := range packs {
		if !p.may(key) {
			continue
		}
		at, err := p.search(key)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err == errPack:
			damaged = p.path
		case err != nil:
			return nil, "", err
		}
		for _, a := range at {
			found = append(found, packed{p, a})
		}
	}
	return found, damaged, nil
}

// search is find with the file opened for it.
func (p *pack) search(key crypto.Hash) ([]span, error) {
	f, err := disk.Open(p.path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return p.find(f, key)
}

// body reads a record; ok is false if it is not held.
func (r packed) body() (body []byte, ok bool, err error) {
	f, err := disk.Open(r.pack.path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	return readBody(f, r.at)
}

// endAll ends records, pack by pack.
func (s *packSet) endAll(ends []packed) error {
	byPack := map[*pack][]span{}
	var order []*pack
	for _, r := range ends {
		if byPack[r.pack] == nil {
			order = append(order, r.pack)
		}
		byPack[r.pack] = append(byPack[r.pack], r.at)
	}
	removed := false
	for _, p := range order {
		gone, err := s.g.endRecords(p, byPack[p])
		if err != nil {
			return err
		}
		removed = removed || gone
	}
	if !removed {
		return nil
	}
	if err := s.look(); err != nil {
		return err
	}
	return s.g.ops.syncDir(s.dir())
}
