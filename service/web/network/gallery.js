// Weights as images: warm where they excite, blue where they inhibit.

import { fitted } from "../dom.js";
import { greatest, image, mix } from "./paint.js";

const TILE = 66; // pixels along the side of an image, at most

/** The weights into each neuron of a first layer, side by side, in `width` pixels; returns where they are. */
export function gallery(canvas, layer, { rows, cols }, width, colours) {
  const count = layer.neurons;
  const across = width < 600 ? 8 : count > 32 ? 32 : 16;
  const pitch = Math.min(TILE, Math.floor(width / across));
  const context = fitted(canvas, width, pitch * Math.ceil(count / across));
  const side = pitch - 5;
  for (let neuron = 0; neuron < count; neuron++) {
    const column = weightsOf(layer, neuron);
    const most = typical(column);
    const box = { x: (neuron % across) * pitch + 1, y: Math.floor(neuron / across) * pitch + 1, w: side, h: side };
    image(context, box, column, rows, cols, (value) => tint(value / most, colours), colours);
  }
  return { across, pitch, count };
}

/** The neuron at a point of a gallery, or -1. */
export function tileAt({ across, pitch, count }, x, y) {
  const neuron = Math.floor(y / pitch) * across + Math.floor(x / pitch);
  return x < across * pitch && neuron < count ? neuron : -1;
}

/** The colour of a weight, -1..1. */
export const tint = (part, { ground, minus, plus }) => mix(ground, part < 0 ? minus : plus, Math.min(1, Math.abs(part)));

/** The weights into a neuron of a layer. */
export const weightsOf = ({ weights, inputs, neurons }, neuron) => Array.from({ length: inputs }, (_, from) => weights[from * neurons + neuron]);

/** A size that few go beyond: what was learned at the rim, where ink hardly is, must not set the scale. */
export const typical = (values) => values.map(Math.abs).sort((a, b) => a - b)[Math.floor(values.length * 0.985)] || greatest(values);
