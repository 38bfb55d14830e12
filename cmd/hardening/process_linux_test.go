package hardening

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const childVariable = "CAREKEY_TEST_HARDENED"

func TestMain(m *testing.M) {
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

func TestProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "0 0 0" {
		t.Errorf("%v: %s", err, out)
	}
}
