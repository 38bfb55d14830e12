// A SMART Health Link (https://docs.smarthealthit.org/smart-health-links/spec/): what it says,
// and opening what comes for it. The key never leaves this page.
const shlink = (() => {

const maxFile = 64 << 20; // bytes, inflated

class Problem extends Error {}

function fromBase64url(s) {
  if (!/^[A-Za-z0-9_-]*$/.test(s) || s.length % 4 === 1) throw new Problem("This link is damaged: characters are missing or others stand in their place.");
  const raw = atob(s.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(raw, (c) => c.charCodeAt(0));
}

const utf8 = (bytes) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);

// read returns what a link says: { url, key, flags, label, exp }; exp is in seconds since 1970,
// 0 if no end is said, or none that can be. What is not known is passed over, as the
// specification asks. origin is that of this page: nothing is asked of any other.
function read(fragment, origin) {
  const at = fragment.indexOf("shlink:/");
  if (at < 0) throw new Problem("There is no link here. Open the whole link, as you got it.");
  let said;
  try { said = JSON.parse(utf8(fromBase64url(fragment.slice(at + 8)))); } catch { said = null; }
  if (said === null || typeof said !== "object" || Array.isArray(said)) throw new Problem("This link is damaged: characters are missing or others stand in their place.");
  const { url, key, v = 1 } = said, text = (s) => typeof s === "string" ? s : "";
  if (v !== 1) throw new Problem("This link is of a kind that is newer than this page.");
  if (typeof key !== "string" || !/^[A-Za-z0-9_-]{43}$/.test(key)) throw new Problem("This link is damaged: its key is not whole.");
  if (typeof url !== "string" || url.length > 128 || url.slice(0, origin.length) !== origin || !/^\/s\/[A-Za-z0-9_-]{43}$/.test(url.slice(origin.length))) {
    throw new Problem("This link leads elsewhere than to this server. This page asks nobody else.");
  }
  const exp = Number.isInteger(said.exp) && said.exp > 0 && said.exp < 1e11 ? said.exp : 0; // the server's refusal is the rule
  return { url, key: fromBase64url(key), flags: text(said.flag), label: [...text(said.label)].slice(0, 80).join(""), exp };
}

// open asks for what is behind a link and opens it: the bytes of the file. ask is fetch.
async function open(link, { recipient, reason, passcode }, ask) {
  const never = { cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer", mode: "same-origin" };
  let jwe;
  if (link.flags.includes("U") && !link.flags.includes("P")) {
    jwe = await text(await ask(link.url + "?recipient=" + encodeURIComponent(recipient) + "&reason=" + encodeURIComponent(reason), never));
  } else {
    const body = JSON.stringify({ recipient, reason, embeddedLengthMax: maxFile, ...(link.flags.includes("P") ? { passcode } : {}) });
    const said = await text(await ask(link.url, { ...never, method: "POST", headers: { "Content-Type": "application/json" }, body }));
    let files;
    try { files = JSON.parse(said).files; } catch { files = null; }
    if (!Array.isArray(files) || files.length !== 1 || typeof files[0].embedded !== "string") throw new Problem("The server's answer is none that this page knows.");
    jwe = files[0].embedded;
  }
  return decrypt(jwe.trim(), link.key);
}

async function text(answer) {
  if (answer.status === 401) {
    let left;
    try { left = JSON.parse(await answer.text()).remainingAttempts; } catch { left = null; }
    if (left === 0) throw new Problem("The passcode is wrong, and there are no tries left: this link is ended for good.");
    throw new Problem("The passcode is wrong." + (Number.isInteger(left) ? " Tries left: " + left + "." : "") + " Wrong tries end the link for good.");
  }
  if (answer.status === 404) throw new Problem("This link opens nothing: it has ended or was ended, all its openings are used, or it never was. Ask who gave it to you for another.");
  if (answer.status === 429 || answer.status === 503) throw new Problem("The server has too much to do. Wait a minute, then try again.");
  if (answer.status !== 200) throw new Problem("The server did not answer as it should (" + answer.status + "). Try again, and if that does not help, ask who gave you the link.");
  return answer.text();
}

// decrypt opens a compact JWE (RFC 7516): dir and A256GCM, with zip DEF or without, and nothing else.
async function decrypt(jwe, key) {
  const parts = jwe.split(".");
  let head = null;
  try { head = JSON.parse(utf8(fromBase64url(parts[0]))); } catch { /* said below */ }
  if (parts.length !== 5 || parts[1] !== "" || head === null || head.alg !== "dir" || head.enc !== "A256GCM" || head.crit !== undefined || head.zip !== undefined && head.zip !== "DEF") {
    throw new Problem("What came is not locked as links are. Nothing of it was opened.");
  }
  let plain;
  try {
    const sealed = fromBase64url(parts[3]), tag = fromBase64url(parts[4]), iv = fromBase64url(parts[2]);
    if (iv.length !== 12 || tag.length !== 16) throw new Error();
    const all = new Uint8Array(sealed.length + 16);
    all.set(sealed);
    all.set(tag, sealed.length);
    const k = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
    plain = new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData: new TextEncoder().encode(parts[0]) }, k, all));
  } catch {
    throw new Problem("What came cannot be opened with this link: the link is not whole, or what came was changed.");
  }
  return head.zip === "DEF" ? inflate(plain) : plain;
}

async function inflate(bytes) {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const pieces = [];
  let size = 0;
  for (;;) {
    let next;
    try { next = await reader.read(); } catch { throw new Problem("What came is damaged: it cannot be unpacked."); }
    if (next.done) break;
    size += next.value.length;
    if (size > maxFile) {
      reader.cancel();
      throw new Problem("What came is larger than this page takes.");
    }
    pieces.push(next.value);
  }
  const out = new Uint8Array(size);
  let at = 0;
  for (const p of pieces) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

return { read, open, decrypt, Problem, maxFile };
})();
