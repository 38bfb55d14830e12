package keyring

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/carekey/carekey/crypto/lane"
)

// answer is a passphrase callback that keeps what it gave out, to see it wiped.
type answer struct {
	text     string
	err      error
	asked    []bool
	returned [][]byte
}

func (a *answer) ask(_ context.Context, confirm bool) ([]byte, error) {
	a.asked = append(a.asked, confirm)
	b := []byte(a.text)
	a.returned = append(a.returned, b)
	return b, a.err
}

func newFile(t *testing.T, passphrase string) (*File, *answer) {
	a := &answer{text: passphrase}
	return &File{Path: filepath.Join(t.TempDir(), FileName), Passphrase: a.ask, WorkFactor: 2}, a
}

func TestFileRoundTrip(t *testing.T) {
	ctx := t.Context()
	f, a := newFile(t, "correct horse")
	_, err := f.Get(ctx, "one")
	if want(t, err, ErrItemNotFound); !errors.Is(err, fs.ErrNotExist) || len(a.asked) != 0 {
		t.Error("asked for the passphrase of no file")
	}
	if err := f.Set(ctx, "one", secretA); err != nil {
		t.Fatal(err)
	}
	if len(a.asked) != 1 || !a.asked[0] {
		t.Error("a new passphrase is to be confirmed:", a.asked)
	}
	if got, err := f.Get(ctx, "one"); got != secretA || err != nil {
		t.Fatal(got, err)
	}
	if len(a.asked) != 2 || a.asked[1] {
		t.Error("an old passphrase is not to be confirmed:", a.asked)
	}
	if err := f.Set(ctx, "one", secretA); err != nil { // the same again
		t.Error(err)
	}
	_, err = f.Get(ctx, "two")
	want(t, err, ErrItemNotFound)

	before, _ := os.ReadFile(f.Path)
	want(t, f.Set(ctx, "one", secretB), ErrItemExists)
	want(t, f.Set(ctx, "two", secretA), ErrItemExists)
	if after, _ := os.ReadFile(f.Path); !bytes.Equal(before, after) {
		t.Error("overwritten")
	}
	if bytes.Contains(before, []byte(secretA)) || bytes.Contains(before, []byte("one")) {
		t.Error("in the clear")
	}
	if fi, err := os.Stat(f.Path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Error(fi.Mode(), err)
	}
	for _, b := range a.returned {
		if !bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("passphrase was not wiped: %q", b)
		}
	}
	names, _ := os.ReadDir(filepath.Dir(f.Path))
	if len(names) != 1 {
		t.Errorf("files: %v", names)
	}

	if err := f.Delete(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	want(t, f.Delete(ctx, "one"), ErrItemNotFound)
	if f.Kind() != KindFile {
		t.Error(f.Kind())
	}
}

// The file is what the documentation says: the age library opens it with
// nothing of ours, and it carries the work factor asked for.
func TestFileIsAnAgeFile(t *testing.T) {
	f, _ := newFile(t, "correct horse")
	f.WorkFactor = 3
	if err := f.Set(t.Context(), "one", secretA); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	if fields := strings.Fields(strings.SplitN(string(b), "\n", 3)[1]); len(fields) != 4 || fields[1] != "scrypt" || fields[3] != "3" {
		t.Errorf("stanza: %v", fields)
	}
	identity, _ := age.NewScryptIdentity("correct horse")
	r, err := age.Decrypt(bytes.NewReader(b), identity)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if want := "carekey key 1\none\n" + secretA + "\n"; string(plain) != want || err != nil {
		t.Errorf("content %q, %v", plain, err)
	}
}

func TestFileDefaultWorkFactor(t *testing.T) {
	lane.OneGoroutine(t)
	f, _ := newFile(t, "correct horse")
	f.WorkFactor = 0
	if err := f.Set(t.Context(), "one", secretA); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(f.Path); !bytes.Contains(b, []byte(" 18\n")) {
		t.Errorf("header: %.80s", b)
	}
}

func TestFilePassphrases(t *testing.T) {
	ctx := t.Context()
	f, a := newFile(t, "")
	want(t, f.Set(ctx, "one", secretA), ErrEmptyPassphrase)
	a.text, a.err = "half typed", errors.New("the person gave up")
	if err := f.Set(ctx, "one", secretA); !errors.Is(err, a.err) {
		t.Error(err)
	}
	if _, err := os.Stat(f.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a file was written:", err)
	}
	a.text, a.err = "right", nil
	if err := f.Set(ctx, "one", secretA); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"Right", "right ", "wrong", "\x00"} {
		a.text = wrong
		_, err := f.Get(ctx, "one")
		if want(t, err, ErrWrongPassphrase); strings.Contains(err.Error(), secretA) {
			t.Error(err)
		}
		want(t, f.Set(ctx, "one", secretA), ErrWrongPassphrase)
	}
	a.text = ""
	_, err := f.Get(ctx, "one")
	want(t, err, ErrEmptyPassphrase)
	f.Passphrase = nil
	_, err = f.Get(ctx, "one")
	want(t, err, ErrArgument)

	canceled, cancel := context.WithCancel(ctx)
	cancel()
	f.Passphrase = a.ask
	if _, err := f.Get(canceled, "one"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// The same letters are the same passphrase, in whatever form a keyboard sends them.
func TestFilePassphraseForms(t *testing.T) {
	const composed, apart = "Z\u00fcrich \u00e9tude", "Zu\u0308rich e\u0301tude"
	ctx := t.Context()
	for _, chosen := range []string{composed, apart} {
		for _, typed := range []string{composed, apart} {
			f, a := newFile(t, chosen)
			if err := f.Set(ctx, "one", secretA); err != nil {
				t.Fatal(err)
			}
			for _, change := range []bool{false, true} {
				a.text = typed
				if change {
					if err := f.ChangePassphrase(ctx); err != nil {
						t.Fatal(err)
					}
				}
				if got, err := f.Get(ctx, "one"); err != nil || got != secretA {
					t.Errorf("chosen as %+q, typed as %+q: %v", chosen, typed, err)
				}
			}
			for _, b := range a.returned {
				if !bytes.Equal(b, make([]byte, len(b))) {
					t.Error("a passphrase is still there")
				}
			}
		}
	}
}

// Any change of any byte, and any cut, is noticed.
func TestFileDamage(t *testing.T) {
	f, _ := newFile(t, "right")
	f.WorkFactor = 1
	if err := f.Set(t.Context(), "one", secretA); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	wrong, damaged := 0, 0
	try := func(what string, at int, b []byte) {
		t.Helper()
		if err := os.WriteFile(f.Path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := f.Get(t.Context(), "one")
		switch {
		case errors.Is(err, ErrWrongPassphrase):
			wrong++
		case errors.Is(err, ErrDamaged):
			damaged++
		default:
			t.Errorf("%s at %d: %T %v", what, at, err, err)
		}
	}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		try("changed bit", i, b)
		try("cut", i, good[:i])
	}
	try("appended", len(good), append(bytes.Clone(good), 0))
	try("too long", len(good), append(bytes.Clone(good), make([]byte, maxFileSize)...))
	if wrong == 0 || damaged < len(good) {
		t.Errorf("%d looked like a wrong passphrase, %d damaged", wrong, damaged)
	}
	t.Logf("%d bytes: %d changes look like a wrong passphrase, %d are damage", len(good), wrong, damaged)
}

func TestFileRefusesForeignFiles(t *testing.T) {
	seal := func(factor int, plain string, recipients ...age.Recipient) []byte {
		if recipients == nil {
			r, _ := age.NewScryptRecipient("right")
			r.SetWorkFactor(factor)
			recipients = append(recipients, r)
		}
		var b bytes.Buffer
		w, err := age.Encrypt(&b, recipients...)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, plain)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	x25519, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	plain := itemHead + "one\n" + secretA + "\n"
	f, _ := newFile(t, "right")
	for name, b := range map[string][]byte{
		"empty":               {},
		"text":                []byte("hello\n"),
		"other content":       seal(1, "hello\n"),
		"trailing line":       seal(1, plain+"\n"),
		"to a key":            seal(1, plain, x25519.Recipient()),
		"more work than most": bytes.Replace(seal(1, plain), []byte(" 1\n"), []byte(" 21\n"), 1),
	} {
		if err := os.WriteFile(f.Path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := f.Get(t.Context(), "one")
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %T %v", name, err, err)
		}
	}
}

func TestFileWriteFails(t *testing.T) {
	ctx := t.Context()
	f, _ := newFile(t, "right")
	f.Path = filepath.Join(f.Path, "missing folder", FileName)
	if err := f.Set(ctx, "one", secretA); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrItemNotFound) {
		t.Errorf("%T %v", err, err)
	}
	f, _ = newFile(t, "right")
	f.WorkFactor = 21
	want(t, f.Set(ctx, "one", secretA), ErrArgument)

	f, _ = newFile(t, "right")
	if err := f.Set(ctx, "one", secretA); err != nil {
		t.Fatal(err)
	}

	// A path that cannot be a file.
	if err := os.Remove(f.Path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(f.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Set(ctx, "one", secretA); err == nil {
		t.Error("a folder was taken for a file")
	}
}

// Reading a key file's content makes no copy of the secret in it, which nobody could wipe.
func TestItemIsNotCopied(t *testing.T) {
	item := itemHead + "one\n" + secretA + "\n"
	needed := testing.AllocsPerRun(10, func() { checkItem("one", secretA) })
	if n := testing.AllocsPerRun(10, func() { parseItem(item) }); n > needed {
		t.Errorf("%v values on the heap, not %v", n, needed)
	}
}

func FuzzItem(f *testing.F) {
	f.Add(itemHead + "one\n" + secretA + "\n")
	f.Add(itemHead + NewID() + "\n" + secretB + "\n")
	f.Add("carekey key 1\n\n\n")
	f.Fuzz(func(t *testing.T, s string) {
		id, secret, ok := parseItem(s)
		if ok && itemHead+id+"\n"+secret+"\n" != s {
			t.Errorf("%q is read as %q, %q", s, id, secret)
		}
	})
}
