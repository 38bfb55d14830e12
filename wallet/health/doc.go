// Package health is what the wallet knows of HL7 FHIR R4 (4.0.1, http://hl7.org/fhir/R4/):
// bytes in, values out. Nothing is opened, asked or signed.
//
// # Records
//
//   - [IsFHIR] reports whether a file must be taken for FHIR, [Split] cuts it into parts,
//     each a piece of its bytes, and [WriteSubset] makes a Bundle of those that were given.
//     The rules are in crypto/FORMAT.md, "The cut of a FHIR file".
//   - [Tables] label each part with a category, sensitivities and what they do not
//     understand; a [Selection] judges by labels which parts go into a grant; a [Role] is a
//     selection with a name. [About] takes title, date and persons from the parts.
//   - [NewView] makes one picture of several records.
//
// JSON is read as it stands there: by keys, which match exactly, and never into structs,
// since encoding/json takes a member of another case for the same. What two programs could
// read as two things is not read at all. What is unknown is never taken for harmless.
//
// # Consents
//
// [NewBundle] writes consents (http://hl7.org/fhir/R4/consent.html) for programs that know
// nothing of carekey. What a consent says and R4 has a place for is written, and nothing
// else:
//
//   - The patient is a Patient with the name that she gave herself and the did:key of
//     her address. She is performer too: she signed.
//   - The recipient is a logical reference, did:key and the contact's name. Whether
//     that is a practitioner, an organization or a relative the wallet does not know,
//     so the reference has no type.
//   - Each record version is one provision.data of meaning instance, by logical
//     reference. Without data a Consent would cover everything.
//   - So is what is given of a record of which only parts are, by an identifier of its
//     own ([PartSystem], [PartsPolicyURI]): the record's would permit all of it. R4's ways
//     to narrow a permission (class, securityLabel, dataPeriod, nested denials) cannot say
//     which parts those are, as the tables and the patient label them, and each alone
//     would say more than was given.
//   - provision.type stands on the root, although R4's text has it for nested ones
//     only: readers differ in what its absence means. The base is to deny; that and how
//     several values are to be read is in the policy, [PolicyURI].
//   - period is exact to the second: R4's end is inclusive and a window's is not. A
//     window from the start has no start.
//   - Revoked is status inactive and a second version of the resource. Expired and
//     upcoming are active: the period says so.
//   - dateTime is the beginning of the ledger hour; nobody knows it finer.
//
// Left out, since the wallet does not have it or R4 has no place for it: the signed
// bytes (no source: the identifier names the entry on the ledger), categories (labels
// of the patient's own, no resource types), what was opened, custodians
// (organization), verification, policyRule (OPTIN is defined as agreeing to terms
// of others). So no claim is made to IHE's profile Privacy Consent on FHIR, which
// demands some of it.
package health
