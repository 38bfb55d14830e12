package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var updateUnits = flag.Bool("update-units", false, "write the unit of the package anew")

// What a package installs is what fetch --unit prints, for the default wallet: there is one
// list of what such a watch may not do.
func TestPackagedUnit(t *testing.T) {
	_, body, _ := strings.Cut(unit, "[Unit]")
	body = strings.Replace(fmt.Sprintf("[Unit]"+strings.ReplaceAll(body, "%[2]s", "of its person"), "", "",
		"/usr/bin/carekey --no-input fetch --all --watch %h/carekey", "", "MemoryDenyWriteExecute=yes\n"), "the wallet of its person", "its person's wallet", 1)
	body = strings.TrimSuffix(body, "%!(EXTRA string=)")
	text := `# What is granted to you is fetched into ~/carekey as it comes, with the wallet of your
# default profile, whose key is in the system's keyring:
#
#	systemctl --user enable --now carekey-fetch
#
# For another wallet, a key in a file, a reason or another folder, carekey prints its own
# unit: carekey fetch --all --watch DIR --unit
#
` + body
	path := filepath.Join(top(), ".ci", "packages", "carekey-fetch.service")
	if *updateUnits {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != text {
		t.Errorf("%s is not what fetch --unit prints (%v); after a look: go test ./cmd/carekey -run TestPackagedUnit -args -update-units", path, err)
	}
}
