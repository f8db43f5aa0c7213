// The snapshots of a training: the network after some of its epochs.

import { numbersOf } from "../../network/forward.js";
import * as rpc from "../../rpc.js";

const number = (value) => Number(value); // JSON has "NaN" for what is none

/**
 * The training of a version: {epochs, losses, validationLosses, validationAccuracies, nets}, of which `nets` are for
 * `forward`. The last net is that of the model itself. Raises `Failure`.
 */
export async function learningOf({ model, version, card }) {
  const curves = await rpc.call("GetLearning", { model, version });
  const { layerWidths, epochs, temperature } = curves;
  const nets = epochs.map(() => ({ ...numbersOf(card), temperature, layers: [] }));
  const last = nets.at(-1);
  last.temperature = 1; // it is in the weights of the model
  for (let layer = 1; layer < layerWidths.length; layer++) {
    const [inputs, neurons] = [layerWidths[layer - 1], layerWidths[layer]];
    const { weights, biases } = await rpc.snapshots(model, version, layer);
    nets.slice(0, -1).forEach((net, at) => net.layers.push({
      inputs, neurons,
      weights: weights.subarray(at * inputs * neurons, (at + 1) * inputs * neurons),
      biases: biases.subarray(at * neurons, (at + 1) * neurons),
    }));
    last.layers.push(await rpc.network(model, version, 0, layer));
  }
  const [losses, validationLosses, validationAccuracies] = [curves.losses, curves.validationLosses, curves.validationAccuracies].map((each) => each.map(number));
  return { epochs, losses, validationLosses, validationAccuracies, nets };
}
