package cli

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// A Prints is what a command prints with --json: a value of one of these types; none is a
// command that prints no JSON.
type Prints []printed

type printed struct {
	reflect.Type
	comment string
}

// JSON says that a command prints a value of type T.
func JSON[T any](or ...Prints) Prints {
	return append(Prints{{reflect.TypeFor[T](), ""}}, slices.Concat(or...)...)
}

// Lines says that a command which goes on until it is told to end, with a flag, prints any
// number of values of type T, each on a line of its own.
func Lines[T any](flag string) Prints {
	return Prints{{reflect.TypeFor[T](), "with " + flag + " any number of these, each on a line of its own"}}
}

// Schemas are the JSON Schemas of a program: what its commands print, by their paths without
// the program's name. They are derived from the Go types, so that they cannot lag behind.
type Schemas struct {
	Results map[string]Prints
	// Texts say what types look like that are more than any text: those that write
	// themselves and those of a few words. A type that writes itself as JSON and is not here
	// is taken for one that writes what its fields are.
	Texts map[reflect.Type]Schema
}

// OneOf is the schema of a type that has a few words.
func OneOf[T ~string](words ...T) Schema {
	s := Schema{Type: "string"}
	for _, w := range words {
		s.Enum = append(s.Enum, string(w))
	}
	return s
}

// Schema is a JSON Schema (2020-12), as far as results need it. Objects may have more
// fields than it names, since fields are added.
type Schema struct {
	Schema     string      `json:"$schema,omitempty"`
	Title      string      `json:"title,omitempty"`
	Comment    string      `json:"description,omitempty"`
	Type       string      `json:"type,omitempty"`
	Format     string      `json:"format,omitempty"`
	Pattern    string      `json:"pattern,omitempty"`
	Enum       []string    `json:"enum,omitempty"`
	Encoding   string      `json:"contentEncoding,omitempty"`
	Minimum    *int        `json:"minimum,omitempty"`
	Items      *Schema     `json:"items,omitempty"`
	MinItems   int         `json:"minItems,omitempty"`
	MaxItems   int         `json:"maxItems,omitempty"`
	Properties Properties  `json:"properties,omitempty"`
	Required   []string    `json:"required,omitempty"`
	Each       *Schema     `json:"additionalProperties,omitempty"` // of a map
	AnyOf      []*Schema   `json:"anyOf,omitempty"`
	Defs       *Properties `json:"$defs,omitempty"`
}

// Properties are the fields of an object, in the order in which they are printed.
type Properties []Property

// Property is one field.
type Property struct {
	Name   string
	Schema *Schema

	required, tagged bool
	depth            int // of the struct that has it, among those that are embedded
}

// MarshalJSON writes an object.
func (p Properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:", f.Name)
		if err := WriteJSON(&b, f.Schema, false); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Of is the schema of what a command prints with --json, and false if that is no JSON. Its
// definition "error" is what is on stderr if the exit code says that something is wrong.
func (s Schemas) Of(cmd *cobra.Command) (*Schema, bool) {
	prints := s.Results[pathOf(cmd)]
	if len(prints) == 0 {
		return nil, false
	}
	out := &Schema{}
	if len(prints) == 1 {
		out = s.of(prints[0].Type)
	} else {
		for _, p := range prints {
			one := s.of(p.Type)
			one.Comment = cmp.Or(p.comment, one.Comment)
			out.AnyOf = append(out.AnyOf, one)
		}
	}
	failed := s.of(reflect.TypeFor[reported]())
	failed.Comment = "on stderr, in one line, if the exit code is not 0"
	out.Schema, out.Title, out.Defs = "https://json-schema.org/draft/2020-12/schema", cmd.CommandPath()+" --json", &Properties{{Name: "error", Schema: failed}}
	return out, true
}

// pathOf is a command's path without the program's name.
func pathOf(cmd *cobra.Command) string {
	return strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()), " ")
}

var (
	writesJSON = reflect.TypeFor[json.Marshaler]()
	writesText = reflect.TypeFor[encoding.TextMarshaler]()
)

// of is the schema of what encoding/json writes for a type.
func (s Schemas) of(t reflect.Type) *Schema {
	if known, ok := s.Texts[t]; ok {
		return &known
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return &Schema{Type: "string", Format: "date-time"}
	case reflect.TypeFor[any](), reflect.TypeFor[json.RawMessage]():
		return &Schema{}
	case reflect.TypeFor[[]byte]():
		return &Schema{Type: "string", Encoding: "base64"}
	}
	if t.Kind() != reflect.Pointer && t.Implements(writesText) && !t.Implements(writesJSON) {
		return &Schema{Type: "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return &Schema{Type: "boolean"}
	case reflect.String:
		return &Schema{Type: "string"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &Schema{Type: "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &Schema{Type: "integer", Minimum: new(int)}
	case reflect.Float32, reflect.Float64:
		return &Schema{Type: "number"}
	case reflect.Pointer:
		return &Schema{AnyOf: []*Schema{s.of(t.Elem()), {Type: "null"}}}
	case reflect.Slice:
		return &Schema{Type: "array", Items: s.of(t.Elem())}
	case reflect.Array:
		return &Schema{Type: "array", Items: s.of(t.Elem()), MinItems: t.Len(), MaxItems: t.Len()}
	case reflect.Map:
		return &Schema{Type: "object", Each: s.of(t.Elem())}
	case reflect.Struct:
		return s.object(t)
	}
	panic("no schema for " + t.String())
}

func (s Schemas) object(t reflect.Type) *Schema {
	out := &Schema{Type: "object", Required: []string{}}
	all := s.fields(t, 0)
	for i, f := range all {
		if dominates(all, i) {
			out.Properties = append(out.Properties, f)
			if f.required {
				out.Required = append(out.Required, f.Name)
			}
		}
	}
	return out
}

// fields are those of a struct and of those that it embeds.
func (s Schemas) fields(t reflect.Type, depth int) (all Properties) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		embedded := f.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		switch {
		case f.Tag.Get("json") == "-":
		case f.Anonymous && name == "" && embedded.Kind() == reflect.Struct:
			inner := s.fields(embedded, depth+1)
			for i := range inner {
				inner[i].required = inner[i].required && f.Type.Kind() == reflect.Struct
			}
			all = append(all, inner...)
		case !f.IsExported():
		default:
			p := Property{Name: name, tagged: name != "", depth: depth, required: true}
			if name == "" {
				p.Name = f.Name
			}
			typ := f.Type
			for option := range strings.SplitSeq(options, ",") {
				if option == "omitempty" || option == "omitzero" {
					p.required = false
					if typ.Kind() == reflect.Pointer { // then it is never null
						typ = typ.Elem()
					}
				}
			}
			p.Schema = s.of(typ)
			all = append(all, p)
		}
	}
	return all
}

// dominates reports whether the field at i is the one of its name that is printed: the
// least embedded, and of several of those the one that has a tag.
func dominates(all Properties, i int) bool {
	f := all[i]
	for j, other := range all {
		if j == i || other.Name != f.Name || other.depth > f.depth {
			continue
		}
		if other.depth < f.depth || other.tagged || !f.tagged {
			return false
		}
	}
	return true
}

// schemaFlag is the flag that every command has for its schema.
const schemaFlag = "json-schema"

// schemaFlagOf gives a program's commands the flag: with it a command prints the schema of its
// result, and nothing else is done, asked or opened.
func schemaFlagOf(root *cobra.Command, schemas func() Schemas) {
	var wanted bool
	root.PersistentFlags().BoolVar(&wanted, schemaFlag, false, "print the JSON Schema of what --json prints, and do nothing")
	before := root.PersistentPreRunE
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if wanted || before == nil {
			return nil
		}
		return before(cmd, args)
	}
	var wrap func(c *cobra.Command)
	wrap = func(c *cobra.Command) {
		if takes, run := c.Args, c.RunE; run != nil {
			c.Args = func(cmd *cobra.Command, args []string) error {
				if wanted && !cmd.HasSubCommands() { // else what stands there is no command
					return nil
				}
				return takes(cmd, args)
			}
			c.RunE = func(cmd *cobra.Command, args []string) error {
				if !wanted {
					return run(cmd, args)
				}
				schema, ok := schemas().Of(cmd)
				if !ok {
					return Usage(cmd.CommandPath()+" prints no JSON", "what has commands of its own: name one of them, as in "+root.Name()+" status --"+schemaFlag)
				}
				return WriteJSON(cmd.OutOrStdout(), schema, true)
			}
		}
		for _, sub := range c.Commands() {
			wrap(sub)
		}
	}
	wrap(root)
}
