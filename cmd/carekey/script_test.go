package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/cli/clitest"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/wallet/keyring/agent"
	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata/script run the real program, as the commands carekey,
// patient, clinic and attacker. Only the test's own main knows a clock that can be
// set, and a key file that is cheap to open.

// testClock is the variable that the test's programs read their clock from.
const testClock = "CAREKEY_TEST_CLOCK"

// testPause makes a program stop before its end, to be looked at. testCrash makes
// it crash when it asks for the time, with the content of the file that it names.
const (
	testPause = "CAREKEY_TEST_PAUSE"
	testCrash = "CAREKEY_TEST_CRASH"
	testApart = "CAREKEY_TEST_CRASH_APART" // in a goroutine of its own, if it is set
)

// testSeen is the variable for a screen whose process can be looked into.
const testSeen = "CAREKEY_TEST_SEEN"

// testPatience is the variable with how long they wait for a node, which is an hour without
// it, and for what holds a key.
const testPatience = "CAREKEY_TEST_PATIENCE"

func TestMain(m *testing.M) {
	program := func(defaults map[string]string, args func() []string) func() {
		return func() {
			exit := clitest.Checked(args()[1:], false, func(rest []string, out, err *os.File) int {
				a := testApp(defaults)
				a.out, a.err = out, err
				crash.Handle(func(value any) {
					a.err = os.Stderr
					os.Exit(a.crashed(value))
				})
				return a.main(append(args()[:1:1], rest...))
			})
			pause()
			os.Exit(exit)
		}
	}
	own := func() []string { return os.Args }
	commands := map[string]func(){"carekey": program(nil, own)}
	for _, who := range actors {
		commands[who] = program(actorEnv(os.Getenv("WORK"), who), own)
	}
	commands[agent.Name] = program(nil, own)
	commands[pluginName] = program(nil, func() []string { return append([]string{pluginName}, os.Args[1:]...) })
	testscript.Main(tidy{m}, commands)
}

var (
	here     string // the folder of these tests, in which a story may not be for a moment, see acts
	builtDir string // of the programs that tests build, each of them once
)

// tidy makes what all tests share, and removes it at the end.
type tidy struct{ *testing.M }

func (m tidy) Run() int {
	var err1, err2 error
	here, err1 = os.Getwd()
	builtDir, err2 = os.MkdirTemp("", "carekey-built-")
	if err := errors.Join(err1, err2); err != nil {
		panic(err)
	}
	defer os.RemoveAll(builtDir)
	return m.M.Run()
}

var actors = []string{"patient", "clinic", "attacker"}

// testApp is the program with a cheap key file and the clock of the variable.
func testApp(defaults map[string]string) *app {
	a := newApp()
	a.workFactor = 2
	a.holderPatience = 5 * time.Minute // however slow the machine is
	if t := os.Getenv(testClock); t != "" {
		now, err := time.Parse(time.RFC3339, t)
		if err != nil {
			panic(err)
		}
		a.now = func() time.Time { return now.In(time.Local) }
	}
	if file := os.Getenv(testCrash); file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		a.now = func() time.Time { panic(string(b)) } // as bad as a crash can be
		if os.Getenv(testApart) != "" {
			a.now = func() (t time.Time) {
				var wg sync.WaitGroup
				wg.Go(func() {
					defer crash.Report()
					panic(string(b))
				})
				wg.Wait()
				return t
			}
		}
	}
	if at := os.Getenv(testSleeper); at != "" {
		askSleeper(a, at)
	}
	a.patience = time.Hour // on a machine that has much to do nothing is late
	if d := os.Getenv(testPatience); d != "" {
		var err error
		if a.patience, err = time.ParseDuration(d); err != nil {
			panic(err)
		}
		a.holderPatience = a.patience
	}
	a.lookup = func(name string) (string, bool) {
		if name == envLocked && os.Getenv(testSeen) != "" {
			letSee()
		}
		if v, ok := os.LookupEnv(name); ok {
			return v, true
		}
		v, ok := defaults[name]
		return v, ok
	}
	return a
}

// actorEnv gives an actor a home and a passphrase of its own, and all the same
// ledger.
func actorEnv(work, who string) map[string]string {
	return map[string]string{
		envHome:       filepath.Join(work, who),
		envLedger:     filepath.Join(work, "ledger"),
		envKeyring:    "file",
		envPassphrase: filepath.Join(work, who+".passphrase"),
	}
}

func TestScripts(t *testing.T) {
	// Each command in them is a process, which the race detector makes slow.
	files, err := filepath.Glob(filepath.Join(top(), "testdata", "script", lane.Pick("*", "*", "*main-job")+".txtar"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	testscript.Run(t, testscript.Params{
		Files:              files,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Values[scriptNodeKey{}] = &scriptNode{}
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Setenv("GOGC", "400") // they end soon, and stories are thousands of them
			// testscript's is one folder for all, in which root can make a wallet.
			env.Setenv("HOME", filepath.Join(env.WorkDir, "no-home"))
			env.Values[serviceKey{}] = &serviceOf{}
			env.Values[sleeperKey{}] = &sleeperOf{}
			env.Values[linkServerKey{}] = &linkServer{direct: map[string][]byte{}, links: map[string]*manifestOf{}}
			orders := filepath.Join(top(), "ledgerclient", "ledgertest", "testdata")
			env.Setenv("PATH", ageDir()+string(os.PathListSeparator)+env.Getenv("PATH")+string(os.PathListSeparator)+orders)
			env.Setenv("FHIR", filepath.Join(top(), "testdata", "fhir"))
			env.Setenv("FORMATS", filepath.Join(top(), "testdata", "formats"))
			env.Setenv(envNode, os.Getenv(envNode))
			env.Setenv(testClock, "2026-11-21T12:30:00Z")
			for _, who := range actors {
				if err := os.WriteFile(filepath.Join(env.WorkDir, who+".passphrase"), []byte("correct horse of "+who+"\n"), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"town": town, "exit": clitest.Exit, "json": clitest.JSON, "is": clitest.Is, "flip": flip, "glob": glob, "payload": findPayload, "lose": losePayload, "clock": clock, "nowhere": nowhere, "bytes": writeBytes, "mode": mode,
			"secretservice": secretService, "acts": acts, "tail": skipTail, "node": nodeScript, "ledgernode": ledgerNode, "rows": writeRows, "forgecard": forgeCard, "fsck": fsck,
			"disk": mountDisk, "fill": fillDisk, "agent": agentScript, "sleeping": sleeping, "linkserver": serveLinks,
		},
		Condition: isThere,
	})
}

// serviceKey is where a script's own Secret Service is found.
type serviceKey struct{}

// town: a patient and a clinic make wallets on one ledger and know each other.
// Sets $PATIENT and $CLINIC to their addresses.
func town(ts *testscript.TestScript, neg bool, args []string) {
	must := func(who string, args ...string) string {
		ts.Check(ts.Exec(who, args...))
		return strings.TrimSpace(ts.ReadFile("stdout"))
	}
	maria := []string{"init", "--name", "Maria", "--words-file", "patient.words"}
	if ts.Getenv(envLedger) == "" { // no node is everybody's ledger
		maria = append(maria, "--new-ledger")
	}
	patient := must("patient", maria...)
	clinic := must("clinic", "init", "--name", "Dr Smith", "--words-file", "clinic.words")
	must("patient", "contact", "add", "Dr Smith", clinic)
	must("clinic", "contact", "add", "Maria", patient)
	ts.Setenv("PATIENT", patient)
	ts.Setenv("CLINIC", clinic)
}

// flip: flip FILE [OFFSET] changes one bit, by default in the middle.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	at := len(b) / 2
	if len(args) > 1 {
		at, err = strconv.Atoi(args[1])
		ts.Check(err)
		if at < 0 {
			at += len(b)
		}
	}
	b[at] ^= 1
	ts.Check(os.WriteFile(path, b, 0o600))
}

// glob: glob NAME PATTERN sets a variable to the one file that matches.
func glob(ts *testscript.TestScript, neg bool, args []string) {
	found, err := filepath.Glob(ts.MkAbs(args[1]))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%d files match %s", len(found), args[1])
	}
	ts.Setenv(args[0], found[0])
}

// payload: payload NAME FOLDER ID PART sets NAME to the file in which that payload of the
// entry lies in a ledger's folder and NAME_AT to an offset in it, and writes a copy of
// the payload to a file NAME. With * for ID it is that of the only one with such a part.
// The part share is a grant's share at the keeper.
func findPayload(ts *testscript.TestScript, neg bool, args []string) {
	at := payloadAt(ts, args[1:])
	b, err := at.Read()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
	ts.Setenv(args[0], at.File)
	ts.Setenv(args[0]+"_AT", strconv.FormatInt(at.At+at.Length/2, 10))
}

// lose: lose FOLDER ID PART ends a payload that nobody wanted to end.
func losePayload(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(payloadAt(ts, args).Lose())
}

func payloadAt(ts *testscript.TestScript, args []string) foldertest.Place {
	for part := ledgerclient.PartMetadata; part <= ledgerclient.PartAccess; part++ {
		if part.String() == args[2] {
			if all := foldertest.Payloads(ts.MkAbs(args[0]), part); args[1] == "*" && len(all) == 1 {
				return all[0]
			}
			at, err := foldertest.Payload(ts.MkAbs(args[0]), args[1], part)
			ts.Check(err)
			return at
		}
	}
	find, ok := map[string]func(dir, id string) (foldertest.Place, error){"share": foldertest.Share, "ack": foldertest.Acknowledgement}[args[2]]
	if ok {
		at, err := find(ts.MkAbs(args[0]), args[1])
		ts.Check(err)
		return at
	}
	ts.Fatalf("no part %s", args[2])
	return foldertest.Place{}
}

// clock: clock TIME or clock +25h sets the actors' clock.
func clock(ts *testscript.TestScript, neg bool, args []string) {
	now := args[0]
	if d, err := time.ParseDuration(args[0]); err == nil {
		was, err := time.Parse(time.RFC3339, ts.Getenv(testClock))
		ts.Check(err)
		now = was.Add(d).Format(time.RFC3339)
	}
	ts.Setenv(testClock, now)
}

// nowhere: nowhere FOLDER WORD... fails if any file or file name below the folder
// holds one of the words, in any case; of an address its keys are looked for too.
func nowhere(ts *testscript.TestScript, neg bool, args []string) {
	words := map[string][]byte{}
	for _, w := range args[1:] {
		words[w] = []byte(strings.ToLower(w))
		if a, err := crypto.ParseAddress(w); err == nil {
			words["the sign key"], words["the view key"] = a.Sign[1:], a.View[1:]
			words["the sign key in hex"], words["the view key in hex"] = []byte(a.Sign.String()), []byte(a.View.String())
		}
	}
	files := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		content := []byte(nil)
		if d.Type().IsRegular() {
			files++
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		rel := strings.TrimPrefix(path, ts.MkAbs(args[0]))
		for w, b := range words {
			if bytes.Contains(content, b) || bytes.Contains(bytes.ToLower(content), b) || bytes.Contains([]byte(strings.ToLower(rel)), b) {
				ts.Fatalf("%s holds %s", path, w)
			}
		}
		return nil
	}))
	if files == 0 {
		ts.Fatalf("no files in %s", args[0])
	}
}

// writeBytes: bytes FILE SIZE writes a binary file of that size.
func writeBytes(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// writeRows: rows FILE N writes a batch file of N rows for Dr Smith, each with a window
// of its own: from the 1000th on a thousand of them end on one day, as in files that
// people have.
func writeRows(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var b strings.Builder
	b.WriteString("to,categories,from,until\n")
	for i := range n {
		from, end := "", time.Date(2026, 12, 1+i, 0, 0, 0, 0, time.UTC)
		if i >= 1000 {
			from = time.Date(2026, 12, 1+i%1000, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
			end = time.Date(2030, 1, i/1000, 0, 0, 0, 0, time.UTC)
		}
		fmt.Fprintf(&b, "Dr Smith,labs,%s,%s\n", from, end.Format(time.DateOnly))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// mode: mode FILE 0600 compares permission bits.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); (got == args[1]) == neg {
		ts.Fatalf("%s has mode %s", args[0], got)
	}
}
