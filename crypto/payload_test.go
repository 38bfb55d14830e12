package crypto

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"filippo.io/age"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/lane"
)

func sealedFor(t testing.TB, ctx SealContext, body []byte, to ...PubKey) []byte {
	t.Helper()
	b, err := SealPayload(ctx, body, 0, to...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPayload(t *testing.T) {
	other, own := GenerateKey(), GenerateKey()
	ctx := SealContext{LedgerID{1}, 3, GenerateKey().Public()}
	for _, size := range []int{0, 1, 4092, 4093, 16380, 16381, 70000, 262140, 262141} {
		body := make([]byte, size)
		rand.Read(body)
		sealed := sealedFor(t, ctx, body, other.Public(), own.Public())
		for _, k := range []*PrivateKey{other, own} {
			if b, err := OpenPayload(ctx, k, sealed); err != nil || !bytes.Equal(b, body) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	}
	// The length tells the class of the body only.
	lengths := map[int]bool{}
	for _, size := range []int{0, 17, 4092} {
		lengths[len(sealedFor(t, ctx, make([]byte, size), other.Public(), own.Public()))] = true
	}
	if len(lengths) != 1 {
		t.Errorf("lengths %v", lengths)
	}
}

func TestPayloadStanzasAreAnonymous(t *testing.T) {
	k := GenerateKey()
	ctx := SealContext{LedgerID{1}, 3, GenerateKey().Public()}
	sealed := sealedFor(t, ctx, nil, k.Public(), GenerateKey().Public())
	header, _, _ := bytes.Cut(sealed, []byte("\n---"))
	lines := strings.Split(string(header), "\n")
	if len(lines) != 5 || lines[0] != "age-encryption.org/v1" {
		t.Fatalf("%q", lines)
	}
	for _, i := range []int{1, 3} {
		enc, ok := strings.CutPrefix(lines[i], "-> carekey-k256 ")
		if !ok || len(enc) != 87 || len(lines[i+1]) != 43 {
			t.Errorf("%q", lines[i])
		}
	}
}

func TestPayloadForOthers(t *testing.T) {
	k := GenerateKey()
	ctx := SealContext{LedgerID{1}, 3, GenerateKey().Public()}
	sealed := sealedFor(t, ctx, []byte("body"), k.Public(), GenerateKey().Public())
	kind, ledger, author := ctx, ctx, ctx
	kind.Part++
	ledger.Ledger[31] ^= 1
	author.Author[0] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"key":    func() ([]byte, error) { return OpenPayload(ctx, GenerateKey(), sealed) },
		"kind":   func() ([]byte, error) { return OpenPayload(kind, k, sealed) },
		"ledger": func() ([]byte, error) { return OpenPayload(ledger, k, sealed) },
		"author": func() ([]byte, error) { return OpenPayload(author, k, sealed) },
	} {
		_, err := open()
		if e, _ := fault.As(err, ErrNotForKey); fault.Get[int](e, "stanzas") != 2 {
			t.Errorf("other %s: %v", name, err)
		}
	}
	// A record's stanza is none of a payload's, and the other way round.
	if _, err := age.Decrypt(bytes.NewReader(sealed), recordIdentity(k)); err == nil {
		t.Error("a payload was opened as a record")
	}
}

// Every changed byte is found, as damage or as "not for this key", and so is every
// shorter and longer file.
func TestPayloadDamaged(t *testing.T) {
	k := GenerateKey()
	ctx := SealContext{LedgerID{1}, 3, GenerateKey().Public()}
	sealed := sealedFor(t, ctx, []byte("body"), k.Public())
	header := bytes.Index(sealed, []byte("\n--- ")) + 5 + 43 + 1
	step := lane.Pick(1, 1, 37)
	check := func(b []byte, what string, i int) {
		t.Helper()
		body, err := OpenPayload(ctx, k, b)
		switch {
		case errors.Is(err, ErrDamaged):
		case errors.Is(err, ErrNotForKey):
			if i >= header {
				t.Errorf("%s %d: %v", what, i, err)
			}
		default:
			t.Errorf("%s %d: %q, %v", what, i, body, err)
		}
	}
	for i := 0; i < len(sealed); i += step {
		if i > header+40 && i < len(sealed)-40 && i%97 != 0 {
			continue // one chunk, one tag
		}
		b := bytes.Clone(sealed)
		b[i] ^= 1 << (i % 8)
		check(b, "byte", i)
		check(sealed[:i], "cut", i)
	}
	check(append(bytes.Clone(sealed), 0), "longer", len(sealed))
	check(append(bytes.Clone(sealed), sealed...), "twice", len(sealed))
}

func TestPayloadPadding(t *testing.T) {
	k := GenerateKey()
	ctx := SealContext{LedgerID{1}, 3, GenerateKey().Public()}
	good := pad([]byte("body"), 0)
	trailing, length, huge := bytes.Clone(good), bytes.Clone(good), bytes.Clone(good)
	trailing[4095] = 1
	length[2] = 0xff
	huge[0] = 0xff
	for name, b := range map[string][]byte{
		"trailing": trailing, "length of another class": length, "length": huge,
		"cut": good[:4095], "short": good[:3], "empty": nil, "no class": good[:2048],
	} {
		var buf bytes.Buffer
		w, err := age.Encrypt(&buf, &stanzaRecipient{k.Public(), ctx.info(k.Public())})
		if err != nil {
			t.Fatal(err)
		}
		w.Write(b)
		w.Close()
		if body, err := OpenPayload(ctx, k, buf.Bytes()); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %q %v", name, body, err)
		}
	}
}

// What varies within the room that is reserved does not show.
func TestPayloadRoom(t *testing.T) {
	k := GenerateKey()
	ctx := SealContext{LedgerID{1}, 3, GenerateKey().Public()}
	size := map[int]bool{}
	for _, n := range []int{0, 1, 4092, 4093, 9000, 16380} {
		sealed, err := SealPayload(ctx, make([]byte, n), 9000, k.Public())
		if err != nil {
			t.Fatal(err)
		}
		if body, err := OpenPayload(ctx, k, sealed); err != nil || len(body) != n {
			t.Errorf("%d bytes: %d, %v", n, len(body), err)
		}
		size[len(sealed)] = true
	}
	if len(size) != 1 {
		t.Errorf("%d sizes", len(size))
	}
	if _, err := SealPayload(ctx, nil, MaxPayload+1, k.Public()); err != ErrTooLarge {
		t.Error(err)
	}
}

func TestPayloadBounds(t *testing.T) {
	k := GenerateKey()
	ctx := SealContext{}
	if _, err := SealPayload(ctx, make([]byte, MaxPayload+1), 0, k.Public()); err != ErrTooLarge {
		t.Error(err)
	}
	if _, err := SealPayload(ctx, nil, 0); err == nil {
		t.Error("sealed to nobody")
	}
	if _, err := SealPayload(ctx, nil, 0, make([]PubKey, 17)...); err == nil {
		t.Error("sealed to 17")
	}
	if _, err := SealPayload(ctx, nil, 0, PubKey{}); !errors.Is(err, ErrPubKey) {
		t.Error(err)
	}
	if _, err := OpenPayload(ctx, k, make([]byte, maxSealed+1)); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	lane.OneGoroutine(t)
	body := make([]byte, MaxPayload)
	to := []PubKey{k.Public()}
	for len(to) < maxStanzas {
		to = append(to, k.Public())
	}
	sealed := sealedFor(t, ctx, body, to...)
	if len(sealed) != maxSealed {
		t.Errorf("the largest payload seals to %d bytes, not %d", len(sealed), maxSealed)
	}
	if b, err := OpenPayload(ctx, k, sealed); err != nil || len(b) != len(body) {
		t.Error(err)
	}
}

// manyStanzas is an age file for k whose header has n stanzas, the last for k.
func manyStanzas(t *testing.T, k *PrivateKey, info []byte, n int) []byte {
	t.Helper()
	stranger := GenerateKey().Public()
	var to []age.Recipient
	one := &stanzaRecipient{stranger, info}
	fixed, err := one.Wrap(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	for range n - 1 {
		to = append(to, fixedStanza{fixed[0]})
	}
	to = append(to, &stanzaRecipient{k.Public(), info})
	var buf bytes.Buffer
	w, err := age.Encrypt(&buf, to...)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(pad([]byte("body"), 0))
	w.Close()
	return buf.Bytes()
}

type fixedStanza struct{ *age.Stanza }

func (s fixedStanza) Wrap([]byte) ([]*age.Stanza, error) { return []*age.Stanza{s.Stanza}, nil }

// A header with hundreds of our stanzas would cost an ECDH for each.
func TestManyStanzas(t *testing.T) {
	lane.OneGoroutine(t)
	k := GenerateKey()
	ctx := SealContext{LedgerID{1}, 3, GenerateKey().Public()}
	for n, ok := range map[int]bool{1: true, 16: true, 17: false, 1024: false} {
		payload, record := manyStanzas(t, k, ctx.info(k.Public()), n), manyStanzas(t, k, info(TagRecord), n)
		_, err := OpenPayload(ctx, k, payload)
		if ok != (err == nil) || !ok && !errors.Is(err, ErrDamaged) {
			t.Errorf("payload with %d: %v", n, err)
		}
		_, err = RecordFileKey(bytes.NewReader(record), recordIdentity(k))
		if ok != (err == nil) || !ok && !errors.Is(err, ErrDamaged) {
			t.Errorf("record with %d: %v", n, err)
		}
	}
	// Too many even for age, and a header without an end.
	for _, b := range [][]byte{
		[]byte("age-encryption.org/v1\n" + strings.Repeat("-> x\n\n", 2000) + "--- "),
		[]byte("age-encryption.org/v1\n-> " + strings.Repeat("a ", 2<<20)),
		[]byte("age-encryption.org/v1\n-> x\n" + strings.Repeat(strings.Repeat("A", 64)+"\n", 1<<16)),
		{}, []byte("age-encryption.org/v1\n"), []byte("age-encryption.org/v2\n"),
	} {
		if _, err := OpenPayload(ctx, k, b); !errors.Is(err, ErrDamaged) {
			t.Errorf("%.30q: %v", b, err)
		}
		if _, err := RecordFileKey(bytes.NewReader(b), recordIdentity(k)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%.30q: %v", b, err)
		}
	}
}

func TestForeignStanzas(t *testing.T) {
	k := GenerateKey()
	ctx := SealContext{LedgerID{1}, 3, GenerateKey().Public()}
	x, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		with  *age.Stanza
		fatal bool // for records too
	}{
		{"another type", &age.Stanza{Type: "X25519", Args: []string{"a"}, Body: make([]byte, 32)}, false},
		{"no argument", &age.Stanza{Type: stanzaType, Body: make([]byte, 32)}, true},
		{"two arguments", &age.Stanza{Type: stanzaType, Args: []string{strings.Repeat("A", 87), "B"}, Body: make([]byte, 32)}, true},
		{"short enc", &age.Stanza{Type: stanzaType, Args: []string{strings.Repeat("A", 86)}, Body: make([]byte, 32)}, true},
		{"not base64", &age.Stanza{Type: stanzaType, Args: []string{strings.Repeat("!", 87)}, Body: make([]byte, 32)}, true},
		{"short body", &age.Stanza{Type: stanzaType, Args: []string{strings.Repeat("A", 87)}, Body: make([]byte, 31)}, true},
		{"long body", &age.Stanza{Type: stanzaType, Args: []string{strings.Repeat("A", 87)}, Body: make([]byte, 48)}, true},
	} {
		file := func(info []byte) []byte {
			var buf bytes.Buffer
			w, err := age.Encrypt(&buf, fixedStanza{c.with}, &stanzaRecipient{k.Public(), info})
			if err != nil {
				t.Fatal(err)
			}
			w.Write(pad([]byte("body"), 0))
			w.Close()
			return buf.Bytes()
		}
		if _, err := OpenPayload(ctx, k, file(ctx.info(k.Public()))); !errors.Is(err, ErrDamaged) {
			t.Errorf("payload with %s: %v", c.name, err)
		}
		_, err := RecordFileKey(bytes.NewReader(file(info(TagRecord))), recordIdentity(k))
		if c.fatal != (err != nil) {
			t.Errorf("record with %s: %v", c.name, err)
		}
	}
	// A record can also be encrypted to a recipient of another kind.
	var buf bytes.Buffer
	w, err := age.Encrypt(&buf, x.Recipient(), RecordRecipient(k.Public()))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "content")
	w.Close()
	for _, i := range []age.Identity{x, recordIdentity(k)} {
		r, err := age.Decrypt(bytes.NewReader(buf.Bytes()), i)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || string(b) != "content" {
			t.Error(err)
		}
	}
}

// Two recipients must not be shown different contents in one file: a stanza with
// another file key fails at the header's MAC.
func TestStanzaWithAnotherFileKey(t *testing.T) {
	k := GenerateKey()
	ctx := SealContext{LedgerID{1}, 3, GenerateKey().Public()}
	r := &stanzaRecipient{k.Public(), ctx.info(k.Public())}
	wrong, err := r.Wrap([]byte("another file key"))
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w, err := age.Encrypt(&buf, fixedStanza{wrong[0]})
	if err != nil {
		t.Fatal(err)
	}
	w.Write(pad([]byte("body"), 0))
	w.Close()
	if _, err := OpenPayload(ctx, k, buf.Bytes()); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

func TestRecord(t *testing.T) {
	k := GenerateKey()
	var file bytes.Buffer
	w, err := age.Encrypt(&file, RecordRecipient(k.Public()))
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 200_000)
	rand.Read(content)
	w.Write(content)
	w.Close()
	key, err := RecordFileKey(bytes.NewReader(file.Bytes()), recordIdentity(k))
	if err != nil {
		t.Fatal(err)
	}
	exposed := key.ExposeSecret()
	same, err := ParseFileKey(exposed[:])
	if err != nil {
		t.Fatal(err)
	}
	for name, i := range map[string]age.Identity{"owner": recordIdentity(k), "file key": key.Identity(), "parsed": same.Identity()} {
		r, size, err := age.DecryptReaderAt(bytes.NewReader(file.Bytes()), int64(file.Len()), i)
		if err != nil || size != int64(len(content)) {
			t.Fatal(name, size, err)
		}
		part := make([]byte, 1000)
		if _, err := r.ReadAt(part, 130_000); err != nil || !bytes.Equal(part, content[130_000:131_000]) {
			t.Error(name, err)
		}
	}
	wrong, _ := ParseFileKey(make([]byte, 16))
	if _, err := age.Decrypt(bytes.NewReader(file.Bytes()), wrong.Identity()); err == nil {
		t.Error("opened with another file key")
	}
	_, err = RecordFileKey(bytes.NewReader(file.Bytes()), recordIdentity(GenerateKey()))
	if e, _ := fault.As(err, ErrNotForKey); fault.Get[int](e, "stanzas") != 1 {
		t.Error(err)
	}
	broken := errors.New("disk")
	if _, err := RecordFileKey(io.MultiReader(bytes.NewReader(file.Bytes()[:40]), iotest.ErrReader(broken)), recordIdentity(k)); err != broken {
		t.Errorf("the reader's error became %v", err)
	}
	for _, n := range []int{0, 15, 17, 32} {
		if _, err := ParseFileKey(make([]byte, n)); err != ErrFileKey {
			t.Error(n, err)
		}
	}
}

func TestBlob(t *testing.T) {
	salt := NewSalt()
	blob := Blob(salt, []byte("body"))
	if b, err := OpenBlob(blob); err != nil || string(b) != "body" || len(blob) != 36 {
		t.Error(err)
	}
	if b, err := OpenBlob(blob[:32]); err != nil || len(b) != 0 {
		t.Error(err)
	}
	if _, err := OpenBlob(blob[:31]); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	if BlobHash(blob) == BlobHash(Blob(NewSalt(), []byte("body"))) || BlobHash(blob) != TaggedHash(TagBlob, salt[:], []byte("body")) {
		t.Error("hash")
	}
	big := make([]byte, 100_000)
	if TaggedHash(TagBlob, big) != TaggedHash(TagBlob, big[:1], big[1:400], nil, big[400:]) || TaggedHash(TagBlob, big[:300]) != TaggedHash(TagBlob, big[:100], big[100:300]) {
		t.Error("parts")
	}
	if TaggedHash(TagBlob) == TaggedHash(TagLock) {
		t.Error("tags")
	}
}

func TestPadLength(t *testing.T) {
	for _, c := range [][2]int64{
		{0, 4096}, {1, 4096}, {4096, 4096}, {4097, 4352}, {4352, 4352}, {4353, 4608},
		{1_000_000, 1_015_808}, {1 << 30, 1 << 30}, {1<<30 + 1, 1<<30 + 1<<25}, {1 << 62, 1 << 62}, {1<<62 - 1, 1 << 62},
	} {
		if got := PadLength(c[0]); got != c[1] {
			t.Errorf("%d → %d, want %d", c[0], got, c[1])
		}
	}
	last := int64(0)
	for n := int64(0); n < 1<<40; n += 1 + n/50 {
		p := PadLength(n)
		if p < n || p < last || PadLength(p) != p || n > 4096 && float64(p-n) > 0.12*float64(n) {
			t.Fatalf("%d → %d", n, p)
		}
		last = p
	}
}

// recordIdentity opens what was encrypted to [RecordRecipient] of a key.
func recordIdentity(k *PrivateKey) age.Identity {
	return &stanzaIdentity{open: opensWith(k, info(TagRecord))}
}
