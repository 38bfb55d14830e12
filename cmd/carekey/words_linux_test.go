package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"golang.org/x/sys/unix"
)

// Promises 1 and 6 at a terminal: words are shown where nothing of them stays, asked
// for, typed in on a new machine, and a wallet goes only if its name is typed.
func TestWordsAtTerminal(t *testing.T) {
	lane.OneGoroutine(t)
	t.Parallel()
	work := t.TempDir()
	env := []string{"WORK=" + work, "TERM=xterm-256color", testClock + "=2026-11-21T12:30:00Z", "TZ=UTC"}
	if err := os.WriteFile(filepath.Join(work, "patient.passphrase"), []byte("p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		t.Helper()
		s := sit(t, env, false, append([]string{"patient"}, args...)...)
		if code := s.end(); code != 0 {
			t.Fatalf("%v: exit %d: %s", args, code, s.screen)
		}
	}
	file := filepath.Join(work, "words")
	run("init", "--name", "Maria", "--new-ledger", "--words-file", file)
	run("record", "add", file, "--title", "not the words")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(text))

	for _, key := range []string{"n", "y"} {
		s := sit(t, env, false, "patient", "words", "show")
		s.until("Show them on this screen")
		s.until("esc: stop")
		s.press(key)
		want := cli.ExitRefused
		if key == "y" {
			want = 0
			s.until("24. " + words[23])
			s.press("\r")
		}
		if code := s.end(); code != want || s.stdout.Len() != 0 {
			t.Errorf("words show, %s: exit %d", key, code)
		}
		enter, leave := bytes.Index(s.screen, []byte("\x1b[?1049h")), bytes.LastIndex(s.screen, []byte("\x1b[?1049l"))
		outside := string(s.screen)
		if key == "y" {
			wiped := bytes.LastIndex(s.screen, []byte("\x1b[40;1H\x1b[2K"))
			if enter < 0 || wiped < bytes.LastIndex(s.screen, []byte(words[23])) || leave < wiped {
				t.Errorf("entered at %d, wiped at %d, left at %d", enter, wiped, leave)
			}
			outside = string(s.screen[:enter]) + string(s.screen[leave:])
		}
		if strings.Contains(outside, words[0]+" ") && strings.Contains(outside, words[1]+" ") {
			t.Errorf("words show, %s: words outside of the alternate screen", key)
		}
	}

	check := func(answer func(word string) string) (s *seat) {
		t.Helper()
		s = sit(t, env, false, "patient", "words", "check")
		for range 5 {
			n, err := strconv.Atoi(s.until(`Word (\d+): _`)[1])
			if err != nil {
				t.Fatal(err)
			}
			s.press(answer(words[n-1]) + "\r")
		}
		return s
	}
	s := check(func(word string) string { return word })
	if code := s.end(); code != 0 || !strings.Contains(string(s.screen), "the right words") {
		t.Errorf("words check: exit %d: %s", code, s.screen)
	}
	s = sit(t, env, false, "patient", "words", "check")
	for range 3 {
		s.until(`Word \d+: _`)
		s.press("wrong")
		s.until(`Word \d+: wrong_`) // or nothing is drawn anew
		s.press("\r")
	}
	if code := s.end(); code != cli.ExitRefused {
		t.Errorf("words check with wrong words: exit %d", code)
	}

	// A new machine. The last word is wrong at first.
	wrong := ""
	for _, w := range crypto.WordsWithPrefix("z") {
		if _, err := crypto.EntropyFromWords(append(append([]string{}, words[:23]...), w)); err != nil {
			wrong = w
		}
	}
	laptop := append(env, envHome+"="+filepath.Join(work, "laptop"))
	s = sit(t, laptop, false, "patient", "--profile", "leo", "restore", "--ledger", filepath.Join(work, "ledger"))
	for i, w := range append(append([]string{}, words[:23]...), wrong) {
		s.until("Word " + strconv.Itoa(i+1) + ": _")
		if i%2 == 0 {
			w = w[:min(4, len(w))] // four letters are enough
		}
		s.press(w + "\r")
	}
	s.until("The words do not belong together")
	asked := regexp.MustCompile(`Word (\d+): _`).FindAllStringSubmatch(string(s.screen), -1)
	at, err := strconv.Atoi(asked[len(asked)-1][1])
	if err != nil {
		t.Fatal(err)
	}
	s.press(strings.Repeat("\x1b[B", 24-at))
	if at != 24 {
		s.until("Word 24: _")
	}
	s.press(words[23] + "\r")
	if code := s.end(); code != 0 || !strings.Contains(string(s.screen), "The wallet of Maria is back") {
		t.Fatalf("restore: exit %d: %s", code, s.screen)
	}
	if after := s.screen[bytes.LastIndex(s.screen, []byte("\x1b[?1049l")):]; bytes.Contains(after, []byte(words[0]+" ")) && bytes.Contains(after, []byte(words[1]+" ")) {
		t.Errorf("words stayed on the screen: %s", after)
	}

	// It goes only by its name.
	for _, c := range []struct {
		typed string
		exit  int
	}{{"yes", cli.ExitRefused}, {"Leo", cli.ExitRefused}, {"leo", 0}} {
		if c.typed == "yes" {
			for _, args := range [][]string{{"words", "check", "--words-file", file}, {"backup", filepath.Join(work, "backup")}} {
				s := sit(t, laptop, false, append([]string{"patient", "--profile", "leo"}, args...)...)
				if code := s.end(); code != 0 {
					t.Fatalf("%v: exit %d: %s", args, code, s.screen)
				}
			}
		}
		s = sit(t, laptop, false, "patient", "profile", "remove", "leo")
		s.until("Profile: leo")
		s.until("Type leo if you are sure: _")
		s.press(c.typed + "\r")
		if code := s.end(); code != c.exit {
			t.Errorf("remove, %s typed: exit %d", c.typed, code)
		}
	}
}

// A pipe without a writer may be given as any of a person's files, and whoever waits for
// it can be stopped.
func TestWaitingForPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	a := newApp()
	a.passphrases.held = &passphraseSource{file: pipe, fd: -1}
	_, words := wordsOfFile(ctx, pipe)
	_, phrase := a.passphrase(ctx, false)
	for what, err := range map[string]error{"words": words, "passphrase": phrase, "evidence": evidence(ctx, a, pipe)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
