package crash

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
)

const childVariable = "CAREKEY_TEST_CRASH_IN"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		Handle(func(value any) {
			println(Value(value) + "\n" + strings.Join(Stack(), "\n"))
			os.Exit(1)
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			defer Report()
			withSecret([32]byte{0xde, 0xad, 0xbe, 0xef}, "in the value")
		})
		wg.Wait()
		println("went on")
		return
	}
	os.Exit(m.Run())
}

//go:noinline
func withSecret(key [32]byte, text string) { panic(errors.New(text + string(key[:4]))) }

// A panic of a goroutine ends the program, and is told of by the names of functions.
func TestReport(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1", "GOTRACEBACK=all")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("%v", err)
	}
	text := string(out)
	if !strings.HasPrefix(text, "*errors.errorString\n") || !strings.Contains(text, "crash.withSecret (crash_test.go:") {
		t.Errorf("it says\n%s", text)
	}
	for _, no := range []string{"0x", "in the value", "\xde\xad", "went on", "goroutine", "crash.Report"} {
		if strings.Contains(text, no) {
			t.Errorf("%q is in\n%s", no, text)
		}
	}
}

// Without a handler a panic stays one, and what ends without one is let alone.
func TestReportNothing(t *testing.T) {
	func() {
		defer func() {
			if recover() != "as it was" {
				t.Error("the panic is gone")
			}
		}()
		defer Report()
		panic("as it was")
	}()
	Handle(func(any) { t.Error("called") })
	defer handler.Store(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer Report()
		runtime.Goexit()
	}()
	<-done
	func() { defer Report() }()
}

func TestValue(t *testing.T) {
	var index any
	func() {
		defer func() { index = recover() }()
		var none []int
		_ = none[len(os.Args)]
	}()
	if got := Value(index); !strings.Contains(got, "index out of range") {
		t.Error(got)
	}
	if got := Value("a secret"); got != "string" {
		t.Error(got)
	}
}
