package wallet_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// fromEnv is a number from the environment: the benchmarks have small sizes unless
// they are asked for the full ones.
func fromEnv(b *testing.B, name string, otherwise int64) int64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkFetchFromNode fetches a record end to end from a node in another process
// on loopback, and the same from a folder: x-folder is how many times as long the
// node takes. CAREKEY_BENCH_BYTES=1073741824 is the full size.
func BenchmarkFetchFromNode(b *testing.B) {
	for _, size := range []int64{1 << 20, fromEnv(b, "CAREKEY_BENCH_BYTES", 32<<20)} {
		b.Run(fmt.Sprintf("%dMiB", size>>20), func(b *testing.B) {
			r := newRemoteNode(b)
			tn := newTown(b)
			remote := fetcher(b, r.person("Maria", crypto.NewEntropy()), r.person("Dr Smith", crypto.NewEntropy()), size)
			local := fetcher(b, tn.person("Maria"), tn.person("Dr Smith"), size)
			b.SetBytes(size)
			var there, here time.Duration
			b.ResetTimer()
			for range b.N {
				there += remote()
				b.StopTimer()
				here += local()
				b.StartTimer()
			}
			b.ReportMetric(float64(there)/float64(here), "x-folder")
		})
	}
}

// fetcher grants a record of that size and returns what opens and reads it.
func fetcher(b *testing.B, patient, clinic *wallet.Wallet, size int64) func() time.Duration {
	b.Helper()
	ctx := context.Background()
	if _, _, err := patient.Records().Add(ctx, wallet.Source{Reader: io.LimitReader(rand.Reader, size), Name: "scan.dcm", Size: size}, wallet.Describe{}, nil); err != nil {
		b.Fatal(err)
	}
	if _, _, err := patient.Contacts().Add(ctx, "Dr Smith", clinic.Address().String()); err != nil {
		b.Fatal(err)
	}
	_, code := grant(b, patient, "Dr Smith", noon)
	return func() time.Duration {
		begin := time.Now()
		o, err := clinic.Inbox().OpenByCode(ctx, code, "")
		if err == nil {
			err = o.Read(ctx, 0, io.Discard, nil)
		}
		if err != nil {
			b.Fatal(err)
		}
		return time.Since(begin)
	}
}

// BenchmarkScan follows a ledger of grants to others: every one costs the wallet an
// ECDH, since nothing on the ledger tells whom it is for. x-raw is how many times
// as long that takes as the bare ECDH on all cores, parsing a point and multiplying
// it; x-curve the same with what the wallet adds on purpose: a second
// multiplication, since the view key is blinded against timing, and the multiple of
// the base point that keys are compared by. CAREKEY_BENCH_ENTRIES=1000000 is the
// full size.
func BenchmarkScan(b *testing.B) {
	ctx := context.Background()
	n := int(fromEnv(b, "CAREKEY_BENCH_ENTRIES", 20_000))
	l := newSynthetic(b, n)
	var scan, raw, curve time.Duration
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		s := ledgerclient.Services{Ledger: l, Keepers: []ledgerclient.Keeper{onlyKey{key: l.config.Keepers[0]}}}
		w, err := wallet.Create(ctx, wallet.Options{Dir: b.TempDir(), Keyring: &memoryKeyring{items: map[string]string{}}, Services: s, Now: func() time.Time { return noon }}, crypto.NewEntropy(), "x", "/nowhere")
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		begin := time.Now()
		size, _, _, err := w.Log().Head(ctx)
		scan += time.Since(begin)
		if err != nil || size != uint64(n) {
			b.Fatal(size, err)
		}
		b.StopTimer()
		raw += rawECDH(b, l, n, false)
		curve += rawECDH(b, l, n, true)
		b.StartTimer()
	}
	b.ReportMetric(float64(scan)/float64(raw), "x-raw")
	b.ReportMetric(float64(scan)/float64(curve), "x-curve")
	b.ReportMetric(float64(n)*float64(b.N)/scan.Seconds(), "entries/s")
}

// rawECDH multiplies the author's point of every entry on all cores; with wallet it
// does so twice, and multiplies the base point.
func rawECDH(b *testing.B, l *synthetic, n int, wallet bool) time.Duration {
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				e := &l.pool[i%len(l.pool)]
				p, err := secp256k1.ParsePubKey(e.Author[:])
				if err != nil {
					panic(err)
				}
				secp256k1.GenerateSharedSecret(key, p)
				if wallet {
					secp256k1.GenerateSharedSecret(key, p)
					var r secp256k1.JacobianPoint
					secp256k1.ScalarBaseMultNonConst(&key.Key, &r)
					r.ToAffine()
				}
			}
		})
	}
	wg.Wait()
	return time.Since(begin)
}

// synthetic is a ledger of n entries that are made when they are read: grants of
// many, to many, which no contract has judged.
type synthetic struct {
	ledgerclient.Ledger
	config contract.Config
	note   []byte
	first  contract.Leaf
	pool   []contract.Entry
}

func newSynthetic(b *testing.B, n int) *synthetic {
	b.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	owner := crypto.GenerateKey()
	l := &synthetic{config: contract.Config{Name: "Synthetic", Contract: 1, Threshold: 1, Release: 1, Keepers: []crypto.PubKey{crypto.GenerateKey().Public()},
		Nodes: []contract.Node{{Checkpoint: [32]byte(key.Public().(ed25519.PublicKey)), Key: owner.Public()}}}}
	id := l.config.LedgerID()
	e := contract.Entry{Version: 1, Kind: contract.KindConfig, Author: owner.Public(), Commitment: l.config.Commitment()}
	if err := e.Sign(id, owner); err != nil {
		b.Fatal(err)
	}
	l.first = contract.Leaf{Hour: 1, Entry: e}
	for range 2048 {
		l.pool = append(l.pool, contract.Entry{Version: 1, Kind: contract.KindGrant, Author: crypto.GenerateKey().Public(), Counterparty: crypto.GenerateKey().Public(), NotAfter: 9})
	}
	// The root, from the hashes of the leaves upwards.
	row := make([]tlog.Hash, n)
	for i := range row {
		leaf := l.leaf(uint64(i))
		raw := leaf.Marshal()
		row[i] = tlog.RecordHash(raw[:])
	}
	root, err := tlog.TreeHash(int64(n), rowReader(row))
	if err != nil {
		b.Fatal(err)
	}
	vkey, err := note.NewEd25519VerifierKey(ledgerclient.Origin(id), key.Public().(ed25519.PublicKey))
	if err != nil {
		b.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		b.Fatal(err)
	}
	l.note, err = note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", ledgerclient.Origin(id), n, root)}, edSigner{v, key})
	if err != nil {
		b.Fatal(err)
	}
	return l
}

type edSigner struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s edSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// rowReader computes inner hashes from the leaves' hashes.
func rowReader(row []tlog.Hash) tlog.HashReaderFunc {
	return func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			level, n := tlog.SplitStoredHashIndex(x)
			hs := append([]tlog.Hash(nil), row[n<<level:(n+1)<<level]...)
			for len(hs) > 1 {
				for j := range len(hs) / 2 {
					hs[j] = tlog.NodeHash(hs[2*j], hs[2*j+1])
				}
				hs = hs[:len(hs)/2]
			}
			out[i] = hs[0]
		}
		return out, nil
	}
}

func (l *synthetic) leaf(i uint64) contract.Leaf {
	if i == 0 {
		return l.first
	}
	leaf := contract.Leaf{Hour: 1, Entry: l.pool[i%uint64(len(l.pool))]}
	binary.BigEndian.PutUint64(leaf.Entry.Commitment[:], i)
	binary.BigEndian.PutUint64(leaf.Entry.SelfTag[:], i*0x9e3779b97f4a7c15)
	return leaf
}

func (l *synthetic) Properties() ledgerclient.Properties {
	return ledgerclient.Properties{Gate: ledgerclient.Enforced, Remote: true}
}
func (l *synthetic) Genesis(context.Context) ([]byte, error) { return l.config.Marshal(), nil }
func (l *synthetic) Checkpoint(context.Context) ([]byte, error) {
	return bytes.Clone(l.note), nil
}
func (l *synthetic) Leaves(_ context.Context, from, to uint64) ([]contract.Leaf, error) {
	out := make([]contract.Leaf, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, l.leaf(i))
	}
	return out, nil
}

// onlyKey is a keeper of which nothing is asked.
type onlyKey struct {
	ledgerclient.Keeper
	key crypto.PubKey
}

func (k onlyKey) Key() crypto.PubKey { return k.key }
