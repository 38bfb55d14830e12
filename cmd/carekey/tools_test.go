package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/carekey/carekey/crypto/lane"
)

// Programs of others that the tests compare this one with. A test that needs one
// skips itself where it cannot be had, unless CAREKEY_NO_SKIP is set.

// ageDir is the folder in which buildAge puts the stock age program, and nothing else is.
func ageDir() string { return filepath.Join(builtDir, "age") }

// buildAge builds it once, of the version in go.mod.
var buildAge = sync.OnceValue(func() error {
	list := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "filippo.io/age")
	list.Dir = here
	version, err := list.Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	install := exec.Command("go", "install", "filippo.io/age/cmd/age@"+strings.TrimSpace(string(version)))
	install.Env = append(os.Environ(), "GOBIN="+ageDir(), "GOFLAGS=", "GOOS=", "GOARCH=")
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("age cannot be built: %w\n%s", err, out)
	}
	return nil
})

// envNode is the folder in which npm ci was run over testdata/node.
const envNode = "CAREKEY_NODE"

// nodePackages tells whether the packages of testdata/node are there.
func nodePackages() error {
	dir := os.Getenv(envNode)
	if dir == "" {
		return fmt.Errorf("%s is not set: copy package.json and package-lock.json from testdata/node into a folder, run npm ci in it, and name it", envNode)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "age-encryption")); err != nil {
		return fmt.Errorf("%s: npm ci was not run: %w", envNode, err)
	}
	if _, err := exec.LookPath("node"); err != nil {
		return err
	}
	return nil
}

// envFsck names Tessera's program that checks a log in tlog-tiles, as is built by
// go install github.com/transparency-dev/tessera/cmd/fsck@v1.0.4, for a script to use it.
const envFsck = "CAREKEY_FSCK"

// fsck DIR KEY checks the log in a folder with the verifier key in a file. The program
// ends with 0 whatever it found, and may not end where it found something: what it says
// counts.
func fsck(ts *testscript.TestScript, neg bool, args []string) {
	url := "file://" + filepath.ToSlash(ts.MkAbs(args[0])) + "/"
	check := exec.Command(os.Getenv(envFsck), "--ui=false", "-v=1", "--storage_url="+url, "--public_key="+ts.MkAbs(args[1]))
	said, err := check.StderrPipe()
	ts.Check(err)
	ts.Check(check.Start())
	verdict := ""
	for lines := bufio.NewScanner(said); verdict == "" && lines.Scan(); {
		switch line := lines.Text(); {
		case strings.Contains(line, "Successfully fsck'd"):
			verdict = "good"
		case strings.Contains(line, "fsck failed"), strings.Contains(line, ":Invalid"):
			verdict = "bad"
		}
	}
	check.Process.Kill()
	check.Wait()
	if want := map[bool]string{false: "good", true: "bad"}[neg]; verdict != want {
		ts.Fatalf("the log is %q and not %s", verdict, want)
	}
}

// envHuge is set to run scripts to their ends that take many minutes and gigabytes.
const envHuge = "CAREKEY_HUGE"

// tools are what scripts can ask for, beside huge, long and tessera.
var tools = map[string]func() error{
	"stock-age":     buildAge, // its folder is on the scripts' PATH
	"node-packages": nodePackages,
	"small-disk":    sync.OnceValue(canMount),
	"zbar":          func() error { _, err := exec.LookPath("zbarimg"); return err },
	"python3":       func() error { _, err := exec.LookPath("python3"); return err },
	"strace": func() error {
		return exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace=none", "true").Run()
	},
}

// isThere is the condition of a script: a tool.
func isThere(cond string) (bool, error) {
	switch cond {
	case "huge":
		return os.Getenv(envHuge) != "", nil
	case "tessera":
		return os.Getenv(envFsck) != "", nil
	case "long":
		return lane.Long(), nil
	}
	get, ok := tools[cond]
	if !ok {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	err := get()
	if err != nil && os.Getenv("CAREKEY_NO_SKIP") == "" {
		return false, nil
	}
	return err == nil, err
}

// nodeScript: node SCRIPT ARGS... runs a script of testdata/node where it finds its
// packages; files among the arguments need their whole paths.
func nodeScript(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv("NODE_SCRIPT", filepath.Join(top(), "testdata", "node", args[0]))
	err := ts.Exec("sh", append([]string{"-c", `cd "$CAREKEY_NODE" && exec node --input-type=module - "$@" <"$NODE_SCRIPT"`}, args...)...)
	if (err == nil) == neg {
		ts.Fatalf("node %v: %v", args, err)
	}
}

// skipTail: tail FILE FROM OUT writes what follows the first FROM bytes of a file.
func skipTail(ts *testscript.TestScript, neg bool, args []string) {
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	var from int
	_, err = fmt.Sscan(args[1], &from)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), b[from:], 0o600))
}
