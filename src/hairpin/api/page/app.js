/* The frame: which view the address names, the login's end, and the one stream of events that all views share. */

import { ask } from "./server.js";
import { overview } from "./overview.js";
import { sessions } from "./sessions.js";
import { session } from "./session.js";
import { refusals } from "./refusals.js";
import { events, stream } from "./events.js";
import { trial } from "./trial.js";

const VIEWS = { "": overview, sessions, session, refusals, events, test: trial };
const main = document.getElementById("main");
let leave = new AbortController();

/* Each view fills the page until its signal says that another one begins. */
function show() {
  leave.abort();
  leave = new AbortController();
  const [place, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  main.replaceChildren();
  for (const link of document.querySelectorAll("nav a")) {
    const mine = link.getAttribute("href").replace(/^#\/?/, "");
    if (mine === place || (place === "session" && mine === "sessions")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  (VIEWS[place] ?? overview)(main, leave.signal, decoded(rest.join("/")));
}

/* Any text may stand behind the hash; what is no encoding of anything is taken as it is. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

addEventListener("hashchange", () => {
  show();
  main.focus();
});

const chip = document.getElementById("live");
stream.addEventListener("state", () => {
  chip.textContent = stream.live ? "live" : "not connected";
  chip.className = stream.live ? "chip good" : "chip bad";
});

const logout = document.getElementById("logout");
logout.addEventListener("click", async () => {
  await fetch("/logout", { method: "POST" });
  location.reload();
});
ask("/dashboard/state").then(state => { logout.hidden = !state.asks_for_token; }, () => {});
stream.open();
show();
