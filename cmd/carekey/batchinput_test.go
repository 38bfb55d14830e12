package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that comes slowly is read whole; one that never comes does not keep the
// program from ending.
func TestBatchInput(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	path := filepath.Join(t.TempDir(), "rows.csv")
	text := "to,categories,until\n" + strings.Repeat("Dr Smith,labs,2026-12-31\n", 10_000)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := batches{newApp()}.open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if b, err := io.ReadAll(in.r); err != nil || string(b) != text {
		t.Errorf("%d bytes, %v", len(b), err)
	}

	r, w := io.Pipe()
	p := &patientReader{ctx, r}
	go io.WriteString(w, "to")
	b := make([]byte, 10)
	if n, err := p.Read(b); string(b[:n]) != "to" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	go cancel()
	if n, err := p.Read(b); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d bytes, %v", n, err)
	}
	r.Close()
	if _, err := (batches{newApp()}).open(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
