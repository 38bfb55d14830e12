package cometbft

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
)

// settingsFile is where a validator's folder has its settings.
const settingsFile = "validator.json"

// DefaultPort is where validators find each other if nothing else is said.
const DefaultPort = "26656"

// Settings of a validator's folder.
type Settings struct {
	// Draft is the text of what the ledger was founded on.
	Draft string `json:"draft"`
	// Node is the folder of the institution's node, in which its keys are.
	Node string `json:"node"`
	// Listen is host:port for the other validators.
	Listen string `json:"listen"`
	// Peers are the addresses, host:port, of the other members' validators by their names.
	Peers map[string]string `json:"peers"`
}

// Init makes the folder of a validator, which must be empty or not exist.
func Init(dir string, s Settings) error {
	var err error
	if s.Node, err = filepath.Abs(s.Node); err != nil {
		return err
	}
	whole, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if more := len(filepath.Join(whole, socketFile)) - maxSocket; more > 0 {
		return fmt.Errorf("the path of %s is %d bytes too long for the socket in it: take a shorter one", whole, more)
	}
	d, err := node.ParseDraft(s.Draft)
	if err != nil {
		return fmt.Errorf("no draft of a ledger: %w", err)
	}
	peers := map[string]string{}
	for _, m := range d.Members {
		if peers[m.Name] = s.Peers[m.Name]; peers[m.Name] == "" {
			u, err := url.Parse(m.URLs[0])
			if err != nil || u.Hostname() == "" {
				return fmt.Errorf("where the validator of %s is does not follow from %s: say it with --peer", m.Name, m.URLs[0])
			}
			peers[m.Name] = net.JoinHostPort(u.Hostname(), DefaultPort)
		}
	}
	for name := range s.Peers {
		if _, is := peers[name]; !is {
			return fmt.Errorf("no member is called %q", name)
		}
	}
	s.Peers = peers
	if _, err := s.options(); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, settingsFile), append(b, '\n'), 0o600)
}

// ReadOptions reads what a validator's folder says, with the key in the node's folder.
func ReadOptions(dir string) (Options, error) {
	b, err := os.ReadFile(filepath.Join(dir, settingsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Options{}, fmt.Errorf("%s is not the folder of a validator: carekey-ledger-cometbft init", dir)
	}
	if err != nil {
		return Options{}, err
	}
	var s Settings
	if err := json.Unmarshal(b, &s); err != nil {
		return Options{}, fmt.Errorf("%s: %w", filepath.Join(dir, settingsFile), err)
	}
	o, err := s.options()
	o.Dir = dir
	return o, err
}

func (s *Settings) options() (o Options, err error) {
	d, err := node.ParseDraft(s.Draft)
	if err != nil {
		return o, err
	}
	if o.Genesis, err = d.Genesis(); err != nil {
		return o, err
	}
	if o.Key, err = folder.CheckpointKey(s.Node); err != nil {
		return o, fmt.Errorf("the key of the node in %s: %w", s.Node, err)
	}
	own := [32]byte(o.Key.Public().(ed25519.PublicKey))
	if !slices.ContainsFunc(d.Members, func(m node.Member) bool { return m.Node.Checkpoint == own }) {
		return o, fmt.Errorf("the node in %s is none of the draft's members", s.Node)
	}
	for _, m := range d.Members {
		if _, _, err := net.SplitHostPort(s.Peers[m.Name]); err != nil {
			return o, fmt.Errorf("the validator of %s: %w", m.Name, err)
		}
		o.Members = append(o.Members, Member{Name: m.Name, Key: m.Node.Checkpoint, Address: s.Peers[m.Name]})
	}
	o.Listen = s.Listen
	if _, _, err := net.SplitHostPort(o.Listen); err != nil {
		return o, err
	}
	return o, nil
}
