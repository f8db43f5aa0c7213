// All digits of a picture from elsewhere: asked for, shown, and put into the network one by one.

import { $, element, percent, say } from "../dom.js";
import { sentence } from "../network/uncertainty.js";
import * as rpc from "../rpc.js";
import { cropped, turned } from "./picture.js";
import { Sheet } from "./sheet.js";

export class Reading {
  /** `lay` puts {bitmap, encoded} on the pad; `said` is an element that is read aloud. */
  constructor(lay, said) {
    Object.assign(this, { lay, said });
    this.sheet = new Sheet((index) => this.#choose(index));
    this.lines = element("ol", { class: "lines", "aria-label": "Text of the picture" });
    this.note = element("p", { class: "note" });
    this.warnings = element("p", { class: "warnings" });
    this.whole = element("button", { type: "button", title: "Give the whole picture to the network" }, "It is one digit");
    this.whole.addEventListener("click", () => this.#asOne());
    this.root = element("section", { class: "reading", "aria-label": "The digits of the picture" },
      element("div", { class: "row" }, element("h2", {}, "Read from the picture"), this.note, this.whole),
      element("div", { class: "read" }, this.lines, this.sheet.root), this.warnings);
    this.close();
  }

  /** A picture has come that may show several digits. */
  open(picture) {
    this.close();
    this.picture = picture;
  }

  close() {
    Object.assign(this, { picture: null, by: "", refusal: "", canvas: null, boxes: [], chosen: -1, crop: null });
    this.root.hidden = true;
    say(this.said, "");
  }

  /** The pad has other ink: `ground` is the picture under it. What is of another picture is put away. */
  follow(ground) {
    if (this.picture && ground !== this.picture && ground !== this.crop) this.close();
  }

  /** Whether the version of a panel has still to read the picture; one of the size of its images is a single digit. */
  due({ model, version, card, doubts }) {
    const { bitmap } = this.picture ?? {};
    const key = `${model} ${version}`;
    if (!bitmap || this.by === key || doubts.key !== key) return false; // the card may be on its way
    const own = bitmap.width === card.cols && bitmap.height === card.rows;
    return !own && card.labels.every((label) => label >= 0 && label <= 9);
  }

  /** Have it read; where it shows several digits they are shown, and the first is laid on the pad. Raises `Failure`. */
  async read({ model, version, doubts }) {
    const { picture } = this;
    const key = `${model} ${version}`;
    let answer = { lines: [] };
    let refusal = "";
    try {
      answer = await rpc.call("Read", { model, version, encodedImage: picture.encoded, ...doubts.rejecting(key) });
    } catch (error) {
      if (error.kind !== "refused") throw error;
      refusal = sentence(`the picture was not read: ${error.message}`);
    }
    if (this.picture !== picture) return;
    Object.assign(this, { by: key, refusal });
    const digits = answer.lines.flatMap((line) => line.digits);
    if (digits.length > 1) this.#show(answer, digits);
    else if (!this.root.hidden) this.#hide();
  }

  #show(answer, digits) {
    this.canvas = turned(this.picture.bitmap, answer.quarterTurns);
    const scale = this.canvas.width / answer.width;
    const known = this.boxes.length === digits.length; // by another version: the one that is looked at stays
    this.boxes = digits.map(({ box }) => Object.fromEntries(Object.entries(box).map(([name, value]) => [name, value * scale])));
    this.root.hidden = false;
    const lines = answer.lines.length;
    this.lines.replaceChildren(...answer.lines.map(({ text, score }) => element("li", {}, element("strong", {}, text), lines > 1 ? element("small", {}, percent(score)) : null)));
    const count = `${digits.length} digits${lines > 1 ? ` in ${lines} lines` : ""}`;
    say(this.note, `${count}, score ${percent(answer.score)}, by ${this.by}${answer.quarterTurns ? ", turned upright" : ""}`);
    say(this.warnings, answer.warnings.map(sentence).join(" "));
    say(this.said, `The picture shows ${count}: ${answer.text.replaceAll("\n", ", ")}.`);
    this.sheet.show(this.canvas, answer);
    if (known) this.sheet.mark(this.chosen);
    else this.#choose(0);
  }

  /** It shows one digit at most. */
  #hide() {
    const { picture } = this;
    Object.assign(this, { boxes: [], chosen: -1, crop: null });
    this.root.hidden = true;
    this.lay(picture);
  }

  #asOne() {
    const { picture } = this;
    this.close();
    this.lay(picture);
    $("pad").focus();
  }

  #choose(index) {
    if (index < 0) return;
    this.chosen = index;
    this.crop = cropped(this.canvas, this.boxes, index);
    this.sheet.mark(index);
    this.lay(this.crop);
  }
}
