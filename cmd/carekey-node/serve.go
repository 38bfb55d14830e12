package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/carekey/carekey/cmd/version"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/spf13/cobra"
)

// How often a running server looks for what changed.
const (
	rereadEvery = 2 * time.Second // node.json
)

// shutdownTime is how long requests that are under way may take when the server is
// told to stop.
const shutdownTime = 30 * time.Second

const (
	errServed fault.Code = "served"        // another server serves dir
	errListen fault.Code = "cannot-listen" // address
)

type serveOptions struct {
	dir, listen, metrics, order string
	plain, acceptClock, debug   bool
	gone                        int
}

func newServe(a *app) *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve DIR [--listen ADDRESS]",
		Short: "Serve the folder to wallets over HTTPS until told to stop",
		Long: `Serve the ledger, the store and the keeper of a folder. When it listens it prints
one line with the address; logs go to standard error and name nobody: no ids,
tokens or addresses. SIGTERM or SIGINT ends it once what is under way is done.

A server does not start, and stops ordering and releasing, while this computer's
clock is off: an entry at a wrong hour cannot be taken back. With a damaged key it
says so, in its log, at /healthz and in carekey-node status, and does the rest: with
the keeper's, revocations are ordered; with that of the checkpoints, the keeper stops.
In /metrics carekey_clock_right 0 says that nothing is ordered or released, and
carekey_log_hour is the last entry's, in hours since 1970.

Of a ledger with several nodes a head holds that as many have signed as the ledger
says. The others are the peers in node.json: names, URLs, fingerprints of TLS keys.
In /metrics carekey_signed_entries stands still where too few sign, and
carekey_nodes_missing and carekey_nodes_forked are to be 0: the second counts nodes
that signed another history; carekey_clocks_off those whose clock is more than ten seconds
off. carekey-node status asks each of them. What is damaged or gone here a node gets
from another one: carekey_copies_broken is how much of it none has. Where the order
says it, carekey_order_decides is 0 as long as nothing that is submitted here is ordered.

A node that goes on from a backup does not know what it has signed, and waits for the
others to say it: for all three of 4. If some of them are gone for good, --gone says how
many it need not wait for. It is needed until the node has signed once. Then, for each
that is gone, one less of the others may lie or go on from a backup too: of 4 with one
gone none may. If one does, less may be under the ledger's heads than was before, which
wallets see and take for a fraud of the nodes. Do not use it while a node may come back.

Limits, quotas, a reference for the clock and the proxies that may say for whom they
ask are in node.json; with --no-tls those of this computer may. A proxy must write
X-Forwarded-For itself (nginx does so only if it is told to): with one that passes on
what a client wrote, each client is as many as it likes. One that may not say it is
one client, which shares its limits among all behind it. One server at a time serves
a folder.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.dir = args[0]
			return a.serve(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.listen, "listen", ":"+defaultPort, "`ADDRESS` to serve at; port 0 takes any that is free")
	f.StringVar(&o.metrics, "metrics", "", "`ADDRESS` on this computer for /healthz and Prometheus /metrics")
	f.StringVar(&o.order, "order", "", "`URL` of the backend that keeps the order, in place of that in node.json")
	f.BoolVar(&o.plain, "no-tls", false, "serve plain HTTP; only at a loopback address")
	f.BoolVar(&o.acceptClock, "accept-clock", false, "believe the clock although it is more than 31 days past the last entry")
	f.IntVar(&o.gone, "gone", 0, "after a restore: so many `NODES` are gone for good, and not waited for; read above what that risks")
	f.BoolVar(&o.debug, "debug", false, "log every request, still without naming anybody")
	return c
}

func (a *app) serve(ctx context.Context, o serveOptions) error {
	cfg, err := readConfig(o.dir)
	if err != nil {
		return err
	}
	if o.order != "" {
		cfg.Order = o.order
	}
	log := a.logger(o.debug)
	lock, err := claim(filepath.Join(o.dir, serveLock))
	if errors.Is(err, folder.ErrBusy) {
		return errServed.With("dir", o.dir)
	} else if err != nil {
		return err
	}
	defer lock.Close()
	f, err := a.openFolder(o.dir, cfg, o.acceptClock)
	if err != nil {
		return err
	}
	defer f.Close()
	opt := server.Options{
		Clock: a.now, Reference: reference(cfg.ClockReference),
		Log: log, Limits: cfg.Limits, Closed: cfg.Closed, Gone: o.gone,
	}
	if opt.Proxies, err = cfg.proxies(o.plain); err != nil {
		return err
	}
	for _, p := range cfg.Peers {
		peer := p.peer()
		opt.Peers, opt.Lists, opt.Sites = append(opt.Peers, peer), append(opt.Lists, peer.Withdrawn), append(opt.Sites, peer.Sites)
	}
	if len(cfg.Peers) > 0 {
		if m, keys, err := ownMember(o.dir, cfg); err != nil {
			log.Warn("where this node is reached is not told", "cause", err.Error())
		} else {
			opt.Sign = keys.Sign
			opt.Site = func(number uint64) node.Site {
				return node.NewSite(f.ID(), m, number, keys.Sign, keys.SignAsKeeper)
			}
		}
	}
	if opt.Witnesses, err = cfg.witnesses(); err != nil {
		return err // readConfig has read them
	}
	opt.Links = cfg.links(f)
	backend, err := a.joinOrder(ctx, cfg, f)
	if err != nil {
		return err
	}
	if backend != nil {
		defer backend.Close()
		l := order.NewLedger(backend, f, a.now)
		if err := l.Follow(ctx); err != nil {
			return err
		}
		opt.Ledger = l
	}
	certs, err := openCertificate(o.dir, cfg)
	if err != nil {
		return err
	}
	certs.failed = func(err error) { log.Warn("certificate", "cause", err.Error()) }

	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return errListen.Of(err, "address", o.listen)
	}
	defer listener.Close()
	if o.plain && !loopback(listener.Addr()) {
		return usage("without TLS a node serves only this computer", "listen at 127.0.0.1:8080, or leave out --no-tls")
	}
	var operator net.Listener
	if o.metrics != "" {
		if operator, err = net.Listen("tcp", o.metrics); err != nil {
			return errListen.Of(err, "address", o.metrics)
		}
		defer operator.Close()
		if !loopback(operator.Addr()) {
			return usage("/healthz and /metrics are for this computer only", "say --metrics 127.0.0.1:9102")
		}
	}
	s, err := server.New(ctx, f, opt)
	if err != nil {
		return err
	}
	defer s.Close()
	reread := func(ctx context.Context) { a.reread(ctx, o.dir, log, s) }
	return a.listen(ctx, o, log, s, reread, certs, listener, operator)
}

type servingJSON struct {
	Listening string `json:"listening"`
	Metrics   string `json:"metrics"` // "" without --metrics
}

// listen serves until ctx ends or a listener fails.
func (a *app) listen(ctx context.Context, o serveOptions, log *slog.Logger, s *server.Server, reread func(context.Context), certs *certificates, listener, operator net.Listener) error {
	failed := make(chan error, 2)
	begin := func(serve func() error) {
		go func() {
			defer crash.Report()
			failed <- serve()
		}()
	}
	h := s.HTTPServer()
	scheme := "https"
	if o.plain {
		scheme = "http"
		begin(func() error { return h.Serve(listener) })
	} else {
		h.TLSConfig = certs.config()
		begin(func() error { return h.ServeTLS(listener, "", "") })
	}
	where := servingJSON{Listening: scheme + "://" + listener.Addr().String()}
	if operator != nil {
		m := &http.Server{Handler: s.Operator(), ReadHeaderTimeout: 10 * time.Second}
		defer m.Close()
		begin(func() error { return m.Serve(operator) })
		where.Metrics = "http://" + operator.Addr().String()
	}
	background, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer crash.Report()
		reread(background)
	}()
	a.print("listening %s", where.Listening)
	if operator != nil {
		a.print("metrics %s", where.Metrics)
	}
	if err := a.result(where); err != nil {
		return err
	}
	log.Info("serving", "version", version.Line())
	notify("READY=1")
	select {
	case err := <-failed:
		return errListen.Of(err, "address", o.listen)
	case <-ctx.Done():
	}
	notify("STOPPING=1")
	log.Info("stopping")
	s.Close()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := h.Shutdown(last); err != nil {
		log.Warn("stopped while requests were under way")
		h.Close()
	}
	log.Info("stopped")
	return nil
}

// reread takes over who may submit, where it was changed while the server runs.
func (a *app) reread(ctx context.Context, dir string, log *slog.Logger, s *server.Server) {
	var seen time.Time
	if info, err := os.Stat(filepath.Join(dir, configFile)); err == nil {
		seen = info.ModTime()
	}
	tick := time.NewTicker(rereadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		info, err := os.Stat(filepath.Join(dir, configFile))
		if err != nil || info.ModTime().Equal(seen) {
			continue
		}
		seen = info.ModTime()
		c, err := readConfig(dir)
		if err == nil {
			err = s.SetClosed(c.Closed)
		}
		if err != nil {
			log.Error("node.json or withdrawn cannot be read: the tokens stay as they were")
			continue
		}
		log.Info("tokens", "number", len(c.good(a.now())), "closed", c.Closed)
	}
}

// joinOrder opens the order of the settings; nil if the folder keeps its own.
func (a *app) joinOrder(ctx context.Context, cfg *config, f *folder.Folder) (order.Backend, error) {
	_, _, err := f.Consumed(ctx)
	switch {
	case errors.Is(err, folder.ErrOwnOrder) && cfg.Order == "":
		return nil, nil
	case err != nil:
		return nil, err
	case cfg.Order == "":
		return nil, folder.ErrReplica
	}
	return a.openOrder(ctx, cfg.Order)
}

// loopback reports whether an address can be reached only from this computer.
func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// logger writes structured lines to standard error.
func (a *app) logger(debug bool) *slog.Logger {
	opt := &slog.HandlerOptions{}
	if debug {
		opt.Level = slog.LevelDebug
	}
	if a.flags.json {
		return slog.New(slog.NewJSONHandler(a.err, opt))
	}
	return slog.New(slog.NewTextHandler(a.err, opt))
}
