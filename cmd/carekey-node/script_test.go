package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
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

	"github.com/carekey/carekey/cmd/cli/clitest"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/node/nodetest"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/mod/sumdb/note"
)

// The scripts in testdata/operator run the real program. Only the test's own main knows
// a clock that can be set.
const testClock = "CAREKEY_TEST_CLOCK"

// envWitness names the folder with the programs of a witness that is not ours, as they are
// built by go install filippo.io/torchwood/cmd/litewitness@v0.9.0.
const envWitness = "CAREKEY_LITEWITNESS"

// envEngine names the folder with carekey-ledger-cometbft, as .ci/run builds it.
const envEngine = "CAREKEY_COMETBFT"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"carekey-node": func() {
		os.Exit(clitest.Checked(os.Args[1:], true, func(args []string, out, err *os.File) int {
			a := newApp()
			a.out, a.err = out, err
			if t := os.Getenv(testClock); t != "" {
				now, err := time.Parse(time.RFC3339, t)
				if err != nil {
					panic(err)
				}
				start := time.Now()
				a.now = func() time.Time { return now.Add(time.Since(start)) }
			}
			return a.run(args)
		}))
	}})
}

func TestScripts(t *testing.T) {
	// Each command in them is a process, which the race detector makes slow to start.
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "operator", lane.Pick("*", "*", "operator")+".txtar"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	testscript.Run(t, testscript.Params{
		Files:              files,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			example, err := filepath.Abs(filepath.Join("..", "..", "ledgerclient", "ledgertest", "testdata"))
			if err != nil {
				return err
			}
			env.Setenv("PATH", env.Getenv("PATH")+string(filepath.ListSeparator)+example+string(filepath.ListSeparator)+os.Getenv(envWitness))
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Setenv(envEngine, os.Getenv(envEngine))
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if folder, is := map[string]string{"litewitness": envWitness, "cometbft": envEngine}[cond]; is {
				return os.Getenv(folder) != "", nil
			}
			if cond != "python3" {
				return false, fmt.Errorf("no condition %s", cond)
			}
			_, err := exec.LookPath("python3")
			if err != nil && os.Getenv("CAREKEY_NO_SKIP") != "" {
				t.Error("python3 is not installed")
			}
			return err == nil, nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exit": clitest.Exit, "is": clitest.Is, "json": clitest.JSON, "start": start, "end": end, "says": says, "get": get, "opens": opens,
			"address": address, "until": until,
		},
	})
}

// running are the processes that scripts started, by script and name.
var running sync.Map

type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// start NAME PROGRAM ARGS... starts a server and waits until it says where it
// listens: $NAME_LISTENING, $NAME_METRICS. Its output goes to NAME.out and NAME.log.
func start(ts *testscript.TestScript, neg bool, args []string) {
	name := args[0]
	out, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	log, err := os.Create(ts.MkAbs(name + ".log"))
	ts.Check(err)
	path := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if p := filepath.Join(dir, args[1]); path == "" && isFile(p) {
			path = p
		}
	}
	p := &process{cmd: exec.Command(path, args[2:]...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = ts.MkAbs("."), out, log
	for _, v := range []string{"PATH", "HOME", "WORK", "TZ", "TMPDIR", "SYSTEMROOT", testClock} {
		p.cmd.Env = append(p.cmd.Env, v+"="+ts.Getenv(v))
	}
	ts.Check(p.cmd.Start())
	go func() {
		p.cmd.Wait()
		out.Close()
		log.Close()
		close(p.done)
	}()
	running.Store(ts.MkAbs(name), p)
	ts.Defer(func() {
		p.cmd.Process.Kill()
		<-p.done
	})
	await(ts, "a server to listen", func() bool {
		select {
		case <-p.done:
			ts.Fatalf("%s ended: %s", name, ts.ReadFile(name+".log"))
		default:
		}
		if !strings.Contains(ts.ReadFile(name+".log"), "serving") { // which it says after all addresses
			return false
		}
		for line := range strings.Lines(ts.ReadFile(name + ".out")) {
			word, url, _ := strings.Cut(strings.TrimSpace(line), " ")
			ts.Setenv(strings.ToUpper(name+"_"+word), url)
		}
		return true
	})
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// end NAME CODE sends SIGTERM to a server that was started, and waits for its end.
func end(ts *testscript.TestScript, neg bool, args []string) {
	v, ok := running.Load(ts.MkAbs(args[0]))
	if !ok {
		ts.Fatalf("no server %s was started", args[0])
	}
	p := v.(*process)
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	<-p.done
	if got := strconv.Itoa(p.cmd.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("%s ended with %s, not %s: %s", args[0], got, args[1], ts.ReadFile(args[0]+".log"))
	}
}

// says FILE TEXT waits until a file holds a text.
func says(ts *testscript.TestScript, neg bool, args []string) {
	await(ts, args[1], func() bool {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && bytes.Contains(b, []byte(args[1]))
	})
}

// opens NOTE KEY: a signed note verifies with a verifier key, each in a file.
func opens(ts *testscript.TestScript, neg bool, args []string) {
	v, err := note.NewVerifier(strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(err)
	if _, err = note.Open([]byte(ts.ReadFile(args[0])), note.VerifierList(v)); (err == nil) == neg {
		ts.Fatalf("%s with %s: %v", args[0], args[1], err)
	}
}

func await(ts *testscript.TestScript, what string, done func() bool) {
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("waited a minute for %s", what)
		}
	}
}

// get STATUS URL [PATTERN] asks a node, whatever its certificate is, and leaves the answer in
// the file answer. With a pattern it asks until there is an answer as that says.
func get(ts *testscript.TestScript, neg bool, args []string) {
	c := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	ask := func() (status string, answer []byte) {
		r, err := c.Get(args[1])
		ts.Check(err)
		defer r.Body.Close()
		answer, err = io.ReadAll(io.LimitReader(r.Body, 1<<20))
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs("answer"), answer, 0o600))
		return strconv.Itoa(r.StatusCode), answer
	}
	if len(args) > 2 {
		pattern := regexp.MustCompile(args[2])
		await(ts, args[2], func() bool {
			status, answer := ask()
			return status == args[0] && pattern.Match(answer)
		})
	} else if status, answer := ask(); status != args[0] {
		ts.Fatalf("status %s, not %s: %s", status, args[0], answer)
	}
}

// address NAME sets a variable to an address of this computer at which nobody listens, and
// that nobody is given who wants any.
func address(ts *testscript.TestScript, neg bool, args []string) {
	l, err := nodetest.Listen("")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

// until PATTERN COMMAND ARGS... runs a command until it ends well and what it prints is as the pattern says.
func until(ts *testscript.TestScript, neg bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[0])
	await(ts, args[0], func() bool {
		return ts.Exec(args[1], args[2:]...) == nil && pattern.MatchString(ts.ReadFile("stdout"))
	})
}
