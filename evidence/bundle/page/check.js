
// The checks of a bundle. They are those of the Go package evidence/bundle.

const bundleFormat = "custody bundle v1";
const fileNames = /^(VERIFY\.md|index\.html|manifest\.json|checkpoint|keys\.txt|rotations\/[1-9][0-9]{0,3}|policy\.txt|timestamps\/[a-z0-9][a-z0-9.-]{0,63}\.tsr|(proof|removals|holds|completeness|schema)\.json|(entries|events)\.ndjson)$/;
const hashText = "[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=";
const timeForm = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$/;
const entryForm = new RegExp(`^\\{"index":(0|[1-9][0-9]{0,15}),"payload":"(${hashText})","prev":"(${hashText})","time":"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z)","type":"([a-z][a-z0-9_.-]{0,127})","v":1\\}$`);

// canonical writes a value as RFC 8785 does.
function canonical(v) {
  if (Array.isArray(v)) return `[${v.map(canonical).join()}]`;
  if (v === null || typeof v !== "object") return JSON.stringify(v);
  return `{${Object.keys(v).sort().map((k) => `${JSON.stringify(k)}:${canonical(v[k])}`).join()}}`;
}

function parseCanonical(text) {
  const v = JSON.parse(text);
  if (canonical(v) !== text) throw new Error("it is not canonical JSON (RFC 8785)");
  return v;
}

// Sets of indices are written "0-41,43" and kept as pairs of first and last.

function parseSet(text) {
  const set = [];
  for (const part of text ? text.split(",") : []) {
    const [, first, last = first] = /^(0|[1-9][0-9]{0,15})(?:-([1-9][0-9]{0,15}))?$/.exec(part) || [];
    const pair = [Number(first), Number(last)];
    if (first === undefined || pair[0] > pair[1] || (set.length && pair[0] <= set.at(-1)[1] + 1)) throw new Error(`"${text.slice(0, 80)}" is not a set of indices`);
    set.push(pair);
  }
  return set;
}

const countOf = (set) => set.reduce((n, [a, b]) => n + b - a + 1, 0);
const formatSet = (set) => set.map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`)).join();
const includes = (set, i) => set.some(([a, b]) => a <= i && i <= b);

function* indicesOf(set) {
  for (const [a, b] of set) for (let i = a; i <= b; i++) yield i;
}

// minus returns what is in one set and not in the other.
function minus(set, other) {
  const out = [];
  let first = 0; // pairs of other before it are behind us
  for (let [a, b] of set) {
    while (first < other.length && other[first][1] < a) first++;
    for (let k = first; k < other.length && other[k][0] <= b; k++) {
      const [c, d] = other[k];
      if (c > a) out.push([a, c - 1]);
      a = d + 1;
    }
    if (a <= b) out.push([a, b]);
  }
  return out;
}

const intersect = (set, other) => minus(set, minus(set, other));

function union(sets) {
  const out = [];
  for (const [a, b] of sets.flat().sort((x, y) => x[0] - y[0])) {
    if (out.length && a <= out.at(-1)[1] + 1) out.at(-1)[1] = Math.max(out.at(-1)[1], b);
    else out.push([a, b]);
  }
  return out;
}

// rootOf computes the root of a tree of that size from the disclosed leaves and the
// nodes that cover the gaps between them, from left to right.
function rootOf(size, disclosed, leaves, nodes) {
  const stack = []; // perfect subtrees, each larger than the one behind it
  let [node, leaf] = [0, 0];
  const push = (n, hash) => {
    for (; stack.length && stack.at(-1).n === n; n *= 2) hash = nodeHash(stack.pop().hash, hash);
    stack.push({ n, hash });
  };
  let at = 0;
  for (const [first, last] of [...disclosed, [size, size - 1]]) {
    while (at < first) {
      let n = 1;
      while (at % (2 * n) === 0 && at + 2 * n <= first) n *= 2;
      if (node === nodes.length) throw new Error("it has too few nodes");
      push(n, nodes[node++]);
      at += n;
    }
    for (; at <= last; at++) push(1, leaves[leaf++]);
  }
  if (node !== nodes.length || at !== size) throw new Error("it has more nodes or leaves than the tree needs");
  return stack.reduceRight((right, { hash }) => (right ? nodeHash(hash, right) : hash), null) || sha256([]);
}

// covers tells whether the query of a hold covers an entry: null if that cannot be told
// from what is disclosed. payload is null if it is not.
function covers(query, entry, payload) {
  const nanoseconds = (time) => time.replace(/(?:\.(\d*))?Z$/, (_, digits = "") => digits.padEnd(9, "0"));
  const text = (name) => ((value) => payload && (payload[name] === value || (name === "agent_id" && stops(entry.type, payload, value))));
  const members = {
    event_type: (types) => types.includes(entry.type),
    from_index: (i) => entry.index >= i,
    to_index: (i) => entry.index < i,
    since: (time) => nanoseconds(entry.time) >= nanoseconds(time),
    until: (time) => nanoseconds(entry.time) < nanoseconds(time),
  };
  for (const name of ["agent_id", "action_id", "project_id", "session_id", "user_id", "decision", "correlation_id"]) members[name] = text(name);
  const told = Object.entries(query).map(([name, value]) => members[name]?.(value) ?? null);
  return told.includes(false) ? false : told.includes(null) ? null : true;
}

// stops tells whether an event is about an emergency stop of an agent, or its end.
function stops(type, payload, agent) {
  const agents = payload.details?.affected_agents;
  return (type === "emergency_stop" || type === "emergency_stop_cleared") && Array.isArray(agents) && agents.includes(agent);
}

// Bundle checks the files of a bundle, given as bytes by name, and keeps what it
// found for the page to show.
class Bundle {
  // zipped says that they come from a zip, rather than from the data of a page.
  constructor(files, zipped) {
    this.files = files;
    this.zipped = zipped;
    this.text = new Map();
    this.findings = [];
    this.entries = new Map(); // by index: line, hash, and what the entry says
    this.events = new Map(); // by index: the payload, if it is the one committed to
    this.signatures = []; // what to tell of each key
    this.signed = false; // the checkpoint, by the trail's key
    this.rooted = false; // the entries, in the checkpoint
    this.passed = false; // all of it was checked, and is right
    this.unchecked = []; // what could not be checked here
    this.removals = [];
    this.holds = [];
    this.complete = { asked: [], erased: [], events: [], expired: [], held: [], pruned: [], withheld: [], proven: false, reason: "" };
  }

  // report adds a finding, which is about an entry if an index is given. Findings in
  // a row that say the same of several entries become one.
  report(file, detail, index = null) {
    const last = this.findings.at(-1);
    const end = last?.entries.at(-1);
    if (index === null || !end || last.file !== file || last.detail !== detail || end[1] >= index) {
      this.reportSet(file, detail, index === null ? [] : [[index, index]]);
    } else if (end[1] + 1 === index) {
      end[1] = index;
    } else {
      last.entries.push([index, index]);
    }
  }

  reportSet(file, detail, entries) {
    this.findings.push({ file, detail, entries });
  }

  // attempt runs a check of a file and reports what it throws.
  async attempt(file, check) {
    try {
      return await check();
    } catch (e) {
      this.report(file, e.message);
      return null;
    }
  }

  // read returns a file as text.
  read(name) {
    if (!this.text.has(name)) {
      if (!this.files.has(name)) throw new Error("the file is missing");
      this.text.set(name, new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.files.get(name)));
    }
    return this.text.get(name);
  }

  lines(name) {
    if (!this.files.has(name)) this.report(name, "the file is missing");
    const text = this.files.has(name) ? this.read(name) : "";
    if (text && !text.endsWith("\n")) this.report(name, "the last line does not end in a newline: the file may be cut off");
    return text ? text.replace(/\n$/, "").split("\n") : [];
  }

  async check() {
    this.manifest = await this.attempt("manifest.json", () => this.checkManifest());
    if (!this.manifest) return;
    await this.attempt("checkpoint", () => this.checkSignatures());
    await this.attempt("proof.json", () => this.checkProof());
    await this.attempt("entries.ndjson", () => this.checkEntries());
    await this.attempt("completeness.json", () => this.readCompleteness());
    await this.attempt("events.ndjson", () => this.checkEvents());
    await this.attempt("removals.json", () => this.checkRemovals());
    await this.attempt("holds.json", () => this.checkHolds());
    await this.attempt("completeness.json", () => this.checkCompleteness());
    if (this.zipped) await this.attempt("index.html", () => this.checkPage());
    this.passed = this.signed && this.rooted && !this.findings.length;
  }

  async checkManifest() {
    const m = parseCanonical(this.read("manifest.json"));
    if (m.format !== bundleFormat) throw new Error(`the format is "${m.format}"; this page reads "${bundleFormat}". A newer version has its own page.`);
    const texts = [m.origin, m.page, m.program, m.scope.text, ...Object.values(m.scope.fields ?? {}), ...m.files.flatMap((f) => [f.name, f.sha256])];
    const times = [m.created, m.scope.since, m.scope.until].filter((t) => t !== undefined);
    if (!texts.every((t) => typeof t === "string") || !times.every((t) => timeForm.test(t)) || !Object.values(m.counts).every(Number.isSafeInteger)) {
      throw new Error("its members do not have the form that they have in a bundle");
    }
    const { from, to } = m.range;
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || from > to) throw new Error("its range is no range of indices");
    this.range = from < to ? [[from, to - 1]] : [];
    const listed = new Set(m.files.map((f) => f.name));
    for (const name of this.files.keys()) {
      if (!fileNames.test(name)) this.report(name, "no file of a bundle has this name");
      else if (!listed.has(name) && name !== "manifest.json" && name !== "index.html") this.report(name, "the manifest does not list the file");
    }
    for (const f of m.files) {
      const bytes = this.files.get(f.name);
      if (!bytes) {
        this.report(f.name, "the manifest lists the file, and it is missing");
      } else if (bytes.length !== f.size || hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))) !== f.sha256) {
        this.report(f.name, "it does not have the length and the SHA-256 in the manifest");
      }
    }
    const order = ["index.html", "manifest.json", ...m.files.map((f) => f.name)].filter((name) => name !== "index.html" || this.zipped);
    if (canonical([...this.files.keys()]) !== canonical(this.zipped ? order : order.sort())) this.report("", "its files are not those of the manifest, in their order");
    return m;
  }

  async checkSignatures() {
    const checkpoint = parseCheckpoint(this.read("checkpoint"));
    this.checkpoint = checkpoint;
    if (checkpoint.origin !== this.manifest.origin) this.report("manifest.json", "it has another origin than the checkpoint");
    const keys = this.lines("keys.txt").map(parseKey);
    for (const key of keys) {
      if (key.name !== checkpoint.origin || key.type !== logKey) this.report("keys.txt", `${key.vkey} is not a key of ${checkpoint.origin}`);
    }
    this.key = keys.at(-1);
    const rotations = [...this.files.keys()].filter((name) => name.startsWith("rotations/"));
    if (rotations.length !== keys.length - 1) this.report("keys.txt", "there are not as many statements in rotations/ as there are changes of the key");
    if (!(await canVerify())) {
      this.unchecked.push("This browser cannot verify Ed25519 signatures, so no signature was checked here. Use a newer browser, custody check, or the steps in VERIFY.md.");
      return;
    }
    const signed = this.key && (await signedBy(checkpoint, this.key));
    this.signed = signed === true;
    if (!signed) this.report("checkpoint", signed === null ? "the last key of keys.txt did not sign it" : "its signature by the last key of keys.txt is wrong");
    else this.signatures.push({ who: checkpoint.origin, what: `signed by the trail's key ${this.key.id}` });
    for (const [i, name] of rotations.entries()) {
      await this.attempt(name, () => this.checkRotation(name, keys[i], keys[i + 1]));
    }
    if (this.files.has("policy.txt")) await this.attempt("policy.txt", () => this.checkPolicy());
  }

  async checkRotation(name, from, to) {
    const note = parseNote(this.read(name));
    if (!from || !to || note.text !== `custody key rotation v1\n${from.name}\n${from.vkey}\n${to.vkey}\n`) {
      throw new Error("it does not pass from a key in keys.txt to the next");
    }
    if (!(await signedBy(note, from)) || !(await signedBy(note, to))) throw new Error("it is not signed by both keys");
    this.signatures.push({ who: from.name, what: `key ${from.id} passed to key ${to.id}` });
  }

  async checkPolicy() {
    const policy = parsePolicy(this.read("policy.txt"));
    const logs = policy.logs.filter((k) => k.name === this.checkpoint.origin && k.type === logKey);
    const signed = await Promise.all(logs.map((k) => signedBy(this.checkpoint, k)));
    if (signed.includes(false) || !signed.includes(true)) this.report("policy.txt", "none of its logs signed the checkpoint");
    const cosigned = [];
    for (const [label, key] of policy.witnesses) {
      const time = key.type === witnessKey ? await cosignedBy(this.checkpoint, key) : null;
      if (time === null) continue;
      if (Number.isNaN(time)) {
        this.report("checkpoint", `the cosignature of ${key.name} is wrong`);
        continue;
      }
      cosigned.push(label);
      this.signatures.push({ who: key.name, what: `cosigned by this witness at ${new Date(time).toISOString().replace(".000", "")}, key ${key.id}`, witness: true });
    }
    if (!quorumMet(policy, cosigned)) this.report("policy.txt", "too few of its witnesses cosigned the checkpoint");
  }

  checkProof() {
    const proof = parseCanonical(this.read("proof.json"));
    const disclosed = parseSet(proof.entries);
    if (countOf(disclosed) !== proof.leaves.length) throw new Error("it has not one leaf hash for each of its entries");
    this.disclosed = disclosed;
    this.leaves = new Map();
    let k = 0;
    for (const i of indicesOf(disclosed)) this.leaves.set(i, proof.leaves[k++]);
    const hashes = [proof.leaves, proof.nodes].map((list) => list.map((text) => {
      const hash = unbase64(text);
      if (hash?.length !== 32) throw new Error("one of its hashes cannot be read");
      return hash;
    }));
    if (!this.checkpoint) return;
    if (proof.size !== this.checkpoint.size || proof.root !== this.checkpoint.root) this.report("proof.json", "it has another size or root than the checkpoint");
    const root = rootOf(this.checkpoint.size, disclosed, ...hashes);
    this.rooted = base64(root) === this.checkpoint.root;
    if (!this.rooted) {
      this.reportSet("proof.json", "the hashes of these entries, with those of the nodes between them, do not give the root that was signed: one of them at least is not the trail's", disclosed);
    }
  }

  // place gives each line of a file the index that it is about: the one that it says,
  // or else the next. It returns the indices without a line.
  place(name, indices, says, at) {
    const position = new Map(indices.map((i, k) => [i, k]));
    const placed = new Set();
    let k = 0; // behind the last place that a line was given
    for (const [number, line] of this.lines(name).entries()) {
      const said = position.get(says(line));
      const place = said === undefined || placed.has(said) ? k : said;
      if (place === indices.length) {
        this.report(name, `line ${number + 1} and those behind it are more than there are entries to be told of`);
        break;
      }
      if (place < k) this.report(name, "its line stands behind that of an entry that comes after it", indices[place]);
      placed.add(place);
      at(indices[place], line);
      k = Math.max(k, place + 1);
    }
    return indices.filter((_, i) => !placed.has(i));
  }

  checkEntries() {
    const says = (line) => Number(entryForm.exec(line)?.[1] ?? -1);
    const missing = this.place("entries.ndjson", [...(this.leaves || new Map()).keys()], says, (i, line) => this.checkEntry(i, line));
    for (const i of missing) this.report("entries.ndjson", "the entry is missing", i);
    let last = null;
    for (const [i, e] of [...this.entries].sort(([a], [b]) => a - b)) {
      if (last && last.index === i - 1 && e.prev !== last.hash) {
        this.report("entries.ndjson", "the entry behind names another hash than that of this one: one of the two was altered", i - 1);
      }
      if (last && e.time < last.time) this.report("entries.ndjson", "the entry is dated before the one that is disclosed before it", i);
      last = e;
    }
  }

  checkEntry(index, line) {
    const hash = base64(leafHash(utf8.encode(line)));
    const m = entryForm.exec(line);
    if (hash !== this.leaves.get(index)) this.report("entries.ndjson", "the entry does not have the leaf hash that proof.json gives it", index);
    else if (!m) this.report("entries.ndjson", "the entry is not in canonical form", index);
    else if (Number(m[1]) !== index) this.report("entries.ndjson", "the entry in this place has another index", index);
    if (m) this.entries.set(index, { index, hash, commitment: m[2], prev: m[3], time: m[4], type: m[5] });
  }

  readCompleteness() {
    this.stated = parseCanonical(this.read("completeness.json"));
    if (typeof this.stated.reason !== "string") throw new Error("it gives no reason");
    this.complete.asked = parseSet(this.stated.asked);
    this.complete.events = parseSet(this.stated.events);
    const extra = minus(this.complete.events, this.disclosed);
    if (extra.length) {
      this.reportSet("completeness.json", "payloads are said to be disclosed of these entries, which are not", extra);
      this.complete.events = [];
    }
  }

  async checkEvents() {
    const says = (line) => {
      try {
        return JSON.parse(line).index;
      } catch {
        return -1;
      }
    };
    const work = [];
    const missing = this.place("events.ndjson", [...indicesOf(this.complete.events)], says, (i, line) => work.push([i, line]));
    for (let k = 0; k < work.length; k += 512) {
      const results = await Promise.all(work.slice(k, k + 512).map(([i, line]) => this.checkEvent(i, line)));
      for (const [n, problem] of results.entries()) {
        if (problem) this.report("events.ndjson", problem, work[k + n][0]);
      }
    }
    for (const i of missing) this.report("events.ndjson", "the event is missing, which the bundle says it has", i);
  }

  // checkEvent returns what is wrong with the event of an entry.
  async checkEvent(index, line) {
    let event;
    try {
      event = JSON.parse(line);
    } catch {
      return "the line is not JSON";
    }
    if (typeof event.payload !== "string" || canonical({ index: event.index, payload: event.payload, salt: event.salt }) !== line) return "the line is not canonical JSON of index, payload and salt";
    if (event.index !== index) return "the line stands where that of this entry has to stand, and has another index";
    const salt = unbase64(event.salt);
    if (salt?.length !== 16) return "the salt is not 16 bytes in base64";
    const entry = this.entries.get(index);
    if (!entry) return null; // it has a finding of its own
    const committed = join(utf8.encode("custody payload v1\n"), salt, utf8.encode(event.payload));
    if (base64(new Uint8Array(await crypto.subtle.digest("SHA-256", committed))) !== entry.commitment) return "the payload, or its salt, is not the one that the entry commits to";
    this.events.set(index, event.payload);
    return null;
  }

  checkRemovals() {
    this.removals = parseCanonical(this.read("removals.json"));
    for (const [k, r] of this.removals.entries()) {
      if (k && r.event <= this.removals[k - 1].event) throw new Error("its events are not in ascending order, each once");
      r.set = parseSet(r.entries);
      const problem = this.checkRemoval(r);
      if (problem) this.report("removals.json", `entries ${r.entries}: ${problem}`, r.event);
    }
    const minimum = Math.max(0, ...this.removals.map((r) => r.minimum ?? 0));
    const { from } = this.manifest.range;
    if (minimum && minimum !== from) this.report("removals.json", `the trail was pruned up to entry ${minimum}, and the range begins with ${from}`);
  }

  checkRemoval(r) {
    const [entry, payload] = [this.entries.get(r.event), this.events.get(r.event)];
    if (!entry || payload === undefined) return "the event that is said to explain why their payloads are missing is not in the bundle as it was committed";
    if (entry.type !== r.type || (r.type !== "payload_erased" && r.type !== "retention_applied")) return "this event explains no missing payload";
    const { indices, digest, what, minimum_index: minimum } = JSON.parse(payload).details || {};
    if (typeof indices !== "string" || hex(sha256(utf8.encode(indices))) !== digest) return "the event does not list entries, or their digest is wrong";
    const listed = parseSet(indices);
    if (listed.length && listed.at(-1)[1] >= r.event) return "the event lists entries that are not before it";
    if (minus(r.set, listed).length) return "the event does not list all of them";
    if (r.minimum === 0 || r.minimum !== (what === "entries" ? minimum : undefined)) return "the event gives another minimum index, or none";
    if (r.minimum !== undefined && (!Number.isSafeInteger(r.minimum) || (listed.length && listed.at(-1)[1] >= r.minimum))) return "the event lists entries that are not before the minimum index";
    return null;
  }

  checkHolds() {
    this.holds = parseCanonical(this.read("holds.json"));
    const released = new Map();
    for (const i of this.entries.keys()) {
      const change = this.holdChange(i);
      if (change?.change === "released") released.set(change.hold_id, i);
    }
    for (const [k, h] of this.holds.entries()) {
      if (k && h.event <= this.holds[k - 1].event) throw new Error("its events are not in ascending order, each once");
      h.set = parseSet(h.entries);
      const placed = this.holdChange(h.event);
      if (placed?.change !== "placed" || placed.hold_id !== h.id) this.report("holds.json", `hold ${h.id}: the event that is said to place it does not, or is not in the bundle as it was committed`, h.event);
      else if (released.get(h.id) > h.event) this.report("holds.json", `hold ${h.id}: event ${released.get(h.id)} released it`, h.event);
      else this.compareHold(h, placed.query ?? {});
    }
  }

  // holdChange returns the details of an event that places or releases a hold.
  holdChange(index) {
    const payload = this.events.get(index);
    return payload !== undefined && this.entries.get(index)?.type === "legal_hold_changed" ? JSON.parse(payload).details : undefined;
  }

  // compareHold compares what a hold is said to cover with what its query says, for the
  // entries of the range that are disclosed.
  compareHold(h, query) {
    const { from, to } = this.manifest.range;
    for (const e of this.entries.values()) {
      if (e.index < from || e.index >= to) continue;
      const payload = this.events.get(e.index);
      const covered = covers(query, e, payload === undefined ? null : JSON.parse(payload));
      if (covered !== null && covered !== includes(h.set, e.index)) {
        this.report("holds.json", `hold ${h.id}, which event ${h.event} placed, ${covered ? "covers this entry by its query, and is not said to" : "is said to cover this entry, and its query does not"}`, e.index);
      }
    }
  }

  checkCompleteness() {
    const { asked, events } = this.complete;
    const size = this.checkpoint?.size ?? 0;
    const { from, to } = this.manifest.range;
    const held = intersect(union(this.holds.map((h) => h.set || [])), this.range);
    let [erased, expired, pruned] = [[], [], []];
    for (const r of this.removals) {
      const left = minus(minus(intersect(r.set || [], this.range), erased), expired);
      if (r.minimum) pruned = union([pruned, r.set || []]);
      else if (r.type === "payload_erased") erased = union([erased, left]);
      else expired = union([expired, left]);
    }
    const removed = union([erased, expired]);
    const withheld = minus(this.range, this.disclosed);
    const proven = this.isProven(asked, from, to, size);
    this.complete = { asked, erased, events, expired, held, pruned, withheld, proven, reason: this.stated.reason };
    if (to > size) this.report("manifest.json", `the range goes up to ${to}, and the trail has ${size} entries`);
    const extra = minus(asked, intersect(this.disclosed, this.range));
    if (extra.length) this.reportSet("completeness.json", "these entries are said to be asked for, and are not disclosed or not in the range", extra);
    const missing = minus(minus(intersect(asked, this.disclosed), events), removed);
    if (missing.length) this.reportSet("events.ndjson", "there is no payload, and no event that explains why it is missing", missing);
    const both = intersect(pruned, this.disclosed);
    if (both.length) this.reportSet("removals.json", "these entries are said to be pruned, and are disclosed", both);
    const follows = { asked: formatSet(asked), disclosed: formatSet(this.disclosed), erased: formatSet(erased), events: formatSet(events), expired: formatSet(expired), from, held: formatSet(held), proven, pruned: formatSet(pruned), reason: this.stated.reason, to, withheld: formatSet(withheld) };
    if (canonical(follows) !== canonical(this.stated)) this.report("completeness.json", "it is not what follows from the other files");
    const counts = { asked: countOf(asked), entries: countOf(this.disclosed), events: countOf(events), removed: countOf(removed) };
    if (canonical(counts) !== canonical(this.manifest.counts)) this.report("manifest.json", "its counts are not those of the other files");
  }

  // isProven tells whether nothing that the question asks for can have been left out.
  isProven(asked, from, to, size) {
    const { fields = {}, since, until } = this.manifest.scope;
    if (Object.keys(fields).length || minus(this.range, asked).length) return false;
    if (!since && !until) return true;
    const timeOf = (i) => this.entries.get(i)?.time;
    for (const i of indicesOf(intersect(this.range, this.disclosed))) {
      const time = timeOf(i);
      if (time && ((since && time < since) || (until && time >= until))) return false;
    }
    const older = from === 0 || (since && timeOf(from - 1) < since);
    const later = to >= size || (until && timeOf(to) >= until);
    return Boolean(older && later);
  }

  // checkPage checks the index.html of a zip: that it shows these files, and is
  // otherwise the page that the manifest names.
  checkPage() {
    const [start, stop] = ['<script type="application/json" id="data">', "<" + "/script>"];
    const page = this.read("index.html");
    const at = page.indexOf(start) + start.length;
    const end = page.indexOf(stop, at);
    if (at < start.length || end < 0) throw new Error("it has no element with the data of the bundle");
    if (hex(sha256(utf8.encode(page.slice(0, at) + page.slice(end)))) !== this.manifest.page) {
      this.report("index.html", "without its data it does not have the SHA-256 in the manifest: do not rely on what it shows");
    }
    if (page.slice(at, end) !== pageData(this)) this.report("index.html", "what it shows is not what the other files of the bundle hold: do not rely on it");
  }
}

// pageData returns the data that the page of a bundle has.
function pageData(bundle) {
  const data = {};
  for (const [name, bytes] of bundle.files) {
    if (name !== "index.html") data[name] = name.endsWith(".tsr") ? base64(bytes) : bundle.read(name);
  }
  return canonical(data).replaceAll("<", "\\u003c");
}

// filesOfPage returns the files that a page has as its data.
function filesOfPage(data) {
  const files = new Map();
  for (const [name, text] of Object.entries(JSON.parse(data))) {
    files.set(name, name.endsWith(".tsr") ? unbase64(text) || new Uint8Array() : utf8.encode(text));
  }
  return files;
}
