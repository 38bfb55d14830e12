// Package foldertest finds what lies where in the folder of a ledger, for tests that
// damage it. It reads the files by their specification, in segment.go and store.go of
// package folder, and trusts none of its code.
package foldertest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// most is more bytes than a segment of a test has.
const most = 1 << 30

// Place is where bytes lie.
type Place struct {
	File   string // path
	Record int64  // offset of the record that they are in
	At     int64  // their own offset
	Length int64
}

// Payload is where the payload of an entry lies that is in a segment and has not ended.
func Payload(dir, id string, part ledgerclient.Part) (Place, error) {
	return find(filepath.Join(dir, "payloads"), id, byte(part))
}

// Payloads are all payloads of a part that are in segments.
func Payloads(dir string, part ledgerclient.Part) (all []Place) {
	each(filepath.Join(dir, "payloads"), func(p Place, kind byte, _ string) {
		if kind == byte(part) {
			all = append(all, p)
		}
	})
	return all
}

// Share is where the share of a grant lies at the keeper, a ledgerclient.Deposit.
func Share(dir, id string) (Place, error) { return find(filepath.Join(dir, "keeper", "shares"), id, 0) }

// Acknowledgement is where the last acknowledgement of a grant lies that the keeper filed.
func Acknowledgement(dir, id string) (Place, error) {
	return find(filepath.Join(dir, "keeper", "filings"), id, 1)
}

// Content is the path of the file with the content of a record.
func Content(dir, id string) string { return filepath.Join(dir, "contents", id+".content") }

func find(folder, id string, kind byte) (at Place, err error) {
	err = fmt.Errorf("no %d of %s in %s", kind, id, folder)
	each(folder, func(p Place, k byte, of string) {
		if k == kind && of == id {
			at, err = p, nil
		}
	})
	return at, err
}

// each calls fn with what follows the package in the body of each record that has not
// ended, its kind and its first key.
func each(folder string, fn func(p Place, kind byte, id string)) {
	files, _ := filepath.Glob(filepath.Join(folder, "*"))
	for _, file := range files {
		b, err := disk.ReadFile(file, most)
		if err != nil || !strings.HasPrefix(string(b), "ckseg/1\n") {
			continue
		}
		for at := 64; at+64 <= len(b); {
			length := int(binary.BigEndian.Uint32(b[at+4:]))
			pkg, kind, keys := int(binary.BigEndian.Uint32(b[at+12:])), b[at+16], int(b[at+17])
			body := at + 36 + 32*keys + pkg
			if at+length > len(b) || body > at+length {
				at += 64 // damaged
				continue
			}
			if string(b[at:at+4]) == "held" {
				fn(Place{file, int64(at), int64(body), int64(at + length - body)}, kind, hex.EncodeToString(b[at+28:at+60]))
			}
			at += (length + 63) / 64 * 64
		}
	}
}

// Read reads what lies there.
func (p Place) Read() ([]byte, error) {
	f, err := disk.Open(p.File, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, p.Length)
	_, err = f.ReadAt(b, p.At)
	return b, err
}

// Write writes other bytes there, at most as many.
func (p Place) Write(b []byte) error {
	return p.writeAt(b[:min(int64(len(b)), p.Length)], p.At)
}

// Lose makes the record one that has ended.
func (p Place) Lose() error { return p.writeAt([]byte("gone"), p.Record) }

// Exchange exchanges the bodies of two records of one length, with the sums that they
// need: each is then found by what the other was found by.
func Exchange(a, b Place) error {
	body := func(p Place) (sum, b []byte, at, end int64, err error) {
		all, err := disk.ReadFile(p.File, most)
		if err != nil {
			return nil, nil, 0, 0, err
		}
		at = p.Record + 36 + 32*int64(all[p.Record+17])
		end = p.At + p.Length
		return all[p.Record+20 : p.Record+28], all[at:end], at, end, nil
	}
	sumA, bodyA, atA, endA, err := body(a)
	if err != nil {
		return err
	}
	sumB, bodyB, atB, endB, err := body(b)
	if err != nil {
		return err
	}
	if endA-atA != endB-atB {
		return fmt.Errorf("bodies of %d and %d bytes", endA-atA, endB-atB)
	}
	for _, w := range []struct {
		p         Place
		at        int64
		sum, body []byte
	}{{a, atA, sumB, bodyB}, {b, atB, sumA, bodyA}} {
		if err := w.p.writeAt(w.body, w.at); err != nil {
			return err
		}
		if err := w.p.writeAt(w.sum, w.p.Record+20); err != nil {
			return err
		}
		all, err := disk.ReadFile(w.p.File, most)
		if err != nil {
			return err
		}
		check := sha256.Sum256(all[w.p.Record+4 : w.at-8])
		if err := w.p.writeAt(check[:8], w.at-8); err != nil {
			return err
		}
	}
	return nil
}

func (p Place) writeAt(b []byte, at int64) error {
	f, err := disk.Open(p.File, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, at)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
