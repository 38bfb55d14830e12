package wallet

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	mathrand "math/rand/v2"
	"path/filepath"
	"sort"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet/payload"
	"github.com/carekey/carekey/wallet/shlink"
)

// Promise 2 says that nothing in the entries links two consents of one patient, or
// two consents to one clinician, and that bursts can be linked. This file makes a
// year of a ledger, shows a classifier pairs of consents and measures how well it
// tells those that belong together.
//
// The world: patients with four clinicians each. A patient gives single consents
// at hours of her own and, whenever a record is added, re-issues her standing
// consents to all four as fresh grants in one batch; everybody uses the same
// window, 30 days. All grants are made and signed by prepareGrant, the wallet's own
// code. Each consent is opened once: by every fourth clinician, who watches, at the time
// that a watch draws when it finds the consent, by the others at some hour of its own.
// These also poll, that is, open everything that is open to them in one go. Hours are
// drawn from one daily profile for all. The log is in the order of time, a batch together.
//
// The features of a pair of consents, for the grants and for the accesses each:
//   - equality of each half byte of the 222
//   - equality and Hamming distance of each field: the first four bytes, author,
//     counterparty, subject, self-tag, the two hours, commitment, r and s
//   - Hamming distances across: one's author to the other's counterparty, self-tag
//     to commitment, commitment to r
//   - distance of the hours of acceptance, logarithmic; the same hour of the day;
//     the same hour of the week; the difference of the windows' ends less that
//   - distance in the log, logarithmic; next to each other
//
// The classifier is logistic regression, trained on one half of the patients (or
// clinicians) and tested on the other, both ways. In a half no consent is in two
// linked or in two unlinked pairs, and none is in pairs of both halves: otherwise
// what a consent of an unusual hour adds to the linked pairs of one half it would
// add to the unlinked ones of the other, and all areas came out below 0.5.

// Among the consents stand letters: what somebody asks, or answers, travels as a grant too.
// The same classifier is shown pairs of letters beside pairs of a letter and a consent, and
// pairs of a letter and a consent of one patient beside such of two. What it is not shown:
// that a letter is never opened, as some consents are not, and that an answer is given some
// time after it was asked for.

// Links stand among them too: consents for wallets that exist only in them, given for so many
// hours and opened by their node. They are shown, with their accesses, as letters are, and two
// of one patient beside two of two. What is not shown: how soon they are opened, which is what
// their holders make of them.

// What a node puts into its log in one step came from several at once: recipients who open
// all that is theirs, and patients who end all that they gave to somebody. Within a step
// nothing tells which entries are one wallet's, though all are of one hour: pairs of one
// are shown to the same classifier beside pairs of two wallets.

type linkWorld struct {
	ledger  crypto.LedgerID
	threads []*linkThread
	polls   []*linkEntry // accesses that came in bursts
	steps   []*linkStep
	letters []*linkThread // never opened
	links   []*linkThread // opened by their node

	open func(th *linkThread, hour contract.Hour, second int) *linkEntry // once more
}

// linkStep is what a node ordered together.
type linkStep struct {
	came [2][][]*linkEntry // of each kind, by who sent it: accesses, and revocations
}

// order gives each entry of a step its place, as a node does or, if told is set, as it came.
func (s *linkStep) order(ledger crypto.LedgerID, told bool) {
	var all []*linkEntry
	var entries []contract.Entry
	for _, kind := range s.came {
		for _, sent := range kind {
			all = append(all, sent...)
		}
	}
	for _, e := range all {
		entry, _ := contract.ParseEntry(e.raw[:])
		entries = append(entries, entry)
	}
	for place, i := range ledgerclient.Mixed(ledger, entries) {
		if told {
			i = place
		}
		all[i].index = place
	}
}

type linkThread struct {
	patient, clinic int
	event           int // what was given in one batch
	grant, access   linkEntry
	keys            *crypto.OneTimeKeys
	id              contract.ID // of the grant
	tag             crypto.SelfTag
	patients        *Wallet
	until           contract.Hour // of a link: its exact end
}

type linkEntry struct {
	thread *linkThread
	hour   contract.Hour
	second int // of the hour
	index  int
	group  int // poll
	raw    [contract.Size]byte
}

const (
	linkPatients   = 420
	linkClinicians = 140
	linkEach       = 26 // consents of a patient
	linkLetters    = 6  // letters of one
	linkLinks      = 12 // links of one
	linkHours      = 360 * 24
	linkSteps      = 60 // that a node makes
	linkSenders    = 12 // in a step, of each kind
	linkSent       = 4  // entries of each
)

// watches reports whether a clinician has a watch open what is granted: one in four, in both
// halves.
func watches(clinic int) bool { return clinic/2%4 == 0 }

// found is how many seconds after an hour began a clinician's watch finds what was there at a
// second of it: it looks every five minutes, and as regularly as a real one never does.
func found(second, clinic int) int { return (second/300+1)*300 + clinic%300 }

// quiet is how far apart two entries are at least that are no burst.
const quiet = 24 // hours

func newLinkWorld(t *testing.T, seed uint64, patients int) *linkWorld {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	rng := mathrand.New(mathrand.NewPCG(seed, 2))
	ctx := context.Background()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f, err := folder.Create(filepath.Join(t.TempDir(), "ledger"), "Linkage", func() time.Time { return begin })
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	client, err := ledgerclient.Connect(ctx, f.Services(), crypto.LedgerID{})
	if err != nil {
		t.Fatal(err)
	}
	head, err := client.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	clinics := make([]*crypto.Identity, linkClinicians)
	taggers := make([]*crypto.Tagger, linkClinicians)
	for i := range clinics {
		root := crypto.NewEntropy().Root()
		clinics[i], taggers[i] = root.Identity(), root.Tagger(client.ID())
	}

	file, err := shlink.Deflate([]byte(`{"resourceType":"Patient"}`))
	if err != nil {
		t.Fatal(err)
	}

	// hourAt draws an hour of the year, by day rather than by night.
	hourAt := func() contract.Hour {
		return contract.Hour(begin.Unix()/3600) + contract.Hour(rng.IntN(linkHours/24)*24+(7+rng.IntN(7)+rng.IntN(7))%24)
	}
	world := &linkWorld{ledger: client.ID()}
	world.open = func(th *linkThread, hour contract.Hour, second int) *linkEntry {
		grant, err := contract.ParseEntry(th.grant.raw[:])
		if err != nil {
			t.Fatal(err)
		}
		e := openAt(th, client.ID(), grant.ID(client.ID()), taggers[th.clinic], hour, second)
		return &e
	}
	event := 0
	for p := range patients {
		w := assemble(Options{Dir: "nowhere"}, Settings{}, client, crypto.NewEntropy().Root().Keys(client.ID()))
		rec := Record{ID: contract.ID{1}, Version: 1}
		rand.Read(rec.ID[:])
		described := &payload.Metadata{V: payload.Version, Version: 1, Title: fmt.Sprint("record of ", p), Category: payload.Other}
		var key payload.FileKey
		rand.Read(key[:])
		ground := &grantGround{checkpoint: string(head.Note), versions: map[versionOf]*groundVersion{{rec.ID, 1}: {Metadata: described, key: key}}}
		mine := rng.Perm(linkClinicians)[:4]
		give := func(hour contract.Hour, second, clinic int) {
			end, err := EndAfter("30d", HourTime(hour))
			if err != nil {
				t.Fatal(err)
			}
			plan := &GrantPlan{To: Contact{Name: "c", Address: clinics[clinic].Address()}, Records: Wholes(rec), Purpose: payload.Treatment, NotAfter: end}
			ch, err := w.Grants().prepare(plan, ground)
			if err != nil {
				t.Fatal(err)
			}
			th := &linkThread{patient: p, clinic: clinic, event: event, id: ch.ID, tag: ch.Entry.SelfTag, patients: w}
			th.grant = linkEntry{thread: th, hour: hour, second: second, raw: ch.Entry.Marshal()}
			k, ok, err := clinics[clinic].Recognize(client.ID(), ch.Entry.Author, ch.Entry.Counterparty)
			if err != nil || !ok {
				t.Fatalf("%t %v", ok, err)
			}
			th.keys = k
			opened := (1+rng.IntN(29*24))*3600 + rng.IntN(3600)
			if watches(clinic) {
				opened = found(second, clinic) + int(byChance(time.Hour)/time.Second)
			}
			th.access = openAt(th, client.ID(), ch.ID, taggers[clinic], hour, opened)
			world.threads = append(world.threads, th)
		}
		for range linkLinks {
			hour, second := hourAt(), rng.IntN(3600)
			until, err := EndAfter("720h", HourTime(hour)) // as long as the consents here
			if err != nil {
				t.Fatal(err)
			}
			plan := &GrantPlan{Records: Wholes(rec), Purpose: payload.Treatment, Until: until, NotAfter: LedgerEnd(until), link: &linkMaking{file: file}}
			ch, err := w.Grants().prepare(plan, ground)
			if err != nil {
				t.Fatal(err)
			}
			seed, err := w.view.Seed(ch.Entry.SelfTag)
			if err != nil {
				t.Fatal(err)
			}
			root := seed.LinkID().Root()
			// Each is for a wallet of its own.
			th := &linkThread{patient: p, clinic: linkClinicians + len(world.links), event: event, until: until}
			th.grant = linkEntry{thread: th, hour: hour, second: second, raw: ch.Entry.Marshal()}
			var ok bool
			if th.keys, ok, err = root.Identity().Recognize(client.ID(), ch.Entry.Author, ch.Entry.Counterparty); err != nil || !ok {
				t.Fatalf("%t %v", ok, err)
			}
			opened := (1+rng.IntN(29*24))*3600 + rng.IntN(3600)
			if clinic := rng.IntN(linkClinicians); watches(clinic) { // as often as a consent is
				opened = found(second, clinic) + int(byChance(time.Hour)/time.Second)
			}
			th.access = openAt(th, client.ID(), ch.ID, root.Tagger(client.ID()), hour, opened)
			world.links = append(world.links, th)
			event++
		}
		for range linkLetters {
			end, err := EndAfter("30d", HourTime(hourAt()))
			if err != nil {
				t.Fatal(err)
			}
			hour, clinic := end-30*24-contract.Hour(rng.IntN(24)), mine[rng.IntN(4)]
			plan := (&AskPlan{Ask: payload.Ask{Scope: payload.Scope{Categories: []payload.Category{"labs"}}, For: "30d", Reason: "why"}, Purpose: payload.Treatment, AnswerBy: end}).
				Letter(Contact{Name: "c", Address: clinics[clinic].Address()})
			plan.NotAfter = end // as of the consents here
			ch, err := w.Grants().prepare(plan, ground)
			if err != nil {
				t.Fatal(err)
			}
			th := &linkThread{patient: p, clinic: clinic, event: event}
			th.grant = linkEntry{thread: th, hour: hour, second: rng.IntN(3600), raw: ch.Entry.Marshal()}
			world.letters = append(world.letters, th)
			event++
		}
		for n := 0; n < linkEach; event++ {
			hour, second := hourAt(), rng.IntN(3600)
			if rng.IntN(3) > 0 {
				give(hour, second, mine[rng.IntN(4)])
				n++
				continue
			}
			for _, i := range rng.Perm(4) {
				give(hour, second, mine[i])
				n++
			}
		}
	}

	// Polls: each clinician who has no watch opens twice a year what is open to her.
	for c := range linkClinicians {
		for k := range 2 {
			at, second := hourAt(), rng.IntN(3600)
			if watches(c) {
				continue
			}
			for _, th := range world.threads {
				if th.clinic == c && th.grant.hour < at && at < th.grant.hour+29*24 && th.access.hour != at {
					e := world.open(th, at, second)
					e.group = 2*c + k
					world.polls = append(world.polls, e)
				}
			}
		}
	}
	world.order(rng)
	for range linkSteps {
		world.steps = append(world.steps, world.newStep(t, rng, hourAt()))
	}
	return world
}

// newStep makes what comes together.
func (w *linkWorld) newStep(t *testing.T, rng *mathrand.Rand, hour contract.Hour) *linkStep {
	byClinic, byPatient := map[int][]*linkThread{}, map[int][]*linkThread{}
	for _, i := range rng.Perm(len(w.threads)) {
		th := w.threads[i]
		byClinic[th.clinic] = append(byClinic[th.clinic], th)
		byPatient[th.patient] = append(byPatient[th.patient], th)
	}
	s := &linkStep{}
	send := func(kind int, of []*linkThread, make func(*linkThread) *linkEntry) {
		var sent []*linkEntry
		for _, th := range of[:min(len(of), linkSent)] {
			sent = append(sent, make(th))
		}
		s.came[kind] = append(s.came[kind], sent)
	}
	for _, c := range rng.Perm(len(byClinic))[:linkSenders] {
		send(0, byClinic[c], func(th *linkThread) *linkEntry { return w.open(th, hour, 0) })
	}
	for _, p := range rng.Perm(len(byPatient))[:linkSenders] {
		send(1, byPatient[p], func(th *linkThread) *linkEntry {
			ch, err := th.patients.Consents().prepareRevocation(th.tag, th.id)
			if err != nil {
				t.Fatal(err)
			}
			return &linkEntry{thread: th, hour: hour, raw: ch.Entry.Marshal()}
		})
	}
	return s
}

// stepPairs pairs what one sent in a step, and as much that two sent.
func (w *linkWorld) stepPairs(kind int) (halves [2][]linkPair) {
	for i, s := range w.steps {
		came := s.came[kind]
		for k, sent := range came {
			next := came[(k+1)%len(came)]
			for j := 0; j+1 < min(len(sent), len(next)); j += 2 {
				halves[i%2] = append(halves[i%2],
					linkPair{x: sent[j : j+1], y: sent[j+1 : j+2], linked: true},
					linkPair{x: sent[j : j+1], y: next[j+1 : j+2]})
			}
		}
	}
	return halves
}

// openAt makes an access as the wallet does, some seconds after an hour began.
func openAt(th *linkThread, l crypto.LedgerID, grant contract.ID, tagger *crypto.Tagger, hour contract.Hour, second int) linkEntry {
	hour, second = hour+contract.Hour(second/3600), second%3600
	raw := crypto.NewNonce()
	e := contract.Entry{Version: contract.Version, Kind: contract.KindAccess, Author: th.keys.Sig, Subject: grant,
		SelfTag: tagger.Tag(crypto.NewNonce()), Commitment: contract.AccessCommitment(crypto.BlobHash(raw[:]))}
	e.NotBefore, e.NotAfter = contract.Acceptance(hour)
	e.Signature = th.keys.Sign(e.ID(l))
	return linkEntry{thread: th, hour: hour, second: second, raw: e.Marshal()}
}

// order gives every entry its place in the log.
func (w *linkWorld) order(rng *mathrand.Rand) {
	type batch struct {
		at      uint64 // seconds, and then chance
		entries []*linkEntry
	}
	byKey := map[[2]int]*batch{}
	var all []*batch
	put := func(kind, key int, e *linkEntry) {
		b := byKey[[2]int{kind, key}]
		if b == nil {
			b = &batch{at: (uint64(e.hour)*3600+uint64(e.second))<<20 | rng.Uint64N(1<<20)}
			byKey[[2]int{kind, key}] = b
			all = append(all, b)
		}
		b.entries = append(b.entries, e)
	}
	for i, th := range w.threads {
		put(0, th.event, &th.grant)
		put(1, i, &th.access)
	}
	for _, e := range w.polls {
		put(2, e.group, e)
	}
	for _, th := range w.letters {
		put(0, th.event, &th.grant)
	}
	for i, th := range w.links {
		put(0, th.event, &th.grant)
		put(3, i, &th.access)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].at < all[j].at })
	index := 1
	for _, b := range all {
		for _, e := range b.entries {
			e.index = index
			index++
		}
	}
}

// linkPair is two consents, or two accesses, side by side.
type linkPair struct {
	x, y   []*linkEntry // grant and access of each; or one entry of each
	linked bool
	habit  bool // nothing but how long each waited to be opened is looked at
}

func threadPair(x, y *linkThread, linked bool) linkPair {
	return linkPair{x: []*linkEntry{&x.grant, &x.access}, y: []*linkEntry{&y.grant, &y.access}, linked: linked}
}

// besidePairs makes pairs of two letters and, not linked, of a letter and a consent; with
// ofOne, of a letter and a consent of one patient and of two. No entry is in two pairs. Of
// links, which are opened, it makes the same.
func (w *linkWorld) besidePairs(rng *mathrand.Rand, of []*linkThread, ofOne bool) (halves [2][]linkPair) {
	entries, far := threadPair, apart
	if of[0].keys == nil {
		entries = func(x, y *linkThread, linked bool) linkPair {
			return linkPair{x: []*linkEntry{&x.grant}, y: []*linkEntry{&y.grant}, linked: linked}
		}
		far = func(x, y *linkThread) bool { return gap(&x.grant, &y.grant) >= quiet }
	}
	for h := range halves {
		var letters, consents []*linkThread
		for _, from := range []struct {
			all  []*linkThread
			into *[]*linkThread
		}{{of, &letters}, {w.threads, &consents}} {
			for _, i := range rng.Perm(len(from.all)) {
				if from.all[i].patient%2 == h {
					*from.into = append(*from.into, from.all[i])
				}
			}
		}
		// take takes a consent that fits a letter.
		take := func(x *linkThread, same bool) *linkThread {
			for i, y := range consents {
				if (y.patient == x.patient) == same && far(x, y) {
					consents = append(consents[:i:i], consents[i+1:]...)
					return y
				}
			}
			return nil
		}
		for len(letters) > 2 {
			a, b, c := letters[0], letters[1], letters[2]
			letters = letters[3:]
			linked := b
			if ofOne {
				linked = take(a, true)
			}
			none := take(c, false)
			if linked == nil || none == nil || !ofOne && (a.patient == b.patient || !far(a, b)) {
				continue
			}
			halves[h] = append(halves[h], entries(a, linked, true), entries(c, none, false))
		}
	}
	return halves
}

func (w *linkWorld) apartFrom(rng *mathrand.Rand, of []*linkThread) [2][]linkPair {
	return w.besidePairs(rng, of, false)
}

func (w *linkWorld) ofOne(rng *mathrand.Rand, of []*linkThread) [2][]linkPair {
	return w.besidePairs(rng, of, true)
}

func twoLinks(rng *mathrand.Rand, links []*linkThread) [2][]linkPair {
	w := linkWorld{threads: links}
	return w.pairs(rng, func(x, y *linkThread) bool { return true }, func(th *linkThread) int { return th.patient })
}

func apart(x, y *linkThread) bool {
	return gap(&x.grant, &y.grant) >= quiet && gap(&x.access, &y.access) >= quiet
}

func gap(x, y *linkEntry) int { return abs(int(x.hour) - int(y.hour)) }

func abs(n int) int { return max(n, -n) }

// pairs makes as many linked as unlinked pairs, in two halves. same says which
// consents of one group belong together; unlinked pairs share neither patient nor
// clinician.
func (w *linkWorld) pairs(rng *mathrand.Rand, same func(x, y *linkThread) bool, group func(*linkThread) int) (halves [2][]linkPair) {
	groups := map[int][]*linkThread{}
	for _, th := range w.threads {
		groups[group(th)] = append(groups[group(th)], th)
	}
	var members [2][]*linkThread
	for g := range len(groups) {
		members[g%2] = append(members[g%2], groups[g]...)
		halves[g%2] = append(halves[g%2], matched(rng, groups[g], true, func(x, y *linkThread) bool { return same(x, y) && apart(x, y) })...)
	}
	for h := range halves {
		none := matched(rng, members[h], false, func(x, y *linkThread) bool {
			return x.patient != y.patient && x.clinic != y.clinic && apart(x, y)
		})
		halves[h] = append(halves[h], none[:min(len(none), len(halves[h]))]...)
	}
	return halves
}

// matched pairs up what fits, at random.
func matched(rng *mathrand.Rand, from []*linkThread, linked bool, fit func(x, y *linkThread) bool) []linkPair {
	var out []linkPair
	rest := append([]*linkThread(nil), from...)
	rng.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	for len(rest) > 1 {
		x := rest[0]
		rest = rest[1:]
		for i, y := range rest {
			if fit(x, y) {
				out = append(out, threadPair(x, y, linked))
				rest[i] = rest[0]
				rest = rest[1:]
				break
			}
		}
	}
	return out
}

// linkFields are the fields of an entry: where they begin and end.
var linkFields = [][2]int{{0, 4}, {4, 37}, {37, 70}, {70, 102}, {102, 118}, {118, 122}, {122, 126}, {126, 158}, {158, 190}, {190, 222}}

// linkCross are fields that are compared with another field.
var linkCross = [][2]int{{1, 2}, {4, 7}, {7, 8}}

func (p *linkPair) features() []float32 {
	var out []float32
	flag := func(b bool) {
		if b {
			out = append(out, 1)
		} else {
			out = append(out, 0)
		}
	}
	if p.habit {
		x, y := gap(p.x[0], p.x[1]) <= 2, gap(p.y[0], p.y[1]) <= 2
		flag(x && y)
		flag(x == y)
		return out
	}
	for i := range p.x {
		x, y := p.x[i], p.y[i]
		for j := range x.raw {
			d := x.raw[j] ^ y.raw[j]
			flag(d&0xf0 == 0)
			flag(d&0x0f == 0)
		}
		for _, f := range linkFields {
			h := hamming(x.raw[f[0]:f[1]], y.raw[f[0]:f[1]])
			flag(h == 0)
			out = append(out, float32(h))
		}
		for _, c := range linkCross {
			a, b := linkFields[c[0]], linkFields[c[1]]
			out = append(out, float32(hamming(x.raw[a[0]:a[1]], y.raw[b[0]:b[1]])+hamming(y.raw[a[0]:a[1]], x.raw[b[0]:b[1]])))
		}
		hours, places := gap(x, y), abs(x.index-y.index)
		ends := abs(int(binary.BigEndian.Uint32(x.raw[122:126])) - int(binary.BigEndian.Uint32(y.raw[122:126])))
		out = append(out, float32(math.Log1p(float64(hours))), float32(math.Log1p(math.Abs(float64(ends-hours)))), float32(math.Log1p(float64(places))))
		flag(hours%24 == 0)
		flag(hours%168 == 0)
		flag(places == 1)
	}
	return out
}

func hamming(x, y []byte) (n int) {
	for i := range min(len(x), len(y)) {
		n += bits.OnesCount8(x[i] ^ y[i])
	}
	return n
}

// judgePairs trains on each half, scores the other, and returns the area under the
// ROC curve of all scores with its 95 % confidence interval.
func judgePairs(rng *mathrand.Rand, halves [2][]linkPair) (n int, auc, low, high float64) {
	var xs [][]float32
	var ys []bool
	for _, pairs := range halves {
		for i := range pairs {
			xs, ys = append(xs, pairs[i].features()), append(ys, pairs[i].linked)
		}
	}
	standardize(xs)
	half := len(halves[0])
	scores := logistic(rng, xs[half:], ys[half:], xs[:half])
	scores = append(scores, logistic(rng, xs[:half], ys[:half], xs[half:])...)
	auc, low, high = areaUnderCurve(scores, ys)
	// What chance has one half teach of the other, the other teaches of it: both areas go the
	// same way, and all of them together as far as those of half as many pairs.
	return len(xs), auc, auc - math.Sqrt2*(auc-low), auc + math.Sqrt2*(high-auc)
}

// standardize gives every feature mean 0 and variance 1 over all pairs, without a
// look at what is linked.
func standardize(xs [][]float32) {
	for j := range xs[0] {
		var sum, square float64
		for i := range xs {
			sum += float64(xs[i][j])
			square += float64(xs[i][j]) * float64(xs[i][j])
		}
		mean := sum / float64(len(xs))
		dev := math.Sqrt(max(0, square/float64(len(xs))-mean*mean))
		for i := range xs {
			if dev < 1e-9 {
				xs[i][j] = 0
			} else {
				xs[i][j] = float32((float64(xs[i][j]) - mean) / dev)
			}
		}
	}
}

// logistic fits a regression with a quadratic penalty by stochastic gradient
// descent and returns the scores of the test pairs.
func logistic(rng *mathrand.Rand, xs [][]float32, ys []bool, test [][]float32) []float64 {
	weights := make([]float32, len(xs[0]))
	var bias float32
	dot := func(x []float32) float32 {
		sum := bias
		for j, v := range x {
			sum += v * weights[j]
		}
		return sum
	}
	const epochs, penalty = 8, 0.002
	for epoch := range epochs {
		rate := float32(0.003 / (1 + 0.5*float64(epoch)))
		for _, i := range rng.Perm(len(xs)) {
			e := float32(1 / (1 + math.Exp(-float64(dot(xs[i])))))
			if ys[i] {
				e--
			}
			for j, v := range xs[i] {
				weights[j] -= rate * (e*v + penalty*weights[j])
			}
			bias -= rate * e
		}
	}
	out := make([]float64, len(test))
	for i, x := range test {
		out[i] = float64(dot(x))
	}
	return out
}

// areaUnderCurve is the chance that a linked pair scores higher than an unlinked
// one, with the interval of DeLong, DeLong and Clarke-Pearson (Biometrics 44,
// 1988).
func areaUnderCurve(scores []float64, linked []bool) (auc, low, high float64) {
	var yes, no []float64
	for i, s := range scores {
		if linked[i] {
			yes = append(yes, s)
		} else {
			no = append(no, s)
		}
	}
	sort.Float64s(yes)
	sort.Float64s(no)
	// place is how much of sorted lies below v, ties counted half.
	place := func(v float64, sorted []float64) float64 {
		below := sort.SearchFloat64s(sorted, v)
		upTo := sort.Search(len(sorted), func(i int) bool { return sorted[i] > v })
		return (float64(below) + float64(upTo)) / 2 / float64(len(sorted))
	}
	moments := func(vs, other []float64) (mean, variance float64) {
		for _, v := range vs {
			p := place(v, other)
			mean += p
			variance += p * p
		}
		n := float64(len(vs))
		mean /= n
		return mean, max(0, variance/n-mean*mean) / (n - 1)
	}
	auc, v1 := moments(yes, no)
	_, v2 := moments(no, yes)
	se := math.Sqrt(v1 + v2)
	return auc, auc - 1.96*se, auc + 1.96*se
}

// Promise 2.
func TestNothingLinksConsents(t *testing.T) {
	lane.OneGoroutine(t)
	claims := []struct {
		name  string
		same  func(x, y *linkThread) bool
		group func(*linkThread) int
		leaks map[string]func(*linkThread) // planted on purpose
	}{
		{"two consents of one patient",
			func(x, y *linkThread) bool { return x.event != y.event && x.clinic != y.clinic },
			func(th *linkThread) int { return th.patient },
			map[string]func(*linkThread){
				"half a byte of the self-tag": func(th *linkThread) { th.grant.raw[102] = th.grant.raw[102]&0xf0 | byte(th.patient*7%16) },
				"a byte of the author's key":  func(th *linkThread) { th.grant.raw[9] = byte(th.patient * 151) },
			}},
		{"two consents to one clinician",
			func(x, y *linkThread) bool { return x.patient != y.patient },
			func(th *linkThread) int { return th.clinic },
			map[string]func(*linkThread){
				"half a byte of the counterparty": func(th *linkThread) { th.grant.raw[50] = th.grant.raw[50]&0x0f | byte(th.clinic*16) },
				"a byte of the access's self-tag": func(th *linkThread) { th.access.raw[110] = byte(th.clinic) },
			}},
	}
	patients := lane.Pick(linkPatients, linkPatients/4, linkPatients/4)
	start := time.Now()
	world := newLinkWorld(t, 1, patients)
	t.Logf("%d consents of %d patients to %d clinicians, %d accesses in polls, made in %v", len(world.threads), patients, linkClinicians, len(world.polls), time.Since(start).Round(100*time.Millisecond))
	for _, c := range claims {
		judge := func(w *linkWorld) (n int, auc, low, high float64) {
			rng := mathrand.New(mathrand.NewPCG(7, 7))
			return judgePairs(rng, w.pairs(rng, c.same, c.group))
		}
		n, auc, low, high := judge(world)
		t.Logf("%s: AUC %.3f [%.3f, %.3f] from %d pairs", c.name, auc, low, high, n)
		// Five standard errors: keys are random, and chance goes so far once in two million
		// worlds. What is planted below is forty away.
		if math.Abs(auc-0.5) > 5/1.96*(high-low)/2 {
			t.Errorf("%s can be told: AUC %.3f [%.3f, %.3f]", c.name, auc, low, high)
		}
		if lane.Long() && (n < 10_000 || high-low > 0.04) {
			t.Errorf("%s: %d pairs and an interval of %.3f say too little", c.name, n, high-low)
		}
		for name, leak := range c.leaks {
			keep := make([][2][contract.Size]byte, len(world.threads))
			for i, th := range world.threads {
				keep[i] = [2][contract.Size]byte{th.grant.raw, th.access.raw}
				leak(th)
			}
			n, auc, low, high := judge(world)
			t.Logf("%s, %s leaked on purpose: AUC %.3f [%.3f, %.3f] from %d pairs", c.name, name, auc, low, high, n)
			if auc < 0.9 {
				t.Errorf("the classifier does not find %s", name)
			}
			for i, th := range world.threads {
				th.grant.raw, th.access.raw = keep[i][0], keep[i][1]
			}
		}
	}

	ofPatient := func(th *linkThread) { th.grant.raw[9] = byte(th.patient * 151) }
	for name, c := range map[string]struct {
		of    []*linkThread
		pairs func(rng *mathrand.Rand, of []*linkThread) [2][]linkPair
		leak  func(*linkThread)
		both  bool // of consents too
	}{
		"letters":                               {world.letters, world.apartFrom, func(th *linkThread) { th.grant.raw[103] = 7 }, false},
		"a letter and a consent of one patient": {world.letters, world.ofOne, ofPatient, true},
		"links":                                 {world.links, world.apartFrom, func(th *linkThread) { binary.BigEndian.PutUint32(th.grant.raw[122:], uint32(th.until)) }, false},
		"a link and a consent of one patient":   {world.links, world.ofOne, ofPatient, true},
		"two links of one patient":              {world.links, twoLinks, ofPatient, false},
	} {
		judge := func() (n int, auc, low, high float64) {
			rng := mathrand.New(mathrand.NewPCG(11, 11))
			return judgePairs(rng, c.pairs(rng, c.of))
		}
		n, auc, low, high := judge()
		t.Logf("%s: AUC %.3f [%.3f, %.3f] from %d pairs", name, auc, low, high, n)
		if math.Abs(auc-0.5) > 5/1.96*(high-low)/2 {
			t.Errorf("%s can be told: AUC %.3f [%.3f, %.3f]", name, auc, low, high)
		}
		keep := map[*linkThread][contract.Size]byte{}
		for _, th := range c.of {
			keep[th] = th.grant.raw
			c.leak(th)
		}
		if c.both {
			for _, th := range world.threads {
				keep[th] = th.grant.raw
				c.leak(th)
			}
		}
		if n, auc, low, high := judge(); auc < 0.8 {
			t.Errorf("the classifier does not find what %s were made to share: AUC %.3f [%.3f, %.3f] from %d pairs", name, auc, low, high, n)
		}
		for th, raw := range keep {
			th.grant.raw = raw
		}
	}

	for kind, name := range []string{"accesses of one bulk fetch, in one step of a node", "revocations of one patient, in one step of a node"} {
		judge := func(told bool) (n int, auc, low, high float64) {
			for _, s := range world.steps {
				s.order(world.ledger, told)
			}
			return judgePairs(mathrand.New(mathrand.NewPCG(9, 9)), world.stepPairs(kind))
		}
		n, auc, low, high := judge(false)
		t.Logf("%s: AUC %.3f [%.3f, %.3f] from %d pairs", name, auc, low, high, n)
		if math.Abs(auc-0.5) > 5/1.96*(high-low)/2 {
			t.Errorf("%s can be told: AUC %.3f [%.3f, %.3f]", name, auc, low, high)
		}
		if n, auc, low, high := judge(true); auc < 0.9 {
			t.Errorf("the classifier does not find that %s stand as they came: AUC %.3f [%.3f, %.3f] from %d pairs", name, auc, low, high, n)
		}
	}

	// What many watches found at once and open in the same hours is told apart by nobody;
	// opened in one go, it is.
	rng := mathrand.New(mathrand.NewPCG(8, 8))
	n, auc, low, high := judgePairs(rng, world.busyHours(rng, false))
	t.Logf("consents that a watch found at once: AUC %.3f [%.3f, %.3f] from %d pairs", auc, low, high, n)
	if math.Abs(auc-0.5) > 5/1.96*(high-low)/2 {
		t.Errorf("what a watch found at once can be told: AUC %.3f [%.3f, %.3f]", auc, low, high)
	}
	if n, auc, low, high := judgePairs(rng, world.busyHours(rng, true)); auc < 0.9 {
		t.Errorf("the classifier does not find the same in bursts: AUC %.3f [%.3f, %.3f] from %d pairs", auc, low, high, n)
	}

	// What promise 2 does not claim, as it is.
	byEvent := map[int][]*linkEntry{}
	var grants []*linkEntry
	for _, th := range world.threads {
		byEvent[th.event] = append(byEvent[th.event], &th.grant)
		grants = append(grants, &th.grant)
	}
	byPoll := map[int][]*linkEntry{}
	for _, e := range world.polls {
		byPoll[e.group] = append(byPoll[e.group], e)
	}
	for _, b := range []struct {
		name   string
		groups map[int][]*linkEntry
		all    []*linkEntry
	}{
		{"consents re-issued in one batch", byEvent, grants},
		{"accesses of one poll", byPoll, world.polls},
	} {
		n, auc, low, high := judgePairs(rng, burstPairs(rng, b.groups, b.all))
		t.Logf("not promised, %s: AUC %.3f [%.3f, %.3f] from %d pairs", b.name, auc, low, high, n)
	}
	// Whether its consents are opened within two hours is a habit that a clinician has and
	// others have not.
	halves := world.pairs(rng, claims[1].same, claims[1].group)
	for h := range halves {
		for i := range halves[h] {
			halves[h][i].habit = true
		}
	}
	n, auc, low, high = judgePairs(rng, halves)
	t.Logf("not promised, two consents to one clinician where one in four watches: AUC %.3f [%.3f, %.3f] from %d pairs", auc, low, high, n)
}

// busyHours are pairs of accesses from hours in which each of many clinicians finds four
// consents at once, within the same five minutes, and opens them: as a watch does or, in
// bursts, at the moment at which they are found. Pairs of one clinician are linked.
func (w *linkWorld) busyHours(rng *mathrand.Rand, bursts bool) (halves [2][]linkPair) {
	const each, clinics = 4, 60
	theirs := map[int][]*linkThread{}
	for _, th := range w.threads {
		theirs[th.clinic] = append(theirs[th.clinic], th)
	}
	for hour := w.threads[0].grant.hour; ; hour += 100 {
		var all []*linkEntry
		for c := range linkClinicians {
			if len(theirs[c]) < each || len(all) == clinics*each {
				continue
			}
			at := found(0, rng.IntN(300))
			for _, th := range theirs[c][:each] {
				second := at
				if !bursts {
					second += int(byChance(time.Hour) / time.Second)
				}
				all = append(all, w.open(th, hour, second))
			}
			theirs[c] = theirs[c][each:]
		}
		if len(all) < clinics*each {
			return halves
		}
		ordered := append([]*linkEntry(nil), all...)
		if !bursts { // which come together, two in one second as chance has it
			rng.Shuffle(len(ordered), func(i, j int) { ordered[i], ordered[j] = ordered[j], ordered[i] })
		}
		sort.SliceStable(ordered, func(i, j int) bool {
			x, y := ordered[i], ordered[j]
			return int(x.hour)*3600+x.second < int(y.hour)*3600+y.second
		})
		for i, e := range ordered {
			e.index = i
		}
		for i := 0; i < len(all); i += 2 * each { // two clinicians, of one half
			x, y, h := all[i:i+each], all[i+each:i+2*each], i/(2*each)%2
			halves[h] = append(halves[h],
				linkPair{x: x[0:1], y: x[1:2], linked: true}, linkPair{x: y[0:1], y: y[1:2], linked: true},
				linkPair{x: x[2:3], y: y[2:3]}, linkPair{x: x[3:4], y: y[3:4]})
		}
	}
}

// burstPairs pairs what came together, and as much that did not.
func burstPairs(rng *mathrand.Rand, groups map[int][]*linkEntry, all []*linkEntry) (halves [2][]linkPair) {
	var keys []int
	for k := range groups {
		keys = append(keys, k)
	}
	sort.Ints(keys)
	for i, k := range keys {
		for g := groups[k]; len(g) > 1; g = g[2:] {
			halves[i%2] = append(halves[i%2], linkPair{x: g[:1], y: g[1:2], linked: true})
		}
	}
	for h := range halves {
		for n := len(halves[h]); n > 0; {
			x, y := all[rng.IntN(len(all))], all[rng.IntN(len(all))]
			if x.thread.patient != y.thread.patient && x.thread.clinic != y.thread.clinic {
				halves[h] = append(halves[h], linkPair{x: []*linkEntry{x}, y: []*linkEntry{y}})
				n--
			}
		}
	}
	return halves
}
