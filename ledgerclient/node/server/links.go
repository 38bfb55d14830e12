package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/keeper"
	"github.com/carekey/carekey/ledgerclient/node"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Links say how a node takes links. Whoever has one is let in as a recipient whose keys
// derive from the link: the node computes them, writes the access, asks the keeper, unlocks
// what it keeps, and forgets keys and link. What it gives is encrypted with a key that it
// never has.
type Links struct {
	URL string // what is before /s/ and /view in them, such as https://ledger.example:8443
	// Note makes what is sealed with the access of an opening, as bytes that wallets read,
	// and how much room is left for it to grow.
	Note func(LinkNote) (note []byte, room int)
}

// LinkNote is what the note with an opening's access says.
type LinkNote struct {
	Ledger     crypto.LedgerID
	Grant      contract.ID
	Author     crypto.PubKey  // of the access
	From       crypto.Address // of the link's wallet
	By, Reason string         // what was typed
	Checkpoint string
}

// Bounds of links, beside those of package ledgerclient.
const (
	linkHours = 366 * 24 // until a link's end, at most
	// maxLinkWords is more bytes than what somebody who opens a link says.
	maxLinkWords = 16 << 10
	// linkTime is how long what was opened may be fetched from its place.
	linkTime = 5 * time.Minute
	// linkRoom is how many bytes of it wait at once.
	linkRoom = 128 << 20
	// Passcodes are hashed with 19 MiB each: three at a time need less than 64 MiB.
	argonPasses, argonKiB, argonAtOnce = 2, 19_456, 3
	// sharesAtOnce is how many are looked up in one step: who revokes meanwhile waits for
	// little more than for one.
	sharesAtOnce = 64
)

// links is what a server needs for links.
type links struct {
	*keeper.Links
	shares  *orderer[keeper.LinkAsk, keeper.LinkShare]
	hashing chan struct{}

	mu      sync.Mutex
	waiting map[string]waitingFile
	bytes   int
	older   map[contract.ID]bool // of which it was said that they are
}

// waitingFile is what was opened and is to be fetched once.
type waitingFile struct {
	link  crypto.Hash
	jwe   []byte
	until time.Duration // uptime
}

// startLinks reads the links that are kept, also where no more are taken: their shares go to
// nobody.
func (s *Server) startLinks(ctx context.Context) {
	all, err := s.folder.Links(ctx)
	if err != nil {
		s.log.Error("links", "cause", cause(err))
	}
	if all == nil { // without its key the keeper gives nothing to anybody
		return
	}
	shares := &orderer[keeper.LinkAsk, keeper.LinkShare]{desk: &s.desk, most: sharesAtOnce, do: all.Shares}
	s.links = &links{Links: all, shares: shares, hashing: make(chan struct{}, argonAtOnce), waiting: map[string]waitingFile{}, older: map[contract.ID]bool{}}
}

func (s *Server) takesLinks() bool { return s.opt.Links != nil && s.links != nil }

func (s *Server) linkRoutes(routes map[string]map[string]route) {
	routes[node.PathView] = map[string]route{http.MethodGet: {name: "view", do: s.viewPage}}
	routes[node.PathLink] = map[string]route{
		http.MethodGet:     {name: "link", clock: true, do: s.openPlain},
		http.MethodPost:    {name: "link", clock: true, max: maxLinkWords, do: s.openManifest},
		http.MethodOptions: {name: "link-asked", do: s.linkAllowed},
	}
	routes[node.PathLinks] = map[string]route{
		http.MethodGet:  {name: "link-terms", do: s.linkTerms},
		http.MethodPost: {name: "link-deposit", token: true, max: ledgerclient.MaxLinkFile + node.MaxPackage + 1024, do: takes(ledgerclient.Parse[ledgerclient.LinkDeposit], always[ledgerclient.LinkDeposit](1), s.depositLink)},
	}
	routes[node.PathLinkInquire] = map[string]route{
		http.MethodPost: {name: "link-inquire", max: 1024, do: takes(ledgerclient.Parse[ledgerclient.Inquiry], always[ledgerclient.Inquiry](1), s.inquireLink)},
	}
}

func (s *Server) linkTerms(q *request) error {
	b, err := json.Marshal(ledgerclient.LinkTerms{URL: s.opt.Links.URL, Page: ViewPageHash(), Limit: ledgerclient.MaxLinkFile, Hours: linkHours, Openings: ledgerclient.MaxLinkOpenings})
	if err != nil {
		return err
	}
	return q.answer("application/json", b)
}

func (s *Server) depositLink(q *request, d ledgerclient.LinkDeposit) error {
	if err := s.seen(q); err != nil {
		return err
	}
	if d.End > contract.Hour(s.opt.Clock().Unix()/3600)+linkHours {
		return refuse(node.KindMalformed)
	}
	need := spaceOfFiles(2)
	need.file(len(d.File) + len(d.Package) + block)
	return s.storing(q, need, func() error {
		var r ledgerclient.LinkReceipt
		err := q.at(&s.desk, func() (err error) {
			r, err = s.links.Deposit(q.Context(), &d)
			return err
		})
		if err != nil {
			return err
		}
		return q.answer(node.TypeBinary, ledgerclient.Marshal(&r))
	})
}

func (s *Server) inquireLink(q *request, asked ledgerclient.Inquiry) error {
	var a ledgerclient.LinkAnswer
	err := q.at(&s.desk, func() (err error) {
		a, err = s.links.Inquire(q.Context(), asked, uint64(s.opt.Clock().Unix()))
		return err
	})
	if err != nil {
		return err
	}
	return q.answer(node.TypeBinary, ledgerclient.Marshal(&a))
}

// linkAllowed tells a browser that pages of others may open links: there is nothing behind
// /s but what the link itself opens.
func (s *Server) linkAllowed(q *request) error {
	h := q.w.Header()
	h.Set("Allow", allowed(s.routes[node.PathLink]))
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Content-Type")
	h.Set("Access-Control-Max-Age", "86400")
	return q.done(nil)
}

// linkAsked is the link that a request names; nil if the path names none that there is.
func (s *Server) linkAsked(q *request) (id crypto.LinkID, n *keeper.Link, file string, err error) {
	text, file, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, node.PathLink), "/")
	if wait, ok := s.buckets.take(q.address, "links", s.limits.Links, 1); !ok { // guesses too
		return id, nil, "", refuseFor(node.KindTooMany, wait)
	}
	if id, err = crypto.ParseLinkID(text); err != nil {
		return id, nil, "", notFound("page")
	}
	name := id.Name(s.folder.ID())
	if n = s.links.Find(name); n == nil {
		return id, nil, "", notFound("page")
	}
	if wait, ok := s.buckets.take(clientOf('l', string(name[:])), "link", s.limits.Link, 1); !ok {
		return id, nil, "", refuseFor(node.KindTooMany, wait)
	}
	return id, n, file, nil
}

// openPlain answers with what is behind a link without a passcode, or with what was opened
// and is to be fetched. Who asks with HEAD whether there is something takes neither.
func (s *Server) openPlain(q *request) error {
	id, n, file, err := s.linkAsked(q)
	if err != nil {
		return err
	}
	head := q.Method == http.MethodHead
	if file != "" {
		if state, err := s.linkState(q, n); err != nil {
			return err
		} else if state == ledgerclient.LinkEnded { // since: that its places are used up is nothing
			return notFound("page")
		}
		jwe := s.links.fetch(file, n.Deposit.Name, s.clock.uptime(), !head)
		if jwe == nil {
			return notFound("page")
		}
		return q.answer("application/jose", jwe)
	}
	if n.Locked() {
		return notFound("page")
	}
	query := q.URL.Query()
	by := strings.TrimSpace(query.Get("recipient"))
	if by == "" { // scanners of mail and messages say none
		return refuse(node.KindMalformed)
	}
	if head {
		if state, err := s.linkState(q, n); err != nil {
			return err
		} else if state != ledgerclient.LinkActive {
			return notFound("page")
		}
		q.w.Header().Set("Content-Type", "application/jose")
		q.w.WriteHeader(http.StatusOK)
		return nil
	}
	var jwe []byte
	if err := s.openLink(q, id, n, by, query.Get("reason"), "", func(opened []byte) error {
		jwe = opened
		return nil
	}); err != nil {
		return err
	}
	return q.answer("application/jose", jwe)
}

// linkState is what a link is now.
func (s *Server) linkState(q *request, n *keeper.Link) (ledgerclient.LinkState, error) {
	if err := s.linksFollowed(q); err != nil {
		return 0, err
	}
	g, err := s.links.Grant(q.Context(), n)
	return n.State(&g, uint64(s.opt.Clock().Unix())), err
}

// manifestRequest is what somebody says who opens a link.
type manifestRequest struct {
	Recipient string `json:"recipient"`
	Reason    string `json:"reason"`
	Passcode  string `json:"passcode"`
	Embedded  *int64 `json:"embeddedLengthMax"` // nil: any length
}

type manifest struct {
	Files []manifestFile `json:"files"`
}

type manifestFile struct {
	ContentType string `json:"contentType"`
	Embedded    string `json:"embedded,omitempty"`
	Location    string `json:"location,omitempty"`
}

// openManifest answers with the manifest of a link with a passcode.
func (s *Server) openManifest(q *request) error {
	id, n, file, err := s.linkAsked(q)
	if err != nil {
		return err
	}
	var asked manifestRequest
	if kind, _, err := mime.ParseMediaType(q.Header.Get("Content-Type")); err != nil || kind != "application/json" || json.Unmarshal(q.body, &asked) != nil {
		return refuse(node.KindMalformed)
	}
	by := strings.TrimSpace(asked.Recipient)
	if file != "" || !n.Locked() {
		return notFound("page")
	}
	if by == "" {
		return refuse(node.KindMalformed)
	}
	out := manifestFile{ContentType: "application/fhir+json"}
	err = s.openLink(q, id, n, by, asked.Reason, asked.Passcode, func(jwe []byte) error {
		if asked.Embedded == nil || int64(len(jwe)) <= *asked.Embedded {
			out.Embedded = string(jwe)
			return nil
		}
		name := s.links.wait(jwe, n.Deposit.Name, s.clock.uptime())
		if name == "" {
			return refuseFor(node.KindBusy, linkTime)
		}
		out.Location = s.opt.Links.URL + node.PathLink + id.Encode() + "/" + name
		return nil
	})
	if wrong := (wrongPasscode{}); errors.As(err, &wrong) {
		body := []byte(`{"remainingAttempts":` + strconv.Itoa(wrong.left) + `}`)
		q.w.Header().Set("Content-Type", "application/json")
		q.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		q.w.WriteHeader(http.StatusUnauthorized)
		q.w.Write(body)
		return nil
	}
	if err != nil {
		return err
	}
	b, err := json.Marshal(manifest{[]manifestFile{out}})
	if err != nil {
		return err
	}
	return q.answer("application/json", b)
}

// wrongPasscode is the error of a passcode that is not the link's.
type wrongPasscode struct{ left int }

func (wrongPasscode) Error() string { return "wrong passcode" }

// openLink opens a link and hands what it gives, a JWE, to give. A place is taken, durably,
// before anything else is done, and given back if nothing was given.
func (s *Server) openLink(q *request, id crypto.LinkID, n *keeper.Link, by, reason, passcode string, give func(jwe []byte) error) (err error) {
	ctx := q.Context()
	// For the entry and for what is taken down of the opening. As entries do, it leaves room
	// for revocations.
	free, ok := s.disk.takeTo(2, spaceOfEntries(1))
	if !ok {
		return refuse(node.KindFull)
	}
	defer free()
	if err := s.linksFollowed(q); err != nil {
		return err
	}
	g, err := s.links.Grant(ctx, n)
	if err != nil {
		return err
	}
	if n.Older(&g) && s.links.firstOlder(n.Deposit.Grant) {
		s.log.Error("links: what counts openings is older than the ledger: this link opens no more")
	}
	o := &opening{id: id, link: n, grant: &g, at: uint64(s.opt.Clock().Unix()),
		by: ledgerclient.CutText(by, ledgerclient.MaxLinkBy), reason: ledgerclient.CutText(reason, ledgerclient.MaxLinkReason)}
	defer o.forget()
	access := contract.Entry{} // of one with a passcode it is made when that was right
	if !n.Locked() && n.State(&g, o.at) == ledgerclient.LinkActive {
		if access, err = s.linkAccess(q, o); err != nil {
			return err
		}
	}
	place, err := s.links.Take(ctx, n, &g, o.at, by, reason, access)
	if err != nil {
		return s.linkError(err)
	}
	became := keeper.LinkGivenBack
	defer func() {
		// It is said whether who asked is still there or not.
		if serr := place.Say(context.WithoutCancel(ctx), became); serr != nil && err == nil {
			err = serr // it stays counted as given
		}
	}()
	if n.Locked() {
		right, err := s.passcode(ctx, q, place, n, passcode)
		if err != nil {
			return err
		}
		if !right {
			became = keeper.LinkWrong
			return wrongPasscode{n.AttemptsLeft()}
		}
		if access, err = s.linkAccess(q, o); err != nil {
			return err
		}
		if err := place.Enter(ctx, access); err != nil {
			return err
		}
	}
	lock, err := s.unlockLink(q, o, place.Access)
	if err != nil {
		return s.linkError(err)
	}
	file, err := s.links.File(ctx, n)
	if err != nil {
		return s.linkError(err)
	}
	q.place.count(2 * int64(len(file)))
	jwe, err := lock.OpenLinkFile(s.folder.ID(), crypto.Hash(n.Deposit.Grant), file)
	if err != nil {
		return err
	}
	if err := give(jwe); err != nil {
		return err
	}
	became = keeper.LinkGiven
	return nil
}

// firstOlder reports whether it is the first time that a link is found to be older than the
// ledger: anybody can come back to it.
func (l *links) firstOlder(id contract.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	told := l.older[id]
	l.older[id] = true
	return !told
}

// linksFollowed reads what is new in the order: whether a link was revoked.
func (s *Server) linksFollowed(q *request) error {
	if s.opt.Ledger == nil {
		return nil
	}
	return q.at(&s.follow, func() error { return s.opt.Ledger.Follow(q.Context()) })
}

// linkError is what whoever opens a link is told: that there is none tells no more than the
// link opens nothing.
func (s *Server) linkError(err error) error {
	refused := (*ledgerclient.KeeperError)(nil)
	switch {
	case errors.Is(err, keeper.ErrLink):
		return notFound("page")
	case errors.Is(err, keeper.ErrLinkBusy):
		return refuseFor(node.KindBusy, time.Second)
	case errors.As(err, &refused):
		if refused.Code == ledgerclient.StaleHead {
			return refuseFor(node.KindBusy, node.CosignEvery)
		}
		return notFound("page")
	}
	return err
}

// passcode reports whether a passcode is a link's. The try is counted already.
func (s *Server) passcode(ctx context.Context, q *request, place *keeper.Place, n *keeper.Link, passcode string) (right bool, err error) {
	select {
	case s.links.hashing <- struct{}{}:
	default:
		err = q.place.queue(ctx, func(ctx context.Context) error {
			select {
			case s.links.hashing <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			if !q.place.is(busy) {
				<-s.links.hashing
				return refuseFor(node.KindBusy, time.Second)
			}
			return nil
		})
	}
	if err != nil {
		return false, err
	}
	defer func() { <-s.links.hashing }()
	hash := argon2.IDKey([]byte(norm.NFC.String(passcode)), n.Deposit.Passcode.Salt[:], argonPasses, argonKiB, 1, 32)
	return place.Right([32]byte(hash)), nil
}

// opening is what somebody who opens a link says, and the wallet of the link, for as long as
// that takes.
type opening struct {
	id         crypto.LinkID
	link       *keeper.Link
	grant      *keeper.LinkGrant
	at         uint64 // seconds since 1970
	by, reason string
	identity   *crypto.Identity // nil: not needed yet
	keys       *crypto.OneTimeKeys
}

// wallet makes the link's wallet, which whoever opens it again in the same hours does not
// need. The error is one of linkError if the grant is not for that.
func (o *opening) wallet(ledger crypto.LedgerID) error {
	if o.keys != nil {
		return nil
	}
	if o.identity == nil {
		o.identity = o.id.Identity()
	}
	keys, ok, err := o.identity.Recognize(ledger, o.grant.Author, o.grant.Counterparty)
	if err != nil || !ok {
		return errors.Join(keeper.ErrLink, err)
	}
	o.keys = keys
	return nil
}

// forget overwrites the wallet.
func (o *opening) forget() {
	if o.identity != nil {
		o.identity.Wipe()
	}
}

// linkAccess is the link's access of this hour, or a new one. What is sealed with that is
// stored before it is taken down: an access is never there without.
func (s *Server) linkAccess(q *request, o *opening) (e contract.Entry, err error) {
	ctx, ledger := q.Context(), s.folder.ID()
	from, to := contract.Acceptance(contract.Hour(o.at / 3600))
	if last := o.link.LastAccess(); last.Author == o.grant.Counterparty && (last.NotBefore >= from || o.grant.LastAccess == o.grant.Hour) {
		return last, nil
	}
	if err := o.wallet(ledger); err != nil {
		return e, s.linkError(err)
	}
	keys, root := o.keys, o.id.Root()
	defer root.Wipe()
	checkpoint, err := s.shown(ctx)
	if err != nil {
		return e, err
	}
	note, room := s.opt.Links.Note(LinkNote{Ledger: ledger, Grant: o.link.Deposit.Grant, Author: keys.Sig, From: o.identity.Address(), By: o.by, Reason: o.reason, Checkpoint: string(checkpoint)})
	sealed, err := crypto.SealPayload(crypto.SealContext{Ledger: ledger, Part: byte(ledgerclient.PartAccess), Author: keys.Sig}, note, room, o.grant.Author, o.id.SelfKey())
	if err != nil {
		return e, err
	}
	blob := crypto.Blob(crypto.NewSalt(), sealed)
	nonce := crypto.NewNonce()
	e = contract.Entry{Version: contract.Version, Kind: contract.KindAccess, Author: keys.Sig, Subject: o.link.Deposit.Grant,
		SelfTag: root.Tagger(ledger).Tag(nonce), NotBefore: from, NotAfter: to, Commitment: contract.AccessCommitment(crypto.BlobHash(blob))}
	e.Signature = keys.Sign(e.ID(ledger))
	part := byte(ledgerclient.PartAccess)
	put := ledgerclient.Put{Entry: e, Part: ledgerclient.PartAccess, Blob: blob, Locators: []crypto.Locator{
		root.Seed(ledger, nonce).Locator(e.ID(ledger), part), keys.Locator(e.ID(ledger), part),
	}}
	free, ok := s.disk.take(spaceOf([]ledgerclient.Put{put}))
	if !ok {
		return e, refuse(node.KindFull)
	}
	defer free()
	_, err = s.put(q, folder.Putting{Puts: []ledgerclient.Put{put}})
	return e, err
}

// unlockLink enters the access, asks the keeper and returns the key of what is kept. The
// error is a *ledgerclient.KeeperError where that is refused.
func (s *Server) unlockLink(q *request, o *opening, access contract.Entry) (lock crypto.LockKey, err error) {
	ledger, grant := s.folder.ID(), o.link.Deposit.Grant
	outcomes, err := queued(q, s.orders, []contract.Entry{access}) // again: it may not have got there
	if err != nil {
		return lock, err
	}
	s.metrics.ordered(outcomes)
	if outcomes[0].Refusal != nil {
		return lock, &ledgerclient.KeeperError{Grant: grant, Code: ledgerclient.NoAccess}
	}
	if s.cosign != nil {
		if _, err := q.enoughSigned(); err != nil {
			return lock, err
		}
	}
	if err := s.beforeRelease(q); err != nil {
		return lock, err
	}
	given, err := queued(q, s.links.shares, []keeper.LinkAsk{{Link: o.link, Access: access}})
	if err != nil {
		return lock, err
	}
	if code := given[0].Code; code != ledgerclient.Released {
		// It is asked as anybody would, so that the patient finds what was refused.
		if err := o.wallet(ledger); err != nil {
			return lock, err
		}
		response := crypto.GenerateKey()
		defer response.Wipe()
		r := ledgerclient.Request{Ledger: ledger, Keeper: s.keeper.Key(), Access: access, Response: response.Public()}
		ledgerclient.Sign(&r, o.keys)
		if err := q.at(&s.desk, func() error {
			_, err := s.release(q.Context(), r)
			return err
		}); err != nil {
			return lock, err
		}
		return lock, &ledgerclient.KeeperError{Grant: grant, Code: code}
	}
	s.metrics.count(1, `carekey_releases_total{code=%q}`, ledgerclient.Released)
	defer given[0].Share.Wipe()
	if lock, err = crypto.CombineShares([]crypto.Share{given[0].Share}, 1); err != nil {
		return lock, err
	}
	p, err := contract.ParseGrantPackage(o.link.Deposit.Package)
	if err != nil || lock.Hash(ledger, o.grant.Author) != p.Lock {
		return lock, &ledgerclient.KeeperError{Grant: grant, Code: ledgerclient.BadRequest}
	}
	return lock, nil
}

// wait keeps what was opened until it is fetched, once, and says under what name; "" if
// there is no room for it.
func (l *links) wait(jwe []byte, link crypto.Hash, now time.Duration) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(now)
	if l.bytes+len(jwe) > linkRoom {
		return ""
	}
	raw := make([]byte, 32)
	rand.Read(raw)
	name := base64.RawURLEncoding.EncodeToString(raw)
	l.waiting[name] = waitingFile{link, jwe, now + linkTime}
	l.bytes += len(jwe)
	return name
}

// fetch gives what waits under a name, which is gone then if it is taken; nil if there is
// nothing.
func (l *links) fetch(name string, link crypto.Hash, now time.Duration, takes bool) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(now)
	w, ok := l.waiting[name]
	if !ok || w.link != link {
		return nil
	}
	if takes {
		delete(l.waiting, name)
		l.bytes -= len(w.jwe)
	}
	return w.jwe
}

// drop forgets what nobody fetched; the lock is held.
func (l *links) drop(now time.Duration) {
	for name, w := range l.waiting {
		if now >= w.until {
			delete(l.waiting, name)
			l.bytes -= len(w.jwe)
		}
	}
}

// sweepLinks erases what is behind links that have ended.
func (s *Server) sweepLinks(ctx context.Context) {
	if s.links == nil || s.clock.off() != nil {
		return
	}
	s.links.mu.Lock()
	s.links.drop(s.clock.uptime())
	s.links.mu.Unlock()
	if err := s.links.Sweep(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("links", "cause", cause(err))
	}
}
