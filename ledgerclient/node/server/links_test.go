package server

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"golang.org/x/crypto/argon2"
)

// Links of a node: an attacker has its disk, guesses, repeats, and comes in crowds.

const linkSite = "https://ledger.example"

// takesLinks are the options of a node that does. Whoever made the notes of its accesses
// finds them in notes.
func takesLinks(notes *[]LinkNote) func(*Options) {
	var mu sync.Mutex
	return func(o *Options) {
		o.Links = &Links{URL: linkSite, Note: func(n LinkNote) ([]byte, int) {
			mu.Lock()
			defer mu.Unlock()
			if notes != nil {
				*notes = append(*notes, n)
			}
			return []byte("note"), 0
		}}
	}
}

// takesCrowds is takesLinks without limits of how often.
func takesCrowds(o *Options) {
	takesLinks(nil)(o)
	o.Limits.Links, o.Limits.Link = Rate{-1, 0}, Rate{-1, 0}
}

// linked is a link with all that was made for it.
type linked struct {
	*given
	id      crypto.LinkID
	secret  crypto.LinkKey
	jwe     string
	deposit ledgerclient.LinkDeposit
}

func (l *linked) path() string { return node.PathLink + l.id.Encode() }

// link makes a grant to the wallet of a link and what a node keeps of that. change may be
// nil; its deposit is signed again.
func (w *world) link(change func(*ledgerclient.LinkDeposit)) *linked {
	w.t.Helper()
	seed := w.root.Seed(w.ledger, crypto.NewNonce())
	l := &linked{id: seed.LinkID(), secret: seed.LinkKey()}
	clinic := w.clinic
	w.clinic = l.id.Root().Identity()
	l.given = w.grant()
	w.clinic = clinic
	l.jwe = "eyJhbGciOiJkaXIifQ..iv." + strings.Repeat("sealed", 500) + "." + l.id.Encode()[:8]
	l.deposit = ledgerclient.LinkDeposit{
		Ledger: w.ledger, Grant: l.given.id, Keeper: w.keeper, Name: l.id.Name(w.ledger), End: l.entry.NotAfter, Openings: 3,
		Package: l.pkg.Marshal(), File: l.lock.SealLinkFile(w.ledger, crypto.Hash(l.given.id), []byte(l.jwe)),
	}
	if change != nil {
		change(&l.deposit)
	}
	ledgerclient.Sign(&l.deposit, l.key)
	return l
}

// sealJWE makes what a link gives.
func sealJWE(key crypto.LinkKey, file []byte) string {
	var packed bytes.Buffer
	z, err := flate.NewWriter(&packed, 9)
	if err != nil {
		panic(err) // can't happen: the level is one
	}
	z.Write(file)
	z.Close()
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"dir","enc":"A256GCM","cty":"application/fhir+json","zip":"DEF"}`))
	iv := make([]byte, 12)
	rand.Read(iv)
	sealed := key.Cipher().Seal(nil, iv, packed.Bytes(), []byte(head))
	n := len(sealed) - 16
	return strings.Join([]string{head, "", base64.RawURLEncoding.EncodeToString(iv), base64.RawURLEncoding.EncodeToString(sealed[:n]), base64.RawURLEncoding.EncodeToString(sealed[n:])}, ".")
}

// fill puts a file behind a link that is not deposited yet.
func (w *world) fill(l *linked, file []byte) {
	l.jwe = sealJWE(l.secret, file)
	l.deposit.File = l.lock.SealLinkFile(w.ledger, crypto.Hash(l.given.id), []byte(l.jwe))
	ledgerclient.Sign(&l.deposit, l.key)
}

// text is the link as it is handed on: below a site, with what else its payload says.
func (l *linked) text(site string, more map[string]any) string {
	payload := map[string]any{"url": site + l.path(), "key": l.secret.Encode()}
	maps.Copy(payload, more)
	raw, err := json.Marshal(payload)
	if err != nil {
		panic(err) // can't happen: texts and numbers
	}
	return "shlink:/" + base64.RawURLEncoding.EncodeToString(raw)
}

// keep gives a link's grant and deposits it.
func (w *world) keep(l *linked) {
	w.t.Helper()
	w.give(l.given)
	r, err := ledgerclient.Parse[ledgerclient.LinkReceipt](w.ok(w.post(node.PathLinks, ledgerclient.Marshal(&l.deposit))))
	w.must(err)
	w.must(r.Verify(&l.deposit))
}

func (w *world) visit(l *linked, by, reason string) reply {
	w.t.Helper()
	return w.get(l.path() + "?recipient=" + url.QueryEscape(by) + "&reason=" + url.QueryEscape(reason))
}

// opens checks that a link opens.
func (w *world) opens(what string, l *linked, r reply) {
	w.t.Helper()
	if r.status != http.StatusOK || string(r.body) != l.jwe || r.header.Get("Content-Type") != "application/jose" || r.header.Get("Access-Control-Allow-Origin") != "*" || r.header.Get("Cache-Control") != "no-store" {
		w.t.Errorf("%s: status %d, %v, %.80s", what, r.status, r.header, r.body)
	}
}

// shut checks that a link opens nothing, and tells no more than that.
func (w *world) shut(what string, r reply) {
	w.t.Helper()
	w.refused(what, r, node.KindNotFound)
	if r.header.Get("Access-Control-Allow-Origin") != "*" {
		w.t.Errorf("%s: pages of others are not told", what)
	}
}

// became is what the node says of a link.
func (w *world) became(l *linked) ledgerclient.LinkAnswer {
	w.t.Helper()
	q := ledgerclient.Inquiry{Ledger: w.ledger, Keeper: w.keeper, Grant: l.given.id, Nonce: [32]byte(crypto.NewSalt())}
	q.SignLink(l.key)
	a, err := ledgerclient.Parse[ledgerclient.LinkAnswer](w.ok(w.post(node.PathLinkInquire, ledgerclient.Marshal(&q))))
	w.must(err)
	w.must(a.Verify(&q))
	return a
}

// says compares what the node says of a link.
func (w *world) says(what string, l *linked, state ledgerclient.LinkState, left, attempts int, events ...string) {
	w.t.Helper()
	a := w.became(l)
	var got []string
	for _, e := range a.Events {
		got = append(got, e.What.String()+" "+e.By+" "+e.Reason)
	}
	if d := &l.deposit; a.Openings != d.Openings || a.Daily != d.Daily || a.Passcode != (d.Passcode.Attempts > 0) {
		w.t.Errorf("%s: of how it opens it says %+v", what, a)
	}
	if a.State != state || int(a.Left) != left || int(a.Attempts) != attempts || fmt.Sprint(got) != fmt.Sprint(events) {
		w.t.Errorf("%s: %s, %d and %d left, %q; want %s, %d and %d, %q", what, a.State, a.Left, a.Attempts, got, state, left, attempts, events)
	}
}

// accesses counts those on the log.
func (w *world) accesses() (n int) {
	w.t.Helper()
	head, err := w.folder.Head(ctx)
	w.must(err)
	leaves, err := w.folder.Leaves(ctx, 0, head.Size)
	w.must(err)
	for _, l := range leaves {
		if l.Entry.Kind == contract.KindAccess {
			n++
		}
	}
	return n
}

// restart stops the node and starts it again.
func (w *world) restart(change func(*Options)) {
	w.t.Helper()
	w.http.Close()
	w.server.Close()
	w.must(w.folder.Close())
	w.start(change)
}

func TestLinkOpens(t *testing.T) {
	var notes []LinkNote
	w := newWorld(t, takesLinks(&notes))
	l := w.link(nil)
	w.keep(l)
	w.opens("first", l, w.visit(l, "Dr Äther, City", "a fall"))
	w.opens("again in this hour", l, w.visit(l, "Nurse B", ""))
	if n := w.accesses(); n != 1 || len(notes) != 1 || notes[0].By != "Dr Äther, City" || notes[0].Reason != "a fall" || notes[0].Grant != l.given.id || notes[0].From != l.id.Root().Identity().Address() {
		t.Errorf("%d accesses, %+v", n, notes)
	}
	w.says("two of three", l, ledgerclient.LinkActive, 1, 0, "opened Dr Äther, City a fall", "opened Nurse B ")
	w.clock.pass(time.Hour)
	w.opens("an hour later", l, w.visit(l, "Dr C", "again"))
	if n := w.accesses(); n != 2 {
		t.Errorf("%d accesses", n)
	}
	w.shut("a fourth", w.visit(l, "Dr D", "too late"))
	w.says("all", l, ledgerclient.LinkExhausted, 0, 0, "opened Dr Äther, City a fall", "opened Nurse B ", "opened Dr C again", "refused Dr D too late")
	if n := w.accesses(); n != 2 {
		t.Errorf("%d accesses", n)
	}

	w.shut("a guessed id", w.get(node.PathLink+crypto.NewEntropy().Root().Seed(w.ledger, crypto.NewNonce()).LinkID().Encode()+"?recipient=x"))
	for _, odd := range []string{"", "x", l.id.Encode() + "A", l.id.Encode()[:42], l.id.Encode()[:42] + "=", "..%2f" + l.id.Encode()} {
		w.shut("id "+odd, w.get(node.PathLink+odd+"?recipient=x"))
	}
	other := w.link(nil)
	w.shut("of a grant without a deposit", w.visit(other, "Dr E", ""))
}

// TestLinkNeedsSomebody: whoever looks what a link is, such as scanners of mail do, spends
// nothing.
func TestLinkNeedsSomebody(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	l := w.link(nil)
	w.keep(l)
	w.refused("nobody", w.get(l.path()), node.KindMalformed)
	w.refused("blanks", w.get(l.path()+"?recipient=+%09"), node.KindMalformed)
	// HEAD is told what GET would be, without a body and without an opening.
	for range 5 {
		if r := w.ask(http.MethodHead, l.path()+"?recipient=x", nil); r.status != http.StatusOK || r.header.Get("Content-Type") != "application/jose" || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("HEAD: %d %v", r.status, r.header)
		}
	}
	if r := w.ask(http.MethodHead, l.path(), nil); r.status != http.StatusBadRequest {
		t.Errorf("HEAD of nobody: %d", r.status)
	}
	locked := w.link(withPasscode("right", 5))
	w.keep(locked)
	for what, path := range map[string]string{"one with a passcode": locked.path(), "one that there is not": node.PathLink + strings.Repeat("A", 43), "a location that there is not": l.path() + "/x"} {
		if r := w.ask(http.MethodHead, path+"?recipient=x", nil); r.status != http.StatusNotFound {
			t.Errorf("HEAD of %s: %d", what, r.status)
		}
	}
	w.says("no try of its passcode", locked, ledgerclient.LinkActive, 3, 5)
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch} {
		r := w.ask(method, l.path()+"?recipient=x", nil)
		if w.refused(method, r, node.KindMethod); r.header.Get("Allow") != "GET, HEAD, OPTIONS, POST" {
			t.Errorf("%s: allowed %q", method, r.header.Get("Allow"))
		}
	}
	r := w.ask(http.MethodOptions, l.path(), nil, "Origin", "https://viewer.example", "Access-Control-Request-Method", "POST")
	if r.status != http.StatusNoContent || r.header.Get("Access-Control-Allow-Origin") != "*" || r.header.Get("Access-Control-Allow-Headers") != "Content-Type" || r.header.Get("Allow") != "GET, HEAD, OPTIONS, POST" {
		t.Errorf("%d %v", r.status, r.header)
	}
	w.shut("a manifest of a link that has none", w.post(l.path(), []byte(`{"recipient":"Dr A"}`), "Content-Type", "application/json"))
	w.says("nothing happened", l, ledgerclient.LinkActive, 3, 0)
	if r := w.get(node.PathCheckpoint); r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("pages of others may read the ledger")
	}
}

// TestLinkPlaces: of a hundred at once as many get in as there are places.
func TestLinkPlaces(t *testing.T) {
	w := newWorld(t, takesCrowds)
	l := w.link(nil)
	w.keep(l)
	var mu sync.Mutex
	got := map[int]int{}
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			resp, err := w.http.Client().Get(w.http.URL + l.path() + fmt.Sprintf("?recipient=n%d", i))
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			got[resp.StatusCode]++
		})
	}
	all.Wait()
	if got[http.StatusOK] != 3 || got[http.StatusNotFound] != 97 {
		t.Errorf("%v", got)
	}
	if n := w.accesses(); n != 1 {
		t.Errorf("%d accesses in one hour", n)
	}
	a := w.became(l)
	opened := 0
	for _, e := range a.Events {
		if e.What == ledgerclient.LinkOpened {
			opened++
		}
	}
	if opened != 3 || len(a.Events) != 100 || a.Left != 0 {
		t.Errorf("%d opened of %d, %d left", opened, len(a.Events), a.Left)
	}
}

// withPasscode locks a link.
func withPasscode(passcode string, attempts uint8) func(*ledgerclient.LinkDeposit) {
	return func(d *ledgerclient.LinkDeposit) {
		p := ledgerclient.LinkPasscode{Attempts: attempts, Salt: [16]byte{1, 2, 3}}
		p.Hash = [32]byte(argon2.IDKey([]byte(passcode), p.Salt[:], 2, 19_456, 1, 32))
		d.Passcode = p
	}
}

func (w *world) manifest(l *linked, fields string) reply {
	w.t.Helper()
	return w.post(l.path(), []byte(`{"recipient":"Dr A"`+fields+`}`), "Content-Type", "application/json; charset=utf-8")
}

func TestLinkPasscode(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	l := w.link(withPasscode("h\u00f6hle 7", 3))
	w.keep(l)
	wrong := func(what string, left int, r reply) {
		t.Helper()
		if r.status != http.StatusUnauthorized || string(r.body) != fmt.Sprintf(`{"remainingAttempts":%d}`, left) || r.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	wrong("another", 2, w.manifest(l, `,"passcode":"hohle 7"`))
	for what, fields := range map[string]string{"composed": `h\u00f6hle 7`, "in pieces": `ho\u0308hle 7`} {
		var m manifest
		w.must(json.Unmarshal(w.ok(w.manifest(l, `,"passcode":"`+fields+`","reason":"a fall"`)), &m))
		if len(m.Files) != 1 || m.Files[0].ContentType != "application/fhir+json" || m.Files[0].Embedded != l.jwe || m.Files[0].Location != "" {
			t.Errorf("%s: %+v", what, m)
		}
	}
	w.shut("without a passcode", w.visit(l, "Dr B", ""))
	w.says("one try and two places", l, ledgerclient.LinkActive, 1, 2, "wrong-passcode Dr A ", "opened Dr A a fall", "opened Dr A a fall")
	wrong("none", 1, w.manifest(l, ``))
	wrong("the last", 0, w.manifest(l, `,"passcode":"x"`))
	w.shut("the right one, too late", w.manifest(l, `,"passcode":"h\u00f6hle 7"`))
	if a := w.became(l); a.State != ledgerclient.LinkLocked || a.Left != 1 || a.Attempts != 0 {
		t.Errorf("%+v", a)
	}
	w.restart(takesLinks(nil))
	w.shut("after a restart", w.manifest(l, `,"passcode":"h\u00f6hle 7"`))

	for what, body := range map[string]string{"no JSON": "{", "nobody": `{"recipient":" ","passcode":"x"}`, "a list": "[]"} {
		w.refused(what, w.post(l.path(), []byte(body), "Content-Type", "application/json"), node.KindMalformed)
	}
	w.refused("of another type", w.post(l.path(), []byte(`{"recipient":"x"}`), "Content-Type", "text/plain"), node.KindMalformed)
}

// TestLinkPasscodeCrowd: who tries many at once gets no more tries.
func TestLinkPasscodeCrowd(t *testing.T) {
	w := newWorld(t, takesCrowds)
	l := w.link(withPasscode("right", 5))
	w.keep(l)
	var mu sync.Mutex
	got := map[int]int{}
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			resp, err := w.http.Client().Post(w.http.URL+l.path(), "application/json", strings.NewReader(`{"recipient":"x","passcode":"guess"}`))
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			got[resp.StatusCode]++
		})
	}
	all.Wait()
	if got[http.StatusUnauthorized] < 1 || got[http.StatusUnauthorized] > 5 || got[http.StatusOK] > 0 || got[http.StatusUnauthorized]+got[http.StatusNotFound]+got[http.StatusServiceUnavailable] != 40 {
		t.Errorf("%v", got)
	}
}

// TestLinkPasscodesAtOnce: no more passcodes are hashed at once than there is memory for; who
// waits for a turn has used a try already.
func TestLinkPasscodesAtOnce(t *testing.T) {
	w := newWorld(t, takesCrowds)
	l := w.link(withPasscode("right", 5))
	w.keep(l)
	if most := cap(w.server.links.hashing) * argonKiB; most > 64<<10 {
		t.Errorf("%d KiB at once", most)
	}
	for range cap(w.server.links.hashing) {
		w.server.links.hashing <- struct{}{}
	}
	answered := make(chan int, 1)
	go func() {
		resp, err := w.http.Client().Post(w.http.URL+l.path(), "application/json", strings.NewReader(`{"recipient":"x","passcode":"right"}`))
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	for w.became(l).Attempts != 4 {
		runtime.Gosched()
	}
	select {
	case status := <-answered:
		t.Fatalf("answered with %d while there was no memory", status)
	default:
	}
	<-w.server.links.hashing
	if status := <-answered; status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if a := w.became(l); a.Attempts != 5 || a.Left != 2 {
		t.Errorf("%+v", a)
	}
}

// TestLinkWords: those of somebody who did not know the passcode do not come onto the ledger
// with an opening of somebody who did.
func TestLinkWords(t *testing.T) {
	var notes []LinkNote
	w := newWorld(t, takesLinks(&notes))
	l := w.link(withPasscode("right", 5))
	w.keep(l)
	try := func(by, passcode string, status int) {
		t.Helper()
		if r := w.post(l.path(), []byte(`{"recipient":"`+by+`","passcode":"`+passcode+`"}`), "Content-Type", "application/json"); r.status != status {
			t.Errorf("%s: %d %s", by, r.status, r.body)
		}
	}
	try("Mallory", "guess", http.StatusUnauthorized)
	if len(notes) != 0 || w.accesses() != 0 {
		t.Errorf("for a wrong passcode: %+v", notes)
	}
	try("Dr A", "right", http.StatusOK)
	try("Mallory", "guess", http.StatusUnauthorized)
	w.restart(takesLinks(&notes))
	try("Dr B", "right", http.StatusOK)
	if len(notes) != 1 || notes[0].By != "Dr A" || w.accesses() != 1 {
		t.Errorf("%d accesses, %+v", w.accesses(), notes)
	}
	w.clock.pass(time.Hour)
	try("Dr C", "right", http.StatusOK)
	if len(notes) != 2 || notes[1].By != "Dr C" || w.accesses() != 2 {
		t.Errorf("%d accesses, %+v", w.accesses(), notes)
	}
	w.says("all of them", l, ledgerclient.LinkExhausted, 0, 3,
		"wrong-passcode Mallory ", "opened Dr A ", "wrong-passcode Mallory ", "opened Dr B ", "opened Dr C ")
}

// TestLinkRoom: where there is no room for what was opened, or on the disk, nothing is given
// and no place is used.
func TestLinkRoom(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	l := w.link(withPasscode("x", 5))
	w.keep(l)
	w.server.links.bytes = linkRoom // others' files wait
	r := w.manifest(l, `,"passcode":"x","embeddedLengthMax":100`)
	w.refused("no room to wait in", r, node.KindBusy)
	w.says("no room to wait in", l, ledgerclient.LinkActive, 3, 5)
	w.server.links.bytes = 0
	w.ok(w.manifest(l, `,"passcode":"x","embeddedLengthMax":100`))

	free := w.server.disk.free
	w.server.disk.free = func(string) (free, all space, ok bool) { return space{1 << 20, 1 << 20}, space{1 << 40, 1 << 20}, true }
	w.refused("a full disk", w.manifest(l, `,"passcode":"x"`), node.KindFull)
	w.server.disk.free = free
	w.says("a full disk", l, ledgerclient.LinkActive, 2, 5, "opened Dr A ")
}

// TestLinkRates: how often one address asks for links, those too that there are not, and how
// often one link is asked for.
func TestLinkRates(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		takesLinks(nil)(o)
		o.Limits.Links, o.Limits.Link = Rate{0.001, 5}, Rate{0.001, 3}
		o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	l := w.link(func(d *ledgerclient.LinkDeposit) { d.Openings = 10 })
	w.keep(l)
	tooMany := func(what string, r reply) {
		t.Helper()
		if w.refused(what, r, node.KindTooMany); r.header.Get("Access-Control-Allow-Origin") != "*" || r.header.Get("Retry-After") == "" {
			t.Errorf("%s: %v", what, r.header)
		}
	}
	w.asks = "198.51.100.1"
	for range 5 {
		w.shut("a guess", w.get(node.PathLink+crypto.NewEntropy().Root().Seed(w.ledger, crypto.NewNonce()).LinkID().Encode()+"?recipient=x"))
	}
	tooMany("another guess", w.visit(l, "Dr A", ""))
	w.ok(w.get(node.PathCheckpoint)) // all else it may
	for i := range 3 {
		w.asks = fmt.Sprintf("198.51.100.%d", i+2)
		w.opens("one of each address", l, w.visit(l, "Dr A", ""))
	}
	w.asks = "198.51.100.9"
	tooMany("the link", w.visit(l, "Dr A", ""))
	other := w.link(nil)
	w.keep(other)
	w.opens("another link", other, w.visit(other, "Dr A", ""))
}

// TestLinkReplay: nothing that was sent before brings a place back, or the link.
func TestLinkReplay(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	l, locked, revoked := w.link(nil), w.link(withPasscode("right", 1)), w.link(nil)
	for _, l := range []*linked{l, locked, revoked} {
		w.keep(l)
	}
	for range 3 {
		w.opens("the same once more", l, w.visit(l, "Dr A", ""))
	}
	w.shut("the same too often", w.visit(l, "Dr A", ""))
	w.manifest(locked, `,"passcode":"wrong"`)
	w.order(w.revocation(revoked.given))
	for range 2 {
		for _, l := range []*linked{l, locked} {
			w.ok(w.post(node.PathLinks, ledgerclient.Marshal(&l.deposit)))
		}
		w.refused("a deposit of what was revoked", w.post(node.PathLinks, ledgerclient.Marshal(&revoked.deposit)), node.KindKeeper)
		w.shut("after its deposit once more", w.visit(l, "Dr A", ""))
		w.shut("after its deposit once more, with a passcode", w.manifest(locked, `,"passcode":"right"`))
		w.shut("revoked", w.visit(revoked, "Dr A", ""))
		w.server.sweepLinks(ctx)
	}
	if w.onDisk(locked.deposit.File) || w.onDisk(revoked.deposit.File) {
		t.Error("a deposit brought back what was erased")
	}
}

// TestLinkOrigins: pages of others may ask what is behind /s/, and nothing else.
func TestLinkOrigins(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	asked := 0
	for path := range w.server.routes {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions, http.MethodDelete} {
			r := w.ask(method, path, nil, "Origin", "https://viewer.example", "Access-Control-Request-Method", "POST")
			for name := range r.header {
				if may := strings.HasPrefix(name, "Access-Control-"); may && path != node.PathLink {
					t.Errorf("%s %s: %s", method, path, name)
				}
			}
			if path == node.PathLink && r.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s %s: %v", method, path, r.header)
			}
			asked++
		}
	}
	if asked < 80 {
		t.Errorf("%d were asked", asked)
	}
	for _, path := range []string{"/s", "/", "/view/", "/sx", "//s/x"} {
		if r := w.get(path); r.status != http.StatusNotFound || r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", path, r.status, r.header)
		}
	}
}

// TestLinkLocation: who takes less than the file gets a place to fetch it from, once.
func TestLinkLocation(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	l, other := w.link(withPasscode("x", 5)), w.link(nil)
	w.keep(l)
	w.keep(other)
	location := func() string {
		var m manifest
		w.must(json.Unmarshal(w.ok(w.manifest(l, `,"passcode":"x","embeddedLengthMax":100`)), &m))
		if len(m.Files) != 1 || m.Files[0].Embedded != "" || !strings.HasPrefix(m.Files[0].Location, linkSite+l.path()+"/") {
			t.Fatalf("%+v", m)
		}
		return strings.TrimPrefix(m.Files[0].Location, linkSite)
	}
	at := location()
	w.shut("under another link", w.get(strings.Replace(at, l.id.Encode(), other.id.Encode(), 1)))
	// HEAD takes nothing, and is told all that GET would be.
	if r := w.ask(http.MethodHead, at, nil); r.status != http.StatusOK || r.header.Get("Content-Length") != strconv.Itoa(len(l.jwe)) || r.header.Get("Content-Type") != "application/jose" {
		t.Errorf("HEAD of a location: %d %v", r.status, r.header)
	}
	w.opens("once", l, w.get(at))
	w.shut("twice", w.get(at))
	late := location()
	w.clock.pass(linkTime)
	w.shut("late", w.get(late))
	last := location()
	w.says("its places are used up", l, ledgerclient.LinkExhausted, 0, 5, "opened Dr A ", "opened Dr A ", "opened Dr A ")
	w.opens("of the last place", l, w.get(last))

	l = w.link(withPasscode("x", 5))
	w.keep(l)
	revoked := location()
	w.order(w.revocation(l.given))
	w.shut("revoked since", w.get(revoked))
}

// TestLinkEnds: a revocation ends a link at once, also one that is not ordered yet, and what
// is behind it is overwritten.
func TestLinkEnds(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	revoked, stopped, over, stays := w.link(nil), w.link(nil), w.link(func(d *ledgerclient.LinkDeposit) { d.End = testHour + 2 }), w.link(nil)
	for _, l := range []*linked{revoked, stopped, over, stays} {
		w.keep(l)
		w.opens("before", l, w.visit(l, "Dr A", ""))
		if !w.onDisk(l.deposit.File) {
			t.Fatal("what is behind the link is not on the disk")
		}
	}
	w.order(w.revocation(revoked.given))
	w.shut("revoked", w.visit(revoked, "Dr A", ""))
	w.ok(w.post(node.PathRevoke, node.EntriesForm.Marshal([]contract.Entry{w.revocation(stopped.given)})))
	w.shut("stopped", w.visit(stopped, "Dr A", ""))
	w.clock.pass(2 * time.Hour)
	w.shut("over", w.visit(over, "Dr A", ""))
	w.says("revoked", revoked, ledgerclient.LinkEnded, 2, 0, "opened Dr A ", "refused Dr A ")
	w.opens("the other", stays, w.visit(stays, "Dr A", ""))
	w.server.sweepLinks(ctx)
	for what, l := range map[string]*linked{"revoked": revoked, "stopped": stopped, "over": over} {
		if w.onDisk(l.deposit.File) {
			t.Errorf("%s: what was behind it is on the disk", what)
		}
	}
	w.opens("the other, after the sweep", stays, w.visit(stays, "Dr A", ""))
	w.restart(takesLinks(nil))
	w.says("revoked, after a restart", revoked, ledgerclient.LinkEnded, 2, 0, "opened Dr A ", "refused Dr A ")
}

// onDisk reports whether bytes are in a file of the node.
func (w *world) onDisk(b []byte) (found bool) {
	w.t.Helper()
	w.must(filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		found = found || bytes.Contains(raw, b)
		return err
	}))
	return found
}

// TestLinkCount is durable before anything is given, and is not taken back with a file that
// is older than the ledger.
func TestLinkCount(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	l := w.link(nil)
	w.keep(l)
	before := filepath.Join(t.TempDir(), "links")
	w.must(os.CopyFS(before, os.DirFS(filepath.Join(w.dir, "keeper", "links"))))
	w.opens("first", l, w.visit(l, "Dr A", ""))
	w.restart(takesLinks(nil))
	w.says("after a restart", l, ledgerclient.LinkActive, 2, 0, "opened Dr A ")
	w.opens("second, in the same hour", l, w.visit(l, "Dr B", ""))
	if n := w.accesses(); n != 1 {
		t.Errorf("%d accesses", n)
	}

	w.http.Close()
	w.server.Close()
	w.must(w.folder.Close())
	w.must(os.RemoveAll(filepath.Join(w.dir, "keeper", "links")))
	w.must(os.CopyFS(filepath.Join(w.dir, "keeper", "links"), os.DirFS(before)))
	w.start(takesLinks(nil))
	var log bytes.Buffer
	w.server.log = slog.New(slog.NewTextHandler(&log, nil))
	w.shut("with a count that is older than the ledger", w.visit(l, "Dr C", ""))
	w.says("with a count that is older than the ledger", l, ledgerclient.LinkEnded, 3, 0, "refused Dr C ")
	// Anybody who has the link can come as often as they like: it is an error once.
	w.shut("again", w.visit(l, "Dr D", ""))
	if n := strings.Count(log.String(), "older than the ledger"); n != 1 {
		t.Errorf("%d lines: %s", n, log.String())
	}
}

// TestLinkSnapshot says what holds of a count that was put back within the hour: openings of
// that hour share an access, so that the ledger does not show it. Who puts it back gives the
// places since anew, and no more than those; what leaves an access since ends the link.
func TestLinkSnapshot(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	l := w.link(nil)
	w.keep(l)
	w.opens("first", l, w.visit(l, "Dr A", ""))
	before := filepath.Join(t.TempDir(), "links")
	kept := filepath.Join(w.dir, "keeper", "links")
	w.must(os.CopyFS(before, os.DirFS(kept)))
	back := func() {
		t.Helper()
		w.http.Close()
		w.server.Close()
		w.must(w.folder.Close())
		w.must(os.RemoveAll(kept))
		w.must(os.CopyFS(kept, os.DirFS(before)))
		w.start(takesLinks(nil))
	}
	w.opens("second", l, w.visit(l, "Dr B", ""))
	back()
	w.says("put back", l, ledgerclient.LinkActive, 2, 0, "opened Dr A ")
	w.opens("second, again", l, w.visit(l, "Dr C", ""))
	w.clock.pass(time.Hour)
	w.opens("third", l, w.visit(l, "Dr D", ""))
	w.shut("a fourth", w.visit(l, "Dr E", ""))
	if n := w.accesses(); n != 2 {
		t.Errorf("%d accesses", n)
	}
	back()
	w.shut("put back behind an access", w.visit(l, "Dr F", ""))
	w.says("put back behind an access", l, ledgerclient.LinkEnded, 2, 0, "opened Dr A ", "refused Dr F ")
}

// TestLinkCountDamaged: where it cannot be read how often a link was opened, it is opened no
// more, its share still goes to nobody, and the node serves all else.
func TestLinkCountDamaged(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	l := w.link(nil)
	w.keep(l)
	w.opens("before", l, w.visit(l, "Dr Who was here", ""))
	w.http.Close()
	w.server.Close()
	w.must(w.folder.Close())
	files, err := filepath.Glob(filepath.Join(w.dir, "keeper", "links", "*"))
	w.must(err)
	hit := false
	for _, file := range files {
		b, err := os.ReadFile(file)
		w.must(err)
		if at := bytes.Index(b, []byte("Dr Who was here")); at >= 0 {
			b[at]++
			hit = true
			w.must(os.WriteFile(file, b, 0o600))
		}
	}
	if !hit {
		t.Fatal("the step is not there")
	}
	w.start(takesLinks(nil))
	w.shut("damaged", w.visit(l, "Dr B", ""))
	access, put := w.access(l.given)
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal([]ledgerclient.Put{put})))
	r, _ := w.request(l.given, access)
	w.refused("by itself", w.post(node.PathRelease, ledgerclient.Marshal(&r)), node.KindKeeper)
	w.ok(w.get(node.PathCheckpoint))
}

// TestLinkDaily: a link for emergencies has its places each day anew.
func TestLinkDaily(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	l := w.link(func(d *ledgerclient.LinkDeposit) { d.Daily, d.Openings = true, 1 })
	w.keep(l)
	w.opens("first", l, w.visit(l, "Dr A", ""))
	w.shut("second", w.visit(l, "Dr B", ""))
	w.clock.pass(24 * time.Hour)
	w.opens("the next day", l, w.visit(l, "Dr C", ""))
	w.restart(takesLinks(nil))
	w.shut("after a restart", w.visit(l, "Dr D", ""))
}

// TestLinkKeysOpenNothing: whoever has a link can compute the keys of its wallet, and gets the
// share with them from nobody: no passcode would be asked for and nothing counted.
func TestLinkKeysOpenNothing(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	l := w.link(withPasscode("right", 5))
	w.keep(l)
	access, put := w.access(l.given)
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal([]ledgerclient.Put{put})))
	w.order(access)
	r, _ := w.request(l.given, access)
	w.refused("by itself", w.post(node.PathRelease, ledgerclient.Marshal(&r)), node.KindKeeper)
	w.restart(takesLinks(nil))
	w.refused("after a restart", w.post(node.PathRelease, ledgerclient.Marshal(&r)), node.KindKeeper)
	w.restart(nil)
	w.refused("at a node that takes no more", w.post(node.PathRelease, ledgerclient.Marshal(&r)), node.KindKeeper)
	w.restart(takesLinks(nil))
	// An access that the node has not counted ends the link.
	w.shut("after that", w.manifest(l, `,"passcode":"right"`))

	other := w.grant()
	w.give(other)
	access, put = w.access(other)
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal([]ledgerclient.Put{put})))
	w.order(access)
	r, _ = w.request(other, access)
	if a := w.release(&r); a.Code != ledgerclient.Released {
		t.Errorf("of a grant that is no link: %s", a.Code)
	}
}

// TestLinkDeposits that are not taken.
func TestLinkDeposits(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	keeperSays := func(what string, code ledgerclient.Code, d ledgerclient.LinkDeposit) {
		t.Helper()
		if p := w.refused(what, w.post(node.PathLinks, ledgerclient.Marshal(&d)), node.KindKeeper); p.Keeper != nil && p.Keeper.Code != code {
			t.Errorf("%s: %s, not %s", what, p.Keeper.Code, code)
		}
	}
	l := w.link(nil)
	keeperSays("no grant", ledgerclient.UnknownGrant, l.deposit)
	w.ok(w.post(node.PathBlobs, node.PutsForm.Marshal(l.puts)))
	w.order(l.entry)
	keeperSays("no share", ledgerclient.NoShare, l.deposit)
	share := w.deposit(l.given)
	w.ok(w.post(node.PathDeposit, node.DepositsForm.Marshal([]ledgerclient.Deposit{share})))
	for what, c := range map[string]struct {
		code   ledgerclient.Code
		change func(*ledgerclient.LinkDeposit)
	}{
		"keeper":           {ledgerclient.BadRequest, func(d *ledgerclient.LinkDeposit) { d.Keeper = crypto.GenerateKey().Public() }},
		"package":          {ledgerclient.BadRequest, func(d *ledgerclient.LinkDeposit) { d.Package = w.grant().pkg.Marshal() }},
		"no file":          {ledgerclient.BadRequest, func(d *ledgerclient.LinkDeposit) { d.File = nil }},
		"behind its grant": {ledgerclient.BadRequest, func(d *ledgerclient.LinkDeposit) { d.End = l.entry.NotAfter + 1 }},
		"over":             {ledgerclient.Expired, func(d *ledgerclient.LinkDeposit) { d.End = testHour }},
	} {
		d := l.deposit
		c.change(&d)
		ledgerclient.Sign(&d, l.key)
		keeperSays(what, c.code, d)
	}
	forged := l.deposit
	ledgerclient.Sign(&forged, crypto.GenerateKey())
	keeperSays("another's signature", ledgerclient.WrongKey, forged)
	first := w.ok(w.post(node.PathLinks, ledgerclient.Marshal(&l.deposit)))
	if again := w.ok(w.post(node.PathLinks, ledgerclient.Marshal(&l.deposit))); !bytes.Equal(again, first) {
		t.Error("the same deposit has another receipt")
	}
	other := l.deposit
	other.Openings = 1000
	ledgerclient.Sign(&other, l.key)
	keeperSays("another for the same grant", ledgerclient.BadRequest, other)
	second := w.link(func(d *ledgerclient.LinkDeposit) { d.Name = l.deposit.Name })
	w.give(second.given)
	keeperSays("another of the same name", ledgerclient.BadRequest, second.deposit)
	long := w.link(func(d *ledgerclient.LinkDeposit) { d.End = testHour + linkHours + 1 })
	w.refused("for too long", w.post(node.PathLinks, ledgerclient.Marshal(&long.deposit)), node.KindMalformed)

	q := ledgerclient.Inquiry{Ledger: w.ledger, Keeper: w.keeper, Grant: l.given.id}
	q.SignLink(crypto.GenerateKey())
	w.refused("another's question", w.post(node.PathLinkInquire, ledgerclient.Marshal(&q)), node.KindKeeper)

	closed := newWorld(t, func(o *Options) {
		takesLinks(nil)(o)
		o.Closed = true
	})
	closed.refused("without a token", closed.post(node.PathLinks, ledgerclient.Marshal(&l.deposit)), node.KindToken)
	none := newWorld(t, nil)
	none.refused("at a node without links", none.post(node.PathLinks, ledgerclient.Marshal(&l.deposit)), node.KindNotFound)
}

// TestLinkAtRest: nothing of what is on the node's disk, in its log or its metrics opens a
// link or says who opened one to somebody who reads the log.
func TestLinkAtRest(t *testing.T) {
	var logged bytes.Buffer
	var mu sync.Mutex
	write := func(o *Options) {
		takesLinks(nil)(o)
		o.Log = slog.New(slog.NewTextHandler(lockedWriter{&mu, &logged}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	w := newWorld(t, write)
	l := w.link(withPasscode("a passcode", 5))
	w.keep(l)
	w.ok(w.manifest(l, `,"passcode":"a passcode","reason":"why it is opened"`))
	w.manifest(l, `,"passcode":"another"`)
	w.get(l.path() + "?recipient=somebody")
	w.get(node.PathLink + l.id.Encode()[:42] + "?recipient=somebody")
	kept := filepath.Join(w.dir, "keeper", "links")
	w.must(os.Rename(kept, kept+".away"))
	w.must(os.WriteFile(kept, nil, 0o600)) // nothing more can be taken down
	w.refused("no place can be taken", w.manifest(l, `,"passcode":"a passcode","reason":"why it is opened"`), node.KindFailed)
	w.must(os.Remove(kept))
	w.must(os.Rename(kept+".away", kept))
	id := l.id.Encode()
	raw, err := base64.RawURLEncoding.DecodeString(id)
	w.must(err)
	for what, b := range map[string][]byte{"id": []byte(id), "id in bytes": raw, "passcode": []byte("a passcode"), "what is behind it": []byte(l.jwe[:200])} {
		if w.onDisk(b) {
			t.Errorf("%s is on the disk", what)
		}
	}
	// All that is there is a name and a locked file: neither of them is a key of the other.
	if _, err := l.lock.OpenLinkFile(w.ledger, crypto.Hash(w.grant().id), l.deposit.File); err == nil {
		t.Error("a file opens under another grant")
	}
	scrape := httptest.NewRecorder()
	w.server.Operator().ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	metrics := scrape.Body.String()
	mu.Lock()
	defer mu.Unlock()
	for _, secret := range []string{id, id[:42], "somebody", "Dr A", "why it is opened", "passcode", fmt.Sprint(l.given.id), fmt.Sprintf("%x", l.deposit.Name)} {
		if strings.Contains(logged.String(), secret) || strings.Contains(metrics, secret) {
			t.Errorf("%q is in the log or in the metrics", secret)
		}
	}
	for _, wrote := range []string{"route=link ", "level=ERROR"} {
		if !strings.Contains(logged.String(), wrote) {
			t.Errorf("%s was not logged", wrote)
		}
	}
}

// TestLinkDisk: whoever has the node's disk, its keeper's shares among what is there, gets a
// file out of it that is still locked. No 32 bytes on the disk are the link's key, or its id.
func TestLinkDisk(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	l := w.link(withPasscode("a passcode", 5))
	w.fill(l, []byte(`{"resourceType":"Basic"}`))
	w.keep(l)
	w.ok(w.manifest(l, `,"passcode":"a passcode"`))
	jwe, err := l.lock.OpenLinkFile(w.ledger, crypto.Hash(l.given.id), l.deposit.File)
	if err != nil || string(jwe) != l.jwe {
		t.Fatal("the lock's key does not open what the node keeps", err)
	}
	parts := strings.Split(l.jwe, ".")
	raw := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		w.must(err)
		return b
	}
	iv, sealed := raw(parts[2]), append(raw(parts[3]), raw(parts[4])...)
	opens := func(key [32]byte) bool {
		text := base64.RawURLEncoding.EncodeToString(key[:])
		k, err := crypto.ParseLinkKey(text)
		w.must(err)
		id, err := crypto.ParseLinkID(text)
		w.must(err)
		_, err = k.Cipher().Open(nil, iv, sealed, []byte(parts[0]))
		return err == nil || id.Name(w.ledger) == l.deposit.Name
	}
	if !opens([32]byte(raw(l.secret.Encode()))) || !opens([32]byte(raw(l.id.Encode()))) {
		t.Fatal("what opens the link does not")
	}
	tried := map[[32]byte]bool{}
	w.must(filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for at := 0; at+32 <= len(b); at += lane.Pick(1, 1, 8) {
			if key := [32]byte(b[at:]); !tried[key] {
				tried[key] = true
				if opens(key) {
					t.Fatalf("%s has what opens the link", path)
				}
			}
		}
		return err
	}))
	if len(tried) < 500 {
		t.Errorf("%d were tried", len(tried))
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func TestLinkTerms(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	var got ledgerclient.LinkTerms
	w.must(json.Unmarshal(w.ok(w.get(node.PathLinks)), &got))
	if want := (ledgerclient.LinkTerms{URL: linkSite, Page: ViewPageHash(), Limit: ledgerclient.MaxLinkFile, Hours: linkHours, Openings: ledgerclient.MaxLinkOpenings}); got != want {
		t.Errorf("%+v", got)
	}
	none := newWorld(t, nil)
	none.refused("no links", none.get(node.PathLinks), node.KindNotFound)
	none.refused("no links", none.get(node.PathLink+strings.Repeat("A", 43)+"?recipient=x"), node.KindNotFound)
}
