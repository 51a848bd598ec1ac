/* What happens to sessions, live: one EventSource for the whole page. */

import { card, count, el, moment, name, none, table } from "./dom.js";

const SHOWN = 200;

class Stream extends EventTarget {
  constructor() {
    super();
    this.live = false;
    this.latest = [];
    this.missed = 0;
  }

  open() {
    const source = new EventSource("/events");
    source.addEventListener("open", () => this.is(true));
    source.addEventListener("error", () => {
      this.is(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.open(), 5000); // it was refused
    });
    source.addEventListener("message", ({ data }) => this.take(JSON.parse(data)));
    source.addEventListener("missed", ({ data }) => {
      this.missed += JSON.parse(data).missed;
      this.dispatchEvent(new Event("more"));
    });
    addEventListener("pagehide", () => source.close());
  }

  is(live) {
    this.live = live;
    this.dispatchEvent(new Event("state"));
  }

  take(event) {
    this.latest.unshift(event);
    this.latest.length = Math.min(this.latest.length, SHOWN);
    this.dispatchEvent(new CustomEvent("event", { detail: event }));
    this.dispatchEvent(new Event("more"));
  }
}

export const stream = new Stream();

const SAID = new Set(["kind", "id", "at", "session", "username"]);

export function events(main, signal) {
  const rows = el("div");
  main.append(el("h1", {}, "Events"), rows);
  let waits = false;
  stream.addEventListener("more", () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => {
      waits = false;
      if (!signal.aborted) draw();
    });
  }, { signal });
  draw();

  function draw() {
    const missed = stream.missed ? el("p", { class: "notice warn" }, `${count(stream.missed)} events came faster than this page took them, and are not shown.`) : null;
    if (!stream.latest.length) return rows.replaceChildren(card("Since this page was opened", none("Nothing has happened yet.")));
    return rows.replaceChildren(...[missed].filter(Boolean), card("Since this page was opened", table("Events, the latest first",
      ["Time", "Event", "User", "Client", "More"], stream.latest.map(row))));
  }
}

function row(event) {
  const more = Object.entries(event).filter(([key]) => !SAID.has(key)).map(([key, value]) => `${key} ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return el("tr", {}, el("td", {}, moment(event.at)), el("td", {}, event.kind),
    el("td", {}, el("a", { href: `#/session/${encodeURIComponent(event.id)}` }, name(event.username))),
    el("td", {}, `${event.session.address} ${event.session.transport}`), el("td", {}, name(more.join(", "), "")));
}
