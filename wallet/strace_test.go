package wallet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/wallet"
)

// scenario adds a record, grants it, fetches it and revokes the consent.
func scenario(d district) error {
	runtime.LockOSThread() // strace counts the calls of each thread
	patient, clinic, f, err := d.open()
	if err != nil {
		return err
	}
	defer f.Close()
	for i, step := range []string{"add", "grant", "fetch", "revoke"} {
		_, do, err := prepare(patient, clinic, step, i)
		if err == nil && do == nil {
			err = errors.New("nothing to do it with")
		}
		// What only looks, or ends a consent, goes on and tells.
		unwritten := slices.Concat(patient.Unwritten(), clinic.Unwritten())
		if err == nil {
			err = do()
			unwritten = slices.Concat(unwritten, patient.Unwritten(), clinic.Unwritten())
		}
		if err = errors.Join(err, errors.Join(unwritten...)); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	return nil
}

// writing are the system calls that change files. Of openat only those that
// create a file are made to fail.
var writing = []string{"write", "pwrite64", "fsync", "fdatasync", "ftruncate", "renameat", "renameat2", "linkat", "unlinkat", "mkdirat", "openat", "fchmod", "fchmodat", "utimensat"}

// harmless are faults that a child may not notice: removals and modes, a lock that can
// be taken without writing, files that follow from the log, what a segment's header says
// (it is behind then, which is as good), a checkpoint that a revocation has room for, and
// what a keeper is told again after the log was written.
var harmless = regexp.MustCompile(`^\d+ +(unlinkat|fchmod|fchmodat|utimensat)\(|/(patient|clinic)/lock"|/ledger/keeper[/>]|/ledger/payloads/\d{10}>, .*, 64, 0\)|/ledger/checkpoint\.new[">].*ENOSPC`)

// syscallLine is a line of strace -f: thread, call, arguments and result.
var syscallLine = regexp.MustCompile(`^(\d+) +([a-z0-9]+)\((.*)$`)

// straced runs the scenario under strace with GOMAXPROCS=1, so that one thread
// does everything in the same order every time.
func straced(t testing.TB, d district, log string, args ...string) (stderr string, err error) {
	t.Helper()
	child := otherProcess(t, "scenario", d, "")
	args = append([]string{"-f", "-y", "-qq", "--seccomp-bpf", "-e", "signal=none", "-o", log}, args...)
	cmd := exec.Command("strace", append(args, child.Path)...)
	cmd.Env = append(child.Env, "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// injection is one system call to fail: the n-th of its thread.
type injection struct {
	call  string
	n     int
	error string
}

func (i injection) String() string { return fmt.Sprintf("%s %d %s", i.call, i.n, i.error) }

// injections lists the calls of a traced run that touch the district's files.
func injections(log, dir string) []injection {
	var out []injection
	count := map[string]int{} // thread and call
	for _, line := range strings.Split(log, "\n") {
		m := syscallLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		count[m[1]+m[2]]++
		if !strings.Contains(m[3], dir) || m[2] == "openat" && !strings.Contains(m[3], "O_CREAT") {
			continue
		}
		n := count[m[1]+m[2]]
		out = append(out, injection{m[2], n, []string{"EIO", "ENOSPC"}[n%2]})
	}
	return out
}

// Promise 8: each write, sync, rename, removal or creation that fails, once, with
// an I/O error or a full disk, ends the program with an error or not at all, and
// leaves everything whole or absent.
func TestEveryFileOperationFailsOnce(t *testing.T) {
	lane.OneGoroutine(t)
	if out, err := exec.Command("strace", "-qq", "-o", os.DevNull, "-e", "trace=none", "true").CombinedOutput(); err != nil {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatalf("strace: %v %s", err, out)
		}
		t.Skipf("strace is not installed or may not trace: %v", err)
	}
	template := newDistrict(t, t.TempDir())
	copyOf := func(t testing.TB) district {
		d := district{filepath.Join(t.TempDir(), "district")}
		if out, err := exec.Command("cp", "-a", template.dir, d.dir).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		return d
	}
	d := copyOf(t)
	logFile := filepath.Join(t.TempDir(), "log")
	if stderr, err := straced(t, d, logFile, "-e", "trace="+strings.Join(writing, ",")); err != nil {
		t.Fatalf("%v %s", err, stderr)
	}
	log, err := os.ReadFile(logFile)
	if err != nil {
		t.Fatal(err)
	}
	all := injections(string(log), d.dir)
	chosen := sample(all, lane.Pick(150, 5, 5))

	var mu sync.Mutex
	made, injected, quiet := map[string]int{}, map[string]int{}, map[string]int{}
	for _, i := range all {
		made[i.call]++
	}
	ends, missed := map[string]int{}, 0
	start := time.Now()
	t.Run("calls", func(t *testing.T) {
		for _, i := range chosen {
			t.Run(i.String(), func(t *testing.T) {
				t.Parallel()
				d := copyOf(t)
				logFile := filepath.Join(t.TempDir(), "log")
				stderr, err := straced(t, d, logFile, "-e", "trace="+i.call, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", i.call, i.error, i.n))
				log, rerr := os.ReadFile(logFile)
				if rerr != nil {
					t.Fatal(rerr)
				}
				var what string
				for _, line := range strings.Split(string(log), "\n") {
					if strings.Contains(line, "(INJECTED)") && strings.Contains(line, d.dir) {
						what = line
					}
				}
				if what == "" && strings.HasPrefix(stderr, "runtime: netpollBreak") { // it hit how Go wakes its own threads
					mu.Lock()
					defer mu.Unlock()
					missed++
					return
				}
				end := afterFault(t, d, stderr, err)
				if t.Failed() {
					t.Logf("failed: %s\nthe child said: %s", what, stderr)
				}
				mu.Lock()
				defer mu.Unlock()
				if what == "" {
					missed++
					return
				}
				injected[i.call]++
				ends[end]++
				if strings.HasPrefix(end, "succeeded") {
					quiet[i.call]++
					if !harmless.MatchString(what) {
						t.Errorf("the child noticed nothing of %s", what)
					}
				}
			})
		}
	})
	total := 0
	var names []string
	for _, n := range injected {
		total += n
	}
	for name := range made {
		names = append(names, fmt.Sprintf("%s %d of %d", name, injected[name], made[name]))
	}
	sort.Strings(names)
	t.Logf("%d faults in %v: %s", total, time.Since(start).Round(100*time.Millisecond), strings.Join(names, ", "))
	t.Logf("ends: %s", countsOf(ends))
	t.Logf("of those that succeeded all the same: %s", countsOf(quiet))
	// What other goroutines call is counted with the thread that they happen to be on.
	if t.Logf("%d of %d hit nothing", missed, len(chosen)); missed*2 > len(chosen) {
		t.Errorf("%d of %d faults hit nothing: the calls are not in the same order every time", missed, len(chosen))
	}
}

// sample takes all calls, or every k-th of a name that has more than most of them.
func sample(all []injection, most int) []injection {
	of := map[string][]injection{}
	for _, i := range all {
		of[i.call] = append(of[i.call], i)
	}
	var out []injection
	for _, call := range writing {
		is := of[call]
		limit := most
		if call == "fchmod" || call == "fchmodat" || call == "utimensat" {
			limit = min(limit, 10) // modes and times: nothing depends on them
		}
		step := (len(is) + limit - 1) / limit
		for j := 0; j < len(is); j += step {
			out = append(out, is[j])
		}
	}
	return out
}

// afterFault checks what a faulty child left and tells how it ended.
func afterFault(t testing.TB, d district, stderr string, err error) string {
	t.Helper()
	for _, word := range []string{"panic:", "fatal error:", "goroutine "} {
		if strings.Contains(stderr, word) {
			t.Fatalf("the child panicked: %s", stderr)
		}
	}
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("the child ended with %v: %s", err, stderr)
	}
	// The damage that a fault leaves must be none even before anything is mended by
	// the next run.
	f, ferr := d.folder()
	if ferr != nil {
		t.Fatalf("the ledger does not open: %v", ferr)
	}
	defer f.Close()
	if _, verr := f.Verify(context.Background(), nil, nil); verr != nil {
		t.Errorf("the ledger does not verify: %v", verr)
	}
	waiting := len(d.journal(t))
	a := inspect(t, d, true)
	for _, fin := range a.finished {
		if fin.Err != nil {
			t.Errorf("finishing %s: %v", fin.Action, fin.Err)
		}
	}
	if err == nil {
		if len(a.records) != 1 || len(a.grants) != 1 || len(a.revoked) != 1 || len(a.fetched) != 1 {
			t.Errorf("the child succeeded, but: %+v", a)
		}
		if waiting > 0 {
			return "succeeded, cleaned up by the next run"
		}
		return "succeeded"
	}
	// All of it works now.
	if err := scenarioAgain(d, len(a.records) == 1, 10); err != nil {
		t.Errorf("the second try: %v", err)
	}
	step, _, _ := strings.Cut(strings.TrimSpace(stderr), ":")
	if !strings.Contains("add grant fetch revoke", step) {
		step = "opening"
	}
	if waiting > 0 {
		return step + " failed, finished by the next run"
	}
	return step + " failed, absent"
}

// scenarioAgain is scenario with another grant, and the record only if it is not
// there.
func scenarioAgain(d district, have bool, n int) error {
	patient, clinic, f, err := d.open()
	if err != nil {
		return err
	}
	defer f.Close()
	for _, step := range []string{"add", "grant", "fetch", "revoke"} {
		if step == "add" {
			src := source("r0", 1)
			if _, existing, err := patient.Records().Add(context.Background(), src, wallet.Describe{}, nil); err != nil || existing != have {
				return fmt.Errorf("add: existing %t, want %t, %w", existing, have, err)
			}
			continue
		}
		_, do, err := prepare(patient, clinic, step, n)
		if err == nil {
			err = do()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	return nil
}
