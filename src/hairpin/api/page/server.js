/* The server as the page asks it: JSON, errors as sentences, and polls that stop with the view that began them. */

import { visible } from "./dom.js";

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export async function ask(path, query = {}, method = "GET") {
  const text = new URLSearchParams(query).toString();
  let answer;
  try {
    answer = await fetch(text ? `${path}?${text}` : path, { method });
  } catch {
    throw new Problem(0, "The server does not answer.");
  }
  if (answer.status === 401) location.reload(); // the login is over: the server shows where to log in
  const body = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Problem(answer.status, body.detail ?? answer.statusText);
  return body;
}

/* Call now and every so many milliseconds, one at a time, and not while nobody looks; ends with the signal. */
export function poll(signal, milliseconds, work) {
  let timer = 0;
  let busy = false;
  async function again() {
    clearTimeout(timer);
    if (signal.aborted || busy) return;
    busy = true;
    try {
      if (!document.hidden) await work();
      if (!signal.aborted) trouble("");
    } catch (problem) {
      if (!signal.aborted) trouble(problem.message);
    }
    busy = false;
    if (!signal.aborted) timer = setTimeout(again, milliseconds);
  }
  signal.addEventListener("abort", () => clearTimeout(timer));
  document.addEventListener("visibilitychange", again, { signal });
  return again;
}

export function trouble(text) {
  const line = document.getElementById("trouble");
  if (line.textContent !== text) line.textContent = text;
  line.hidden = !text;
}

/* Ask whether to do what cannot be undone. */
export function sure(title, text, yes) {
  const dialog = document.getElementById("ask");
  document.getElementById("ask-title").textContent = title;
  document.getElementById("ask-text").textContent = text;
  document.getElementById("ask-yes").textContent = yes;
  dialog.returnValue = "no";
  const key = document.activeElement?.dataset?.key;
  dialog.showModal();
  return new Promise(resolve => dialog.addEventListener("close", () => {
    if (document.activeElement === document.body) refocus(key);
    resolve(dialog.returnValue === "yes");
  }, { once: true }));
}

/* The list may have been drawn anew: what had the focus is another element then. */
function refocus(key) {
  [...document.querySelectorAll("[data-key]")].find(one => one.dataset.key === key)?.focus();
}

/* End a session after a question; whether it was ended. */
export async function kill(session, who) {
  if (!await sure("End this session?", `${visible(who)} at ${session.address}: nothing is relayed for it any more, in either direction.`, "End it")) return false;
  try {
    await ask("/session", { id: session.id }, "DELETE");
    return true;
  } catch (problem) {
    trouble(problem.message);
    return problem.status === 404;
  }
}
