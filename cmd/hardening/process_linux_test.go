package hardening

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const childVariable = "CAREKEY_TEST_HARDENED"

const listVariable = "CAREKEY_TEST_LIST"

const quitVariable = "CAREKEY_TEST_QUIT"

func TestMain(m *testing.M) {
	if os.Getenv(quitVariable) != "" {
		ctx, stop := Signals()
		unix.Kill(os.Getpid(), unix.SIGQUIT)
		<-ctx.Done()
		stop()
		unix.Kill(os.Getpid(), unix.SIGQUIT)
		println("ended")
		return
	}
	if how := os.Getenv(listVariable); how != "" {
		if how == "hardened" {
			if err := Process(); err != nil {
				panic(err)
			}
		}
		list := exec.Command("sh", "-c", "for f in /proc/self/fd/*; do readlink $f; done; true")
		list.Stdout = os.Stdout
		if err := list.Run(); err != nil {
			panic(err)
		}
		return
	}
	if os.Getenv(childVariable) != "" {
		if err := Process(); err != nil {
			panic(err)
		}
		var core unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
			panic(err)
		}
		dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		if err != nil {
			panic(err)
		}
		println(core.Cur, core.Max, dumpable)
		return
	}
	os.Exit(m.Run())
}

// SIGQUIT asks a program to end, as other signals do; however often it comes, no
// stack is printed.
func TestSignals(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), quitVariable+"=1", "GOTRACEBACK=all")
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "ended\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// A program that a hardened one starts has none of the descriptors that it was started
// with, such as the one with the passphrase.
func TestDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passphrase")
	for how, inherited := range map[string]int{"plain": 2, "hardened": 0} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), listVariable+"="+how)
		for range 2 {
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			cmd.ExtraFiles = append(cmd.ExtraFiles, nil, f) // 4 and 6
		}
		out, err := cmd.CombinedOutput()
		if n := strings.Count(string(out), path); err != nil || n != inherited || !strings.Contains(string(out), "/") {
			t.Errorf("%s: %d are inherited: %v\n%s", how, n, err, out)
		}
	}
}

func TestProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "0 0 0" {
		t.Errorf("%v: %s", err, out)
	}
}
