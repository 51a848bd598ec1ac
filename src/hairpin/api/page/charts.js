/* Lines over the last minutes, drawn with SVG. */

import { el, svg } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 72;
export const POINTS = 90;
const FEWEST = 30; // points that fill the width

/* Figures that only grow, turned into rates a second. */
export class Rates {
  constructor() {
    this.before = null;
    this.last = {};
    this.series = {};
  }

  /* Take in figures at a time in seconds; a figure that shrank belongs to another run of the server. */
  take(figures, now) {
    const elapsed = this.before ? now - this.before.now : 0;
    if (elapsed > 0) {
      for (const [key, value] of Object.entries(figures)) {
        this.last[key] = Math.max(0, value - (this.before.figures[key] ?? 0)) / elapsed;
        (this.series[key] ??= []).push(this.last[key]);
        this.series[key].splice(0, this.series[key].length - POINTS);
      }
    }
    if (!this.before || elapsed > 0) this.before = { figures, now };
    return this.last;
  }
}

/* A chart of one or two series: [label, class, points]. */
export function chart(title, series, show) {
  const top = Math.max(1e-9, ...series.flatMap(([, , points]) => points));
  const lines = series.map(([, style, points]) => svg("polyline", { class: `line ${style}`, points: path(points, top) }));
  const says = series.map(([label, , points]) => `${label} ${show(points.at(-1) ?? 0)}`).join(", ");
  return el("figure", { class: "chart" },
    el("figcaption", {}, el("span", {}, title),
      series.map(([label, style, points]) => el("span", { class: `legend ${style}` },
        el("i", { "aria-hidden": "true" }), `${label} `, el("b", {}, show(points.at(-1) ?? 0))))),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: ${says}` },
      [0.25, 0.5, 0.75].map(at => svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT * at, y2: HEIGHT * at })),
      lines),
    el("span", { class: "top dim" }, top > 1e-9 ? show(top) : ""));
}

function path(points, top) {
  const step = WIDTH / (Math.max(FEWEST, points.length) - 1);
  const start = WIDTH - (points.length - 1) * step;
  const known = points.length === 1 ? [points[0], points[0]] : points;
  return known.map((value, at) => `${(start + at * step).toFixed(1)},${(HEIGHT - 2 - value / top * (HEIGHT - 6)).toFixed(1)}`).join(" ");
}
