package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
)

// For people who hear what is on a terminal: a patient and a clinician do line by line what the
// screen is for, whatever it is that asks for lines. No escape sequence is sent and nothing is
// drawn anew, what others wrote acts on nothing, and the lines fit.
func TestPlainStory(t *testing.T) {
	s := newScreens(t)
	address := strings.Fields(s.run("clinic", "init", "--name", "Dr Smith", "--words-file", filepath.Join(s.work, "w2")))[0]
	s.run("patient", "contact", "add", "Dr Smith", address)
	s.records()
	s.run("patient", "record", "add", s.file("evil.bin", "x"), "--title", "Rest\x1b]52;c;cm0=\a\u202etxt.\u200b", "--category", "labs")

	const next = `What next .*: $`
	story := func(how []string, who string, answers ...[2]string) string {
		t.Helper()
		args := []string{who}
		if how[0] == "--plain" {
			args, how = append(args, how[0]), how[1:]
		}
		p := sitAt(t, 80, 40, append(s.env, how...), true, args...)
		for _, a := range append(answers, [2]string{next, "quit"}) {
			p.until(a[0])
			p.press(a[1] + "\r")
		}
		code := p.end()
		screen := strings.ReplaceAll(string(p.screen), "\r\n", "\n")
		if code != 0 || cli.CleanText(screen) != screen { // which a carriage return is not, either
			t.Errorf("%v: exit %d, or what acts on a terminal: %q", args, code, screen)
		}
		s.fits(80, strings.ReplaceAll(screen, s.work, "/work"), args) // how long that is, is the machine's
		return screen
	}
	said := func(screen string, what ...string) {
		t.Helper()
		for _, want := range what {
			if !strings.Contains(screen, want) {
				t.Errorf("%q is not said in\n%s", want, screen)
			}
		}
	}
	flag, variable, dumb := []string{"--plain", "TERM=xterm-256color"}, []string{"CAREKEY_PLAIN=1", "TERM=xterm-256color"}, []string{"TERM=dumb", "NO_COLOR=1"}

	// A patient gives all of it, and looks at it from every side.
	screen := story(flag, "patient",
		[2]string{next, "records"}, [2]string{`(?s)Records.*` + next, "give 1-5"},
		[2]string{`(?s)To whom.*: $`, "1"}, [2]string{`(?s)What for.*: $`, "1"}, [2]string{`(?s)For how long.*: $`, "1"}, [2]string{`Give this consent.* $`, "y"},
		[2]string{`(?s)Given: consent.*` + next, "consents"}, [2]string{`(?s)Consents that you gave.*` + next, "1"},
		[2]string{`(?s)Consent [0-9a-f]{8}.*` + next, "contacts"}, [2]string{`(?s)Contacts.*` + next, "1"},
		[2]string{`(?s)Contact Dr Smith.*` + next, "audit"}, [2]string{`(?s)Verified: .*` + next, "ledgers"},
		[2]string{`(?s)Ledgers.*` + next, "1"}, [2]string{`(?s)honest software.*` + next, "back"},
		[2]string{`(?s)Ledgers.*` + next, "card 1"}, [2]string{`(?s)Your card.*` + next, "records"},
		[2]string{`(?s)Records.*` + next, "/laboratory"}, [2]string{`(?s)Records.*Laboratory.*` + next, "1"})
	said(screen, "血液検査の結果と胸部レントゲンの所見", "בדיקת דם", `Rest\x1b]52;c;cm0=\x07\u202etxt.\u200b`, "You are about to give Dr Smith access to 5 records", "NOT VERIFIED", "scan.bin")

	// A clinician sees it, opens it, and reads what it says.
	got := filepath.Join(s.work, "got")
	screen = story(variable, "clinic",
		[2]string{`(?s)Granted to you and not fetched yet.*` + next, "inbox"}, [2]string{`(?s)Granted to you.*` + next, "fetch 1"},
		[2]string{`(?s)Why do you look.* $`, "a check-up"}, [2]string{`(?s)The folder for the files.* $`, got}, [2]string{`Its owner sees that you did.* $`, "y"},
		[2]string{`(?s)Verified, and written for you alone.*` + next, "home"}, [2]string{`(?s)Fetched by you.*` + next, "again"})
	said(screen, "Maria", "בדיקת דם", `\u202etxt`)
	if files, err := filepath.Glob(filepath.Join(got, "*", "*")); err != nil || len(files) == 0 {
		t.Errorf("nothing was fetched: %v, %v", files, err)
	}

	// The patient hears of it, and ends it.
	screen = story(dumb, "patient",
		[2]string{`(?s)Since you last looked.*a check-up.*` + next, "consents"}, [2]string{`(?s)Consents that you gave.*` + next, "revoke 1"},
		[2]string{`Revoke 1 consent\?.* $`, "y"}, [2]string{`(?s)Revoked: consent.*` + next, "consents"}, [2]string{`(?s)Consents that you gave.*revoked.*` + next, "?"})
	said(screen, "Dr Smith", "revoke and numbers", "a number", "/words")
}
