package ui

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// spokenTo is what a screen says to somebody who answers so, and how it ends.
func spokenTo(t *testing.T, s *Screen, answers string) (said string, at int, err error) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	at, end := s.say(context.Background(), strings.NewReader(answers), out, 0)
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b), at, end
}

// Each page is said once, with a number before each row that leads on.
func TestPlainly(t *testing.T) {
	s := newSample(3)
	said, at, err := spokenTo(t, s.Screen, "?\n2\nback\ncon\n/laboratory novem\n1\n\nq\n")
	if err != nil || at != 1 {
		t.Errorf("at %d, %v", at, err)
	}
	golden(t, "plainly", strings.TrimSuffix(said, "\n"))
	if strings.Contains(said, "\x1b") {
		t.Error("there is an escape sequence in it")
	}
}

func TestPlainlyAnswers(t *testing.T) {
	for _, c := range []struct {
		answers string
		want    string // the last thing that is said, before it is asked again
		at      int
		err     error
	}{
		{"", "Maria", 0, nil},
		{"quit\n", "Maria", 0, nil},
		{"LOCK\n", "Maria", 0, ErrLock},
		{"l\n", "Maria", 0, ErrLock},
		{"0\n", "There is no row 0.", 0, nil},
		{"99\n", "There is no row 99.", 0, nil},
		{"-1\n", "There is no row -1.", 0, nil},
		{"fetch\n", "That is nothing that can be done here: ? lists what can.", 0, nil},
		{"\x1b[2J\n", "That is nothing that can be done here: ? lists what can.", 0, nil},
		{"back\n", "There is no page before: quit ends.", 0, nil},
		{"more\n", "There are no more.", 0, nil},
		{"consents\nback\n", "Maria", 0, nil},
		{"e\n", "Empty", 2, nil},
		{"/nobody\n", "None with these words.", 0, nil},
	} {
		said, at, err := spokenTo(t, newSample(3).Screen, c.answers)
		parts := strings.Split(said, "What next (? lists it): ")
		last := parts[len(parts)-1]
		if c.err == nil || last == "" { // what is said after the last answer
			last = parts[max(0, len(parts)-2)]
		}
		if at != c.at || err != c.err || !strings.Contains(last, c.want) {
			t.Errorf("%q: at %d, %v, says %q", c.answers, at, err, last)
		}
	}
}

// Of a long list some rows are said at a time.
func TestPlainlyInPortions(t *testing.T) {
	s := newSample(120)
	said, _, err := spokenTo(t, s.Screen, "consents\nmore\n1\nback\nmore\nmore\nmore\n")
	if err != nil || s.loads["consent 00000032"] != 1 { // the first of the second portion
		t.Fatal(s.loads, err)
	}
	parts := strings.Split(said, "What next (? lists it): ")
	for i, c := range []struct {
		has, not string
	}{{"Dr 49", "Dr 50"}, {"Dr 49", "Dr 50"}, {"Dr 50", "Dr 49"}, {"Consent 01234567", ""}, {"Dr 49", "Dr 50"}, {"Dr 99", "Dr 49"}, {"Dr 119", "Dr 99"}, {"There are no more.", "Dr 119"}} {
		if !strings.Contains(parts[i], c.has) || c.not != "" && strings.Contains(parts[i], c.not+" ") {
			t.Errorf("%d: %s", i, parts[i])
		}
	}
}

// late is what somebody types an hour after the question.
type late struct {
	*sample
	io.Reader
}

func (l *late) Read(b []byte) (int, error) {
	l.now = l.now.Add(time.Hour)
	return l.Reader.Read(b)
}

// A screen of lines locks while nobody answers, and who answers later is not taken for who was
// there.
func TestPlainlyLocks(t *testing.T) {
	s := newSample(3)
	said, _, err := spokenTo(t, s.Screen, "consents\n")
	if err != nil || strings.Count(said, "What next") != 2 {
		t.Fatal(said, err)
	}
	in, person := io.Pipe()
	s.Idle = time.Millisecond
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := s.say(context.Background(), in, null, 0); err != ErrLock { // while nobody answers
		t.Error(err)
	}
	person.Close()
	s.Idle = time.Hour
	if _, err := s.say(context.Background(), &late{s, strings.NewReader("consents\n")}, null, 0); err != ErrLock || s.loads["Consents"] != 1 { // a computer slept meanwhile
		t.Errorf("%v; %d loads", err, s.loads["Consents"])
	}
}

// What has ended before the portion that is said is not said to be nothing.
func TestPlainlyOfTwoListsOneIsLonger(t *testing.T) {
	said, _, err := spokenTo(t, newSample(120).Screen, "more\n")
	parts := strings.Split(said, "What next (? lists it): ")
	if err != nil || strings.Contains(said, "None") || !strings.Contains(parts[1], "Since you last looked:\nNo more of these.") {
		t.Error(err, parts[1])
	}
}

// What is said stays there, and who hears it is told so once, and that it takes a while.
func TestPlainlySaysThatItStays(t *testing.T) {
	said, _, _ := spokenTo(t, newSample(3).Screen, "consents\nback\n")
	if !strings.HasPrefix(said, "Page by page, line by line: what is said stays in this terminal. Asking ...\n\nMaria\n") || strings.Count(said, "Asking") != 1 {
		t.Error(said)
	}
}

// After a no the rows are those that were said before it.
func TestPlainlyAfterANo(t *testing.T) {
	s, got := newSample(3), []string(nil)
	s.Keys = []Lead{{Key: "x", Word: "revoke", Does: "end it", Of: "consent", View: func(ids []string) *View {
		got = append(got, ids...)
		return &View{Title: "Revoke", Act: func(ctx context.Context, on *Page, with Person) error {
			on.Say("This is known to Dr Smith.")
			if _, err := with.Line(ctx, "Sure?"); err != nil {
				return err
			}
			return Back("you said no")
		}}
	}}}
	said, _, err := spokenTo(t, s.Screen, "consents\nrevoke 1\nno\nrevoke 2\nno\n")
	if err != nil || strings.Join(got, " ") != "01234567 89abcdef" || strings.Count(said, "you said no") != 2 {
		t.Errorf("%q, %v\n%s", got, err, said)
	}
}

// Back leads from what became of an act to the page from which it was begun, and again does not
// do it again.
func TestPlainlyBackFromAnAct(t *testing.T) {
	s, done := newSample(3), 0
	s.Keys = []Lead{{Key: "x", Word: "revoke", Does: "end it", Of: "consent", View: func([]string) *View {
		return &View{Title: "Revoke", Act: func(_ context.Context, on *Page, _ Person) error {
			done++
			on.Say("It is revoked.")
			return nil
		}}
	}}}
	said, at, err := spokenTo(t, s.Screen, "consents\nrevoke 1\nagain\nback\n")
	parts := strings.Split(said, "What next (? lists it): ")
	if err != nil || at != 1 || done != 1 || s.loads["Consents"] != 2 {
		t.Fatalf("at %d, %v, done %d times, %d loads", at, err, done, s.loads["Consents"])
	}
	for i, want := range map[int]string{2: "It is revoked.", 3: "It is revoked.", 4: "\nConsents\n"} {
		if !strings.Contains(parts[i], want) {
			t.Errorf("%d: %s", i, parts[i])
		}
	}
}
