package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/witness"
	"github.com/carekey/carekey/wallet/atomicfile"
	"github.com/spf13/cobra"
)

// A witness's folder: its key; of each ledger, by its id, where it is and the checkpoint
// that was cosigned last.
const (
	witnessFile   = "witness.json"
	witnessLock   = "witness.lock" // held by who serves
	ledgerSuffix  = ".ledger"
	headSuffix    = ".head"
	nothingSigned = "none\n" // in the place of a checkpoint

	// learnEvery is how often a witness asks a ledger's node which nodes there are, when
	// somebody shows a head that none of those it knows has signed.
	learnEvery = 10 * time.Second
)

const (
	// errLost: a witness does not know any more what it cosigned. path
	errLost fault.Code = "witness-lost"
	// errWitnessNamed: a witness has another name. name
	errWitnessNamed fault.Code = "other-name/witness"
)

type witnessOptions struct {
	dir, name, listen string
	ledgers           []string
}

func newWitness(a *app) *cobra.Command {
	var o witnessOptions
	c := &cobra.Command{
		Use:   "witness DIR [--name NAME] [--ledger INVITATION]",
		Short: "Cosign the heads of ledgers that others run",
		Long: `Run a witness: somebody outside a ledger's network who remembers its newest head, and
cosigns only what begins with it. Wallets that name this witness then see when the
nodes show them a history that they do not show to everybody. It takes no entries and
holds no key to a record.

  carekey-node witness /srv/witness --name patients.example --ledger INVITATION
  carekey-node witness /srv/witness

The first time it is given a name, which looks like a web address and stays. It prints
its key; the ledger's operators write that into node.json of a node, with the address,

  "witnesses": [{"url": "https://patients.example", "vkey": "patients.example+…"}]

and the ledger's users say it to their wallet: carekey ledger witness KEY. Only heads
that enough of the ledger's nodes signed are cosigned, and each is on the disk before
the signature goes out. Never run two copies of its folder, and never go back to an
older one: it would vouch for two histories.

It speaks C2SP tlog-witness over HTTP on this computer; a proxy in front of it makes it
known to others. Any witness that speaks it can be named in the place of this one; the
key of the ledger for it: carekey-node vkey DIR`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.dir = args[0]
			return a.witness(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "`NAME` of a new witness, such as patients.example")
	f.StringArrayVar(&o.ledgers, "ledger", nil, "`INVITATION` to a ledger, whose heads are cosigned from now on; several times for several")
	f.StringVar(&o.listen, "listen", "127.0.0.1:7380", "`ADDRESS` on this computer to serve at; port 0 takes any that is free")
	return c
}

// witnessKey is witness.json.
type witnessKey struct {
	Version int         `json:"version"` // 1
	Name    string      `json:"name"`
	Seed    crypto.Hash `json:"seed"` // of the Ed25519 key
}

func (k *witnessKey) private() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(k.Seed[:]) }

// witnessed is ID.ledger.
type witnessedLedger struct {
	Invitation string `json:"invitation"`
	Genesis    []byte `json:"genesis"` // its first configuration document
}

type witnessJSON struct {
	Listening string   `json:"listening"`
	Name      string   `json:"name"`
	Vkey      string   `json:"vkey"`
	Ledgers   []string `json:"ledgers"`
}

func (a *app) witness(ctx context.Context, o witnessOptions) error {
	key, err := a.witnessKey(o)
	if err != nil {
		return err
	}
	lock, err := claim(filepath.Join(o.dir, witnessLock))
	if errors.Is(err, folder.ErrBusy) {
		return errServed.With("dir", o.dir)
	} else if err != nil {
		return err
	}
	defer lock.Close()
	for _, text := range o.ledgers {
		if err := a.addWitnessed(ctx, o.dir, text); err != nil {
			return err
		}
	}
	logs, err := a.witnessedLogs(ctx, o.dir)
	if err != nil {
		return err
	}
	if len(logs) == 0 {
		return usage("this witness knows no ledger yet", "say which: --ledger INVITATION")
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return errListen.Of(err, "address", o.listen)
	}
	defer listener.Close()
	if !loopback(listener.Addr()) {
		return usage("without TLS a witness serves only this computer", "listen at 127.0.0.1:7380, behind a proxy that speaks TLS")
	}
	c := witness.NewCosigner(key.Name, key.private(), a.now, logs...)
	said := witnessJSON{Listening: "http://" + listener.Addr().String(), Name: key.Name, Vkey: c.Key().Vkey(), Ledgers: []string{}}
	for _, l := range logs {
		said.Ledgers = append(said.Ledgers, l.ID.String())
	}
	return a.serveWitness(ctx, listener, c, said)
}

// serveWitness serves until ctx ends.
func (a *app) serveWitness(ctx context.Context, listener net.Listener, c *witness.Cosigner, said witnessJSON) error {
	log := a.logger(false)
	h := &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	failed := make(chan error, 1)
	go func() {
		defer crash.Report()
		failed <- h.Serve(listener)
	}()
	if !a.flags.json { // one unbroken word, whatever the width
		if _, err := a.out.WriteString("vkey " + said.Vkey + "\nlistening " + said.Listening + "\n"); err != nil {
			return err
		}
	}
	if err := a.result(said); err != nil {
		return err
	}
	log.Info("serving", "ledgers", len(said.Ledgers))
	notify("READY=1")
	select {
	case err := <-failed:
		return errListen.Of(err, "address", said.Listening)
	case <-ctx.Done():
	}
	notify("STOPPING=1")
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if h.Shutdown(last) != nil {
		h.Close()
	}
	return nil
}

// witnessKey reads the key of a witness, or makes it.
func (a *app) witnessKey(o witnessOptions) (witnessKey, error) {
	var k witnessKey
	path := filepath.Join(o.dir, witnessFile)
	b, err := disk.ReadFile(path, 1<<20)
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.name == "":
		return k, usage("there is no witness in "+o.dir, "give a new one a name: --name patients.example")
	case errors.Is(err, fs.ErrNotExist):
		k = witnessKey{Version: 1, Name: o.name}
		rand.Read(k.Seed[:])
		v := ledgerclient.NewTimeVerifier(k.Name, [32]byte(k.private().Public().(ed25519.PublicKey)))
		if _, err := ledgerclient.ParseWitness(v.Vkey()); err != nil {
			return k, usage("that is no name of a witness: "+o.name, "one is like patients.example/one, without spaces and +")
		}
		if err := os.MkdirAll(o.dir, 0o700); err != nil {
			return k, err
		}
		return k, writeJSON(path, k)
	case err != nil:
		return k, err
	}
	if err := json.Unmarshal(b, &k); err != nil || k.Version != 1 || k.Seed.IsZero() {
		return k, errConfig.With("path", path, "what", "it is not what was written")
	}
	if o.name != "" && o.name != k.Name {
		return k, errWitnessNamed.With("name", k.Name)
	}
	return k, nil
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(b, '\n'), 0o600)
}

// addWitnessed adds a ledger, or changes where one is found.
func (a *app) addWitnessed(ctx context.Context, dir, text string) error {
	i, err := node.ParseInvitation(text)
	if err != nil {
		return err
	}
	i.Token = "" // it submits nothing
	s, err := a.dial(ctx, i, nil)
	if err != nil {
		return err
	}
	doc, err := s.Ledger.Genesis(ctx)
	if err != nil {
		return err
	}
	at := filepath.Join(dir, i.Ledger.String())
	if _, err := os.Lstat(at + ledgerSuffix); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(at + headSuffix); errors.Is(err, fs.ErrNotExist) {
			if err := atomicfile.Write(at+headSuffix, []byte(nothingSigned), 0o600); err != nil {
				return err
			}
		}
	}
	return writeJSON(at+ledgerSuffix, witnessedLedger{i.String(), doc})
}

// witnessedLogs are the ledgers of a witness.
func (a *app) witnessedLogs(ctx context.Context, dir string) (logs []*witness.Log, err error) {
	files, err := disk.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ledgerSuffix)
		if !ok {
			continue
		}
		l, err := a.witnessedLog(ctx, filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		logs = append(logs, l)
	}
	return logs, nil
}

func (a *app) witnessedLog(ctx context.Context, at string) (*witness.Log, error) {
	var w witnessedLedger
	b, err := disk.ReadFile(at+ledgerSuffix, 2*node.MaxDocument)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, errConfig.With("path", at+ledgerSuffix, "what", "it is not what was written")
	}
	i, err := node.ParseInvitation(w.Invitation)
	if err != nil {
		return nil, err
	}
	s, err := a.dial(ctx, i, w.Genesis)
	if err != nil {
		return nil, err
	}
	s.Known = [][]byte{w.Genesis}
	c, err := ledgerclient.Connect(ctx, s, i.Ledger)
	if err != nil {
		return nil, err
	}
	c.AnyAge = true
	l := &witness.Log{ID: i.Ledger, Verify: (&learner{client: c}).verify, Keep: func(msg []byte) error {
		return atomicfile.Write(at+headSuffix, msg, 0o600)
	}}
	last, err := disk.ReadFile(at+headSuffix, ledgerclient.MaxNote)
	if err == nil && string(last) != nothingSigned {
		l.Last, err = ledgerclient.Unverified(last)
	}
	if err != nil {
		return nil, errLost.Of(err, "path", at+headSuffix)
	}
	return l, nil
}

// learner verifies the heads of a ledger, and learns of new nodes.
type learner struct {
	client *ledgerclient.Client
	mu     sync.Mutex
	asked  time.Time // when the ledger's node was asked last
}

func (l *learner) verify(ctx context.Context, msg []byte) (ledgerclient.Head, error) {
	head, err := l.check(msg)
	if err == nil {
		return head, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.asked) < learnEvery {
		return head, err
	}
	l.asked = time.Now()
	if _, herr := l.client.Head(ctx); herr != nil { // which reads the documents that followed
		return head, err
	}
	return l.check(msg)
}

// check verifies a head by the newest configuration that is known.
func (l *learner) check(msg []byte) (ledgerclient.Head, error) {
	config := l.client.Config()
	s, err := ledgerclient.OpenNote(l.client.ID(), config.Nodes, msg)
	if err != nil {
		return ledgerclient.Head{}, err
	}
	return s.Under(config)
}
