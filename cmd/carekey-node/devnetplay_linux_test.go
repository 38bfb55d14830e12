package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
)

// TestDevnetPlays is one command: four institutions, the main job on them, a kill and a recovery,
// and all of it until Ctrl-C. That is a signal to all of the terminal's processes, and leaves
// none of them and no file outside of the devnet's folder, in the midst of the job too; the next
// one goes on in that folder.
func TestDevnetPlays(t *testing.T) {
	if !lane.Long() {
		t.Log("in the long lane alone: it takes a minute")
		return
	}
	engines := os.Getenv(envEngine)
	if missing := envEngine + " is not set: build ledgerclient/cometbft/carekey-ledger-cometbft, and name its folder"; engines == "" && os.Getenv("CAREKEY_NO_SKIP") != "" {
		t.Fatal(missing)
	} else if engines == "" {
		t.Skip(missing)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "net") // the name of a socket must be short
	must(err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	must(err)
	bin := filepath.Join(dir, "bin")
	for _, d := range []string{"bin", "home", "tmp", "cwd"} {
		must(os.Mkdir(filepath.Join(dir, d), 0o700))
	}
	must(os.Symlink(self, filepath.Join(bin, "carekey-node")))
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, walletProgram), "../"+walletProgram).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	net := filepath.Join(dir, "d")
	// run runs a devnet until it has printed what is said, and then ends as Ctrl-C does.
	run := func(said string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, "carekey-node"), "devnet", net)
		cmd.Dir = filepath.Join(dir, "cwd")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Env = append(os.Environ(), "HOME="+filepath.Join(dir, "home"), "TMPDIR="+filepath.Join(dir, "tmp"), "TZ=UTC",
			"XDG_CONFIG_HOME=", "XDG_DATA_HOME=", "XDG_STATE_HOME=", "PATH="+strings.Join([]string{bin, engines, os.Getenv("PATH")}, string(filepath.ListSeparator)))
		var out, log lockedBuffer
		cmd.Stdout, cmd.Stderr = &out, &log
		must(cmd.Start())
		group := -cmd.Process.Pid
		t.Cleanup(func() { syscall.Kill(group, syscall.SIGKILL) })
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for !strings.Contains(out.String(), said) {
			select {
			case err := <-ended:
				t.Fatalf("it ended (%v) before it said %q:\n%s%s", err, said, out.String(), log.String())
			case <-time.After(10 * time.Millisecond):
			}
		}
		must(syscall.Kill(group, syscall.SIGINT))
		if err := <-ended; err != nil {
			t.Errorf("Ctrl-C: %v:\n%s", err, log.String())
		}
		for _, p := range inGroup(t, -group) {
			t.Errorf("a process is left: %s", p)
		}
		for _, d := range []string{"home", "tmp", "cwd"} {
			must(filepath.WalkDir(filepath.Join(dir, d), func(path string, e fs.DirEntry, err error) error {
				if err == nil && !e.IsDir() {
					t.Errorf("%s is left", path)
				}
				return err
			}))
		}
		return out.String()
	}
	run("The main job, with two new wallets that City hospital invites.")
	got := run("All of it goes on running until Ctrl-C")
	for _, part := range []string{
		`(?m)^City hospital  https://127\.0\.0\.1:\d+\n +validator: process \d+, node: process \d+$`,
		`(?s)The main job, with two new wallets.*\n  All \d+ lines ended as they should\.\n\nCity hospital loses power`,
		`(?m)^  3 of 4 decide; City hospital is missing since .* UTC$`,
		`(?s)The main job once more, with the same wallets and another record.*\n  All \d+ lines ended as they should\.\n\nCity hospital is started again`,
		`(?m)^  4 of 4 decide$`, `(?m)^  4 of 4 sign, and 3 are needed$`, `(?m)^All four have signed the same \d+ entries\.$`,
	} {
		if !regexp.MustCompile(part).MatchString(got) {
			t.Errorf("no %s in\n%s", part, got)
		}
	}
}

// inGroup are the processes of a group that have not ended.
func inGroup(t *testing.T, group int) (all []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		b, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(b), ") ") // behind the program's name
		if f := strings.Fields(rest); len(f) > 2 && f[2] == strconv.Itoa(group) && f[0] != "Z" {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(stat), "cmdline"))
			all = append(all, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return all
}

// lockedBuffer is what a process prints, read while it does.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
