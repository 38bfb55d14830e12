package node

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// The other side may be another program: the bytes of one version of the protocol
// stay what they are.
func TestWireIsTheSameBytes(t *testing.T) {
	golden := map[string]string{
		"answer to a batch":        "b8573477c81e8c05b8c4dbdca5fa7adcfdd94d2d28b15e6ce2272cd8a86fbaf6",
		"news":                     "d085ed22a5776a6f4588188876aaf20114d4cdaa7dea19dc7b08354168bc7c53",
		"withdrawn tokens":         "9ac94b185b0fd3111ab6fc9f1f3268c026a92bf6b1f9b6b6cf766b94a04e710a",
		"sites":                    "7bdbf06bdf594b57fe42a2610e67a1a6b6bab95f89937c580378582fcd45cac4",
		"begun upload":             "b0db7e6739d5897da436790378a519c4edda19a8a6e7cf347ef0cd58039dd1f2",
		"batch of entries":         "7cd09e1efbba24bcf045304bc2a9559a12844a2502f2ea70b55f28a48463f44f",
		"configs":                  "c0eeeaab7843d35111a48d8036a773abfe00f87233c94e5542ac80d556ea631c",
		"entry bundle":             "1f2ee3776870c53da26def8555e769ca9f284ac5cae1b7f962ba0876c36a2cea",
		"puts":                     "f71bcac4ad4a8de9674b0717e81927da29fd0646d3e8ee3234e1e53d1ff76df4",
		"upload part":              "7d99ba75f966f31092aea9087be911cf50e5c25fc179458280e502fe60188bde",
		"upload commit":            "3a5e81a978fe11cfc0e076ba73779e9229332f2d3010f979254e1b0d6d97664c",
		"deposits":                 "38bfe1f260a00466b4069ca33b80c758adedd24fc302f2cc94701ebeb2d16567",
		"receipts":                 "e99db0823958df02d779c78474a6608f8bc952556ce1ccf3dcaca639a1d944c9",
		"acknowledgements":         "40decf91f3e399fc4a023fd2845f43d90c5c5201a0dbbbe8c8e914a1fd5494ec",
		"bulk request":             "e52833861466cc220eb93d7c1f60294cc32c9cfa79ce438cc3ba199bbf076e43",
		"answer to a bulk request": "2f546f2cd2fef06feaa8f631884bace02f8199f0e04908ad1c18e885ab9b1b5d",
		"beginning of a payload":   "f1b400412bac1bc552899f94658194417189b70eea0026c27876dc31b371db7b",
		"request of a node":        "8c306118b06f37ccfdda79a9b6b0e422fa0f0e469426e2326ccd27a958e6ca7c",
		"keeper state":             "b80a562aee268f702d8fe1c95d119a23b8076b28d8710006097c6d44919e03e5",
	}
	for _, c := range codecs() {
		sum := sha256.Sum256(c.bytes)
		if got := hex.EncodeToString(sum[:]); got != golden[c.name] {
			t.Errorf("%q: %q,", c.name, got)
		}
	}
	if len(golden) != len(codecs()) {
		t.Errorf("%d of %d encodings", len(golden), len(codecs()))
	}
}
