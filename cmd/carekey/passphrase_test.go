package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// A command may end while the key is still being read ahead: what is wiped then is not what
// is being read. The race detector judges it, and whoever still asks keeps nobody.
func TestWipeWhileAsked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(file, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		a := newApp()
		a.lookup = func(name string) (string, bool) { return file, name == envPassphrase }
		said := make(chan string)
		go func() {
			p, err := a.passphrase(context.Background(), false)
			if err != nil {
				t.Error(err)
			}
			said <- string(p)
		}()
		a.passphrases.wipe()
		if p := <-said; p != "correct horse" {
			t.Errorf("got %q", p)
		}
	}
	a := newApp()
	a.lookup = func(string) (string, bool) { return "", false }
	asked, answer := make(chan bool), make(chan bool)
	a.ask = func(string) ([]byte, error) {
		asked <- true
		<-answer
		return nil, nil
	}
	go a.passphrase(context.Background(), false)
	<-asked
	a.passphrases.wipe()
	answer <- true
}
