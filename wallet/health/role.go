package health

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/wallet/payload"
)

// RoleVersion is the version of the form of a role's file.
const RoleVersion = 1

// The bounds of a role's file.
const (
	MaxRole     = 64 << 10 // bytes
	maxRoleName = 64       // characters
	maxRoleDays = 3660
)

// ErrRole: a file describes no role that can be used. why; member, "" if it is not about one
const ErrRole fault.Code = "bad-role"

// Role is a choice of labels with a name, for those who ask for much the same. Nothing
// unclassified is ever in one: it goes only if it is named in a grant.
type Role struct {
	V          int                `json:"v"`          // [RoleVersion]
	Name       string             `json:"name"`       // 1 to 64 characters
	Categories []payload.Category `json:"categories"` // at least one
	Sensitive  []Sensitivity      `json:"sensitive"`  // those that are in it; all others are not
	Purposes   []payload.Purpose  `json:"purposes"`   // what it may be granted for; at least one
	MaxDays    int                `json:"maxDays"`    // the longest consent, 1 to 3660 days
}

// builtInRoles are starting points and no medical advice: a patient may make others.
var builtInRoles = []Role{
	{1, "nurse", []payload.Category{"allergies", "immunizations", "medications", "problems", "vitals"}, []Sensitivity{}, []payload.Purpose{"TREAT"}, 30},
	{1, "psychiatrist", []payload.Category{"allergies", "devices", "labs", "medications", "problems", "vitals", "other"}, []Sensitivity{MentalHealth, SubstanceUse, Violence}, []payload.Purpose{"TREAT"}, 180},
	{1, "pharmacist", []payload.Category{"allergies", "medications", "problems"}, []Sensitivity{MentalHealth, SubstanceUse, Reproductive, HIV, SexualHealth}, []payload.Purpose{"TREAT"}, 30},
	{1, "general practitioner", []payload.Category{"allergies", "devices", "documents", "images", "immunizations", "labs", "medications", "problems", "vitals", "other"}, []Sensitivity{MentalHealth, SubstanceUse, Reproductive, HIV, SexualHealth, Violence, Genetic, SickleCell}, []payload.Purpose{"TREAT"}, 365},
	{1, "physiotherapist", []payload.Category{"allergies", "images", "problems", "vitals"}, []Sensitivity{}, []payload.Purpose{"TREAT"}, 90},
	{1, "insurer", []payload.Category{"claims"}, []Sensitivity{}, []payload.Purpose{"HPAYMT"}, 90},
}

// BuiltInRoles returns the roles that the program comes with.
func BuiltInRoles() []Role {
	all := slices.Clone(builtInRoles)
	for i := range all {
		r := &all[i]
		r.Categories, r.Sensitive, r.Purposes = slices.Clone(r.Categories), slices.Clone(r.Sensitive), slices.Clone(r.Purposes)
	}
	return all
}

// Holds reports whether a sensitivity is in the role.
func (r *Role) Holds(s Sensitivity) bool { return slices.Contains(r.Sensitive, s) }

// For names the purposes in words.
func (r *Role) For() string {
	words := make([]string, len(r.Purposes))
	for i, p := range r.Purposes {
		words[i] = p.Word()
	}
	return strings.Join(words, ", ")
}

// Allows reports whether the role is for that purpose, and for as many hours.
func (r *Role) Allows(purpose payload.Purpose, hours int) bool {
	return r.Lasts(hours) && (len(r.Purposes) == 0 || slices.Contains(r.Purposes, purpose))
}

// Lasts reports whether the role is for as many hours. Days end with a day, and one of them
// may have 25 hours.
func (r *Role) Lasts(hours int) bool { return r.MaxDays <= 0 || hours <= (r.MaxDays+1)*24+1 }

// ParseRole reads a role as JSON: one object with exactly the members of [Role], in at
// most [MaxRole] bytes. Its error is [ErrRole].
func ParseRole(data []byte) (Role, error) {
	if len(data) > MaxRole {
		return Role{}, ErrRole.With("member", "", "why", fmt.Sprintf("it is larger than %d bytes", MaxRole))
	}
	m, err := decode(data) // no key twice, no invalid UTF-8
	if err != nil {
		why, _ := fault.As(err, ErrNotSplit)
		return Role{}, ErrRole.With("member", "", "why", fault.Get[string](why, "why"))
	}
	if v, _ := m["v"].(json.Number); v.String() != strconv.Itoa(RoleVersion) {
		why := fmt.Sprintf("it is not %d", RoleVersion)
		if n, err := v.Int64(); err == nil && n > RoleVersion {
			why = fmt.Sprintf("the file is for a newer carekey (version %d, and this one knows %d)", n, RoleVersion)
		}
		return Role{}, ErrRole.With("member", "v", "why", why)
	}
	for _, name := range []string{"name", "categories", "sensitive", "purposes", "maxDays"} {
		if m[name] == nil {
			return Role{}, ErrRole.With("member", name, "why", "it is missing")
		}
	}
	var r Role
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		if e := (*json.UnmarshalTypeError)(nil); errors.As(err, &e) {
			return Role{}, ErrRole.With("member", e.Field, "why", "it is "+cmp.Or(jsonValues[e.Value], "a "+e.Value)+", and no "+jsonWord(e.Type))
		}
		return Role{}, ErrRole.With("member", "", "why", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return Role{}, ErrRole.With("member", "", "why", "more follows where it should end")
	}
	return r, r.check()
}

// jsonValues are what encoding/json calls values, in words; it calls numbers "number 1.5".
var jsonValues = map[string]string{"array": "a list", "object": "an object", "string": "a text", "bool": "true or false"}

// jsonWord is what a role's file has in the place of t.
func jsonWord(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int:
		return "whole number"
	case reflect.Slice:
		return "list"
	}
	return "text"
}

// check reports what makes r none that can be used.
func (r *Role) check() error {
	bad := func(member, why string) error { return ErrRole.With("member", member, "why", why) }
	n := len([]rune(r.Name))
	switch {
	case n < 1 || n > maxRoleName || strings.TrimSpace(r.Name) != r.Name || strings.ContainsFunc(r.Name, func(c rune) bool { return !unicode.IsPrint(c) }):
		return bad("name", fmt.Sprintf("it does not have 1 to %d characters that can be seen", maxRoleName))
	case len(r.Categories) == 0:
		return bad("categories", "none is named")
	case len(r.Purposes) == 0:
		return bad("purposes", "none is named")
	case r.MaxDays < 1 || r.MaxDays > maxRoleDays:
		return bad("maxDays", fmt.Sprintf("it is not 1 to %d", maxRoleDays))
	}
	for i, c := range r.Categories {
		if !c.Valid() || slices.Contains(r.Categories[:i], c) {
			return bad("categories", fmt.Sprintf("%q is no category, or is there twice", cutTo(clean(string(c)), 40)))
		}
	}
	for i, s := range r.Sensitive {
		if s == Unclassified {
			return bad("sensitive", `"unclassified" goes only if it is named in a grant`)
		}
		if !s.Valid() || slices.Contains(r.Sensitive[:i], s) {
			return bad("sensitive", fmt.Sprintf("%q is no sensitivity, or is there twice", cutTo(clean(string(s)), 40)))
		}
	}
	for i, p := range r.Purposes {
		switch q, ok := payload.ParsePurpose(string(p)); {
		case ok && q != p:
			return bad("purposes", fmt.Sprintf("it names %q, whose code is %s", cutTo(clean(string(p)), 40), q))
		case !ok || slices.Contains(r.Purposes[:i], p):
			return bad("purposes", fmt.Sprintf("%q is no code of a purpose, or is there twice", cutTo(clean(string(p)), 40)))
		}
	}
	return nil
}
