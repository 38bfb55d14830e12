package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
)

// walletProgram is the program that plays the main job. A node knows nothing of wallets.
const walletProgram = "carekey"

// Of a devnet that plays.
const (
	devnetWithin = 2 * time.Minute        // how long what must come by itself may take
	devnetLook   = 200 * time.Millisecond // how often that is looked at
)

// play shows what the ledger is for: the main job, with two new wallets; then the institution
// that invited both loses power, and the job goes on; then it comes back.
func (d *devnet) play(ctx context.Context, out *devnetJSON) (err error) {
	if err := d.reached(ctx, out.Members); err != nil {
		return err
	}
	if out.Wallets, err = os.MkdirTemp(d.dir, "wallets-"); err != nil {
		return err
	}
	invitation := filepath.Join(d.dir, "invitation")
	if err := os.WriteFile(invitation, []byte(out.Members[0].Invitation+"\n"), 0o600); err != nil {
		return err
	}
	lost, other := &out.Members[0], &out.Members[1]
	d.print("\nThe main job, with two new wallets that %s invites. What each command prints is in %s.", lost.Name, d.said())
	if err := d.job(ctx, "try", "--folder", out.Wallets, "--ledger", "@"+invitation); err != nil {
		return err
	}

	d.print("\n%s loses power: its validator and its node are killed (processes %d and %d). What the validator of %s says of that:", lost.Name, lost.PIDs[0], lost.PIDs[1], other.Name)
	for _, pid := range lost.PIDs {
		d.kill(pid)
	}
	if err := d.until(ctx, "3 of 4 decide", d.engine, "status", other.Validator); err != nil {
		return err
	}
	d.print("\nThe main job once more, with the same wallets and another record: they go on with the other three.")
	note := filepath.Join(d.dir, "visit.txt")
	if err := os.WriteFile(note, []byte("A made-up note, of a visit while "+lost.Name+" was away.\n"), 0o600); err != nil {
		return err
	}
	if err := d.job(ctx, "try", "--folder", out.Wallets, note); err != nil {
		return err
	}

	d.print("\n%s is started again, and reads what it has missed. What its validator and its node say:", lost.Name)
	if lost.PIDs[0], err = d.serveOrder(lost.Name, lost.Validator, ""); err != nil {
		return err
	}
	if lost.PIDs[1], err = d.serveNode(*lost); err != nil {
		return err
	}
	if err := d.until(ctx, "4 of 4 decide\n", d.engine, "status", lost.Validator); err != nil {
		return err
	}
	if err := d.until(ctx, "4 of 4 sign", d.self, "status", lost.Node); err != nil {
		return err
	}
	head, err := d.agreed(ctx, out.Members)
	if err != nil {
		return err
	}
	d.print("All four have signed the same %d entries.", head.Size)
	d.print("\nAll of it goes on running until Ctrl-C (%s: processes %d and %d now). To go on as Maria, or as the clinic, see the end of %s.", lost.Name, lost.PIDs[0], lost.PIDs[1], d.said())
	return nil
}

// said is the file with all that the play's commands printed.
func (d *devnet) said() string { return filepath.Join(d.dir, "job.log") }

// job runs the program of wallets, and shows what it does by its own headings.
func (d *devnet) job(ctx context.Context, args ...string) error {
	log, err := os.OpenFile(d.said(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, d.wallet, args...)
	cmd.Cancel = func() error { // it ends what it runs
		if cmd.Process.Signal(syscall.SIGTERM) != nil {
			return cmd.Process.Kill()
		}
		return nil
	}
	var why strings.Builder
	cmd.Stderr = io.MultiWriter(log, &why)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	lines, begins := bufio.NewScanner(io.TeeReader(out, log)), false
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "# "); ok && begins {
			d.print("  %s", text)
		}
		begins = lines.Text() == "" // of a part, which has a heading
	}
	io.Copy(log, out)
	if err := cmd.Wait(); err != nil {
		first, _, _ := strings.Cut(strings.TrimPrefix(why.String(), "error: "), "\n")
		return errDevnet.With("what", "the main job", "why", first, "log", d.said())
	}
	return nil
}

// kill ends a process of the devnet at once, as a power failure does.
func (d *devnet) kill(pid int) {
	d.mu.Lock()
	i := slices.IndexFunc(d.running, func(p *devnetProcess) bool { return p.cmd.Process.Pid == pid })
	p := d.running[i]
	d.running = slices.Delete(d.running, i, i+1)
	d.mu.Unlock()
	p.cmd.Process.Kill()
	<-p.ended
}

// until asks until a line of the answer has what is said, and shows it from there on.
func (d *devnet) until(ctx context.Context, said, program string, args ...string) error {
	return d.await(ctx, strings.TrimSpace(said), func(ctx context.Context) bool {
		out, _ := exec.CommandContext(ctx, program, args...).Output()
		for line := range strings.Lines(string(out)) {
			_, text, found := strings.Cut(line, said)
			if found {
				d.print("  %s", strings.TrimSpace(said+text))
				return true
			}
		}
		return false
	})
}

// await waits until what must come has come.
func (d *devnet) await(ctx context.Context, what string, done func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, devnetWithin)
	defer cancel()
	look := time.NewTicker(devnetLook)
	defer look.Stop()
	for !done(ctx) {
		select {
		case <-look.C:
		case <-ctx.Done():
			return errDevnet.With("what", "waiting for: "+what, "why", "it did not come", "log", d.dir)
		}
	}
	return nil
}

// reached waits until every node knows where the keepers of all are.
func (d *devnet) reached(ctx context.Context, members []devnetMember) error {
	return d.await(ctx, "all nodes to know of each other", func(ctx context.Context) bool {
		for _, m := range members {
			inv, err := node.ParseInvitation(m.Invitation)
			if err != nil {
				return false
			}
			nw, err := node.Reach(ctx, inv, node.Options{})
			if err != nil {
				return false
			}
			keepers := len(nw.Services().Keepers)
			nw.Close()
			if keepers < len(members) {
				return false
			}
		}
		return true
	})
}

// agreed waits until every node shows one head, signed by all of them, and returns it.
func (d *devnet) agreed(ctx context.Context, members []devnetMember) (head ledgerclient.Head, err error) {
	err = d.await(ctx, "all nodes to sign the same", func(ctx context.Context) bool {
		for i, m := range members {
			s, err := d.signatures(ctx, m)
			if err != nil || slices.ContainsFunc(s.By, func(by ledgerclient.Signed) bool { return !by.Plain }) {
				return false
			}
			if i > 0 && (s.Head.Size != head.Size || s.Head.Root != head.Root) {
				return false
			}
			head = s.Head
		}
		return true
	})
	return head, err
}

// signatures are those under the head that a node shows.
func (d *devnet) signatures(ctx context.Context, m devnetMember) (s ledgerclient.Signatures, err error) {
	inv, err := node.ParseInvitation(m.Invitation)
	if err != nil {
		return s, err
	}
	services, err := d.dial(ctx, inv, nil)
	if err != nil {
		return s, err
	}
	doc, err := services.Ledger.Genesis(ctx)
	if err != nil {
		return s, err
	}
	c, err := contract.ParseConfig(doc)
	if err != nil {
		return s, err
	}
	note, err := services.Ledger.Checkpoint(ctx)
	if err != nil {
		return s, err
	}
	return ledgerclient.OpenNote(inv.Ledger, c.Nodes, note)
}
