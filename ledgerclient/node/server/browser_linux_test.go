package server

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient"
)

// envBrowser names a Chromium, in which the page for links is opened.
const envBrowser = "CAREKEY_CHROMIUM"

// browser is a headless Chromium, spoken to over a pipe (the DevTools protocol).
type browser struct {
	t       *testing.T
	in      *os.File
	mu      sync.Mutex
	number  int
	answers map[int]chan json.RawMessage
	events  []browserEvent
	session string
	woken   chan struct{}
}

type browserEvent struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

const browserTime = 2 * time.Minute

func newBrowser(t *testing.T, more ...string) *browser {
	t.Helper()
	program := os.Getenv(envBrowser)
	if program == "" {
		t.Skip(envBrowser + " names no Chromium")
	}
	toRead, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, toWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--force-prefers-reduced-motion", "--user-data-dir=" + t.TempDir(), "--remote-debugging-pipe"}, more...)...)
	cmd.ExtraFiles = []*os.File{toRead, toWrite}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	toRead.Close()
	toWrite.Close()
	b := &browser{t: t, in: in, answers: map[int]chan json.RawMessage{}, woken: make(chan struct{}, 1)}
	t.Cleanup(func() {
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	go b.read(bufio.NewReaderSize(out, 1<<20))
	target := b.ask("Target.createTarget", map[string]any{"url": "about:blank"})
	b.session = b.ask("Target.attachToTarget", map[string]any{"targetId": target["targetId"], "flatten": true})["sessionId"].(string)
	for _, domain := range []string{"Page", "Runtime", "Network", "Log", "Accessibility"} {
		b.ask(domain+".enable", nil)
	}
	return b
}

func (b *browser) read(r *bufio.Reader) {
	for {
		raw, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
			browserEvent
		}
		if json.Unmarshal(raw[:len(raw)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		if m.ID != 0 {
			if m.Error != nil {
				m.Result = json.RawMessage(`{"error":` + string(m.Error) + `}`)
			}
			b.answers[m.ID] <- m.Result
		} else {
			b.events = append(b.events, m.browserEvent)
			select {
			case b.woken <- struct{}{}:
			default:
			}
		}
		b.mu.Unlock()
	}
}

// ask asks the browser something and waits for what it says.
func (b *browser) ask(method string, params map[string]any) map[string]any {
	b.t.Helper()
	b.mu.Lock()
	b.number++
	answer := make(chan json.RawMessage, 1)
	b.answers[b.number] = answer
	asked := map[string]any{"id": b.number, "method": method}
	if params != nil {
		asked["params"] = params
	}
	if b.session != "" {
		asked["sessionId"] = b.session
	}
	raw, err := json.Marshal(asked)
	if err == nil {
		_, err = b.in.Write(append(raw, 0))
	}
	b.mu.Unlock()
	if err != nil {
		b.t.Fatal(err)
	}
	select {
	case raw := <-answer:
		var out map[string]any
		if err := json.Unmarshal(raw, &out); err != nil || out["error"] != nil {
			b.t.Fatalf("%s: %s", method, raw)
		}
		return out
	case <-time.After(browserTime):
		b.t.Fatalf("%s: no answer", method)
	}
	return nil
}

// run runs a script in the page and returns what it gives.
func (b *browser) run(script string) any {
	b.t.Helper()
	out := b.ask("Runtime.evaluate", map[string]any{"expression": script, "awaitPromise": true, "returnByValue": true})
	if what := out["exceptionDetails"]; what != nil {
		b.t.Fatalf("%s: %v", script, what)
	}
	return out["result"].(map[string]any)["value"]
}

// until waits for an event of the page.
func (b *browser) until(what, script string) {
	b.t.Helper()
	found := b.run(`new Promise((ok) => {
		const is = () => { if (` + script + `) { ok(true); return true; } return false; };
		if (!is()) { const o = new MutationObserver(() => { if (is()) o.disconnect(); }); o.observe(document, { subtree: true, childList: true, attributes: true, characterData: true }); }
	})`)
	if found != true {
		b.t.Fatalf("%s did not come", what)
	}
}

// of are the events of one kind so far.
func (b *browser) of(method string) (out []json.RawMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Method == method {
			out = append(out, e.Params)
		}
	}
	return out
}

// visit goes to an address and waits until it is there.
func (b *browser) visit(address string) {
	b.t.Helper()
	seen := len(b.of("Page.loadEventFired"))
	b.ask("Page.navigate", map[string]any{"url": address})
	end := time.After(browserTime)
	for len(b.of("Page.loadEventFired")) == seen {
		select {
		case <-b.woken:
		case <-end:
			b.t.Fatal("the page does not load")
		}
	}
}

// TestBrowser opens a link as anybody would: in a browser, under the page's own policy, at
// a server whose certificate an authority vouches for. Nothing is sent before the form is,
// nothing to anybody else, nothing is kept; what is shown can be used by who does not see it
// and on a phone, and is printed.
func TestBrowser(t *testing.T) {
	cert, spki := testCertificate(t)
	b := newBrowser(t, "--ignore-certificate-errors-spki-list="+spki)
	w := newWorld(t, takesLinks(nil))
	secure := httptest.NewUnstartedServer(w.server)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	w.server.opt.Links.URL = secure.URL

	file, err := os.ReadFile("../../../testdata/fhir/maria-example.json")
	w.must(err)
	l := w.link(withPasscode("right", 5))
	w.fill(l, file)
	w.keep(l)
	page := secure.URL + "/view#" + l.text(secure.URL, map[string]any{"flag": "P", "exp": w.clock.now().Add(time.Hour).Unix(), "label": "For\u202e you"})

	b.ask("Emulation.setDeviceMetricsOverride", map[string]any{"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true})
	b.visit(page)
	if b.run(`document.getElementById("form").hidden`) != false || b.run(`document.getElementById("label").textContent`) != "For\ufffd you" {
		t.Fatalf("no form: %v", b.run(`document.body.innerText`))
	}
	b.shot("form")
	fits := func(what string) {
		t.Helper()
		if b.run(`document.documentElement.scrollWidth <= innerWidth`) != true {
			t.Errorf("%s is wider than a phone: %v", what, b.run(`document.documentElement.scrollWidth`))
		}
	}
	fits("the form")
	requests := func() (out []string) {
		for _, raw := range b.of("Network.requestWillBeSent") {
			var e struct {
				Request struct {
					URL, Method string
					Headers     map[string]string
				}
			}
			json.Unmarshal(raw, &e)
			if e.Request.Headers["Referer"] != "" {
				t.Errorf("%s is told where it is asked from: %s", e.Request.URL, e.Request.Headers["Referer"])
			}
			out = append(out, e.Request.Method+" "+e.Request.URL)
		}
		return out
	}
	if got := requests(); !slices.Equal(got, []string{"GET " + secure.URL + "/view"}) {
		t.Errorf("before the form was sent: %q", got)
	}
	if a := w.became(l); len(a.Events) != 0 {
		t.Errorf("before the form was sent: %+v", a.Events)
	}
	fill := func(passcode string) {
		b.run(fmt.Sprintf(`document.getElementById("recipient").value = "Dr A, City"; document.getElementById("reason").value = "a fall"; document.getElementById("passcode").value = %q; document.getElementById("open").click()`, passcode))
	}
	fill("wrong")
	b.until("a refusal", `!document.getElementById("problem").hidden && document.getElementById("busy").textContent === ""`)
	if got := b.run(`document.getElementById("problem").textContent`); got != "The passcode is wrong. Tries left: 4. Wrong tries end the link for good." {
		t.Errorf("%v", got)
	}
	if got := b.run(`location.href`); got != secure.URL+"/view" {
		t.Errorf("the link stays in the address: %v", got)
	}
	fill("right")
	b.until("the view", `!document.getElementById("result").hidden`)
	text, _ := b.run(`document.getElementById("view").innerText`).(string)
	for _, want := range []string{"Μαρία Παράδειγμα", "Allergies", "Interactions not looked for by this page", "This is what the sources say"} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("%q is not in the view:\n%s", want, text)
		}
	}
	if at := b.run(`document.activeElement.id`); at != "heading" {
		t.Errorf("the focus is at %v", at)
	}
	fits("the view")
	b.shot("view")
	saved := b.run(`document.getElementById("save").download + " " + document.getElementById("save").href.slice(0, 5)`)
	if saved != "record.fhir.json blob:" {
		t.Errorf("%v", saved)
	}
	for _, asked := range requests() {
		if !strings.HasPrefix(asked, "GET "+secure.URL+"/view") && asked != "POST "+secure.URL+l.path() && !strings.Contains(asked, " blob:") {
			t.Errorf("asked: %s", asked)
		}
	}
	if kept := b.run(`[localStorage.length, sessionStorage.length, document.cookie, history.length > 2].join()`); kept != "0,0,,false" {
		t.Errorf("kept: %v", kept)
	}
	for _, raw := range append(b.of("Log.entryAdded"), b.of("Runtime.exceptionThrown")...) {
		if s := string(raw); !strings.Contains(s, "401") && !strings.Contains(s, "favicon") && !strings.Contains(s, `"level":"verbose"`) {
			t.Errorf("the browser says: %s", s)
		}
	}

	// What a screen reader has: one heading of the first order, those of persons and sections
	// below, lists, and the landmarks.
	roles := map[string]int{}
	nodes := b.ask("Accessibility.getFullAXTree", nil)["nodes"].([]any)
	for _, n := range nodes {
		node := n.(map[string]any)
		if node["ignored"] == true {
			continue
		}
		role, _ := node["role"].(map[string]any)["value"].(string)
		name := ""
		if v, ok := node["name"].(map[string]any); ok {
			name, _ = v["value"].(string)
		}
		if slices.Contains([]string{"heading", "button", "link"}, role) && name == "" {
			t.Errorf("a %s has no name", role)
		}
		roles[role]++
	}
	for role, least := range map[string]int{"main": 1, "banner": 1, "contentinfo": 1, "heading": 10, "list": 3, "listitem": 4, "button": 1, "link": 1} {
		if roles[role] < least {
			t.Errorf("%d of %s in %v", roles[role], role, roles)
		}
	}

	pdf, err := base64.StdEncoding.DecodeString(b.ask("Page.printToPDF", nil)["data"].(string))
	if err != nil || !bytes.HasPrefix(pdf, []byte("%PDF-")) {
		t.Errorf("it is not printed: %v", err)
	}
	b.ask("Emulation.setEmulatedMedia", map[string]any{"media": "print"})
	if b.run(`getComputedStyle(document.querySelector(".screen")).display`) != "none" {
		t.Error("buttons are printed")
	}

	w.says("the node", l, ledgerclient.LinkActive, 2, 4, "wrong-passcode Dr A, City a fall", "opened Dr A, City a fall")
}

// testCertificate is one for this computer, and what names its key to the browser, which
// trusts that alone.
func testCertificate(t *testing.T) (cert tls.Certificate, spki string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, is, is, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, base64.StdEncoding.EncodeToString(sum[:])
}

// shot takes a picture of the page where CAREKEY_SHOTS says.
func (b *browser) shot(name string) {
	dir := os.Getenv("CAREKEY_SHOTS")
	if dir == "" {
		return
	}
	raw, err := base64.StdEncoding.DecodeString(b.ask("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true})["data"].(string))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), raw, 0o600)
	}
	if err != nil {
		b.t.Error(err)
	}
}
