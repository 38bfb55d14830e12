package shlink

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/carekey/carekey/crypto/fault"
)

// served is a server of links, and a client that trusts it.
type served struct {
	*httptest.Server
	client *Client
	asked  atomic.Int32
}

func serve(t *testing.T, answer http.HandlerFunc) *served {
	t.Helper()
	s := &served{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	s.client = &Client{Local: true, roots: roots}
	return s
}

func (s *served) link(t *testing.T, path, flags string) *Link {
	t.Helper()
	return parsed(t, linkOf(fmt.Sprintf(`{"url":%q,"key":%q,"flag":%q}`, s.URL+path, goodKey, flags)))
}

// files opens a link and returns what it holds.
func (s *served) files(t *testing.T, l *Link, say Answers) (all []File, err error) {
	t.Helper()
	err = s.client.Open(t.Context(), l, say, func(f *File) error { all = append(all, *f); return nil })
	return all, err
}

func TestDirectFile(t *testing.T) {
	var l *Link
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); r.Method != http.MethodGet || r.URL.Path != "/f" || q.Get("recipient") != "Dr Ä & Søn?" || q.Get("sas") != "a b" || len(q) != 2 {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		w.Write(seal(l, fhirHeader, []byte(patient)))
	})
	l = s.link(t, "/f?sas=a%20b", "LU")
	files, err := s.files(t, l, Answers{Recipient: "Dr Ä & Søn?"})
	if err != nil || len(files) != 1 || string(files[0].Body) != patient || files[0].Type != TypeFHIR || files[0].Host != l.Host() {
		t.Errorf("%+v, %v", files, err)
	}
}

// A manifest with a passcode, a file in it and one elsewhere.
func TestManifestRequest(t *testing.T) {
	var l *Link
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.RawQuery != "one=time" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		w.Write(seal(l, `{"alg":"dir","enc":"A256GCM","cty":"application/smart-health-card"}`, []byte(`{"verifiableCredential":["x"]}`)))
	})
	left := 2
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var said map[string]any
		b, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(b, &said); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || said["recipient"] != "Dr Smith" || said["embeddedLengthMax"] != float64(embeddedMost) {
			t.Errorf("%s %s, %v", r.Method, b, err)
		}
		if said["passcode"] != "1234" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"remainingAttempts":%d}`, left)
			left--
			return
		}
		fmt.Fprintf(w, `{"files":[{"contentType":"application/fhir+json","embedded":%q,"status":"finalized"},{"contentType":"application/smart-health-card","location":%q}]}`,
			seal(l, plainHeader, []byte(patient)), elsewhere.URL+"/x?one=time")
	})
	s.client.roots.AddCert(elsewhere.Certificate())
	l = s.link(t, "/m", "P")
	for _, c := range []struct{ passcode, left string }{{"", "2"}, {"4321", "1"}} {
		_, err := s.files(t, l, Answers{Recipient: "Dr Smith", Passcode: c.passcode})
		if e, ok := fault.As(err, ErrPasscode); !ok || e.Value("left") != c.left {
			t.Errorf("passcode %q: %v", c.passcode, err)
		}
	}
	files, err := s.files(t, l, Answers{Recipient: "Dr Smith", Passcode: "1234"})
	if err != nil || len(files) != 2 || string(files[0].Body) != patient || files[0].Status != "finalized" || files[1].Type != TypeCard ||
		files[1].Host != strings.TrimPrefix(elsewhere.URL, "https://") || elsewhere.asked.Load() != 1 {
		t.Errorf("%+v, %v", files, err)
	}
	stop := errors.New("stop")
	if err := s.client.Open(t.Context(), l, Answers{Recipient: "Dr Smith", Passcode: "1234"}, func(*File) error { return stop }); err != stop || elsewhere.asked.Load() != 1 {
		t.Error(err, "after the first file was refused the second was asked for")
	}
}

// Threat: a server that answers with anything.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		flags  string
		answer http.HandlerFunc
		code   fault.Code
		why    string
	}{
		"over":         {"U", http.NotFound, ErrOver, ""},
		"gone":         {"", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }, ErrOver, ""},
		"broken":       {"", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, ErrServer, "status=500"},
		"busy":         {"U", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, ErrServer, "status=429"},
		"unauthorised": {"U", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, ErrServer, "status=401"},
		"no count": {"P", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"remainingAttempts":-1}`)
		}, ErrPasscode, ""},
		"redirect": {"U", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, ErrAnswer, "elsewhere"},
		"redirect2": {"", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
		}, ErrAnswer, "elsewhere"},
		"encoded": {"U", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "x")
		}, ErrAnswer, "encoding"},
		"empty":  {"U", func(http.ResponseWriter, *http.Request) {}, ErrAnswer, "five pieces"},
		"a page": {"", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, ErrAnswer, "parse"},
		"cut off": {"U", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "x")
		}, ErrServer, ""},
		"plain http":  {"", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, locationAt("http://"+r.Host+"/x")) }, ErrAnswer, "not of https"},
		"a file":      {"", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, locationAt("file:///etc/passwd")) }, ErrAnswer, "not of https"},
		"as somebody": {"", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, locationAt("https://a@"+r.Host+"/x")) }, ErrAnswer, "user's name"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.answer)
			_, err := s.files(t, s.link(t, "/l", c.flags), Answers{Recipient: "x"})
			if !isCode(err, c.code) || !strings.Contains(err.Error(), c.why) || s.asked.Load() != 1 {
				t.Errorf("%v, asked %d times", err, s.asked.Load())
			}
		})
	}
}

func locationAt(url string) string {
	return fmt.Sprintf(`{"files":[{"contentType":"application/fhir+json","location":%q}]}`, url)
}

// An answer larger than it may be is not held.
func TestTooLarge(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	})
	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := s.client.asking().ask(t.Context(), at, nil, 2000); !isCode(err, ErrAnswer) || b != nil {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if b, err := s.client.asking().ask(t.Context(), at, nil, 1000<<10); err != nil || len(b) != 1000<<10 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// Threat: a link that makes a clinic's computer ask its own network. The address counts that
// a name turns out to have, at the time of the connection.
func TestNothingLocal(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {})
	s.client.Local = false
	for _, at := range []string{s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1), strings.Replace(s.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1), "https://[fe80::1]/"} {
		l := parsed(t, linkOf(fmt.Sprintf(`{"url":%q,"key":%q,"flag":"U"}`, at, goodKey)))
		_, err := s.files(t, l, Answers{Recipient: "x"})
		if !isCode(err, ErrLocal) {
			t.Errorf("%s: %v", at, err)
		}
	}
	if n := s.asked.Load(); n != 0 {
		t.Errorf("asked %d times", n)
	}
	for address, want := range map[string]bool{
		"1.1.1.1": true, "193.0.6.139": true, "2606:4700::1111": true, "2a00:1450::1": true, "64:ff9b::101:101": true, "::ffff:1.1.1.1": true,
		"127.0.0.1": false, "127.255.0.1": false, "0.0.0.0": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "192.0.0.8": false, "198.18.0.1": false, "203.0.113.9": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd12::1": false, "fec0::1": false, "ff02::1": false, "2001:db8::1": false, "2002:7f00:1::": false, "2001::1": false,
		"::ffff:127.0.0.1": false, "::127.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b::a00:1": false, "64:ff9b:1::1": false, "100::1": false,
	} {
		if everybodys(netip.MustParseAddr(address)) != want {
			t.Errorf("%s: %v", address, !want)
		}
	}
}

// Who serves a link shows a certificate that the computer trusts.
func TestAuthority(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {})
	l := s.link(t, "/l", "U")
	if err := (&Client{Local: true, roots: x509.NewCertPool()}).Open(t.Context(), l, Answers{Recipient: "x"}, nil); !isCode(err, ErrAuthority) || s.asked.Load() != 0 {
		t.Error(err)
	}
	s.Close()
	if _, err := s.files(t, l, Answers{Recipient: "x"}); !isCode(err, ErrServer) || strings.Contains(err.Error(), "/l") {
		t.Error(err)
	}
}

// A person who has enough ends it.
func TestInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		stop()
		<-r.Context().Done()
	})
	err := s.client.Open(ctx, s.link(t, "/l", "U"), Answers{Recipient: "x"}, func(*File) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
