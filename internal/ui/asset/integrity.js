
// Verification by the server as a job, and the download of a bundle.

const number = new Intl.NumberFormat("en");

const api = (trail, rest) => `/v1/trails/${encodeURIComponent(trail)}/${rest}`;

// ask returns the answer of the API, or throws what it says is wrong.
async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => null);
  throw new Error(problem?.detail || `the server answered ${answer.status}`);
}

const pause = () => new Promise((done) => setTimeout(done, 300));

function startVerification(section) {
  const path = api(section.dataset.trail, "verifications");
  const button = document.getElementById("verification-start");
  const state = document.getElementById("verification-state");
  const result = document.getElementById("verification-result");
  const told = document.getElementById("verification-told"); // of the last one that was recorded

  // follow shows how far a verification is until it has ended, and then its result.
  async function follow(job) {
    button.disabled = true;
    const bar = element("progress", "");
    const text = element("span", "note");
    state.replaceChildren(bar, " ", text);
    try {
      while (job.state === "running") {
        [bar.max, bar.value] = [job.total || 1, job.done];
        text.textContent = `${number.format(job.done)} of ${number.format(job.total)} entries`;
        await pause();
        job = await (await ask(`${path}/${job.id}`)).json();
      }
      state.replaceChildren();
      show(job);
    } catch (e) {
      fail(e);
    } finally {
      button.disabled = false;
    }
  }

  function fail(e) {
    state.replaceChildren(element("p", "word bad", `That did not work: ${e.message}`));
    section.dataset.verdict = "failed";
  }

  function show(job) {
    const { report } = job;
    const when = `${job.started.replace("T", " ").slice(0, 19)} UTC, asked for by ${job.by || "somebody"}`;
    if (!report) {
      section.dataset.verdict = "partial";
      result.replaceChildren(verdict("partial", "It could not be completed", `${job.problem} This says nothing about the trail.`, when));
      return;
    }
    told.remove(); // it is this one, or an older one
    const kind = report.ok ? "good" : "bad";
    const title = report.ok ? "The trail checks out" : `${report.findings.length === 1 ? "One thing does" : `${number.format(report.findings.length)} things do`} not check out`;
    const list = element("ul", "list");
    for (const f of report.findings.slice(0, 100)) {
      const last = f.index + Math.max(f.count, 1) - 1;
      list.append(element("li", "finding", element("span", "", element("strong", "", f.cause), ` at entry ${f.index}${last > f.index ? ` to ${last}` : ""}: ${f.detail}`), element("span", "note", f.meaning)));
    }
    if (report.findings.length > 100) list.append(element("li", "", `and ${number.format(report.findings.length - 100)} more`));
    const notes = report.not_checked.map((text) => element("p", "note", `Not checked: ${text}`));
    result.replaceChildren(verdict(kind, title, `${number.format(report.entries)} entries and ${number.format(report.payloads)} payloads were read; ${report.strength}.`, when), list, ...notes);
    section.dataset.verdict = kind;
  }

  const verdict = (kind, title, text, when) => element("div", `verdict ${kind}`, element("div", "", element("p", "", element("strong", "", title)), element("p", "", text), element("p", "note", when)));

  button.onclick = async () => {
    section.dataset.verdict = "running";
    result.replaceChildren();
    try {
      await follow(await (await ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" })).json());
    } catch (e) {
      fail(e);
    }
  };
  button.hidden = false;

  // last shows the last verification, or the one that runs.
  async function last() {
    try {
      const [job] = (await (await ask(path)).json()).verifications;
      if (!job) state.replaceChildren(element("p", "note", "None was run since the server was started."));
      else if (job.state === "running") await follow(job);
      else show(job);
    } catch (e) {
      fail(e);
    }
  }
  last();
}

function startBundle(form) {
  const state = document.getElementById("bundle-state");
  form.onsubmit = async (e) => {
    e.preventDefault();
    const query = new URLSearchParams();
    for (const { name, value, type } of form.elements) {
      if (name && value.trim()) query.set(name, type === "datetime-local" ? new Date(`${value}Z`).toISOString() : value.trim());
    }
    state.replaceChildren(element("p", "note", "The bundle is being made."));
    try {
      const answer = await ask(`${api(form.dataset.trail, "bundle")}?${query}`);
      const link = element("a", "");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = `${form.dataset.trail}-evidence.zip`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      state.replaceChildren(element("p", "", "The bundle is complete."));
    } catch (problem) {
      state.replaceChildren(element("p", "word bad", `That did not work: ${problem.message}`));
    }
  };
}

const verification = document.getElementById("verification");
if (document.getElementById("verification-start")) startVerification(verification);
const bundle = document.getElementById("bundle");
if (bundle) startBundle(bundle);
