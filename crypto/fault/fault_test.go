package fault

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
)

const (
	errBusy      Code = "busy"
	errLocked    Code = "locked"
	errDismissed Code = "locked/dismissed"
	errNotFound  Code = "{what}-not-found"
)

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		is   []Code
		text string
	}{
		{errBusy, []Code{errBusy}, "busy"},
		{errBusy.With("dir", "a b", "size", 7), []Code{errBusy}, `busy dir="a b" size=7`},
		{errBusy.Of(io.EOF, "dir", "d"), []Code{errBusy}, `busy dir="d": EOF`},
		{errDismissed, []Code{errLocked, errDismissed}, "locked/dismissed"},
		{errDismissed.With("n", 1), []Code{errLocked, errDismissed}, "locked/dismissed n=1"},
		{errLocked.Of(errBusy.With("n", 1)), []Code{errLocked, errBusy}, "locked: busy n=1"},
		{errNotFound.With("what", "record", "query", "x"), []Code{errNotFound}, `record-not-found query="x"`},
		{errors.Join(io.EOF, errBusy), []Code{errBusy}, "EOF\nbusy"},
	} {
		if c.err.Error() != c.text {
			t.Errorf("%q, want %q", c.err, c.text)
		}
		for _, code := range []Code{errBusy, errLocked, errDismissed, errNotFound} {
			for _, err := range []error{c.err, fmt.Errorf("while at it: %w", c.err)} {
				e, as := As(err, code)
				if want := slices.Contains(c.is, code); errors.Is(err, code) != want || as != want || as && !e.Is(code) {
					t.Errorf("%v is %s: %t, %t", err, code, errors.Is(err, code), as)
				}
			}
		}
	}
}

func TestValues(t *testing.T) {
	e, ok := As(fmt.Errorf("x: %w", errBusy.Of(io.EOF, "dir", "d", "size", 7)), errBusy)
	if !ok || Get[string](e, "dir") != "d" || Get[int](e, "size") != 7 || Get[string](e, "size") != "" || e.Value("none") != nil || !errors.Is(e, io.EOF) {
		t.Errorf("%#v", e)
	}
	if _, ok := As(nil, errBusy); ok || errors.Is(errLocked, errDismissed) || errors.Is(Code("locked-out"), errLocked) {
		t.Error("found what is not there")
	}
}

func TestTree(t *testing.T) {
	a, b := errBusy.Of(io.EOF), errors.New("b")
	var got []error
	for err := range Tree(errLocked.Of(errors.Join(a, b))) {
		if got = append(got, err); err == b {
			break
		}
	}
	if len(got) != 5 || got[2] != a || got[3] != io.EOF {
		t.Errorf("%v", got)
	}
}
