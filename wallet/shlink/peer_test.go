package shlink

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// needPeer skips a test where kill-the-clipboard is not.
func needPeer(t *testing.T) {
	t.Helper()
	dir := os.Getenv("CAREKEY_NODE")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "kill-the-clipboard")); dir == "" || err != nil {
		why := "CAREKEY_NODE names no folder with the packages of testdata/node (npm ci over a copy of its package.json and package-lock.json)"
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
}

// peer runs shl.mjs.
func peer(t *testing.T, env []string, args ...string) []byte {
	t.Helper()
	script, err := os.Open("../../testdata/node/shl.mjs")
	if err != nil {
		t.Fatal(err)
	}
	defer script.Close()
	node := exec.Command("node", append([]string{"--input-type=module", "-"}, args...)...)
	var talk strings.Builder
	node.Dir, node.Stdin, node.Stderr, node.Env = os.Getenv("CAREKEY_NODE"), script, &talk, append(os.Environ(), env...)
	out, err := node.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, talk.String())
	}
	return out
}

// What is made here kill-the-clipboard opens: a file, filled up as it is, and behind a
// passcode.
func TestPeerOpens(t *testing.T) {
	needPeer(t)
	deflated, err := Deflate([]byte(patient))
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := Seal(parsed(t, Made{URL: goodURL, Key: goodKey}.Text()).aead, [12]byte{7}, deflated)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var said struct{ Recipient, Passcode string }
		switch b, _ := io.ReadAll(r.Body); {
		case r.Method == http.MethodGet && r.URL.Query().Get("recipient") == "Dr Smith":
			w.Header().Set("Content-Type", "application/jose")
			w.Write(jwe)
		case r.Method == http.MethodPost && json.Unmarshal(b, &said) == nil && said.Recipient == "Dr Smith" && said.Passcode == "1234":
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(map[string]any{"files": []map[string]string{{"contentType": TypeFHIR, "embedded": string(jwe)}}})
		default:
			t.Errorf("%s %s %s", r.Method, r.URL, b)
		}
	})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []string{"U", "P"} {
		m := Made{URL: s.URL + "/s/" + goodKey, Key: goodKey, Flags: flags, Until: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), Label: "é"}
		args := []string{"open", m.Text(), "Dr Smith"}
		if flags == "P" {
			args = append(args, "1234")
		}
		var got []map[string]any
		if err := json.Unmarshal(peer(t, []string{"NODE_EXTRA_CA_CERTS=" + ca}, args...), &got); err != nil || len(got) != 1 || got[0]["id"] != "p" {
			t.Errorf("%s: %v, %v", flags, got, err)
		}
	}
}

// What kill-the-clipboard makes is opened: a file, and a manifest with a passcode.
func TestPeer(t *testing.T) {
	needPeer(t)
	var made struct {
		Direct   struct{ Link, File string }
		Manifest struct {
			Link     string
			Files    map[string]string
			Manifest json.RawMessage
		}
	}
	pathOf := func(link string) string {
		at, err := url.Parse(parsed(t, link).URL())
		if err != nil {
			t.Fatal(err)
		}
		return at.Path
	}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		file, ok := made.Manifest.Files[r.URL.Path]
		switch {
		case r.URL.Path == pathOf(made.Direct.Link) && r.URL.Query().Get("recipient") == "Dr Smith":
			io.WriteString(w, made.Direct.File)
		case r.URL.Path == pathOf(made.Manifest.Link) && r.Method == http.MethodPost:
			w.Write(made.Manifest.Manifest)
		case ok:
			io.WriteString(w, file)
		default:
			t.Errorf("%s %s", r.Method, r.URL)
		}
	})
	out := peer(t, nil, "make", s.URL)
	if err := json.Unmarshal(out, &made); err != nil {
		t.Fatal(err)
	}

	direct := parsed(t, made.Direct.Link)
	if direct.Label != "One file" || !direct.Until.Equal(time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)) || direct.Flags != "U" {
		t.Errorf("%q %v %q", direct.Label, direct.Until, direct.Flags)
	}
	files, err := s.files(t, direct, Answers{Recipient: "Dr Smith"})
	if err != nil || len(files) != 1 || files[0].Type != TypeFHIR || !strings.Contains(string(files[0].Body), `"Ann Example"`) {
		t.Errorf("%+v, %v", files, err)
	}
	listed := parsed(t, made.Manifest.Link)
	if listed.Flags != "LP" {
		t.Error(listed.Flags)
	}
	files, err = s.files(t, listed, Answers{Recipient: "Dr Smith", Passcode: "1234"})
	if err != nil || len(files) != 2 || string(files[0].Body) != string(files[1].Body) || s.asked.Load() != 3 {
		t.Errorf("%+v, %v, asked %d times", files, err, s.asked.Load())
	}
}
