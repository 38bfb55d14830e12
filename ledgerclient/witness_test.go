package ledgerclient_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// The key of a witness, put together from the text of C2SP signed-note and
// tlog-cosignature and not by the code under test.
func TestWitnessKeyIsC2SP(t *testing.T) {
	vkey := func(name string, kind byte, key []byte) string {
		id := sha(name + "\n" + string(kind) + string(key))
		return name + "+" + hex.EncodeToString(id[:4]) + "+" + base64.StdEncoding.EncodeToString(append([]byte{kind}, key...))
	}
	key := bytes.Repeat([]byte{0xfb}, 32) // has + and / in base64
	const name = "witness.example/w1"
	good := vkey(name, 4, key)
	v, err := ledgerclient.ParseWitness(good)
	if err != nil || v.Name() != name || v.Key() != [32]byte(key) || v.Vkey() != good {
		t.Fatalf("%+v, %v", v, err)
	}
	for what, bad := range map[string]string{
		"nothing":               "",
		"a note's own key":      vkey(name, 1, key),
		"ML-DSA-44":             vkey(name, 6, bytes.Repeat([]byte{1}, 1312)),
		"too short":             vkey(name, 4, key[1:]),
		"too long":              vkey(name, 4, append(key, 1)),
		"no key":                name + "+00000000+",
		"the hash of another":   strings.Replace(good, name, "witness.example/w2", 1),
		"upper-case hash":       strings.Replace(good, good[len(name)+1:len(name)+9], strings.ToUpper(good[len(name)+1:len(name)+9]), 1),
		"no name":               vkey("", 4, key),
		"a name with a space":   vkey("a b", 4, key),
		"a name with a control": vkey("a\x1b[2Jb", 4, key),
		"a name that is long":   vkey(strings.Repeat("a", 129), 4, key),
		"a newline behind it":   good + "\n",
		"a space before it":     " " + good,
		"half of it":            good[:len(good)/2],
		"two parts":             strings.Replace(good, "+", "-", 1)[:len(name)+9],
	} {
		if _, err := ledgerclient.ParseWitness(bad); !errors.Is(err, ledgerclient.ErrVkey) || bad == good {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := ledgerclient.ParseWitness(vkey(name, 1, key)); !strings.Contains(whatOf(err), "type 1") {
		t.Errorf("%v does not say which type it is", err)
	}
}

func whatOf(err error) string {
	e, _ := fault.As(err, ledgerclient.ErrVkey)
	if e == nil {
		return ""
	}
	return fault.Get[string](e, "what")
}

// testWitness makes cosignatures.
type testWitness struct {
	name string
	key  ed25519.PrivateKey
}

func newTestWitness(name string) testWitness {
	seed := sha("witness " + name)
	return testWitness{name, ed25519.NewKeyFromSeed(seed[:])}
}

func (w testWitness) verifier() ledgerclient.TimeVerifier {
	return ledgerclient.NewTimeVerifier(w.name, [32]byte(w.key.Public().(ed25519.PublicKey)))
}

// under puts the witness's cosignature under a note.
func (w testWitness) under(msg []byte, at time.Time) []byte {
	end := bytes.LastIndex(msg, []byte("\n\n"))
	return append(bytes.Clone(msg), must(ledgerclient.TimeSigner{TimeVerifier: w.verifier(), Key: w.key, Time: at}.Line(msg[:end+1]))...)
}

// witnessedMemory is a ledger that shows another note for its witnesses.
type witnessedMemory struct {
	*memory
	shows []byte // nil: none
	away  error  // in the place of proofs
}

func (m *witnessedMemory) ProveConsistency(ctx context.Context, older, newer uint64) ([]crypto.Hash, error) {
	if m.away != nil {
		return nil, m.away
	}
	return m.memory.ProveConsistency(ctx, older, newer)
}

func (m *witnessedMemory) Witnessed(context.Context) ([]byte, error) {
	if m.shows == nil {
		return nil, &ledgerclient.NotFoundError{What: "checkpoint"}
	}
	return m.shows, nil
}

func TestCosigned(t *testing.T) {
	ctx := context.Background()
	now := time.Unix(1_800_000_000, 0).UTC()
	one, two, three := newTestWitness("one.example"), newTestWitness("two.example"), newTestWitness("three.example")
	keys := []ledgerclient.TimeVerifier{one.verifier(), two.verifier(), three.verifier()}
	m := &witnessedMemory{memory: newMemory(t, "witnessed")}
	m.signed = &now
	m.story(20)
	size := uint64(len(m.leaves))
	s := m.services()
	s.Ledger, s.Now = m, func() time.Time { return now }
	c := must(ledgerclient.Connect(ctx, s, m.id))
	head := func() ledgerclient.Head {
		t.Helper()
		return must(c.Head(ctx))
	}
	look := func(want ...string) []ledgerclient.Cosigned {
		t.Helper()
		h := head()
		out, err := c.Cosigned(ctx, h, keys)
		if err != nil || len(out) != len(keys) {
			t.Fatalf("%+v, %v", out, err)
		}
		var got []string
		for _, c := range out {
			switch {
			case c.Other:
				got = append(got, "other")
			case c.Counts(h):
				got = append(got, "counts")
			case c.Size > 0:
				got = append(got, "old")
			default:
				got = append(got, "none")
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%v, not %v: %+v", got, want, out)
		}
		return out
	}
	at := func(n uint64) []byte { return m.checkpoint(n, m.root(m.logTree(n))) }

	look("none", "none", "none")
	m.shows = one.under(at(size), now)
	look("counts", "none", "none")
	m.shows = three.under(two.under(m.shows, now), now.Add(-time.Minute))
	if out := look("counts", "counts", "counts"); out[2].Size != size || !out[2].Time.Equal(now.Add(-time.Minute)) || out[0].Name != "one.example" {
		t.Errorf("%+v", out)
	}
	// The newest of several, and none of those that do not verify: a bad line is none, and
	// spoils nothing.
	m.shows = one.under(one.under(at(size), now.Add(-3*time.Hour)), now)
	look("counts", "none", "none")
	m.shows = one.under(at(size), now.Add(-3*time.Hour))
	look("old", "none", "none")
	bad := one.under(at(size), now)
	bad[len(bad)-20] ^= 1
	m.shows = two.under(bad, now)
	look("none", "counts", "none")
	forged := newTestWitness("one.example")
	forged.key = two.key
	m.shows = forged.under(at(size), now)
	look("none", "none", "none")

	// What they were asked about before is of this history: it counts, while it is not old.
	m.shows = two.under(one.under(at(size-7), now.Add(-time.Minute)), now.Add(-2*time.Hour))
	if out := look("counts", "old", "none"); out[0].Size != size-7 {
		t.Errorf("%+v", out)
	}
	// Others appended since the head was read.
	h := head()
	m.add(contract.Entry{Kind: contract.KindRecord}, testKey("later"), 103)
	m.shows = one.under(at(size+1), now)
	if out, err := c.Cosigned(ctx, h, keys); err != nil || out[0].Size != size+1 || !out[0].Counts(h) {
		t.Errorf("%+v, %v", out, err)
	}
	// A witness that has the key of a node is none.
	node := testWitness{"node.example", m.node}
	m.shows = node.under(at(size+1), now)
	keys = append(keys, node.verifier())
	look("none", "none", "none", "none")
	keys = keys[:3]

	// Junk for them is nothing.
	for _, junk := range []string{"", "x", "\n\n", ledgerclient.Origin(m.id) + "\n0\n" + "AAAA\n\n", string(at(size))} {
		m.shows = []byte(junk)
		look("none", "none", "none")
	}

	// A history that nobody but the witness, and no node, signed: the witness is named, and
	// the wallet goes on.
	stranger := newTestWitness("stranger")
	m.signer = stranger.key
	fork := m.checkpoint(size-3, crypto.Hash{9})
	m.signer = nil
	m.shows = two.under(one.under(fork, now), now)
	look("other", "other", "none")
	// The same, signed by the ledger's node: two histories, and no warning is enough.
	m.shows = one.under(m.checkpoint(size-3, crypto.Hash{9}), now)
	_, err := c.Cosigned(ctx, head(), keys)
	if forked, ok := errors.AsType[*ledgerclient.ForkError](err); !ok || forked.Evidence == nil {
		t.Errorf("%v", err)
	}
	// More than the ledger itself shows.
	m.shows = one.under(m.checkpoint(size+9, crypto.Hash{9}), now)
	if _, err := c.Cosigned(ctx, head(), keys); !isRollback(err) {
		t.Errorf("%v", err)
	}
	// A proof that cannot be had is no reason to stop: then they are missing.
	m.shows = one.under(at(size-7), now)
	m.away = &ledgerclient.UnreachableError{Service: "ledger"}
	look("none", "none", "none")
	m.away = nil
	// A proof that is none, of what is of this history, is the ledger's fault.
	m.shows = one.under(at(size-7), now)
	m.consistency = func(p []crypto.Hash) { p[0][0] ^= 1 }
	if _, err := c.Cosigned(ctx, head(), keys); !isTampered(err) {
		t.Errorf("%v", err)
	}
}

func isRollback(err error) bool {
	_, ok := errors.AsType[*ledgerclient.RollbackError](err)
	return ok
}

func isTampered(err error) bool {
	_, ok := errors.AsType[*ledgerclient.TamperedError](err)
	return ok
}
