package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/cli/clitest"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient/node/nodetest"
)

// Every command line that the README and the guides show is run, from the top of each to
// its end, with the real programs, a node and people that have homes of their own.

// notRun are the lines that are not run here, and why.
var notRun = map[string]string{
	"go run ./cmd/carekey try":                                                  "testdata/script/try.txtar runs it, and so does .ci/run",
	"go test ./...":                                                             "it is what runs this",
	"go install ./cmd/carekey ./cmd/carekey-node":                               "it is built for these tests",
	"carekey keyring move file":                                                 "it needs a keyring that is open: testdata/script/keyring-move.txtar",
	"carekey inbox --new --watch --json":                                        "it does not end: testdata/script/watch-inbox.txtar",
	`carekey fetch --all --reason "treatment" --watch records`:                  "it does not end: testdata/script/watch-fetch.txtar",
	`carekey fetch --all --reason "import" --watch records --json`:              "the same",
	"carekey-node conform foo:test --yes":                                       "testdata/operator/order.txtar runs it, with an order of its own",
	"carekey ledger join foo:anything --store carekey-node1…":                   "testdata/script/direct.txtar runs it, with an order of its own",
	"fsck --ui=false --storage_url=file:///srv/tiles/ --public_key=ledger.vkey": "it is not ours: testdata/script/ledger-export.txtar runs it where it is",
}

// endings are the exit codes of lines that do not end with 0.
var endings = map[string]int{
	"carekey status --check":                  cli.ExitToDo,
	"carekey inbox --new --check":             cli.ExitToDo,
	"carekey batch plan consents.csv --check": cli.ExitToDo,
}

// shownPrelude makes of what a person would be asked for what answers: the 24 words are in
// files, and every question is answered with yes. as WHO is somebody else's wallet.
const shownPrelude = `
carekey() {
	case "$* " in
	*--words-file*) ;;
	"init "*|"profile create "*) set -- "$@" --words-file "$W/words.$$";;
	"restore "*|"words check "*|"keyring restore "*) set -- "$@" --words-file "$W/words";;
	"keyring passwd "*) set -- "$@" --new-passphrase-file "$CAREKEY_PASSPHRASE_FILE";;
	esac
	command carekey "$@" --yes
}
as() { who=$1; shift; CAREKEY_HOME=$W/$who command carekey --yes "$@"; }
somebody() { as "$1" init --name "$2" --ledger "$INVITATION" --words-file "$W/$1.words" > "$W/$1.address"; }
met() { carekey contact add "$2" "$(cat "$W/$1.address")"; }
[ ! -f "$W/env" ] || . "$W/env"
`

// guideStories say what happened before lines that begin so: what a guide tells in words.
var guideStories = map[string]map[string]string{
	"patient": {
		"carekey init":           `somebody clinic "Dr Smith"; as clinic card -o card.png`,
		"carekey record add a":   `cp "$W"/words.* "$W/words"; cp "$FHIR/parts.json" allergies.json; echo letter > a.pdf; echo more > b.pdf`,
		"carekey contact add":    `somebody ward "Ward 3"; somebody jung "Dr Jung"; met ward "Ward 3"`,
		"carekey request list":   `as clinic contact add Maria "$(carekey address)"; for c in labs allergies; do as clinic request send --to Maria --category $c --for 30d --reason why; done`,
		"carekey deliver list":   `as clinic contact list >/dev/null; echo result > "$W/result.txt"; as clinic deliver "$W/result.txt" --to Maria`,
		"carekey revoke CONSENT": `carekey grant --to "Dr Smith" --all --for 7d`,
		"carekey restore --ledger /srv/": `mv "$W/words" "$W/me.words"; mkdir "$W/srv"; rm -r "$W/media"; as old init --name Maria --ledger "$W/srv/health" --new-ledger --words-file "$W/words"
			as old record add "$FHIR/parts.json"; as old backup "$W/media/stick/carekey"; echo "CAREKEY_HOME=$W/new1" > "$W/env"`,
		"carekey restore --ledger /media/":       `echo "CAREKEY_HOME=$W/new2" > "$W/env"`,
		"carekey restore --ledger carekey-node1": `mv "$W/me.words" "$W/words"; echo "CAREKEY_HOME=$W/new3" > "$W/env"`,
		"carekey ledger join":                    `echo "$INVITATION" > invitation`,
		"carekey ledger move":                    `mkdir "$W/there"; cp -r "$W/srv/health" "$W/there/ledger"; carekey ledger join "$W/there/ledger"`,
	},
	"clinic": {
		"carekey init":           `echo "$INVITATION" > invitation`,
		"carekey inbox":          given,
		"carekey request send":   `printf 'to\nMaria\n' > all.csv`,
		"carekey contact import": `somebody leo Leo; sed -n 's/^    \(name,address,ref\)/\1/p; s/^    Leo,carekey1…/Leo,'"$(cat "$W/leo.address")"'/p' "$GUIDES/clinic.md" > patients.csv`,
		"carekey fetch @code":    `cp "$W/code" code`,
		"carekey record attest":  `cp "$FHIR/parts.json" report.json`,
	},
	"scripts": {
		"carekey --no-input status": `carekey init --name "Dr Smith" --ledger "$INVITATION"; carekey address > "$W/me.address"` + "\n" + given + `
			carekey contact add "Dr Smith" "$(cat "$W/maria.address")"; carekey record add "$FHIR/parts.json"; carekey grant --to "Dr Smith" --all --for 7d
			somebody hospital "City hospital"; met hospital "City hospital"`,
		"carekey completion": `mkdir -p ~/.config/fish/completions`,
		"carekey record add": `mkdir reports; echo one > reports/1.pdf; echo two > reports/2.pdf`,
		"export ":            `echo secret word of the night > secret`,
		"carekey init":       `echo "CAREKEY_HOME=$W/night" >> "$W/env"`,
		"carekey batch plan": `rm "$W/env"; grep -A 2 '^    to,categories' "$GUIDES/scripts.md" | sed 's/^ *//' > consents.csv`,
	},
	"operator": {
		"carekey ledger join":            `carekey init --name Maria; echo "INVITATION=$(carekey-node invite "$W/srv/ledger")" > "$W/env"`,
		"carekey-node status /srv/again": `cp -r "$W/backup/ledger" "$W/srv/again"`,
	},
	"security": {
		"carekey unlock": `carekey init --name "Maria"`,
	},
	"json": {
		"carekey status": `carekey init --name "Maria"`,
	},
}

// given makes Maria, who knows the wallet and has given it a record.
const given = `somebody maria Maria; as maria contact add "Dr Smith" "$(carekey address)"
	as maria record add "$FHIR/parts.json" --title allergies; as maria grant --to "Dr Smith" --all --for 30d > "$W/code"`

// shown is a guide that is being lived through.
type shown struct {
	*distantTown
	t          *testing.T
	desk       string // the folder in which lines are typed
	env        []string
	invitation string
	url, spare string // where the operator's node is to listen, and its metrics
	serving    []*exec.Cmd
}

func newShown(t *testing.T) *shown {
	d := newDistance(t)
	s := &shown{distantTown: d, t: t, desk: filepath.Join(d.dir, "desk")}
	d.must(os.Mkdir(s.desk, 0o700))
	d.must(os.Symlink(d.bin, filepath.Join(d.dir, "bin", "carekey-node")))
	d.operator("init", "ledger", "--name", "City")
	url := d.serve()
	t.Cleanup(d.kill)
	t.Cleanup(s.end)
	s.invitation = strings.TrimSpace(string(d.operator("invite", "ledger", "--url", url)))
	s.url, s.spare = freeAddress(t), freeAddress(t)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CAREKEY_") {
			s.env = append(s.env, v)
		}
	}
	s.env = append(s.env, "TZ=UTC", "HOME="+d.dir, "W="+d.dir, "FHIR="+filepath.Join(top(), "testdata", "fhir"), "GUIDES="+filepath.Join(here, "guides"), "INVITATION="+s.invitation, envHome+"="+filepath.Join(d.dir, "me"),
		envKeyring+"=file", envPassphrase+"="+filepath.Join(d.dir, "patient.passphrase"),
		"PATH="+filepath.Join(d.dir, "bin")+string(os.PathListSeparator)+ageDir()+string(os.PathListSeparator)+os.Getenv("PATH"))
	return s
}

// freeAddress is one on loopback that nobody listens at, and that no system gives to who
// asks for any.
func freeAddress(t *testing.T) string {
	l, err := nodetest.Listen("")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// end stops what lines started that serves until it is told to end.
func (s *shown) end() {
	for _, c := range s.serving {
		c.Process.Kill()
		c.Wait()
	}
}

// sh runs a script and returns its exit code and all that it printed.
func (s *shown) sh(script string) (code int, out string) {
	c := exec.Command("sh", "-c", shownPrelude+script)
	c.Dir, c.Env = s.desk, append(slices.Clone(s.env), s.clock())
	b, _ := c.CombinedOutput()
	return c.ProcessState.ExitCode(), string(b)
}

// paste runs lines of a shell in a checkout, and returns what they print.
func (s *shown) paste(script string) string {
	s.t.Helper()
	c := exec.Command("sh", "-c", script)
	c.Dir, c.Env = top(), append(slices.Clone(s.env), s.clock(), "TMPDIR="+s.dir)
	out, err := c.CombinedOutput()
	if err != nil {
		s.t.Errorf("%v\n%s", err, out)
	}
	return string(out)
}

// listed is a member of what a command lists first or, of consents, last.
func (s *shown) listed(member string, commands ...string) string {
	for _, command := range commands {
		code, out := s.sh("carekey " + command + " --json")
		var all []map[string]any
		if err := json.Unmarshal([]byte(out), &all); code == 0 && err == nil && len(all) > 0 {
			if member == "id" { // of a record: lists begin with the oldest
				return fmt.Sprint(all[0][member])
			}
			return fmt.Sprint(all[len(all)-1][member])
		}
	}
	s.t.Fatalf("nothing stands for what %v would show", commands)
	return ""
}

// bind puts into a line what there is for what stands in it for something else.
func (s *shown) bind(line string) string {
	places := strings.NewReplacer(
		"https://city.example:8443", "https://"+s.url, ":8443", s.url, "127.0.0.1:9102", s.spare,
		"--ledger DIR", "--ledger "+s.dir+"/there/ledger", "/srv/", s.dir+"/srv/", "/media/", s.dir+"/media/", "/backup/", s.dir+"/backup/", "~/bin", s.dir+"/bin",
		"carekey-node1…", "$INVITATION", "carekey1…", `"$(cat "$W/jung.address")"`,
	)
	if line = places.Replace(line); strings.HasPrefix(line, "carekey-node ") {
		line += " --yes"
	}
	return regexp.MustCompile(`\b(ID|CONSENT|CODE|REQUEST|DELIVERY)\b`).ReplaceAllStringFunc(line, func(word string) string {
		switch word {
		case "ID":
			return s.listed("id", "record list")
		case "REQUEST":
			return s.listed("request", "request list", "request list --sent")
		case "DELIVERY":
			return s.listed("consent", "deliver list", "deliver list --received")
		case "CONSENT":
			return s.listed("consent", "consent list", "inbox")
		}
		return s.listed("code", "consent list")
	})
}

// typed runs a line that a document shows.
func (s *shown) typed(before map[string]string, at, line string) {
	s.t.Helper()
	for start, script := range before {
		if strings.HasPrefix(line, start) { // one at most: no start is the beginning of another
			if code, out := s.sh("set -e\n" + script); code != 0 {
				s.t.Fatalf("%s: before %s: exit %d\n%s", at, line, code, out)
			}
			delete(before, start)
		}
	}
	bound := s.bind(line)
	switch {
	case strings.HasPrefix(line, "carekey-node serve"):
		s.serveLine(at, bound)
		return
	case strings.HasPrefix(line, "age "):
		if err := buildAge(); err != nil {
			missing(s.t, "age", err)
		}
	}
	if strings.HasPrefix(line, "source ") { // which sh has not
		bound = "bash -c '" + bound + "'"
	}
	if strings.HasPrefix(line, "export ") {
		bound = "echo '" + bound + "' >> \"$W/env\""
	}
	code, out := s.sh(bound)
	if line == "carekey doctor" && code == cli.ExitUnexpected { // there is something to be put right, and it goes on
		code = 0
	}
	if code != endings[line] {
		s.t.Errorf("%s: %s: exit %d, not %d\n%s", at, line, code, endings[line], out)
	} else {
		s.t.Logf("%s: %s\n%s", at, line, out)
	}
}

// serveLine runs a line that ends when it is told to, until it listens.
func (s *shown) serveLine(at, line string) {
	c := exec.Command("sh", "-c", "exec "+line)
	c.Dir, c.Env = s.desk, append(slices.Clone(s.env), s.clock())
	out, err := c.StdoutPipe()
	s.must(err)
	s.must(c.Start())
	s.serving = append(s.serving, c)
	if said, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(said, "listening ") {
		s.t.Fatalf("%s: %s: %q, %v", at, line, said, err)
	}
}

// aCommand begins a line that is to be typed.
var aCommand = regexp.MustCompile(`^((carekey|carekey-node|age|curl|export|go|source|fsck) )`)

func TestShownCommandsRun(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	if len(notRun) > 10 {
		t.Errorf("%d lines are not run", len(notRun))
	}
	left := maps.Clone(notRun)
	for _, file := range clitest.Documents(t) {
		var lines []clitest.Shown
		for _, shown := range clitest.Read(t, file) {
			shown.Text, _, _ = strings.Cut(shown.Text, "  #")
			if delete(left, shown.Text); !shown.Block && notRun[shown.Text] == "" && aCommand.MatchString(shown.Text) {
				lines = append(lines, shown) // a block is pasted whole: TestReadmeFirstConsent
			}
		}
		name := strings.TrimSuffix(filepath.Base(file), ".md")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShown(t)
			before := maps.Clone(guideStories[name])
			for _, shown := range lines {
				s.typed(before, fmt.Sprintf("%s:%d", filepath.Base(file), shown.Line), shown.Text)
			}
			for start := range before {
				t.Errorf("no line begins so: %s", start)
			}
		})
	}
	if len(left) > 0 {
		t.Errorf("nothing shows %v", slices.Sorted(maps.Keys(left)))
	}
}
