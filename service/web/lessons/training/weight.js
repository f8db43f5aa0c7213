// One weight of a network that learns: where it is, its gradient, and where the next step moves it.

import { element, figure, fitted, say } from "../../dom.js";
import { tint, typical, weightsOf } from "../../network/gallery.js";
import { image } from "../../network/paint.js";

const SIDE = 168; // pixels along the side of a picture

export class Weight {
  constructor() {
    Object.assign(this, { layer: 1, to: 1, from: 378 }); // a pixel in the middle
    const number = (name) => {
      const input = element("input", { type: "number", min: "1", value: "1" });
      input.addEventListener("change", () => {
        this[name] = Math.min(Math.max(1, Math.round(Number(input.value)) || 1), Number(input.max));
        this.paint();
      });
      return input;
    };
    this.layers = element("select", {}, ["first hidden layer", "second hidden layer", "output"].map((name, at) => element("option", { value: String(at + 1) }, name)));
    this.layers.addEventListener("change", () => this.choose(Number(this.layers.value), this.to, this.from));
    [this.tos, this.froms] = [number("to"), number("from")];
    this.pictures = ["Weights into this neuron", "Where the last batch pushes them"].map((title) => {
      const canvas = element("canvas", { role: "img", "aria-label": title });
      canvas.addEventListener("click", ({ offsetX, offsetY }) => this.#pick(offsetX, offsetY));
      return { canvas, figure: element("figure", {}, canvas, element("figcaption", {}, title)) };
    });
    this.said = element("p", { class: "direction" });
    this.where = element("small");
    this.root = element("section", { class: "box wide weight" }, element("h3", {}, "The gradient of one weight"),
      element("div", { class: "row" }, element("label", {}, "Layer ", this.layers), element("label", {}, "neuron ", this.tos), element("label", {}, "from ", this.froms, " ", this.where)),
      element("div", { class: "row pictures" }, this.pictures.map(({ figure: each }) => each), this.said));
  }

  /** Look at the weight from `from` to `to`, both from 1, of a layer. */
  choose(layer, to, from) {
    const { inputs, neurons } = this.net?.[layer - 1] ?? { inputs: from, neurons: to };
    Object.assign(this, { layer, to: Math.min(to, neurons), from: Math.min(from, inputs) });
    this.paint();
  }

  /** Show the layers of a network and the gradients of its last step, null before it. */
  show(net, gradients, rate, colours) {
    Object.assign(this, { net, gradients, rate, colours });
    this.paint();
  }

  paint() {
    const { net, layer, to, from, gradients, rate } = this;
    if (!net) return;
    const { inputs, neurons, weights } = net[layer - 1];
    [this.layers.value, this.tos.value, this.froms.value, this.tos.max, this.froms.max] = [layer, to, from, neurons, inputs].map(String);
    this.across = layer === 1 ? 28 : 4;
    const place = from - 1;
    say(this.where, layer === 1 ? `pixel in row ${Math.floor(place / 28) + 1}, column ${(place % 28) + 1}` : `neuron of the layer before`);
    const push = gradients && { inputs, neurons, weights: gradients[layer - 1].weights.map((each) => -each) };
    [net[layer - 1], push].forEach((each, index) => this.#picture(index, each));
    const at = place * neurons + to - 1;
    const gradient = gradients?.[layer - 1].weights[at];
    const moved = gradient === undefined || gradient === 0 ? "" : gradient < 0 ? "up" : "down";
    say(this.said, gradient === undefined ? `The weight is ${figure(weights[at])}. There is no gradient before the first step.`
      : !moved ? `The weight is ${figure(weights[at])}. Its gradient is 0: the last step left it where it was.`
        : `The weight is ${figure(weights[at])}. Its gradient is ${figure(gradient)}: the last step moved it ${moved} by ${figure(rate)} × ${figure(Math.abs(gradient))} = ${figure(rate * Math.abs(gradient))}.`);
    Object.assign(this.said.dataset, { weight: weights[at], gradient: gradient ?? "" });
  }

  #picture(index, layer) {
    const context = fitted(this.pictures[index].canvas, SIDE, SIDE);
    const values = layer && weightsOf(layer, this.to - 1);
    const most = values ? typical(values) : 1;
    image(context, { x: 1, y: 1, w: SIDE - 2, h: SIDE - 2 }, values, this.across, this.across, (value) => tint(value / most, this.colours), this.colours);
    const cell = (SIDE - 2) / this.across;
    const [row, col] = [Math.floor((this.from - 1) / this.across), (this.from - 1) % this.across];
    context.lineWidth = 2;
    context.strokeStyle = getComputedStyle(this.root).color;
    context.strokeRect(1 + col * cell - 1, 1 + row * cell - 1, cell + 2, cell + 2);
  }

  #pick(x, y) {
    const [col, row] = [x, y].map((each) => Math.min(this.across - 1, Math.max(0, Math.floor(((each - 1) * this.across) / (SIDE - 2)))));
    this.choose(this.layer, this.to, row * this.across + col + 1);
  }
}
