/* Who was refused, and why: more than was said on the wire. */

import { card, el, moment, name, none, table, TRANSPORTS, visible } from "./dom.js";
import { ask, poll } from "./server.js";

const PERIOD = 3000;

export function refusals(main, signal) {
  const list = el("div");
  const user = el("input", { type: "search", id: "user", placeholder: "User name, in full", autocomplete: "off", spellcheck: "false", maxlength: 600 });
  main.append(el("h1", {}, "Refused"),
    el("div", { class: "bar" }, el("label", { for: "user", class: "unseen" }, "User name"), user), list);
  const again = poll(signal, PERIOD, async () => {
    const found = await ask("/session/refusals", { limit: 200, ...(user.value && { username: user.value }) });
    if (!signal.aborted) list.replaceChildren(card("The latest first", found.length ? drawn(found) : none("Nobody was refused of late.")));
  });
  user.addEventListener("change", again);
  again();
}

function drawn(found) {
  const rows = found.map(one => el("tr", {}, el("td", {}, moment(one.at)), el("td", {}, name(one.username)),
    el("td", {}, `${one.address} ${TRANSPORTS[one.transport]}`), el("td", {}, one.method),
    el("td", { class: "number" }, one.error || "no answer"), el("td", { class: "why" }, visible(one.detail))));
  return table("Refused requests", ["Time", "User", "Client", "Request", el("th", { scope: "col", class: "number" }, "Error"), "Why"], rows);
}
