// All test digits of the page on one picture: bright where the network is wrong.

import { element, fitted, grey } from "../../dom.js";

const TILE = 22; // pixels from one digit to the next

export class Wall {
  constructor() {
    this.canvas = element("canvas", { role: "img" });
    this.root = element("div", { class: "wall" }, this.canvas);
    new ResizeObserver(() => this.paint()).observe(this.root);
  }

  /** Show these digits, [{pixels}], of this card. */
  lay(digits, card) {
    this.digits = digits.map(({ pixels }) => grey(document.createElement("canvas"), pixels, card));
    this.kinds = [];
  }

  /** Show of each digit whether it is `right`, `wrong`, `mended` or `made` wrong; `said` is the same in words. */
  show(kinds, said) {
    this.kinds = kinds;
    this.canvas.setAttribute("aria-label", said);
    this.paint();
  }

  paint() {
    const width = this.root.clientWidth;
    if (!width || !this.digits) return;
    const style = getComputedStyle(this.root);
    const frames = { mended: style.getPropertyValue("--good"), made: style.getPropertyValue("--bad") };
    const across = Math.floor(width / TILE);
    const context = fitted(this.canvas, width, TILE * Math.ceil(this.digits.length / across));
    this.digits.forEach((digit, index) => {
      const kind = this.kinds[index];
      const [x, y] = [(index % across) * TILE, Math.floor(index / across) * TILE];
      context.globalAlpha = kind === "right" || kind === "mended" ? 0.22 : 1;
      context.drawImage(digit, x + 1, y + 1, TILE - 3, TILE - 3);
      context.globalAlpha = 1;
      if (!frames[kind]) return;
      context.lineWidth = 2;
      context.strokeStyle = frames[kind];
      context.strokeRect(x + 1, y + 1, TILE - 3, TILE - 3);
    });
  }
}
