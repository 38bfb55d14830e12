package cometbft

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node/nodetest"
	"github.com/carekey/carekey/ledgerclient/order"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/consensus"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/p2p"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"
)

// evilApp is an application that does otherwise where it is said how.
type evilApp struct {
	abci.Application
	prepare  func(r *abci.RequestPrepareProposal, honest [][]byte) [][]byte
	finalize func(r *abci.RequestFinalizeBlock, honest *abci.ResponseFinalizeBlock)
	rejects  bool // whatever others propose
}

func (a *evilApp) PrepareProposal(ctx context.Context, r *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	out, err := a.Application.PrepareProposal(ctx, r)
	if err == nil && a.prepare != nil {
		out.Txs = a.prepare(r, out.Txs)
	}
	return out, err
}

func (a *evilApp) ProcessProposal(ctx context.Context, r *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	if a.rejects {
		return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_REJECT}, nil
	}
	if a.prepare != nil { // what it proposes itself is good to it
		return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_ACCEPT}, nil
	}
	return a.Application.ProcessProposal(ctx, r)
}

func (a *evilApp) FinalizeBlock(ctx context.Context, r *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	out, err := a.Application.FinalizeBlock(ctx, r)
	if err == nil && a.finalize != nil {
		a.finalize(r, out)
	}
	return out, err
}

// evilVotes are votes that are changed before they are signed, or behind it.
type evilVotes struct {
	cmttypes.PrivValidator
	before func(vote *cmtproto.Vote) error
	behind func(chainID string, vote cmtproto.Vote)
}

func (v *evilVotes) SignVote(chainID string, vote *cmtproto.Vote) error {
	if v.before != nil {
		if err := v.before(vote); err != nil {
			return err
		}
	}
	err := v.PrivValidator.SignVote(chainID, vote)
	if err == nil && v.behind != nil {
		v.behind(chainID, *vote)
	}
	return err
}

// startFour starts the validators of a network in this process, whose last member is changed.
func startFour(t *testing.T, change func(o *Options)) (engines []*Engine) {
	document, keys := keysOf(t, 4)
	names := []string{"City hospital", "Region clinic", "University", "Patients"}
	var members []Member
	for i, key := range keys {
		l, err := nodetest.Listen("")
		if err := errors.Join(err, l.Close()); err != nil {
			t.Fatal(err)
		}
		members = append(members, Member{Name: names[i], Key: [32]byte(key.Public().(ed25519.PublicKey)), Address: l.Addr().String()})
	}
	for i, key := range keys {
		o := Options{Dir: t.TempDir(), Genesis: document, Key: key, Members: members, Listen: members[i].Address}
		if i == 3 {
			change(&o)
		}
		e, err := Start(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Stop() })
		engines = append(engines, e)
	}
	return engines
}

// put has entries ordered, again and again while it is not known what came of them.
func (e *Engine) put(ctx context.Context, t *testing.T, es []contract.Entry) {
	t.Helper()
	for {
		_, err := e.Backend().Append(ctx, es)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Error(err)
			return
		}
	}
}

// all reads the order, which has so many items, as soon as this member has read them.
func (e *Engine) all(ctx context.Context, t *testing.T, size int) (items []order.Item) {
	t.Helper()
	for {
		state, decided := e.app.last()
		if state.Size >= uint64(size) {
			break
		}
		select {
		case <-decided:
		case <-ctx.Done():
			t.Fatalf("%d of %d items", state.Size, size)
		}
	}
	for {
		some, err := e.Backend().Read(ctx, uint64(len(items)))
		if len(check(t, some, err)) == 0 {
			return items
		}
		items = append(items, some...)
	}
}

// Threat: one of four members does what it can. The others go on and have one order with each
// entry once and the hour that it is; what can be told from a member that is late is named.
func TestOneEvilMember(t *testing.T) {
	type seams struct {
		app   evilApp
		votes evilVotes
	}
	for name, c := range map[string]struct {
		does  func(s *seams, e func() *Engine)
		named string // by the others
		ends  error  // what it ends with itself
		stops bool   // it ends, with any error
		less  bool   // one of the honest ones is missing
	}{
		"withholds": {does: func(s *seams, _ func() *Engine) {
			s.app.prepare = func(*abci.RequestPrepareProposal, [][]byte) [][]byte { return nil }
		}},
		"refuses what others propose": {does: func(s *seams, _ func() *Engine) { s.app.rejects = true }},
		"proposes junk": {named: "Patients HAS PROPOSED what may not be in a block", does: func(s *seams, _ func() *Engine) {
			s.app.prepare = func(*abci.RequestPrepareProposal, [][]byte) [][]byte { return [][]byte{[]byte("junk")} }
		}},
		"changes what others sent": {named: "Patients HAS PROPOSED what may not be in a block", does: func(s *seams, _ func() *Engine) {
			s.app.prepare = func(_ *abci.RequestPrepareProposal, honest [][]byte) (out [][]byte) {
				for _, tx := range honest {
					tx = bytes.Clone(tx)
					tx[len(tx)-100]++
					out = append(out, tx)
				}
				return out
			}
		}},
		"repeats what was decided": {named: "Patients HAS PROPOSED what may not be in a block", does: func(s *seams, _ func() *Engine) {
			var old [][]byte
			s.app.finalize = func(r *abci.RequestFinalizeBlock, _ *abci.ResponseFinalizeBlock) { old = append(old, r.Txs...) }
			s.app.prepare = func(_ *abci.RequestPrepareProposal, honest [][]byte) [][]byte {
				return append(slices.Clone(old[:min(len(old), 1)]), honest...)
			}
		}},
		"has something else come of it": {stops: true, named: "Patients is missing", does: func(s *seams, _ func() *Engine) {
			s.app.finalize = func(_ *abci.RequestFinalizeBlock, honest *abci.ResponseFinalizeBlock) { honest.AppHash[0]++ }
		}},
		"votes for nothing": {named: "Patients is there and votes for nothing", does: func(s *seams, _ func() *Engine) {
			s.votes.before = func(*cmtproto.Vote) error { return errors.New("it does not") }
		}},
		"votes twice": {named: "Patients HAS VOTED TWICE at block", ends: ErrTwice, does: func(s *seams, e func() *Engine) {
			s.votes.behind = func(chainID string, vote cmtproto.Vote) {
				if vote.Type != cmtproto.PrevoteType || len(vote.BlockID.Hash) == 0 {
					return
				}
				vote.BlockID = cmtproto.BlockID{}
				var err error
				if vote.Signature, err = cmted25519.PrivKey(e().opt.Key).Sign(cmttypes.VoteSignBytes(chainID, &vote)); err != nil {
					t.Error(err)
				}
				e().node.Switch().Broadcast(p2p.Envelope{ChannelID: consensus.VoteChannel, Message: &cmtcons.Vote{Vote: &vote}})
			}
		}},
		"says that it is later": {named: "the clock of Patients is 59m", does: func(s *seams, _ func() *Engine) {
			s.votes.before = func(vote *cmtproto.Vote) error {
				vote.Timestamp = vote.Timestamp.Add(time.Hour - 30*time.Second)
				return nil
			}
		}},
		"says that it is earlier, and each vote is needed": {less: true, named: "the clock of Patients is 59m", does: func(s *seams, _ func() *Engine) {
			s.votes.before = func(vote *cmtproto.Vote) error {
				vote.Timestamp = vote.Timestamp.Add(30*time.Second - time.Hour)
				return nil
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
			defer stop()
			var evil *Engine
			s := &seams{}
			c.does(s, func() *Engine { return evil })
			began := time.Now()
			engines := startFour(t, func(o *Options) {
				o.testOnlyApp = func(honest abci.Application) abci.Application {
					s.app.Application = honest
					return &s.app
				}
				o.testOnlyVotes = func(e *Engine, honest cmttypes.PrivValidator) cmttypes.PrivValidator {
					evil, s.votes.PrivValidator = e, honest
					return &s.votes
				}
			})
			honest := engines[:3]
			rnd := rand.New(rand.NewPCG(13, uint64(len(name))))
			var all []contract.Entry
			put := func(e *Engine, n int) {
				es := records(rnd, n, contract.KindRecord)
				all = append(all, es...)
				e.put(ctx, t, es)
			}
			put(honest[0], 3)
			if c.less {
				if err := honest[2].Stop(); err != nil {
					t.Fatal(err)
				}
				honest = honest[:2]
			}
			var together sync.WaitGroup
			for _, e := range honest {
				var some [][]contract.Entry
				for range 4 {
					some = append(some, records(rnd, 5, contract.KindRecord))
				}
				all = append(all, slices.Concat(some...)...)
				together.Go(func() {
					for _, es := range some {
						e.put(ctx, t, es)
					}
				})
			}
			together.Wait()
			if c.ends != nil || c.stops {
				var err error
				for err == nil && ctx.Err() == nil {
					select {
					case err = <-evil.Failed():
					default:
						put(honest[0], 1)
					}
				}
				if err == nil || c.ends != nil && !errors.Is(err, c.ends) {
					t.Errorf("it ends with %v", err)
				}
				evil.Stop() // as its process does
			}
			for _, e := range honest {
				for !strings.Contains(e.Status().Words, c.named) && ctx.Err() == nil {
					put(e, 1)
				}
				words := e.Status().Words
				t.Log(words)
				if !strings.Contains(words, c.named) {
					t.Errorf("%s says %q", e.opt.Members[e.own].Name, words)
				}
				for _, m := range e.Status().Members[:3] {
					if m.Twice > 0 || m.Wrong > 0 || m.Ahead != 0 || m.State == stateSilent {
						t.Errorf("%s says of an honest member: %+v", e.opt.Members[e.own].Name, m)
					}
				}
			}
			items := honest[0].all(ctx, t, len(all))
			count := map[contract.Entry]int{}
			for _, i := range items {
				count[i.Entry]++
				if at := time.Unix(int64(i.Hour)*3600, 0); at.After(time.Now()) || at.Before(began.Add(-time.Hour)) {
					t.Errorf("an item has the hour %v", at.UTC())
				}
			}
			for i, e := range all {
				if count[e] != 1 {
					t.Errorf("entry %d is in the order %d times", i, count[e])
				}
			}
			for _, e := range honest[1:] {
				if !slices.Equal(e.all(ctx, t, len(all)), items) {
					t.Errorf("%s has another order", e.opt.Members[e.own].Name)
				}
			}
			if n := cmp.Or(len(items)-len(all), len(count)-len(all)); n != 0 {
				t.Errorf("%d items for %d entries", len(items), len(all))
			}
		})
	}
}
