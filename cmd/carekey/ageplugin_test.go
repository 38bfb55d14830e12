package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/plugin"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet"
)

// ageWallet makes a wallet with a passphrase file in a home of its own, or, without
// a passphrase, in the keyring.
func ageWallet(t *testing.T, passphrase string) (home, identity string, to age.Recipient) {
	t.Helper()
	dir := t.TempDir()
	home = filepath.Join(dir, "home")
	file := filepath.Join(dir, "passphrase")
	if err := os.WriteFile(file, []byte(passphrase), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{envHome: home, envKeyring: "file", envPassphrase: file}
	if passphrase == "" {
		env = map[string]string{envHome: home, envKeyring: "os"}
	}
	out := func(args ...string) string {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		a := newApp()
		a.workFactor, a.out, a.lookup = 2, w, func(name string) (string, bool) { v, ok := env[name]; return v, ok }
		code := a.run(append(args, "--quiet"))
		w.Close()
		b, err := io.ReadAll(r)
		if err != nil || code != 0 {
			t.Fatalf("%v: exit %d, %v", args, code, err)
		}
		return strings.TrimSpace(string(b))
	}
	out("init", "--name", "Maria", "--new-ledger", "--words-file", filepath.Join(dir, "words"))
	to, err := wallet.ParseAgeRecipient(out("age", "recipient"))
	if err != nil {
		t.Fatal(err)
	}
	return home, out("age", "identity"), to
}

// pluginSession is the age program's side of the protocol, told word by word.
type pluginSession struct {
	t   *testing.T
	in  *os.File // of the plugin
	out *bufio.Reader
}

// startPlugin runs the plugin in this process, with nothing in its environment.
func startPlugin(t *testing.T, machine string) *pluginSession {
	t.Helper()
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	a := newApp()
	a.in, a.out, a.lookup = inR, outW, func(string) (string, bool) { return "", false }
	done := make(chan struct{})
	go func() {
		defer close(done)
		agePlugin{a}.run([]string{"--age-plugin=" + machine})
		outW.Close()
	}()
	t.Cleanup(func() {
		inW.Close()
		<-done
		inR.Close()
		outR.Close()
	})
	return &pluginSession{t, inW, bufio.NewReader(outR)}
}

func (s *pluginSession) send(body []byte, args ...string) {
	s.t.Helper()
	text := base64.RawStdEncoding.EncodeToString(body)
	fmt.Fprintf(s.in, "-> %s\n", strings.Join(args, " "))
	for len(text) >= 64 {
		fmt.Fprintln(s.in, text[:64])
		text = text[64:]
	}
	fmt.Fprintln(s.in, text)
}

// next reads what the plugin says; what means nothing on purpose is answered so.
func (s *pluginSession) next() (line string, body []byte) {
	s.t.Helper()
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		line = strings.TrimSuffix(strings.TrimPrefix(line, "-> "), "\n")
		text := ""
		for {
			part, err := s.out.ReadString('\n')
			if err != nil {
				s.t.Fatal(err)
			}
			text += strings.TrimSuffix(part, "\n")
			if len(part) < 65 {
				break
			}
		}
		if body, err = base64.RawStdEncoding.Strict().DecodeString(text); err != nil {
			s.t.Fatal(err)
		}
		if strings.HasPrefix(line, "grease-") {
			s.send(nil, "unsupported")
			continue
		}
		return line, body
	}
}

// stanzaFor wraps a file key.
func stanzaFor(t *testing.T, to age.Recipient, key byte) *age.Stanza {
	t.Helper()
	s, err := to.Wrap(bytes.Repeat([]byte{key}, 16))
	if err != nil {
		t.Fatal(err)
	}
	return s[0]
}

// A passphrase is asked for by way of age, once, however many files and identities
// there are.
func TestPluginUnlocksOnce(t *testing.T) {
	_, identity, to := ageWallet(t, "correct horse")
	s := startPlugin(t, "identity-v1")
	s.send(nil, "add-identity", identity)
	s.send(nil, "add-identity", identity)
	for i := range 3 {
		x := stanzaFor(t, to, byte(i))
		s.send([]byte("somebody else's"), fmt.Sprint("recipient-stanza ", i), "X25519", "abc")
		s.send(x.Body, fmt.Sprint("recipient-stanza ", i), x.Type, x.Args[0])
	}
	x := stanzaFor(t, crypto.RecordRecipient(crypto.GenerateKey().Public()), 9)
	s.send(x.Body, "recipient-stanza 3", x.Type, x.Args[0])
	s.send(nil, "done")
	asked := 0
	var keys []string
	for {
		line, body := s.next()
		if line == "done" {
			break
		}
		switch {
		case line == "request-secret":
			asked++
			s.send([]byte("correct horse"), "ok")
		case strings.HasPrefix(line, "file-key "):
			keys = append(keys, fmt.Sprintf("%s %x", line, body[:1]))
			s.send(nil, "ok")
		default:
			t.Fatalf("%s %q", line, body)
		}
	}
	if got := strings.Join(keys, ", "); asked != 1 || got != "file-key 0 00, file-key 1 01, file-key 2 02" {
		t.Errorf("asked %d times: %s", asked, got)
	}
}

// Files that are for others unlock nothing; a person who gives no passphrase, or a
// wrong one, is told so in our words, and asked once.
func TestPluginRefusals(t *testing.T) {
	home, identity, to := ageWallet(t, "correct horse")
	x := stanzaFor(t, to, 1)
	foreign := func(s *pluginSession) { s.send([]byte("somebody else's"), "recipient-stanza 0", "X25519", "abc") }
	ours := func(s *pluginSession) { s.send(x.Body, "recipient-stanza 0", x.Type, x.Args[0]) }
	for name, c := range map[string]struct {
		identity string
		stanza   func(*pluginSession)
		answer   []string // to what it asks
		says     string   // "" is that nothing matched
		hint     string
	}{
		"foreign stanza":   {identity, foreign, nil, "", ""},
		"no answer":        {identity, ours, []string{"fail"}, "no terminal to ask on: the passphrase", "CAREKEY_PASSPHRASE_FILE"},
		"wrong passphrase": {identity, ours, []string{"ok", "battery staple"}, "does not open your key file", "try again"},
		"no stanza's layout": {identity, func(s *pluginSession) { s.send(x.Body[1:], "recipient-stanza 0", x.Type, x.Args[0]) },
			[]string{"ok", "correct horse"}, "stanza is damaged", ""},
		"another wallet": {wallet.AgePointer{Folder: mustPointer(t, identity).Folder, Home: home}.String(), ours, []string{"ok", "correct horse"},
			"of another wallet", "carekey age identity"},
		"no wallet":   {wallet.AgePointer{Home: home}.String(), ours, nil, "there is no such wallet", "carekey age identity"},
		"no identity": {plugin.EncodeIdentity(wallet.AgePlugin, []byte{1, 2, 3}), ours, nil, "identity: not an identity of carekey", "carekey age identity"},
		"newer":       {plugin.EncodeIdentity(wallet.AgePlugin, []byte{9}), ours, nil, "written by a newer carekey", ""},
		"elsewhere":   {wallet.AgePointer{Home: "relative"}.String(), ours, nil, "made on another system", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := startPlugin(t, "identity-v1")
			s.send(nil, "add-identity", c.identity)
			c.stanza(s)
			s.send(nil, "done")
			said, asked := "", 0
			for said == "" {
				line, body := s.next()
				switch {
				case line == "request-secret" && c.answer != nil:
					asked++
					s.send([]byte(strings.Join(c.answer[1:], "")), c.answer[0])
				case strings.HasPrefix(line, "error "):
					said = line + ": " + string(body)
					s.send(nil, "ok")
				case line == "done":
					said = "nothing"
				default:
					t.Fatalf("%s %q", line, body)
				}
			}
			if c.says == "" && said != "nothing" || !strings.Contains(said, c.says) || !strings.Contains(said, c.hint) {
				t.Error(said)
			}
			if (asked == 1) != (c.answer != nil) {
				t.Errorf("asked %d times", asked)
			}
			if strings.Contains(said, "battery") || strings.Contains(said, "horse") {
				t.Error("a passphrase is in an error")
			}
		})
	}
}

func mustPointer(t *testing.T, text string) wallet.AgePointer {
	t.Helper()
	p, err := wallet.ParseAgePointer(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// age's own client, against the program as it is started by age: to the wallet
// and back, with the passphrase asked for by the client.
func TestPluginWithAgesClient(t *testing.T) {
	_, identity, _ := ageWallet(t, "correct horse")
	t.Setenv(envHome, "")
	t.Setenv(envPassphrase, "")
	asked := 0
	ui := &plugin.ClientUI{RequestValue: func(name, prompt string, secret bool) (string, error) {
		if asked++; name != wallet.AgePlugin || !secret || prompt != "Passphrase of your carekey wallet:" {
			return "", errors.New("asked for something else")
		}
		return "correct horse", nil
	}}
	id, err := plugin.NewIdentity(identity, ui)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	w, err := age.Encrypt(&file, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "record")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(&file, id)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "record" || asked != 2 {
		t.Errorf("%q, %v, asked %d times", b, err, asked)
	}
}

// With the system's keyring nothing is asked: run under .ci/with-keyring.
func TestRealKeyringPlugin(t *testing.T) {
	if os.Getenv("CAREKEY_REAL_KEYRING") != "1" {
		t.Skip("CAREKEY_REAL_KEYRING is not 1: run under .ci/with-keyring")
	}
	_, identity, to := ageWallet(t, "")
	id, err := plugin.NewIdentity(identity, &plugin.ClientUI{})
	if err != nil {
		t.Fatal(err)
	}
	fileKey, err := id.Unwrap([]*age.Stanza{stanzaFor(t, to, 7)})
	if err != nil || !bytes.Equal(fileKey, bytes.Repeat([]byte{7}, 16)) {
		t.Errorf("%x, %v", fileKey, err)
	}
}
