package clitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// Commands of scripts that both programs' tests have.

// Exit: exit N COMMAND ARGS... runs a command that must end with N.
func Exit(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

// JSON: json NAME PATH [FILE] sets a variable from JSON, by default that of
// stdout.
func JSON(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv(args[0], Value(ts, args[1], args[2:]))
}

// Is: is PATH VALUE [FILE] compares a value in JSON.
func Is(ts *testscript.TestScript, neg bool, args []string) {
	if got := Value(ts, args[0], args[2:]); (got == args[1]) == neg {
		ts.Fatalf("%s is %s", args[0], got)
	}
}

// Value finds a value by a path like 0.records.1.title or error.code. Objects and
// lists are their number of elements; # of what is no value is "absent".
func Value(ts *testscript.TestScript, path string, file []string) string {
	name := "stdout"
	if len(file) > 0 {
		name = file[0]
	}
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(name)))
	d.UseNumber()
	var v any
	ts.Check(d.Decode(&v))
	if d.More() {
		ts.Fatalf("%s holds more than one JSON value", name)
	}
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' }) {
		switch x := v.(type) {
		case map[string]any:
			y, ok := x[step]
			if !ok {
				return "absent"
			}
			v = y
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(x) {
				return "absent"
			}
			v = x[i]
		default:
			return "absent"
		}
	}
	switch x := v.(type) {
	case nil:
		return "null"
	case []any:
		return strconv.Itoa(len(x))
	case map[string]any:
		return strconv.Itoa(len(x))
	}
	return fmt.Sprint(v)
}
