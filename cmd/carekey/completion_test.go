package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/spf13/cobra"
)

// What can be named by an id or a name is offered: a new command has its row, or takes what
// nobody can offer.
func TestEverythingNamedIsOffered(t *testing.T) {
	found := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		path := strings.TrimPrefix(c.CommandPath(), "carekey ")
		if _, ok := offeredArgs[path]; ok {
			found++
		}
		for _, word := range []string{" ID", " ROLE", " CONSENT", " LEDGER", " PROFILE"} {
			named := strings.Contains(strings.NewReplacer("(", "", "[", "").Replace(c.Use)+" ", word)
			byFlag := strings.Contains(c.Use, "--") && !strings.Contains(strings.SplitN(c.Use, "--", 2)[0]+" ", word)
			if _, ok := offeredArgs[path]; named && !byFlag && !ok && path != "profile create" {
				t.Errorf("%s: nothing is offered for%s", c.UseLine(), word)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(newApp()))
	if found < 15 {
		t.Errorf("only %d commands of those with offers are there", found)
	}
}

// Of what somebody else wrote, nothing becomes a value that a shell could read as more than
// one word of text.
func TestOfferedValuesArePlain(t *testing.T) {
	for _, bad := range []string{"", "$(x)", "`x`", "a;b", "a\tb", "a\nb", "a|b", "a&b", "-x", "@file", " x", "a\"b", "a\\b", "a*", "a:b", "a=b", "~", "#a", "a\u202eb", "a\u00a0b"} {
		if s, ok := described(bad, "x"); ok {
			t.Errorf("%q is offered as %q", bad, s)
		}
	}
	for _, good := range []string{"Dr Smith", "O'Brien", "Ελένη", "山田太郎", "0123abcd", "e\u0301"} {
		if s, ok := described(good, "a\tb\n$(x)"); !ok || s != good+"\ta\\tb\\n$(x)" {
			t.Errorf("%q is offered as %q", good, s)
		}
	}
}

// Threat: a record's title, a sender's word or a ledger's name that a shell would carry out
// when it is offered. In shells as they are, whatever a title holds stays text; and to offer
// it changes no file, asks nobody, and shows nothing sealed while the key is locked.
func TestCompletionInShells(t *testing.T) {
	lane.OneGoroutine(t)
	work := t.TempDir()
	pwned := filepath.Join(work, "pwned")
	env := append(os.Environ(), "WORK="+work, testClock+"=2026-11-21T12:30:00Z", "TZ=UTC", "HOME="+work)
	run := func(env []string, name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Env, cmd.Dir = env, work
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	for _, who := range []string{"patient", "clinic"} {
		if err := os.WriteFile(filepath.Join(work, who+".passphrase"), []byte("p\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(env, "patient", "init", "--new-ledger", "--name", "Maria", "--words-file", filepath.Join(work, "w"))
	address := strings.Fields(run(env, "clinic", "init", "--name", "Dr Smith", "--words-file", filepath.Join(work, "w2")))[0]
	run(env, "patient", "contact", "add", "Dr Smith", address)
	var ids []string
	for i, title := range []string{"plain", "$(touch " + pwned + ")", "`touch " + pwned + "`\tx", "a: b; touch " + pwned + " \"'\\ %F{red}%(?.a.b)"} {
		file := filepath.Join(work, "file")
		if err := os.WriteFile(file, []byte{byte(i)}, 0o600); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, strings.TrimSpace(run(env, "patient", "record", "add", file, "--title", title))[:8])
	}
	files := func() string {
		return run(env, "find", filepath.Join(work, "patient"), filepath.Join(work, "ledger"), "-printf", "%p %s %T@\n")
	}
	before := files()

	program := filepath.Join(work, "bin", "carekey")
	os.Mkdir(filepath.Dir(program), 0o700)
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec patient \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	env = append(env, "PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"))
	for shell, script := range map[string]string{
		"bash": `source <(carekey completion bash)
_init_completion() { words=("${W[@]}"); cword=$((${#W[@]} - 1)); cur=${W[cword]}; prev=${W[cword-1]}; }
COMP_TYPE=63 COLUMNS=200
W=(carekey record get ''); __start_carekey; printf '%s\n' "${COMPREPLY[@]}"
W=(carekey grant --to Dr); __start_carekey; eval "set -- ${COMPREPLY[*]}"; echo "$#: $1"`,
		"zsh": `compdef() { : }; _arguments() { : }
_describe() { for c in "${completions[@]}"; do print -r -- "$c"; done }
source <(carekey completion zsh)
words=(carekey record get ''); CURRENT=4; _carekey
words=(carekey grant --to Dr); CURRENT=4; print -r -- "1: $(_carekey)"`,
		"fish": `carekey completion fish | source
complete -C "carekey record get "
echo "1: "(complete -C "carekey grant --to Dr")`,
	} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				t.Skip(err)
			}
			got := run(env, shell, "-c", script)
			for _, id := range ids {
				if !strings.Contains(got, id) {
					t.Errorf("record %s is not offered:\n%s", id, got)
				}
			}
			if !strings.Contains(got, "$(touch ") || !strings.Contains(got, "1: Dr Smith") {
				t.Errorf("%s", got)
			}
			if exists(pwned) {
				t.Fatal("a title was carried out")
			}
		})
	}
	locked := append(slices.Clone(env), envPassphrase+"=")
	if got := run(locked, "patient", "__complete", "record", "get", ""); !strings.HasPrefix(got, ":") {
		t.Errorf("of a locked key file: %s", got)
	}
	if got := run(locked, "patient", "__complete", "ledger", "leave", ""); !strings.Contains(got, "\tcarekey\n") { // in clear
		t.Errorf("of a locked key file, its ledgers: %s", got)
	}
	if after := files(); after != before {
		t.Errorf("to offer something changed files:\n%s\nbefore:\n%s", after, before)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
