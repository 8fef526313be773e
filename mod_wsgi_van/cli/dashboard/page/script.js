// The page: asks the dashboard for what changed, and shows it.

import { details, draw } from "./details.js";
import {
  RANK, STATES, bytes, clock, link, make, plural, rate, setNow, short, stateOf, time, whole,
} from "./text.js";

// The places of a row, as the observer writes them.
const [NAME, STATE, RELEASE, SINCE, ISOLATION, PYTHON, REQUESTS, RATE, BUSY, QUEUE, REFUSED, MEMORY,
  USED, CODE, TEXT, RELEASES] = Array(16).keys();

const PER_PAGE = 50;
const QUICKEST = 1000; // milliseconds between two questions
const HIDDEN = 15000; // the same, while nobody sees the page
const MOST_CHANGES = 12; // that are shown
const MOST_AT_ONCE = 4; // that are told of one answer

const COLUMNS = [
  { id: "site", title: "Site", of: NAME },
  { id: "state", title: "State", of: STATE, by: (row) => RANK[row[STATE]] },
  { id: "release", title: "Release", of: RELEASE },
  { id: "since", title: "Since", of: SINCE, down: true },
  { id: "isolation", title: "Isolation", of: ISOLATION },
  { id: "python", title: "Python", of: PYTHON },
  { id: "rate", title: "Requests/s", of: RATE, number: true, down: true },
  { id: "busy", title: "Under way", of: BUSY, number: true, down: true },
  { id: "memory", title: "Memory", of: MEMORY, number: true, down: true },
  { id: "used", title: "Last used", of: USED, down: true },
];

const sites = new Map(); // rows by name
let answer = null; // the last one
let version = 0;
let told = false; // a first answer was shown: what changes from now on is news
let order = { column: COLUMNS[1], down: false };
let only = ""; // a state, or "" for all
let page = 0;
let found = []; // the rows that are shown, on all pages
const fresh = new Set(); // names of rows to point out
let lastSeen = 0; // milliseconds; when the dashboard answered
let failing = false;

const $ = (id) => document.getElementById(id);

function say(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

// The site whose details are wanted.
function chosen() {
  if (!location.hash.startsWith("#site=")) return "";
  try {
    return decodeURIComponent(location.hash.slice(6));
  } catch {
    return "";
  }
}

// Asking

async function ask(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(15000) });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
}

async function turn() {
  const begun = performance.now();
  try {
    take(await ask(`status.json?since=${version}`));
    failing = false;
    lastSeen = Date.now();
  } catch (error) {
    failing = true;
  }
  head();
  await showDetail();
  // A large server is asked less often: a tenth of the time at the most goes into it.
  const pause = Math.max(document.hidden ? HIDDEN : QUICKEST, 9 * (performance.now() - begun));
  window.setTimeout(turn, pause);
}

function take(next) {
  const before = new Map(sites);
  answer = next;
  version = next.version;
  setNow(next.time);
  if (next.whole) sites.clear();
  for (const row of next.sites) sites.set(row[NAME], row);
  if (told) news(before, next);
  told = true;
  if (next.whole || next.sites.length || !found.length) arrange();
  rows();
  figures();
  processes();
}

// What changed while somebody looks

function news(before, next) {
  const lines = [];
  for (const row of next.sites) {
    const old = before.get(row[NAME]);
    const text = change(old, row);
    if (text) {
      lines.push([row, text]);
      fresh.add(row[NAME]);
    }
  }
  if (next.whole) {
    for (const [name, row] of before) if (!sites.has(name)) lines.push([row, "is gone"]);
  }
  const log = $("log");
  for (const [row, text] of lines.slice(0, MOST_AT_ONCE)) {
    log.prepend(make("li", {}, time(next.time, clock(next.time * 1000)),
      make("span", {}, link(row[NAME]), ` ${text}`)));
  }
  if (lines.length > MOST_AT_ONCE) {
    const more = plural(lines.length - MOST_AT_ONCE, "more site");
    log.prepend(make("li", {}, time(next.time, clock(next.time * 1000)),
      make("span", {}, `${more} changed`)));
  }
  while (log.children.length > MOST_CHANGES) log.lastChild.remove();
  $("no-changes").hidden = log.children.length > 0;
}

function change(old, row) {
  const [state, why] = [row[STATE], [row[CODE], row[TEXT]].filter(Boolean).join(": ")];
  if (old && old[STATE] === state && old[RELEASE] === row[RELEASE] && old[SINCE] === row[SINCE]) {
    return old[TEXT] !== row[TEXT] && why ? `has failed again. ${why}` : "";
  }
  if (state === "loaded") return `is live with ${short(row[RELEASE])}`;
  if (state === "failed") return `has failed. ${why}`;
  if (state === "holding") return `keeps its old release ${short(row[RELEASE])}. ${why}`;
  if (state === "refused") return `is refused. ${why}`;
  if (state === "loading") return "is loading";
  if (state === "maintenance") return "is in maintenance";
  return old ? "is not loaded any more" : "";
}

// The head of the page

function head() {
  const obstacle = failing ? "The dashboard does not answer." : answer && answer.obstacle;
  $("obstacle").hidden = !obstacle;
  if (failing) {
    say("obstacle-text", obstacle);
    say("obstacle-remedy", lastSeen
      ? `What you see is of ${clock(lastSeen)}. Start mod-wsgi-van dashboard again; this page goes on by itself.`
      : "Is mod-wsgi-van dashboard still running?");
  } else if (obstacle) {
    say("obstacle-text", `${obstacle[0].toUpperCase()}${obstacle.slice(1)}.`);
    say("obstacle-remedy", answer.processes.length
      ? "The other processes go on. What you see may be incomplete."
      : "A process begins with the first request after a start of Apache. When requests are answered and this stays, run mod-wsgi-van doctor: it says whether the directory of the sockets is there.");
  }
  say("verdict", verdict());
  document.title = `${verdict().replace(/\.$/, "")} – mod_wsgi_van`;
  if (lastSeen) say("fresh", `${[answer.processes[0]?.base_path, "as of"].filter(Boolean).join(", ")} ${clock(lastSeen)}`);
}

function count() {
  const counts = {};
  for (const row of sites.values()) counts[row[STATE]] = (counts[row[STATE]] || 0) + 1;
  return counts;
}

function verdict() {
  if (failing) return "No answer.";
  if (!answer.processes.length) return "No process answers.";
  if (!sites.size) return "No site yet.";
  const counts = count();
  const bad = ["failed", "refused"].reduce((sum, state) => sum + (counts[state] || 0), 0);
  if (bad) return `${plural(bad, "site")} of ${whole.format(sites.size)} ${bad === 1 ? "is" : "are"} down.`;
  const old = counts.holding || 0;
  if (old) return `All is served; ${plural(old, "deploy")} did not go live.`;
  return sites.size === 1 ? "The one site is well." : `All ${whole.format(sites.size)} sites are well.`;
}

function figures() {
  const [, perSecond, memory, busy] = answer.all;
  say("all-rate", rate(perSecond));
  say("all-memory", bytes(memory));
  say("all-busy", whole.format(busy));
  const threads = answer.processes.reduce((sum, each) => sum + (each.threads || 0), 0);
  say("all-threads", threads ? `of ${plural(threads, "thread")}` : "");
  say("all-processes", whole.format(answer.processes.length));
  const polling = answer.processes.filter((each) => each.watch === "polling").length;
  say("all-watch", polling ? `${whole.format(polling)} poll for changes` : answer.processes[0]?.server || "");
  const points = answer.past;
  spark("spark-rate", points.map((point) => [point[0], point[2]]));
  spark("spark-memory", points.map((point) => [point[0], point[1]]));
  filters();
}

function filters() {
  const counts = count();
  const wanted = ["", ...Object.keys(STATES).filter((state) => counts[state])];
  if (only && !counts[only]) wanted.push(only);
  const group = $("states");
  const known = new Map([...group.children].map((button) => [button.dataset.state, button]));
  for (const state of wanted) {
    let button = known.get(state);
    known.delete(state);
    if (!button) {
      button = make("button", { type: "button", "data-state": state },
        state ? stateOf(state) : "All", " ", make("b", {}));
      button.addEventListener("click", () => { only = state; page = 0; arrange(); rows(); filters(); });
    }
    const next = group.children[wanted.indexOf(state)];
    if (next !== button) group.insertBefore(button, next || null);
    button.setAttribute("aria-pressed", String(only === state));
    const text = whole.format(state ? counts[state] || 0 : sites.size);
    const number = button.querySelector("b");
    if (number.textContent !== text) number.textContent = text;
  }
  for (const button of known.values()) button.remove();
}

function spark(id, points) {
  const svg = draw(points, 28);
  svg.setAttribute("aria-hidden", "true"); // the figure says what matters
  $(id).replaceChildren(svg);
}

// The table

function heads() {
  for (const column of COLUMNS) {
    const button = make("button", { type: "button" }, column.title);
    button.addEventListener("click", () => {
      order = { column, down: order.column === column ? !order.down : Boolean(column.down) };
      page = 0;
      arrange();
      rows();
    });
    $("heads").append(make("th",
      { scope: "col", class: `c-${column.id}${column.number ? " number" : ""}` }, button));
  }
}

// Made once for a row: there may be ten thousand.
function searched(row) {
  row.searched ??= [row[NAME], row[RELEASE], row[CODE], row[TEXT], row[ISOLATION], row[PYTHON]]
    .join(" ").toLowerCase();
  return row.searched;
}

function arrange() {
  const words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  found = [...sites.values()].filter((row) => (!only || row[STATE] === only)
    && words.every((word) => searched(row).includes(word)));
  const by = order.column.by || ((row) => row[order.column.of] ?? 0);
  const sign = order.down ? -1 : 1;
  found.sort((one, two) => {
    const a = by(one);
    const b = by(two);
    if (a !== b) return a < b ? -sign : sign;
    return one[NAME] < two[NAME] ? -1 : 1;
  });
  page = Math.min(page, Math.max(0, Math.ceil(found.length / PER_PAGE) - 1));
}

function rows() {
  const body = $("rows");
  const focused = body.contains(document.activeElement) ? document.activeElement.dataset.site : null;
  const here = chosen();
  body.replaceChildren(...found.slice(page * PER_PAGE, (page + 1) * PER_PAGE).map((row) => line(row, here)));
  fresh.clear();
  if (focused) [...body.querySelectorAll("a")].find((each) => each.dataset.site === focused)?.focus();
  [...$("heads").children].forEach((cell, number) => {
    if (COLUMNS[number] !== order.column) cell.removeAttribute("aria-sort");
    else cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
  });
  const last = Math.max(1, Math.ceil(found.length / PER_PAGE));
  $("pages").hidden = last === 1;
  say("page", `Page ${page + 1} of ${whole.format(last)}`);
  $("previous").disabled = page === 0;
  $("next").disabled = page === last - 1;
  const filtered = only || $("find").value;
  say("count", filtered ? `${plural(found.length, "site")} found` : "");
  $("table").hidden = !found.length;
  $("empty").hidden = found.length > 0;
  say("empty", sites.size ? "No site is like that."
    : "A site appears here after its first request. It needs a directory with the name of its host, and an app.py in wsgi below it.");
}

function line(row, here) {
  const release = row[RELEASES] > 1 ? `${row[RELEASES]} releases` : short(row[RELEASE]) || "–";
  const cells = {
    state: [stateOf(row[STATE], row[CODE])],
    release: [make("span", { title: row[RELEASE] }, release)],
    since: [time(row[SINCE])],
    isolation: [({ imports: "In the daemon", process: "Worker" })[row[ISOLATION]] || row[ISOLATION] || "–"],
    python: [row[PYTHON] || "–"],
    rate: [rate(row[RATE])],
    busy: [row[QUEUE] ? `${row[BUSY]} + ${row[QUEUE]} waiting` : whole.format(row[BUSY])],
    memory: [bytes(row[MEMORY])],
    used: [time(row[USED])],
  };
  const under = row[RELEASE] && make("span", { class: "under narrow-only" }, release);
  return make("tr", { class: fresh.has(row[NAME]) && "new", "aria-current": row[NAME] === here && "true" },
    make("th", { scope: "row", class: "c-site" }, link(row[NAME]), under),
    ...COLUMNS.slice(1).map((column) => make("td",
      { class: `c-${column.id}${column.number ? " number" : ""}${column.id === "release" ? " wraps" : ""}` },
      ...cells[column.id])));
}

function processes() {
  $("process-rows").replaceChildren(...answer.processes.map((each) => {
    if (each.error) {
      return make("tr", {}, make("th", { scope: "row" }, String(each.pid || "–")),
        make("td", { colspan: 7, class: "bad" }, `Does not answer: ${each.error}`));
    }
    return make("tr", {},
      make("th", { scope: "row" }, String(each.pid), each.draining ? " (drains)" : ""),
      make("td", {}, each.process_group || "–"),
      make("td", {}, [each.server, `mod_wsgi_van ${each.version}`].filter(Boolean).join(", ")),
      make("td", {}, each.python || "–"),
      make("td", { class: "number" }, each.threads ? `${each.busy_threads} of ${each.threads}` : "–"),
      make("td", { class: "number" }, bytes(each.private_bytes)),
      make("td", {}, each.watch || "–"),
      make("td", {}, time(each.started)));
  }));
}

// The details of one site

let opened = "";

async function showDetail() {
  const name = chosen();
  const panel = $("detail");
  if (!name || !answer) {
    panel.hidden = true;
    document.body.classList.remove("open");
    opened = "";
    return;
  }
  let site = null;
  try {
    site = await ask(`site.json?name=${encodeURIComponent(name)}`);
  } catch {
    return; // the head of the page says so
  }
  if (chosen() !== name) return;
  panel.hidden = false;
  document.body.classList.add("open");
  say("detail-name", name);
  const inside = $("detail-body").contains(document.activeElement);
  if (!inside) $("detail-body").replaceChildren(...(site ? details(site) : [
    make("p", { class: "empty" }, "No process knows this site. It is loaded at its first request.")]));
  if (opened !== name) {
    opened = name;
    $("detail-name").focus();
    panel.scrollTop = 0;
  }
}

// What the user does

function turnTo(next) {
  page = next;
  rows();
  $("sites").focus();
  $("sites").scrollIntoView();
}

heads();
$("find").addEventListener("input", () => { page = 0; arrange(); rows(); });
$("previous").addEventListener("click", () => turnTo(page - 1));
$("next").addEventListener("click", () => turnTo(page + 1));
$("rows").addEventListener("click", (event) => {
  const row = event.target.closest("tr");
  if (row && !event.target.closest("a") && !String(getSelection())) row.querySelector("a").click();
});
window.addEventListener("hashchange", (event) => {
  const before = new URL(event.oldURL).hash;
  if (answer) rows();
  showDetail();
  // Back from the details, the focus is where it was.
  if (!chosen()) [...$("rows").querySelectorAll("a")].find((each) => each.hash === before)?.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosen()) $("close").click();
  if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    $("find").focus();
  }
});
document.addEventListener("visibilitychange", () => { if (!document.hidden && answer) showDetail(); });
turn();
