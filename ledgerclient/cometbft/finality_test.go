package cometbft

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient/cometbft/chain"
	"github.com/cometbft/cometbft/abci/example/kvstore"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/config"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/proxy"
	cmttypes "github.com/cometbft/cometbft/types"
)

// BenchmarkBudgetFinality has one entry after the other ordered by four validators, and in
// turns what the engine's own example keeps, kvstore, by four others with the same settings.
// It prints how many times longer an entry waits until it is decided and kept where it was
// submitted, and the most that may be.
func BenchmarkBudgetFinality(b *testing.B) {
	ours, theirs := finality(b)
	b.ReportMetric(ours/theirs, "ratio")
	b.ReportMetric(ours*1000, "ms-ours")
	b.ReportMetric(theirs*1000, "ms-theirs")
	b.ReportMetric(1.2, "budget-max")
	b.ReportMetric(0, "ns/op")
}

// envFinality names the folder in which validators run until their process ends: the engine's
// reactors go on reading for a moment in what it closes when it is stopped, and what it keeps its
// log in wants its folder every few seconds. With all of them in one process either ends that.
const envFinality = "CAREKEY_FINALITY"

// finality is how long an entry waits, and what the example keeps, in seconds. A process of its
// own finds it out, whose folder is removed when it has ended.
func finality(b *testing.B) (ours, theirs float64) {
	dir := os.Getenv(envFinality)
	if dir == "" {
		dir = b.TempDir()
		cmd := exec.Command(os.Args[0], "-test.run", "^$", "-test.bench", "^BenchmarkBudgetFinality$", "-test.benchtime", "1x")
		cmd.Env = append(os.Environ(), envFinality+"="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	} else {
		ours, theirs := waits(b, dir)
		if err := os.WriteFile(filepath.Join(dir, "waits"), fmt.Appendln(nil, ours, theirs), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "waits"))
	if err == nil {
		_, err = fmt.Sscan(string(text), &ours, &theirs)
	}
	if err != nil {
		b.Fatal(err)
	}
	return ours, theirs
}

// waits finds it out in a folder.
func waits(b *testing.B, dirs string) (our, their float64) {
	const n, rounds = 4, 100
	document, keys := keysOf(b, n)
	c, err := chain.New(document)
	if err != nil {
		b.Fatal(err)
	}
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	members := func() (all []Member) {
		for i, key := range c.Nodes() {
			all = append(all, Member{Name: fmt.Sprint(i), Key: key, Address: freePort(b)})
		}
		return all
	}
	var ours []*Engine
	at := members()
	for i := range n {
		e, err := Start(Options{Dir: filepath.Join(dirs, fmt.Sprint("ours", i)), Genesis: document, Key: keys[i], Members: at, Listen: at[i].Address})
		must(err)
		ours = append(ours, e)
	}
	var theirs []*example
	at = members()
	for i := range n {
		dir := filepath.Join(dirs, fmt.Sprint("theirs", i))
		must(os.MkdirAll(filepath.Join(dir, "data"), 0o700))
		theirs = append(theirs, startExample(b, c, Options{Dir: dir, Key: keys[i], Members: at, Listen: at[i].Address}, i))
	}
	rnd := rand.New(rand.NewPCG(4, 4))
	one := func(i int) time.Duration {
		es := records(rnd, 1, 2)
		start := time.Now()
		_, err := ours[i%n].Backend().Append(b.Context(), es)
		must(err)
		return time.Since(start)
	}
	other := func(i int) time.Duration {
		tx := fmt.Appendf(nil, "%x=%0222d", rnd.Uint64(), i) // of the length of an entry
		start := time.Now()
		must(theirs[i%n].put(b.Context(), tx))
		return time.Since(start)
	}
	for i := range n { // all are connected then, and what is made once is made
		one(i)
		other(i)
	}
	var a, o []time.Duration
	for i := range rounds {
		if i%2 == 0 {
			a, o = append(a, one(i)), append(o, other(i))
		} else {
			o, a = append(o, other(i)), append(a, one(i))
		}
	}
	slices.Sort(a)
	slices.Sort(o)
	middle := func(all []time.Duration) float64 { return all[len(all)/2].Seconds() }
	return middle(a), middle(o)
}

// freePort is host:port at which nobody listens now.
func freePort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// example is a validator of the engine's own example.
type example struct {
	*kvstore.Application
	node *node.Node
	kept chan [][]byte // what was in each block that was kept
	txs  [][]byte
}

func (e *example) FinalizeBlock(ctx context.Context, r *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	e.txs = r.Txs
	return e.Application.FinalizeBlock(ctx, r)
}

func (e *example) Commit(ctx context.Context, r *abci.RequestCommit) (*abci.ResponseCommit, error) {
	out, err := e.Application.Commit(ctx, r)
	if len(e.txs) > 0 {
		e.kept <- e.txs
	}
	return out, err
}

// Query lets every peer connect.
func (e *example) Query(context.Context, *abci.RequestQuery) (*abci.ResponseQuery, error) {
	return &abci.ResponseQuery{}, nil
}

// put has it decided and kept.
func (e *example) put(ctx context.Context, tx []byte) error {
	for len(e.kept) > 0 { // of others
		<-e.kept
	}
	if err := e.node.Mempool().CheckTx(tx, nil, mempool.TxInfo{}); err != nil {
		return err
	}
	for {
		select {
		case txs := <-e.kept:
			if slices.ContainsFunc(txs, func(other []byte) bool { return string(other) == string(tx) }) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func startExample(b *testing.B, c *chain.Chain, opt Options, own int) *example {
	e := &example{Application: kvstore.NewPersistentApplication(filepath.Join(opt.Dir, "data")), kept: make(chan [][]byte, 1<<16)}
	like := &Engine{opt: opt, own: own}
	settings := like.config()
	var peers []string
	for i, m := range opt.Members {
		if i != own {
			peers = append(peers, p2p.IDAddressString(like.id(i), m.Address))
		}
	}
	genesis := func() (*cmttypes.GenesisDoc, error) {
		g := genesisOf(c)
		g.AppHash = nil
		return g, nil
	}
	votes := privval.NewFilePV(cmted25519.PrivKey(opt.Key), "", filepath.Join(opt.Dir, "votes.json"))
	var err error
	e.node, err = node.NewNode(settings, votes, &p2p.NodeKey{PrivKey: cmted25519.PrivKey(ed25519.PrivateKey(opt.Key))}, proxy.NewLocalClientCreator(e), genesis,
		config.DefaultDBProvider, node.DefaultMetricsProvider(settings.Instrumentation), &engineLog{to: slog.New(slog.DiscardHandler), fail: func(err error) { b.Error(err) }})
	if err == nil {
		err = e.node.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	if err := e.node.Switch().DialPeersAsync(peers); err != nil {
		b.Fatal(err)
	}
	return e
}
