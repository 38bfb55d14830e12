package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/lane"
)

var updateScreens = flag.Bool("update-screens", false, "write the golden screens anew")

// What a person sees, in the widths of terminals that people have. Ids, which are by chance,
// are all the same here; the clock is the test's.
func TestScreens(t *testing.T) {
	lane.OneGoroutine(t)
	work := t.TempDir()
	env := []string{"WORK=" + work, "TERM=dumb", "LANG=C.UTF-8", testClock + "=2026-11-21T12:30:00Z", "TZ=UTC", "HOME=" + work}
	for _, who := range []string{"patient", "clinic"} {
		if err := os.WriteFile(filepath.Join(work, who+".passphrase"), []byte("p\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) string {
		t.Helper()
		s := sit(t, env, false, args...)
		if code := s.end(); code != 0 {
			t.Fatalf("%v: exit %d: %s", args, code, s.screen)
		}
		return strings.TrimSpace(s.stdout.String())
	}
	run("patient", "init", "--new-ledger", "--name", "Maria", "--words-file", filepath.Join(work, "w"))
	address := strings.Fields(run("clinic", "init", "--name", "Dr Smith", "--words-file", filepath.Join(work, "w2")))[0]
	run("patient", "contact", "add", "Dr Smith", address)
	var ids []string
	for i, title := range []string{"Laboratory of November", "X-ray of the left knee, two views, with the report", "血液検査の結果と胸部レントゲンの所見", "בדיקת דם"} {
		file := filepath.Join(work, "scan.bin")
		if err := os.WriteFile(file, []byte{byte(i), 1, 2, 3}, 0o600); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, run("patient", "record", "add", file, "--title", title, "--category", []string{"labs", "images"}[i%2]))
	}
	run("patient", "grant", "--to", "Dr Smith", "--record", ids[0], "--record", ids[1], "--for", "30d", "--yes")
	run("patient", "grant", "--to", "Dr Smith", "--record", ids[2], "--for", "500d", "--purpose", "research", "--yes")

	hexes := regexp.MustCompile(`\b[0-9a-f]{8}\b`)
	for _, width := range []uint16{60, 80, 120} {
		for _, args := range [][]string{{"record", "list"}, {"consent", "list"}, {"audit"}, {}} {
			s := sitAt(t, width, env, true, append([]string{"patient"}, args...)...)
			if code := s.end(); code != 0 {
				t.Fatalf("%v: exit %d: %s", args, code, s.screen)
			}
			got := hexes.ReplaceAllString(strings.ReplaceAll(string(s.screen), "\r\n", "\n"), "01234567")
			name := strings.Join(append([]string{fmt.Sprint(width)}, args...), "-")
			path := filepath.Join("testdata", "screens", strings.TrimSuffix(name, "-")+".txt")
			if *updateScreens {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(path); err != nil || string(want) != got {
				t.Errorf("%v; -update-screens writes %s anew; now it is\n%s", err, path, got)
			}
		}
	}
}
