/* Elements and figures. What came off the wire becomes text, never HTML: nothing here or elsewhere parses any. */

const SVG = "http://www.w3.org/2000/svg";

/* An element; attributes that begin with "on" are listeners, those that are null or false are left out. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== false).map(node));
  return element;
}

function node(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

/* Control characters, and what turns the direction of text around, as something that can be seen. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

export function visible(text) {
  return String(text).replace(UNSEEN, one => `\\u${one.codePointAt(0).toString(16).padStart(4, "0")}`);
}

/* A value off the wire, on one line, whole in its title. */
export function name(text, empty = "(none)") {
  const shown = visible(text);
  return el("span", { class: shown ? "name" : "dim", title: shown || null, dir: "ltr" }, shown || empty);
}

export function count(number) {
  return Math.round(number).toLocaleString("en");
}

export function bytes(number) {
  return scaled(number, ["B", "kB", "MB", "GB", "TB", "PB", "EB"]);
}

export function bits(number) {
  return scaled(number, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]);
}

function scaled(number, units) {
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${unit && number < 100 ? number.toFixed(1) : Math.round(number)} ${units[unit]}`;
}

export function span(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = parts.findIndex(([size]) => seconds >= size);
  if (at < 0) return "0 s";
  const [[size, unit], next] = [parts[at], parts[at + 1]];
  const rest = next ? Math.floor((seconds % size) / next[0]) : 0;
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${next[1]}` : ""}`;
}

function clock(unix) {
  const at = new Date(unix * 1000);
  const two = number => String(number).padStart(2, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export function moment(unix) {
  const iso = new Date(unix * 1000).toISOString();
  return el("time", { datetime: iso, title: iso }, clock(unix));
}

export const TRANSPORTS = ["UDP", "TCP"];

/* A table with a caption for those who cannot see it. */
export function table(caption, heads, rows, attributes = {}) {
  return el("div", { class: "scroll" }, el("table", attributes,
    el("caption", { class: "unseen" }, caption),
    el("thead", {}, el("tr", {}, heads.map(head => head instanceof Node ? head : el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows)));
}

export function card(title, ...children) {
  return el("section", { class: "card" }, el("h2", {}, title), ...children);
}

export function none(text) {
  return el("p", { class: "dim none" }, text);
}
