package crypto

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// external reads a published test vector file, which is not part of the project,
// from the folder that CAREKEY_TESTDATA names. Without it the test is skipped, or
// fails if CAREKEY_NO_SKIP is set.
func external(t *testing.T, into any, path ...string) {
	t.Helper()
	dir := os.Getenv("CAREKEY_TESTDATA")
	if dir == "" {
		if os.Getenv("CAREKEY_NO_SKIP") != "" {
			t.Fatal("CAREKEY_TESTDATA is not set")
		}
		t.Skip("CAREKEY_TESTDATA is not set: no published vectors")
	}
	b, err := os.ReadFile(filepath.Join(append([]string{dir, "vectors"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

// hexBytes is bytes whose JSON is hexadecimal.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.AppendDecode(nil, text)
	return err
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
