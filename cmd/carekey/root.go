package main

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/spf13/cobra"
)

const about = `carekey is a wallet for health data. It keeps your keys, encrypts each record for
the one person you grant it to, and writes your consents and revocations onto a
ledger. Entries show you what was opened; carekey audit --help says how far.`

const environment = `ENVIRONMENT
  CAREKEY_HOME             folder of the wallets (default: as the system has it)
  CAREKEY_PROFILE          name of the wallet in it, as --profile
  CAREKEY_LEDGER           which ledger, as --ledger (default: the wallet's own,
                           for a new wallet the folder ledger in the home)
  CAREKEY_BY               who looks, as carekey fetch --by
  CAREKEY_PLAIN            1: line by line, as --plain
  CAREKEY_KEYRING          os or file: where init keeps the key (default: os)
  CAREKEY_KEYRING_TIMEOUT  how long the system's keyring may take to answer (5s)
  CAREKEY_PROMPT_TIMEOUT   how long you may take to answer its own prompt (60s)
  CAREKEY_PASSPHRASE_FILE  file with the key file's passphrase in its first line
  XDG_RUNTIME_DIR          where carekey unlock is found (default: in the home)`

const exitStatus = `EXIT STATUS
  0    done, or nothing to do
  1    unexpected: disk full, read-only, and the like
  2    wrong usage, or an answer is missing
  3    refused: not yet, expired, revoked, not yours, or you said no
  4    the keyring is locked or absent, or the passphrase is wrong
  5    ledger, store or keeper out of reach
  6    verification failed: tampered, truncated, another or an older ledger
  7    not found, or a fetch code of another ledger
  8    partly done, or not all of it could be had
  9    with --check alone: there is something to do, or something new
  130  interrupted`

// noun is a command that stands right behind the program's name.
type noun struct {
	group, name string
	make        func(*app) *cobra.Command
}

// nouns are all but help, in the order in which they are listed.
var nouns = []noun{
	{"patient", "record", newRecord}, {"patient", "contact", newContact}, {"patient", "role", newRole}, {"patient", "grant", newGrant}, {"patient", "link", func(a *app) *cobra.Command { return linking{a}.command() }}, {"patient", "revoke", newRevoke},
	{"patient", "consent", newConsent}, {"patient", "request", func(a *app) *cobra.Command { return requesting{a}.command() }}, {"patient", "batch", newBatch}, {"patient", "audit", newAudit}, {"patient", "view", newView},
	{"recipient", "inbox", newInbox}, {"recipient", "fetch", newFetch}, {"recipient", "deliver", func(a *app) *cobra.Command { return (&delivering{records: &records{app: a}}).command() }},
	{"wallet", "init", newInit}, {"wallet", "restore", newRestore}, {"wallet", "status", newStatus}, {"wallet", "sync", newSync}, {"wallet", "address", newAddress},
	{"wallet", "card", func(a *app) *cobra.Command { return cards{a}.newShow() }}, {"wallet", "keyring", newKeyring},
	{"wallet", "unlock", func(a *app) *cobra.Command { return keyrings{a}.newUnlock() }}, {"wallet", "lock", func(a *app) *cobra.Command { return keyrings{a}.newLock() }},
	{"wallet", "words", newWords}, {"wallet", "backup", newBackup}, {"wallet", "profile", newProfile}, {"wallet", "ledger", newLedger}, {"wallet", "age", newAge},
	{"wallet", "doctor", newDoctor}, {"wallet", "try", newTry}, {"wallet", "version", func(*app) *cobra.Command { return cli.VersionCommand() }},
}

// newRoot is the program. Of a command line that begins with a command that one alone is
// made, and of one with --version none: together they take more than half of the memory of a
// start.
func newRoot(a *app, args ...string) *cobra.Command {
	root := &cobra.Command{
		Use:   "carekey",
		Short: "A wallet for health data",
		Long:  about,
		RunE:  func(cmd *cobra.Command, _ []string) error { return (&glance{app: a}).bare(cmd.Context()) },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.flags.plain {
				if err := os.Setenv(ui.EnvPlain, "1"); err != nil {
					return err
				}
			}
			return a.checkTimeouts()
		},
	}
	g := root.PersistentFlags()
	g.BoolVar(&a.flags.json, "json", false, "print one JSON value on stdout, errors as JSON on stderr")
	g.BoolVarP(&a.flags.yes, "yes", "y", false, "answer every confirmation with yes")
	g.BoolVar(&a.flags.noInput, "no-input", false, "never ask: a missing answer is an error")
	g.BoolVarP(&a.flags.quiet, "quiet", "q", false, "say nothing on stderr but errors")
	g.BoolVar(&a.flags.plain, "plain", false, "ask and show line by line, with nothing drawn anew: for who hears a terminal")
	g.StringVar(&a.flags.profile, "profile", "", "`NAME` of the wallet to use")
	g.IntVar(&a.flags.passphraseFD, "passphrase-fd", -1, "read the passphrase of the key file from descriptor `N`")
	g.Lookup("passphrase-fd").DefValue = "0" // what the help leaves out
	g.StringVar(&a.flags.ledger, "ledger", "", "which ledger: its `NAME`, the beginning of its id, its folder, or an invitation to its node or a card (@FILE reads either)")
	root.AddGroup(
		&cobra.Group{ID: "patient", Title: "Your records and who may open them:"},
		&cobra.Group{ID: "recipient", Title: "What others granted to you, and what you deliver:"},
		&cobra.Group{ID: "wallet", Title: "Wallet and ledger:"},
	)
	at := slices.IndexFunc(nouns, func(n noun) bool { return len(args) > 0 && n.name == args[0] })
	if len(args) > 0 && args[0] == "--version" {
		at = len(nouns) // none
	}
	for i, n := range nouns {
		if at < 0 || at == i {
			c := n.make(a)
			c.GroupID = n.group
			root.AddCommand(c)
		}
	}
	help := newHelp(a)
	help.GroupID = "wallet"
	root.SetHelpCommand(help)
	root.AddCommand(help)
	cli.Program(root, topicList()+"\n\n"+environment+"\n\n"+exitStatus, schemas)
	root.SetCompletionCommandGroupID("wallet")
	return root
}

// bare is carekey alone. Who has a wallet and sits at a terminal gets a screen; for a
// program it unlocks nothing and asks nothing.
func (a *glance) bare(ctx context.Context) error {
	p, err := a.place()
	if err != nil {
		return err
	}
	if p.settings != nil && a.interactive() && !a.flags.json && cli.Width(a.out) > 0 {
		return a.show(ctx)
	}
	var places []placeJSON
	if p.settings != nil {
		if places, err = (ledgers{a.app}).places(p); err != nil {
			return err
		}
	}
	w := "none yet"
	if p.settings != nil {
		w = "yes, its key is in " + keyringWords(p.settings.Keyring)
	}
	l := p.at.line(p.settings != nil)
	if len(places) > 1 || len(places) == 1 && places[0].Waiting > 0 {
		var lines []string
		for _, j := range places {
			line := j.at.line(true)
			if j.Name != "" {
				line = cli.Clean(j.Name) + ", " + line
			}
			if j.Default && len(places) > 1 {
				line += " (default)"
			}
			if j.Waiting > 0 {
				line += ": " + waitingText(j) + a.ours(" waiting, see carekey sync")
			}
			lines = append(lines, line)
		}
		l = strings.Join(lines, "\n")
	}
	rows := cli.Rows{{"home", p.home}, {"profile", a.profile()}, {"wallet", w}, {"ledger", l}}
	a.print("%s", strings.TrimSuffix(about+"\n\n"+rows.Text("  "), "\n"))
	a.print("")
	if p.settings == nil {
		a.print("Next: carekey init --name 'Your name'\nOr see the whole job in a folder of its own: carekey try")
	} else {
		a.print("Next: carekey status\nAll commands: carekey --help")
	}
	return a.result(overviewJSON{p.home, p.at.shown(), list(places, same), a.profile(), p.settings != nil})
}

type overviewJSON struct {
	Home    string      `json:"home"`
	Ledger  string      `json:"ledger"` // the one that is meant
	Ledgers []placeJSON `json:"ledgers"`
	Profile string      `json:"profile"`
	Wallet  bool        `json:"wallet"` // there is one
}
