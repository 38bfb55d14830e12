package folder

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// BenchmarkUpload puts a content of 1 GiB into the store, durably. Beside its own
// rate it shows those of the two things it cannot do without: hashing on one core
// and writing to the disk.
func BenchmarkUpload(b *testing.B) {
	const size = 1 << 30
	buf := make([]byte, 1<<20)
	rand.Read(buf)
	var pieces []crypto.Hash
	for range size / contract.PieceSize {
		pieces = append(pieces, crypto.Hash(tlog.RecordHash(buf)))
	}
	b.Run("hash", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			for range size / len(buf) {
				tlog.RecordHash(buf)
			}
		}
	})
	b.Run("write+fsync", func(b *testing.B) {
		b.SetBytes(size)
		path := filepath.Join(b.TempDir(), "raw")
		for b.Loop() {
			f, err := os.Create(path)
			if err != nil {
				b.Fatal(err)
			}
			for range size / len(buf) {
				f.Write(buf)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			f.Close()
		}
	})
	for _, durable := range []bool{false, true} {
		name := "memory" // writes go as far as the system's cache
		if durable {
			name = "durable"
		}
		b.Run(name, func(b *testing.B) {
			f, _ := newLedger(b)
			p := newPeople(b, f.id)
			if !durable {
				f.store.ground.ops = unsyncedFiles{}
			}
			b.SetBytes(size)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				b.StopTimer()
				key := crypto.GenerateKey()
				pkg := contract.RecordPackage{ContentHead: ledgerclient.ContentHead(pieces), ContentSize: size}
				e := p.sign(contract.Entry{Kind: contract.KindRecord, Commitment: pkg.Commitment()}, key)
				var loc crypto.Locator
				rand.Read(loc[:])
				b.StartTimer()
				u, err := f.store.Upload(ctx)
				p.must(err)
				for range size / len(buf) {
					u.Write(buf)
				}
				p.must(u.Commit(ledgerclient.Put{Entry: e, Package: pkg.Marshal(), Part: ledgerclient.PartContent, Locators: []crypto.Locator{loc}}))
				b.StopTimer()
				p.must(f.store.remove([]contract.ID{e.ID(f.id)}))
				b.StartTimer()
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/(1<<20), "MiB-alloc/op")
		})
	}
}

// BenchmarkGrants puts the payloads of 1000 grants into the store and their
// shares with the keeper, each in one call.
func BenchmarkGrants(b *testing.B) {
	f, _ := newLedger(b)
	p := newPeople(b, f.id)
	var puts []ledgerclient.Put
	var deposits []ledgerclient.Deposit
	var entries, revocations []contract.Entry
	fresh := func(b *testing.B) {
		b.StopTimer()
		puts, deposits, entries, revocations = nil, nil, nil, nil
		for range 1000 {
			g := p.grant()
			puts = append(puts, g.puts...)
			deposits = append(deposits, p.deposit(g, f.keeper.Key()))
			entries = append(entries, g.entry)
			revocations = append(revocations, p.revocation(g))
		}
		b.StartTimer()
	}
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			fresh(b)
			p.must(f.store.PutBlobs(ctx, puts))
		}
	})
	b.Run("put again", func(b *testing.B) {
		for b.Loop() {
			p.must(f.store.PutBlobs(ctx, puts))
		}
	})
	b.Run("deposit", func(b *testing.B) {
		for b.Loop() {
			fresh(b)
			b.StopTimer()
			mustAppend(b, f, entries)
			b.StartTimer()
			_, err := f.keeper.Deposit(ctx, deposits)
			p.must(err)
		}
	})
	b.Run("revoke and destroy", func(b *testing.B) {
		for b.Loop() {
			fresh(b)
			b.StopTimer()
			mustAppend(b, f, entries)
			_, err := f.keeper.Deposit(ctx, deposits)
			p.must(err)
			mustAppend(b, f, revocations)
			b.StartTimer()
			_, err = f.keeper.Revoke(ctx, revocations)
			p.must(err)
		}
	})
}
