package crypto

import (
	"bytes"
	"encoding"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
)

// secretValue is a value of a secret type and the bytes that must not be seen.
type secretValue struct {
	value any
	bytes []byte
}

func secretValues(t *testing.T) map[string]secretValue {
	t.Helper()
	root := NewEntropy().Root()
	seed := root.Seed(LedgerID{1}, Nonce{2})
	key := seed.Key()
	scalar := key.ExposeSecret()
	self := root.SelfKey().ExposeSecret()
	id := root.Identity()
	s := id.p().sign.ExposeSecret()
	o, err := NewOffsets(LedgerID{1}, key, id.Address())
	if err != nil {
		t.Fatal(err)
	}
	one, ok, err := id.Recognize(LedgerID{1}, key.Public(), o.Sig)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	p := one.seal.ExposeSecret()
	shares, err := seed.Shares(2, 3)
	if err != nil {
		t.Fatal(err)
	}
	fileKey, err := ParseFileKey([]byte("\xa7\x13\xfe\x80\x99\x5b\xc1\x2d\xe4\x70\x3f\x66\xd8\x0b\x91\xaa"))
	if err != nil {
		t.Fatal(err)
	}
	fk := fileKey.ExposeSecret()
	e := NewEntropy()
	partSalts := PartSaltsFrom((*[32]byte)(NewEntropy().bytes()))
	parts := seed.Parts(LedgerID{1}, key.Public(), &partSalts)
	partKey, frameKey := parts.Key(Hash{9}), parts.FrameKey()
	pk := partKey.ExposeSecret()
	return map[string]secretValue{
		"PartSalts":      {partSalts, partSalts.bytes()},
		"Parts":          {parts, parts.p().keys},
		"salts of Parts": {parts, parts.p().salts},
		"PartKey":        {partKey, pk[:]},
		"PartsFrameKey":  {frameKey, frameKey.bytes()},
		"Entropy":        {e, e.bytes()},
		"Root":           {root, root.bytes()},
		"Seed":           {seed, seed.bytes()},
		"LockKey":        {seed.LockKey(), seed.LockKey().bytes()},
		"LinkID":         {seed.LinkID(), seed.LinkID().bytes()},
		"LinkKey":        {seed.LinkKey(), seed.LinkKey().bytes()},
		"Share":          {shares[1], shares[1].data.bytes()},
		"FileKey":        {fileKey, fk[:]},
		"PrivateKey":     {*key, scalar[:]},
		"*PrivateKey":    {key, scalar[:]},
		"Identity":       {id, s[:]},
		"Offsets":        {o, o.loc.bytes()},
		"OneTimeKeys":    {one, p[:]},
		"Tagger":         {root.Tagger(LedgerID{1}), derive(root.bytes(), TagSelfTag, make([]byte, 0), (&LedgerID{1})[:])},
		"LocalKey":       {root.LocalKey(), derive(root.bytes(), TagLocalKey)},
		"RecordIdentity": {recordIdentity(root.SelfKey()), self[:]},
		"Keys":           {root.Keys(LedgerID{1}), root.bytes()},
		"HeldKeys":       {HoldKeys(held(root)), root.bytes()},
		"file identity":  {fileKey.Identity(), fk[:]},
	}
}

// leaks returns a printed form of four neighbouring bytes of the secret, if there
// is one in s.
func leaks(s string, secret []byte) string {
	low := strings.ToLower(s)
	for i := 0; i+4 <= len(secret); i++ {
		w := secret[i : i+4]
		var dec, hexComma, oct, bin, uni []string
		for _, c := range w {
			dec = append(dec, strconv.Itoa(int(c)))
			hexComma = append(hexComma, fmt.Sprintf("0x%x", c))
			oct = append(oct, fmt.Sprintf("%o", c))
			bin = append(bin, fmt.Sprintf("%b", c))
			uni = append(uni, fmt.Sprintf("u+%04x", c))
		}
		word := uint32(w[0])<<24 | uint32(w[1])<<16 | uint32(w[2])<<8 | uint32(w[3])
		forms := []string{
			hex.EncodeToString(w),
			strings.Join(dec, " "), strings.Join(dec, ", "), strings.Join(hexComma, ", "),
			strings.Join(oct, " "), strings.Join(bin, " "), strings.Join(uni, " "),
		}
		if strings.Contains(s, string(w)) {
			return string(w)
		}
		// The arithmetic keeps scalars as eight 32-bit words.
		if word > 1<<24 {
			forms = append(forms, strconv.FormatUint(uint64(word), 10), fmt.Sprintf("%o", word))
		}
		for _, f := range forms {
			if strings.Contains(low, f) {
				return f
			}
		}
	}
	return ""
}

func TestSecretsDoNotPrint(t *testing.T) {
	lane.OneGoroutine(t)
	type exported struct{ Secret any }
	type unexported struct{ secret any }
	verbs := []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "% x", "%d", "%q", "%o", "%b", "%c", "%U", "%t", "%e", "%p", "%08.3f"}
	for name, v := range secretValues(t) {
		t.Run(name, func(t *testing.T) {
			// A field of the very type: an any would hide what fmt does to it.
			typ := reflect.TypeOf(v.value)
			field := reflect.New(typ)
			field.Elem().Set(reflect.ValueOf(v.value))
			slice := reflect.MakeSlice(reflect.SliceOf(typ), 0, 1)
			slice = reflect.Append(slice, reflect.ValueOf(v.value))
			forms := map[string]any{
				"value":                v.value,
				"pointer":              field.Interface(),
				"exported":             exported{v.value},
				"unexported":           unexported{v.value},
				"pointer exported":     &exported{v.value},
				"pointer unexported":   &unexported{v.value},
				"unexported pointer":   unexported{field.Interface()},
				"slice":                slice.Interface(),
				"unexported slice":     unexported{slice.Interface()},
				"map":                  map[string]any{"k": v.value},
				"unexported of itself": holders[name](v.value),
			}
			for form, x := range forms {
				for _, verb := range verbs {
					if f := leaks(fmt.Sprintf(verb, x), v.bytes); f != "" {
						t.Errorf("%s of %s prints %q", verb, form, f)
					}
				}
				if f := leaks(fmt.Sprint(x), v.bytes); f != "" {
					t.Errorf("Sprint of %s prints %q", form, f)
				}
			}
		})
	}
}

// holders put a secret into an unexported field of its own type.
var holders = map[string]func(any) any{
	"PartSalts":      func(v any) any { return struct{ s PartSalts }{v.(PartSalts)} },
	"Parts":          func(v any) any { return struct{ s Parts }{*v.(*Parts)} },
	"salts of Parts": func(v any) any { return struct{ s Parts }{*v.(*Parts)} },
	"PartKey":        func(v any) any { return struct{ s PartKey }{v.(PartKey)} },
	"PartsFrameKey":  func(v any) any { return struct{ s PartsFrameKey }{v.(PartsFrameKey)} },
	"Entropy":        func(v any) any { return &struct{ s Entropy }{v.(Entropy)} },
	"Root":           func(v any) any { return struct{ s Root }{v.(Root)} },
	"Seed":           func(v any) any { return struct{ s Seed }{v.(Seed)} },
	"LockKey":        func(v any) any { return struct{ s LockKey }{v.(LockKey)} },
	"LinkID":         func(v any) any { return struct{ s LinkID }{v.(LinkID)} },
	"LinkKey":        func(v any) any { return struct{ s LinkKey }{v.(LinkKey)} },
	"Share":          func(v any) any { return struct{ s []Share }{[]Share{v.(Share)}} },
	"FileKey":        func(v any) any { return struct{ s FileKey }{v.(FileKey)} },
	"PrivateKey":     func(v any) any { return struct{ s PrivateKey }{v.(PrivateKey)} },
	"*PrivateKey":    func(v any) any { return struct{ s *PrivateKey }{v.(*PrivateKey)} },
	"Identity":       func(v any) any { return struct{ s Identity }{*v.(*Identity)} },
	"Offsets":        func(v any) any { return struct{ s Offsets }{*v.(*Offsets)} },
	"OneTimeKeys":    func(v any) any { return struct{ s OneTimeKeys }{*v.(*OneTimeKeys)} },
	"Tagger":         func(v any) any { return struct{ s Tagger }{*v.(*Tagger)} },
	"LocalKey":       func(v any) any { return struct{ s LocalKey }{*v.(*LocalKey)} },
	"RecordIdentity": func(v any) any { return struct{ s stanzaIdentity }{*v.(*stanzaIdentity)} },
	"Keys":           func(v any) any { return struct{ s Keys }{*v.(*Keys)} },
	"HeldKeys":       func(v any) any { return struct{ s HeldKeys }{*v.(*HeldKeys)} },
	"file identity":  func(v any) any { return struct{ s fileKeyIdentity }{v.(fileKeyIdentity)} },
}

// TestLeaksFinds shows that the search above finds what it is for.
func TestLeaksFinds(t *testing.T) {
	secret := []byte("\xa7\x13\xfe\x80\x99\x5b\xc1\x2d")
	for _, s := range []string{
		fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("%v", secret), fmt.Sprintf("%#v", secret),
		fmt.Sprintf("%d", []uint32{0x995bc12d}), fmt.Sprintf("%o", secret), string(secret),
	} {
		if leaks(s, secret) == "" {
			t.Errorf("not found in %q", s)
		}
	}
	if f := leaks("0xc000123456 (secret) map[a:1]", secret); f != "" {
		t.Errorf("found %q", f)
	}
}

func TestSecretsDoNotMarshal(t *testing.T) {
	for name, v := range secretValues(t) {
		if name == "Offsets" || name == "OneTimeKeys" {
			continue // marshal as their two public keys
		}
		if b, err := json.Marshal(v.value); err == nil {
			t.Errorf("%s: JSON %s", name, b)
		}
		if b, err := json.Marshal(map[string]any{"k": v.value}); err == nil {
			t.Errorf("%s: JSON %s", name, b)
		}
		if b, err := xml.Marshal(v.value); err == nil {
			t.Errorf("%s: XML %s", name, b)
		}
		var buf bytes.Buffer
		if err := gob.NewEncoder(&buf).Encode(v.value); err == nil {
			t.Errorf("%s: gob %x", name, buf.Bytes())
		}
		if m, ok := v.value.(encoding.TextMarshaler); ok {
			if b, err := m.MarshalText(); err == nil {
				t.Errorf("%s: text %s", name, b)
			}
		}
	}
	for _, name := range []string{"Offsets", "OneTimeKeys"} {
		v := secretValues(t)[name]
		b, err := json.Marshal(v.value)
		if err != nil {
			t.Fatal(err)
		}
		if f := leaks(string(b), v.bytes); f != "" {
			t.Errorf("%s: JSON has %q", name, f)
		}
	}
}

func TestSecretsCanNotBeCompared(t *testing.T) {
	for name, v := range secretValues(t) {
		typ := reflect.TypeOf(v.value)
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Comparable() {
			t.Errorf("%s can be compared with ==", name)
		}
	}
}

func TestLocatorDoesNotPrint(t *testing.T) {
	l := NewEntropy().Root().Seed(LedgerID{}, Nonce{}).ContentLocator()
	for _, x := range []any{l, &l, []Locator{l}, struct{ L Locator }{l}, map[string]Locator{"": l}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			if f := leaks(fmt.Sprintf(verb, x), l[:]); f != "" {
				t.Errorf("%s prints %q", verb, f)
			}
		}
	}
	if _, err := json.Marshal(l); err == nil {
		t.Error("marshalled")
	}
}

func TestWordErrorDoesNotPrintTheWord(t *testing.T) {
	words := NewEntropy().Words()
	words[3] = "hunter2"
	_, err := EntropyFromWords(words)
	if !errors.Is(err, ErrWord) {
		t.Fatalf("%T %v", err, err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		s := fmt.Sprintf(verb, err)
		if strings.Contains(s, "hunter2") || strings.Contains(s, hex.EncodeToString([]byte("hunter2"))) {
			t.Errorf("%s: %s", verb, s)
		}
	}
}

func TestZeroSecretsPanic(t *testing.T) {
	uses := map[string]func(){
		"Entropy":     func() { Entropy{}.Words() },
		"Root":        func() { Root{}.Identity() },
		"Seed":        func() { Seed{}.Key() },
		"LockKey":     func() { LockKey{}.Lock(LedgerID{}, PubKey{}, nil) },
		"LinkID":      func() { LinkID{}.Root() },
		"LinkKey":     func() { LinkKey{}.Encode() },
		"Share":       func() { Share{}.Bytes() },
		"FileKey":     func() { FileKey{}.ExposeSecret() },
		"PartKey":     func() { PartKey{}.ExposeSecret() },
		"frame key":   func() { PartsFrameKey{}.ExposeSecret() },
		"salts":       func() { newSeed().Parts(LedgerID{}, PubKey{}, &PartSalts{}) },
		"PrivateKey":  func() { new(PrivateKey).Sign(Hash{}) },
		"wiped":       func() { k := GenerateKey(); k.Public(); k.Wipe(); k.Public() },
		"wiped signs": func() { k := GenerateKey(); k.Wipe(); k.Sign(Hash{}) },
	}
	for name, use := range uses {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: used", name)
				}
			}()
			use()
		}()
	}
}
