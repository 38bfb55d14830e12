package crypto

import (
	"bytes"
	"crypto/sha256"
	"math/big"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/carekey/carekey/crypto/lane"
)

// Project Wycheproof's vectors for secp256k1, through the strict rules of this
// package: DER is read strictly, keys are uncompressed points in the vectors, and
// s above half the order is refused.

type wycheproofECDSA struct {
	NumberOfTests int
	TestGroups    []struct {
		PublicKey struct{ Uncompressed hexBytes }
		Tests     []struct {
			TcID    int
			Comment string
			Msg     hexBytes
			Sig     hexBytes
			Result  string
		}
	}
}

// fromDER reads a DER signature of which r and s are in [1, n-1].
func fromDER(b []byte) (Signature, bool) {
	parsed, err := ecdsa.ParseDERSignature(b)
	if err != nil {
		return Signature{}, false
	}
	r, s := parsed.R(), parsed.S()
	var sig Signature
	r.PutBytesUnchecked(sig[:32])
	s.PutBytesUnchecked(sig[32:])
	return sig, true
}

func fromP1363(b []byte) (Signature, bool) {
	if len(b) != len(Signature{}) {
		return Signature{}, false
	}
	return Signature(b), true
}

func TestWycheproofECDSA(t *testing.T) {
	lane.OneGoroutine(t)
	half := new(big.Int).Rsh(order, 1)
	for _, c := range []struct {
		file  string
		parse func([]byte) (Signature, bool)
		low   bool // the vectors' own verdict demands a low s
		valid int  // expected to verify here, at least
	}{
		{"ecdsa_secp256k1_sha256_bitcoin_test.json", fromDER, true, 100},
		{"ecdsa_secp256k1_sha256_test.json", fromDER, false, 80},
		{"ecdsa_secp256k1_sha256_p1363_test.json", fromP1363, false, 80},
	} {
		t.Run(c.file, func(t *testing.T) {
			var v wycheproofECDSA
			external(t, &v, "wycheproof", c.file)
			run, valid := 0, 0
			for _, g := range v.TestGroups {
				q, err := parseRaw(g.PublicKey.Uncompressed)
				if err != nil {
					t.Fatal(err)
				}
				p := compress(&q)
				for _, tc := range g.Tests {
					run++
					sig, ok := c.parse(tc.Sig)
					got := ok && p.Verify(Hash(sha256.Sum256(tc.Msg)), sig)
					want := tc.Result == "valid"
					if !c.low && want {
						want = new(big.Int).SetBytes(sig[32:]).Cmp(half) <= 0
					}
					if got != want {
						t.Errorf("%d %s: %v, want %v", tc.TcID, tc.Comment, got, want)
					}
					if got {
						valid++
					}
				}
			}
			if run != v.NumberOfTests || run < 250 || valid < c.valid {
				t.Errorf("%d of %d run, %d valid", run, v.NumberOfTests, valid)
			}
		})
	}
}

func TestWycheproofECDH(t *testing.T) {
	lane.OneGoroutine(t)
	var v struct {
		NumberOfTests int
		TestGroups    []struct {
			Tests []struct {
				TcID                    int
				Comment                 string
				Public, Private, Shared hexBytes
				Result                  string
			}
		}
	}
	external(t, &v, "wycheproof", "ecdh_secp256k1_test.json")
	// SubjectPublicKeyInfo of a point on secp256k1, named by its OID.
	spkiRaw := unhex(t, "3056301006072a8648ce3d020106052b8104000a034200")
	spkiCompressed := unhex(t, "3036301006072a8648ce3d020106052b8104000a032200")
	run, agreed := 0, 0
	for _, g := range v.TestGroups {
		for _, tc := range g.Tests {
			run++
			var q point
			err := errPoint
			if b, ok := bytes.CutPrefix(tc.Public, spkiRaw); ok {
				q, err = parseRaw(b)
			} else if b, ok := bytes.CutPrefix(tc.Public, spkiCompressed); ok && len(b) == 33 {
				q, err = decompress(PubKey(b))
			}
			if err != nil {
				if tc.Result == "valid" {
					t.Errorf("%d %s: public key refused", tc.TcID, tc.Comment)
				}
				continue
			}
			d, ok := parseScalar(new(big.Int).SetBytes(tc.Private).FillBytes(make([]byte, 32)))
			if !ok {
				t.Errorf("%d %s: private key refused", tc.TcID, tc.Comment)
				continue
			}
			for _, blind := range []bool{false, true} {
				z, err := ecdh(d, &q, blind)
				if err != nil || !bytes.Equal(z[:], tc.Shared) || tc.Result == "invalid" {
					t.Errorf("%d %s: %x, %v; want %s", tc.TcID, tc.Comment, z, err, tc.Result)
				}
			}
			agreed++
		}
	}
	if run != v.NumberOfTests || run < 700 || agreed < 470 {
		t.Errorf("%d of %d run, %d agreed", run, v.NumberOfTests, agreed)
	}
}
