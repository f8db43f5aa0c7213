// Plain stochastic gradient descent, in double precision: what scikit-learn's MLPClassifier does with solver="sgd",
// momentum=0, alpha=0 and a constant learning rate.

import { forward, SLOPES } from "../../network/forward.js";

/** Numbers 0..1 that look random, always the same ones for a seed (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Layers to begin with: weights and biases even between ±√(6 / (inputs + neurons)) (Glorot and Bengio, 2010). */
export function beginning(widths, seed) {
  const next = random(seed);
  return widths.slice(1).map((neurons, at) => {
    const inputs = widths[at];
    const most = Math.sqrt(6 / (inputs + neurons));
    const even = (count) => Float64Array.from({ length: count }, () => most * (2 * next() - 1));
    return { inputs, neurons, weights: even(inputs * neurons), biases: even(neurons) };
  });
}

/** A network of these layers for `forward`; its pixels are 0..255. */
export const networkOf = (layers, activation) => ({ layers, activation, offset: 0, scale: 1 / 255, temperature: 1 });

/**
 * One step down the mean gradient of a batch, [{pixels, truth}]; the weights of `net` change.
 *
 * Returns {cost, gradients}: the mean cross-entropy before the step, and its gradients in the form of the layers.
 */
export function step(net, batch, rate) {
  const gradients = net.layers.map(({ weights, biases }) => ({ weights: new Float64Array(weights.length), biases: new Float64Array(biases.length) }));
  let cost = 0;
  for (const { pixels, truth } of batch) cost += backpropagate(net, pixels, truth, gradients) / batch.length;
  net.layers.forEach((layer, at) => {
    for (const name of ["weights", "biases"]) {
      const gradient = gradients[at][name];
      for (let index = 0; index < gradient.length; index++) {
        gradient[index] /= batch.length;
        layer[name][index] -= rate * gradient[index];
      }
    }
  });
  return { cost, gradients };
}

/** Add the gradients of one digit's cost, which it returns. */
function backpropagate(net, pixels, truth, gradients) {
  const { values, scores } = forward(net, pixels);
  let deltas = Float64Array.from(scores); // of the weighted sums of a layer
  deltas[truth] -= 1;
  for (let at = net.layers.length - 1; at >= 0; at--) {
    const { inputs, neurons, weights } = net.layers[at];
    const found = gradients[at];
    for (let to = 0; to < neurons; to++) found.biases[to] += deltas[to];
    const before = new Float64Array(inputs);
    for (let from = 0; from < inputs; from++) {
      const value = values[at][from];
      const row = from * neurons;
      if (value) for (let to = 0; to < neurons; to++) found.weights[row + to] += value * deltas[to];
      if (!at) continue;
      for (let to = 0; to < neurons; to++) before[from] += weights[row + to] * deltas[to];
      before[from] *= SLOPES[net.activation](value);
    }
    deltas = before;
  }
  return -Math.log(Math.max(scores[truth], Number.MIN_VALUE));
}
