// A network computed here, in the page, from its weights.

const APPLY = {
  logistic: (sum) => 1 / (1 + Math.exp(-sum)),
  relu: (sum) => (sum > 0 ? sum : 0),
  tanh: Math.tanh,
  identity: (sum) => sum,
};

/**
 * What a network makes of pixels: {values: [inputs, hidden_1, …], logits, scores, best}.
 *
 * `net` is {layers: [{inputs, neurons, weights, biases}], activation, offset, scale, temperature}; `off` has, by layer
 * from 1, the set of neurons whose activation is taken as 0.
 */
export function forward(net, pixels, off = []) {
  const inputs = new Float64Array(pixels);
  for (let at = 0; at < inputs.length; at++) inputs[at] = (inputs[at] - net.offset) * net.scale;
  return onward(net, [inputs], off);
}

/** The same from the values of the first layers on, those of the pixels at least. */
export function onward(net, given, off = []) {
  const values = [...given];
  for (let at = values.length; at < net.layers.length; at++) {
    const made = sums(net.layers[at - 1], values[at - 1]).map(APPLY[net.activation]);
    for (const neuron of off[at] ?? []) made[neuron] = 0;
    values.push(made);
  }
  const logits = sums(net.layers.at(-1), values.at(-1)).map((each) => each / net.temperature);
  const scores = softmax(logits);
  return { values, logits, scores, best: scores.indexOf(Math.max(...scores)) };
}

/** The weighted sums of a layer, with its biases. */
export function sums({ inputs, neurons, weights, biases }, values) {
  const found = new Float64Array(biases);
  for (let from = 0; from < inputs; from++) {
    const value = values[from];
    if (value) for (let to = 0, at = from * neurons; to < neurons; to++, at++) found[to] += value * weights[at];
  }
  return found;
}

/** One logit is that of the second of two classes. */
export function softmax(logits) {
  const all = logits.length === 1 ? [0, logits[0]] : logits;
  const most = Math.max(...all);
  const parts = Array.from(all, (each) => Math.exp(each - most));
  const whole = parts.reduce((sum, each) => sum + each, 0);
  return parts.map((each) => each / whole);
}

/** The slope of an activation by what it gave. */
export const SLOPES = {
  logistic: (value) => value * (1 - value),
  relu: (value) => (value > 0 ? 1 : 0),
  tanh: (value) => 1 - value * value,
  identity: () => 1,
};

/** What a card says of the numbers of its network, for `forward`. */
export const numbersOf = ({ activation, pixelOffset, pixelScale }) => ({ activation, offset: pixelOffset, scale: pixelScale });
