package shlink

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/carekey/carekey/crypto/fault"
)

const (
	// ErrLocal: the address is one of this computer, or of a network that not everybody
	// reaches: a link of somebody unknown is to ask nothing there. host, address
	ErrLocal fault.Code = "link-local"
	// ErrOver: the server says that the link is not active: it has ended, was revoked, is
	// used up, or never was. host
	ErrOver fault.Code = "link-over"
	// ErrPasscode: the passcode is wrong. host; left, how many tries are left, in words, if
	// the server says it
	ErrPasscode fault.Code = "link-passcode"
	// ErrServer: there is no answer that can be used. host; status of HTTP, or the cause
	ErrServer fault.Code = "link-unreachable"
	// ErrAuthority: no authority that this computer trusts vouches for the server. host
	ErrAuthority fault.Code = "link-certificate"
)

const (
	connectWait = 10 * time.Second
	answerWait  = 30 * time.Second // until the header of an answer is there
	wholeWait   = 10 * time.Minute // for an answer
	// embeddedMost is how long a file may be in a manifest, in bytes; larger ones are at a
	// location.
	embeddedMost = 16 << 20
	maxManifest  = 80 << 20 // bytes
	maxTogether  = 4 * MaxFile
	maxRefusal   = 4 << 10 // bytes of an answer to a wrong passcode
)

// Client asks the servers of links.
type Client struct {
	Local bool          // addresses of this computer and of networks of one's own are allowed
	Wait  time.Duration // for an answer to begin; 0 is 30 seconds

	roots *x509.CertPool // of tests; nil is the system's
}

// Answers are what the opener says. Nobody checks it.
type Answers struct {
	Recipient string // who opens it; the link's maker may read it, and so do logs on the way of a link with U
	Passcode  string // where the link has P
}

// Open asks for what a link holds and hands each file to take, which ends it with an error.
// Asking can count as an opening, whatever becomes of it.
//
// Errors are [ErrAnswer], [ErrLocal], [ErrOver], [ErrPasscode], [ErrServer],
// [ErrAuthority], and those of ctx and of take.
func (c *Client) Open(ctx context.Context, l *Link, say Answers, take func(*File) error) error {
	a := c.asking()
	defer a.http.CloseIdleConnections()
	if l.Has('U') {
		u := *l.at
		query := "recipient=" + url.QueryEscape(say.Recipient)
		if u.RawQuery != "" {
			query = u.RawQuery + "&" + query
		}
		u.RawQuery = query
		jwe, err := a.ask(ctx, &u, nil, maxSealed)
		if err != nil {
			return err
		}
		return a.hand(l, &sealed{File: File{Host: l.Host()}, embedded: jwe}, take)
	}
	request := struct {
		Recipient         string `json:"recipient"`
		Passcode          string `json:"passcode,omitempty"`
		EmbeddedLengthMax int    `json:"embeddedLengthMax"`
	}{say.Recipient, say.Passcode, embeddedMost}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	b, err := a.ask(ctx, l.at, body, maxManifest)
	if err != nil {
		return err
	}
	files, err := parseManifest(b)
	if err != nil {
		return badAnswer(l.at, err)
	}
	for i := range files {
		f := &files[i]
		f.Host = l.Host()
		if len(f.embedded) == 0 {
			at, err := httpsURL(f.location)
			if err != nil {
				return badAnswer(l.at, fmt.Errorf("the location of a file %w", err))
			}
			f.Host = hostOf(at)
			if f.embedded, err = a.ask(ctx, at, nil, maxSealed); err != nil {
				return err
			}
		}
		if err := a.hand(l, f, take); err != nil {
			return err
		}
		f.embedded = nil
	}
	return nil
}

// asking is one opening of a link.
type asking struct {
	*Client
	http   *http.Client
	opened int64 // bytes of all files so far
}

func (c *Client) asking() *asking {
	wait := c.Wait
	if wait == 0 {
		wait = answerWait
	}
	dialer := &net.Dialer{Timeout: connectWait, Control: func(_, address string, _ syscall.RawConn) error {
		return c.mayDial(address)
	}}
	return &asking{Client: c, http: &http.Client{
		Timeout: max(wholeWait, wait),
		Transport: &http.Transport{
			Proxy:                  nil, // it would see who asks, and could ask where we may not
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.roots},
			TLSHandshakeTimeout:    connectWait,
			ResponseHeaderTimeout:  wait,
			DisableCompression:     true, // the answer has the size that came over the wire
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// mayDial is asked with each address before it is connected to, when its name is resolved:
// no name, and no second answer to it, leads around that.
func (c *Client) mayDial(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err == nil && !c.Local && !everybodys(at.Addr()) {
		return localError(at.Addr().Unmap().WithZone("").String())
	}
	return err
}

// localError is an address that is not everybody's.
type localError string

func (e localError) Error() string { return "not everybody's: " + string(e) }

// special are the prefixes of public ranges that are not for everybody's use, or lead to
// addresses that need not be: IANA's registries of special-purpose addresses.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("3fff::/20"),
}

var (
	global = netip.MustParsePrefix("2000::/3")
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // its last four bytes are an address of IPv4
)

// everybodys reports whether an address is one that everybody can reach.
func everybodys(a netip.Addr) bool {
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Is6() && !global.Contains(a) {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

func badAnswer(at *url.URL, why error) error {
	return ErrAnswer.With("host", hostOf(at), "why", why.Error())
}

// ask asks by GET, or by POST with a body of JSON, and returns an answer of up to limit
// bytes.
func (a *asking) ask(ctx context.Context, at *url.URL, body []byte, limit int64) ([]byte, error) {
	method, content := http.MethodGet, io.Reader(nil)
	if body != nil {
		method, content = http.MethodPost, bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), content)
	if err != nil {
		return nil, badAnswer(at, errors.New("its address cannot be asked"))
	}
	req.Header.Set("User-Agent", "carekey")
	req.Header.Set("Accept", "application/jose, application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, explain(ctx, at, err)
	}
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
	case code == http.StatusNotFound || code == http.StatusGone:
		return nil, ErrOver.With("host", hostOf(at))
	case code == http.StatusUnauthorized && body != nil:
		b, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		if left, ok := attemptsLeft(b); ok {
			return nil, ErrPasscode.With("host", hostOf(at), "left", strconv.FormatUint(left, 10))
		}
		return nil, ErrPasscode.With("host", hostOf(at))
	case code >= 300 && code < 400:
		return nil, badAnswer(at, errors.New("it points elsewhere, and nothing is followed"))
	default:
		return nil, ErrServer.With("host", hostOf(at), "status", code)
	}
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, badAnswer(at, errors.New("it comes in an encoding that was not asked for"))
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, explain(ctx, at, err)
	}
	if int64(len(b)) > limit {
		return nil, badAnswer(at, fmt.Errorf("it is larger than %d bytes", limit))
	}
	return b, nil
}

// explain is what an error of the network means.
func explain(ctx context.Context, at *url.URL, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[localError](err); ok {
		return ErrLocal.With("host", hostOf(at), "address", string(e))
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return ErrAuthority.Of(e.Err, "host", hostOf(at))
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // its URL is half of the link
	}
	return ErrServer.Of(err, "host", hostOf(at))
}

// attemptsLeft is the member of an answer to a wrong passcode.
func attemptsLeft(b []byte) (uint64, bool) {
	m, err := members(b)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(string(m["remainingAttempts"]), 10, 31)
	return n, err == nil
}

// hand opens a file and hands it on.
func (a *asking) hand(l *Link, s *sealed, take func(*File) error) error {
	bad := func(err error) error { return ErrAnswer.With("host", s.Host, "why", err.Error()) }
	body, said, err := l.open(s.embedded)
	if err != nil {
		return bad(err)
	}
	if a.opened += int64(len(body)); a.opened > maxTogether {
		return bad(fmt.Errorf("its files have more than %d bytes together", maxTogether))
	}
	f := s.File
	f.Body = body
	if err := f.fits(said); err != nil {
		return bad(err)
	}
	return take(&f)
}
