
// Verification of one event. hash.js and note.js of the bundle's page stand above.

// parseProof reads a C2SP tlog-proof with what Custody has in it (docs/format/proof.md).
function parseProof(text) {
  const at = text.indexOf("\n\n");
  const [header, ...lines] = text.slice(0, at).split("\n");
  if (at < 0 || header !== "c2sp.org/tlog-proof@v1") throw new Error("it is not a proof");
  const [, extra] = /^extra (\S+)$/.exec(lines.shift() ?? "") || [];
  const [, index] = /^index (0|[1-9][0-9]{0,15})$/.exec(lines.shift() ?? "") || [];
  const hashes = lines.map((line) => unbase64(line));
  const disclosed = extra && unbase64(extra);
  if (!disclosed || index === undefined || hashes.some((h) => h?.length !== 32)) throw new Error("its lines do not have the form that they have in a proof");
  const decode = (bytes) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  const [what, entry, salt, ...payload] = decode(disclosed).split("\n");
  if (what !== "custody disclosed entry v1" || entry === undefined) throw new Error("it does not say which entry it is about");
  return { index: Number(index), hashes, entry, salt: salt && unbase64(salt), payload: salt ? payload.join("\n") : null, checkpoint: text.slice(at + 2) };
}

// rootFrom computes the root of a tree of that size from a leaf and its inclusion
// proof (RFC 9162 section 2.1.3.2).
function rootFrom(leaf, index, size, hashes) {
  if (index >= size) throw new Error(`the checkpoint covers ${size} entries, and not entry ${index}`);
  let [at, last, hash] = [index, size - 1, leaf];
  for (const other of hashes) {
    if (last === 0) throw new Error("the proof has too many hashes");
    if (at % 2 === 1 || at === last) {
      hash = nodeHash(other, hash);
      while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)];
    } else {
      hash = nodeHash(hash, other);
    }
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  if (last !== 0) throw new Error("the proof has too few hashes");
  return hash;
}

const sameJSON = (a, b) => JSON.stringify(JSON.parse(a)) === JSON.stringify(JSON.parse(b));

// steps are the checks, in order. Each returns the values to show, or throws what is
// wrong.
const steps = [
  ["The server gives a proof", async (c) => {
    const answer = await fetch(`/v1/trails/${encodeURIComponent(c.trail)}/events/${c.index}/proof${c.shown === null ? "" : "?payload=true"}`);
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    c.proof = parseProof(await answer.text());
    c.checkpoint = parseCheckpoint(c.proof.checkpoint);
    return [["Trail", c.checkpoint.origin], ["Entries", String(c.checkpoint.size)], ["Hashes", String(c.proof.hashes.length)]];
  }],
  ["It is about this event", async (c) => {
    const e = JSON.parse(c.proof.entry);
    const { index, payload, prev, time, type, v } = e;
    if (JSON.stringify({ index, payload, prev, time, type, v }) !== c.proof.entry || v !== 1) throw new Error("the entry is not in canonical form");
    if (index !== c.index || c.proof.index !== c.index) throw new Error(`it is about entry ${index}`);
    c.entry = e;
    if (c.shown !== null && (c.proof.payload === null || !sameJSON(c.proof.payload, c.shown))) throw new Error("the payload that this page shows is not the one that is proved");
    return [["Entry", c.proof.entry]];
  }],
  ["The entry commits to the payload", async (c) => {
    if (c.proof.payload === null) return [["Payload", "not disclosed, so there is nothing to check"]];
    const committed = join(utf8.encode("custody payload v1\n"), c.proof.salt ?? [], utf8.encode(c.proof.payload));
    const commitment = base64(new Uint8Array(await crypto.subtle.digest("SHA-256", committed)));
    if (commitment !== c.entry.payload) throw new Error(`the payload hashes to ${commitment}, and the entry commits to ${c.entry.payload}: the payload was altered`);
    return [["Commitment", commitment]];
  }],
  ["The entry has the hash that this page shows", async (c) => {
    c.leaf = leafHash(utf8.encode(c.proof.entry));
    if (base64(c.leaf) !== c.hash) throw new Error(`the entry hashes to ${base64(c.leaf)}, and this page shows ${c.hash}: the entry was altered`);
    return [["Leaf hash", c.hash]];
  }],
  ["The tree that was signed holds the entry", async (c) => {
    const root = base64(rootFrom(c.leaf, c.index, c.checkpoint.size, c.proof.hashes));
    if (root !== c.checkpoint.root) throw new Error(`entry and proof give the root ${root}, and the checkpoint has ${c.checkpoint.root}: the entry is not the one that was recorded`);
    return [["Root", root]];
  }],
  ["The key signed the checkpoint", async (c) => {
    const key = parseKey(c.vkey.trim());
    if (key.type !== logKey || key.name !== c.checkpoint.origin) throw new Error(`the key is that of ${key.name}, and the checkpoint that of ${c.checkpoint.origin}`);
    if (!(await canVerify())) throw new Unable("this browser cannot verify Ed25519 signatures. Use a newer one, or custody check.");
    const signed = await signedBy(c.checkpoint, key);
    if (signed === null) throw new Error(`key ${key.id} did not sign it`);
    if (!signed) throw new Error(`the signature by key ${key.id} is wrong`);
    const others = c.checkpoint.signatures.filter((s) => s.name !== key.name).map((s) => s.name);
    return [["Key", key.vkey], ...(others.length ? [["Also signed, not checked here", others.join(", ")]] : [])];
  }],
];

// Unable says that something cannot be checked here, which is no finding.
class Unable extends Error {}

const section = document.getElementById("verify");

// show adds a step to the list.
function show(list, kind, title, pairs) {
  const sign = { good: "✓", bad: "✗", partial: "!" }[kind];
  const values = element("dl", "");
  for (const [name, value] of pairs) values.append(element("dt", "", name), element("dd", "", element("code", "", value)));
  list.append(element("li", kind, element("span", `word ${kind}`, sign), " ", element("strong", "", title), values));
}

async function verify() {
  const result = document.getElementById("verify-result");
  const list = element("ol", "steps");
  const { trail, index, payload, hash } = section.dataset;
  const c = { trail, index: Number(index), hash, vkey: document.getElementById("key").value, shown: payload ? document.getElementById("payload").textContent : null };
  section.dataset.verdict = "checking";
  result.replaceChildren(list);
  let verdict = ["good", "This event is the one that was recorded", "What was checked is the JSON below: the trail committed to it under this key. Whether that is the trail's key you have to compare yourself."];
  if (!globalThis.crypto?.subtle) verdict = ["partial", "Nothing was checked", "Browsers give pages no cryptography unless they come over HTTPS or from this machine. Use HTTPS, or custody check."];
  else {
    for (const [title, check] of steps) {
      try {
        show(list, "good", title, await check(c));
      } catch (e) {
        const kind = e instanceof Unable ? "partial" : "bad";
        show(list, kind, title, [["But", e.message]]);
        verdict = kind === "partial" ? [kind, "Not everything was checked", "Nothing is wrong with what could be checked here, but that is not all. This is not a pass."]
          : [kind, "This event does not check out", "The step marked ✗ says why. Do not rely on what this page shows."];
        break;
      }
    }
  }
  const [kind, title, text] = verdict;
  result.prepend(element("div", `verdict ${kind}`, element("div", "", element("p", "", element("strong", "", title)), element("p", "", text))));
  section.dataset.verdict = kind;
}

if (section) {
  const button = document.getElementById("verify-start");
  document.getElementById("verify-off").hidden = true;
  button.hidden = false;
  button.onclick = verify;
}
