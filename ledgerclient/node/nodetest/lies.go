package nodetest

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/folder/foldertest"
	"github.com/carekey/carekey/ledgerclient/node"
)

// lie answers a request and reports that it did; or it does nothing, because it is
// not about this one.
type lie func(n *Node, w http.ResponseWriter, r *http.Request) (told bool)

const bundled = 2 + contract.LeafSize // bytes of an entry in a bundle

// lies are all lies by their names.
var lies = map[string]lie{
	// One bit of an entry is another one.
	"changed-entry": leaves(func(_ *Node, leaves []contract.Leaf) { leaves[len(leaves)-1].Entry.Commitment[30] ^= 4 }),
	// The newest entry is not shown: the one before it is in its place.
	"hidden-entry": leaves(func(n *Node, leaves []contract.Leaf) {
		last := len(leaves) - 1
		if last > 0 {
			leaves[last] = leaves[last-1]
		} else if head, err := n.folder.Head(context.Background()); err == nil {
			before, _ := n.folder.Leaves(context.Background(), head.Size-2, head.Size-1)
			copy(leaves, before)
		}
	}),
	// One bit of a hash in a tile is another one.
	"wrong-tile": changed(node.PathTile+"0/", func(n *Node, b []byte) []byte { return flip(b, 40) }),
	// The page that opens links is another one.
	"changed-view": changed(node.PathView, func(_ *Node, b []byte) []byte { return append(b, ' ') }),
	// The head from before, signed anew with a time of now: what an operator can do
	// who lost the newest entries, or wants to.
	"rollback": head(func(n *Node, _ []byte) []byte { return n.before() }),
	// The head from before, as it was.
	"frozen-head": head(func(n *Node, _ []byte) []byte { return n.kept }),
	// A head with a signature of somebody else under the node's name.
	"forged-head": head(func(n *Node, b []byte) []byte { return flip(b, len(b)-30) }),
	// Everything is answered by the node of another ledger.
	"another-ledger": elsewhere,
	// The log is that of another history of the same ledger: see Remember.
	"two-histories": func(n *Node, w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, node.Prefix+"keeper/") {
			return false
		}
		if r.URL.Path == node.PathBulk {
			return false // keeper and store are those of both
		}
		if r.URL.Path == node.PathBlobs && r.Method == http.MethodGet {
			if rec := n.honest(r); rec.Code < 300 {
				send(w, rec.Header(), rec.Code, rec.Body.Bytes())
				return true
			}
		}
		return elsewhere(n, w, r)
	},
	// The keeper gives another share than it was given, signed as it should be.
	"wrong-share": either(at(http.MethodPost, node.PathRelease, func(n *Node, w http.ResponseWriter, r *http.Request) {
		body := bodyOf(r)
		rec := n.honest(r)
		send(w, rec.Header(), rec.Code, n.otherShare(body, rec.Body.Bytes()))
	}), inBulk(node.AskRelease, (*Node).otherShare)),
	// One bit of a payload is another one.
	"changed-blob": either(changed(node.PathBlobs, func(n *Node, b []byte) []byte { return flip(b, len(b)/2) }),
		inBulk(node.AskPayload, func(_ *Node, _, b []byte) []byte { return flip(b, len(b)/2) })),
	// Where one payload is asked for, another one is given.
	"swapped-blob": either(at(http.MethodGet, node.PathBlobs, func(n *Node, w http.ResponseWriter, r *http.Request) {
		rec := n.honest(r)
		rec.Header().Del("Content-Range")
		send(w, rec.Header(), http.StatusOK, n.anotherPayload(rec.Body.Bytes()))
	}), inBulk(node.AskPayload, func(n *Node, _, b []byte) []byte {
		other := n.anotherPayload(b[8:])
		return node.BeginningForm.Marshal(node.Beginning{Size: uint64(len(other)), Bytes: other[:min(len(other), ledgerclient.FirstBytes)]})
	})),
	// The recipient's refused attempts are left out of the keeper's answer.
	"hidden-refusal": either(changed(node.PathInquire, func(_ *Node, b []byte) []byte { return unrefused(b) }),
		inBulk(node.AskInquiry, func(_ *Node, _, b []byte) []byte { return unrefused(b) })),
	// The entries come, are never ordered, and no answer is given.
	"withheld-entries": at(http.MethodPost, node.PathEntries, func(*Node, http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}),
	// The entries are ordered, and no answer is given.
	"lost-answer": at(http.MethodPost, node.PathEntries, func(n *Node, _ http.ResponseWriter, r *http.Request) {
		n.honest(r)
		panic(http.ErrAbortHandler)
	}),
	// What is behind a link comes, is not kept, and no answer is given.
	"withheld-link": at(http.MethodPost, node.PathLinks, func(*Node, http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}),
	// What became of a link is not said.
	"silent-link": at(http.MethodPost, node.PathLinkInquire, func(*Node, http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}),
	// A byte now and then.
	"slow-drip": about(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", node.TypeBinary)
		for ; r.Context().Err() == nil; time.Sleep(5 * time.Millisecond) {
			w.Write([]byte{'x'})
			http.NewResponseController(w).Flush()
		}
	}),
	// 10 GB where a kilobyte can be the answer.
	"giant-answer": giant(true),
	// The same, without saying so before.
	"endless-answer": giant(false),
	// A proxy in between says that it does not work.
	"proxy-error": page(http.StatusBadGateway),
	// Another server is here now, and has a page for everything.
	"another-page": page(http.StatusOK),
	// The answer is somewhere else.
	"redirect": about(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://elsewhere.example/collect", http.StatusTemporaryRedirect)
	}),
}

// at is the lie about one path.
func at(method, path string, tell func(*Node, http.ResponseWriter, *http.Request)) lie {
	return func(n *Node, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path || r.Method != method {
			return false
		}
		tell(n, w, r)
		return true
	}
}

// about is a lie without a path of its own: it is about what Lie was told.
func about(tell http.HandlerFunc) lie {
	return func(n *Node, w http.ResponseWriter, r *http.Request) bool {
		n.mu.Lock()
		told := strings.HasPrefix(r.URL.Path, node.Prefix+n.path)
		n.mu.Unlock()
		if told {
			tell(w, r)
		}
		return told
	}
}

// inBulk is the lie that changes what is said to questions of a kind that come together.
func inBulk(asked node.Asked, change func(n *Node, message, answer []byte) []byte) lie {
	return at(http.MethodPost, node.PathBulk, func(n *Node, w http.ResponseWriter, r *http.Request) {
		questions, _ := node.BulkForm.Parse(bodyOf(r))
		rec := n.honest(r)
		said, err := node.SaidForm(len(questions)).Parse(rec.Body.Bytes())
		if err != nil {
			send(w, rec.Header(), rec.Code, rec.Body.Bytes())
			return
		}
		for i, q := range questions {
			if q.Asked == asked && said[i].How == node.SaidAnswer {
				said[i].Answer = change(n, q.Message, bytes.Clone(said[i].Answer))
			}
		}
		send(w, rec.Header(), rec.Code, node.SaidForm(len(said)).Marshal(said))
	})
}

// bodyOf is a request's body, which can be read once more.
func bodyOf(r *http.Request) []byte {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

// unrefused is an answer to an inquiry without the refused attempts.
func unrefused(b []byte) []byte {
	a, err := ledgerclient.Parse[ledgerclient.InquiryAnswer](b)
	if err != nil {
		return b
	}
	a.Refused = nil
	return ledgerclient.Marshal(&a)
}

func elsewhere(n *Node, w http.ResponseWriter, r *http.Request) bool {
	n.mu.Lock()
	other := n.other
	n.mu.Unlock()
	other.server.ServeHTTP(w, r)
	return true
}

func page(status int) lie {
	return about(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(status)
		io.WriteString(w, "<html>welcome</html>")
	})
}

func giant(announced bool) lie {
	return about(func(w http.ResponseWriter, _ *http.Request) {
		const size = 10 << 30
		w.Header().Set("Content-Type", node.TypeBinary)
		if announced {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		chunk := make([]byte, 64<<10)
		for sent := 0; sent < size; sent += len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
}

// changed is the lie that changes the honest answers to what is read below a path.
func changed(path string, change func(n *Node, b []byte) []byte) lie {
	return func(n *Node, w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, path) || (path == node.PathBlobs && r.Method != http.MethodGet) {
			return false
		}
		rec := n.honest(r)
		b := rec.Body.Bytes()
		if rec.Code < 300 && len(b) > 0 {
			b = change(n, bytes.Clone(b))
		}
		send(w, rec.Header(), rec.Code, b)
		return true
	}
}

// news is the lie that changes what is new of the log, wherever it comes along.
func news(change func(n *Node, said *node.News)) lie {
	alone := changed(node.PathNews, func(n *Node, b []byte) []byte {
		said, err := node.NewsForm.Parse(b)
		if err != nil {
			return b
		}
		change(n, &said)
		return node.NewsForm.Marshal(said)
	})
	return func(n *Node, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != node.PathEntries {
			return alone(n, w, r)
		}
		entries := int(r.ContentLength) / contract.Size
		return changed(node.PathEntries, func(n *Node, b []byte) []byte {
			answer, err := node.OrderedForm(entries).Parse(b)
			if err != nil || len(answer.News.Note) == 0 {
				return b
			}
			change(n, &answer.News)
			return node.OrderedForm(entries).Marshal(answer)
		})(n, w, r)
	}
}

// either tells the lie that is about a request.
func either(lies ...lie) lie {
	return func(n *Node, w http.ResponseWriter, r *http.Request) bool {
		return slices.ContainsFunc(lies, func(tell lie) bool { return tell(n, w, r) })
	}
}

// head is the lie that changes the checkpoint.
func head(change func(n *Node, note []byte) []byte) lie {
	return either(changed(node.PathCheckpoint, change), news(func(n *Node, said *node.News) {
		said.Note = change(n, bytes.Clone(said.Note))
	}))
}

// leaves is the lie that changes leaves of the log, of which there is one at least.
func leaves(change func(n *Node, leaves []contract.Leaf)) lie {
	bundles := changed(node.PathTile+"entries/", func(n *Node, b []byte) []byte {
		leaves, err := node.ParseEntryBundle(b, len(b)/bundled)
		if err != nil {
			return b
		}
		change(n, leaves)
		var raw []byte
		for i := range leaves {
			leaf := leaves[i].Marshal()
			raw = append(raw, leaf[:]...)
		}
		return node.EntryBundle(raw)
	})
	return either(bundles, news(func(n *Node, said *node.News) {
		if len(said.Leaves) > 0 {
			change(n, said.Leaves)
		}
	}))
}

// honest is the honest node's answer.
func (n *Node) honest(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	n.server.ServeHTTP(rec, r)
	return rec
}

func send(w http.ResponseWriter, header http.Header, status int, b []byte) {
	maps.Copy(w.Header(), header)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	w.Write(b)
}

func flip(b []byte, at int) []byte {
	b[at] ^= 4
	return b
}

// before is the head from before with a time of now.
func (n *Node) before() []byte {
	f, err := folder.Open(n.Dir+".fork", folder.Options{Clock: n.now, AcceptClock: true})
	if err != nil {
		return []byte(err.Error())
	}
	defer f.Close()
	raw, err := f.CheckpointAt(context.Background(), n.now())
	if err != nil {
		return []byte(err.Error())
	}
	return raw
}

// otherShare seals and signs another share than the one in a keeper's answer to a request.
func (n *Node) otherShare(body, answer []byte) []byte {
	other, err := n.resealed(body, answer)
	if err != nil {
		return []byte(err.Error())
	}
	return other
}

func (n *Node) resealed(body, answer []byte) ([]byte, error) {
	req, err := ledgerclient.Parse[ledgerclient.Request](body)
	if err != nil {
		return nil, err
	}
	a, err := ledgerclient.Parse[ledgerclient.Answer](answer)
	if err != nil || a.Code != ledgerclient.Released {
		return answer, err
	}
	text, err := os.ReadFile(filepath.Join(n.Dir, "keys", "keeper.k256"))
	if err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, err
	}
	key, err := crypto.ParsePrivateKey(raw)
	if err != nil {
		return nil, err
	}
	shares, err := crypto.NewEntropy().Root().Seed(req.Ledger, crypto.NewNonce()).Shares(1, 1)
	if err != nil {
		return nil, err
	}
	about := crypto.ShareContext{Ledger: req.Ledger, Grant: a.Grant, Keeper: req.Keeper, Access: req.Access.ID(req.Ledger)}
	if a.Sealed, err = crypto.SealShare(about, shares[0], req.Response); err != nil {
		return nil, err
	}
	ledgerclient.Sign(&a, key)
	return ledgerclient.Marshal(&a), nil
}

// anotherPayload is a stored payload that does not begin as b does.
func (n *Node) anotherPayload(b []byte) []byte {
	for part := ledgerclient.PartMetadata; part <= ledgerclient.PartAccess; part++ {
		for _, at := range foldertest.Payloads(n.Dir, part) {
			if raw, err := at.Read(); err == nil && !bytes.HasPrefix(b, raw[:min(len(raw), len(b))]) {
				return raw
			}
		}
	}
	return []byte("no other payload is stored")
}
