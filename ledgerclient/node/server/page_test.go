package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
)

// TestViewPagePolicy: a browser runs what is in the page and nothing else, and fetches
// nothing but from the node itself.
func TestViewPagePolicy(t *testing.T) {
	page := string(viewPage)
	var want []string
	for _, name := range []string{"script", "style"} {
		all := regexp.MustCompile(`(?s)<`+name+`>(.*?)</`+name+`>`).FindAllStringSubmatch(page, -1)
		if len(all) != 1 {
			t.Fatalf("%d of %s", len(all), name)
		}
		sum := sha256.Sum256([]byte(all[0][1]))
		want = append(want, name+"-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	want = append(want, "default-src 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
		"require-trusted-types-for 'script'", "trusted-types 'none'")
	got := strings.Split(viewPolicy, "; ")
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("%q\nnot %q", got, want)
	}
	if ViewPageHash() != crypto.Hash(sha256.Sum256(viewPage)) {
		t.Fatal("the hash is another page's")
	}
	if got := ViewPageHash().String(); got != ledgerclient.KnownPage {
		t.Errorf("wallets know the page %s, and it is %s", ledgerclient.KnownPage, got)
	}
}

// TestViewPageStandsAlone: no attribute of the page runs or fetches anything, what has a
// name for a screen reader has one, and its script makes no page of text.
func TestViewPageStandsAlone(t *testing.T) {
	page := string(viewPage)
	frame := regexp.MustCompile(`(?s)<script>.*?</script>`).ReplaceAllString(page, "")
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(frame, "<!DOCTYPE html>")))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	names := map[string]int{}
	labelled := map[string]bool{}
	var inputs []string
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		names[e.Name.Local]++
		for _, a := range e.Attr {
			switch name := a.Name.Local; {
			case strings.HasPrefix(name, "on"), name == "style", name == "src", name == "href", name == "action", name == "srcset":
				t.Errorf("%s has %s=%q", e.Name.Local, name, a.Value)
			case name == "for":
				labelled[a.Value] = true
			case name == "id" && e.Name.Local == "input":
				inputs = append(inputs, a.Value)
			}
		}
	}
	for _, name := range []string{"header", "main", "footer", "h1"} {
		if names[name] != 1 {
			t.Errorf("%d of %s", names[name], name)
		}
	}
	for _, id := range inputs {
		if !labelled[id] {
			t.Errorf("%s has no label", id)
		}
	}
	if len(inputs) != 3 {
		t.Errorf("%q", inputs)
	}
	for _, no := range []string{"innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "localStorage", "sessionStorage", "indexedDB", "cookie", "XMLHttpRequest", "sendBeacon", "WebSocket", "http-equiv"} {
		if strings.Contains(page, no) {
			t.Errorf("the page has %s", no)
		}
	}
	if n := len(viewPage); n > 100<<10 {
		t.Errorf("%d bytes", n)
	}
}

// TestViewPageSaysWhatTheBrowserKeeps: a browser writes the address of a page, and in that the
// link with its key, into its history before the page runs. Threat: who uses the same computer
// later opens the link, and was told that nothing is kept.
func TestViewPageSaysWhatTheBrowserKeeps(t *testing.T) {
	form, result, ok := strings.Cut(string(viewPage), "</form>")
	for what, part := range map[string]string{"before it is opened": form, "afterwards": result} {
		if !ok || !strings.Contains(part, "history") || !strings.Contains(part, "private window") {
			t.Errorf("%s it is not said what the browser keeps", what)
		}
	}
	for _, no := range []string{"keeps nothing", "does not leave this page", "in no history"} {
		if strings.Contains(string(viewPage), no) {
			t.Errorf("the page says: %s", no)
		}
	}
}

// script runs a part of the page under node, with a program behind it.
func script(t *testing.T, part, program string) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.Command("node", "-e", `"use strict"; const assert = require("assert/strict");`+part+program)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
	}
}

// TestViewPageReadsLinks: links that are not as they should be, and leads to others.
func TestViewPageReadsLinks(t *testing.T) {
	script(t, pageLink, `
const key = "A".repeat(43), id = "b".repeat(43), origin = "https://ledger.example:8443", url = origin + "/s/" + id;
const b64 = (s) => Buffer.from(s).toString("base64url"), of = (o) => "#shlink:/" + b64(typeof o === "string" ? o : JSON.stringify(o));
const good = { url, flag: "U", key, exp: 1796000000, label: "Ada" };
assert.deepEqual({ ...shlink.read(of(good), origin), key: 0 }, { url, key: 0, flags: "U", label: "Ada", exp: 1796000000 });
assert.equal(shlink.read(of({ ...good, flag: "XU", more: [] }), origin).flags, "XU");
for (const exp of [1796000000000, -1, 1.5, "1796000000", null, {}]) assert.equal(shlink.read(of({ ...good, exp }), origin).exp, 0);
assert.equal(shlink.read(of({ ...good, label: "\u202e".repeat(100) }), origin).label.length, 80);
for (const [say, fragment] of Object.entries({
  none: "", other: "#x", "not base64": "#shlink:/!", "not JSON": of("{"), list: of("[]"), nothing: of("null"), "no UTF-8": "#shlink:/" + Buffer.from([0x7b, 0xff, 0x7d]).toString("base64url"),
  "key of 42": of({ ...good, key: key.slice(1) }), "key of 44": of({ ...good, key: key + "A" }), "key of others": of({ ...good, key: "+" + key.slice(1) }), "no key": of({ ...good, key: undefined }),
  "of tomorrow": of({ ...good, v: 2 }), "no url": of({ ...good, url: undefined }), long: of({ ...good, url: url + "b".repeat(80) }),
  elsewhere: of({ ...good, url: url.replace("ledger", "evil") }), "another port": of({ ...good, url: url.replace("8443", "84433") }), user: of({ ...good, url: url.replace("https://", "https://x@") }),
  "another path": of({ ...good, url: url.replace("/s/", "/t/") }), above: of({ ...good, url: url + "/.." }), query: of({ ...good, url: url + "?x" }), short: of({ ...good, url: url.slice(0, -1) }),
})) assert.throws(() => shlink.read(fragment, origin), shlink.Problem, say);
`)
}

// TestViewPageOpens: what is asked, and what of the answers is taken. What was sealed, and
// how, is made by node's own cryptography.
func TestViewPageOpens(t *testing.T) {
	lane.OneGoroutine(t)
	script(t, pageLink, `
const crypt = require("crypto"), zlib = require("zlib"), key = crypt.randomBytes(32);
const b64 = (b) => Buffer.from(b).toString("base64url");
const jwe = (plain, head, k = key) => {
  const protectedHead = b64(JSON.stringify(head)), iv = crypt.randomBytes(12), c = crypt.createCipheriv("aes-256-gcm", k, iv);
  c.setAAD(Buffer.from(protectedHead));
  const sealed = Buffer.concat([c.update(plain), c.final()]);
  return [protectedHead, "", b64(iv), b64(sealed), b64(c.getAuthTag())].join(".");
};
const dir = { alg: "dir", enc: "A256GCM", cty: "application/fhir+json" }, file = Buffer.from('{"resourceType":"Bundle"}' + " ".repeat(5000)), packed = zlib.deflateRawSync(file);
const refused = async (say, jwe) => assert.rejects(shlink.decrypt(jwe, key), shlink.Problem, say);
const url = "https://n.example/s/" + "b".repeat(43), who = { recipient: "Dr A & B, City", reason: "a fall?", passcode: "höhle" };
const answers = (status, body) => ({ status, text: async () => body });
(async () => {
  assert.deepEqual(Buffer.from(await shlink.decrypt(jwe(file, dir), key)), file);
  const good = jwe(packed, { ...dir, zip: "DEF" });
  assert.deepEqual(Buffer.from(await shlink.decrypt(good, key)), file);
  for (let i = 0; i < 5; i++) { // each part
    const parts = good.split("."), at = Math.floor(parts[i].length / 2);
    parts[i] = i === 1 ? "AAAA" : parts[i].slice(0, at) + (parts[i][at] === "A" ? "B" : "A") + parts[i].slice(at + 1);
    await refused("changed " + i, parts.join("."));
  }
  await refused("another key", jwe(packed, { ...dir, zip: "DEF" }, crypt.randomBytes(32)));
  for (const head of [{ ...dir, alg: "A256KW" }, { ...dir, enc: "A128GCM" }, { ...dir, alg: "none" }, { ...dir, zip: "GZ" }, { ...dir, crit: ["x"] }, [], null, "dir"]) await refused(JSON.stringify(head), jwe(packed, head));
  for (const odd of ["", "a", "a.b.c", good + ".x", good.slice(0, -1) + "=", "{}"]) await refused(odd, odd);
  await refused("not packed", jwe(file, { ...dir, zip: "DEF" }));
  await refused("cut short", jwe(packed.subarray(0, packed.length - 4), { ...dir, zip: "DEF" }));
  await refused("a bomb", jwe(zlib.deflateRawSync(Buffer.alloc(shlink.maxFile + 1)), { ...dir, zip: "DEF" }));

  const asked = [];
  const ask = (answer) => async (u, how) => { asked.push([u, how]); return answer; };
  const opens = (flags, answer) => shlink.open({ url, key, flags }, who, ask(answer));
  assert.deepEqual(Buffer.from(await opens("U", answers(200, good))), file);
  const [u, how] = asked.pop();
  assert.equal(u, url + "?recipient=Dr%20A%20%26%20B%2C%20City&reason=a%20fall%3F");
  assert.deepEqual(how, { cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer", mode: "same-origin" });
  assert.deepEqual(Buffer.from(await opens("P", answers(200, JSON.stringify({ files: [{ contentType: "application/fhir+json", embedded: good }] })))), file);
  const [v, post] = asked.pop();
  assert.equal(v, url);
  assert.deepEqual(JSON.parse(post.body), { ...who, embeddedLengthMax: shlink.maxFile });
  assert.equal(post.mode, "same-origin");
  for (const [flags, answer, words] of [
    ["P", answers(401, '{"remainingAttempts":2}'), /Tries left: 2/], ["P", answers(401, '{"remainingAttempts":0}'), /ended for good/], ["P", answers(401, "x"), /passcode is wrong/],
    ["U", answers(404, ""), /opens nothing/], ["U", answers(429, ""), /Wait/], ["U", answers(503, ""), /Wait/], ["U", answers(500, ""), /500/], ["U", answers(200, "x"), /not locked/],
    ["P", answers(200, "{}"), /none that this page knows/], ["P", answers(200, '{"files":[{"location":"https://evil.example"}]}'), /none that this page knows/],
  ]) await assert.rejects(opens(flags, answer), (e) => e instanceof shlink.Problem && words.test(e.message), String(words));
  assert.equal(asked.length, 10);
})().catch((e) => { console.error(e); process.exit(1); });
`)
}

// TestViewPageIsServed with what keeps a browser from storing it or telling of it.
func TestViewPageIsServed(t *testing.T) {
	if none := newWorld(t, nil); none.get(node.PathView).status != http.StatusNotFound {
		t.Error("a node without links serves their page")
	}
	w := newWorld(t, func(o *Options) { o.Links = &Links{URL: "https://ledger.example"} })
	r := w.get(node.PathView)
	if !bytes.Equal(w.ok(r), viewPage) {
		t.Errorf("%.200s", r.body)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": viewPolicy, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin", "Access-Control-Allow-Origin": "", "Set-Cookie": "",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
}

// TestViewPageAsksNoMoreThanIsKept: what is typed is kept whole, whatever letters it has. A
// browser counts units of UTF-16, each at most three bytes of UTF-8.
func TestViewPageAsksNoMoreThanIsKept(t *testing.T) {
	for id, most := range map[string]int{"recipient": ledgerclient.MaxLinkBy, "reason": ledgerclient.MaxLinkReason} {
		m := regexp.MustCompile(`id="` + id + `"[^>]* maxlength="(\d+)"`).FindSubmatch(viewPage)
		if m == nil {
			t.Fatal(id)
		}
		if n, err := strconv.Atoi(string(m[1])); err != nil || n*3 > most {
			t.Errorf("%s: %d units of UTF-16, and %d bytes are kept", id, n, most)
		}
	}
}
