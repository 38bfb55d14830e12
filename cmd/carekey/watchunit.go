package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/version"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet/keyring"
)

// unit is the systemd unit of a watch, for the person's own service manager, which has the
// way to her keyring. Its hardening is what such a manager can do without privileges and
// without user namespaces, which some systems forbid: filters of system calls. A ledger in a
// folder that a group shares makes folders with the group's bit, which RestrictSUIDSGID
// would refuse.
const unit = `# Made by carekey %[1]s
# As ~/.config/systemd/user/carekey-fetch.service:
#   systemctl --user daemon-reload
#   systemctl --user enable --now carekey-fetch
# What it says:   journalctl --user -u carekey-fetch
# While you are not logged in:   loginctl enable-linger
[Unit]
Description=carekey fetches what is granted to the wallet %[2]s

[Service]
ExecStart=%[3]s
%[4]sRestart=on-failure
RestartSec=5min
# Stopped in the middle of an opening, it goes on with it when it is started again.
SuccessExitStatus=130
# Wrong use, a refusal, what does not verify, and what is not there are for a person.
RestartPreventExitStatus=2 3 6 7
NoNewPrivileges=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
%[5]s
[Install]
WantedBy=default.target
`

type unitJSON struct {
	Unit string `json:"unit"` // text of a systemd unit
}

// unit prints the unit that does what this command line would.
func (x *fetchWatch) unit() error {
	if runtime.GOOS != "linux" {
		return usage("systemd is on Linux", "have your system's own program start: carekey --no-input fetch --all --watch DIR")
	}
	p, err := x.ownPlace()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(x.flags.dir)
	if err != nil {
		return err
	}
	env := []string{envHome + "=" + p.home}
	if p.settings.Keyring == keyring.KindFile {
		file := x.env(envPassphrase)
		if file == "" {
			return errNeed.With("what", "nobody can type the passphrase of your key file to a service", "flag", "a file that holds it, named by "+envPassphrase)
		}
		if file, err = filepath.Abs(file); err != nil {
			return err
		}
		env = append(env, envPassphrase+"="+file)
	}
	args := []string{program, "--no-input"}
	add := func(flag, value string) {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	if x.profile() != defaultProfile {
		add("--profile", x.profile())
	}
	switch { // by its id if that is known: an invitation may hold a token
	case p.given && p.id != (crypto.LedgerID{}):
		add("--ledger", short(p.id))
	case p.given && p.at.node != nil:
		add("--ledger", short(p.at.node.Ledger))
	case p.given:
		add("--ledger", p.at.dir)
	}
	args = append(args, "fetch", "--all", "--watch", dir, "--spread", x.flags.spread.String())
	add("--reason", x.flags.reason)
	add("--by", x.flags.by)
	if x.flags.force {
		args = append(args, "--force")
	}
	if x.flags.flat {
		args = append(args, "--flat")
	}
	if x.app.flags.acceptClock {
		args = append(args, "--accept-clock")
	}
	for _, s := range append(env, args...) {
		if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			return usage("a unit cannot hold "+cli.Quote(cli.Clean(s)), "use a name without control characters, in UTF-8")
		}
	}
	var environment strings.Builder
	for _, v := range env {
		fmt.Fprintf(&environment, "Environment=%s\n", unitWord(v))
	}
	// A program that keeps the ledger's order runs with it, and may make its own code.
	last := "MemoryDenyWriteExecute=yes\n"
	if p.at.order != "" {
		last = ""
	}
	exec := strings.ReplaceAll(strings.Join(list(args, unitWord), " "), "$", "$$")
	text := fmt.Sprintf(unit, version.Line(), strings.ReplaceAll(x.profile(), "%", "%%"), exec, environment.String(), last)
	if err := x.result(unitJSON{text}); err != nil || x.app.flags.json {
		return err
	}
	_, err = x.out.WriteString(text)
	return err
}

// unitWord is a word of a unit's line: a per cent sign would be a specifier there.
func unitWord(s string) string {
	if s = strings.ReplaceAll(s, "%", "%%"); s != "" && cli.Quote(s) == s {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
