// The page: a form, and what is shown once it was sent. Nothing is sent before.
(() => {

const byId = (id) => document.getElementById(id);
const blanks = /[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/gu, unseen = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu;

// Text of anybody's shows what it is and nothing else: no control characters, none that
// cannot be seen, and apart from the direction of what is around.
const plain = (s) => s.replace(blanks, " ").replace(unseen, "\ufffd");
function put(parent, name, text, attributes = {}) {
  const e = document.createElement(name);
  for (const k in attributes) e.setAttribute(k, attributes[k]);
  if (text !== "") {
    const b = document.createElement("bdi");
    b.textContent = plain(text);
    e.append(b);
  }
  parent.append(e);
  return e;
}

function show(problem) {
  byId("problem").textContent = problem;
  byId("problem").hidden = problem === "";
}

// Another link in the same window is another page, and what was shown is not shown again.
addEventListener("hashchange", () => location.reload());
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

let link = null;
try {
  new DecompressionStream("deflate-raw"); // or the browser is too old, as the page says
  if (crypto.subtle) {
    link = shlink.read(location.hash, location.origin);
    show("");
  }
} catch (e) {
  if (e instanceof shlink.Problem) show(e.message);
}
if (link) {
  byId("form").hidden = false;
  byId("passcode-line").hidden = !link.flags.includes("P");
  byId("passcode").required = link.flags.includes("P");
  if (link.label !== "") {
    byId("label").textContent = plain(link.label);
    byId("label-line").hidden = false;
  }
  if (link.exp > 0) {
    const over = link.exp * 1000 <= Date.now(), at = new Date(link.exp * 1000).toISOString();
    byId("end").textContent = (over ? "By its own word, this link ended on " : "This link ends on ") + at.slice(0, 10) + " at " + at.slice(11, 16) + " UTC.";
  }
}

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = byId("open"), word = (id) => byId(id).value.trim();
  if (word("recipient") === "" || word("reason") === "") {
    show("Say who you are and why you open this.");
    return;
  }
  show("");
  button.disabled = true;
  byId("busy").textContent = "Opening…";
  history.replaceState(null, "", location.pathname); // out of sight; the browser's history has it, since it wrote it there before this ran
  let bytes = null;
  try {
    bytes = await shlink.open(link, { recipient: word("recipient"), reason: word("reason"), passcode: byId("passcode").value }, (url, how) => fetch(url, how));
  } catch (e) {
    show(e instanceof shlink.Problem ? e.message : "The server cannot be reached. Look whether you are on the network, then try again.");
  }
  if (bytes) await shown(bytes);
  button.disabled = false;
  byId("busy").textContent = "";
});

async function shown(bytes) {
  let text = "";
  try { text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes); } catch { text = "\0"; } // is then named as not read
  const sum = [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))].map((b) => b.toString(16).padStart(2, "0")).join("");
  const into = byId("view");
  let list = null, lines = [];
  try {
    lines = health.view(text, new Date().toISOString().slice(0, 10), sum);
  } catch { // it was opened, and that is counted
    lines = [{ kind: "note", name: "", text: "This page cannot show what was shared. Save it, and look at it with another program." }];
  }
  for (const l of lines) {
    if (l.kind === "note") {
      list = null;
      put(into, "p", l.text);
      continue;
    }
    if (l.kind !== "item" && l.kind !== "more") {
      list = null;
      const h = put(into, l.kind === "section" ? "h3" : "h2", l.name);
      if (l.text !== "") {
        h.append(" ");
        put(h, "small", l.text);
      }
      continue;
    }
    list = list || put(into, "ul", "");
    const item = put(list, "li", "", { class: l.kind });
    if (l.name !== "") {
      put(item, "b", l.name);
      if (l.text !== "") item.append(": ");
    }
    if (l.text !== "") put(item, "span", l.text);
    if (l.trend.length > 1) item.append(" ", trend(l.trend));
  }
  const save = byId("save");
  save.href = URL.createObjectURL(new Blob([bytes], { type: "application/fhir+json" }));
  byId("form").hidden = true;
  byId("result").hidden = false;
  document.title = "Health record, shared by link";
  byId("heading").focus();
}

// A trend is drawn for the eye alone: the values stand beside it in words.
function trend(values) {
  const ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg"), line = document.createElementNS(ns, "polyline");
  const low = Math.min(...values), high = Math.max(...values);
  svg.setAttribute("viewBox", "0 0 60 16");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("points", values.map((v, i) => Math.trunc(2 + i * 56 / (values.length - 1)) + "," + (13 - (high > low ? Math.trunc((v / 2 - low / 2) / (high / 2 - low / 2) * 10) : 5))).join(" "));
  svg.append(line);
  return svg;
}

byId("print").addEventListener("click", () => window.print());

})();
