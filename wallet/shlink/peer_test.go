package shlink

import (
	"encoding/json"
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

// What kill-the-clipboard makes is opened: a file, and a manifest with a passcode.
func TestPeer(t *testing.T) {
	dir := os.Getenv("CAREKEY_NODE")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "kill-the-clipboard")); dir == "" || err != nil {
		why := "CAREKEY_NODE names no folder with the packages of testdata/node (npm ci over a copy of its package.json and package-lock.json)"
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
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
	script, err := os.Open("../../testdata/node/shl.mjs")
	if err != nil {
		t.Fatal(err)
	}
	defer script.Close()
	node := exec.Command("node", "--input-type=module", "-", "make", s.URL)
	var talk strings.Builder
	node.Dir, node.Stdin, node.Stderr = dir, script, &talk
	out, err := node.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, talk.String())
	}
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
