package server

import (
	"context"
	"sync"
	"time"

	"github.com/carekey/carekey/ledgerclient/node"
)

// sites are where the institutions of the ledger are reached, as each says itself. A node
// makes its own anew when it starts, and hears of the others from them and from each other:
// nothing of it is kept.
type sites struct {
	mu    sync.Mutex
	all   node.Sites
	met   chan struct{} // closed when all were heard of, once: one of them may change afterwards
	once  sync.Once
	round int // of askSites
}

// takeSites takes sites in, and makes that of this institution, with the time as its number;
// with a higher one, if others know another one of it that would count.
func (s *Server) takeSites(heard ...node.Site) {
	s.sites.mu.Lock()
	defer s.sites.mu.Unlock()
	defer func() {
		if s.sites.all.Whole() {
			s.sites.once.Do(func() { close(s.sites.met) })
		}
	}()
	s.sites.all, _ = s.sites.all.With(heard...)
	if s.opt.Site == nil {
		return
	}
	number := uint64(max(0, s.opt.Clock().Unix()))
	if known, ok := s.sites.all.Of(s.folder.Node()); ok {
		if s.opt.Site(known.Number).ByNode == known.ByNode {
			return // it says the same
		}
		number = max(number, known.Number+1)
	}
	s.sites.all, _ = s.sites.all.With(s.opt.Site(number))
}

// siteEvery is how often other nodes are asked while one of them has said nothing. Afterwards
// it is as often as for withdrawn tokens.
const siteEvery = 5 * time.Second

// askSites asks the other nodes.
func (s *Server) askSites(ctx context.Context) {
	s.sites.mu.Lock()
	rests := s.sites.all.Whole() && s.sites.round%int(listEvery/siteEvery) != 0
	s.sites.round++
	s.sites.mu.Unlock()
	if rests {
		return
	}
	for _, ask := range s.opt.Sites {
		within, cancel := context.WithTimeout(ctx, listTime)
		heard, err := ask(within)
		cancel()
		if err != nil {
			s.log.Debug("sites", "cause", cause(err))
			continue
		}
		s.takeSites(heard...)
	}
}

// tellSites answers with what the node knows, also of others: who reaches one reaches all.
func (s *Server) tellSites(q *request) error {
	s.sites.mu.Lock()
	all := s.sites.all.All()
	s.sites.mu.Unlock()
	return q.answer(node.TypeBinary, node.SitesForm.Marshal(all))
}
