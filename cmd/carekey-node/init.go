package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
	"github.com/spf13/cobra"
)

const defaultPort = "8443"

func newInit(a *app) *cobra.Command {
	var o struct {
		settingsFlags
		name, order string
	}
	c := &cobra.Command{
		Use:   "init DIR --name NAME [--url URL]...",
		Short: "Make a new ledger and the node that serves it, or a node for a ledger",
		Long: `Make a new ledger in a folder, which must be empty or not exist, with the node's
keys, settings (node.json) and a TLS key of its own, which invitations pin: nobody
has to buy or renew a certificate. With --tls-cert and --tls-key the system's
certificate authorities vouch for the node instead. A folder that holds a ledger and
no node yet, as carekey makes them, becomes a node's with all that is in it.

--url is where wallets will find the node; it goes into invitations. Without it
this computer's name is taken. It can be changed in node.json.

With --order the order of entries is kept by a program: for foo:anything by
carekey-ledger-foo from PATH. The folder is then a verified copy of that order.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := args[0]
			guessed := len(o.urls) == 0
			if guessed {
				o.urls = []string{"https://" + hostName() + ":" + defaultPort}
			}
			cfg, err := o.settings(dir)
			if err != nil {
				return err
			}
			cfg.Order = o.order
			f, adopted, err := a.ledgerFor(cmd.Context(), dir, o.name, o.order)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := a.keep(dir, cfg); err != nil {
				return err
			}
			n, err := a.describe(cmd.Context(), f, dir, cfg)
			if err != nil {
				return err
			}
			if adopted {
				a.say("There was a ledger already: it is served as it is.")
			}
			if guessed {
				a.say("Wallets will look for the node at %s, by this computer's name.\nIf that is wrong, change \"urls\" in %s.", cfg.URLs[0], filepath.Join(dir, configFile))
			}
			a.say("Keep %s safe: whoever reads it can speak for this ledger\nand release keys. Nobody but the user who runs the node should be able to.", filepath.Join(dir, "keys"))
			a.say("Next: carekey-node serve %s --listen :%s", dir, portOf(cfg.URLs))
			return a.show(n)
		},
	}
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "`NAME` of the ledger, for people")
	o.add(c)
	f.StringVar(&o.order, "order", "", "`URL` of a backend that keeps the order")
	return c
}

// settingsFlags are what the first settings of a node are made of.
type settingsFlags struct {
	cert, key string
	urls      []string
}

func (o *settingsFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&o.urls, "url", nil, "`URL` at which wallets find the node; up to 4")
	f.StringVar(&o.cert, "tls-cert", "", "`FILE` with a certificate chain (PEM); stays where it is")
	f.StringVar(&o.key, "tls-key", "", "`FILE` with its key (PEM)")
}

// settings are those of a node that is going to be in dir. Nothing is written.
func (o *settingsFlags) settings(dir string) (*config, error) {
	if (o.cert == "") != (o.key == "") {
		return nil, usage("a certificate and its key go together", "give both --tls-cert FILE and --tls-key FILE")
	}
	cfg := &config{Version: 1, URLs: trimmed(o.urls), EraseAfterHours: server.EraseHours, Tokens: []submitToken{}}
	cfg.TLS.Certificate, cfg.TLS.Key, cfg.TLS.Pin = certificate, privateKey, true
	if o.cert != "" {
		var err error
		if cfg.TLS.Certificate, err = filepath.Abs(o.cert); err != nil {
			return nil, err
		}
		if cfg.TLS.Key, err = filepath.Abs(o.key); err != nil {
			return nil, err
		}
		cfg.TLS.Pin = false
		if _, err := openCertificate(dir, cfg); err != nil {
			return nil, err
		}
	}
	if what := cfg.wrong(); what != "" {
		return nil, usage(what, "say it with --url, 1 to 4 times")
	}
	return cfg, nil
}

// trimmed are URLs as they stand in settings.
func trimmed(urls []string) (all []string) {
	for _, u := range urls {
		all = append(all, strings.TrimSuffix(u, "/"))
	}
	return all
}

// keep writes the first settings of a node, with the key and the certificate that they
// name if it makes them itself.
func (a *app) keep(dir string, cfg *config) error {
	if cfg.TLS.Pin {
		if err := makeCertificate(dir, cfg.URLs, a.now()); err != nil {
			return err
		}
	}
	return cfg.write(dir)
}

const (
	errNodeExists fault.Code = "node-exists" // in dir
	errOtherName  fault.Code = "other-name"  // the ledger in dir has another name
)

// ledgerFor makes the ledger of a new node, or opens one that has no node yet: a
// wallet's folder, or what an interrupted init left.
func (a *app) ledgerFor(ctx context.Context, dir, name, order string) (f *folder.Folder, adopted bool, err error) {
	_, err = os.Stat(filepath.Join(dir, genesisFile))
	if err != nil {
		if name == "" {
			return nil, false, usage("a ledger needs a name that people will see", "add --name 'City ledger'")
		}
		f, err = a.createFolder(ctx, dir, name, order)
		if e, is := fault.As(err, contract.ErrConfig); is {
			err = usage(fmt.Sprintf("that cannot be the name of a ledger: want %s", e.Value("want")), "say another with --name")
		}
		return f, false, err
	}
	if _, err := os.Stat(filepath.Join(dir, configFile)); err == nil {
		return nil, false, errNodeExists.With("dir", dir)
	}
	if f, err = a.openFolder(dir, &config{}, false); err != nil {
		return nil, false, err
	}
	has, err := nameOf(ctx, f)
	if err == nil && name != "" && name != has {
		err = errOtherName.With("dir", dir, "name", has)
	}
	if err == nil {
		_, _, notReplica := f.Consumed(ctx)
		switch own := notReplica != nil; {
		case own && order != "":
			err = folder.ErrOwnOrder
		case !own && order == "":
			err = folder.ErrReplica
		}
	}
	if err != nil {
		f.Close()
		return nil, false, err
	}
	return f, true, nil
}

// nameOf is the name of a ledger.
func nameOf(ctx context.Context, f *folder.Folder) (string, error) {
	doc, err := f.Genesis(ctx)
	if err != nil {
		return "", err
	}
	c, err := contract.ParseConfig(doc)
	return c.Name, err
}

// genesisFile is there in every folder that holds a ledger.
const genesisFile = "genesis"

// hostName is this computer's name, as far as it can be in a URL.
func hostName() string {
	name, err := os.Hostname()
	name = strings.ToLower(name)
	if err != nil || !node.ValidURL("https://"+name) {
		return "localhost"
	}
	return name
}

// portOf is the port at which wallets look for a node, if its first address names one: a
// node behind another server listens elsewhere.
func portOf(urls []string) string {
	if len(urls) > 0 {
		if u, err := url.Parse(urls[0]); err == nil && u.Port() != "" {
			return u.Port()
		}
	}
	return defaultPort
}
