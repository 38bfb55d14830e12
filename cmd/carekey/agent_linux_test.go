package main

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
)

// agentScript looks at what holds a key unlocked, whose socket is alone in a folder:
//
//	agent pid NAME FOLDER  sets a variable to its process
//	agent kill PID SIGNAL  sends it a signal
//	agent ended PID        waits for its end
//	agent over FOLDER      the same of one that may have ended already
//	agent within PID MIB   sees that it takes no more memory
//	agent idle PID         waits until nobody is connected to it
func agentScript(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "pid" {
		found, err := filepath.Glob(filepath.Join(ts.MkAbs(args[2]), "*"))
		ts.Check(err)
		if len(found) != 1 {
			ts.Fatalf("sockets: %v", found)
		}
		pid, err := peer(found[0])
		ts.Check(err)
		ts.Setenv(args[1], strconv.Itoa(pid))
		return
	}
	if args[0] == "over" {
		found, err := filepath.Glob(filepath.Join(ts.MkAbs(args[1]), "*"))
		ts.Check(err)
		if len(found) == 0 {
			return
		}
		pid, err := peer(found[0])
		if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
			return
		}
		ts.Check(err)
		args = []string{"ended", strconv.Itoa(pid)}
	}
	pid, err := strconv.Atoi(args[1])
	ts.Check(err)
	switch args[0] {
	case "kill":
		signal := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "HUP": syscall.SIGHUP, "STOP": syscall.SIGSTOP}[args[2]]
		ts.Check(syscall.Kill(pid, signal))
		if signal == syscall.SIGSTOP {
			ts.Check(stoodStill(pid))
		}
	case "ended":
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			return
		}
		ts.Check(err)
		defer unix.Close(fd)
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000)
			if n == 1 {
				return
			}
			if err != unix.EINTR {
				ts.Fatalf("it runs on: %v", err)
			}
		}
	case "idle":
		for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			fds, err := filepath.Glob("/proc/" + args[1] + "/fd/*")
			ts.Check(err)
			sockets := 0
			for _, fd := range fds {
				if to, _ := os.Readlink(fd); strings.HasPrefix(to, "socket:") {
					sockets++
				}
			}
			if sockets == 1 { // on which it listens
				return
			}
			if time.Now().After(limit) {
				ts.Fatalf("%d sockets", sockets)
			}
		}
	case "within":
		most, err := strconv.Atoi(args[2])
		ts.Check(err)
		rss, locked := residentOf(pid)
		ts.Logf("it takes %d KiB, of which %d are locked", rss, locked)
		if rss == 0 || rss > most<<10 && !lane.Race() || locked == 0 {
			ts.Fatalf("%d KiB, %d locked", rss, locked)
		}
	default:
		ts.Fatalf("agent %s?", args[0])
	}
}

// residentOf is how many KiB of memory a process has, and how many of them are locked.
func residentOf(pid int) (rss, locked int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		fmt.Sscanf(line, "VmRSS: %d kB", &rss)
		fmt.Sscanf(line, "VmLck: %d kB", &locked)
	}
	return rss, locked
}

// Threat: the process that holds a key for a time, and may be hibernated or snapshot with
// the machine, has more than it needs. What the keys follow from is in its memory once,
// where that is locked; the entropy, the words and the passphrase never were.
func TestAgentHoldsOneCopy(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	h := newHousehold(t)
	h.more = []string{envKeyring + "=file", envXDGRuntime + "="}
	h.run("patient", "init", "--name", "Maria", "--new-ledger", "--words-file", "patient.words")
	h.run("patient", "unlock", "--for", "1h")
	sockets, err := filepath.Glob(h.path("patient/agent/*"))
	if err != nil || len(sockets) != 1 {
		t.Fatal(sockets, err)
	}
	pid, err := peer(sockets[0])
	if err != nil {
		t.Fatal(err)
	}
	h.write("letter.txt", "Penicillin: anaphylaxis, 2009")
	for _, args := range [][]string{{"record", "add", "letter.txt"}, {"status"}, {"card"}, {"backup", "saved"}} {
		h.run(append([]string{"patient"}, args...)...)
	}
	ts := traces(t, h.path("patient.words"), "correct horse of patient")
	b, err := os.ReadFile(h.path("patient.words"))
	if err != nil {
		t.Fatal(err)
	}
	entropy, err := crypto.EntropyFromWords(strings.Fields(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	var root bytes.Buffer
	if err := entropy.Root().HandTo(&root); err != nil {
		t.Fatal(err)
	}
	extracted, err := hkdf.Extract(sha256.New, root.Bytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ts = append(ts, trace{"root", root.Bytes()}, trace{"extracted", extracted})
	const where = "state of HMAC"
	for i, name := range []string{where, "outer " + where} {
		block := make([]byte, 64)
		copy(block, extracted)
		for k := range block {
			block[k] ^= []byte{0x36, 0x5c}[i]
		}
		h := sha256.New()
		h.Write(block)
		state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		state = state[4:36]
		ts = append(ts, trace{"key of HMAC", block[:32]}, trace{name, state})
		words := bytes.Clone(state) // as they are calculated with
		for w := range slices.Chunk(words, 4) {
			slices.Reverse(w)
		}
		ts = append(ts, trace{name + ", in use", words})
	}
	for _, file := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil {
			t.Skipf("the process cannot be looked into here: %v", err)
		}
		if f := found(ts, b); len(f) > 0 {
			t.Errorf("%s holds %v", file, f)
		}
	}
	for name, n := range copies(t, ts, pid) {
		want := 0
		switch {
		case strings.HasSuffix(name, where):
			want = 1
		case strings.HasPrefix(name, "self key"): // what a stack still holds of one use is for the runtime to say
			t.Logf("%s: %d", name, n)
			continue
		}
		if n != want {
			t.Errorf("%s is in its memory %d times, want %d", name, n, want)
		}
	}
	h.run("patient", "lock")
}

// BenchmarkBudgetUnlocked prints what a command takes whose key is held unlocked, against
// the same one with the key in the system's keyring, or with a key file that is opened each
// time where there is none: processor time, its own and the agent's, and the most memory of
// either. Noise of the machine fails nothing.
func BenchmarkBudgetUnlocked(b *testing.B) {
	const rounds = 21
	dir, err := os.MkdirTemp("", "b") // a socket's path is short
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program, passphrase := filepath.Join(dir, "carekey"), filepath.Join(dir, "passphrase")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(passphrase, []byte("a passphrase to measure with"), 0o600); err != nil {
		b.Fatal(err)
	}
	// run returns processor time, and the most memory in MiB.
	run := func(home, kind string, args ...string) (time.Duration, float64) {
		cmd := exec.Command(program, args...)
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
			return strings.HasPrefix(v, "CAREKEY_") || kind == "file" && strings.HasPrefix(v, envXDGRuntime)
		})
		cmd.Env = append(cmd.Env, "CAREKEY_HOME="+filepath.Join(dir, home), "CAREKEY_LEDGER="+filepath.Join(dir, "ledger"), "CAREKEY_KEYRING="+kind, "CAREKEY_PASSPHRASE_FILE="+passphrase)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %v\n%s", args, err, out)
		}
		used := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), float64(used.Maxrss) / 1024
	}
	run("unlocked", "file", "init", "--new-ledger", "--name", "Maria", "--words-file", filepath.Join(dir, "words"))
	run("unlocked", "file", "unlock")
	against := "file"
	if os.Getenv("CAREKEY_REAL_KEYRING") == "1" {
		against = "os"
	}
	run("other", against, "init", "--name", "Leopold", "--words-file", filepath.Join(dir, "his words"))
	found, _ := filepath.Glob(filepath.Join(dir, "unlocked", "agent", "*"))
	if len(found) != 1 {
		b.Fatal(found)
	}
	pid, err := peer(found[0])
	if err != nil {
		b.Fatal(err)
	}
	list := []string{"consent", "list"}
	var ratios []float64
	var most float64
	begun := cpuOf(pid)
	for range rounds * b.N {
		ours, memory := run("unlocked", "file", list...)
		theirs, _ := run("other", against, list...)
		ratios, most = append(ratios, ours.Seconds()/theirs.Seconds()), max(most, memory)
	}
	slices.Sort(ratios)
	rss, _ := residentOf(pid)
	b.ReportMetric(ratios[len(ratios)/2], "ratio-to-"+against)
	if against == "os" {
		b.ReportMetric(3, "budget-max")
	}
	b.ReportMetric(most, "MiB-command")
	b.ReportMetric(40, "budget-MiB-command")
	b.ReportMetric(float64(rss)/1024, "MiB-agent")
	b.ReportMetric(15, "budget-MiB-agent")
	b.ReportMetric((cpuOf(pid)-begun).Seconds()*1000/float64(rounds*b.N), "ms-agent")
	b.ReportMetric(0, "ns/op")
	run("unlocked", "file", "lock")
}

// cpuOf is the processor time of a process so far.
func cpuOf(pid int) time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(b), ") ")
	var ticks time.Duration
	for i, f := range strings.Fields(after) {
		if n, _ := strconv.Atoi(f); i == 11 || i == 12 { // user and system
			ticks += time.Duration(n)
		}
	}
	return ticks * time.Second / 100
}

// peer is the process that listens at a socket.
func peer(socket string) (int, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var cerr error
	err = raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, cerr); err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}
