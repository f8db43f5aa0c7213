// The scores of a network as bars, and the digit that they are for.

import { element, grey, percent, say } from "../dom.js";

export class Shares {
  constructor() {
    this.canvas = element("canvas", { role: "img", "aria-label": "The digit, as the network gets it" });
    this.list = element("ol", { class: "shares", "aria-label": "Scores" });
    this.root = element("div", { class: "answer" }, this.canvas, this.list);
    this.rows = [];
  }

  /** Show `scores` of the card's classes for pixels; with null that there is no digit. */
  show(card, pixels, scores) {
    if (this.card !== card) {
      this.card = card;
      this.rows = card.classes.map((name) => {
        const [bar, score] = [element("span", { class: "bar" }), element("span", { class: "score" })];
        return { bar, score, row: element("li", {}, element("span", { class: "class" }, name), element("span", { class: "track" }, bar), score) };
      });
      this.list.replaceChildren(...this.rows.map(({ row }) => row));
    }
    grey(this.canvas, pixels ?? [], card);
    const best = scores ? scores.indexOf(Math.max(...scores)) : -1;
    this.rows.forEach(({ row, bar, score }, seat) => {
      bar.style.setProperty("--share", scores?.[seat] ?? 0);
      row.classList.toggle("best", seat === best);
      say(score, scores ? percent(scores[seat]) : "");
    });
  }
}
