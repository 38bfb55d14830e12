package health

import (
	"strings"
	"testing"
)

// Promise: an emergency link gives the contacts, and who opens it reads them: those in a Patient
// and those that are a resource of their own, in the wallet's view, its page and the node's.
func TestViewContacts(t *testing.T) {
	ann := `{"resourceType":"Patient","id":"a","name":[{"text":"Ann"}],"contact":[` +
		`{"relationship":[{"text":"mother"},{"coding":[{"code":"C","display":"Emergency Contact"}]}],"name":{"family":"Kin","given":["Eva"]},` +
		`"telecom":[{"system":"phone","value":"555-1234","use":"mobile","period":{"end":"2026-01-01"}},{"value":"eva@example.org"},{"system":"phone"}],` +
		`"address":{"line":["Main 1"],"postalCode":"1010","city":"Wien"},"period":{"start":"2020","end":"2027-02"}},` +
		`{},{"organization":{"display":"City Hospice"}}]}`
	mate := `{"resourceType":"RelatedPerson","active":false,"patient":{"reference":"Patient/a"},"relationship":{"text":"partner"},"name":[{"text":"Max"}],"telecom":[{"system":"other","value":"c/o Ann"}],"modifierExtension":[{"url":"urn:x"}]}`
	bundle := []byte(`{"resourceType":"Bundle","type":"collection","entry":[{"resource":` + ann + `},{"resource":` + mate + `},{"resource":` + mate + `}]}`)
	v := viewOf(viewFile{Source{Name: "one"}, bundle}, viewFile{Source{Name: "other"}, []byte(strings.Replace(ann, `"id"`, `"identifier":[{"system":"urn:y","value":"1"}],"id"`, 1))})
	var got []string
	for _, l := range v.Lines(ViewWords{}) {
		if l.Kind == LineItem || l.Kind == LineSection && (l.Name == "Contacts" || l.Name == "Not shown") {
			got = append(got, l.Name+": "+l.Text)
		}
	}
	eva := "Eva Kin: mother / Emergency Contact, phone 555-1234 (mobile) until 1 Jan 2026, eva@example.org, Main 1, 1010 Wien, from 2020 until Feb 2027"
	head := "Contacts: whom sources name to be asked or told"
	want := []string{head, "City Hospice: ", eva, head, "City Hospice: ", eva, "Max: partner, c/o Ann, no longer in use, says its source, may mean something else: it has urn:x, which is not understood here"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if page := string(v.HTML()); !strings.Contains(page, "555-1234") {
		t.Error("it is not on the page")
	}
	sameAsScript(t, [][]byte{bundle, []byte(ann), []byte(mate), []byte(`{"resourceType":"RelatedPerson","name":[{"text":"Max"}]}`), []byte(`{"resourceType":"RelatedPerson","patient":{"reference":"Group/g"},"name":[{"text":"Max"}]}`)})
}
