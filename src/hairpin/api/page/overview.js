/* The state of the server, and its rates as they move. */

import { chart, Rates } from "./charts.js";
import { bits, card, count, el, none, span, table, TRANSPORTS, visible } from "./dom.js";
import { ask, poll } from "./server.js";

const PERIOD = 2000;
const rates = new Rates(); // goes on while other views are looked at

export function overview(main, signal) {
  const tiles = el("div", { class: "tiles" });
  const charts = el("div", { class: "charts" });
  const warnings = el("div");
  const listeners = el("div", { class: "grid" });
  const losses = el("div", { class: "grid" });
  main.append(el("h1", { class: "unseen" }, "Overview"), warnings, tiles, charts, losses, listeners);
  poll(signal, PERIOD, async () => {
    const state = await ask("/dashboard/state");
    if (signal.aborted) return;
    const now = rates.take(figures(state), performance.now() / 1000);
    warnings.replaceChildren(...state.failing.map(text => notice("bad", text)), ...state.warnings.map(text => notice("warn", text)));
    tiles.replaceChildren(...tilesOf(state, now));
    charts.replaceChildren(...chartsOf(rates.series));
    losses.replaceChildren(dropsOf(state, now), givenUpOf(state));
    listeners.replaceChildren(listenersOf(state), portsOf(state));
  })();
}

function notice(style, text) {
  return el("p", { class: `notice ${style}` }, visible(text));
}

function figures(state) {
  const drops = Object.fromEntries(Object.entries(state.drops).map(([reason, number]) => [`drop ${reason}`, number]));
  return {
    in: state.clients.received_bytes * 8,
    out: state.clients.send_bytes * 8,
    packetsIn: state.clients.received_pkts,
    packetsOut: state.clients.send_pkts,
    strangers: state.strangers.received_pkts,
    dropped: Object.values(state.drops).reduce((sum, number) => sum + number, 0),
    ...drops,
  };
}

const HEALTH = { ok: ["Serving", "good"], draining: ["Draining", "bad"], failing: ["Failing", "bad"] };

function tile(label, value, style, more) {
  return el("div", { class: `tile ${style}` }, el("span", { class: "dim" }, label), el("b", {}, value), el("span", { class: "dim" }, more));
}

function tilesOf(state, now) {
  const fullest = state.ports.reduce((one, other) => other.allocated * one.capacity > one.allocated * other.capacity ? other : one);
  return [
    tile("Health", ...HEALTH[state.status], `up ${span(state.uptime)}`),
    tile("Sessions", count(state.sessions), "", state.software),
    tile("Relay ports", count(fullest.allocated), "", `of ${count(fullest.capacity)} for IPv${fullest.ip}`),
    tile("Traffic", bits((now.in ?? 0) + (now.out ?? 0)), "", `${count((now.packetsIn ?? 0) + (now.packetsOut ?? 0))} packets/s`),
    hooks(state.hooks),
  ];
}

function hooks(state) {
  if (!state) return tile("Hooks", "Off", "", "api.hooks is not set");
  const waiting = `${count(state.waiting)} events wait`;
  return state.failing ? tile("Hooks", "Failing", "bad", waiting) : tile("Hooks", "Delivered", "good", waiting);
}

const perSecond = number => `${number && number < 10 ? number.toFixed(1) : count(number)}/s`;

function chartsOf(series) {
  const of = key => series[key] ?? [];
  return [
    chart("Traffic of clients", [["in", "one", of("in")], ["out", "two", of("out")]], bits),
    chart("Packets of clients", [["in", "one", of("packetsIn")], ["out", "two", of("packetsOut")]], perSecond),
    chart("Lost and strange", [["dropped", "three", of("dropped")], ["from strangers", "four", of("strangers")]], perSecond),
  ];
}

function dropsOf(state, now) {
  const known = Object.entries(state.drops).filter(([, number]) => number).sort(([, one], [, other]) => other - one);
  if (!known.length) return card("Dropped packets", none("None since the start."));
  const rows = known.map(([reason, number]) => el("tr", {},
    el("th", { scope: "row" }, words(reason)), el("td", { class: "number" }, count(number)), el("td", { class: "number" }, perSecond(now[`drop ${reason}`] ?? 0))));
  return card("Dropped packets", table("Dropped packets by reason", ["Reason", number("Since start"), number("Now")], rows));
}

function givenUpOf(state) {
  const known = Object.entries(state.given_up).filter(([, number]) => number);
  if (!known.length) return card("Given up to stay bounded", none("Nothing since the start."));
  const rows = known.map(([what, times]) => el("tr", {}, el("th", { scope: "row" }, words(what)), el("td", { class: "number" }, count(times))));
  return card("Given up to stay bounded", table("What was given up", ["What", number("Since start")], rows));
}

function words(name) {
  return name.replaceAll("_", " ");
}

function number(text) {
  return el("th", { scope: "col", class: "number" }, text);
}

function listenersOf(state) {
  const rows = state.interfaces.map(one => el("tr", {},
    el("th", { scope: "row" }, one.tls ? ["DTLS", "TLS"][one.transport] : TRANSPORTS[one.transport]),
    el("td", {}, one.bind), el("td", {}, one.external === one.bind ? "the same" : one.external)));
  return card("Listeners", table("Listeners", ["Transport", "Listens on", "Clients use"], rows));
}

function portsOf(state) {
  const rows = state.ports.map(one => el("tr", {}, el("th", { scope: "row" }, `IPv${one.ip}`),
    el("td", { class: "number" }, count(one.allocated)), el("td", { class: "number" }, count(one.capacity)),
    el("td", {}, el("meter", { max: Math.max(1, one.capacity), value: one.allocated, "aria-label": `IPv${one.ip} ports taken` }))));
  return card("Relay ports", table("Relay ports", ["Family", number("Taken"), number("In all"), ""], rows));
}
