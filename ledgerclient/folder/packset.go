package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	kind packKind
	elem []string // the folder inside the ledger's

	mu    sync.Mutex
	seen  bool
	asOf  time.Time          // last change of the folder when it was looked at; zero: look again
	packs []*pack            // by name
	begin map[string][]*pack // of shares, by what their names begin with up to a hyphen; of payloads, under "", those in no sieve
	sieve sieves             // of payloads
	bad   []string           // paths of those that cannot be read
}

// packSets are the packs of a ledger's folder.
type packSets struct{ payloads, shares packSet }

func newPackSets(g *ground) *packSets {
	return &packSets{
		payloads: packSet{g: g, kind: payloadPack, elem: []string{"store", "packs"}},
		shares:   packSet{g: g, kind: sharePack, elem: []string{"keeper", "packs"}},
	}
}

// lookAgain is look for whom nothing seen before counts.
func (s *packSet) lookAgain() error {
	s.mu.Lock()
	s.packs, s.sieve, s.asOf = nil, nil, time.Time{}
	s.mu.Unlock()
	return s.look()
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
	if s.sieve == nil {
		s.sieve = sieves{}
	}
	keep := map[*pack]bool{}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), newSuffix) {
			continue
		}
		path := filepath.Join(s.dir(), f.Name())
		p := known[path]
		if p == nil {
			p, err = openPack(s.kind, path)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				continue // removed meanwhile
			case err == errPack:
				s.bad = append(s.bad, path)
				continue
			case err != nil:
				s.packs, s.sieve, s.asOf = nil, nil, time.Time{}
				return err
			}
			if s.kind == payloadPack && len(p.filter) <= maxSieved {
				s.sieve.add(p)
			}
		}
		s.packs = append(s.packs, p)
		if s.kind == payloadPack {
			if keep[p] = true; p.filter != nil {
				s.begin[""] = append(s.begin[""], p)
			}
		} else if i := strings.IndexByte(f.Name(), '-'); i >= 0 {
			begin := f.Name()[:i+1]
			s.begin[begin] = append(s.begin[begin], p)
		}
	}
	if len(known) > 0 {
		s.sieve.remove(keep)
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
	if s.kind == payloadPack {
		s.mu.Lock()
		packs = append(s.sieve.may(key), s.begin[""]...)
		s.mu.Unlock()
		slices.SortFunc(packs, func(a, b *pack) int { return strings.Compare(a.path, b.path) })
	}
	for _, p := range packs {
		if p.filter != nil && !p.may(key) {
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
