// Command carekey-ledger-cometbft keeps the order of a ledger together with other
// institutions: it is a validator of CometBFT, and the program that carekey starts for the
// URL cometbft:DIR.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/carekey/carekey/cmd/version"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient/cometbft"
)

const usage = `carekey-ledger-cometbft keeps the order of a ledger together with other institutions.

  carekey-ledger-cometbft init DIR --draft FILE --node DIR [--listen HOST:PORT] [--peer NAME=HOST:PORT]...
      make the folder of this institution's validator, of the ledger in a draft (see:
      carekey-node help found). --node is the folder with this institution's keys. The
      validators of the others are looked for at the hosts of their nodes, port ` + cometbft.DefaultPort + `,
      if --peer does not say otherwise
  carekey-ledger-cometbft serve DIR [--wait DURATION] [--debug]
      be the validator until told to stop; --wait is how long what is to be ordered
      waits for the others (10s)
  carekey-ledger-cometbft status DIR [--json]
      say who decides, and who is missing since when
  carekey-ledger-cometbft --version
      say its version, commit and date

Without arguments it is what carekey starts for the URL cometbft:DIR, where a validator
runs on DIR.
`

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// clock is that of the validator; nil: that of the computer. Only the test's own main knows
// another one.
var clock func() time.Time

// Exit codes: 0, 1 for what failed, 2 for what was said wrongly.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	err := do(args, in, out, errs)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintln(errs, "carekey-ledger-cometbft:", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

var errUsage = errors.New("see carekey-ledger-cometbft help")

func do(args []string, in io.Reader, out, errs io.Writer) error {
	if len(args) == 0 {
		return cometbft.Program(in, out)
	}
	verb := args[0]
	if verb == "--version" || verb == "version" {
		_, err := fmt.Fprintln(out, "carekey-ledger-cometbft", version.Line())
		return err
	}
	if verb == "help" || verb == "-h" || verb == "--help" {
		_, err := io.WriteString(out, usage)
		return err
	}
	if len(args) < 2 || strings.HasPrefix(args[1], "-") {
		return fmt.Errorf("%w: a verb, and the folder of a validator", errUsage)
	}
	dir := args[1]
	f := flag.NewFlagSet(verb, flag.ContinueOnError)
	f.SetOutput(errs)
	f.Usage = func() { io.WriteString(errs, usage) }
	parse := func() error {
		err := f.Parse(args[2:])
		if err != nil && !errors.Is(err, flag.ErrHelp) || err == nil && f.NArg() > 0 {
			return fmt.Errorf("%w (%v)", errUsage, err)
		}
		return err
	}
	switch verb {
	case "init":
		s := cometbft.Settings{Peers: map[string]string{}}
		draft := f.String("draft", "", "")
		f.StringVar(&s.Node, "node", "", "")
		f.StringVar(&s.Listen, "listen", ":"+cometbft.DefaultPort, "")
		f.Func("peer", "", func(text string) error {
			name, address, ok := strings.Cut(text, "=")
			if !ok {
				return errors.New("want NAME=HOST:PORT")
			}
			s.Peers[name] = address
			return nil
		})
		if err := parse(); err != nil {
			return err
		}
		if *draft == "" || s.Node == "" {
			return fmt.Errorf("%w: init needs --draft and --node", errUsage)
		}
		text, err := os.ReadFile(*draft)
		if err != nil {
			return err
		}
		s.Draft = string(text)
		if err := cometbft.Init(dir, s); err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "The validator is in %s. Next: carekey-ledger-cometbft serve %s\n", dir, dir)
		return err
	case "serve":
		wait := f.Duration("wait", cometbft.DefaultPatience, "")
		debug := f.Bool("debug", false, "")
		if err := parse(); err != nil {
			return err
		}
		o, err := cometbft.ReadOptions(dir)
		if err != nil {
			return err
		}
		o.Patience, o.Clock = *wait, clock
		level := slog.LevelInfo
		if *debug {
			level = slog.LevelDebug
		}
		o.Log = slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: level}))
		return serve(dir, o, out)
	case "status":
		asJSON := f.Bool("json", false, "")
		if err := parse(); err != nil {
			return err
		}
		s, err := cometbft.StatusOf(dir)
		if err != nil {
			return err
		}
		if *asJSON {
			return json.NewEncoder(out).Encode(s)
		}
		_, err = fmt.Fprintf(out, "%s\n%d items in %d blocks\n", s.Words, s.Items, s.Blocks)
		return err
	}
	return fmt.Errorf("%w: there is no verb %q", errUsage, verb)
}

// serve is a validator until the process is told to stop.
func serve(dir string, o cometbft.Options, out io.Writer) error {
	if os.Getenv("GOMAXPROCS") == "" {
		// Every few milliseconds the engine looks for each peer whether there is something for it.
		// With one core each look takes half as much as where it wakes the others; and what
		// there is to compute fills no more than one.
		runtime.GOMAXPROCS(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	e, err := cometbft.Start(o)
	if err != nil {
		return err
	}
	l, err := cometbft.Listen(dir)
	if err != nil {
		return errors.Join(err, e.Stop())
	}
	served := make(chan error, 1)
	go func() {
		defer crash.Report()
		served <- e.Serve(l)
	}()
	fmt.Fprintln(out, "serving", dir)
	select {
	case <-ctx.Done():
	case err = <-e.Failed():
	case err = <-served:
	}
	l.Close()
	return errors.Join(err, e.Stop())
}
