package keyring

import (
	"context"
	"errors"
	"testing"
)

func TestAheadReadsOnce(t *testing.T) {
	o, lib := fake("one", secretA, "two", secretB)
	a := Ahead(t.Context(), o, "one")
	for range 3 {
		if got, err := a.Get(t.Context(), "one"); got != secretA || err != nil {
			t.Fatal(got, err)
		}
	}
	if lib.made() != "get" {
		t.Error("calls:", lib.made())
	}
	if got, err := a.Get(t.Context(), "two"); got != secretB || err != nil {
		t.Error(got, err)
	}
	if a.Kind() != KindOS {
		t.Error(a.Kind())
	}
	_, err := Ahead(t.Context(), o, "three").Get(t.Context(), "three")
	want(t, err, ErrItemNotFound)
}

func TestAheadEndsWithItsCaller(t *testing.T) {
	o, lib := fake()
	end := make(chan struct{})
	defer close(end)
	lib.get = func(string) (string, error) { <-end; return secretA, nil }
	why := errors.New("the person pressed control-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	a := Ahead(ctx, o, "one")
	cancel(why)
	if _, err := a.Get(ctx, "one"); !errors.Is(err, why) {
		t.Error(err)
	}
}
