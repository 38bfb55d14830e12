package ledgerclient

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// Signed messages are kept, and the other side may be another program: their bytes,
// and what is signed of them, stay what they are.
func TestMessagesAreTheSameBytes(t *testing.T) {
	number := byte(0)
	fill := func(b []byte) {
		for i := range b {
			number++
			b[i] = number
		}
	}
	var l crypto.LedgerID
	var grant, root, hash contract.ID
	var keeper, response crypto.PubKey
	var nonce [32]byte
	var sig crypto.Signature
	raw, entry := make([]byte, 33), make([]byte, contract.Size)
	for _, b := range [][]byte{l[:], grant[:], root[:], hash[:], keeper[:], response[:], nonce[:], sig[:], raw, entry} {
		fill(b)
	}
	share, err := crypto.ParseShare(raw)
	if err != nil {
		t.Fatal(err)
	}
	access, err := contract.ParseEntry(entry)
	if err != nil {
		t.Fatal(err)
	}
	d := Deposit{Ledger: l, Grant: grant, Keeper: keeper, Share: share, Package: []byte("a package"), Signature: sig}
	r := Receipt{Ledger: l, Grant: grant, Keeper: keeper, Index: 3, Share: hash, Hour: 480_001, Signature: sig}
	q := Request{Ledger: l, Keeper: keeper, Access: access, Response: response, Signature: sig}
	yes := Answer{Request: hash, Grant: grant, Code: Released, Hour: 480_002, Size: 1 << 40, Root: root, Sealed: []byte("a share"), Signature: sig}
	no := Answer{Request: hash, Grant: grant, Code: Revoked, Hour: 480_002, Size: 17, Root: root, Signature: sig}
	ack := Acknowledgement{Ledger: l, Grant: grant, Keeper: keeper, End: Stopped, Hour: 480_003, Signature: sig}
	i := Inquiry{Ledger: l, Keeper: keeper, Grant: grant, Nonce: nonce, Signature: sig}
	refused := Refused{Request: q, Answer: no}
	all := InquiryAnswer{Inquiry: hash, Size: 18, Root: root, Refused: []Refused{refused, refused}, More: 7, Acks: []Acknowledgement{ack}, Signature: sig}
	link := LinkDeposit{Ledger: l, Grant: grant, Keeper: keeper, Name: crypto.Hash(root), End: 480_100, Openings: 3, Package: []byte("a package"), File: []byte("a file"), Signature: sig}
	locked := link
	locked.Daily, locked.Passcode = true, LinkPasscode{Attempts: 5, Salt: [16]byte(raw), Hash: nonce}
	kept := LinkReceipt{Ledger: l, Grant: grant, Keeper: keeper, Deposit: crypto.Hash(hash), Hour: 480_001, Signature: sig}
	became := LinkAnswer{Inquiry: crypto.Hash(hash), State: LinkLocked, Left: 2, Attempts: 1, More: 9, Signature: sig, Events: []LinkEvent{
		{What: LinkOpened, At: 1_728_000_000, By: "Dr Äther", Reason: "a fall"}, {What: LinkRefused, At: 1_728_000_001},
	}}
	now := became
	now.Openings, now.Daily, now.Passcode = 10, true, true
	for _, c := range []struct {
		name   string
		bytes  []byte
		digest crypto.Hash
		want   string // SHA-256 of the bytes, then of the digest behind them
	}{
		{"deposit", Marshal(&d), digestOf(&d), "edfe44acba8d3aff71387353118deca6f18807113477e281b2d686e5d9c64daa"},
		{"receipt", Marshal(&r), digestOf(&r), "ff042f75ff5e89aabe16d7343def45f6de47b75a936626a20f4ecd5df4ff4b7f"},
		{"request", Marshal(&q), digestOf(&q), "1043414e24a6741d268e44e2e2c3837ebdcec4c115d54b2163520f736109f27b"},
		{"request hash", Marshal(&q), q.Hash(), "184463d2733356a2c3ba117857eb547c8395def9daee027bdf120fbfbf7cd2df"},
		{"release", Marshal(&yes), digestOf(&yes), "7c6b14971ae7642aec4439246eab2343ce0807c9db871f2520b9d86d5da6b64f"},
		{"refusal", Marshal(&no), digestOf(&no), "1d4e8ae69b6b119b8e4ff13b743725cfba0a3484e6bcee1b80f6b57d9bce4e31"},
		{"acknowledgement", Marshal(&ack), digestOf(&ack), "ab8c8863f3ac6415814f5dd5587bbfa905163a51dcf2b3f9b76c3296a803e738"},
		{"inquiry", Marshal(&i), digestOf(&i), "92dca25324a20b9b537b423b0c3985426f35d74fabe30fbc178456b0b894f358"},
		{"inquiry hash", Marshal(&i), i.Hash(), "d5f8a234d170d97b0a3c59155fb1add3a2c607deb8a96d38f974602874226b99"},
		{"state inquiry", Marshal(&i), digestOf(stateInquiry{&i}), "faef8f7aab9f7698964c6fa71452187ae7eaced7593be19c242c7cc23eb5880f"},
		{"refused request", refused.Marshal(), crypto.Hash{}, "db1546a7bd9931fdc0498ee2f3d9d40fc047ef5e6236833285aa242c4e23a401"},
		{"answer to an inquiry", Marshal(&all), digestOf(&all), "1bca584345fdf7eafcebbf1568fe2bf5c2ddb1b296a2e289e30528342f7c74d6"},
		{"deposit of a link", Marshal(&link), link.Hash(), "273290c2582e78c3ec40966b91e042efb85fcb6fd7030d00b70768b55d21c837"},
		{"deposit of a link with a passcode", Marshal(&locked), digestOf(&locked), "5b2833c6c78be28adbf110e0991e0c326ecb6c5a6a075073b327961b6c76d19e"},
		{"receipt for a link", Marshal(&kept), digestOf(&kept), "d0e5695e50df72fd3f84cea95eff98f03e0ab46873c5c31148b09fe73b0149f4"},
		{"inquiry about a link", Marshal(&i), digestOf(linkInquiry{&i}), "36d2c8a6b2548c062767b953fdc52035e3a2c7050a7b8a0dc383438dfbb710fc"},
		{"answer about a link", Marshal(&now), digestOf(&now), "991594fc84223eeb151ca726022006dfe3012f01f93f1e8c74be01d006d1f041"},
		{"older answer about a link", Marshal(&became), digestOf(&became), "9e4416f91ab97b672f28fa17aaca21fd9aa4f552555a0466c06f75cf70ef695f"},
	} {
		sum := sha256.Sum256(append(c.bytes, c.digest[:]...))
		if got := hex.EncodeToString(sum[:]); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func digestOf(m message) crypto.Hash {
	_, tag, _ := m.signed()
	return digest(m, tag)
}
