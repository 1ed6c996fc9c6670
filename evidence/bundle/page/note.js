
// Signed notes, keys, checkpoints, cosignatures and policies of C2SP.

const logKey = 1;
const witnessKey = 4;

// parseKey reads a verifier key, <name>+<id>+<base64 of type and key>.
function parseKey(vkey) {
  const [, name, id, text] = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(vkey) || [];
  const raw = text && unbase64(text);
  if (!raw || raw.length < 2) throw new Error(`"${vkey.slice(0, 80)}" is not a verifier key`);
  const known = raw.length === 33 && (raw[0] === logKey || raw[0] === witnessKey);
  if (known && hex(sha256(join(utf8.encode(`${name}\n`), raw)).subarray(0, 4)) !== id) {
    throw new Error(`the key of ${name} does not have the id ${id}`);
  }
  return { vkey, name, id, type: known ? raw[0] : 0, bytes: raw.subarray(1) };
}

// parseNote splits a note into its text and its signatures.
function parseNote(note) {
  const at = note.lastIndexOf("\n\n");
  if (at < 0 || !note.endsWith("\n") || note.length > 65536) throw new Error("it is not a signed note");
  const signatures = note.slice(at + 2, -1).split("\n").map((line) => {
    const [, name, text] = /^\u2014 (\S+) (\S+)$/.exec(line) || [];
    const raw = text && unbase64(text);
    if (!raw || raw.length < 5) throw new Error("one of its signatures cannot be read");
    return { name, id: hex(raw.subarray(0, 4)), bytes: raw.subarray(4) };
  });
  return { text: note.slice(0, at + 1), signatures };
}

function parseCheckpoint(note) {
  const { text, signatures } = parseNote(note);
  const [origin, size, root] = text.split("\n");
  if (!origin || !/^(0|[1-9][0-9]{0,15})$/.test(size) || Number(size) > Number.MAX_SAFE_INTEGER || unbase64(root || "")?.length !== 32) {
    throw new Error("it is not a checkpoint: origin, size and root are required");
  }
  return { origin, size: Number(size), root, text, signatures };
}

const ed25519 = { name: "Ed25519" };

// canVerify tells whether the browser has Ed25519.
async function canVerify() {
  try {
    // The public key of RFC 8032, section 7.1, test 1.
    const key = unbase64("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    await crypto.subtle.importKey("raw", key, ed25519, false, ["verify"]);
    return true;
  } catch {
    return false;
  }
}

async function verifies(key, signature, message) {
  try {
    const imported = await crypto.subtle.importKey("raw", key.bytes, ed25519, false, ["verify"]);
    return await crypto.subtle.verify(ed25519, imported, signature, message);
  } catch {
    return false;
  }
}

// signedBy tells whether a key signed a note: null if no signature is in its name.
async function signedBy(note, key) {
  const own = note.signatures.filter((s) => s.name === key.name && s.id === key.id);
  if (!own.length) return null;
  return (await Promise.all(own.map((s) => verifies(key, s.bytes, utf8.encode(note.text))))).every(Boolean);
}

// cosignedBy returns when a witness cosigned a checkpoint: null if no signature is
// in its name, NaN if one is and is wrong.
async function cosignedBy(note, key) {
  const own = note.signatures.filter((s) => s.name === key.name && s.id === key.id);
  if (!own.length) return null;
  const times = await Promise.all(own.map(async ({ bytes }) => {
    if (bytes.length !== 72) return NaN;
    const time = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0);
    if (time > 253402300799n) return NaN; // the year 9999 ends
    const message = utf8.encode(`cosignature/v1\ntime ${time}\n${note.text}`);
    return (await verifies(key, bytes.subarray(8), message)) ? Number(time) * 1000 : NaN;
  }));
  return times.some(Number.isNaN) ? NaN : times[0];
}

// parsePolicy reads a C2SP tlog-policy.
function parsePolicy(text) {
  const policy = { logs: [], witnesses: new Map(), groups: new Map(), quorum: null };
  const defined = (name) => policy.witnesses.has(name) || policy.groups.has(name);
  text.split("\n").forEach((line, number) => {
    const [keyword, ...items] = line.split(/[ \t]+/).filter(Boolean);
    const need = (ok, what) => {
      if (!ok) throw new Error(`line ${number + 1}: ${what}`);
    };
    switch (keyword) {
      case undefined:
        return;
      case "log":
        need(items.length === 1 || items.length === 2, "expected log <vkey>");
        policy.logs.push(parseKey(items[0]));
        return;
      case "witness":
        need(items.length === 2 || items.length === 3, "expected witness <name> <vkey>");
        need(!defined(items[0]) && items[0] !== "none", "the name is taken");
        policy.witnesses.set(items[0], parseKey(items[1]));
        return;
      case "group": {
        const [name, how, ...members] = items;
        const threshold = { all: members.length, any: 1 }[how] ?? Number(how);
        need(members.length > 0 && members.every(defined) && !defined(name) && name !== "none", "its members or its name are wrong");
        need(Number.isInteger(threshold) && threshold >= 1 && threshold <= members.length, "the number of members is wrong");
        policy.groups.set(name, { threshold, members });
        return;
      }
      case "quorum":
        need(items.length === 1 && policy.quorum === null && (items[0] === "none" || defined(items[0])), "the quorum is not defined, or there are two");
        policy.quorum = items[0];
        return;
      default:
        need(keyword.startsWith("#"), "it is none of log, witness, group and quorum");
    }
  });
  if (policy.quorum === null) throw new Error("it has no quorum");
  return policy;
}

// quorumMet tells whether the witnesses that cosigned, by the names that the policy
// gives them, are enough.
function quorumMet(policy, cosigned) {
  const met = new Set(["none", ...cosigned]);
  for (const [name, { threshold, members }] of policy.groups) {
    if (members.filter((m) => met.has(m)).length >= threshold) met.add(name);
  }
  return met.has(policy.quorum);
}
