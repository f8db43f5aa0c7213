// What one may change of a neuron: its bias, and one of its weights.

import { element, figure, fitted, say } from "../../dom.js";
import { tint, typical, weightsOf } from "../../network/gallery.js";
import { image } from "../../network/paint.js";

const SIDE = 168; // pixels along the side of its picture
const REACH = 4; // how far the sliders go, in sizes of a large weight

export class Change {
  /** `changed` is called after each change of the layers. */
  constructor(changed) {
    this.changed = changed;
    this.from = 0;
    this.canvas = element("canvas", { role: "img", "aria-label": "The weights into this neuron" });
    this.canvas.addEventListener("click", ({ offsetX, offsetY }) => this.#pick(offsetX, offsetY));
    this.source = element("input", { type: "number", min: "1", value: "1" });
    this.source.addEventListener("change", () => {
      this.from = Math.min(Math.max(1, Math.round(Number(this.source.value)) || 1), Number(this.source.max)) - 1;
      this.paint();
    });
    this.where = element("small");
    [this.weight, this.bias] = ["Its value", "Bias"].map((name) => {
      const slider = element("input", { type: "range", step: "any", "aria-label": name });
      const value = element("output");
      slider.addEventListener("input", () => this.#set());
      return { slider, value, row: element("label", {}, name, slider, value) };
    });
    this.root = element("div", { class: "change" }, this.canvas,
      element("div", { class: "sliders" }, this.bias.row,
        element("p", {}, element("label", {}, "Weight from ", this.source), " ", this.where), this.weight.row));
  }

  /** Show a neuron of `layer`, {inputs, neurons, weights, biases}; the picture has `cols` columns. */
  show(layer, neuron, first, cols, colours) {
    if (this.layer !== layer || this.neuron !== neuron) {
      const column = weightsOf(layer, neuron);
      this.from = column.map(Math.abs).indexOf(Math.max(...column.map(Math.abs)));
      this.reach = REACH * Math.max(typical(column), Math.abs(layer.biases[neuron]) / 2);
      for (const { slider } of [this.weight, this.bias]) [slider.min, slider.max] = [-this.reach, this.reach].map(String);
    }
    Object.assign(this, { layer, neuron, first, cols, colours });
    this.source.max = String(layer.inputs);
    this.paint();
  }

  paint() {
    const { layer, neuron, from, cols, colours, first } = this;
    this.source.value = String(from + 1);
    say(this.where, first ? `a pixel, row ${Math.floor(from / cols) + 1}, column ${(from % cols) + 1}` : "a neuron of the layer before");
    [[this.weight, layer.weights[this.#place()]], [this.bias, layer.biases[neuron]]].forEach(([{ slider, value }, number]) => {
      slider.value = String(number);
      slider.setAttribute("aria-valuetext", figure(number));
      say(value, figure(number));
    });
    const column = weightsOf(layer, neuron);
    const most = typical(column);
    this.rows = Math.ceil(layer.inputs / cols);
    const context = fitted(this.canvas, SIDE, SIDE);
    image(context, { x: 1, y: 1, w: SIDE - 2, h: SIDE - 2 }, column, this.rows, cols, (value) => tint(value / most, colours), colours);
    const [w, h] = [(SIDE - 2) / cols, (SIDE - 2) / this.rows];
    context.lineWidth = 2;
    context.strokeStyle = getComputedStyle(this.root).color;
    context.strokeRect((from % cols) * w, Math.floor(from / cols) * h, w + 2, h + 2);
  }

  #place() {
    return this.from * this.layer.neurons + this.neuron;
  }

  #set() {
    this.layer.weights[this.#place()] = Number(this.weight.slider.value);
    this.layer.biases[this.neuron] = Number(this.bias.slider.value);
    this.paint();
    this.changed();
  }

  #pick(x, y) {
    const at = (each, cells) => Math.min(cells - 1, Math.max(0, Math.floor(((each - 1) * cells) / (SIDE - 2))));
    this.from = Math.min(this.layer.inputs - 1, at(y, this.rows) * this.cols + at(x, this.cols));
    this.paint();
  }
}
