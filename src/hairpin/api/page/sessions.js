/* All sessions: searched, sorted and cut into pages by the server, so that ten thousand of them weigh as much as fifty. */

import { Rates } from "./charts.js";
import { bits, count, el, name, none, span, table, TRANSPORTS } from "./dom.js";
import { ask, kill, poll } from "./server.js";

const PERIOD = 2000;
const ROWS = 50;
const TYPING = 250; // milliseconds without a key until a search begins
const COLUMNS = [
  ["username", "User"], ["address", "Client"], ["interface", "Interface"], ["relay", "Relay"],
  ["peers", "Peers"], ["channels", "Channels"], [null, "In"], [null, "Out"], ["age", "Age"], ["expires", "Expires"],
];
const NUMBERS = new Set(["Peers", "Channels", "In", "Out", "Age", "Expires"]);
const asked = { search: "", sort: "age", descending: false, offset: 0 };

export function sessions(main, signal) {
  const rates = new Map();
  const search = el("input", { type: "search", id: "search", placeholder: "Name, address, peer or id", autocomplete: "off", spellcheck: "false", maxlength: 512 });
  const found = el("p", { class: "dim", role: "status", id: "found" });
  const body = el("tbody");
  const heads = el("tr");
  const page = el("div", { class: "pages" });
  const list = table("Sessions", [], [], { class: "sessions" });
  list.querySelector("thead").replaceChildren(heads);
  list.querySelector("tbody").replaceWith(body);
  main.append(el("h1", {}, "Sessions"),
    el("div", { class: "bar" }, el("label", { for: "search", class: "unseen" }, "Search"), search, found), list, page);
  search.value = asked.search;

  const again = poll(signal, PERIOD, async () => {
    const known = await ask("/dashboard/sessions", { ...asked, limit: ROWS });
    if (signal.aborted) return;
    if (asked.offset && asked.offset >= known.matching) {
      asked.offset = Math.max(0, Math.ceil(known.matching / ROWS) - 1) * ROWS;
      return;
    }
    draw(known);
  });

  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => change({ search: search.value, offset: 0 }), TYPING);
  });
  drawHeads();
  again();

  function change(some) {
    Object.assign(asked, some);
    drawHeads();
    again();
  }

  function drawHeads() {
    const focused = document.activeElement?.dataset?.sort;
    heads.replaceChildren(...COLUMNS.map(([sort, label]) => {
      const style = NUMBERS.has(label) ? "number" : null;
      if (!sort) return el("th", { scope: "col", class: style }, label);
      const mine = asked.sort === sort;
      const order = mine ? (asked.descending ? "descending" : "ascending") : null;
      return el("th", { scope: "col", class: style, "aria-sort": order },
        el("button", { class: "sort", type: "button", "data-sort": sort, onclick: () => change({ sort, descending: mine && !asked.descending, offset: 0 }) },
          label, el("span", { "aria-hidden": "true" }, mine ? (asked.descending ? " \u2193" : " \u2191") : "")));
    }), el("th", { scope: "col" }, el("span", { class: "unseen" }, "End")));
    if (focused) heads.querySelector(`[data-sort="${focused}"]`)?.focus();
  }

  function draw(known) {
    const now = performance.now() / 1000;
    const some = known.matching === known.total ? "" : `${count(known.matching)} of `;
    found.textContent = `${some}${count(known.total)} ${known.total === 1 ? "session" : "sessions"}`;
    const focused = document.activeElement?.dataset?.key;
    body.replaceChildren(...known.sessions.map(one => row(one, now)));
    if (!known.sessions.length) body.append(el("tr", {}, el("td", { colspan: COLUMNS.length + 1 },
      none(known.total ? "No session matches this search." : "There are no sessions."))));
    if (focused) [...body.querySelectorAll("[data-key]")].find(one => one.dataset.key === focused)?.focus();
    const living = new Set(known.sessions.map(one => one.id));
    for (const id of rates.keys()) if (!living.has(id)) rates.delete(id);
    drawPages(known);
  }

  function row(one, now) {
    if (!rates.has(one.id)) rates.set(one.id, new Rates());
    const rate = one.statistics
      ? rates.get(one.id).take({ in: one.statistics.received_bytes * 8, out: one.statistics.send_bytes * 8 }, now)
      : {};
    const shown = value => value === undefined ? "\u2013" : bits(value);
    const cells = [
      el("a", { href: `#/session/${encodeURIComponent(one.id)}`, "data-key": `open ${one.id}` }, name(one.username)),
      one.address, `${TRANSPORTS[one.transport]} ${one.interface}`, one.relays.join(" ") || "\u2013",
      one.peers, one.channels, shown(rate.in), shown(rate.out), span(one.age), span(one.expires),
    ];
    return el("tr", {}, COLUMNS.map(([, label], at) =>
      el("td", { class: NUMBERS.has(label) ? "number" : null, "data-label": label }, cells[at])),
    el("td", { class: "end" }, el("button", {
      class: "danger small", type: "button", "data-key": `kill ${one.id}`, "aria-label": `End the session of ${one.address}`,
      onclick: async () => await kill(one, one.username) && again(),
    }, "End")));
  }

  function drawPages(known) {
    const last = Math.max(1, Math.ceil(known.matching / ROWS));
    const here = asked.offset / ROWS + 1;
    const step = (label, to, possible) => el("button", { type: "button", disabled: !possible, "data-step": label, onclick: () => change({ offset: to }) }, label);
    const focused = document.activeElement?.dataset?.step;
    page.replaceChildren(step("Previous", asked.offset - ROWS, here > 1), el("span", {}, `Page ${count(here)} of ${count(last)}`), step("Next", asked.offset + ROWS, here < last));
    if (focused) page.querySelector(`[data-step="${focused}"]:not(:disabled)`)?.focus();
  }
}
