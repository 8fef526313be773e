// What the page shows of one site: facts, failure, processes, drawings, workers.

import {
  RANK, ago, bytes, make, plural, rate, short, stateOf, time, whole,
} from "./text.js";

// Charts

const SVG = "http://www.w3.org/2000/svg";

export function draw(points, height) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 300 ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  if (points.length < 2) return svg;
  const [first, last] = [points[0][0], points[points.length - 1][0]];
  const most = Math.max(...points.map((point) => point[1])) || 1;
  const at = points.map(([when, value]) => {
    const x = ((when - first) / (last - first || 1)) * 300;
    return `${x.toFixed(1)} ${(height - 1 - (value / most) * (height - 4)).toFixed(1)}`;
  });
  for (const [kind, path] of [["area", `M0 ${height}L${at.join("L")}L300 ${height}Z`], ["line", `M${at.join("L")}`]]) {
    const element = document.createElementNS(SVG, "path");
    element.setAttribute("class", kind);
    element.setAttribute("d", path);
    svg.append(element);
  }
  return svg;
}

// A drawing with the same in words.
function chart(title, points, format) {
  const values = points.map((point) => point[1]);
  if (points.length < 2) {
    return make("figure", {}, make("figcaption", {}, title, make("span", {}, "nothing to draw yet")));
  }
  const [least, most, now] = [Math.min(...values), Math.max(...values), values[values.length - 1]];
  const minutes = Math.max(1, Math.round((points[points.length - 1][0] - points[0][0]) / 60));
  const svg = draw(points, 72);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title} over the last ${plural(minutes, "minute")}: `
    + `between ${format(least)} and ${format(most)}, now ${format(now)}.`);
  return make("figure", {},
    make("figcaption", {}, title, make("span", {}, make("b", {}, format(now)), ` · most ${format(most)}`)),
    svg,
    make("div", { class: "ends", "aria-hidden": "true" }, make("span", {}, `${minutes} min ago`), make("span", {}, "now")));
}

// The details

export function details(site) {
  const lines = [...site.lines].sort((one, two) => RANK[one.state] - RANK[two.state]);
  const parts = [facts(lines), failure(lines.find((line) => line.failure), site.codes)];
  if (lines.length > 1) parts.push(...perProcess(lines));
  const memory = site.past.map((point) => [point[0], point[1]]);
  parts.push(chart("Requests a second", site.past.map((point) => [point[0], point[2]]), rate));
  if (memory.some((point) => point[1])) parts.push(chart("Memory of the workers", memory, bytes));
  const workers = lines.flatMap((line) => line.workers || []);
  if (workers.length) parts.push(...workerTable(workers));
  return parts.filter(Boolean);
}

function total(lines, of) {
  return lines.reduce((sum, line) => sum + (of(line) || 0), 0);
}

// Reasons with their counts, of all processes.
function reasons(lines, key) {
  const counts = new Map();
  for (const line of lines) {
    for (const [reason, number] of Object.entries(line[key] || {})) {
      if (number) counts.set(reason, (counts.get(reason) || 0) + number);
    }
  }
  return [...counts].map(([reason, number]) => `${whole.format(number)} ${reason.replaceAll("_", " ")}`).join(", ");
}

// The facts are those of the first line, which is the worst; counts are of all.
function facts(lines) {
  const [line] = lines;
  const isolation = ({ imports: "in the daemon process", process: "in a worker" })[line.isolation] || line.isolation;
  const loads = total(lines, (each) => each.loads?.count);
  const queue = total(lines, (each) => each.queue);
  const used = Math.max(...lines.map((each) => each.last_use || 0));
  const [ok, failed] = ["ok", "failed"].map((result) => total(lines, (each) => each.reloads?.[result]));
  const pairs = [
    ["State", make("span", {}, stateOf(line.state), line.state === "holding" && make("span", { class: "under" }, "The old release goes on serving"))],
    ["Release", line.release && make("code", {}, line.release)],
    ["Live since", line.release && line.since && make("span", {}, time(line.since, new Date(line.since * 1000).toLocaleString("en-GB")), make("span", { class: "quiet" }, ` (${ago(line.since)})`))],
    ["Isolation", isolation && make("span", {}, isolation, line.reason && make("span", { class: "under" }, line.reason))],
    ["Python", line.python],
    ["Directory", line.path !== line.release && line.path && make("code", {}, line.path)],
    ["Requests", `${whole.format(total(lines, (each) => each.requests))}, ${whole.format(total(lines, (each) => each.in_progress))} under way${queue ? `, ${whole.format(queue)} waiting` : ""}`],
    ["Refused", reasons(lines, "refused")],
    ["Last used", used && make("span", {}, time(used))],
    ["Loaded", loads && `${plural(loads, "time")}, the last in ${(line.loads?.last_seconds || 0).toFixed(2)} s`],
    ["Deploys", (ok || failed) && `${whole.format(ok)} live, ${whole.format(failed)} failed`],
    ["Workers ended", reasons(lines, "worker_restarts")],
  ];
  return make("dl", { class: "facts" }, ...pairs.filter(([, value]) => value)
    .flatMap(([title, value]) => [make("dt", {}, title), make("dd", {}, value)]));
}

function table(id, title, heads, cells) {
  const [texts, numbers] = [heads.map((head) => head.replace("#", "")), heads.map((head) => head.startsWith("#"))];
  return [make("h3", { id }, title), make("table", { "aria-labelledby": id },
    make("thead", {}, make("tr", {}, ...texts.map((text, at) => make("th", { scope: "col", class: numbers[at] && "number" }, text)))),
    make("tbody", {}, ...cells.map((row) => make("tr", {}, ...row.map((cell, at) => make(at ? "td" : "th",
      { class: numbers[at] && "number", scope: !at && "row" }, cell))))))];
}

function perProcess(lines) {
  return table("in-processes", "In each process", ["Process", "State", "Release", "#Requests"], lines.map((line) => [
    String(line.in), stateOf(line.state), short(line.release || "") || "–", whole.format(line.requests || 0)]));
}

function workerTable(workers) {
  return table("workers", "Workers", ["Worker", "Age", "#Requests", "#CPU", "#Memory"], workers.map((each) => [
    String(each.pid), time(each.started), whole.format(each.requests || 0),
    `${(each.cpu_seconds || 0).toFixed(1)} s`, bytes(each.private_bytes)]));
}

function failure(line, codes) {
  if (!line) return null;
  const failed = line.failure;
  const over = ["loaded", "unloaded"].includes(line.state);
  const explained = codes[failed.code];
  return make("div", { class: `failure${over ? " past" : ""}` },
    make("p", {}, make("span", { class: "strong" }, over ? "Last failure" : "Failure", failed.code ? ` ${failed.code}` : ""),
      " ", make("span", { class: "quiet" }, time(failed.time, new Date(failed.time * 1000).toLocaleString("en-GB")))),
    make("p", {}, make("code", {}, failed.text || "")),
    explained && !over ? make("p", {}, `${explained.outcome} ${explained.action}`) : null);
}
