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
	"slices"
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
	headA, bodyA, err := a.record()
	if err != nil {
		return err
	}
	headB, bodyB, err := b.record()
	if err != nil {
		return err
	}
	if len(bodyA) != len(bodyB) {
		return fmt.Errorf("bodies of %d and %d bytes", len(bodyA), len(bodyB))
	}
	sumA, sumB := [8]byte(headA[20:]), [8]byte(headB[20:])
	if err := a.hold(headA, sumB, bodyB); err != nil {
		return err
	}
	return b.hold(headB, sumA, bodyA)
}

// record is the record that bytes are in.
func (p Place) record() (head, body []byte, err error) {
	b, err := Place{File: p.File, At: p.Record, Length: p.At + p.Length - p.Record}.Read()
	if err != nil {
		return nil, nil, err
	}
	at := 36 + 32*int(b[17])
	return b[:at], b[at:], nil
}

// hold makes a body that of the record.
func (p Place) hold(head []byte, sum [8]byte, body []byte) error {
	copy(head[20:], sum[:])
	check := sha256.Sum256(head[4 : len(head)-8])
	copy(head[len(head)-8:], check[:8])
	return p.writeAt(slices.Concat(head, body), p.Record)
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
