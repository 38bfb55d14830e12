package node

import (
	"math"
	"slices"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Site is where the node and the keeper of an institution are reached, as it says itself.
// The keeper has signed it too: only it can say at which node it is, and what is handed to
// another's node is known there.
//
//	member as in its line: version 1 to fingerprint
//	number 8
//	signature 64 by the node's key, 64 by the keeper's
//
// Of several of one institution the one with the highest number counts.
type Site struct {
	Member
	Number   uint64           // counts up; less than 2⁶³
	ByNode   crypto.Signature // by Node.Key, over the ledger's id and all before it
	ByKeeper crypto.Signature // the same by Keeper
}

func (s *Site) fields(c *codec.Codec) {
	c.Message(s.Member.fields)
	codec.Int(c, &s.Number)
	c.Check(s.Number <= math.MaxInt64)
	c.Signature(s.ByNode[:])
	c.Signature(s.ByKeeper[:])
}

func (s *Site) digest(ledger crypto.LedgerID) crypto.Hash {
	return crypto.TaggedHash(crypto.TagSite, ledger[:], codec.Unsigned(s.fields))
}

// NewSite signs where a member is reached, with its node's key and its keeper's.
func NewSite(ledger crypto.LedgerID, m Member, number uint64, byNode, byKeeper func(crypto.Hash) crypto.Signature) Site {
	s := Site{Member: m, Number: number}
	s.ByNode, s.ByKeeper = byNode(s.digest(ledger)), byKeeper(s.digest(ledger))
	return s
}

// Of reports whether a node and a keeper of that configuration have signed it for that ledger.
func (s *Site) Of(ledger crypto.LedgerID, config *contract.Config) bool {
	if !s.Valid() || !slices.Contains(config.Nodes, s.Node) || !slices.Contains(config.Keepers, s.Keeper) {
		return false
	}
	digest := s.digest(ledger)
	return s.Node.Key.Verify(digest, s.ByNode) && s.Keeper.Verify(digest, s.ByKeeper)
}

// SitesForm are the sites of several institutions.
var SitesForm = list("sites", 0, contract.MaxNodes, func(c *codec.Codec, s *Site) { c.Message(s.fields) })

// MaxSites is how long the sites of a ledger are at most, in bytes.
const MaxSites = contract.MaxNodes * (1 + 1 + math.MaxUint8 + 32 + 33 + 33 + 1 + MaxURLs*(1+MaxURL) + 1 + 32 + 8 + 64 + 64)

// Sites are those of the institutions of a ledger, of each the newest. They are values:
// With makes others.
type Sites struct {
	ledger  crypto.LedgerID
	configs []*contract.Config // newest last, not none
	all     []Site             // in the order of the newest configuration, behind them those of nodes that left
}

// NoSites are those of a ledger of which nothing is known. Its configurations are those that
// are known, the newest last.
func NoSites(ledger crypto.LedgerID, configs ...*contract.Config) Sites {
	return Sites{ledger: ledger, configs: configs}
}

func (s Sites) newest() *contract.Config { return s.configs[len(s.configs)-1] }

// With takes in sites that are newer than those that are there, and returns how many. What no
// institution of the ledger has signed, as it was in one of its configurations, is passed over.
func (s Sites) With(more ...Site) (Sites, int) {
	taken := 0
	next := NoSites(s.ledger, s.configs...)
	for _, config := range slices.Backward(s.configs) {
		for _, n := range config.Nodes {
			if _, done := next.Of(n); done || len(next.all) == contract.MaxNodes {
				continue
			}
			best, ok := s.Of(n)
			for i := range more {
				m := &more[i]
				of := func(c *contract.Config) bool { return m.Of(s.ledger, c) }
				if m.Node == n && (!ok || m.Number > best.Number) && slices.ContainsFunc(s.configs, of) {
					best, ok = *m, true
					taken++
				}
			}
			if ok {
				next.all = append(next.all, best)
			}
		}
	}
	return next, taken
}

// Of is the site of a node; false if it is not known.
func (s Sites) Of(n contract.Node) (site Site, ok bool) {
	for _, site := range s.all {
		if site.Node == n {
			return site, true
		}
	}
	return Site{}, false
}

// OfKeeper is the newest site of a keeper; false if none is known.
func (s Sites) OfKeeper(key crypto.PubKey) (found Site, ok bool) {
	for _, site := range s.all {
		if site.Keeper == key && (!ok || site.Number > found.Number) {
			found, ok = site, true
		}
	}
	return found, ok
}

// All are those that are known, in the order of the newest configuration, behind them those of
// nodes that left; not to be changed.
func (s Sites) All() []Site { return s.all }

// Whole reports whether the site of each node and each keeper of the newest configuration is
// known.
func (s Sites) Whole() bool {
	for _, key := range s.newest().Keepers {
		if _, ok := s.OfKeeper(key); !ok {
			return false
		}
	}
	for _, n := range s.newest().Nodes {
		if _, ok := s.Of(n); !ok {
			return false
		}
	}
	return true
}
