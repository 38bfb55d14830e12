package hardening

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const childVariable = "CAREKEY_TEST_HARDENED"

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

func TestProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "0 0 0" {
		t.Errorf("%v: %s", err, out)
	}
}
