package health

import "github.com/carekey/carekey/wallet/payload"

// Selection is what of a record a grant takes.
type Selection struct {
	Role       string             // its name, to be shown; [Role.Select] applies it
	Categories []payload.Category // all but [Documents] if empty
	With       []string           // sensitivities, "unclassified", "documents"
	Without    []string           // categories, sensitivities, "unclassified"
	Since      string             // YYYY[-MM[-DD]], its first day included; "" for no bound
	Until      string             // YYYY[-MM[-DD]], its last day included; "" for no bound
	Whole      bool               // the record as it is: nothing is judged
}

// Why a part stays back, as [Selection.Judge] says it.
const (
	WhyWithout      = "without"      // it was named to be left out
	WhyCategory     = "category"     // another category was asked for
	WhyDocuments    = "documents"    // a document, and documents were not named
	WhyDate         = "date"         // outside the dates, without one, or with one that is coarser than the bound
	WhySensitive    = "sensitive"    // it has a sensitivity that was not named
	WhyUnclassified = "unclassified" // the tables do not understand all of it
)
