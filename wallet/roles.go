package wallet

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// Roles are named choices of labels: those that are built in, and the owner's own, which
// are in her book.
type Roles struct{ w *Wallet }

// Roles returns the roles that a grant can name.
func (w *Wallet) Roles() Roles { return Roles{w} }

// OwnRole is a role with where it is from.
type OwnRole struct {
	health.Role
	BuiltIn bool `json:"builtIn"`
}

// List lists all roles by name. unreadable are the names of those in the book that are
// of a newer carekey.
func (rs Roles) List() (all []OwnRole, unreadable []string) {
	for _, r := range health.BuiltInRoles() {
		all = append(all, OwnRole{r, true})
	}
	for _, f := range rs.w.book.Facts.Roles {
		if f.Value == "" {
			continue
		}
		r, err := health.ParseRole([]byte(f.Value))
		if err != nil || r.Name != f.Name {
			unreadable = append(unreadable, f.Name)
			continue
		}
		all = append(all, OwnRole{Role: r})
	}
	slices.SortStableFunc(all, func(a, b OwnRole) int {
		return cmp.Or(strings.Compare(text.Name(a.Name), text.Name(b.Name)), strings.Compare(a.Name, b.Name))
	})
	return all, unreadable
}

// Named returns the role of that name, in whatever form it is written: [ErrNotFound] if
// there is none. A built-in one comes first.
func (rs Roles) Named(name string) (OwnRole, error) {
	all, _ := rs.List()
	slices.SortStableFunc(all, func(a, b OwnRole) int {
		switch {
		case a.BuiltIn == b.BuiltIn:
			return 0
		case a.BuiltIn:
			return -1
		}
		return 1
	})
	if i := slices.IndexFunc(all, func(r OwnRole) bool { return sameName(r.Name, name) }); i >= 0 {
		return all[i], nil
	}
	var names []string
	for _, r := range all {
		names = append(names, r.Name)
	}
	return OwnRole{}, ErrNotFound.With("noun", "role", "query", name, "like", Like(name, names))
}

// Add keeps a role of the owner's own, from the text of its file. One of her own of the
// same name is replaced; the name of a built-in one, or one that looks like it, is an
// [ErrBuiltIn]: both sides read what a consent was given by. The same role again changes
// nothing.
func (rs Roles) Add(ctx context.Context, file []byte) (r health.Role, err error) {
	if r, err = health.ParseRole(file); err != nil {
		return r, err
	}
	if r.Name, err = CheckName("role", r.Name); err != nil {
		return r, err
	}
	for _, b := range health.BuiltInRoles() {
		if Skeleton(b.Name) == Skeleton(r.Name) {
			return r, ErrBuiltIn.With("name", b.Name)
		}
	}
	err = rs.w.with(ctx, func() error {
		if old, err := rs.Named(r.Name); err == nil {
			r.Name = old.Name
		}
		value := string(payload.Marshal(&r))
		if rs.w.book.Facts.role(r.Name) != value {
			rs.set(roleFact{Name: r.Name, Value: value})
		}
		return nil
	})
	return r, err
}

// Remove forgets a role of the owner's own. Consents that were given by it stay as they
// are. What is built in stays: [ErrBuiltIn].
func (rs Roles) Remove(ctx context.Context, name string) error {
	return rs.w.with(ctx, func() error {
		for _, f := range rs.w.book.Facts.Roles { // also one that cannot be read
			if f.Value != "" && sameName(f.Name, name) {
				rs.set(roleFact{Name: f.Name})
				return nil
			}
		}
		r, err := rs.Named(name)
		if err == nil {
			err = ErrBuiltIn.With("name", r.Name)
		}
		return err
	})
}

func (rs Roles) set(r roleFact) {
	rs.w.book.Facts.setRole(r, rs.w.opt.Now())
	rs.w.book.dirty = true
}

// role is the text of a role in the book; "" if there is none.
func (f *bookFacts) role(name string) string {
	if i, ok := slices.BinarySearchFunc(f.Roles, roleFact{Name: name}, compareRoles); ok {
		return f.Roles[i].Value
	}
	return ""
}
