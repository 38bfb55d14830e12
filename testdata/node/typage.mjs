// Records and the age program's plugin, as seen by an age implementation that is not
// ours and not Go: npm age-encryption. The stanza and the keys are written anew
// here, from crypto/FORMAT.md, and the plugin protocol from c2sp.org/age-plugin.
//
//   plugin IDENTITY IN OUT              decrypt through age-plugin-carekey
//   alone KEYFILE PASSPHRASE IN OUT     decrypt with the key file alone: none of our code runs
//   encrypt RECIPIENT IN OUT            encrypt for a wallet
//
// Arguments but RECIPIENT and IDENTITY are files. Started in a folder with the packages
// of package.json: node --input-type=module - ARGS < typage.mjs
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { Decrypter, Encrypter, Stanza } from "age-encryption";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { expand, extract } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bech32 } from "@scure/base";

const bytes = (...parts) => new Uint8Array(Buffer.concat(parts.map((p) => Buffer.from(p)))); // of texts, lists and bytes
const unpadded = (b) => Buffer.from(b).toString("base64").replace(/=+$/, "");
const info = (tag, ...context) => bytes(tag, [0], ...context);

// derive and scalar: FORMAT.md, "Tags".
const derive = (secret, tag, ...context) => expand(sha256, extract(sha256, secret), info(tag, ...context), 32);
function scalar(secret, tag) {
  for (let counter = 0; ; counter++) {
    const d = derive(secret, tag, [counter]);
    if (secp256k1.utils.isValidSecretKey(d)) return d;
  }
}

// HPKE base mode with KEM 0x0016, HKDF-SHA256, ChaCha20-Poly1305 (RFC 9180).
const kem = bytes("KEM", [0x00, 0x16]);
const suite = bytes("HPKE", [0x00, 0x16, 0x00, 0x01, 0x00, 0x03]);
const labeledExtract = (id, salt, label, ikm) => extract(sha256, bytes("HPKE-v1", id, label, ikm), salt);
const labeledExpand = (id, prk, label, context, size) =>
  expand(sha256, prk, bytes([size >> 8, size & 255], "HPKE-v1", id, label, context), size);
const empty = new Uint8Array();

function aead(dh, enc, raw, hpkeInfo) {
  const shared = labeledExpand(kem, labeledExtract(kem, empty, "eae_prk", dh), "shared_secret", bytes(enc, raw), 32);
  const context = bytes([0], labeledExtract(suite, empty, "psk_id_hash", empty), labeledExtract(suite, empty, "info_hash", hpkeInfo));
  const secret = labeledExtract(suite, shared, "secret", empty);
  return chacha20poly1305(labeledExpand(suite, secret, "key", context, 32), labeledExpand(suite, secret, "base_nonce", context, 12));
}
const x = (d, p) => secp256k1.getSharedSecret(d, p).slice(1); // of the compressed point
const recordInfo = info("carekey/v1/record");

class Alone {
  constructor(d) {
    this.d = d;
  }
  unwrapFileKey(stanzas) {
    for (const s of stanzas) {
      if (s.args[0] !== "carekey-k256") continue;
      const enc = new Uint8Array(Buffer.from(s.args[1], "base64"));
      try {
        return aead(x(this.d, enc), enc, secp256k1.getPublicKey(this.d, false), recordInfo).decrypt(s.body);
      } catch {
        continue; // for somebody else
      }
    }
    return null;
  }
}

class Recipient {
  constructor(text) {
    const { prefix, bytes: key } = bech32.decodeToBytes(text);
    if (prefix !== "age1carekey" || key.length !== 33) throw new Error("not a recipient");
    this.point = secp256k1.Point.fromBytes(key);
  }
  wrapFileKey(fileKey) {
    const e = secp256k1.utils.randomSecretKey();
    const enc = secp256k1.getPublicKey(e, false);
    const body = aead(x(e, this.point.toBytes()), enc, this.point.toBytes(false), recordInfo).encrypt(fileKey);
    return [new Stanza(["carekey-k256", unpadded(enc)], body)];
  }
}

// Plugin is an age identity that asks a plugin: the client's side of identity-v1.
class Plugin {
  constructor(text) {
    this.text = text;
    this.name = "age-plugin-" + text.slice("AGE-PLUGIN-".length, text.lastIndexOf("-1")).toLowerCase();
  }
  async unwrapFileKey(stanzas) {
    const child = spawn(this.name, ["--age-plugin=identity-v1"], { stdio: ["pipe", "pipe", "inherit"] });
    const ended = new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
    const send = (args, body) => {
      const text = unpadded(body ?? "");
      let out = "-> " + args.join(" ") + "\n";
      for (let i = 0; i <= text.length; i += 64) out += text.slice(i, i + 64) + "\n"; // ends with a short line
      child.stdin.write(out);
    };
    send(["add-identity", this.text]);
    send(["something-new"], Buffer.from("plugins leave out what they do not know"));
    for (const s of stanzas) send(["recipient-stanza", "0", ...s.args], s.body);
    send(["done"]);
    let fileKey = null;
    let failure = null;
    for await (const { args, body } of readStanzas(child.stdout)) {
      if (args[0] === "done") break;
      switch (args[0]) {
        case "file-key":
          fileKey = new Uint8Array(body);
          send(["ok"]);
          break;
        case "error":
          failure = new Error(args.slice(1).join(" ") + ": " + body.toString());
          send(["ok"]);
          break;
        case "request-secret":
        case "request-public":
        case "confirm":
          send(["fail"]);
          break;
        default:
          send(["unsupported"]);
      }
    }
    child.stdin.end();
    await ended;
    if (failure) throw failure;
    return fileKey;
  }
}

async function* readStanzas(stream) {
  let rest = "";
  let args = null;
  let body = "";
  for await (const chunk of stream) {
    rest += chunk;
    for (let end; (end = rest.indexOf("\n")) >= 0; ) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 1);
      if (args === null) {
        if (!line.startsWith("-> ")) throw new Error("no stanza: " + line);
        args = line.slice(3).split(" ");
        body = "";
        continue;
      }
      body += line;
      if (line.length < 64) {
        yield { args, body: Buffer.from(body, "base64") };
        args = null;
      }
    }
  }
}

async function decrypt(identity, from, to) {
  const d = new Decrypter();
  d.addIdentity(identity);
  await writeFile(to, await d.decrypt(new Uint8Array(await readFile(from))));
}

const [mode, ...args] = process.argv.slice(2);
switch (mode) {
  case "plugin":
    await decrypt(new Plugin(args[0]), args[1], args[2]);
    break;
  case "alone": {
    const d = new Decrypter();
    d.addPassphrase((await readFile(args[1], "utf8")).split("\n")[0]);
    const [, , secret] = (await d.decrypt(new Uint8Array(await readFile(args[0])), "text")).split("\n");
    const root = derive(new Uint8Array(Buffer.from(secret, "base64url")), "carekey/v1/root");
    await decrypt(new Alone(scalar(root, "carekey/v1/self-key")), args[2], args[3]);
    break;
  }
  case "encrypt": {
    const e = new Encrypter();
    e.addRecipient(new Recipient(args[0]));
    await writeFile(args[2], await e.encrypt(new Uint8Array(await readFile(args[1]))));
    break;
  }
  default:
    throw new Error("no such mode: " + mode);
}
