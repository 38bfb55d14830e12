package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/wallet/passphrase"
)

// passphraseSource is where a passphrase comes from without asking: a file or an
// open descriptor, of which the first line is taken. It is never an argument or a
// variable, which other programs can see.
type passphraseSource struct {
	name string // for people, such as --passphrase-fd
	file string // "" if none
	fd   int    // -1 if none

	mu   sync.Mutex // held while it is read
	read []byte     // a descriptor can be read once; wiped at the end
}

// errPassphraseFile: the file or descriptor with the passphrase cannot be read. name, what
// named it
const errPassphraseFile fault.Code = "passphrase-file"

// maxPassphrase is how long a first line may be, in bytes.
const maxPassphrase = 4096

func (s *passphraseSource) given() bool { return s.file != "" || s.fd >= 0 }

// take returns a copy of the first line, which may end in CR LF. One that is no text is
// not taken: typed elsewhere it would be another passphrase. Of an old key file it may
// be what some editor made of letters, without UTF-8; chosen says that a new one is
// chosen, which may not.
func (s *passphraseSource) take(chosen bool) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read == nil {
		f, err := s.open()
		if err != nil {
			return nil, errPassphraseFile.Of(err, "name", s.name)
		}
		b := make([]byte, maxPassphrase+2) // and CR LF
		defer clear(b)
		n, err := io.ReadFull(text.NewReader(f), b)
		f.Close()
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return nil, errPassphraseFile.Of(err, "name", s.name)
		}
		line, _, _ := bytes.Cut(b[:n], []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) > maxPassphrase { // cut, it would be another passphrase
			return nil, errPassphraseFile.Of(fmt.Errorf("its first line is longer than %d bytes", maxPassphrase), "name", s.name)
		}
		s.read = append([]byte{}, line...)
	}
	if err := text.Check(s.read); err != nil && (chosen || slices.Contains(s.read, 0)) {
		return nil, errPassphraseFile.Of(err, "name", s.name)
	}
	return bytes.Clone(s.read), nil
}

func (s *passphraseSource) open() (*os.File, error) {
	if s.fd < 0 {
		return os.Open(s.file)
	}
	f := os.NewFile(uintptr(s.fd), s.name)
	if f == nil {
		return nil, os.ErrInvalid
	}
	return f, nil
}

// passphrases are those of one run, which may end while the key is still being read ahead.
type passphrases struct {
	mu     sync.Mutex        // held while one is asked for
	held   *passphraseSource // of the key file as it is; nil before it was asked for
	fresh  *passphraseSource // of the key file as it will be, where that is not the same
	chosen []byte            // by the person in this run: it is not asked for again
	warned bool              // that the one given is weak
}

// wipe overwrites what was read. It waits for nobody who still reads: what that one has
// ends with the process.
func (p *passphrases) wipe() {
	if !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	clear(p.chosen)
	for _, s := range []*passphraseSource{p.held, p.fresh} {
		if s != nil && s.mu.TryLock() {
			clear(s.read)
			s.mu.Unlock()
		}
	}
}

// passphrase is that of the key file; confirm says that it is being chosen.
func (a *app) passphrase(ctx context.Context, confirm bool) ([]byte, error) {
	ps := a.passphrases
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.chosen != nil {
		return bytes.Clone(ps.chosen), nil
	}
	if ps.held == nil {
		ps.held = &passphraseSource{name: envPassphrase, file: a.env(envPassphrase), fd: -1}
		if a.flags.passphraseFD >= 0 {
			ps.held = &passphraseSource{name: "--passphrase-fd", fd: a.flags.passphraseFD}
		}
	}
	source := ps.held
	if confirm && ps.fresh != nil {
		source = ps.fresh
	}
	var p []byte
	var err error
	switch {
	case source.given():
		if p, err = cli.UnlessDone(ctx, func() ([]byte, error) { return source.take(confirm) }); err == nil && confirm && len(p) > 0 {
			if bits := passphrase.Strength(p); bits < passphrase.WeakBelow {
				if !ps.warned {
					a.say("The passphrase in %s is weak: about %.0f bits; %s", source.name, bits, guessText(bits))
				}
				ps.warned = true
			}
		}
	case a.ask != nil && !confirm:
		return a.ask("Passphrase of your carekey wallet")
	case !a.interactive():
		return nil, errNeed.With("what", "the passphrase of your key file", "flag", source.flag())
	case confirm:
		a.say("Choose a passphrase for your key file. Six words by chance are a strong one, such as\n  %s", suggestion())
		p, err = ui.Passphrase(a.in, a.err, "New passphrase for your carekey wallet", true, func(p []byte) string {
			return "That is " + strengthText(passphrase.Strength(p))
		})
	default:
		p, err = ui.Passphrase(a.in, a.err, "Passphrase of your carekey wallet", false, nil)
	}
	if err == nil && confirm {
		clear(ps.chosen)
		ps.chosen = bytes.Clone(p)
	}
	return p, err
}

// flag names what would have answered.
func (s *passphraseSource) flag() string {
	if s.name == envPassphrase {
		return "the environment variable " + envPassphrase + ", or --passphrase-fd N"
	}
	return s.name
}

// suggestion is a passphrase of 66 random bits.
func suggestion() string {
	words := crypto.NewEntropy().Words()[:6]
	return strings.Join(words, " ")
}

// strengthText puts a strength into words.
func strengthText(bits float64) string {
	about := fmt.Sprintf("about %.0f bits", bits)
	if bits >= passphrase.StrongFrom {
		return about + ": strong."
	}
	if bits >= passphrase.WeakBelow {
		return about + ": fair;\n" + guessText(bits)
	}
	return about + ": weak;\n" + guessText(bits)
}

// guessText says how long a passphrase of that strength resists.
func guessText(bits float64) string {
	return "whoever copies the file and rents a thousand machines finds it " + foundIn(math.Exp2(bits-1)/passphrase.GuessesPerSecond) + "."
}

// foundIn puts a number of seconds into words.
func foundIn(seconds float64) string {
	const hour, day, year = 3600, 24 * 3600, 365 * 24 * 3600
	switch {
	case seconds < 60:
		return "at once"
	case seconds < hour:
		return "within the hour"
	case seconds < 2*day:
		return fmt.Sprintf("within %.0f hours", math.Ceil(seconds/hour))
	case seconds < year:
		return fmt.Sprintf("within %.0f days", math.Ceil(seconds/day))
	case seconds < 1000*year:
		return fmt.Sprintf("within %.0f years", math.Ceil(seconds/year))
	}
	return "within thousands of years"
}
