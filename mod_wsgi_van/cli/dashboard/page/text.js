// Elements, numbers, times and names, as the page shows them. Names and texts of sites are not to be
// trusted: they become text of elements and nothing else.

export const STATES = {
  failed: "Failed", holding: "Holding", refused: "Refused",
  maintenance: "Maintenance", loading: "Loading", loaded: "Loaded", unloaded: "Not loaded",
};
export const RANK = Object.fromEntries(Object.keys(STATES).map((state, number) => [state, number]));

export function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child || child === 0));
  return element;
}

// Numbers and times

let now = 0; // seconds; of the daemon's machine

export function setNow(seconds) {
  now = seconds;
}

export const whole = new Intl.NumberFormat("en");
export const plural = (count, word) => `${whole.format(count)} ${word}${count === 1 ? "" : "s"}`;

export function rate(value) {
  if (!value) return "0";
  return value < 10 ? value.toFixed(1) : whole.format(Math.round(value));
}

export function bytes(value) {
  if (!value) return "–";
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["KB", 1e3]]) {
    if (value >= size) return `${(value / size).toFixed(value < 10 * size ? 1 : 0)} ${unit}`;
  }
  return `${value} B`;
}

export function ago(seconds) {
  const passed = Math.max(0, now - seconds);
  if (passed < 2) return "now";
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["min", 60], ["s", 1]]) {
    const count = Math.floor(passed / size);
    if (count) return `${count} ${unit}${count > 1 && size > 60 ? "s" : ""}`;
  }
  return "now";
}

export function time(seconds, text) {
  if (!seconds) return "–";
  const when = new Date(seconds * 1000);
  return make("time", { datetime: when.toISOString(), title: when.toLocaleString("en-GB") },
    text || ago(seconds));
}

export const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString("en-GB");

// The last part of a path: what a release is called.
export const short = (path) => path.replace(/\/+$/, "").split("/").pop();

// The name of a site, which leads to its details. It breaks after its dots where it is too long, and
// is read as one word all the same.
export function link(name) {
  const parts = name.split(/(?<=\.)/).flatMap((part) => [part, make("wbr")]);
  return make("a", { href: `#site=${encodeURIComponent(name)}`, "data-site": name, "aria-label": name }, ...parts);
}

export function stateOf(state, code) {
  const text = STATES[state] || state;
  return make("span", { class: `state ${state}` }, text, code && make("span", { class: "code" }, code));
}
