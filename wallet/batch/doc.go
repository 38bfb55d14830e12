// Package batch changes many consents at once. [Read] reads a file that says what they
// should be, or how they should change: bytes go in, rows or errors with their places
// come out. [Make] compares the rows with what is in force; the [Plan] can be shown and
// kept as a file before anything is signed. [Apply] makes it the wallet's job, which
// [Resume] carries on after whatever ended a run: every item ends exactly once.
//
// All of it uses the wallet's exported methods, as any other program can.
//
// # The file
//
// UTF-8, with or without a byte-order mark, or UTF-16 with one, lines ending in LF or
// CRLF, at most 64 KiB each and 1,000,000 rows. It is either JSON Lines, one object on a
// line, or CSV with a comma (RFC 4180), whose first line names its columns in any order
// and in which no cell goes over the end of a line. It is JSON Lines if its first
// character is a brace. Empty lines are passed over.
//
// The fields are the same in both. Schema returns them as JSON Schema.
//
//	action      "grant" or "revoke". Makes the file a list of changes: every row has it
//	to          name of a contact
//	records     ids of records or their first 6 characters or more
//	categories  categories, of these records or of every record; or "all" for every record
//	role        name of a role: what it gets of the records
//	with        what goes only by its name, as hiv, unclassified or documents
//	without     categories, or what goes only by its name, that stay
//	dated       the dates of what is given, as 2024-03..2025, 2024.., ..2025 or 2024
//	whole       "yes" for records as they are
//	purpose     plain word or HL7 code; the role's first one, or treatment, if it is left out
//	from        first day, 2026-01-31; at once if it is left out
//	until       last day, 2026-12-31
//	consent     id of the consent to revoke, or its first 6 characters or more
//	profile     the wallet that the row is for; the one that is used if left out
//
// In CSV several values in one cell have spaces, commas or semicolons between them, in
// JSON Lines they are a list, and whole may be true or false. What spreadsheets add is passed over: a
// first line sep=, empty cells at the end of a row or none there, columns without a
// heading in which nothing stands. Days are whole days in the time zone of who reads.
// There is no "for 30 days": a file means the same whenever it is read.
//
// Without an action each row is a state that should be: to, until, and records,
// categories or a role. With action grant the same fields say what to give; with
// action revoke either consent or to says what to end. Whatever is wrong is
// reported with its line and column (in characters, from 1), all at once.
//
// # Parts
//
// Of records that were split parts are given, by the rules of [health.Selection]: nothing
// that is sensitive or not understood goes unless the row names it, and nobody is asked.
// A consent of parts is compared by what they were chosen by, which both sides see, and by
// the parts themselves: one that gives others than are chosen now, since labels were
// corrected, is replaced. Parts that were chosen by
// something else are something else: they stay, unless the plan prunes.
//
// # Hostile files
//
// Memory does not grow with the length of a line. Refused are: a value that a
// spreadsheet would take for a formula (it begins with = + - @ or a tab), a field
// that is named twice in one object or one heading, one that is not in the list
// above, characters that cannot be seen, NUL, bytes that are no UTF-8, a quotation
// mark in the middle of a cell or without its end, a row that says the same as
// another.
package batch
