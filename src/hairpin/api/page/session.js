/* One session: who it is, what passes, its peers, and its life as a time line; also for a while after its end. */

import { chart, Rates } from "./charts.js";
import { bits, bytes, card, count, el, moment, name, none, span, table, TRANSPORTS, visible } from "./dom.js";
import { stream } from "./events.js";
import { ask, kill, poll } from "./server.js";

const PERIOD = 2000;
const REFUSALS = 50;

export function session(main, signal, id) {
  const rates = new Rates();
  const head = el("div", { class: "bar" });
  const facts = el("div", { class: "grid" });
  const charts = el("div", { class: "charts two" });
  const peers = el("div", { class: "grid" });
  const life = el("div");
  main.append(el("p", {}, el("a", { href: "#/sessions" }, "\u2190 All sessions")), head, charts, facts, peers, life);

  const again = poll(signal, PERIOD, async () => {
    const [living, events] = await Promise.all([ask("/dashboard/session", { id }).catch(gone), ask("/session/events", { id }).catch(gone)]);
    if (signal.aborted) return;
    if (!living && !events) {
      main.replaceChildren(el("p", {}, el("a", { href: "#/sessions" }, "\u2190 All sessions")),
        none("No session of this id lives, or has ended a moment ago."));
      return;
    }
    const one = living?.session ?? events;
    const refused = await refusals(one);
    if (signal.aborted) return;
    drawHead(one, living);
    drawFigures(one, living);
    facts.replaceChildren(factsOf(one, living), figuresOf(one));
    peers.replaceChildren(...(living ? [permissionsOf(living), bindingsOf(living)] : []));
    life.replaceChildren(timeline(events, refused));
  });
  stream.addEventListener("event", ({ detail }) => detail.id === id && again(), { signal });
  again();

  function drawHead(one, living) {
    const focused = head.contains(document.activeElement) && document.activeElement.tagName === "BUTTON";
    head.replaceChildren(el("h1", {}, name(one.username)),
      el("span", { class: living ? "chip good" : "chip bad" }, living ? "live" : "ended"), el("span", { class: "grow" }));
    if (living) {
      const end = el("button", { class: "danger", type: "button", onclick: async () => await kill(one, one.username) && again() }, "End this session");
      head.append(end);
      if (focused) end.focus();
    }
  }

  function drawFigures(one, living) {
    if (!living) return charts.replaceChildren();
    const its = one.statistics;
    rates.take({
      in: its.received_bytes * 8, out: its.send_bytes * 8,
      packetsIn: its.received_pkts, packetsOut: its.send_pkts, errors: its.error_pkts,
    }, performance.now() / 1000);
    const of = key => rates.series[key] ?? [];
    return charts.replaceChildren(
      chart("Traffic", [["in", "one", of("in")], ["out", "two", of("out")]], bits),
      chart("Packets", [["in", "one", of("packetsIn")], ["out", "two", of("packetsOut")], ["not carried on", "three", of("errors")]], value => `${count(value)}/s`));
  }
}

function gone(problem) {
  if (problem.status === 404) return null;
  throw problem;
}

/* What was refused to the client of a session, by its five-tuple; before the session began that was somebody else. */
async function refusals(one) {
  const found = await ask("/session/refusals", { address: one.address, limit: REFUSALS });
  return found.filter(each => each.interface === one.interface && each.transport === one.transport);
}

function facts(title, pairs) {
  return card(title, el("dl", {}, pairs.map(([term, value]) => [el("dt", {}, term), el("dd", {}, value)])));
}

function factsOf(one, living) {
  return facts("Session", [
    ["Client", one.address],
    ["Interface", `${TRANSPORTS[one.transport]} ${one.interface}`],
    ...(living ? [["Relay", one.relays.join(" ") || "not allocated yet"], ["Age", span(one.age)], ["Expires in", span(one.expires)]] : []),
    ["Id", el("code", {}, one.id)],
  ]);
}

function figuresOf(one) {
  const its = one.statistics;
  if (!its) return card("Carried", none("The last figures have not come yet."));
  return facts("Carried", [
    ["From the client", `${bytes(its.received_bytes)} in ${count(its.received_pkts)} packets`],
    ["To the client", `${bytes(its.send_bytes)} in ${count(its.send_pkts)} packets`],
    ["Not carried on", `${count(its.error_pkts)} packets`],
  ]);
}

function permissionsOf({ permissions, connections }) {
  const rows = permissions.map(one => el("tr", {}, el("th", { scope: "row" }, one.address), el("td", {}, one.ports.join(" ")), el("td", { class: "number" }, span(one.expires))));
  const streams = connections.map(one => el("tr", {}, el("th", { scope: "row" }, one.peer), el("td", {}, one.bound ? "TCP, in use" : "TCP, waits for its client"), el("td", {})));
  if (!rows.length && !streams.length) return card("Peers", none("No permission lives."));
  return card("Peers", table("Permissions", ["Address", "Ports named", el("th", { scope: "col", class: "number" }, "Expires")], [...rows, ...streams]));
}

function bindingsOf({ bindings }) {
  if (!bindings.length) return card("Channels", none("No channel is bound."));
  const rows = bindings.map(one => el("tr", {}, el("th", { scope: "row" }, `0x${one.number.toString(16)}`), el("td", {}, one.peer), el("td", { class: "number" }, span(one.expires))));
  return card("Channels", table("Channels", ["Number", "Peer", el("th", { scope: "col", class: "number" }, "Expires")], rows));
}

const WORDS = {
  allocated: "Allocated", create_permission: "Permission", channel_bind: "Channel bound", refresh: "Refresh", closed: "Closed",
};
const DETAILS = {
  port: value => `relay port ${value}`,
  ports: value => `for ports ${value.join(", ")}`,
  channel: value => `0x${value.toString(16)}`,
  lifetime: value => value ? `for ${span(value)} more` : "to end it",
  reason: value => `reason: ${visible(value)}`,
};

function timeline(events, refused) {
  const steps = (events?.events ?? []).map(one => ({ at: one.at, style: one.kind, word: WORDS[one.kind] ?? one.kind, more: detailsOf(one) }));
  const errors = refused.map(one => ({ at: one.at, style: "error", word: `Refused: ${one.method} ${one.error || ""}`, more: visible(one.detail) }));
  const began = steps[0]?.at ?? Infinity;
  const all = [...steps, ...errors.filter(one => one.at >= began)].sort((one, other) => one.at - other.at);
  if (!all.length) return card("Life", none("Nothing has happened yet."));
  const items = all.map(one => el("li", { class: one.style }, moment(one.at), el("b", {}, one.word), el("span", { class: "dim" }, one.more)));
  if (events?.forgotten) items.splice(1, 0, el("li", { class: "gap" }, el("span", { class: "dim" }, `${count(events.forgotten)} messages are kept no more`)));
  return card("Life", el("ol", { class: "life" }, items));
}

function detailsOf(one) {
  return Object.entries(DETAILS).filter(([key]) => key in one).map(([key, say]) => say(one[key])).join(", ");
}
