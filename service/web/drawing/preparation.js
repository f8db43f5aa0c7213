// What preparation made of a picture: the picture as it was given, and the pixels that a network got.

import { element, grey, say } from "../dom.js";

const SIDE = 280; // pixels of the picture as it was given

export class Preparation {
  /** `root` is an empty element that is hidden while there is nothing to show. */
  constructor(root) {
    this.root = root;
    this.given = element("canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": "The picture as it was given" });
    this.got = element("canvas", { role: "img", "aria-label": "The pixels that the network got" });
    this.sizes = [element("small"), element("small")];
    root.append(
      element("figure", {}, this.given, element("figcaption", {}, "As given", this.sizes[0])),
      element("figure", {}, this.got, element("figcaption", {}, "To the network", this.sizes[1])));
  }

  /** Show `bitmap` and what a prediction says of it, by the card of its model; without a bitmap or a prediction nothing. */
  show(bitmap, prediction, card) {
    const values = prediction?.activations[0].values;
    this.root.hidden = !bitmap || values?.length !== card.rows * card.cols;
    if (this.root.hidden) return;
    const scale = SIDE / Math.max(bitmap.width, bitmap.height);
    const [w, h] = [bitmap.width * scale, bitmap.height * scale];
    const context = this.given.getContext("2d");
    context.clearRect(0, 0, SIDE, SIDE);
    context.drawImage(bitmap, (SIDE - w) / 2, (SIDE - h) / 2, w, h);
    grey(this.got, values, card);
    [bitmap, this.got].forEach(({ width, height }, at) => say(this.sizes[at], `${width} × ${height} pixels`));
  }
}
