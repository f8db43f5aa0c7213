// A neuron looked at closely: what it looks for, what it found, and what it made of that.

import { element, figure, fitted, say } from "./dom.js";
import { greatest, image, mix } from "./paint.js";

const SIDE = 128; // pixels of its pictures

/** What people call the functions of a card. */
export const FUNCTIONS = { logistic: "sigmoid", relu: "ReLU", tanh: "tanh", identity: "identity", softmax: "softmax" };

export class Inspector {
  constructor() {
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
      this.title, this.hint, element("div", { class: "closer" }, this.pictures.map(({ figure: each }) => each), list));
    this.show(null);
  }

  /** Show {card, layer, neuron, weights, seen, value, colours}; with null how to get there. */
  show(looked) {
    this.root.classList.toggle("empty", !looked);
    const output = looked && looked.layer === looked.card.layerWidths.length - 1;
    say(this.title, !looked ? "Look at a neuron" : output ? `Output ${looked.card.classes[looked.neuron]}` : `Hidden layer ${looked.layer}, neuron ${looked.neuron + 1}`);
    say(this.hint, looked ? hint(looked) : "Point at one, tap it, or go there with Tab and the arrow keys: its weights as an image, and how it comes to its activation.");
    const column = looked?.weights ? weightsOf(looked.weights, looked.neuron) : null;
    const inputs = looked?.seen?.inputs[looked.layer - 1];
    const shares = column && inputs ? column.map((weight, from) => weight * inputs[from]) : null;
    [column, shares].forEach((values, index) => this.#picture(index, values, looked));
    const weighted = shares?.reduce((sum, share) => sum + share, 0);
    const bias = looked?.weights?.biases[looked.neuron];
    const sum = weighted === undefined ? undefined : weighted + bias;
    say(this.numbers[3].name, output || !looked ? "Activation" : `${FUNCTIONS[looked.card.activation]} of it`);
    if (output) say(this.numbers[3].name, `${FUNCTIONS[looked.card.outputActivation]}: score`);
    [weighted, bias, sum, looked?.value].forEach((number, index) => {
      const { value } = this.numbers[index];
      say(value, number === undefined ? "–" : figure(number));
      value.dataset.value = number ?? "";
    });
  }

  #picture(index, values, looked) {
    const { canvas } = this.pictures[index];
    const context = fitted(canvas, SIDE, SIDE);
    if (!looked) return;
    const { card, layer, colours } = looked;
    const count = card.layerWidths[layer - 1];
    const cols = layer === 1 ? card.cols : Math.ceil(Math.sqrt(count));
    const rows = layer === 1 ? card.rows : Math.ceil(count / cols);
    const scale = (SIDE - 2) / Math.max(rows, cols);
    const box = { x: (SIDE - cols * scale) / 2, y: (SIDE - rows * scale) / 2, w: cols * scale, h: rows * scale };
    const most = values ? (index ? greatest(values) : typical(values)) : 1;
    image(context, box, values, rows, cols, (value) => {
      return mix(colours.ground, value < 0 ? colours.minus : colours.plus, Math.min(1, Math.abs(value) / most));
    }, colours);
  }
}

function hint({ weights, layer, card, seen }) {
  if (!weights) return `Fetching ${(card.layerWidths[layer - 1] * card.layerWidths[layer]).toLocaleString("en")} weights`;
  const from = layer === 1 ? "Ink" : "Light";
  return `${from} where it is warm excites it, where it is blue inhibits it.${seen ? "" : " Draw something to see what it makes of it."}`;
}

const weightsOf = ({ weights, inputs, neurons }, neuron) => Array.from({ length: inputs }, (_, from) => weights[from * neurons + neuron]);

/** A size that few go beyond: what was learned at the rim, where ink hardly is, must not set the scale. */
const typical = (values) => values.map(Math.abs).sort((a, b) => a - b)[Math.floor(values.length * 0.985)] || greatest(values);
