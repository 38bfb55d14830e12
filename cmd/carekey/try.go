package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/testdata"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/spf13/cobra"
)

func newTry(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "try [FILE]",
		Short: "See the whole job, from two new wallets to a refused fetch, in a new folder",
		Long: `Play the whole job in a new folder: a patient and a clinic make wallets, the patient
grants FILE (by default a made-up FHIR bundle) for thirty days, the clinic fetches it,
the patient sees that and revokes, and the next fetch is refused. Each line is a real
command, run as a process of its own, that you can paste. Your own wallet is not
touched. Anything that is not as it should be ends with a code other than 0.`,
		Args: cli.Takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := ""
			if len(args) == 1 {
				file = args[0]
			}
			return a.try(cmd.Context(), file)
		},
	}
}

// step is one line of the play. In args, $(cat NAME) stands for the content of a
// file that an earlier step wrote.
type step struct {
	say  string   // what happens, for people; may be empty
	who  string   // "patient" or "clinic": whose home
	args []string // of carekey; if who is empty, of cmp
	to   string   // file that takes stdout; "" shows it
	exit int      // what it must end with
}

// trySteps are the whole job. file is the record's name in the folder.
func trySteps(file string) []step {
	return []step{
		{say: "Maria, the patient, and Dr Smith's clinic make wallets on one ledger, a folder.",
			who: "patient", args: []string{"init", "--name", "Maria", "--new-ledger", "--words-file", "patient.words"}, to: "patient.address"},
		{who: "clinic", args: []string{"init", "--name", "Dr Smith", "--words-file", "clinic.words"}, to: "clinic.address"},
		{say: "They exchange addresses. Maria compares the check words with Dr Smith over the phone.",
			who: "patient", args: []string{"contact", "add", "Dr Smith", "$(cat clinic.address)"}},
		{who: "patient", args: []string{"contact", "verify", "Dr Smith", "--yes"}},
		{who: "clinic", args: []string{"contact", "add", "Maria", "$(cat patient.address)"}},
		{say: "Maria encrypts a record and grants it for thirty days.",
			who: "patient", args: []string{"record", "add", file, "--title", "My health record", "--category", "documents"}, to: "record"},
		{who: "patient", args: []string{"grant", "--to", "Dr Smith", "--record", "$(cat record)", "--for", "30d", "--yes"}, to: "code"},
		{say: "Dr Smith finds it and fetches it; the bytes are the same.",
			who: "clinic", args: []string{"inbox"}},
		{who: "clinic", args: []string{"fetch", "$(cat code)", "--reason", "check-up on Monday", "-o", "fetched"}, to: "fetched.name"},
		{args: []string{file, "$(cat fetched.name)"}},
		{say: "Maria sees who opened it and why, and revokes.",
			who: "patient", args: []string{"audit"}},
		{who: "patient", args: []string{"revoke", "--to", "Dr Smith", "--yes"}},
		{say: "Dr Smith's next fetch is refused, and Maria sees that he tried.",
			who: "clinic", args: []string{"fetch", "$(cat code)", "-o", "again"}, exit: exitRefused},
		{who: "patient", args: []string{"audit"}},
		{say: "Every byte of the ledger is checked.",
			who: "patient", args: []string{"ledger", "verify"}},
	}
}

// errTry: a step of the play did not end as it should. line, why
const errTry fault.Code = "unexpected/try"

// play runs steps in a folder.
type play struct {
	dir     string
	program string   // path of the copied program
	env     []string // of its processes
	out     io.Writer
}

func (a *app) try(ctx context.Context, file string) error {
	dir, err := os.MkdirTemp("", "carekey-try-")
	if err != nil {
		return err
	}
	p := &play{dir: dir, out: a.out}
	if a.flags.json {
		p.out = io.Discard
	}
	name, err := p.prepare(file)
	if err != nil {
		os.RemoveAll(dir)
		return err
	}
	p.printf("%s", p.prologue())
	steps := trySteps(name)
	for _, s := range steps {
		if err := p.run(ctx, s); err != nil {
			if ctx.Err() != nil {
				return err
			}
			return fmt.Errorf("%w\nThe folder is kept: %s", err, dir)
		}
	}
	if a.flags.json {
		return a.printJSON(struct {
			OK     bool   `json:"ok"`
			Steps  int    `json:"steps"`
			Folder string `json:"folder"`
		}{true, len(steps), dir})
	}
	p.printf("%s", p.epilogue(len(steps)))
	return nil
}

// prepare copies the program and the record into the folder, and makes the
// passphrase of both wallets.
func (p *play) prepare(file string) (name string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	p.program = filepath.Join(p.dir, "carekey")
	if runtime.GOOS == "windows" {
		p.program += ".exe"
	}
	if err := copyFile(p.program, self, 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(p.dir, "passphrase"), []byte(rand.Text()+"\n"), 0o600); err != nil {
		return "", err
	}
	name = testdata.BundleName
	if file == "" {
		err = os.WriteFile(filepath.Join(p.dir, name), testdata.Bundle, 0o600)
	} else {
		name = wallet.SafeName(filepath.Base(file), [32]byte{})
		err = copyFile(filepath.Join(p.dir, name), file, 0o600)
	}
	for _, kv := range os.Environ() {
		switch k, _, _ := strings.Cut(kv, "="); k {
		case envHome, envProfile, envLedger, envKeyring, envPassphrase:
		default:
			p.env = append(p.env, kv)
		}
	}
	for _, kv := range p.settings() {
		p.env = append(p.env, kv[0]+"="+kv[1])
	}
	return name, err
}

// settings are what both actors have in common.
func (p *play) settings() [][2]string {
	return [][2]string{
		{envLedger, filepath.Join(p.dir, "ledger")},
		{envKeyring, keyring.KindFile},
		{envPassphrase, filepath.Join(p.dir, "passphrase")},
	}
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

func (p *play) prologue() string {
	s := "# Everything happens in a new folder. The lines that are not indented can be pasted\n# into a shell; what they print is indented.\n" + p.line("cd", cli.Quote(p.dir))
	for _, kv := range p.settings() {
		s += p.line("export", kv[0]+"="+cli.Quote(kv[1]))
	}
	return s
}

// line is one line for a shell.
func (p *play) line(words ...string) string { return strings.Join(words, " ") + "\n" }

// run prints one step, runs it as a process of its own and compares its end with
// what it should be.
func (p *play) run(ctx context.Context, s step) error {
	if s.say != "" {
		p.printf("\n# %s\n", s.say)
	}
	line := p.shell(s)
	p.printf("%s", line)
	failed := func(why string) error {
		return errTry.With("line", strings.TrimSuffix(line, "\n"), "why", why)
	}
	args, err := p.expand(s.args)
	if err != nil {
		return failed(err.Error())
	}
	if s.who == "" {
		same, err := p.same(args[0], args[1])
		if err != nil || !same {
			return failed("the bytes differ")
		}
		return nil
	}
	cmd := exec.CommandContext(ctx, p.program, args...)
	cmd.Dir = p.dir
	cmd.Env = append(p.env[:len(p.env):len(p.env)], envHome+"="+s.who)
	var stdout bytes.Buffer
	clean := cli.NewCleanWriter(&indented{w: p.out})
	cmd.Stderr = clean
	cmd.Stdout = clean
	if s.to != "" {
		cmd.Stdout = &stdout
	}
	err = cmd.Run()
	clean.Flush()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return failed(err.Error())
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if code := cmd.ProcessState.ExitCode(); code != s.exit {
		return failed(fmt.Sprintf("exit code %d, not %d", code, s.exit))
	}
	if s.exit != 0 {
		p.printf("    (exit code %d, as it should be)\n", s.exit)
	}
	if s.to != "" {
		return os.WriteFile(filepath.Join(p.dir, s.to), stdout.Bytes(), 0o600)
	}
	return nil
}

// indented sets what a program prints apart from the lines that ran it.
type indented struct {
	w    io.Writer
	open bool // a line has begun
}

func (i *indented) Write(b []byte) (int, error) {
	var out bytes.Buffer
	for _, c := range b {
		if !i.open && c != '\n' {
			out.WriteString("    ")
		}
		i.open = c != '\n'
		out.WriteByte(c)
	}
	_, err := i.w.Write(out.Bytes())
	return len(b), err
}

// shell is the line that a person would type.
func (p *play) shell(s step) string {
	var words []string
	if s.who == "" {
		words = append(words, "cmp")
	} else {
		words = append(words, envHome+"="+s.who, "./"+filepath.Base(p.program))
	}
	for _, a := range s.args {
		if strings.HasPrefix(a, "$(") {
			words = append(words, `"`+a+`"`)
		} else {
			words = append(words, cli.Quote(a))
		}
	}
	if s.to != "" {
		words = append(words, ">", s.to)
	}
	return p.line(words...)
}

// expand puts the content of files in the place of $(cat FILE), as a shell would.
func (p *play) expand(args []string) ([]string, error) {
	out := make([]string, len(args))
	for i, a := range args {
		name, ok := strings.CutPrefix(a, "$(cat ")
		if !ok {
			out[i] = a
			continue
		}
		b, err := os.ReadFile(filepath.Join(p.dir, strings.TrimSuffix(name, ")")))
		if err != nil {
			return nil, err
		}
		out[i] = strings.TrimRight(string(b), "\n")
	}
	return out, nil
}

func (p *play) same(a, b string) (bool, error) {
	x, err := os.ReadFile(filepath.Join(p.dir, a))
	if err != nil {
		return false, err
	}
	y, err := os.ReadFile(filepath.Join(p.dir, b))
	return bytes.Equal(x, y), err
}

func (p *play) epilogue(n int) string {
	home := func(who string) string {
		words := []string{"export", envHome + "=" + cli.Quote(filepath.Join(p.dir, who))}
		for _, kv := range p.settings() {
			words = append(words, kv[0]+"="+cli.Quote(kv[1]))
		}
		return "  " + strings.Join(words, " ") + "\n"
	}
	return fmt.Sprintf("\n# All %d lines ended as they should. The folder is kept; delete it when you like.\n# To go on as Maria, or as the clinic, paste one of these two lines and use %s:\n",
		n, cli.Quote(p.program)) + home("patient") + home("clinic")
}
