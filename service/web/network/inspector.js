// A neuron looked at closely: what it looks for, what it found, and what it made of that.

import { element, figure, fitted, say } from "../dom.js";
import { gallery, tileAt, tint, typical, weightsOf } from "./gallery.js";
import { greatest, image } from "./paint.js";

const SIDE = 128; // pixels of its pictures
const MOST_TILES = 64;

/** What people call the functions of a card. */
export const FUNCTIONS = { logistic: "sigmoid", relu: "ReLU", tanh: "tanh", identity: "identity", softmax: "softmax" };

/** What a version is in a line: 784-16-16-10, ReLU. */
export function describe(card) {
  const committee = card.members > 1 ? `${card.members} networks, each ` : "";
  return `${committee}${card.layerWidths.join("-")}, ${FUNCTIONS[card.activation] ?? card.activation}`;
}

export class Inspector {
  /** `choose` is called with the neuron of the first layer whose picture was clicked. */
  constructor(choose) {
    this.gallery = element("canvas", { class: "gallery", role: "img", "aria-label": "The weights of each neuron of the first hidden layer as an image" });
    this.gallery.addEventListener("click", ({ offsetX, offsetY }) => {
      const neuron = tileAt(this.tiles, offsetX, offsetY);
      if (neuron >= 0) choose(neuron);
    });
    this.title = element("h3", {}, "A neuron");
    this.hint = element("p", { class: "note" });
    this.pictures = [
      ["What it looks for", "its weights"],
      ["What it found", "weight × input"],
    ].map(([title, note]) => {
      const canvas = element("canvas", { role: "img", "aria-label": `${title}: ${note}` });
      return { canvas, figure: element("figure", {}, canvas, element("figcaption", {}, title, element("small", {}, note))) };
    });
    this.numbers = ["Inputs × weights", "Bias", "Weighted sum", "Activation"].map((name) => {
      const value = element("dd");
      return { name: element("dt", {}, name), value };
    });
    const list = element("dl", {}, this.numbers.map(({ name, value }) => element("div", {}, name, value)));
    this.root = element("div", { class: "inspector" },
      this.title, this.hint, this.gallery, element("div", { class: "closer" }, this.pictures.map(({ figure: each }) => each), list));
    this.show(null);
  }

  /** Show {card, layer, neuron, weights, seen, value, colours}; with null how to get there. */
  show(looked) {
    this.root.classList.toggle("empty", !looked);
    const output = looked && looked.layer === looked.card.layerWidths.length - 1;
    say(this.title, !looked ? (this.gallery.hidden ? "Look at a neuron" : "What the first layer looks for") : output ? `Output ${looked.card.classes[looked.neuron]}` : `Hidden layer ${looked.layer}, neuron ${looked.neuron + 1}`);
    say(this.hint, looked ? hint(looked) : "Point at a neuron, tap it, or go there with Tab and the arrow keys to see how it comes to its activation.");
    const column = looked?.weights ? weightsOf(looked.weights, looked.neuron) : null;
    const inputs = looked?.seen?.inputs[looked.layer - 1];
    const shares = column && inputs ? column.map((weight, from) => weight * inputs[from]) : null;
    [column, shares].forEach((values, index) => this.#picture(index, values, looked));
    const weighted = shares?.reduce((sum, share) => sum + share, 0);
    const bias = looked?.weights?.biases[looked.neuron];
    const sum = weighted === undefined ? undefined : weighted + bias;
    say(this.numbers[3].name, output || !looked ? "Activation" : `${FUNCTIONS[looked.card.activation]} of it`);
    if (output) say(this.numbers[3].name, looked.card.members > 1 ? "Score by all networks" : `${FUNCTIONS[looked.card.outputActivation]}: score`);
    [weighted, bias, sum, looked?.value].forEach((number, index) => {
      const { value } = this.numbers[index];
      say(value, number === undefined ? "–" : figure(number));
      value.dataset.value = number ?? "";
    });
  }

  /** What each neuron of the first layer looks for, side by side; nothing where there are too many. */
  survey(card, layer, width, colours) {
    if (this.surveyed?.layer === layer && this.surveyed.width === width && this.surveyed.colours === colours) return;
    this.surveyed = { layer, width, colours };
    const count = layer?.neurons ?? 0;
    this.gallery.hidden = !count || count > MOST_TILES;
    if (this.gallery.hidden) return;
    this.tiles = gallery(this.gallery, layer, card, width, colours);
  }

  #picture(index, values, looked) {
    const { canvas } = this.pictures[index];
    if (!looked) return; // it is hidden then
    const context = fitted(canvas, SIDE, SIDE);
    const { card, layer, colours } = looked;
    const count = card.layerWidths[layer - 1];
    const cols = layer === 1 ? card.cols : Math.ceil(Math.sqrt(count));
    const rows = layer === 1 ? card.rows : Math.ceil(count / cols);
    const scale = (SIDE - 2) / Math.max(rows, cols);
    const box = { x: (SIDE - cols * scale) / 2, y: (SIDE - rows * scale) / 2, w: cols * scale, h: rows * scale };
    const most = values ? (index ? greatest(values) : typical(values)) : 1;
    image(context, box, values, rows, cols, (value) => tint(value / most, colours), colours);
  }
}

function hint({ weights, layer, card, seen }) {
  if (!weights) return `Fetching ${(card.layerWidths[layer - 1] * card.layerWidths[layer]).toLocaleString("en")} weights`;
  const from = layer === 1 ? "Ink" : "Light";
  return `${from} where it is warm excites it, where it is blue inhibits it.${seen ? "" : " Draw something to see what it makes of it."}`;
}
