package chain

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/order"
)

// unhex is the text of bytes in a vector.
type unhex []byte

func (u *unhex) UnmarshalText(text []byte) (err error) {
	*u, err = hex.DecodeString(string(text))
	return err
}

// A second implementation, testdata/vectors/order.py, makes the same envelopes, items and
// states.
func TestVector(t *testing.T) {
	raw, err := os.ReadFile("../../../testdata/vectors/order.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Genesis string
		Seeds   []unhex
		Blocks  []struct {
			Time        int64
			Envelopes   []unhex
			State, Hash unhex
		}
		Items []struct {
			Hour     contract.Hour
			Entry    unhex
			Document string
		}
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	c, err := New([]byte(v.Genesis))
	if err != nil {
		t.Fatal(err)
	}
	keys := map[[32]byte]ed25519.PrivateKey{}
	for _, seed := range v.Seeds {
		key := ed25519.NewKeyFromSeed(seed)
		keys[[32]byte(key.Public().(ed25519.PublicKey))] = key
	}
	have := map[[32]byte]bool{}
	ordered := func(key [32]byte) (bool, error) { return have[key], nil }
	state := c.Start()
	var items []order.Item
	for height, block := range v.Blocks {
		b := c.Begin(state, uint64(height)+1, time.Unix(block.Time, 0), ordered)
		for i, tx := range block.Envelopes {
			e, err := c.Open(tx)
			if err == nil {
				err = b.Take(e)
			}
			if err != nil {
				t.Fatalf("envelope %d of block %d: %v", i, height+1, err)
			}
			if !bytes.Equal(c.Seal(keys[e.Node], e.Number, e.Items), tx) {
				t.Errorf("envelope %d of block %d is made otherwise", i, height+1)
			}
		}
		after, some := b.End(state)
		if hash := after.Hash(); !bytes.Equal(after.Marshal(), block.State) || !bytes.Equal(hash[:], block.Hash) {
			t.Errorf("block %d comes to state %x, hash %x", height+1, after.Marshal(), hash)
		}
		for i := range some {
			have[Key(&some[i].Entry)] = true
		}
		items, state = append(items, some...), after
	}
	if len(v.Blocks) < 3 || len(items) != len(v.Items) {
		t.Fatalf("%d blocks, %d items", len(v.Blocks), len(items))
	}
	for i, want := range v.Items {
		entry := items[i].Entry.Marshal()
		if items[i].Hour != want.Hour || !bytes.Equal(entry[:], want.Entry) || items[i].Document != want.Document {
			t.Errorf("item %d is %+v", i, items[i])
		}
	}
}
