
// The page. All that comes from a bundle is put in as text, never as markup.

const rowsAtOnce = 500;

// el makes an element. Properties are set as they are; children are text or nodes.
function el(tag, properties, ...children) {
  const { data = {}, ...rest } = properties || {};
  const node = Object.assign(document.createElement(tag), rest);
  Object.assign(node.dataset, data);
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== ""));
  return node;
}

const number = new Intl.NumberFormat("en");
const plural = (n, one, many = `${one}s`) => `${number.format(n)} ${n === 1 ? one : many}`;
const clock = (time) => time.replace("T", " ").replace(/(\.\d{3})\d*Z$/, "$1").replace(/Z$/, "");

function section(title, ...children) {
  return el("section", {}, el("h2", {}, title), ...children);
}

function facts(...pairs) {
  return el("dl", {}, pairs.filter(([, v]) => v !== "").map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]));
}

const entriesText = (set) => `${countOf(set) === 1 ? "entry" : "entries"} ${formatSet(set).replaceAll(",", ", ").replaceAll("-", "–")}`;

const upper = (text) => text.replace(/^./, (letter) => letter.toUpperCase());

function verdictOf(b) {
  if (b.findings.length) return ["bad", "✗", "This bundle does not check out", `${plural(b.findings.length, "thing is", "things are")} wrong with it, as listed here. Do not rely on it.`];
  if (b.unchecked.length || !b.passed) return ["partial", "!", "This bundle was not checked in full", "Nothing is wrong with what could be checked here, but that is not all. This is not a pass."];
  return ["good", "✓", "This bundle checks out", `${plural(b.entries.size, "entry", "entries")} and ${plural(b.events.size, "payload")} are those that the trail committed to, under the key shown below. Whether that is the trail's key you have to compare yourself.`];
}

function showVerdict(b) {
  const [kind, sign, title, text] = verdictOf(b);
  document.documentElement.dataset.verdict = kind;
  const findings = b.findings.slice(0, 200).map((f) => el("li", { className: "finding", data: { entries: formatSet(f.entries) } },
    el("strong", {}, f.entries.length ? `${upper(entriesText(f.entries))} ` : f.file || "The zip file"), f.entries.length ? el("span", { className: "file" }, f.file) : "", `: ${f.detail}`));
  const more = b.findings.length - findings.length;
  return el("section", { className: `verdict ${kind}`, role: "status" },
    el("p", { className: "sign", ariaHidden: "true" }, sign),
    el("div", {},
      el("h1", {}, title), el("p", {}, text),
      b.unchecked.map((u) => el("p", {}, u)),
      findings.length ? el("ul", {}, findings, more > 0 ? el("li", {}, `and ${plural(more, "more thing")}`) : null) : ""));
}

function showScope(b) {
  const { scope, range, counts, created, program } = b.manifest;
  const bounds = [scope.since && `from ${clock(scope.since)}`, scope.until && `until before ${clock(scope.until)}`].filter(Boolean).join(" ");
  return section("What was asked",
    el("p", { className: "question" }, scope.text || "All events of the range."),
    facts(
      ...Object.entries(scope.fields || {}),
      ["Time (UTC)", bounds],
      ["Entries", range.from < range.to ? `${number.format(range.from)} to ${number.format(range.to - 1)} of ${number.format(b.checkpoint?.size ?? 0)}` : "none in this time"],
      ["Events given", `${plural(counts.asked, "event")}${counts.removed ? `, payloads removed in the range: ${number.format(counts.removed)}` : ""}`],
      ["Made", `${clock(created)} UTC by ${program || "an unnamed program"}, as the maker says`]));
}

function showCompleteness(b) {
  const c = b.complete;
  const ok = c.proven && !b.findings.length && !b.unchecked.length;
  const why = b.findings.length ? "The bundle does not check out, so nothing is proven by it." : b.unchecked.length ? "The bundle was not checked in full." : c.reason;
  return section("Was anything left out?",
    el("p", {}, el("strong", { className: ok ? "word good" : "word partial" }, ok ? "Proven complete" : "Not proven"), ` ${why}`),
    c.withheld.length ? el("p", {}, `Not disclosed in the range: ${plural(countOf(c.withheld), "entry", "entries")}.`) : "",
    b.removals.map((r) => el("p", {}, r.minimum
      ? `${upper(entriesText(r.set || []))} ${countOf(r.set || []) === 1 ? "was" : "were"} pruned under a retention policy; event ${r.event} of the trail (${r.type}) says so. The trail begins at entry ${r.minimum} since then.`
      : `Payloads of ${entriesText(r.set || [])} ${r.type === "payload_erased" ? "were erased on request" : "have outlived their period"} and were removed; event ${r.event} of the trail (${r.type}) says so. The entries themselves are still there.`)),
    b.holds.map((h) => el("p", {}, `Legal hold ${h.id} covers ${entriesText(intersect(h.set || [], b.range))}; event ${h.event} of the trail placed it. That it was in force when the bundle was made, and that there is no other one, is the word of whoever made the bundle.`)),
    el("p", { className: "note" }, "A trail proves what was recorded, never that everything which happened was recorded."));
}

function showTrust(b) {
  const tokens = [...b.files.keys()].filter((name) => name.endsWith(".tsr"));
  return section("Who vouches for it",
    el("p", {}, "The bundle was checked against this key, which came with it. Compare it with the trail's key as you got it from somewhere else; otherwise whoever made the bundle could have made the key as well."),
    el("p", {}, el("code", { className: "key" }, b.key?.vkey || "no key")),
    el("ul", { className: "plain" },
      b.signatures.map((s) => el("li", {}, el("span", { className: "word good" }, "Verified"), " ", el("strong", {}, s.who), ` ${s.what}`)),
      tokens.map((name) => el("li", {}, el("span", { className: "word partial" }, "Not checked here"), " ", el("strong", {}, name.replace(/^timestamps\/|\.tsr$/g, "")), " time-stamp token; VERIFY.md, step 8, says how to check it")),
      b.signatures.some((s) => s.witness) ? el("li", { className: "note" }, "Which witnesses count was chosen by whoever made the bundle (policy.txt).") : "",
      b.signatures.length ? "" : el("li", {}, el("span", { className: "word partial" }, "No signature was verified here."))),
    facts(["Trail", b.manifest.origin], ["Checkpoint", b.checkpoint ? `${plural(b.checkpoint.size, "entry", "entries")}, root ${b.checkpoint.root}` : "cannot be read"]));
}

function eventRow(b, i, bad) {
  const entry = b.entries.get(i);
  const payload = b.events.get(i);
  const removal = b.removals.find((r) => r.set && !r.minimum && includes(r.set, i));
  let event = {};
  try {
    event = JSON.parse(payload ?? "{}") || {};
  } catch {
    // shown as it is
  }
  const text = (name) => (typeof event[name] === "string" ? event[name] : "");
  const details = typeof event.details === "object" && event.details ? event.details : {};
  const action = [text("action_id"), typeof details.tool_name === "string" ? details.tool_name : ""].filter(Boolean).join(" · ");
  const result = [text("decision"), text("outcome")].filter(Boolean).join(" · ");
  let more = el("span", { className: "word bad" }, "payload does not check out");
  if (payload !== undefined) {
    const pre = el("pre");
    more = el("details", { ontoggle: () => (pre.textContent ||= JSON.stringify(event, null, 2)) }, el("summary", {}, "Payload"), pre);
  } else if (removal) {
    more = el("span", { className: "word partial" }, `payload removed, see event ${removal.event}`);
  }
  const cell = (label, ...content) => el("td", { className: content[0] === "—" ? "none" : "", data: { label } }, ...content);
  return el("tr", { id: `e${i}`, className: bad ? "bad" : "" },
    cell("Entry", el("span", {}, number.format(i), bad ? [" ", el("span", { className: "word bad" }, "does not check out")] : "")),
    cell("Time (UTC)", entry ? el("time", { dateTime: entry.time }, clock(entry.time)) : "—"),
    cell("Event", entry?.type ?? "—"), cell("Agent", text("agent_id") || "—"), cell("Action", action || "—"),
    cell("Result", result ? el("span", { className: /deny|fail|error/.test(result) ? "word bad" : "word" }, result) : "—"),
    el("td", { className: "more" }, more));
}

function showTimeline(b) {
  const asked = [...indicesOf(intersect(b.complete.asked, b.disclosed || []))];
  const proven = minus(b.disclosed || [], b.complete.asked);
  const wrong = union(b.findings.filter((f) => f.file !== "proof.json").map((f) => f.entries));
  const body = el("tbody");
  const button = el("button", { type: "button" });
  let shown = 0;
  const more = () => {
    const next = asked.slice(shown, shown + rowsAtOnce);
    body.append(...next.map((i) => eventRow(b, i, includes(wrong, i))));
    shown += next.length;
    button.textContent = `Show more (${number.format(asked.length - shown)} left)`;
    button.hidden = shown === asked.length;
  };
  button.onclick = more;
  more();
  return section("Events",
    asked.length ? "" : el("p", {}, "No event is asked for."),
    el("table", {}, el("thead", {}, el("tr", {}, ["Entry", "Time (UTC)", "Event", "Agent", "Action", "Result", ""].map((t) => el("th", { scope: "col" }, t)))), body),
    button,
    proven.length ? el("p", { className: "note" }, `Also in the bundle, for the proof: ${entriesText(proven)}.`) : "");
}

function showPicker(note) {
  const input = el("input", { type: "file", accept: ".zip", id: "pick", onchange: () => input.files[0] && checkZip(input.files[0]) });
  return section("Check a bundle file",
    el("p", {}, "This page checks the copy of the bundle that is in it. To check the zip file itself, this one's or another's, choose it or drop it here. Nothing leaves this computer."),
    el("p", {}, el("label", { htmlFor: "pick" }, "Bundle (.zip): "), input),
    note ? el("p", { className: "note" }, note) : "");
}

function show(b, note) {
  const main = document.getElementById("main");
  const parts = b.manifest ? [showScope(b), showCompleteness(b), showTrust(b), showTimeline(b)] : [];
  main.replaceChildren(el("header", {}, el("p", {}, "Custody evidence bundle"), el("p", {}, b.manifest?.origin ?? "")), showVerdict(b), ...parts, showPicker(note));
  if (b.manifest) document.title = `${verdictOf(b)[2]}: ${b.manifest.origin}`;
}

// checkFiles checks a bundle and shows it. problems are those of its zip.
async function checkFiles(files, zipped, problems, note) {
  const started = performance.now();
  const bundle = new Bundle(files, zipped);
  bundle.findings.push(...problems);
  if (!globalThis.crypto?.subtle) bundle.unchecked.push("This browser gives pages like this one no cryptography (WebCrypto), so nothing was checked here. Use another browser, custody check, or the steps in VERIFY.md.");
  else await bundle.check();
  document.documentElement.dataset.milliseconds = Math.round(performance.now() - started);
  try {
    show(bundle, note);
  } catch (e) { // what it holds has another form than a bundle's
    bundle.report("", `it cannot be shown: ${e.message}`);
    bundle.manifest = null;
    show(bundle, note);
  }
}

async function checkZip(file) {
  document.documentElement.dataset.verdict = "checking";
  const problems = [];
  const report = (name, detail) => problems.push({ file: name, detail, entries: [] });
  let files = new Map();
  try {
    if (file.size > zipLimit.size) throw new Error("it is too large for a bundle");
    files = await unzip(new Uint8Array(await file.arrayBuffer()), report);
  } catch (e) {
    report("", e.message);
  }
  const own = filesOfPage(document.getElementById("data").textContent);
  const same = [...own].every(([name, bytes]) => files.has(name) && hex(sha256(files.get(name))) === hex(sha256(bytes)));
  await checkFiles(files, true, problems, `This is what is in the file ${file.name}. ${same ? "Its files are those that this page came with." : "It is not the bundle that this page came with."}`);
}

document.addEventListener("dragover", (e) => e.preventDefault());
document.addEventListener("drop", (e) => {
  e.preventDefault();
  if (e.dataTransfer.files[0]) checkZip(e.dataTransfer.files[0]);
});

(async () => {
  try {
    await checkFiles(filesOfPage(document.getElementById("data").textContent), false, [], "");
  } catch (e) {
    await checkFiles(new Map(), false, [{ file: "index.html", detail: `the data of this page cannot be read: ${e.message}`, entries: [] }], "");
  }
})();
