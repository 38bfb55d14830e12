package ui

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/carekey/carekey/cmd/cli"
)

func TestHiddenLine(t *testing.T) {
	for _, c := range []struct {
		in, want string
		err      error
	}{
		{"secret\r", "secret", nil},
		{"secret\nrest", "secret", nil},
		{"\r", "", nil},
		{"sx\x7fecret\r", "secret", nil},
		{"\x7f\x7fa\r", "a", nil},
		{"hä\x7fé\r", "hé", nil},
		{"wrong\x15right\r", "right", nil},
		{"a\x1b[Db\x1bOPc\x1b[3~d\r", "abcd", nil},
		{"a\tb\x01c\r", "abc", nil},
		{"with space \r", "with space ", nil},
		{"abc\x03", "", ErrCanceled},
		{"\x04", "", ErrCanceled},
		{"a\x04b\r", "ab", nil},
		{"abc", "", ErrCanceled},
		{strings.Repeat("x", 5000) + "\r", strings.Repeat("x", maxPassphrase), nil},
	} {
		in := strings.NewReader(c.in)
		got, err := hiddenLine(in)
		if string(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: %q, %v", c.in, got, err)
		}
		if c.in == "secret\nrest" && in.Len() != len("rest") {
			t.Error("read beyond the line")
		}
	}
}

func TestNoTerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ctx := t.Context()
	if Terminal(r, w) || Terminal(nil, nil) || cli.Width(w) != 0 || cli.Width(nil) != 0 {
		t.Error("a pipe is taken for a terminal")
	}
	errs := map[string]error{"words": Words(ctx, r, w, numbered)}
	_, errs["confirm"] = Confirm(ctx, r, w, "preview", "", "question", "")
	_, errs["choose"] = Choose(ctx, r, w, "title", fruit, true)
	_, errs["passphrase"] = Passphrase(r, w, "Passphrase", true, nil)
	for name, err := range errs {
		if !errors.Is(err, ErrNoTerminal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.Close()
	if n, _ := r.Read(make([]byte, 1)); n != 0 {
		t.Error("something was written")
	}
}
