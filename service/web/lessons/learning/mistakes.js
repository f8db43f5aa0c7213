// The test digits of the page that a network is wrong about at each snapshot, and how they change.

import { element, percent, say } from "../../dom.js";
import { picture } from "../../examples/examples.js";
import { forward } from "../../network/forward.js";
import { Wall } from "./wall.js";

const SHOWN = 6; // of the digits that changed

export class Mistakes {
  constructor(page) {
    this.page = page;
    this.count = element("p", { class: "count" });
    this.note = element("p", { class: "note" });
    this.wall = new Wall();
    this.lists = ["mended", "made"].map((kind) => ({ kind, title: element("h3", { class: kind }), list: element("div", { class: "digits" }) }));
    this.root = element("section", { class: "box wide mistakes" },
      element("h3", {}, "Its mistakes on the digits of this page"), this.count, this.wall.root, this.note,
      element("div", { class: "changes" }, this.lists.map(({ title, list }) => element("div", {}, title, list))));
  }

  /** Get ready for the nets of a training, see `learningOf`, with these test digits. */
  begin(digits, { nets, epochs }, card) {
    Object.assign(this, { digits, nets, epochs, card, said: [], before: -1 });
    this.root.hidden = !digits.length;
    say(this.note, `Faded digits are right, the others are wrong. A green frame marks a digit that was wrong in the frame before, a red frame one that was right. These ${digits.length} test digits are no fair sample: they hold every mistake of the models that this project serves. Of all ${card.testRows.toLocaleString("en")} test digits the served network gets ${percent(1 - card.accuracy, 2)} wrong.`);
    this.wall.lay(digits, card);
  }

  /** Show those of a snapshot, beside the snapshot that was shown before. */
  show(frame) {
    const { digits, card, before } = this;
    if (!digits.length) return;
    const now = this.#answers(frame);
    const then = before < 0 ? now : this.#answers(before);
    const kinds = digits.map(({ truth }, at) => {
      const [right, was] = [now[at] === truth, then[at] === truth];
      return right ? (was ? "right" : "mended") : was ? "made" : "wrong";
    });
    const wrong = kinds.filter((kind) => kind === "wrong" || kind === "made").length;
    const counts = this.lists.map(({ kind }) => kinds.filter((each) => each === kind).length);
    const since = before < 0 || before === frame ? "" : `: ${counts[0]} mended and ${counts[1]} new since epoch ${this.epochs[before]}`;
    say(this.count, `${wrong} of ${digits.length} wrong${since}`);
    this.root.dataset.wrong = wrong;
    this.wall.show(kinds, this.count.textContent);
    this.lists.forEach(({ kind, title, list }, index) => {
      say(title, kind === "mended" ? `Mended: ${counts[index]}` : `New: ${counts[index]}`);
      const found = digits.map((digit, at) => ({ ...digit, was: then[at], is: now[at], kind: kinds[at] })).filter((each) => each.kind === kind);
      list.replaceChildren(...found.slice(0, SHOWN).map((each) => this.#button(each)));
    });
    this.before = frame;
  }

  /** What the network of a snapshot takes each digit for. */
  #answers(frame) {
    this.said[frame] ??= Uint8Array.from(this.digits, ({ pixels }) => forward(this.nets[frame], pixels).best);
    return this.said[frame];
  }

  #button({ pixels, truth, was, is }) {
    const { classes } = this.card;
    const laid = picture({ pixels, truth }, this.card);
    const button = element("button", { type: "button", title: "Put it under the network", "aria-label": `A ${classes[truth]}, was taken for ${classes[was]}, is taken for ${classes[is]}` },
      laid.bitmap, element("span", {}, `${classes[was]} → ${classes[is]}`));
    button.addEventListener("click", () => this.page.lay(laid));
    return button;
  }
}
