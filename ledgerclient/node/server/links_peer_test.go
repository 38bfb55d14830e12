package server

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient"
)

// peerOpening is what kill-the-clipboard is to open, and how.
type peerOpening struct {
	Link      string `json:"link"`
	Recipient string `json:"recipient"`
	Passcode  string `json:"passcode,omitempty"`
	Embedded  int    `json:"embeddedLengthMax,omitempty"`
}

// peerSays is what became of that: what was opened, or the code of an error.
type peerSays struct {
	Resources []any
	Embedded  []bool
	Error     string
}

// peer has links opened by kill-the-clipboard, which is not ours.
func (w *world) peer(openings ...peerOpening) (said []peerSays) {
	w.t.Helper()
	dir := os.Getenv("CAREKEY_NODE")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "kill-the-clipboard")); dir == "" || err != nil {
		why := "CAREKEY_NODE names no folder with the packages of testdata/node (npm ci over a copy of its package.json and package-lock.json)"
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			w.t.Fatal(why)
		}
		w.t.Skip(why)
	}
	asked, err := json.Marshal(openings)
	w.must(err)
	script, err := os.Open("../../../testdata/node/shl.mjs")
	w.must(err)
	defer script.Close()
	node := exec.Command("node", "--input-type=module", "-", "visit", linkSite, w.http.URL, string(asked))
	var talk strings.Builder
	node.Dir, node.Stdin, node.Stderr = dir, script, &talk
	out, err := node.Output()
	if err != nil {
		w.t.Fatalf("%v: %s", err, talk.String())
	}
	w.must(json.Unmarshal(out, &said))
	if len(said) != len(openings) {
		w.t.Fatalf("%s", out)
	}
	return said
}

// TestLinkPeer: a program of others opens what is behind links, and is told what the
// specification says where it may not.
func TestLinkPeer(t *testing.T) {
	w := newWorld(t, takesLinks(nil))
	file, err := os.ReadFile("../../../testdata/fhir/maria-example.json")
	w.must(err)
	var want any
	w.must(json.Unmarshal(file, &want))
	link := func(change func(*ledgerclient.LinkDeposit)) *linked {
		l := w.link(change)
		w.fill(l, file)
		w.keep(l)
		return l
	}
	direct, locked, revoked := link(nil), link(withPasscode("höhle 7", 3)), link(nil)
	over := link(func(d *ledgerclient.LinkDeposit) { d.End = testHour + 1 })
	later := time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	u := direct.text(linkSite, map[string]any{"flag": "U", "exp": later, "label": "Maria", "v": 1})
	p := locked.text(linkSite, map[string]any{"flag": "P", "exp": later})
	plain := func(l *linked) string { return l.text(linkSite, map[string]any{"flag": "U"}) }

	opened := func(what string, got peerSays, embedded ...bool) {
		t.Helper()
		if got.Error != "" || len(got.Resources) != 1 || !reflect.DeepEqual(got.Resources[0], want) || !reflect.DeepEqual(got.Embedded, embedded) {
			t.Errorf("%s: %q, %d resources, embedded %v", what, got.Error, len(got.Resources), got.Embedded)
		}
	}
	refused := func(what string, got peerSays, code string) {
		t.Helper()
		if got.Error != code || len(got.Resources) != 0 {
			t.Errorf("%s: %q, not %q", what, got.Error, code)
		}
	}
	got := w.peer(peerOpening{u, "Dr A", "", 0}, peerOpening{u, "Dr B", "", 0}, peerOpening{plain(revoked), "Dr A", "", 0}, peerOpening{plain(over), "Dr A", "", 0},
		peerOpening{p, "Dr A", "hohle 7", 0}, peerOpening{p, "Dr A", "höhle 7", 0}, peerOpening{p, "Dr B", "höhle 7", 100}, peerOpening{p, "Dr C", "höhle 7", 1 << 20})
	for i, what := range []string{"a file", "again", "one that is revoked later", "one that ends later"} {
		opened(what, got[i])
	}
	refused("a wrong passcode", got[4], "SHL_INVALID_PASSCODE_ERROR")
	opened("a manifest", got[5], true)
	opened("a manifest with a location", got[6], false)
	opened("a manifest with a file that fits", got[7], true)

	w.order(w.revocation(revoked.given))
	w.clock.pass(time.Hour)
	got = w.peer(peerOpening{u, "Dr C", "", 0}, peerOpening{u, "Dr D", "", 0}, peerOpening{plain(revoked), "Dr A", "", 0}, peerOpening{plain(over), "Dr A", "", 0}, peerOpening{plain(w.link(nil)), "Dr A", "", 0},
		peerOpening{p, "Dr D", "höhle 7", 0}, peerOpening{direct.text(linkSite, map[string]any{"flag": "U", "exp": 1_700_000_000}), "Dr A", "", 0})
	opened("the last of three", got[0])
	for i, what := range []string{"exhausted", "revoked", "over", "unknown"} {
		refused(what, got[1+i], "SHL_NETWORK_ERROR") // its word for a direct file that is 404
	}
	refused("exhausted, with a passcode", got[5], "SHL_MANIFEST_NOT_FOUND_ERROR")
	refused("over by its own word", got[6], "SHL_EXPIRED_ERROR")
	w.says("the node, of the first", direct, ledgerclient.LinkExhausted, 0, 0, "opened Dr A ", "opened Dr B ", "opened Dr C ", "refused Dr D ")

	capped := link(withPasscode("right", 2))
	p = capped.text(linkSite, map[string]any{"flag": "P"})
	got = w.peer(peerOpening{p, "Dr A", "1", 0}, peerOpening{p, "Dr A", "2", 0}, peerOpening{p, "Dr A", "right", 0})
	refused("a first wrong passcode", got[0], "SHL_INVALID_PASSCODE_ERROR")
	refused("the last wrong passcode", got[1], "SHL_INVALID_PASSCODE_ERROR")
	refused("the right one, too late", got[2], "SHL_MANIFEST_NOT_FOUND_ERROR")
}
