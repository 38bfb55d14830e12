package crypto

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// FORMAT.md's table and tags.go list the same tags, each once.
func TestTagsAreThoseOfFormat(t *testing.T) {
	read := func(name, pattern string) map[string]bool {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(b), -1) {
			if found[m[1]] {
				t.Errorf("%s has %s twice", name, m[1])
			}
			found[m[1]] = true
		}
		return found
	}
	code := read("tags.go", `(?m)^\tTag\w+\s+Tag = "([^"]+)"`)
	table := read("FORMAT.md", "(?m)^\\| `(carekey/v1/[^`]+)` \\|")
	for tag := range code {
		if !table[tag] {
			t.Errorf("%s is not in FORMAT.md", tag)
		}
		if !strings.HasPrefix(tag, "carekey/v1/") || strings.ContainsAny(tag, "\x00 ") || tag != strings.ToLower(tag) {
			t.Errorf("%q is no tag", tag)
		}
	}
	for tag := range table {
		if !code[tag] {
			t.Errorf("%s is not in tags.go", tag)
		}
	}
	if len(code) < 40 {
		t.Errorf("%d tags", len(code))
	}
	all, err := os.ReadFile("tags.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(all), `Tag = "`); n != len(code) {
		t.Errorf("tags.go has %d constants, %d were read", n, len(code))
	}
}

// Other files write no tag of their own: neither a conversion nor a literal.
func TestTagsAreInOneFile(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") || f.Name() == "tags.go" {
			continue
		}
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), `"carekey/v1/`) || strings.Contains(string(b), "Tag(\"") {
			t.Errorf("%s writes a tag", f.Name())
		}
	}
}
