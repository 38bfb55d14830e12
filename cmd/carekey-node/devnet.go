package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/spf13/cobra"
)

// engine is the program with which several institutions keep an order. It is a module of
// its own, and nothing of it is in this program.
const engine = "carekey-ledger-cometbft"

// devnetNames are the institutions of a devnet.
var devnetNames = []string{"City hospital", "Region clinic", "University", "Patients"}

const (
	errNoEngine fault.Code = "engine-missing" // program
	errNoWallet fault.Code = "wallet-missing" // program
	errDevnet   fault.Code = "devnet-failed"  // what, why, log
)

// endWithin is how long a process of a devnet may take to end when it is told to.
const endWithin = 20 * time.Second

func newDevnet(a *app) *cobra.Command {
	idle := false
	c := &cobra.Command{
		Use:   "devnet [DIR]",
		Short: "Run a ledger of four institutions on this computer, and see it at work",
		Long: `Found a ledger of four institutions in a folder, by default a new one, and run a
validator and a node for each of them on this computer, until told to stop (Ctrl-C).
With the folder of an earlier devnet it goes on with that one. It is for trying things
out: all keys are in one folder.

Two new wallets, a patient's and a clinic's, do the main job on it: a record, a grant, a
fetch, an audit, a revocation, a refused fetch. Then one institution is killed, the job is
done once more with the other three, and the one comes back. --idle leaves that out.

Each of the eight is a process of its own: end one to see what the others do. The
validators are the program ` + engine + `, the wallets ` + walletProgram + `: both
are looked for beside this one and in PATH.`,
		Example: "  carekey-node devnet\n  carekey-node devnet region --idle",
		Args:    cli.Takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			d, err := newDevnetIn(a, args, idle)
			if err != nil {
				return err
			}
			defer d.end()
			out, err := d.up(ctx)
			if err == nil && !idle {
				err = d.play(ctx, &out)
			}
			if err == nil {
				err = d.result(out)
			}
			if err != nil && ctx.Err() == nil {
				return err
			}
			<-ctx.Done()
			return nil
		},
	}
	c.Flags().BoolVar(&idle, "idle", false, "play nothing on it")
	return c
}

// devnet are four institutions on this computer.
type devnet struct {
	*app
	dir                  string
	self, engine, wallet string // programs

	port int                     // the last that was taken
	held map[string]net.Listener // addresses that nobody else is to have before they are used

	mu      sync.Mutex
	ending  bool // what ends from now on was told to
	running []*devnetProcess
}

// devnetProcess is one of a devnet.
type devnetProcess struct {
	what  string
	cmd   *exec.Cmd
	ended chan struct{}
}

// devnetJSON is a devnet that runs.
type devnetJSON struct {
	Dir     string         `json:"dir"`
	Wallets string         `json:"wallets"` // folder of those that played; "": nothing was played
	Members []devnetMember `json:"members"`
}

type devnetMember struct {
	Name       string `json:"name"`
	URL        string `json:"url"`
	Invitation string `json:"invitation"`
	Node       string `json:"node"`      // folder
	Validator  string `json:"validator"` // folder
	PIDs       [2]int `json:"pids"`      // of the validator and the node
}

func newDevnetIn(a *app, args []string, idle bool) (*devnet, error) {
	d := &devnet{app: a, port: 20_000 + rand.N(10_000), held: map[string]net.Listener{}} // not one that the system gives to who wants any
	var err error
	if d.self, err = exec.LookPath(os.Args[0]); err == nil {
		d.self, err = filepath.Abs(d.self)
	}
	if err != nil {
		return nil, err
	}
	path := filepath.Dir(d.self) + string(filepath.ListSeparator) + os.Getenv("PATH")
	if err := os.Setenv("PATH", path); err != nil { // nodes look for it there too
		return nil, err
	}
	if d.engine, err = exec.LookPath(engine); err != nil {
		return nil, errNoEngine.With("program", engine)
	}
	if d.wallet, err = exec.LookPath(walletProgram); err != nil && !idle {
		return nil, errNoWallet.With("program", walletProgram)
	}
	if len(args) == 0 {
		d.dir, err = os.MkdirTemp("", "carekey-devnet-")
		return d, err
	}
	if d.dir, err = filepath.Abs(args[0]); err != nil {
		return nil, err
	}
	return d, os.MkdirAll(d.dir, 0o700)
}

func (d *devnet) path(kind string, i int) string {
	return filepath.Join(d.dir, fmt.Sprint(kind, i+1))
}

// up founds the ledger, as far as that was not done before, and starts all of it.
func (d *devnet) up(ctx context.Context) (out devnetJSON, err error) {
	draft := filepath.Join(d.dir, "draft")
	if err := d.agree(ctx, draft); err != nil {
		return out, err
	}
	at, err := d.validators(ctx, draft)
	if err != nil {
		return out, err
	}
	var agreed draftJSON
	text, err := d.did(ctx, "found", "show", draft, "--json")
	if err == nil {
		err = json.Unmarshal([]byte(text), &agreed)
	}
	if err != nil {
		return out, err
	}
	out.Dir = d.dir
	for i, name := range devnetNames {
		node := d.path("node", i)
		cfg, err := readConfig(node)
		if err != nil {
			return out, err
		}
		f, err := d.openFolder(node, cfg, true)
		if errors.Is(err, folder.ErrNoLedger) {
			_, err = d.did(ctx, "found", "node", node, draft, "--id", agreed.Ledger, "--order", "cometbft:"+d.path("validator", i))
		} else if err == nil {
			err = f.Close()
		}
		if err != nil {
			return out, err
		}
		out.Members = append(out.Members, devnetMember{Name: name, URL: cfg.URLs[0], Node: node, Validator: d.path("validator", i), PIDs: [2]int{at[i]}})
	}
	for i := range out.Members {
		m := &out.Members[i]
		if m.PIDs[1], err = d.serveNode(*m); err != nil {
			return out, err
		}
		invitation, err := d.did(ctx, "invite", m.Node)
		if err != nil {
			return out, err
		}
		m.Invitation = strings.TrimSpace(invitation)
	}
	d.say("This computer is serving a ledger of four institutions, in %s, until Ctrl-C.", d.dir)
	var rows cli.Rows
	for _, m := range out.Members {
		rows.Add(m.Name, fmt.Sprintf("%s\nvalidator: process %d, node: process %d", m.URL, m.PIDs[0], m.PIDs[1]))
	}
	d.print("%s", strings.TrimSuffix(rows.Text(""), "\n"))
	d.print("\ncarekey init --ledger %s\n%s status %s", out.Members[0].Invitation, engine, out.Members[0].Validator)
	return out, nil
}

// serveNode starts a member's node.
func (d *devnet) serveNode(m devnetMember) (pid int, err error) {
	u, err := url.Parse(m.URL)
	if err != nil {
		return 0, err
	}
	return d.start("the node of "+m.Name, m.Node+".log", u.Host, d.self, "serve", m.Node, "--listen", u.Host)
}

// serveOrder starts a member's validator. at is its address, as long as that is held.
func (d *devnet) serveOrder(name, dir, at string) (pid int, err error) {
	return d.start("the validator of "+name, dir+".log", at, d.engine, "serve", dir)
}

// agree makes the keys of all institutions, and a draft of their lines.
func (d *devnet) agree(ctx context.Context, draft string) error {
	args := []string{"found", "draft", "--name", "Devnet"}
	for i, name := range devnetNames {
		line := []string{"found", "line", d.path("node", i)}
		if _, err := readConfig(line[2]); err != nil {
			at, err := d.freeAddress()
			if err != nil {
				return err
			}
			line = append(line, "--as", name, "--url", "https://"+at)
		}
		text, err := d.did(ctx, line...)
		if err != nil {
			return err
		}
		file := d.path("line", i)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
		args = append(args, file)
	}
	text, err := d.did(ctx, args...)
	if err != nil {
		return err
	}
	return os.WriteFile(draft, []byte(text), 0o600)
}

// validators makes a validator for each institution, and starts all of them. They return
// their processes' ids.
func (d *devnet) validators(ctx context.Context, draft string) (pids []int, err error) {
	addresses := make([]string, len(devnetNames)) // "" where they were made before
	if _, err := os.Stat(d.path("validator", len(devnetNames)-1)); err != nil {
		var peers []string
		for i, name := range devnetNames {
			if addresses[i], err = d.freeAddress(); err != nil {
				return nil, err
			}
			peers = append(peers, "--peer", name+"="+addresses[i])
		}
		for i := range devnetNames {
			if err := os.RemoveAll(d.path("validator", i)); err != nil { // nothing ran in it yet
				return nil, err
			}
			args := append([]string{"init", d.path("validator", i), "--draft", draft, "--node", d.path("node", i), "--listen", addresses[i]}, peers...)
			if out, err := exec.CommandContext(ctx, d.engine, args...).CombinedOutput(); err != nil {
				return nil, errDevnet.With("what", engine+" init", "why", strings.TrimSpace(string(out)), "log", d.dir)
			}
		}
	}
	for i, name := range devnetNames {
		pid, err := d.serveOrder(name, d.path("validator", i), addresses[i])
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// did runs a command of this program and returns what it printed.
func (d *devnet) did(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, d.self, args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", errDevnet.With("what", "carekey-node "+strings.Join(args[:2], " "), "why", strings.TrimSpace(said.String()), "log", d.dir)
	}
	return string(out), nil
}

// start starts a process that listens at an address, and returns its id when it has said in a
// line that it serves.
func (d *devnet) start(what, log, at, program string, args ...string) (pid int, err error) {
	d.release(at)
	said, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer said.Close()
	p := &devnetProcess{what: what, cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Stderr = said
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return 0, err
	}
	lines := bufio.NewReader(out)
	_, err = lines.ReadString('\n')
	d.mu.Lock()
	d.running = append(d.running, p)
	d.mu.Unlock()
	go func() {
		defer crash.Report()
		io.Copy(io.Discard, lines)
		p.cmd.Wait()
		close(p.ended)
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.ending && slices.Contains(d.running, p) {
			d.say("%s has ended (%v): see %s", p.what, p.cmd.ProcessState, log)
		}
	}()
	if err != nil {
		return 0, errDevnet.With("what", what, "why", "it ended", "log", log)
	}
	return p.cmd.Process.Pid, nil
}

// end ends all processes: the nodes before the validators.
func (d *devnet) end() {
	for at := range d.held {
		d.release(at)
	}
	d.mu.Lock()
	d.ending = true
	d.mu.Unlock()
	for i := len(d.running) - 1; i >= 0; i-- {
		if p := d.running[i]; p.cmd.Process.Signal(syscall.SIGTERM) != nil {
			p.cmd.Process.Kill()
		}
	}
	late := time.After(endWithin)
	for _, p := range d.running {
		select {
		case <-p.ended:
		case <-late:
			p.cmd.Process.Kill()
			<-p.ended
		}
	}
}

// freeAddress is one of this computer at which nobody listens, and nobody else can before it is
// released: what is founded names it long before its process runs.
func (d *devnet) freeAddress() (string, error) {
	for {
		d.port++
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(d.port))
		l, err := net.Listen("tcp", at)
		if err == nil {
			d.held[at] = l
			go func() {
				defer crash.Report()
				refuse(l)
			}()
			return at, nil
		}
		if d.port >= 32_000 {
			return "", err
		}
	}
}

// refuse lets nobody wait at an address that is held: a node that is made asks the others, and
// of one that never says a word it cannot know that it is not there.
func refuse(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // it is released
		}
		c.Close()
	}
}

func (d *devnet) release(at string) {
	if l := d.held[at]; l != nil {
		l.Close()
		delete(d.held, at)
	}
}
