package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
	"github.com/carekey/carekey/ledgerclient/witness"
	"github.com/carekey/carekey/wallet/atomicfile"
)

// Names in a node's folder beside those of the ledger.
const (
	configFile  = "node.json"
	certificate = "tls/cert.pem"
	privateKey  = "tls/key.pem"
	serveLock   = "node.lock"      // held by who serves
	editLock    = "node.json.lock" // held while node.json is changed
)

// config is node.json. A server that runs takes changes of tokens within seconds,
// all others when it starts again.
type config struct {
	Version int      `json:"version"` // 1
	URLs    []string `json:"urls"`    // where wallets find the node, 1 to 4
	// Name is that of the institution, where several keep the ledger.
	Name string `json:"name,omitempty"`

	TLS struct {
		Certificate string `json:"certificate"` // path; relative ones are in the folder
		Key         string `json:"key"`
		Pin         bool   `json:"pin"` // invitations pin the key; otherwise the system's authorities vouch for it
	} `json:"tls"`

	// Order is the URL of the program that keeps the order; "": the folder itself.
	Order string `json:"order,omitempty"`
	// Peers are the other nodes of the ledger, which sign its heads together with this one.
	Peers []peerSetting `json:"peers,omitempty"`
	// EraseAfterHours is how long a withdrawn record is kept, in hours.
	EraseAfterHours uint32 `json:"erase_after_hours"`
	// Proxies are the addresses of proxies between the wallets and this node, such as
	// "192.0.2.7" or "10.0.0.0/8": whom they name last in X-Forwarded-For is who asks.
	// Left out: with --no-tls those of this computer, otherwise none.
	Proxies []string `json:"proxies,omitzero"`
	// ClockReference is the URL of a web server whose clock is asked for the time of
	// day; "": none is.
	ClockReference string `json:"clock_reference,omitempty"`

	// Witnesses are asked to cosign the ledger's heads; at most ledgerclient.MaxWitnesses.
	Witnesses []witnessSetting `json:"witnesses,omitempty"`

	Limits server.Limits `json:"limits"`
	// Closed: entries, but for revocations, and payloads are taken only with a token that an
	// institution of the ledger gave.
	Closed bool          `json:"closed"`
	Tokens []submitToken `json:"tokens"` // that this institution gave
}

// peerSetting is how another node is reached.
type peerSetting struct {
	Name string   `json:"name,omitempty"` // what status calls it
	URLs []string `json:"urls"`           // 1 to 4
	// Fingerprint is that of its TLS key. Left out: the system's authorities vouch for it.
	Fingerprint crypto.Hash `json:"fingerprint,omitzero"`
}

func (p peerSetting) wrong() string {
	if p.Name != "" && !contract.ValidName(p.Name) {
		return "a name has 1 to 64 bytes, and no invisible characters"
	}
	if len(p.URLs) < 1 || len(p.URLs) > node.MaxURLs {
		return "each needs 1 to 4 urls"
	}
	for _, u := range p.URLs {
		if !node.ValidURL(u) {
			return "not the URL of a node: " + u + " (" + aURL + ")"
		}
	}
	return ""
}

// shown is what people call the peer.
func (p peerSetting) shown() string { return cmp.Or(p.Name, p.URLs[0]) }

// witnessSetting is a witness that the node asks.
type witnessSetting struct {
	URL  string `json:"url"`  // submission prefix: "/add-checkpoint" is put behind it
	Vkey string `json:"vkey"` // its key, as ledgerclient.ParseWitness takes it
}

// submitToken is one token, without its secret, which only who holds it has.
type submitToken struct {
	Name      string        `json:"name"`
	Created   string        `json:"created"` // date
	Until     time.Time     `json:"until"`
	Hourly    uint32        `json:"hourly"` // entries in an hour, at each node
	Key       crypto.PubKey `json:"key"`
	Withdrawn string        `json:"withdrawn,omitempty"` // date
}

const (
	errNoNode fault.Code = "no-node"      // in dir
	errConfig fault.Code = "bad-settings" // what is wrong with node.json. path, what
)

func readConfig(dir string) (*config, error) {
	path := filepath.Join(dir, configFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoNode.With("dir", dir)
	}
	if err != nil {
		return nil, err
	}
	c := &config{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, errConfig.With("path", path, "what", err.Error())
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errConfig.With("path", path, "what", "there is something behind the settings")
	}
	if what := c.wrong(); what != "" {
		return nil, errConfig.With("path", path, "what", what)
	}
	return c, nil
}

const aURL = "one is like https://ledger.example:8443; without TLS only on this computer: http://127.0.0.1:8080"

// wrong says what is wrong with the settings, "" if nothing is.
func (c *config) wrong() string {
	switch {
	case c.Version != 1:
		return "version is not 1: made by another version of carekey-node"
	case len(c.URLs) < 1 || len(c.URLs) > node.MaxURLs:
		return "there must be 1 to 4 urls"
	case c.TLS.Certificate == "" || c.TLS.Key == "":
		return "tls needs a certificate and a key"
	}
	if _, err := c.proxies(false); err != nil {
		return "proxies: " + err.Error()
	}
	if _, err := c.witnesses(); err != nil {
		return "witnesses: " + err.Error()
	}
	for _, u := range c.URLs {
		if !node.ValidURL(u) {
			return "not the URL of a node: " + u + " (" + aURL + ")"
		}
	}
	if len(c.Peers) >= contract.MaxNodes {
		return fmt.Sprintf("peers: there are at most %d", contract.MaxNodes-1)
	}
	for _, p := range c.Peers {
		if what := p.wrong(); what != "" {
			return "peers: " + what
		}
	}
	names := map[string]bool{}
	for _, t := range c.Tokens {
		if names[t.Name] || !validTokenName(t.Name) || t.Hourly == 0 || t.Key.IsZero() {
			return "tokens need names of their own, entries an hour and keys"
		}
		names[t.Name] = true
	}
	return ""
}

// proxies are the addresses in Proxies. Without TLS a node serves only this computer:
// who asks is a proxy on it.
func (c *config) proxies(plain bool) (out []netip.Prefix, err error) {
	names := c.Proxies
	if names == nil && plain {
		names = []string{"127.0.0.0/8", "::1"}
	}
	for _, name := range names {
		p, err := netip.ParsePrefix(name)
		if a, aerr := netip.ParseAddr(name); aerr == nil {
			p, err = a.Prefix(a.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a range like 10.0.0.0/8", name)
		}
		out = append(out, p)
	}
	return out, nil
}

// witnesses are those in Witnesses.
func (c *config) witnesses() (out []*witness.Witness, err error) {
	if n := len(c.Witnesses); n > ledgerclient.MaxWitnesses {
		return nil, fmt.Errorf("%d of them; %d is the most", n, ledgerclient.MaxWitnesses)
	}
	for _, w := range c.Witnesses {
		key, err := ledgerclient.ParseWitness(w.Vkey)
		if e, ok := fault.As(err, ledgerclient.ErrVkey); ok {
			return nil, fmt.Errorf("%q is not the key of one: %s", w.Vkey, e.Value("what"))
		}
		if !witness.ValidURL(w.URL) {
			return nil, fmt.Errorf("%q is not the URL of one, such as https://witness.example", w.URL)
		}
		if slices.ContainsFunc(out, func(o *witness.Witness) bool { return o.Key.Key() == key.Key() }) {
			return nil, fmt.Errorf("the key of %s is there twice", key.Name())
		}
		out = append(out, &witness.Witness{URL: w.URL, Key: key})
	}
	return out, nil
}

func (c *config) write(dir string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, configFile), append(b, '\n'), 0o600)
}

// edit changes node.json; two at once do not lose each other's change.
func edit(dir string, change func(*config) error) error {
	if _, err := readConfig(dir); err != nil {
		return err
	}
	lock, err := claim(filepath.Join(dir, editLock))
	if err != nil {
		return err
	}
	defer lock.Close()
	c, err := readConfig(dir)
	if err != nil {
		return err
	}
	if err := change(c); err != nil {
		return err
	}
	return c.write(dir)
}

// path is a file that the settings name.
func path(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, filepath.FromSlash(name))
}
