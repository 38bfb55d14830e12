package health

import "github.com/carekey/carekey/wallet/payload"

// RoleVersion is the version of the form of a role's file.
const RoleVersion = 1

// Role is a choice of labels with a name, for those who ask for much the same.
type Role struct {
	V          int                `json:"v"` // [RoleVersion]
	Name       string             `json:"name"`
	Categories []payload.Category `json:"categories"`
	Sensitive  []Sensitivity      `json:"sensitive"` // those that are in it; all others are not
	Purposes   []payload.Purpose  `json:"purposes"`  // what it may be granted for
	MaxDays    int                `json:"maxDays"`   // the longest consent, in days
}
