// SMART Health Links as they are made and opened by a program that is not ours: npm
// kill-the-clipboard.
//
//   open LINK RECIPIENT [PASSCODE]   prints the FHIR resources that a link holds; a server's
//                                    certificate is trusted that NODE_EXTRA_CA_CERTS names
//   visit SITE AT OPENINGS           opens links, one after the other, and asks AT for what is at
//               SITE; OPENINGS is [{link, recipient, passcode, embeddedLengthMax}]. Prints of each
//               {resources, embedded: which files of the manifest were} or {error: its code}
//   make BASE   prints {"direct": {link, file}, "manifest": {link, files, manifest}}: two links
//               below that URL that hold a FHIR resource, the latter twice, once compressed
//               and embedded, once at a location that files has by its path
//
// Started in a folder with the packages of package.json: node --input-type=module - ARGS < shl.mjs
import { SHL, SHLManifestBuilder, SHLViewer, encryptSHLFile } from "kill-the-clipboard";

// The clock of a story stands still, and its links end by it.
const clock = process.env.CAREKEY_TEST_CLOCK;
if (clock) {
  const real = Date;
  globalThis.Date = class extends real {
    constructor(...at) {
      at.length ? super(...at) : super(clock);
    }
    static now() {
      return real.parse(clock);
    }
  };
}

const [what, ...args] = process.argv.slice(2);
if (what === "open") {
  const [shlinkURI, recipient, passcode] = args;
  const { fhirResources } = await new SHLViewer({ shlinkURI }).resolveSHL({ recipient, passcode });
  console.log(JSON.stringify(fhirResources));
  process.exit(0);
}
if (what === "visit") {
  const [site, at, openings] = args, said = [];
  const ask = (url, how) => fetch(String(url).replace(site, at), how);
  for (const { link, ...how } of JSON.parse(openings)) {
    try {
      const { fhirResources, manifest } = await new SHLViewer({ shlinkURI: link, fetch: ask }).resolveSHL(how);
      said.push({ resources: fhirResources, embedded: manifest?.files.map((f) => "embedded" in f) });
    } catch (e) {
      said.push({ error: e.code ?? String(e) });
    }
  }
  console.log(JSON.stringify(said));
  process.exit(0);
}

const resource = { resourceType: "Patient", id: "p", name: [{ text: "Ann Example" }], text: { status: "generated", div: "x".repeat(5000) } };
const [base] = args;
const expirationDate = new Date(Date.UTC(2099, 0, 1));

const direct = SHL.generate({ baseManifestURL: base, manifestPath: "f", flag: "U", label: "One file", expirationDate });
const file = await encryptSHLFile({ content: JSON.stringify(resource), key: direct.key, contentType: "application/fhir+json", enableCompression: true });

const manifest = SHL.generate({ baseManifestURL: base, manifestPath: "m", flag: "LP" });
const files = {};
const builder = new SHLManifestBuilder({
  shl: manifest,
  uploadFile: async (content) => {
    const path = "/file" + Object.keys(files).length;
    files[path] = content;
    return path;
  },
  getFileURL: async (path) => base + path,
  loadFile: async (path) => files[path],
});
await builder.addFHIRResource({ content: resource, enableCompression: true });
await builder.addFHIRResource({ content: resource, enableCompression: false });
const listed = await builder.buildManifest({ embeddedLengthMax: 2000 });
console.log(JSON.stringify({ direct: { link: direct.toURI(), file }, manifest: { link: manifest.toURI(), files, manifest: listed } }));
