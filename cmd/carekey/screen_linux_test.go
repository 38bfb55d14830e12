package main

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
)

// pane is a terminal that draws what it is sent, in tmux, with a shell in it.
type pane struct {
	*screens
	socket string
	news   *bufio.Scanner // a line whenever something is drawn
}

// newPane opens one of that size.
func newPane(s *screens, width, height int) *pane {
	s.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		missing(s.T, "tmux", err)
	}
	p := &pane{screens: s, socket: filepath.Join(s.TempDir(), "tmux")}
	p.tmux("-f", "/dev/null", "new-session", "-d", "-s", "pane", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "env PS1='ready> ' TERM=screen sh")
	s.Cleanup(func() { exec.Command("tmux", "-S", p.socket, "kill-server").Run() }) // it may have ended
	p.tmux("set-option", "-g", "window-size", "manual")
	watch := exec.Command("tmux", "-S", p.socket, "-C", "attach", "-t", "pane")
	in, err := watch.StdinPipe() // it goes on as long as that is open
	if err != nil {
		s.Fatal(err)
	}
	out, err := watch.StdoutPipe()
	if err == nil {
		err = watch.Start()
	}
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		in.Close()
		watch.Wait()
	})
	p.news = bufio.NewScanner(out)
	p.news.Buffer(nil, 1<<20)
	p.until(`ready>`)
	return p
}

func (p *pane) tmux(args ...string) string {
	p.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", p.socket}, args...)...)
	cmd.Env = append(cmd.Environ(), p.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

func (p *pane) shows() string { return p.tmux("capture-pane", "-p", "-t", "pane") }

// keeps is all that the terminal has kept, also what is no longer to be seen.
func (p *pane) keeps() string { return p.tmux("capture-pane", "-p", "-S", "-", "-t", "pane") }

// until waits until all patterns are to be seen, and returns what is.
func (p *pane) until(patterns ...string) string {
	p.Helper()
	for {
		shown, all := p.shows(), true
		for _, pattern := range patterns {
			all = all && regexp.MustCompile(pattern).MatchString(shown)
		}
		if all {
			return shown
		}
		if !p.news.Scan() {
			p.Fatalf("waiting for %q: tmux ended; shown is\n%s", patterns, shown)
		}
	}
}

// whole is until for a page that is drawn to its end: what is seen may be the beginning of a
// page above the rest of another. The last line is drawn last, and that of the help is another.
func (p *pane) whole(patterns ...string) string {
	p.Helper()
	p.until(patterns...)
	p.press("?")
	p.until(`(?m)^esc: back +\?: keys`)
	p.press("Escape")
	return p.until(append(patterns, `(?m)^(?:enter|[a-zA-Z/]): .*q: end$`)...)
}

// press presses keys, as tmux names them.
func (p *pane) press(keys ...string) { p.tmux(append([]string{"send-keys", "-t", "pane"}, keys...)...) }

// typed types a line.
func (p *pane) typed(line string) {
	p.tmux("send-keys", "-t", "pane", "-l", line)
	p.press("Enter")
}

// Promise 1 at a glance: a patient and a clinician see who can see what, and find their way
// from there, in a terminal as people have it. Nothing of it stays there, whatever takes the
// screen away.
func TestScreenStory(t *testing.T) {
	s := newScreens(t)
	address := strings.Fields(s.run("clinic", "init", "--name", "Dr Smith", "--words-file", filepath.Join(s.work, "w2")))[0]
	s.run("patient", "contact", "add", "Dr Smith", address, "--ref", "MRN 123 of the clinic")
	ids := s.records()
	s.run("patient", "record", "add", filepath.Join(top(), "testdata", "fhir", "parts.json"))
	s.run("patient", "grant", "--to", "Dr Smith", "--record", ids[0], "--record", ids[1], "--for", "30d", "--yes")
	s.run("patient", "grant", "--to", "Dr Smith", "--record", ids[2], "--for", "500d", "--purpose", "research", "--yes")

	now := `as of 12:30\n`
	for _, size := range lane.Pick([]int{80, 120}, []int{80, 120}, []int{80}) {
		p := newPane(s, size, size/3)
		p.typed("patient; echo ended $?")
		shot := func(name string, patterns ...string) {
			t.Helper()
			s.golden(fmt.Sprintf("%d-screen-%s", size, name), p.whole(append(patterns, now)...))
		}
		shot("home", `\[1 Home\]`, "Who can open what:")
		p.press("2")
		shot("records", `\[2 Records\]`, "Laboratory")
		p.press("End", "Enter")
		shot("record", "Record [0-9a-f]{8} ", "mental-health")
		p.press("v")
		shot("view", "What record [0-9a-f]{8} says", "Allergies: 1 entry listed")
		p.press("d")
		p.until("says: where sources differ", now, "Sources: 1 file")
		p.press("3")
		p.until("Consents that you gave", now)
		p.press("/")
		p.until("search: _")
		p.typed("research")
		shot("search", "search: research +1 found")
		p.press("Enter")
		p.until("Consent [0-9a-f]{8} ", now, "carekey-fetch1", "may open +血液検査の結果と胸部レントゲンの所見, version 1")
		p.press("Escape")
		p.until("search: research +1 found", now)
		p.press("Escape")
		p.until("Laboratory of November", "> [0-9a-f]{8} +血液")
		p.press("4")
		p.until("> Dr Smith", now)
		if size >= 120 { // and nothing was opened for it
			p.until(`\| name +Dr Smith`, "enter: what each of you may open")
		}
		p.press("Enter")
		p.until("Contact Dr Smith", now, "check words")
		p.press("5")
		shot("audit", `\[5 Audit\]`, "Verified: 2 events")
		p.press("6")
		shot("inbox", `\[6 Inbox\]`, "Nothing was granted to you")
		p.press("7")
		p.until("> [0-9a-f]{8}", now)
		p.press("Enter")
		p.until("Ledger [0-9a-f]{8} ", now, "honest software")
		p.press("Escape")
		p.until("> [0-9a-f]{8}", "c: card")
		p.press("c")
		p.until("Your card", now, "check words", "p: picture", map[bool]string{true: "█▀", false: "Its QR code takes"}[size > 100])
		p.press("p")
		p.until("The new file", "enter: take it")
		p.typed(filepath.Join(s.work, fmt.Sprint(size, ".png")))
		p.until(fmt.Sprint(size, `\.png`), "Send it or print it", "q: end")
		p.press("?")
		p.until("Keys", "go back")
		p.press("q")
		p.until("ended 0")
		if kept := p.keeps(); strings.Contains(kept, "Dr Smith") || strings.Contains(kept, "Laboratory") {
			t.Errorf("the terminal keeps\n%s", kept)
		}
	}

	// What is opened meanwhile is seen when it is looked for again, and stays until the end.
	p := newPane(s, 80, 24)
	nothing := func(when string) {
		t.Helper()
		if kept := p.keeps(); strings.Contains(kept, "Dr Smith") {
			t.Errorf("%s the terminal keeps\n%s", when, kept)
		}
	}
	p.typed("patient; echo ended $?")
	p.until(`\[1 Home\]`, now)
	s.run("clinic", "fetch", "--all", "-o", filepath.Join(s.work, "got"), "--reason", "check-up of the knee")
	for range 2 {
		p.press("r")
		p.until("Since you last looked:", "check-up of the knee", now)
	}
	p.press("g")
	p.until(`To whom\?`, "enter: take")
	p.press("Escape")
	p.until(`\[1 Home\]`, "g: give")
	p.press("C-z")
	p.until("Stopped")
	nothing("stopped,")
	p.typed("fg")
	p.until(`\[1 Home\]`, "check-up of the knee", now)
	p.press("3")
	p.until(`\[3 Consents\]`, now)
	p.press("L")
	p.until("Enter goes on")
	nothing("locked,")
	p.press("Enter")
	p.until(`\[3 Consents\]`, now) // where it was
	p.press("space", "x")          // two of them are there, and one is marked
	p.until("Revoke 1 consent", "Laboratory of November", "y: yes")
	p.press("n")
	p.until("you said no", "1 marked", "active")
	p.press("x")
	p.until(`Revoke 1 consent\?`, "y: yes")
	p.press("y")
	p.until("Revoked: consent [0-9a-f]{8} to Dr Smith", "known to Dr Smith", "q: end")
	p.press("Escape")
	p.until(`Laboratory of Nov.*revoked`, now)
	p.press("2")
	p.until(`\[2 Records\]`, "> [0-9a-f]{8} +Laboratory of November", now)
	p.press("g")
	for _, question := range []string{`To whom\?`, `What for\?\s+> treatment`, `For how long\?`} {
		p.until(question, "enter: take")
		p.press("Enter")
	}
	p.until("You are about to give Dr Smith access to 1 record", "NOT VERIFIED", "Give this consent", "y: yes") // its check words are by chance
	p.press("y")
	p.until("Given: consent [0-9a-f]{8}", "carekey-fetch1", "q: end")
	p.press("3")
	p.until(`\[3 Consents\]`, now)
	p.press("End", "n") // the same for a week, and the old one ends
	p.until("take the place of consent [0-9a-f]{8}", `For how long\?`, "enter: take")
	p.press("Down", "Enter")
	p.until("You are about to give Dr Smith access to 1 record", `until +Sun 29 Nov 2026`, "y: yes")
	p.press("y")
	p.until("Given: consent [0-9a-f]{8}", `Revoke 1 consent\?`, "y: yes")
	p.press("y")
	p.until("Revoked: consent [0-9a-f]{8} to Dr Smith", "q: end")
	p.press("C-c")
	p.until(`ready>\s*$`)
	p.typed("echo ended $?")
	p.until("ended 130")
	nothing("interrupted,")

	// A clinician sees what was granted to her, and that it was fetched.
	s.run("patient", "grant", "--to", "Dr Smith", "--record", ids[3], "--for", "5d", "--yes")
	p.typed("clear")
	p.until(`^ready>`)
	p.typed("clinic; echo ended $?")
	s.golden("80-screen-clinic", p.whole("Granted to you and not fetched yet:", now))
	p.press("6")
	p.until(`\[6 Inbox\]`, now, "never")
	p.press("End", "Enter")
	p.until("Granted to you, [0-9a-f]{8}", now, "בדיקת דם", "fetched +never", "Maria .says so; not verified")
	p.press("f")
	p.until("בדיקת דם", "Why do you look", "enter: take it")
	p.typed("a second look")
	p.until("The folder for the files", "enter: take it")
	p.typed(filepath.Join(s.work, "seen"))
	p.until("The files come into", "Its owner sees that you did", "y: yes")
	p.press("y")
	p.until("Verified, and written for you alone", "q: end")
	p.press("Escape")
	p.until("Granted to you, [0-9a-f]{8}", now, "fetched +once")
	p.press("1") // what was fetched stays at hand, what ends soon first
	s.golden("80-screen-clinic-fetched", p.whole("Granted to you and not fetched yet:", "Fetched by you, and over within 7 days:", "Maria", now))
	p.press("q")
	p.until("ended 0")
	nothing("at the clinic,")
}
