// What single neurons are good for, by numbers.

import { forward, onward, SLOPES, sums } from "../../network/forward.js";

const [STEPS, STEP] = [100, 0.05]; // of gradient ascent, in parts of a pixel's range

/** What a network makes of each digit, [{truth, pixels}]: {all, right}. */
export function answers(net, digits, off = []) {
  const all = digits.map(({ pixels }) => forward(net, pixels, off));
  return { all, right: count(all, digits) };
}

const count = (all, digits) => all.reduce((sum, { best }, at) => sum + (best === digits[at].truth), 0);

/** How many digits fewer would be right without each neuron of hidden layer `layer`; `known` is what `answers` gave. */
export function losses(net, digits, { all, right }, layer) {
  return Array.from({ length: net.layers[layer - 1].neurons }, (_, neuron) => {
    const without = all.map(({ values }) => {
      const made = values[layer].slice();
      made[neuron] = 0;
      return onward(net, [...values.slice(0, layer), made]);
    });
    return right - count(without, digits);
  });
}

/** Places of the digits that light a neuron most, the most first; none where nothing lights it. */
export function brightest({ all }, layer, neuron, most) {
  const value = ({ values, logits }) => (values[layer] ?? logits)[neuron];
  const values = all.map(value);
  const places = values.map((_, at) => at).sort((a, b) => values[b] - values[a]).slice(0, most);
  return values[places[0]] === 0 ? [] : places;
}

/**
 * The image that lights a neuron most, by gradient ascent of its weighted sum from a blank image, with pixels held
 * within 0..pixelMax: {pixels, sum}.
 */
export function ideal(net, layer, neuron, pixelMax) {
  const pixels = new Float64Array(net.layers[0].inputs);
  const into = net.layers[layer - 1];
  let sum = 0;
  for (let at = 0; at <= STEPS; at++) {
    const { values } = forward(net, pixels);
    sum = sums(into, values[layer - 1])[neuron];
    const slopes = gradient(net, values, layer, neuron);
    const most = slopes.reduce((found, each) => Math.max(found, Math.abs(each)), 0);
    if (at === STEPS || !most) break;
    for (let pixel = 0; pixel < pixels.length; pixel++) {
      pixels[pixel] = Math.min(pixelMax, Math.max(0, pixels[pixel] + (STEP * pixelMax * slopes[pixel]) / most));
    }
  }
  return { pixels, sum };
}

/** The gradient of a neuron's weighted sum by the inputs of the network. */
function gradient(net, values, layer, neuron) {
  const { inputs, neurons, weights } = net.layers[layer - 1];
  let slopes = Float64Array.from({ length: inputs }, (_, from) => weights[from * neurons + neuron]);
  for (let at = layer - 2; at >= 0; at--) {
    const before = net.layers[at];
    const found = new Float64Array(before.inputs);
    const deltas = slopes.map((each, to) => each * SLOPES[net.activation](values[at + 1][to]));
    for (let from = 0; from < before.inputs; from++) {
      for (let to = 0; to < before.neurons; to++) found[from] += before.weights[from * before.neurons + to] * deltas[to];
    }
    slopes = found;
  }
  return slopes;
}

/** The share of a neuron's weights, by their sizes, in the square of `side` × `side` pixels that holds the most of them. */
export function locality(column, rows, cols, side) {
  const sizes = column.map(Math.abs);
  const whole = sizes.reduce((sum, each) => sum + each, 0);
  let most = 0;
  for (let row = 0; row + side <= rows; row++) {
    for (let col = 0; col + side <= cols; col++) {
      let sum = 0;
      for (let at = 0; at < side * side; at++) sum += sizes[(row + Math.floor(at / side)) * cols + col + (at % side)];
      most = Math.max(most, sum);
    }
  }
  return whole ? most / whole : NaN;
}
