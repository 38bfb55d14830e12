package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
)

// devnetRun is a devnet at work.
type devnetRun struct {
	t   *testing.T
	ctx context.Context
	bin string
	devnetJSON
}

// run runs a program until it ends.
func (d *devnetRun) run(args ...string) []byte {
	d.t.Helper()
	out, err := exec.CommandContext(d.ctx, d.bin, args...).Output()
	if err != nil {
		d.t.Fatalf("carekey-node %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// begin starts a program and returns what it prints. It is told to stop, and has to end, by
// end, or else when the test ends.
func (d *devnetRun) begin(program string, args ...string) (out io.Reader, p *exec.Cmd, end func()) {
	d.t.Helper()
	p = exec.CommandContext(d.ctx, program, args...)
	p.Stderr = d.t.Output()
	out, err := p.StdoutPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	var once sync.Once
	end = func() {
		once.Do(func() {
			p.Process.Signal(syscall.SIGTERM)
			if err := p.Wait(); err != nil {
				d.t.Errorf("%s %s: %v", filepath.Base(program), strings.Join(args, " "), err)
			}
		})
	}
	d.t.Cleanup(end)
	return out, p, end
}

// An institution whose validator and node were away while much was ordered reads and judges
// all of it, signs what the others have, and the two take a bounded memory.
func TestCatchUp(t *testing.T) {
	lane.OneGoroutine(t)
	const most = 256 << 20 // bytes of memory for a validator and a node
	engines := os.Getenv(envEngine)
	if engines == "" {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal("no " + envEngine)
		}
		t.Skip("no " + envEngine)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", engines+string(filepath.ListSeparator)+os.Getenv("PATH"))
	// Not that of the test, which ends before its processes are told to stop.
	ctx, stop := context.WithTimeout(context.Background(), lane.Pick(2*time.Hour, 10*time.Minute, 10*time.Minute))
	t.Cleanup(stop)
	dir, err := os.MkdirTemp("", "net") // the name of a socket must be short
	must(err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	must(err)
	d := &devnetRun{t: t, ctx: ctx, bin: filepath.Join(dir, "carekey-node")}
	must(os.Symlink(self, d.bin))
	net := filepath.Join(dir, "net")

	out, _, end := d.begin(d.bin, "devnet", net, "--idle", "--json")
	must(json.NewDecoder(out).Decode(&d.devnetJSON))
	end()
	for _, m := range d.Members { // all of it comes from one address here
		must(edit(m.Node, func(c *config) error {
			none := server.Rate{PerSecond: -1, Burst: 1}
			c.Limits = server.Limits{Rate: none, Order: none, Checks: none, Bytes: none}
			return nil
		}))
	}
	out, _, _ = d.begin(d.bin, "devnet", net, "--idle", "--json")
	must(json.NewDecoder(out).Decode(&d.devnetJSON))
	late := d.Members[3]
	for _, pid := range late.PIDs {
		p, err := os.FindProcess(pid)
		must(err)
		must(p.Kill())
	}

	const batch = 256
	each := lane.Pick(131, 2, 2) // batches through each of the others
	var sent sync.WaitGroup
	for _, m := range d.Members[:3] {
		i, err := node.ParseInvitation(m.Invitation)
		must(err)
		sent.Go(func() {
			n, err := node.Dial(ctx, i, node.Options{Wait: time.Minute})
			if err != nil {
				t.Error(err)
				return
			}
			ledger := n.Services().Ledger
			for range each {
				var es []contract.Entry
				for range batch {
					key := crypto.GenerateKey()
					e := contract.Entry{Version: contract.Version, Kind: contract.KindRecord, Author: key.Public(), Commitment: crypto.Hash(crypto.NewSalt())}
					if err := e.Sign(i.Ledger, key); err != nil {
						t.Error(err)
					}
					es = append(es, e)
				}
				for {
					out, err := ledger.Append(ctx, es)
					if err == nil {
						for _, o := range out {
							if o.Refusal != nil {
								t.Error(o.Refusal)
							}
						}
						break
					}
					if ctx.Err() != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	sent.Wait()
	if t.Failed() {
		return
	}
	want := uint64(3*each*batch + 1)

	began := time.Now()
	out, validator, _ := d.begin("carekey-ledger-cometbft", "serve", late.Validator)
	var line [8]byte
	_, err = io.ReadFull(out, line[:])
	must(err)
	go io.Copy(io.Discard, out)
	out, served, _ := d.begin(d.bin, "serve", late.Node, "--listen", strings.TrimPrefix(late.URL, "https://"))
	go io.Copy(io.Discard, out)
	for {
		var s description
		must(json.Unmarshal(d.run("status", d.Members[0].Node, "--json"), &s))
		if i := len(s.Peers) - 1; s.Peers[i].Name == late.Name && s.Peers[i].Entries == want && s.Peers[i].Fault == "" {
			if s.Entries != want {
				t.Errorf("%d entries at the first, and %d at the last", s.Entries, want)
			}
			break
		}
		must(ctx.Err())
	}
	t.Logf("catch-up: %d entries were read and judged in %.1f s, of processor time the validator's %.1f s, the node's %.1f s", want, time.Since(began).Seconds(), processorTime(validator.Process.Pid).Seconds(), processorTime(served.Process.Pid).Seconds())
	took := []int64{(&nodeProcess{cmd: validator}).peak(t), (&nodeProcess{cmd: served}).peak(t)}
	t.Logf("memory: after %d entries, validator: %d MiB, node: %d MiB", want, took[0]>>20, took[1]>>20)
	if took[0]+took[1] > most && !lane.Race() {
		t.Errorf("more than %d MiB", most>>20)
	}
}
