package crypto

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"os"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

type hpkeVector struct {
	Mode           int
	KEM            int      `json:"kem_id"`
	KDF            int      `json:"kdf_id"`
	AEAD           uint16   `json:"aead_id"`
	Info           hexBytes `json:"info"`
	SkE            hexBytes `json:"skEm"`
	PkE            hexBytes `json:"pkEm"`
	SkR            hexBytes `json:"skRm"`
	PkR            hexBytes `json:"pkRm"`
	SharedSecret   hexBytes `json:"shared_secret"`
	Key            hexBytes `json:"key"`
	BaseNonce      hexBytes `json:"base_nonce"`
	ExporterSecret hexBytes `json:"exporter_secret"`
	Encryptions    []struct {
		Pt, Aad, Nonce, Ct hexBytes
	}
	Exports []struct {
		Context hexBytes `json:"exporter_context"`
		L       int
		Value   hexBytes `json:"exported_value"`
	}
}

// testHPKE runs a base-mode vector and returns the number of ciphertexts it had.
func testHPKE(t *testing.T, v hpkeVector) int {
	t.Helper()
	check := func(what string, got, want []byte) {
		t.Helper()
		if !bytes.Equal(got, want) {
			t.Errorf("AEAD %d: %s is %x, want %x", v.AEAD, what, got, want)
		}
	}
	if v.KEM != 0x16 || v.KDF != 1 {
		t.Fatalf("KEM %#x, KDF %d", v.KEM, v.KDF)
	}
	to, err := parseRaw(v.PkR)
	if err != nil {
		t.Fatal(err)
	}
	e, ok := parseScalar(v.SkE)
	if !ok {
		t.Fatal("skE refused")
	}
	secret, enc, err := hpkeEncap(&knownPoint{q: to}, e)
	if err != nil {
		t.Fatal(err)
	}
	check("enc", enc[:], v.PkE)
	check("shared secret of Encap", secret, v.SharedSecret)
	k, err := ParsePrivateKey(v.SkR)
	if err != nil {
		t.Fatal(err)
	}
	check("pkR", k.public().raw[:], v.PkR)
	secret, err = hpkeDecap(k, v.PkE)
	if err != nil {
		t.Fatal(err)
	}
	check("shared secret of Decap", secret, v.SharedSecret)

	sizes := map[uint16]int{1: 16, 2: 32, 3: 32, 0xffff: 0}
	keys := hpkeSchedule(secret, v.Info, v.AEAD, sizes[v.AEAD])
	check("key", keys.key, v.Key)
	check("base nonce", keys.nonce, v.BaseNonce)
	check("exporter secret", keys.exporter, v.ExporterSecret)
	suite := labeled(binary.BigEndian.AppendUint16([]byte("HPKE\x00\x16\x00\x01"), v.AEAD))
	for _, x := range v.Exports {
		check("export", suite.expand(keys.exporter, "sec", x.Context, x.L), x.Value)
	}
	var aead cipher.AEAD
	switch v.AEAD {
	case 1, 2:
		block, err := aes.NewCipher(keys.key)
		if err != nil {
			t.Fatal(err)
		}
		aead, err = cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
	case 3:
		aead, err = chacha20poly1305.New(keys.key)
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range v.Encryptions {
		nonce := func(seq int) []byte {
			n := bytes.Clone(keys.nonce)
			binary.BigEndian.PutUint64(n[4:], binary.BigEndian.Uint64(n[4:])^uint64(seq))
			return n
		}
		check("ciphertext", aead.Seal(nil, nonce(i), m.Pt, m.Aad), m.Ct)
		check("nonce", nonce(i+1), m.Nonce) // the vectors give that of the next message
	}
	return len(v.Encryptions)
}

// The four base-mode vectors of bitcoin-hpke, with three ciphertexts each.
func TestHPKE(t *testing.T) {
	b, err := os.ReadFile("../testdata/vectors/hpke-k256-base.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []hpkeVector
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, v := range vectors {
		n += testHPKE(t, v)
	}
	if len(vectors) != 4 || n != 9 {
		t.Errorf("%d vectors with %d ciphertexts", len(vectors), n)
	}
}

func TestHPKEPublished(t *testing.T) {
	for _, c := range []struct {
		file                 string
		vectors, ciphertexts int
	}{
		{"bitcoin-hpke-test-vectors-k256.json", 4, 3 * 257},
		{"draft-wahby-01-vectors-corrected.json", 9, 0},
	} {
		t.Run(c.file, func(t *testing.T) {
			var vectors []hpkeVector
			external(t, &vectors, "hpke", c.file)
			run, n := 0, 0
			for _, v := range vectors {
				if v.Mode == 0 {
					run++
					n += testHPKE(t, v)
				}
			}
			if run != c.vectors || n != c.ciphertexts {
				t.Errorf("%d vectors with %d ciphertexts", run, n)
			}
		})
	}
}

func TestHPKERefuses(t *testing.T) {
	k := GenerateKey()
	enc, sealed, err := hpkeSeal(k.Public(), []byte("info"), []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := hpkeOpen(k, []byte("info"), enc[:], sealed); err != nil || string(b) != "message" {
		t.Fatalf("%q %v", b, err)
	}
	compressed, hybrid, offCurve := enc[:33], bytes.Clone(enc[:]), bytes.Clone(enc[:])
	hybrid[0] = 6 + enc[64]&1
	offCurve[40] ^= 1
	for name, c := range map[string]struct {
		k                 *PrivateKey
		info, enc, sealed []byte
	}{
		"other key":     {GenerateKey(), []byte("info"), enc[:], sealed},
		"other info":    {k, []byte("inf0"), enc[:], sealed},
		"no info":       {k, nil, enc[:], sealed},
		"compressed":    {k, []byte("info"), compressed, sealed},
		"hybrid":        {k, []byte("info"), hybrid, sealed},
		"off curve":     {k, []byte("info"), offCurve, sealed},
		"zero point":    {k, []byte("info"), make([]byte, 65), sealed},
		"empty":         {k, []byte("info"), nil, sealed},
		"truncated":     {k, []byte("info"), enc[:], sealed[:len(sealed)-1]},
		"no ciphertext": {k, []byte("info"), enc[:], nil},
	} {
		if b, err := hpkeOpen(c.k, c.info, c.enc, c.sealed); err == nil {
			t.Errorf("%s: opened %q", name, b)
		}
	}
	if _, _, err := hpkeSeal(PubKey{}, nil, nil); err != ErrPubKey {
		t.Error(err)
	}
}
