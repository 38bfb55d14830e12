package clitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/carekey/carekey/crypto/crash"
	"github.com/google/jsonschema-go/jsonschema"
	"github.com/spf13/cobra"
)

// UnlikeSchema is the exit code of a program that printed what its schema does not say.
const UnlikeSchema = 99

// Checked runs a program as it is, and compares what it prints with --json with what it
// prints with --json-schema: one value that has the fields of the schema and no other, and
// on stderr, if it fails, an error last, which without logs is all. With --watch it is any
// number of lines with a value each, and so is stderr with errors. run begins anew with each
// call. A difference is said on stderr and ends with [UnlikeSchema].
func Checked(args []string, logs bool, run func(args []string, out, err *os.File) int) (exit int) {
	flags := args
	if i := slices.Index(args, "--"); i >= 0 {
		flags = args[:i]
	}
	if !slices.Contains(flags, "--json") || isDevice(os.Stdout) || isDevice(os.Stderr) || slices.Contains(flags, "--help") {
		return run(args, os.Stdout, os.Stderr)
	}
	out, errOut := tee(os.Stdout), tee(os.Stderr)
	exit = run(args, out.w, errOut.w)
	printed, failed := out.end(), errOut.end()
	if err := unlike(args, exit, printed, failed, logs, run); err != nil {
		fmt.Fprintf(os.Stderr, "\n%q: %v\n", args, err)
		return UnlikeSchema
	}
	return exit
}

func isDevice(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// teed is a pipe to one of the program's own streams, of which a copy is kept.
type teed struct {
	w    *os.File
	kept bytes.Buffer
	done chan struct{}
}

func tee(to *os.File) *teed {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	t := &teed{w: w, done: make(chan struct{})}
	go func() {
		defer crash.Report()
		defer close(t.done)
		io.Copy(io.MultiWriter(&t.kept, to), r)
	}()
	return t
}

func (t *teed) end() []byte {
	t.w.Close()
	<-t.done
	return t.kept.Bytes()
}

func unlike(args []string, exit int, printed, failed []byte, logs bool, run func(args []string, out, err *os.File) int) error {
	schema, reported, err := schemasOf(args, run)
	if schema == nil || err != nil {
		return err
	}
	if slices.Contains(args, "--watch") && !slices.Contains(args, "--unit") {
		for line := range bytes.Lines(printed) {
			if err := valid(schema, line); err != nil {
				return fmt.Errorf("stdout: %w", err)
			}
		}
		for line := range bytes.Lines(failed) {
			if err := valid(reported, line); err != nil {
				return fmt.Errorf("stderr: %w", err)
			}
		}
		return nil
	}
	if len(printed) > 0 || exit == 0 {
		if err := valid(schema, printed); err != nil {
			return fmt.Errorf("stdout: %w", err)
		}
	}
	if exit == 0 || bytes.Contains(failed, []byte(" is broken: ")) { // a crash says so in its own way
		return nil
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(failed, []byte("\n")), []byte("\n"))
	if len(lines) != 1 && !logs {
		return fmt.Errorf("stderr has %d lines", len(lines))
	}
	if err := valid(reported, lines[len(lines)-1]); err != nil {
		return fmt.Errorf("stderr: %w", err)
	}
	return nil
}

// schemasOf are what the program says of this command's result and of its errors; nil if
// it prints no JSON.
func schemasOf(args []string, run func(args []string, out, err *os.File) int) (result, reported *jsonschema.Resolved, err error) {
	f, err := os.CreateTemp("", "schema")
	if err != nil {
		return nil, nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	exit := run(append([]string{"--json-schema"}, args...), f, f)
	b, err := os.ReadFile(f.Name())
	if err != nil || exit != 0 || !bytes.HasPrefix(b, []byte("{")) {
		return nil, nil, err
	}
	return compiled(b)
}

// compiled are a command's schemas, which refuse what they do not name. The validator is
// one that does nothing before it is used: it is linked into each of the many processes
// that stories start.
func compiled(text []byte) (result, reported *jsonschema.Resolved, err error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, nil, err
	}
	strict(v)
	if text, err = json.Marshal(v); err != nil {
		return nil, nil, err
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(text, &schema); err != nil {
		return nil, nil, err
	}
	failed := schema.Defs["error"]
	if failed == nil {
		return nil, nil, errors.New("no error is defined")
	}
	result, err1 := schema.Resolve(nil)
	reported, err2 := failed.Resolve(nil)
	return result, reported, errors.Join(err1, err2)
}

// strict makes a schema refuse fields that it does not name, and texts that are not the
// times that it says they are, which for others is a remark.
func strict(v any) {
	switch v := v.(type) {
	case map[string]any:
		_, fields := v["properties"]
		if _, open := v["additionalProperties"]; fields && !open && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		if v["format"] == "date-time" {
			v["pattern"] = dateTime
		}
		for _, x := range v {
			strict(x)
		}
	case []any:
		for _, x := range v {
			strict(x)
		}
	}
}

// dateTime is a time of RFC 3339.
const dateTime = `^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`

func valid(schema *jsonschema.Resolved, text []byte) error {
	var v any
	if err := json.Unmarshal(text, &v); err != nil { // one value, and nothing after it
		return err
	}
	return schema.Validate(v)
}

// Rows is an error of each command that has no row among a program's schemas, and of each
// row that has no command. rows are the paths of the commands that have one, with whether
// they print JSON; of is the schema of one.
func Rows(t *testing.T, root *cobra.Command, rows map[string]bool, of func(*cobra.Command) (schema any, ok bool)) {
	t.Helper()
	rows = maps.Clone(rows)
	var walk func(c *cobra.Command, path string)
	walk = func(c *cobra.Command, path string) {
		prints, has := rows[path]
		delete(rows, path)
		if !has && !c.HasSubCommands() {
			t.Errorf("%s has no row in schema.go", c.CommandPath())
		}
		if schema, ok := of(c); ok != prints {
			t.Errorf("%s: its row is not found", c.CommandPath())
		} else if ok {
			b, err := json.Marshal(schema)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := compiled(b); err != nil {
				t.Errorf("%s: %v", c.CommandPath(), err)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub, strings.TrimPrefix(path+" "+sub.Name(), " "))
		}
	}
	walk(root, "")
	for path := range rows {
		t.Errorf("there is no command %q, which has a row in schema.go", path)
	}
}
