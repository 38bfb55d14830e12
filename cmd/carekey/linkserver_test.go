package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// linkServerKey is where a script keeps it.
type linkServerKey struct{}

// linkServer serves SMART Health Links of somebody else.
type linkServer struct {
	*httptest.Server
	mu     sync.Mutex
	asked  int
	who    string            // said so last
	direct map[string][]byte // by path
	links  map[string]*manifestOf
}

type manifestOf struct {
	files []map[string]string
	left  int // tries of its passcode, which is 1234
	takes bool
}

// serveLinks: a server of links, on loopback, whose certificate is in a file that
// $SSL_CERT_FILE names.
//
//	linkserver start
//	linkserver give NAME MEMBERS FILE...   sets $NAME to a link that holds the files; MEMBERS are
//	                                       those of its payload beside url and key, '' for none.
//	                                       With P its passcode is 1234. The second file and those
//	                                       behind it are at locations.
//	linkserver end                         all links are over
//	linkserver asked N                     so many requests came since the last time
//	linkserver who TEXT                    and the last one was said to be of that recipient
func serveLinks(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(linkServerKey{}).(*linkServer)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch args[0] {
	case "start":
		s.Server = httptest.NewTLSServer(s)
		ts.Defer(s.Close)
		cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		ts.Check(os.WriteFile(ts.MkAbs("authority.pem"), cert, 0o600))
		ts.Setenv("SSL_CERT_FILE", ts.MkAbs("authority.pem"))
	case "give":
		s.give(ts, args[1], args[2], args[3:])
	case "end":
		clear(s.direct)
		clear(s.links)
	case "asked":
		if got := strconv.Itoa(s.asked); got != args[1] {
			ts.Fatalf("asked %s times", got)
		}
		s.asked = 0
	case "who":
		if s.who != args[1] {
			ts.Fatalf("it was %q", s.who)
		}
	default:
		ts.Fatalf("linkserver %s", args[0])
	}
}

func (s *linkServer) give(ts *testscript.TestScript, name, members string, files []string) {
	b64 := base64.RawURLEncoding.EncodeToString
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	ts.Check(err)
	aead, err := cipher.NewGCM(block)
	ts.Check(err)
	payload := map[string]any{}
	if members != "" {
		ts.Check(json.Unmarshal([]byte("{"+members+"}"), &payload))
	}
	flag, _ := payload["flag"].(string)
	path := "/" + rand.Text()
	m := &manifestOf{left: 3, takes: strings.Contains(flag, "P")}
	for i, file := range files {
		contentType := "application/fhir+json"
		if strings.HasSuffix(file, ".smart-health-card") {
			contentType = "application/smart-health-card"
		}
		head := b64([]byte(`{"alg":"dir","enc":"A256GCM","cty":"` + contentType + `"}`))
		iv := make([]byte, 12)
		rand.Read(iv)
		sealed := aead.Seal(nil, iv, []byte(ts.ReadFile(file)), []byte(head))
		at := len(sealed) - aead.Overhead()
		jwe := head + ".." + b64(iv) + "." + b64(sealed[:at]) + "." + b64(sealed[at:])
		f := map[string]string{"contentType": contentType, "embedded": jwe}
		if strings.Contains(flag, "U") {
			s.direct[path] = []byte(jwe)
		} else if i > 0 {
			at := path + "/" + strconv.Itoa(i)
			s.direct[at] = []byte(jwe)
			delete(f, "embedded")
			f["location"] = s.URL + at
			f["status"], f["lastUpdated"] = "retracted", "2026-11-01T12:00:00Z"
		}
		m.files = append(m.files, f)
	}
	if !strings.Contains(flag, "U") {
		s.links[path] = m
	}
	payload["url"], payload["key"] = s.URL+path, b64(key)
	b, err := json.Marshal(payload)
	ts.Check(err)
	ts.Setenv(name, "shlink:/"+b64(b))
}

func (s *linkServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if file, ok := s.direct[r.URL.Path]; ok && r.Method == http.MethodGet {
		if who := r.URL.Query().Get("recipient"); who != "" {
			s.who = who
		}
		w.Header().Set("Content-Type", "application/jose")
		w.Write(file)
		return
	}
	m := s.links[r.URL.Path]
	var said struct{ Recipient, Passcode string }
	if b, err := io.ReadAll(r.Body); m == nil || err != nil || json.Unmarshal(b, &said) != nil || m.left == 0 {
		http.NotFound(w, r)
		return
	}
	s.who = said.Recipient
	w.Header().Set("Content-Type", "application/json")
	if m.takes && said.Passcode != "1234" {
		m.left--
		w.WriteHeader(http.StatusUnauthorized)
		json.NewEncoder(w).Encode(map[string]int{"remainingAttempts": m.left})
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"files": m.files})
}
