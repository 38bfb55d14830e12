package keyring

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carekey/carekey/crypto/fault"
	gokeyring "github.com/zalando/go-keyring"
)

// secretOf is a well-formed secret that differs with b.
func secretOf(b byte) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(string(rune(b)), 32)))
}

var (
	secretA = secretOf('a')
	secretB = secretOf('b')
)

// fakeLibrary is an honest keyring whose calls a test can replace.
type fakeLibrary struct {
	mu    sync.Mutex
	items map[string]string
	calls []string

	get    func(id string) (string, error)
	set    func(id, secret string) error
	delete func(id string) error
}

func (f *fakeLibrary) Get(service, id string) (string, error) {
	f.note("get", service)
	if f.get != nil {
		return f.get(id)
	}
	return f.honestGet(id)
}

func (f *fakeLibrary) Set(service, id, secret string) error {
	f.note("set", service)
	if f.set != nil {
		return f.set(id, secret)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items[id] = secret
	return nil
}

func (f *fakeLibrary) Delete(service, id string) error {
	f.note("delete", service)
	if f.delete != nil {
		return f.delete(id)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.items[id]; !ok {
		return gokeyring.ErrNotFound
	}
	delete(f.items, id)
	return nil
}

func (f *fakeLibrary) honestGet(id string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if secret, ok := f.items[id]; ok {
		return secret, nil
	}
	return "", gokeyring.ErrNotFound
}

func (f *fakeLibrary) note(call, service string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if service != Service {
		call += " in " + service
	}
	f.calls = append(f.calls, call)
}

func (f *fakeLibrary) made() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, " ")
}

func fake(items ...string) (*OS, *fakeLibrary) {
	f := &fakeLibrary{items: map[string]string{}}
	for i := 0; i < len(items); i += 2 {
		f.items[items[i]] = items[i+1]
	}
	return &OS{lib: f, ready: func() error { return nil }}, f
}

// want fails unless err is an E.
func want(t *testing.T, err error, code fault.Code) *fault.Error {
	t.Helper()
	e, ok := fault.As(err, code)
	if !ok {
		t.Fatalf("got %T %v, want %s", err, err, code)
	}
	return e
}

func TestOSRoundTrip(t *testing.T) {
	ctx := t.Context()
	o, lib := fake()
	_, err := o.Get(ctx, "one")
	want(t, err, ErrItemNotFound)
	for range 2 { // the second time it is there already
		if err := o.Set(ctx, "one", secretA); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := o.Get(ctx, "one"); got != secretA || err != nil {
		t.Fatal(got, err)
	}
	want(t, o.Set(ctx, "one", secretB), ErrItemExists)
	if got, err := o.Get(ctx, "one"); got != secretA || err != nil {
		t.Fatal("overwritten:", got, err)
	}
	if err := o.Delete(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	want(t, o.Delete(ctx, "one"), ErrItemNotFound)
	if o.Kind() != KindOS {
		t.Error(o.Kind())
	}
	if strings.Contains(lib.made(), "in ") || strings.Count(lib.made(), "set") != 1 {
		t.Error("calls:", lib.made())
	}
}

func TestOSMisbehaviour(t *testing.T) {
	errSome := errors.New("some failure")
	locked := errors.New("failed to unlock correct collection '/org/freedesktop/secrets/collection/login'")
	for _, c := range []struct {
		name  string
		item  string
		with  func(f *fakeLibrary)
		do    func(ctx context.Context, o *OS) error
		check func(t *testing.T, err error)
	}{
		{"dismissed prompt at set", "", func(f *fakeLibrary) { f.set = func(string, string) error { return nil } },
			set, func(t *testing.T, err error) { want(t, want(t, err, ErrNotStored), ErrItemNotFound) }},
		{"another value read back", "", func(f *fakeLibrary) { f.set = func(id, _ string) error { f.items[id] = secretB; return nil } },
			set, func(t *testing.T, err error) { want(t, err, ErrNotStored) }},
		{"cut value read back", "", func(f *fakeLibrary) { f.set = func(id, s string) error { f.items[id] = s[:20]; return nil } },
			set, func(t *testing.T, err error) { want(t, want(t, err, ErrNotStored), ErrItemChanged) }},
		{"too large", "", func(f *fakeLibrary) { f.set = func(string, string) error { return gokeyring.ErrSetDataTooBig } },
			set, func(t *testing.T, err error) { want(t, err, ErrTooLarge) }},
		{"set fails", "", func(f *fakeLibrary) { f.set = func(string, string) error { return errSome } },
			set, func(t *testing.T, err error) {
				if e := want(t, err, ErrFailed); fault.Get[string](e, "op") != "set" || !errors.Is(err, errSome) {
					t.Errorf("got %v", err)
				}
			}},
		{"secret in a message", "", func(f *fakeLibrary) {
			f.set = func(_, s string) error { return fmt.Errorf("cannot store %s", s) }
		}, set, func(t *testing.T, err error) { want(t, err, ErrFailed) }},
		{"garbage is not overwritten", "garbage", nil,
			set, func(t *testing.T, err error) { want(t, want(t, err, ErrItemExists), ErrItemChanged) }},
		{"locked at set", "", func(f *fakeLibrary) { f.get = func(string) (string, error) { return "", locked } },
			set, func(t *testing.T, err error) { want(t, err, ErrLocked) }},
		{"panics at set", "", func(f *fakeLibrary) {
			f.set = func(string, string) error { panic("runtime error: nil pointer dereference") }
		}, set, func(t *testing.T, err error) {
			want(t, err, ErrBrokeOff)
		}},

		{"changed value", secretA[:42], nil,
			get, func(t *testing.T, err error) { want(t, err, ErrItemChanged) }},
		{"changed value of the same length", strings.Repeat("a", 42) + "_", nil, // slack bits not zero
			get, func(t *testing.T, err error) { want(t, err, ErrItemChanged) }},
		{"line break in the value", secretA[:20] + "\n" + secretA[21:], nil,
			get, func(t *testing.T, err error) { want(t, err, ErrItemChanged) }},
		{"vanished", "", nil,
			get, func(t *testing.T, err error) { want(t, err, ErrItemNotFound) }},
		{"locked", secretA, func(f *fakeLibrary) { f.get = func(string) (string, error) { return "", locked } },
			get, func(t *testing.T, err error) {
				if want(t, err, ErrLocked); !errors.Is(err, locked) {
					t.Error("cause is lost")
				}
			}},
		{"unsupported", "", func(f *fakeLibrary) {
			f.get = func(string) (string, error) { return "", gokeyring.ErrUnsupportedPlatform }
		}, get, func(t *testing.T, err error) {
			want(t, err, ErrUnsupported)
		}},
		{"program missing", "", func(f *fakeLibrary) {
			f.get = func(string) (string, error) {
				return "", &exec.Error{Name: "dbus-launch", Err: exec.ErrNotFound}
			}
		}, get, func(t *testing.T, err error) {
			if want(t, err, ErrAbsent); !errors.Is(err, exec.ErrNotFound) {
				t.Error("cause is lost")
			}
		}},

		{"dismissed prompt at delete", secretA, func(f *fakeLibrary) { f.delete = func(string) error { return nil } },
			del, func(t *testing.T, err error) { want(t, err, ErrNotDeleted) }},
		{"locked after delete", secretA, func(f *fakeLibrary) { f.get = func(string) (string, error) { return "", locked } },
			del, func(t *testing.T, err error) { want(t, want(t, err, ErrNotDeleted), ErrLocked) }},
		{"garbage can be deleted", "garbage", nil,
			del, func(t *testing.T, err error) {
				if err != nil {
					t.Errorf("got %v", err)
				}
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, lib := fake()
			if c.item != "" {
				lib.items["one"] = c.item
			}
			if c.with != nil {
				c.with(lib)
			}
			err := c.do(t.Context(), o)
			c.check(t, err)
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), secretA) || strings.Contains(e.Error(), "garbage") {
					t.Errorf("secret in %T %q", e, e)
				}
			}
		})
	}
}

func set(ctx context.Context, o *OS) error { return o.Set(ctx, "one", secretA) }
func get(ctx context.Context, o *OS) error { _, err := o.Get(ctx, "one"); return err }
func del(ctx context.Context, o *OS) error { return o.Delete(ctx, "one") }

func TestOSNeverAnswers(t *testing.T) {
	for name, do := range map[string]func(context.Context, *OS) error{"set": set, "get": get, "delete": del} {
		for _, timeout := range []time.Duration{0, 60 * time.Second} {
			t.Run(fmt.Sprint(name, timeout), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o, lib := fake()
					o.Timeout = timeout
					end := make(chan struct{})
					lib.get = func(string) (string, error) { <-end; return "", gokeyring.ErrNotFound }
					lib.delete = func(string) error { <-end; return nil }
					start := time.Now()
					err := do(t.Context(), o)
					e := want(t, err, ErrTimeout)
					after := timeout
					if timeout == 0 {
						after = 5 * time.Second
					}
					if time.Since(start) != after || fault.Get[time.Duration](e, "after") != after || fault.Get[string](e, "op") != name || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%v after %v", err, time.Since(start))
					}
					// The answer that comes too late starts nothing: no Set after
					// the Get, no reading back after the Delete.
					close(end)
					synctest.Wait()
					if made := lib.made(); strings.Contains(made, " ") {
						t.Errorf("calls: %s", made)
					}
				})
			})
		}
	}
}

func TestOSTimeoutCoversReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, lib := fake()
		lib.set = func(id, secret string) error {
			time.Sleep(4 * time.Second)
			lib.items[id] = secret
			return nil
		}
		lib.get = func(id string) (string, error) { time.Sleep(time.Second / 4); return lib.honestGet(id) }
		start := time.Now()
		if err := set(t.Context(), o); err != nil || time.Since(start) != 4500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		delete(lib.items, "one")
		lib.get = func(id string) (string, error) { time.Sleep(time.Second); return lib.honestGet(id) }
		start = time.Now()
		want(t, set(t.Context(), o), ErrTimeout)
		if time.Since(start) != 5*time.Second {
			t.Errorf("took %v", time.Since(start))
		}
		time.Sleep(10 * time.Second) // what was left behind ends
	})
}

func TestOSContext(t *testing.T) {
	why := errors.New("the person pressed control-C")
	synctest.Test(t, func(t *testing.T) {
		o, lib := fake()
		end := make(chan struct{})
		defer close(end)
		lib.get = func(string) (string, error) { <-end; return "", nil }
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { time.Sleep(time.Second); cancel(why) }()
		start := time.Now()
		if err := get(ctx, o); !errors.Is(err, why) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := set(ctx, o); !errors.Is(err, why) || strings.Contains(lib.made(), "set") {
			t.Errorf("%v; calls %s", err, lib.made())
		}
	})
}

func TestOSNotReachableCallsNothing(t *testing.T) {
	o, lib := fake()
	o.ready = func() error { return ErrNoBus }
	for _, do := range []func(context.Context, *OS) error{set, get, del} {
		want(t, do(t.Context(), o), ErrNoBus)
	}
	if lib.made() != "" {
		t.Error("calls:", lib.made())
	}
}

func TestArguments(t *testing.T) {
	o, lib := fake()
	for _, id := range []string{"", strings.Repeat("a", 65), "a b", "a/b", "a\n", "ä", "$(x)"} {
		_, err := o.Get(t.Context(), id)
		want(t, err, ErrArgument)
		want(t, o.Set(t.Context(), id, secretA), ErrArgument)
		want(t, o.Delete(t.Context(), id), ErrArgument)
	}
	for _, secret := range []string{"", "short", secretA + "A", secretA[:42] + "=", strings.Repeat("a", 42) + "_", strings.Repeat("+", 43)} {
		want(t, o.Set(t.Context(), "one", secret), ErrArgument)
	}
	if lib.made() != "" {
		t.Error("calls:", lib.made())
	}
	seen := map[string]bool{}
	for range 100 {
		id := NewID()
		if checkID(id) != nil || seen[id] || len(id) != 26 {
			t.Errorf("id %q", id)
		}
		seen[id] = true
	}
}

func TestOSConcurrent(t *testing.T) {
	o, _ := fake()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			id, secret := fmt.Sprint("id", i), secretOf(byte('a'+i))
			for range 25 {
				if err := o.Set(t.Context(), id, secret); err != nil {
					t.Error(err)
				}
				if got, err := o.Get(t.Context(), id); got != secret || err != nil {
					t.Error(got, err)
				}
				if err := o.Delete(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
