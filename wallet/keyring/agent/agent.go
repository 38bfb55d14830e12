// Package agent holds the key of one key file unlocked for a time: a process of the same
// program, which is started by who has opened the file and asked for its passphrase, and
// performs uses of the key for other processes of the same user. It runs on Linux and
// macOS.
//
// # What it has, and what it gives
//
// The agent is given the root by a pipe, and only then listens. It never has the passphrase
// or the 24 words: the root does not lead back to them. What it hands out is what
// [crypto.AskKeys] lists, and never the root: who asked while it ran keeps the key of the
// wallet's folder, the one of its self-tags and the seeds of entries that he asked about,
// and after its end can sign nothing as its owner and open nothing that is sealed for her.
//
// Whoever runs as the same user can ask. The agent looks at the uid of who connects, the
// client at the uid of who listens; neither says anything of the program behind it.
//
// # Where it is
//
// Its socket is in a folder of mode 0700 that the user owns, on a local file system: carekey
// in XDG_RUNTIME_DIR, or without that agent in the home; never in a folder for temporary
// files. The path is resolved first, so that no link is in it.
//
// # When it ends
//
// It looks before each answer, and each second: at its end, by the clock of the day and by
// the one that runs while the machine sleeps; whether the machine slept; whether its socket
// is still the one that it made, which a logout removes and another agent replaces; whether
// the key file is still the one that was opened, and has the time that it had. Who locks the
// file, or unlocks it anew, gives it another time: the agent of a session with another
// folder, which is not to be found, ends so too. It ends also when it is asked to, and with
// SIGHUP, SIGTERM and SIGINT.
//
// # Memory
//
// The root comes into one page that is locked against swapping, or the agent does not start,
// and on Linux is in no core file. There it becomes what HKDF begins with, and is
// overwritten; what is about to be handed out lies there too. What follows from it is
// derived for each use and overwritten after it. Hibernation and snapshots of a virtual
// machine write all memory: that is not kept from them.
//
// # The protocol
//
// A client begins with magic ‖ version1 ‖ wallet32, the agent answers magic ‖ version1 ‖
// state1 ‖ until8, seconds since 1970. Magic and version stay the same in every version. Then
// each request and each answer is length1 ‖ bytes. A request is one of package crypto's, or
// the one byte that asks the agent to end; an empty answer says that it has ended.
package agent

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// ErrNotUnlocked: no agent can be used, or could be started.
const (
	ErrNotUnlocked fault.Code = "not-unlocked"               // there is none
	ErrPlace       fault.Code = "not-unlocked/place"         // the place of its socket cannot be used. why; runtime or home, which of Place it is in; open, the folder if it is open to others
	ErrForeign     fault.Code = "not-unlocked/foreign"       // another user listens there
	ErrSilent      fault.Code = "not-unlocked/silent"        // it gives no answer, or none that can be read
	ErrFull        fault.Code = "not-unlocked/full"          // it serves as many as it can
	ErrVersion     fault.Code = "not-unlocked/version"       // it is of another version of this program
	ErrOther       fault.Code = "not-unlocked/other"         // it holds another key, or the file was changed
	ErrMemory      fault.Code = "not-unlocked/memory"        // the system does not lock memory. why
	ErrSystem      fault.Code = "not-unlocked/system"        // there is none on this system
	ErrStart       fault.Code = "not-unlocked/start"         // it could not be started. why
	ErrFor         fault.Code = "not-unlocked/too-long"      // or too short. most
	ErrLeft        fault.Code = "not-unlocked/left"          // it was to end and gave no answer; nobody finds it any more
	ErrElsewhere   fault.Code = "not-unlocked/other-session" // there is none here; one of another session may go on, since the key file takes no other time. why
)

// MaxFor is how long a key can be held at most.
const MaxFor = 24 * time.Hour

const (
	magic   = "carekey-agent"
	version = 1

	askEnd = 0xff // the request that asks it to end

	// clients are how many can be connected at once: each has a place in the one page.
	clients = 14
	slot    = 1 + crypto.MaxKeyMessage
	memory  = crypto.HeldMemory + clients*slot // the page

	beside    = ".new"            // what the socket is called before it has its place
	maxSocket = 103 - len(beside) // bytes of a path that every system takes
	maxKey    = 4096              // bytes of a key file
)

// A Place says where the agent of a key file is to be found.
type Place struct {
	Runtime string // folder for what lives as long as the session, XDG_RUNTIME_DIR; "" if there is none
	Home    string // of the program
	KeyFile string
	Item    string // name of the key in the keyring

	// Patience is how long an agent may take to answer, and waits for who asks; 0 is 5
	// seconds.
	Patience time.Duration
}

func (p Place) patience() time.Duration { return cmp.Or(p.Patience, 5*time.Second) }

// wallet names the key file as it is.
func (p Place) wallet() (w [32]byte, err error) {
	b, err := disk.ReadFile(p.KeyFile, maxKey)
	if err != nil {
		return w, err
	}
	return crypto.TaggedHash(crypto.TagHeldKey, []byte(p.Item), []byte{0}, b), nil
}

// touch gives a key file a time that it did not have: every agent that holds its key ends
// before it answers again.
func touch(keyFile string) error {
	was, err := os.Lstat(keyFile)
	if err != nil {
		return err
	}
	at := time.Now()
	const coarse = 2 * time.Second // some file systems keep times so
	if at.Sub(was.ModTime()).Abs() < coarse {
		at = was.ModTime().Add(coarse)
	}
	return os.Chtimes(keyFile, time.Time{}, at)
}

// unfit says why there can be no socket; open is a folder that is open to others.
func (p Place) unfit(why, open string) error {
	return ErrPlace.With("why", why, "runtime", p.Runtime != "", "home", p.Runtime == "", "open", open)
}

// socket is the path of the socket, in a folder that is fit for it.
func (p Place) socket(prepare bool) (string, error) {
	if !supported {
		return "", ErrSystem
	}
	base, name := p.Runtime, "carekey"
	if base == "" {
		base, name = p.Home, "agent"
	}
	unfit := func(why string) error { return p.unfit(why, "") }
	base, err := filepath.EvalSymlinks(base)
	if err == nil && !filepath.IsAbs(base) {
		return "", unfit(base + " is not the whole path of a folder")
	}
	if errors.Is(err, fs.ErrNotExist) && !prepare {
		return "", ErrNotUnlocked
	}
	if err != nil {
		return "", unfit(err.Error())
	}
	dir := filepath.Join(base, name)
	if prepare {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", unfit(err.Error())
		}
	}
	switch i, err := os.Lstat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return "", ErrNotUnlocked
	case err != nil:
		return "", unfit(err.Error())
	case !i.IsDir():
		return "", unfit(dir + " is no folder")
	case owner(i) != os.Getuid():
		return "", unfit(dir + " belongs to another user")
	case i.Mode().Perm() != 0o700:
		return "", p.unfit(dir+" is open to others", dir)
	}
	if kind, err := disk.NetworkFS(dir); err != nil {
		return "", unfit(err.Error())
	} else if kind != "" {
		return "", unfit(dir + " is on a network file system (" + kind + ")")
	}
	name = crypto.TaggedHash(crypto.TagHeldKey, []byte(p.Item)).String()
	path := filepath.Join(dir, name[:16])
	if len(path) > maxSocket {
		return "", unfit(dir + " is too long a path for a socket")
	}
	return path, nil
}

// opening is what a client begins with.
type opening struct {
	version uint8
	wallet  [32]byte
}

func (o *opening) fields(c *codec.Codec) {
	magical(c)
	codec.Int(c, &o.version)
	c.Bytes(o.wallet[:])
}

const openingSize = len(magic) + 1 + 32

// greeting is the agent's answer to it.
type greeting struct {
	version uint8
	state   uint8
	until   uint64
}

func (g *greeting) fields(c *codec.Codec) {
	magical(c)
	codec.Int(c, &g.version)
	codec.Int(c, &g.state)
	codec.Int(c, &g.until)
}

const greetingSize = len(magic) + 1 + 1 + 8

// States of a greeting.
const (
	welcome = iota
	otherWallet
	full
	ended
)

func magical(c *codec.Codec) {
	m := []byte(magic)
	c.Bytes(m)
	c.Check(bytes.Equal(m, []byte(magic)))
}
