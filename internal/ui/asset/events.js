// The table of events: keys, and the live tail. The stream of the API says that there
// is something new; the rows come from the server as it makes them for the page.

const rowsAtMost = 500;

const live = document.getElementById("live");
const table = document.getElementById("events");
const body = table.tBodies[0];

function startLive() {
  const state = document.getElementById("live-state");
  const button = document.getElementById("live-pause");
  const { trail, query, stream: events } = live.dataset;
  const page = `/trails/${encodeURIComponent(trail)}/events/rows`;
  let from = Number(live.dataset.from);
  let [paused, waiting, busy] = [false, 0, false];

  const say = (text) => {
    if (state.textContent !== text) state.textContent = text;
  };
  const tell = () => say(paused ? `Paused${waiting ? `, ${waiting} new` : ""}` : "Live");

  // take puts the rows that are new above the others.
  async function take() {
    if (busy || paused) return;
    busy = true;
    try {
      for (let more = true; more && !paused; ) {
        waiting = 0;
        const answer = await fetch(`${page}?${query}${query && "&"}from=${from}`);
        if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
        const rows = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("table");
        from = Number(rows.dataset.next);
        more = "more" in rows.dataset || waiting > 0;
        show([...rows.tBodies[0].rows]);
      }
      tell();
    } catch (e) {
      say(`Not live: ${e.message}. Reload the page.`);
    } finally {
      busy = false;
    }
  }

  function show(rows) {
    if (!rows.length) return;
    document.getElementById("empty")?.remove();
    table.hidden = false;
    for (const row of rows) row.classList.add("new");
    body.prepend(...rows.map((row) => document.adoptNode(row)));
    while (body.rows.length > rowsAtMost) body.lastElementChild.remove();
  }

  const stream = new EventSource(`/v1/trails/${encodeURIComponent(trail)}/stream?${events}`);
  stream.onopen = tell;
  stream.addEventListener("entry", () => {
    waiting++;
    if (paused) tell();
    else take();
  });
  stream.onerror = () => say(stream.readyState === EventSource.CLOSED ? "Not live: the server refused the stream. Reload the page to see what is new." : "Reconnecting");
  button.onclick = () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    tell();
    if (waiting) take();
  };
  live.hidden = false;
}

if ("stream" in live.dataset) startLive();

const help = document.getElementById("help");
const helpOpen = document.getElementById("help-open");
helpOpen.onclick = () => help.showModal();
helpOpen.hidden = false;

const typing = (element) => element.matches("input, select, textarea, [contenteditable]");

// move sets the focus on the entry so many rows below the one that has it.
function move(by) {
  const links = [...body.querySelectorAll("a.entry")];
  const row = document.activeElement?.closest?.("tr");
  const at = row ? links.findIndex((link) => row.contains(link)) : by > 0 ? -1 : links.length;
  const link = links[Math.min(links.length - 1, Math.max(0, at + by))];
  link?.focus();
  link?.closest("tr").scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (typing(e.target)) {
    if (e.key === "Escape") e.target.blur();
    return;
  }
  if (help.open) return;
  const does = {
    j: () => move(1),
    k: () => move(-1),
    "/": () => document.getElementById("filter-first").focus(),
    p: () => document.getElementById("live-pause").click(),
    "?": () => help.showModal(),
  }[e.key];
  if (!does) return;
  e.preventDefault();
  does();
});
