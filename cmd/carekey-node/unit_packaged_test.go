package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var updateUnits = flag.Bool("update-units", false, "write the units of the packages anew")

// What a package installs is what carekey-node unit prints, for a folder that is named when
// the unit is started: there is one list of what a node may not do.
func TestPackagedUnits(t *testing.T) {
	_, unit, _ := strings.Cut(unitText, "#\n[Unit]")
	unit = "[Unit]" + unit
	node := fmt.Sprintf(unit, "/var/lib/carekey-node/%i", "/usr/bin/carekey-node", ":"+defaultPort, "", "yes", "")
	engine := strings.NewReplacer(
		"Description=carekey node", "Description=carekey validator",
		"Type=notify", "Type=exec",
		"/usr/bin/carekey-node serve /var/lib/carekey-node/%i --listen :"+defaultPort, "/usr/bin/carekey-ledger-cometbft serve /var/lib/carekey-ledger-cometbft/%i",
		"/var/lib/carekey-node/%i", "/var/lib/carekey-ledger-cometbft/%i",
	).Replace(node)
	for name, text := range map[string]string{
		"carekey-node@.service": `# A node of a ledger. As root, for a ledger City:
#
#	runuser -u carekey-node -- carekey-node init /var/lib/carekey-node/city --name City --url https://city.example:8443
#	systemctl enable --now carekey-node@city
#
# Another port, or /metrics: systemctl edit carekey-node@city
#
` + node,
		"carekey-ledger-cometbft@.service": `# The validator of an institution that keeps a ledger's order with others. As root, with
# the draft and the node's folder of carekey-node help found:
#
#	runuser -u carekey-node -- carekey-ledger-cometbft init /var/lib/carekey-ledger-cometbft/city --draft region.draft --node /var/lib/carekey-node/city
#	systemctl enable --now carekey-ledger-cometbft@city
#
` + engine,
	} {
		path := filepath.Join("..", "..", ".ci", "packages", name)
		if *updateUnits {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("%s is not what carekey-node unit prints (%v); after a look: go test ./cmd/carekey-node -run TestPackagedUnits -args -update-units", path, err)
		}
	}
	if strings.Contains(engine, "notify") || strings.Count(engine, "carekey-ledger-cometbft") != 3 || strings.Contains(engine, "/var/lib/carekey-node") {
		t.Errorf("the validator's unit:\n%s", engine)
	}
}
