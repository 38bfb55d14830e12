package server

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"golang.org/x/mod/sumdb/tlog"
)

// BenchmarkSubmit compares submitting through the node with appending to a folder
// on the same disk, in the same run and in turns. ratio is the folder's time over
// the node's: 1 is as fast. Entries differ in every round and are signed
// beforehand.
func BenchmarkSubmit(b *testing.B) {
	for _, test := range []struct{ entries, people int }{{1, 1}, {100, 1}, {4096, 1}, {1, 16}, {20, 16}} {
		b.Run(fmt.Sprintf("entries=%d/people=%d", test.entries, test.people), func(b *testing.B) {
			w := newWorld(b, func(o *Options) { o.Limits.Order = Rate{-1, 0} })
			plain, err := folder.Create(filepath.Join(b.TempDir(), "folder"), "Other", w.clock.now)
			w.must(err)
			defer plain.Close()
			sign := func(ledger crypto.LedgerID) [][]contract.Entry {
				all := make([][]contract.Entry, test.people)
				for i := range all {
					all[i] = make([]contract.Entry, test.entries)
				}
				var wg sync.WaitGroup
				for _, es := range all {
					wg.Go(func() {
						key := crypto.GenerateKey()
						for j := range es {
							es[j] = contract.Entry{Version: 1, Kind: contract.KindRecord, Author: key.Public(), Commitment: crypto.Hash(crypto.NewSalt())}
							w.must(es[j].Sign(ledger, key))
						}
					})
				}
				wg.Wait()
				return all
			}
			each := func(all [][]contract.Entry, do func([]contract.Entry) []ledgerclient.Outcome) time.Duration {
				runtime.GC()
				start := time.Now()
				var wg sync.WaitGroup
				for _, es := range all {
					wg.Go(func() {
						for _, o := range do(es) {
							if o.Refusal != nil || o.Duplicate {
								b.Error("not accepted")
							}
						}
					})
				}
				wg.Wait()
				return time.Since(start)
			}
			var folder, through time.Duration
			for b.Loop() {
				b.StopTimer()
				mine, theirs := sign(w.ledger), sign(plain.ID())
				folder += each(theirs, func(es []contract.Entry) []ledgerclient.Outcome {
					out, err := plain.Append(ctx, es)
					w.must(err)
					return out
				})
				b.StartTimer()
				through += each(mine, func(es []contract.Entry) []ledgerclient.Outcome { return w.submit(es...) })
			}
			n := float64(b.N * test.entries * test.people)
			b.ReportMetric(folder.Seconds()/through.Seconds(), "ratio")
			b.ReportMetric(float64(through.Microseconds())/n, "µs/entry")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkBudgetUploads lets a hundred clients at once bring what is stored and, in turns, submit
// entries; all is durable when it is answered. ratio is how many of the first there are in a
// second for each of the second. A content takes three requests, a payload one.
func BenchmarkBudgetUploads(b *testing.B) {
	const people, each = 100, 5
	for _, kind := range []string{"payloads", "contents"} {
		b.Run(kind, func(b *testing.B) {
			none := Rate{-1, 0}
			w := newWorld(b, func(o *Options) {
				o.Limits = Limits{Rate: none, Order: none, Bytes: none, Checks: none, PerAddress: 256, Uploads: 4 * people}
			})
			w.server.uploads.places.perClient = 4 * people
			w.http.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = people
			crowd := func(do func(v *version)) time.Duration {
				all := make([]*version, people*each)
				for i := range all {
					all[i] = w.record(1000)
				}
				runtime.GC()
				start := time.Now()
				var wg sync.WaitGroup
				for some := range slices.Chunk(all, each) {
					wg.Go(func() {
						for _, v := range some {
							do(v)
						}
					})
				}
				wg.Wait()
				return time.Since(start)
			}
			bring := func(v *version) {
				w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal([]ledgerclient.Put{v.put})))
			}
			if kind == "contents" {
				bring = func(v *version) {
					c := node.UploadCommit{Upload: w.send(v.content, node.MaxPart), Put: v.upload}
					w.ok(w.post(node.PathUploadCommit, node.UploadCommitForm.Marshal(c)))
				}
			}
			var stored, ordered time.Duration
			for b.Loop() {
				stored += crowd(bring)
				ordered += crowd(func(v *version) { w.submit(v.entry) })
			}
			n := float64(b.N * people * each)
			b.ReportMetric(ordered.Seconds()/stored.Seconds(), "ratio")
			b.ReportMetric(n/stored.Seconds(), "stored/s")
			b.ReportMetric(n/ordered.Seconds(), "entries/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkBudgetLinks has links opened by a crowd, each once, and, in turns, entries submitted,
// one in a request; all is durable when it is answered. ratio is how many of the first there are
// in a second for each of the second.
func BenchmarkBudgetLinks(b *testing.B) {
	const people, each = 32, 8
	none := Rate{-1, 0}
	w := newWorld(b, func(o *Options) {
		takesCrowds(o)
		o.Limits.Rate, o.Limits.Order, o.Limits.Bytes, o.Limits.Checks = none, none, none, none
	})
	w.http.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = people
	crowd := func(took, spent *time.Duration, do func(i int)) {
		runtime.GC()
		start, before := time.Now(), lane.Spent()
		var wg sync.WaitGroup
		for p := range people {
			wg.Go(func() {
				for i := range each {
					do(p*each + i)
				}
			})
		}
		wg.Wait()
		*took, *spent = *took+time.Since(start), *spent+lane.Spent()-before
	}
	var opened, openedCPU, submitted, submittedCPU time.Duration
	for b.Loop() {
		b.StopTimer()
		links := make([]*linked, people*each)
		for i := range links {
			links[i] = w.link(nil)
			w.keep(links[i])
		}
		entries := w.records(len(links))
		b.StartTimer()
		crowd(&submitted, &submittedCPU, func(i int) { w.ok(w.post(node.PathEntries, node.EntriesForm.Marshal(entries[i:i+1]))) })
		crowd(&opened, &openedCPU, func(i int) { w.opens("one", links[i], w.visit(links[i], "Dr A", "a fall")) })
	}
	b.ReportMetric(submitted.Seconds()/opened.Seconds(), "ratio")
	b.ReportMetric(submittedCPU.Seconds()/openedCPU.Seconds(), "ratio-cpu")
	b.ReportMetric(openedCPU.Seconds()*1000/float64(b.N*people*each), "cpu-ms/opening")
	b.ReportMetric(float64(b.N*people*each)/opened.Seconds(), "openings/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFollow reads a log of 100,000 entries by entry bundles, as a wallet
// does that sees it for the first time.
func BenchmarkFollow(b *testing.B) {
	w := newWorld(b, func(o *Options) { o.Limits.Order = Rate{-1, 0} })
	const size = 100_000
	key := crypto.GenerateKey()
	for n := 1; n < size; {
		es := make([]contract.Entry, min(4096, size-n))
		for i := range es {
			es[i] = contract.Entry{Version: 1, Kind: contract.KindRecord, Author: key.Public(), Commitment: crypto.Hash(crypto.NewSalt())}
			w.must(es[i].Sign(w.ledger, key))
		}
		w.order(es...)
		n += len(es)
	}
	for b.Loop() {
		for n := int64(0); n*256 < size; n++ {
			w.ok(w.get(node.TilePath(tlog.Tile{H: 8, L: -1, N: n, W: int(min(256, size-n*256))})))
		}
	}
	b.ReportMetric(float64(b.N)*size/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkCrowd lets many clients at once read heads and tiles, store, submit and ask
// for shares, and prints how long they wait for each.
func BenchmarkCrowd(b *testing.B) {
	const people = 200
	w := newWorld(b, func(o *Options) {
		o.Limits.Order, o.Limits.Bytes, o.Limits.Requests, o.Limits.PerAddress = Rate{-1, 0}, Rate{-1, 0}, 256, 256
	})
	g := w.grant()
	w.give(g)
	access, _ := w.access(g)
	w.order(access)
	r, _ := w.request(g, access)
	rounds := 0
	var mu sync.Mutex
	took := map[string][]time.Duration{}
	for b.Loop() {
		rounds++
		var wg sync.WaitGroup
		for range people {
			v := w.record(1)
			wg.Go(func() {
				for _, step := range []struct {
					name string
					do   func()
				}{
					{"head", func() { w.ok(w.get(node.PathCheckpoint)) }},
					{"store", func() { w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal([]ledgerclient.Put{v.put}))) }},
					{"submit", func() { w.submit(v.entry) }},
					{"tile", func() { w.ok(w.get(node.TilePath(tlog.Tile{H: 8, L: -1, N: 0, W: 1}))) }},
					{"release", func() { w.release(&r) }},
				} {
					start := time.Now()
					step.do()
					mu.Lock()
					took[step.name] = append(took[step.name], time.Since(start))
					mu.Unlock()
				}
			})
		}
		wg.Wait()
	}
	for name, times := range took {
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, name+"-p50-ms")
		b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, name+"-p99-ms")
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapInuse>>20), "MiB-heap")
}

// BenchmarkContent uploads a content in parts and fetches it, against the same at a
// folder on the same disk. ratio is the folder's time over the node's.
func BenchmarkContent(b *testing.B) {
	const size = 64 << 20
	w := newWorld(b, nil)
	v := w.record(size)
	fetch := func() {
		if got := w.ok(w.fetch(v.upload.Locators[0])); len(got) != size+32*size/contract.PieceSize {
			b.Fatalf("%d bytes", len(got))
		}
	}
	c := node.UploadCommit{Upload: w.send(v.content, node.MaxPart), Put: v.upload}
	w.ok(w.post(node.PathUploadCommit, node.UploadCommitForm.Marshal(c)))
	store := w.folder.Services().Store
	b.Run("upload", func(b *testing.B) {
		var folder, through time.Duration
		for b.Loop() {
			start := time.Now()
			u, err := store.Upload(ctx)
			w.must(err)
			_, err = u.Write(v.content)
			w.must(err)
			w.must(u.Commit(v.upload))
			folder += time.Since(start)
			start = time.Now()
			c := node.UploadCommit{Upload: w.send(v.content, node.MaxPart), Put: v.upload}
			w.ok(w.post(node.PathUploadCommit, node.UploadCommitForm.Marshal(c)))
			through += time.Since(start)
		}
		b.ReportMetric(folder.Seconds()/through.Seconds(), "ratio")
		b.ReportMetric(float64(b.N)*size/through.Seconds()/(1<<20), "MiB/s")
	})
	b.Run("fetch", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			fetch()
		}
	})
}

// BenchmarkRevocation revokes, at the keeper and on the ledger, while somebody does what
// costs the node most, from two addresses and as fast as the node takes it. ratio
// is the median time over that of a calm node, in the same run and in turns.
func BenchmarkRevocation(b *testing.B) {
	const attackers = 16
	for _, test := range []struct {
		name   string
		attack func(w *world) func()
	}{
		{"refused requests of one recipient", func(w *world) func() {
			g := w.grant()
			w.give(g)
			access, _ := w.access(g) // never ordered
			return func() {
				r, _ := w.request(g, access)
				w.release(&r)
			}
		}},
		{"tiny payloads", func(w *world) func() {
			return func() {
				var puts []ledgerclient.Put
				for range 16 {
					puts = append(puts, w.record(1).put)
				}
				w.post(node.PathBlobs, node.PutsForm.Marshal(puts))
			}
		}},
		{"contents of a byte", func(w *world) func() {
			return func() {
				v := w.record(1)
				r := w.post(node.PathUploads, nil)
				begun, err := node.UploadBegunForm.Parse(r.body)
				id := begun.Upload
				if r.status != 201 || err != nil {
					return
				}
				p := node.UploadPart{Upload: id, Data: v.content}
				w.post(node.PathUploadPart, node.UploadPartForm.Marshal(p))
				c := node.UploadCommit{Upload: id, Put: v.upload}
				w.post(node.PathUploadCommit, node.UploadCommitForm.Marshal(c))
			}
		}},
		{"forged payloads by the thousand", func(w *world) func() {
			v := w.record(1)
			var puts []ledgerclient.Put
			for range 1000 {
				rand.Read(v.put.Entry.SelfTag[:])
				puts = append(puts, v.put)
			}
			body := node.PutsForm.Marshal(puts)
			return func() { w.post(node.PathBlobs, body) }
		}},
		{"entries", func(w *world) func() {
			return func() { w.post(node.PathEntries, node.EntriesForm.Marshal(w.records(16))) }
		}},
		{"revocations of nothing", func(w *world) func() {
			e := w.revocation(w.grant())
			body := node.EntriesForm.Marshal(slices.Repeat([]contract.Entry{e}, 64))
			return func() {
				w.post(node.PathRevoke, body)
				w.post(node.PathEntries, body)
			}
		}},
	} {
		b.Run(test.name, func(b *testing.B) {
			none := Rate{-1, 0}
			w := newWorld(b, func(o *Options) {
				o.Limits = Limits{Rate: none, Order: none, Bytes: none, Checks: none}
				o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
			})
			var attacks []func()
			for i := range attackers {
				other := *w
				other.asks = fmt.Sprintf("198.51.100.%d", i%2)
				attacks = append(attacks, test.attack(&other))
			}
			grants := make([]*given, 2*b.N)
			for i := range grants {
				grants[i] = w.grant()
				w.give(grants[i])
			}
			revoke := func(g *given) time.Duration {
				body := node.EntriesForm.Marshal([]contract.Entry{w.revocation(g)})
				start := time.Now()
				w.ok(w.post(node.PathRevoke, body))
				w.ok(w.post(node.PathEntries, body))
				return time.Since(start)
			}
			var calm, under []time.Duration
			b.ResetTimer()
			for i := range b.N {
				calm = append(calm, revoke(grants[2*i]))
				var wg sync.WaitGroup
				stop := make(chan struct{})
				for _, attack := range attacks {
					wg.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
								attack()
							}
						}
					})
				}
				time.Sleep(100 * time.Millisecond) // until all of them are at it
				under = append(under, revoke(grants[2*i+1]))
				close(stop)
				wg.Wait()
			}
			slices.Sort(calm)
			slices.Sort(under)
			b.ReportMetric(under[b.N/2].Seconds()/calm[b.N/2].Seconds(), "ratio")
			b.ReportMetric(float64(calm[b.N/2].Microseconds())/1000, "calm-ms")
			b.ReportMetric(float64(under[b.N/2].Microseconds())/1000, "ms")
			b.ReportMetric(float64(under[b.N-1].Microseconds())/1000, "max-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}
