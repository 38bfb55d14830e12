package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
)

// BenchmarkBudgetNetwork lets wallets submit entries at the four nodes of a devnet, eight
// processes on this computer, eight at each at one time, as many in a request as a batch has
// in one. It prints how many a second they are, and how much that is of what there could be if
// each of the four nodes verified each signature once, on all cores, and nothing else were done
// (ratio), in time and in the processor time of the eight (ratio-processor, on Linux), with the
// least that they may be. What a signature takes is measured before and after.
//
// By profiles of all eight, 67 of 100 of their processor time are the signatures: once for each
// node, and not again where an entry was submitted. 22 are the engine's (votes, what validators
// tell each other, its database), 11 what else nodes do: reading the order, twice, and hashing.
//
// CAREKEY_COMETBFT names the folder with carekey-ledger-cometbft.
func BenchmarkBudgetNetwork(b *testing.B) {
	const each, wallets = 125, 32             // entries of one request; that submit at one time
	total := lane.Pick(32_000, 32_000, 4_000) // entries
	engines := os.Getenv(envEngine)
	if engines == "" {
		b.Skip(envEngine + " is not set: build ledgerclient/cometbft/carekey-ledger-cometbft, and name its folder")
	}
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Setenv("PATH", engines+string(filepath.ListSeparator)+os.Getenv("PATH"))
	dir, err := os.MkdirTemp("", "net") // the name of a socket must be short
	must(err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	must(err)
	bin := filepath.Join(dir, "carekey-node")
	must(os.Symlink(self, bin))
	serve := func() (net devnetJSON, end func()) {
		cmd := exec.Command(bin, "devnet", filepath.Join(dir, "d"), "--idle", "--json")
		out, err := cmd.StdoutPipe()
		must(err)
		must(cmd.Start())
		end = sync.OnceFunc(func() {
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
		})
		b.Cleanup(end)
		must(json.NewDecoder(out).Decode(&net))
		return net, end
	}
	net, end := serve()
	end()
	// All wallets have one address here: what a node allows one address is for all.
	for _, m := range net.Members {
		must(edit(m.Node, func(c *config) error {
			none := server.Rate{PerSecond: -1, Burst: 1}
			c.Limits = server.Limits{Requests: 256, PerAddress: 256, Connections: 1024, ConnectionsPerAddress: 1024, Rate: none, Order: none, Checks: none, Bytes: none}
			return nil
		}))
	}
	net, _ = serve()
	clients := make([]*ledgerclient.Client, len(net.Members))
	for i, m := range net.Members {
		invitation, err := node.ParseInvitation(m.Invitation)
		must(err)
		n, err := node.Dial(b.Context(), invitation, node.Options{Wait: time.Minute})
		must(err)
		clients[i], err = ledgerclient.Connect(b.Context(), n.Services(), invitation.Ledger)
		must(err)
	}
	ledger := clients[0].ID()
	var pids []int
	for _, m := range net.Members {
		pids = append(pids, m.PIDs[:]...)
	}
	var verified, verifying, took, used time.Duration
	for b.Loop() {
		es := make([]contract.Entry, total)
		ledgerclient.Parallel(total, func(i int) {
			key := crypto.GenerateKey() // as wallets do: of each thread another
			es[i] = contract.Entry{Version: contract.Version, Kind: contract.KindRecord, Author: key.Public(), Commitment: crypto.Hash(crypto.NewSalt())}
			if err := es[i].Sign(ledger, key); err != nil {
				b.Error(err)
			}
		})
		verify := func(es []contract.Entry) { // while nothing else is done
			before, start := processorTime(os.Getpid()), time.Now()
			ledgerclient.Parallel(len(es), func(i int) {
				if !es[i].Author.Verify(es[i].ID(ledger), es[i].Signature) {
					b.Error("a signature is not one")
				}
			})
			verified += time.Since(start)
			verifying += processorTime(os.Getpid()) - before
		}
		verify(es[:total/2])
		before, start := processorTime(pids...), time.Now()
		chunks := make(chan []contract.Entry, total/each)
		for i := 0; i < total; i += each {
			chunks <- es[i : i+each]
		}
		close(chunks)
		var wg sync.WaitGroup
		for i := range wallets {
			wg.Go(func() {
				for some := range chunks {
					if err := submit(b.Context(), clients[i%len(clients)], some); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		took += time.Since(start)
		used += processorTime(pids...) - before
		verify(es[total/2:])
	}
	nodes := float64(len(net.Members))
	entries := float64(b.N * total)
	b.ReportMetric(entries/took.Seconds(), "entries/s")
	b.ReportMetric(verified.Seconds()*nodes/took.Seconds(), "ratio")
	if used > 0 {
		b.ReportMetric(verifying.Seconds()*nodes/used.Seconds(), "ratio-processor")
		b.ReportMetric(used.Seconds()/entries*1e6, "µs-processor/entry")
		b.ReportMetric(verifying.Seconds()/entries*1e6, "µs-processor/verify")
	}
	b.ReportMetric(0.7, "budget-min")
	b.ReportMetric(0, "ns/op")
}

// submit has entries ordered, and accepted. Where others use the computer too it may take
// longer until enough nodes have signed than a node waits: it is asked again, as a wallet does.
func submit(ctx context.Context, c *ledgerclient.Client, es []contract.Entry) error {
	out, err := c.Ledger.Append(ctx, es)
	for u := (*ledgerclient.UnreachableError)(nil); errors.As(err, &u) && ctx.Err() == nil; {
		out, err = c.Ledger.Append(ctx, es)
	}
	for i := range out {
		if err == nil && out[i].Refusal != nil {
			err = out[i].Refusal
		}
	}
	return err
}

// processorTime is what processes have used so far; 0 where the system does not say it.
func processorTime(pids ...int) (sum time.Duration) {
	const tick = time.Second / 100 // USER_HZ
	for _, pid := range pids {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if errors.Is(err, os.ErrNotExist) {
			return 0
		}
		_, rest, _ := strings.Cut(string(b), ") ") // behind the program's name
		fields := strings.Fields(rest)
		if len(fields) < 13 {
			return 0
		}
		for _, f := range fields[11:13] { // utime, stime
			n, _ := strconv.Atoi(f)
			sum += time.Duration(n) * tick
		}
	}
	return sum
}
