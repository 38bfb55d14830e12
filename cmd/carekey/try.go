package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/testdata"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/spf13/cobra"
)

func newTry(a *app) *cobra.Command {
	folder := ""
	c := &cobra.Command{
		Use:   "try [FILE]",
		Short: "See the whole job, from two new wallets to a refused fetch, in a new folder",
		Long: `Play the whole job in a new folder: a patient and a clinic make wallets, the patient
grants FILE (by default a made-up FHIR bundle) for thirty days, the clinic fetches it,
the patient sees that and revokes, and the next fetch is refused. Each line is a real
command, run as a process of its own, that you can paste. Your own wallet is not
touched. Anything that is not as it should be ends with a code other than 0.

The ledger is a folder there. With --ledger it is the one that you name, be it with an
invitation: what is written to it stays there. With --folder all of it happens in that
folder, and with the wallets of an earlier try if it has them.`,
		Example: "  carekey try\n  carekey try --ledger @invitation.png\n  carekey try --folder trial",
		Args:    cli.Takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := ""
			if len(args) == 1 {
				file = args[0]
			}
			return a.try(cmd.Context(), file, folder)
		},
	}
	c.Flags().StringVar(&folder, "folder", "", "the `FOLDER` in which all of it happens")
	return c
}

// tryLines are the whole job. A line begins with whose home it is run in, or is a comparison
// of two files; FILE stands for the record's name, and after "exit" is what it must end with.
const tryLines = tryBegin + `# They exchange addresses. Maria compares the check words with Dr Smith over the phone.
patient contact add 'Dr Smith' "$(cat clinic.address)"
patient contact verify 'Dr Smith' --yes
clinic contact add Maria "$(cat patient.address)"
` + tryAgain

// tryBegin makes the wallets, on a ledger that is made too. On one that is there already, as
// LEDGER names it, it is tryJoin.
const (
	tryBegin = `# Maria, the patient, and Dr Smith's clinic make wallets on one ledger, a folder.
patient init --name Maria --new-ledger --words-file patient.words > patient.address
clinic init --name 'Dr Smith' --words-file clinic.words > clinic.address
`
	tryJoin = `# Maria, the patient, and Dr Smith's clinic make wallets on the ledger that was named.
patient init --name Maria --ledger LEDGER --words-file patient.words > patient.address
clinic init --name 'Dr Smith' --ledger LEDGER --words-file clinic.words > clinic.address
`
)

// tryAgain is what wallets that are there already can do any number of times.
const tryAgain = `# Maria encrypts a record, looks at what is in it, and grants all of it for thirty days.
patient record add FILE --title 'My health record' --category documents > record
patient record show "$(cat record)"
patient grant --to 'Dr Smith' --record "$(cat record)" --whole --for 30d --yes > code
# Dr Smith finds it and fetches it; the bytes are the same.
clinic inbox
clinic fetch "$(cat code)" --reason 'check-up on Monday' -o fetched > fetched.name
cmp FILE "$(cat fetched.name)"
# Maria sees who opened it and why, and revokes.
patient audit
patient revoke --to 'Dr Smith' --yes
# Dr Smith's next fetch is refused, and Maria sees that he tried.
clinic fetch "$(cat code)" -o again # exit 3
patient audit
# Every byte of the ledger is checked.
patient ledger verify`

// errTry: a line of the play did not end as it should. line, why
const errTry fault.Code = "unexpected/try"

// play runs lines in a folder.
type play struct {
	dir     string
	program string   // path of the copied program
	file    string   // name of the record in the folder
	ledger  string   // as a word of a line; "" for one that is made too, or was
	again   bool     // the wallets are there
	env     []string // what is set for all of its processes
	out     io.Writer
}

// In the folder of a play are besides the program, the record and the wallets' homes:
const (
	tryPassphrase = "passphrase"     // of both wallets
	tryLedger     = "ledger.name"    // the ledger that was named
	tryMade       = "clinic.address" // written when both wallets are made
)

func (a *app) try(ctx context.Context, file, folder string) (err error) {
	p := &play{dir: folder, out: a.out}
	if a.flags.json {
		p.out = io.Discard
	}
	if folder == "" {
		if p.dir, err = os.MkdirTemp("", "carekey-try-"); err != nil {
			return err
		}
	} else if err := p.use(folder); err != nil {
		return err
	}
	if err = p.on(a); err == nil {
		err = p.prepare(file)
	}
	if err != nil {
		if folder == "" {
			os.RemoveAll(p.dir)
		}
		return err
	}
	where := "a new folder"
	if p.again {
		where = "the folder of an earlier try"
	}
	p.printf("# Everything happens in %s. The lines that are not indented can be pasted\n# into a shell; what they print is indented.\ncd %s\n", where, cli.Quote(p.dir))
	for _, set := range p.env {
		p.printf("export %s\n", cli.Quote(set))
	}
	lines := tryLines
	switch {
	case p.again:
		lines = tryAgain
	case p.ledger != "":
		lines = strings.Replace(tryLines, tryBegin, strings.ReplaceAll(tryJoin, "LEDGER", p.ledger), 1)
	}
	if _, err := os.Lstat(filepath.Join(p.dir, tryLedger)); err == nil { // somebody who is asked may be away
		lines = strings.ReplaceAll(lines, "\npatient audit\n", "\npatient audit # exit 0 or 8\n")
	}
	steps := 0
	for line := range strings.Lines(lines) {
		if strings.HasPrefix(line, "#") {
			p.printf("\n%s", line)
			continue
		}
		if err := p.run(ctx, strings.TrimSpace(line)); err != nil && ctx.Err() == nil {
			return fmt.Errorf("%w\nThe folder is kept: %s", err, p.dir)
		} else if err != nil {
			return err
		}
		steps++
	}
	p.printf("\n# All %d lines ended as they should.\n# The folder is kept; delete it when you like.\n# To go on as Maria, or as the clinic, paste one of these two lines and use %s:\n", steps, cli.Quote(p.program))
	for _, who := range []string{"patient", "clinic"} {
		p.printf("  export %s\n", strings.Join(list(append([]string{envHome + "=" + filepath.Join(p.dir, who)}, p.env...), cli.Quote), " "))
	}
	return a.result(triedJSON{p.dir, true, steps})
}

type triedJSON struct {
	Folder string `json:"folder"`
	OK     bool   `json:"ok"`
	Steps  int    `json:"steps"`
}

// use takes a folder that was named: a new or an empty one, or that of an earlier try.
func (p *play) use(folder string) (err error) {
	if p.dir, err = filepath.Abs(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(p.dir, tryMade)); err == nil {
		p.again = true
		return nil
	}
	there, err := os.ReadDir(p.dir)
	if err == nil && len(there) > 0 {
		err = usage("there is something else in "+p.dir+" than an earlier try", "name a new folder")
	}
	return err
}

// on takes the ledger that was named, if one was: not in the environment, which is about the
// user's own wallet.
func (p *play) on(a *app) error {
	p.env = []string{envLedger + "=", envKeyring + "=" + keyring.KindFile, envPassphrase + "=" + filepath.Join(p.dir, tryPassphrase)}
	switch {
	case a.flags.ledger == "" && !p.again:
		p.env[0] += filepath.Join(p.dir, "ledger")
	case a.flags.ledger == "":
	case p.again:
		return usage("the wallets in "+p.dir+" have their ledger", "leave out --ledger, or name another folder")
	default:
		named, err := a.place()
		if err != nil {
			return err
		}
		if p.ledger = `"$(cat ` + tryLedger + `)"`; named.at.node != nil && named.at.order == "" { // it may have a token, which no list of processes is to show
			p.ledger = "@" + tryLedger
		}
		return os.WriteFile(filepath.Join(p.dir, tryLedger), []byte(named.at.kept("")+"\n"), 0o600)
	}
	return nil
}

// prepare copies the program and the record into the folder, and makes the
// passphrase of both wallets.
func (p *play) prepare(file string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p.program = filepath.Join(p.dir, "carekey")
	if runtime.GOOS == "windows" {
		p.program += ".exe"
	}
	if p.again {
		if err := os.Remove(p.program); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	} else if err := os.WriteFile(filepath.Join(p.dir, tryPassphrase), []byte(rand.Text()+"\n"), 0o600); err != nil {
		return err
	}
	if err := copyFile(p.program, self, 0o700); err != nil {
		return err
	}
	if p.file = testdata.BundleName; file == "" {
		return os.WriteFile(filepath.Join(p.dir, p.file), testdata.Bundle, 0o600)
	}
	p.file = wallet.SafeName(filepath.Base(file), [32]byte{})
	to := filepath.Join(p.dir, p.file)
	if p.again && sameBytes(to, file) == nil {
		return nil
	}
	return copyFile(to, file, 0o600)
}

func copyFile(to, from string, mode os.FileMode) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

func (p *play) printf(format string, args ...any) { fmt.Fprintf(p.out, format, args...) }

// run prints one line as a person would type it, runs it as a process of its own and
// compares its end with what it should be.
func (p *play) run(ctx context.Context, line string) error {
	line, exit, _ := strings.Cut(line, " # exit ")
	who, rest, _ := strings.Cut(line, " ")
	shown := strings.ReplaceAll(rest, "FILE", cli.Quote(p.file))
	if shown = who + " " + shown; who != "cmp" {
		shown = envHome + "=" + who + " ./" + filepath.Base(p.program) + strings.TrimPrefix(shown, who)
	}
	p.printf("%s\n", shown)
	rest, to, _ := strings.Cut(rest, " > ")
	args, err := p.words(rest)
	var out, stdout bytes.Buffer
	if err == nil && who == "cmp" {
		err = sameBytes(filepath.Join(p.dir, args[0]), filepath.Join(p.dir, args[1]))
	} else if err == nil {
		cmd := exec.CommandContext(ctx, p.program, args...)
		cmd.Dir = p.dir
		cmd.Env = slices.Concat(os.Environ(), p.env, []string{envProfile + "=", envHome + "=" + who})
		cmd.Stdout, cmd.Stderr = &out, &out
		if to != "" {
			cmd.Stdout = &stdout
		}
		err = cmd.Run()
		p.printf("%s", lineBegin().ReplaceAllString(cli.CleanText(out.String()), "    $0"))
		if is[*exec.ExitError](err) || err == nil {
			want := cmp.Or(exit, "0")
			err = nil
			switch code := strconv.Itoa(cmd.ProcessState.ExitCode()); {
			case !slices.Contains(strings.Split(want, " or "), code):
				err = fmt.Errorf("exit code %s, not %s", code, want)
			case code == want && code != "0":
				p.printf("    (exit code %s, as it should be)\n", code)
			case code != "0":
				p.printf("    (exit code %s: it says what it could not ask for)\n", code)
			}
		}
	}
	if err == nil && to != "" {
		err = os.WriteFile(filepath.Join(p.dir, to), stdout.Bytes(), 0o600)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return errTry.With("line", shown, "why", err.Error())
	}
	return nil
}

var (
	lineBegin = cli.Pattern("(?m)^.")
	shellWord = cli.Pattern(`'([^']*)'|"\$\(cat ([a-z.]+)\)"|\S+`)
)

// words are those of a line, with the content of a file in the place of $(cat NAME), as a
// shell would have it.
func (p *play) words(line string) (words []string, err error) {
	for _, m := range shellWord().FindAllStringSubmatch(line, -1) {
		word := m[0]
		switch {
		case m[1] != "":
			word = m[1]
		case m[2] != "":
			b, err := os.ReadFile(filepath.Join(p.dir, m[2]))
			if err != nil {
				return nil, err
			}
			word = strings.TrimRight(string(b), "\n")
		case word == "FILE":
			word = p.file
		}
		words = append(words, word)
	}
	return words, nil
}

// sameBytes is an error if two files differ.
func sameBytes(a, b string) error {
	x, err := os.ReadFile(a)
	if err != nil {
		return err
	}
	y, err := os.ReadFile(b)
	if err == nil && !bytes.Equal(x, y) {
		err = errors.New("the bytes differ")
	}
	return err
}
