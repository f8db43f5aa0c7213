// A curve over the epochs of a training, with a mark at one of them.

import { element, svg } from "../dom.js";

const [WIDTH, HEIGHT, MARGIN] = [280, 90, 4];

export class Curve {
  /** `lines` are names; numbers are written by `write`; `low` and `high` bound the axis where they are given. */
  constructor(title, meaning, lines, write, { low = null, high = null } = {}) {
    Object.assign(this, { title, lines, write, low, high });
    this.paths = lines.map((_, index) => svg("path", { class: `line line-${index}`, "vector-effect": "non-scaling-stroke" }));
    this.mark = svg("path", { class: "mark", "vector-effect": "non-scaling-stroke" });
    this.picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title, preserveAspectRatio: "none" }, this.mark, ...this.paths);
    this.now = element("p", { class: "now" }, "–");
    this.root = element("figure", { class: "chart" },
      element("figcaption", {}, element("h3", {}, title), element("small", {}, meaning)), this.now, this.picture);
  }

  /** Draw values of each line; one that is NaN is left out. */
  draw(values) {
    this.values = values;
    const known = values.flatMap((line) => [...line].filter(Number.isFinite));
    const [low, high] = [this.low ?? Math.min(...known), this.high ?? Math.max(...known)];
    const count = Math.max(2, values[0].length);
    this.x = (at) => (at * WIDTH) / (count - 1);
    const y = (value) => HEIGHT - MARGIN - ((value - low) / (high - low || 1)) * (HEIGHT - 2 * MARGIN);
    values.forEach((line, index) => {
      let path = "";
      line.forEach((value, at) => {
        if (Number.isFinite(value)) path += `${path ? "L" : "M"}${this.x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      });
      this.paths[index].setAttribute("d", path);
    });
    this.point(values[0].length - 1);
  }

  /** Mark the values at a place, and say them. */
  point(at) {
    this.mark.setAttribute("d", `M${this.x(at).toFixed(1)} 0V${HEIGHT}`);
    const texts = this.values.map((line) => (Number.isFinite(line[at]) ? this.write(line[at]) : "–"));
    this.now.replaceChildren(...texts.map((text, index) => element("span", { class: `line-${index}` },
      text, texts.length > 1 ? element("small", {}, ` ${this.lines[index]}`) : null)));
    this.picture.setAttribute("aria-label", `${this.title}: ${this.lines.map((name, index) => `${name} ${texts[index]}`).join(", ")}`);
  }
}
