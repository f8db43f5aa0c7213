// A picture that was read: its digits in their boxes, by mouse and by keyboard.

import { element, fitted, percent } from "../dom.js";
import { noDigit } from "../network/uncertainty.js";

const [LOW, LINE, TALL] = [200, 64, 640]; // CSS pixels of a picture's height: at least, for each line, at most
const UNSURE = 0.8; // scores below this are marked
const ROOM = 54; // CSS pixels from one digit to the next that its label with its score needs

export class Sheet {
  /** `choose` is called with the number of the digit that was chosen. */
  constructor(choose) {
    this.canvas = element("canvas", { role: "img", "aria-label": "The picture" });
    this.boxes = element("div", { role: "group", "aria-label": "Digits of the picture; arrow keys go from one to the next" });
    this.page = element("div", { class: "page" }, this.canvas, this.boxes);
    this.root = element("div", { class: "sheet" }, this.page);
    this.buttons = [];
    this.boxes.addEventListener("click", ({ target }) => choose(this.buttons.indexOf(target.closest("button"))));
    this.boxes.addEventListener("keydown", (event) => this.#walk(event));
    new ResizeObserver(() => this.#lay()).observe(this.root);
  }

  /** Show the digits of `lines`, see ReadResponse, on the picture that they were read from. */
  show(bitmap, { lines, width, height }) {
    Object.assign(this, { bitmap, width, height, lines: lines.length });
    const digits = lines.flatMap((line, row) => line.digits.map((digit, col) => ({ ...digit, row, name: lines.length > 1 ? `line ${row + 1}, digit ${col + 1}` : `digit ${col + 1}` })));
    this.digits = digits;
    this.buttons = digits.map(({ box, prediction, name }) => {
      const { digit, scores } = prediction;
      const share = Math.max(...scores);
      const none = noDigit(prediction);
      const said = `${name}: ${none ? `no digit, most like ${digit}` : digit}, ${percent(share)}`;
      const kind = none ? "none" : share < UNSURE ? "unsure" : "sure";
      const button = element("button", { type: "button", class: kind, tabIndex: -1, "aria-label": said, title: said },
        element("span", {}, none ? "?" : String(digit), element("small", {}, percent(share, 0))));
      const [left, top, w, h] = [box.left / width, box.top / height, box.width / width, box.height / height].map((part) => `${100 * part}%`);
      Object.assign(button.style, { left, top, width: w, height: h });
      return button;
    });
    this.boxes.replaceChildren(...this.buttons);
    this.mark(-1);
    this.#lay();
  }

  /** Mark the digit that is in the network; -1: none is. */
  mark(chosen) {
    this.buttons.forEach((button, index) => {
      button.setAttribute("aria-pressed", index === chosen);
      button.tabIndex = index === Math.max(0, chosen) ? 0 : -1;
    });
  }

  #lay() {
    const room = this.root.clientWidth - 2 * 14; // less its padding
    if (!this.bitmap || room <= 0) return;
    const scale = Math.min(room / this.width, Math.min(Math.max(LOW, LINE * this.lines), TALL) / this.height);
    const [w, h] = [Math.max(1, Math.round(this.width * scale)), Math.max(1, Math.round(this.height * scale))];
    fitted(this.canvas, w, h).drawImage(this.bitmap, 0, 0, w, h);
    const middles = this.digits.map(({ box, row }) => ({ row, x: (box.left + box.width / 2) * scale }));
    this.root.classList.toggle("tight", middles.some(({ row, x }, index) => index && row === middles[index - 1].row && x - middles[index - 1].x < ROOM));
  }

  /** Arrow keys: along a line, and to the nearest digit of the next one. */
  #walk(event) {
    const at = this.buttons.indexOf(event.target);
    const { digits } = this;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const hop = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const end = { Home: 0, End: digits.length - 1 }[event.key];
    if (at < 0 || (step ?? hop ?? end) === undefined) return;
    event.preventDefault();
    const middle = (digit) => digit.box.left + digit.box.width / 2;
    const line = hop ? digits.filter(({ row }) => row === digits[at].row + hop) : [];
    const nearest = line.sort((a, b) => Math.abs(middle(a) - middle(digits[at])) - Math.abs(middle(b) - middle(digits[at])))[0];
    const to = end ?? (step ? at + step : digits.indexOf(nearest));
    this.buttons[to]?.focus();
  }
}
