package folder

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// The test binary is run again as another process when this is set: as what.
const roleVariable = "CAREKEY_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := otherProcess(role, os.Getenv("CAREKEY_TEST_DIR")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// otherProcess reads batches of entries as JSON lines, appends them, and writes
// a line with the size of the log for each; or, as a reader, reads until its
// input ends.
func otherProcess(role, dir string) error {
	f, err := Open(dir, Options{AcceptClock: true, Wait: time.Minute})
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Println("ready")
	in := bufio.NewReader(os.Stdin)
	for n := 0; ; n++ {
		if role == "reader" {
			if _, err := io.ReadFull(in, make([]byte, 1)); err == io.EOF {
				fmt.Println(n)
				return nil
			}
			if err := readConsistently(f); err != nil {
				return err
			}
			fmt.Println(n)
			continue
		}
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var raw [][]byte
		if err := json.Unmarshal(line, &raw); err != nil {
			return err
		}
		var es []contract.Entry
		for _, b := range raw {
			e, err := contract.ParseEntry(b)
			if err != nil {
				return err
			}
			es = append(es, e)
		}
		out, err := f.Append(ctx, es)
		if err != nil {
			return err
		}
		for _, o := range out {
			if o.Refusal != nil {
				return o.Refusal
			}
		}
		fmt.Println(out[0].Index)
	}
}

// readConsistently reads what a client would and checks that it fits together.
func readConsistently(f *Folder) error {
	msg, err := f.Checkpoint(ctx)
	if err != nil {
		return err
	}
	h, err := f.key.parse(msg)
	if err != nil {
		return err
	}
	leaves, err := f.Leaves(ctx, 0, h.size)
	if err != nil {
		return err
	}
	if root := treeHash(len(leaves), func(i int) []byte { b := leaves[i].Marshal(); return b[:] }); root != h.root {
		return fmt.Errorf("the leaves are not those of checkpoint %d", h.size)
	}
	last := leaves[len(leaves)-1].Entry.ID(f.id)
	if at, ok, err := f.Find(ctx, last); err != nil || !ok || at != h.size-1 {
		return fmt.Errorf("the last leaf is at %d: %v %v", at, ok, err)
	}
	return nil
}

type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startProcess(t testing.TB, role, dir string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe)}
	p.cmd.Env = append(os.Environ(), roleVariable+"="+role, "CAREKEY_TEST_DIR="+dir)
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := p.out.ReadString('\n'); line != "ready\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	return p
}

func (p *process) send(es []contract.Entry) error {
	var raw [][]byte
	for i := range es {
		b := es[i].Marshal()
		raw = append(raw, b[:])
	}
	line, err := json.Marshal(raw)
	if err != nil {
		return err
	}
	_, err = p.in.Write(append(line, '\n'))
	return err
}

func (p *process) answer() (int, error) {
	line, err := p.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(line[:len(line)-1])
}

// TestProcesses has two processes append at once while two others read.
func TestProcesses(t *testing.T) {
	f, _ := newLedger(t)
	const rounds, size = 25, 6
	var wg sync.WaitGroup
	var all [][]contract.Entry
	for k := range 2 {
		w := newWriterNow(t, f)
		w.r = rand.New(rand.NewPCG(uint64(k), 3))
		var batches [][]contract.Entry
		for range rounds {
			batches = append(batches, w.batch(size))
		}
		all = append(all, batches...)
		p := startProcess(t, "writer", f.dir)
		wg.Go(func() {
			for _, es := range batches {
				if err := p.send(es); err != nil {
					t.Error(err)
					return
				}
				if _, err := p.answer(); err != nil {
					t.Error(err)
					return
				}
			}
			p.in.Close()
			if err := p.cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		p := startProcess(t, "reader", f.dir)
		readers.Go(func() {
			for last := false; ; { // it reads once when the writers are done: they may be quicker
				select {
				case <-done:
					if !last {
						last = true
						break
					}
					p.in.Close()
					if err := p.cmd.Wait(); err != nil {
						t.Error(err)
					}
					return
				default:
				}
				if _, err := p.in.Write([]byte{1}); err != nil {
					t.Error(err)
					return
				}
				if _, err := p.answer(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(done)
	readers.Wait()
	if t.Failed() {
		return
	}
	mustVerify(t, f)
	m := modelOf(t, f)
	m.check(t, f)
	if len(m.leaves) != 1+2*rounds*size {
		t.Errorf("%d leaves", len(m.leaves))
	}
	requireWholeBatches(t, f, m, all, len(all))
}

// requireWholeBatches requires that the entries of each batch stand together or
// are not there, and that at least so many are.
func requireWholeBatches(t *testing.T, f *Folder, m *model, batches [][]contract.Entry, least int) {
	t.Helper()
	at := map[contract.ID]int{}
	for i := range m.leaves {
		at[m.leaves[i].Entry.ID(m.id)] = i
	}
	in := 0
	for k, es := range batches {
		first, ok := at[es[0].ID(m.id)]
		if ok {
			in++
		}
		for i := range es {
			if place, there := at[es[i].ID(m.id)]; there != ok || there && place != first+i {
				t.Fatalf("batch %d is not in the log as a whole", k)
			}
		}
	}
	if in < least {
		t.Errorf("%d batches are in, want %d", in, least)
	}
}

// TestKillProcess kills a process that appends, each time at a random moment of
// the batch after a random number of acknowledged ones. Each batch is then in
// the log as a whole or not at all, those that were acknowledged are, and the
// ledger goes on.
func TestKillProcess(t *testing.T) {
	f, clock := newLedger(t)
	f.Close()
	dir := f.dir
	r := rand.New(rand.NewPCG(5, 5))
	w := newWriterNow(t, f)
	var verified *Mark
	kills := lane.Pick(60, 30, 10)
	acknowledged, unknown, promised := 0, 0, 0
	span := batchTime(t, dir, w)
	for kill := range kills {
		p := startProcess(t, "writer", dir)
		var batches [][]contract.Entry
		known := 0
		before := r.IntN(4)
		promised += before
		var timer *time.Timer
		for {
			es := []contract.Entry{w.record(), w.grant()}
			batches = append(batches, es)
			if known == before { // how long a batch takes differs much: the kill is aimed at this one
				timer = time.AfterFunc(time.Duration(r.Int64N(int64(span))), func() { p.cmd.Process.Kill() })
			}
			if p.send(es) != nil {
				break
			}
			if _, err := p.answer(); err != nil {
				break
			}
			known++
		}
		if timer != nil {
			timer.Stop()
		}
		p.cmd.Process.Kill()
		p.cmd.Wait()

		g, err := Open(dir, Options{Clock: clock.now, AcceptClock: true})
		if err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		report, err := g.Verify(ctx, verified, nil)
		if err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		verified = report.Mark
		m := modelOf(t, g)
		if kill%10 == 9 {
			m.check(t, g)
		}
		requireWholeBatches(t, g, m, batches, known)
		acknowledged += known
		unknown += len(batches) - known
		g.Close()
	}
	t.Logf("%d kills, %d batches acknowledged, %d cut off, log of %d", kills, acknowledged, unknown, verified.Size)
	if acknowledged < promised {
		t.Errorf("only %d batches were acknowledged before the kills, not %d: another error ended the process", acknowledged, promised)
	}
}

// batchTime is about how long another process takes for a batch of two.
func batchTime(t *testing.T, dir string, w *writer) time.Duration {
	t.Helper()
	p := startProcess(t, "writer", dir)
	start := time.Now()
	const n = 5
	for range n {
		if err := p.send([]contract.Entry{w.record(), w.grant()}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.answer(); err != nil {
			t.Fatal(err)
		}
	}
	d := time.Since(start) / n
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return d
}
