package node

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/carekey/carekey/ledgerclient"
)

// PROTOCOL.md says what the code does: every path, every problem with its status,
// every code and reason.
func TestSpecification(t *testing.T) {
	raw, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(raw)
	has := func(what, text string) {
		t.Helper()
		if !strings.Contains(doc, text) {
			t.Errorf("%s: no %q", what, text)
		}
	}
	for _, path := range []string{PathGenesis, PathConfig, PathCheckpoint, PathNews, PathWitnessed, PathTile, PathWithdrawn, PathSites, PathCosign} {
		has("path", "| `GET "+strings.TrimPrefix(path, Prefix))
	}
	for _, path := range []string{PathEntries, PathUploads, PathUploadPart, PathUploadCommit, PathUploadAbort, PathCosign} {
		has("path", "| `POST "+strings.TrimPrefix(path, Prefix))
	}
	for _, path := range []string{PathDeposit, PathState, PathRelease, PathRevoke, PathInquire} {
		has("path", "| `"+strings.TrimPrefix(path, Prefix)+"` |")
	}
	has("path", "`POST blobs`")
	has("path", "`GET blobs`")
	has("path", "`POST erase`")
	has("path", "`POST bulk`")
	has("path", "| `GET "+strings.TrimPrefix(PathLinks, Prefix)+"`")
	for _, path := range []string{PathLinks, PathLinkInquire} {
		has("path", "| `POST "+strings.TrimPrefix(path, Prefix)+"`")
	}
	has("path", "`GET "+PathLink)
	has("path", "`POST "+PathLink)
	has("path", "`GET "+PathView)
	has("path", "`POST copies`")
	for k, p := range problems {
		has("problem", fmt.Sprintf("| `%s` | %d |", k, p.status))
		// What cannot have been done is told apart from what may have been.
		line := regexp.MustCompile("(?m)^\\| `" + string(k) + "` .*$").FindString(doc)
		unknown := k == KindFull || k == KindDamaged || k == KindUnsigned || k == KindUndecided || k == KindFailed
		if strings.Contains(line, "unknown") != unknown {
			t.Errorf("%s: %s", k, line)
		}
	}
	if n := len(regexp.MustCompile("(?m)^\\| `[a-z-]+` \\| [45]\\d\\d \\|").FindAllString(doc, -1)); n != len(problems) {
		t.Errorf("%d problems in the document, %d in the code", n, len(problems))
	}
	for _, name := range ledgerclient.StoreReasons {
		has("reason", "`"+string(name)+"`")
	}
	for c := ledgerclient.Released; c <= ledgerclient.BadRequest; c++ {
		has("code", fmt.Sprintf("%d `%s`", c, c))
	}
	for _, header := range []string{HeaderVersion, HeaderLocator, HeaderFrom} {
		has("header", header)
	}
	has("limit", fmt.Sprintf("entries, deposits or revocations in one request | %d,%03d |", MaxEntries/1000, MaxEntries%1000))
	has("limit", fmt.Sprintf("| tokens in a list of withdrawn ones | %d,%03d |", MaxWithdrawn/1000, MaxWithdrawn%1000))
	has("limit", fmt.Sprintf("in place of the public one: %d characters", MaxToken))
	has("limit", fmt.Sprintf("one small payload | %d MiB |", MaxBlob>>20))
	has("limit", fmt.Sprintf("| %d MiB / %d MiB / %d MiB + 40 |", MaxPutsSize>>20, MaxDeposits>>20, MaxPart>>20))
	has("limit", fmt.Sprintf("| checkpoint / configuration document / problem | %d KiB / %d MiB / %d KiB |", MaxNote>>10, MaxDocument>>20, MaxProblem>>10))
	has("limit", fmt.Sprintf("one content | %d TiB", MaxContent>>40))
	has("limit", fmt.Sprintf("what is said to them | %d / %d MiB", ledgerclient.MaxBulk, MaxBulk>>20))
	has("limit", fmt.Sprintf("the first %d,%03d", ledgerclient.FirstBytes/1000, ledgerclient.FirstBytes%1000))
	for what, row := range map[Asked]string{AskPayload: "locator", AskState: "state inquiry", AskRelease: "request", AskInquiry: "inquiry"} {
		has("question", fmt.Sprintf("| %d | %s %d |", what, row, what.size()))
	}
}
