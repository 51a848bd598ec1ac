/* A test of the server from this browser: for each way in a relay, a call between two relays, and data there and back. */

import { el } from "./dom.js";
import { ask } from "./server.js";

const GATHER = 15_000; // milliseconds for a relay candidate
const CONNECT = 20_000; // for the call
const ECHO = 10_000; // for all the data
const MESSAGES = 20;
const SIZE = 1000; // bytes of a message

export function trial(main, signal) {
  const start = el("button", { class: "primary", type: "button", id: "start" }, "Test this server");
  const said = el("p", { class: "dim", role: "status", id: "verdict" });
  const results = el("div", { class: "grid" });
  main.append(el("h1", {}, "Browser test"),
    el("p", { class: "lead" }, "This browser asks the server for a relay over each of its transports, calls itself through two of them, ",
      "and sends data around. The credentials are made for this test, last two minutes, and reach nothing but relays of this server."),
    el("div", { class: "bar" }, start, said), results);
  start.addEventListener("click", async () => {
    start.disabled = true;
    results.replaceChildren();
    said.textContent = "Testing\u2026";
    try {
      said.textContent = await all(results, signal);
    } catch (problem) {
      said.textContent = problem.message;
    }
    start.disabled = false;
  });
}

/* Every transport, one after another; the sentence that sums it up. */
async function all(results, signal) {
  if (!globalThis.RTCPeerConnection) throw new Error("This browser has no WebRTC, or has it switched off.");
  const made = await ask("/dashboard/trial", {}, "POST");
  let tried = 0;
  let good = 0;
  for (const entrance of made.entrances) {
    if (signal.aborted) break;
    const steps = new Steps(results, entrance);
    if (entrance.name === "dtls") {
      steps.skip("Browsers do not speak DTLS to TURN servers.");
      continue;
    }
    tried += 1;
    if (await one(steps, entrance, made, signal)) good += 1;
  }
  return good === tried ? `All is well: ${good} of ${tried} ways in work from here.` : `${good} of ${tried} ways in work from here.`;
}

async function one(steps, entrance, made, signal) {
  const ice = { urls: entrance.url, username: made.username, credential: made.credential };
  const pair = new Pair(ice);
  signal.addEventListener("abort", () => pair.close());
  try {
    await steps.do("Relay", () => pair.gather(), problem => advice(problem, entrance));
    await steps.do("Call", () => pair.connect(), problem => problem.code ? advice(problem, entrance) : "The relays do not reach each other. See whether peers.deny names this server's own relay addresses, and whether relay.external is right.");
    await steps.do("Data", () => pair.echo(), () => "Packets are lost on the way to the relay or back. Look at the dropped packets in the overview, and at limits.bytes_per_second.");
    return true;
  } catch {
    return false;
  } finally {
    pair.close();
    steps.end();
  }
}

/* Two ends of a call in this page that may only relay. */
class Pair {
  constructor(ice) {
    this.errors = [];
    const settings = { iceServers: [ice], iceTransportPolicy: "relay", bundlePolicy: "max-bundle" };
    [this.mine, this.theirs] = [new RTCPeerConnection(settings), new RTCPeerConnection(settings)];
    for (const end of [this.mine, this.theirs]) end.addEventListener("icecandidateerror", event => this.errors.push(event));
    [this.early, this.late] = [[], []]; // relay candidates: mine, to be told once the other end is there, and theirs
    this.mine.addEventListener("icecandidate", ({ candidate }) => candidate && this.early.push(candidate));
    this.channel = this.mine.createDataChannel("test");
    this.theirs.addEventListener("datachannel", ({ channel }) => {
      channel.binaryType = "arraybuffer";
      channel.addEventListener("message", ({ data }) => channel.send(data));
    });
  }

  async gather() {
    const candidate = await within(GATHER, "no relay candidate came", (resolve, reject) => {
      this.mine.addEventListener("icecandidate", ({ candidate }) => candidate?.type === "relay" && resolve(candidate));
      this.mine.addEventListener("icegatheringstatechange", () => {
        if (this.mine.iceGatheringState === "complete" && !this.early.length) reject(new Refused(this.errors.at(-1)));
      });
      this.mine.setLocalDescription().catch(reject);
    }).catch(problem => {
      throw problem instanceof Refused ? problem : new Refused(this.errors.at(-1), problem.message);
    });
    return `Relayed transport address ${candidate.address}:${candidate.port}.`;
  }

  async connect() {
    const began = performance.now();
    await within(CONNECT, "no pair of relays has connected", (resolve, reject) => {
      this.channel.addEventListener("open", resolve);
      this.mine.addEventListener("connectionstatechange", () => this.mine.connectionState === "failed" && reject(new Error("the connection failed")));
      this.theirs.addEventListener("icegatheringstatechange", () => {
        if (this.theirs.iceGatheringState === "complete" && !this.late.length) reject(new Refused(this.errors.at(-1)));
      });
      this.meet().catch(reject);
    });
    return `Connected, and encrypted end to end, after ${Math.round(performance.now() - began)} ms.`;
  }

  async meet() {
    this.theirs.addEventListener("icecandidate", ({ candidate }) => {
      if (!candidate) return;
      this.late.push(candidate);
      this.mine.addIceCandidate(candidate);
    });
    await this.theirs.setRemoteDescription(this.mine.localDescription);
    for (const candidate of this.early) await this.theirs.addIceCandidate(candidate);
    this.mine.addEventListener("icecandidate", ({ candidate }) => candidate && this.theirs.addIceCandidate(candidate));
    await this.theirs.setLocalDescription();
    await this.mine.setRemoteDescription(this.theirs.localDescription);
  }

  async echo() {
    this.channel.binaryType = "arraybuffer";
    const times = [];
    for (let n = 0; n < MESSAGES; n += 1) times.push(await this.once(crypto.getRandomValues(new Uint8Array(SIZE))));
    const median = times.sort((one, other) => one - other)[MESSAGES / 2];
    return `${MESSAGES} messages of ${SIZE} bytes came back unchanged; half of them within ${median.toFixed(1)} ms.`;
  }

  async once(sent) {
    const began = performance.now();
    const { data } = await within(ECHO, "a message did not come back", resolve => {
      this.channel.addEventListener("message", resolve, { once: true });
      this.channel.send(sent);
    });
    const got = new Uint8Array(data);
    if (got.length !== sent.length || got.some((byte, at) => byte !== sent[at])) throw new Error("a message came back changed");
    return performance.now() - began;
  }

  close() {
    this.mine.close();
    this.theirs.close();
  }
}

class Refused extends Error {
  constructor(event, otherwise = "no relay candidate came") {
    super(event ? `error ${event.errorCode}: ${event.errorText || "nothing answers"}` : otherwise);
    this.code = event?.errorCode ?? 0;
  }
}

function within(milliseconds, late, begin) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${late} within ${milliseconds / 1000} s`)), milliseconds);
    const settle = end => value => {
      clearTimeout(timer);
      end(value);
    };
    begin(settle(resolve), settle(reject));
  });
}

/* What to do when no relay came, by the code of the error; 701 is the browser's own for a server it cannot reach. */
const ADVICE = {
  300: "The server drains, and sends clients elsewhere.",
  401: "The server did not take the credentials, which are good for two minutes: test again.",
  403: "The server refuses this client. Its log says why.",
  486: "The test has as many allocations as one user may have (limits.allocations_per_user): wait a moment, and test again.",
  508: "The server has no relay port left, or drains. Look at the relay ports in the overview, relay.ports and limits.allocations.",
};

const UNREACHED = {
  udp: "Nothing answers there by UDP. See that a firewall lets UDP through to this port and to relay.ports, and that external is the address that clients reach.",
  tcp: "No connection could be made by TCP. See that a firewall lets it through, and that external is the address that clients reach.",
  tls: "No TLS connection could be made. See that the port is reached, that this browser trusts the certificate, and that it is for the name in the URL (turn.interfaces.hostname).",
};

const NEAR = /^turns?:(127\.|\[::1\]|localhost)/;

function advice(problem, entrance) {
  const local = NEAR.test(entrance.url) && navigator.userAgent.includes("Firefox/") ? " Firefox takes no TURN server on loopback." : "";
  return (ADVICE[problem.code] ?? UNREACHED[entrance.name]) + local;
}

/* The steps of one transport, as they are taken. */
class Steps {
  constructor(results, entrance) {
    this.chip = el("span", { class: "chip" }, "testing");
    this.list = el("ol", { class: "steps" });
    this.failed = false;
    results.append(el("section", { class: "card", "data-transport": entrance.name },
      el("h2", {}, entrance.name.toUpperCase(), this.chip), el("p", { class: "dim url" }, entrance.url), this.list));
  }

  async do(title, work, whatToDo) {
    const chip = el("span", { class: "chip" }, "\u2026");
    const more = el("span", {});
    this.list.append(el("li", {}, chip, el("b", {}, title), more));
    try {
      more.textContent = await work();
      mark(chip, "good", "ok");
    } catch (problem) {
      this.failed = true;
      more.textContent = sentence(problem.message);
      more.append(el("span", { class: "advice" }, whatToDo(problem)));
      mark(chip, "bad", "failed");
      throw problem;
    }
  }

  skip(why) {
    mark(this.chip, "", "skipped");
    this.list.replaceWith(el("p", {}, why));
  }

  end() {
    mark(this.chip, this.failed ? "bad" : "good", this.failed ? "fails" : "works");
  }
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;
}

function mark(chip, style, text) {
  chip.className = `chip ${style}`;
  chip.textContent = text;
}
