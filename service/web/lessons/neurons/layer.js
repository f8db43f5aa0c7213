// The neurons of one layer: for each what would light it most, what is lost without it, and its switch.

import { element, grey, say } from "../../dom.js";

export class Layer {
  /** `choose` is called with a neuron to look at, `turn` with one that is switched, and whether it is on. */
  constructor(number, names, hidden, choose, turn) {
    Object.assign(this, { number, hidden });
    this.neurons = names.map((name, neuron) => {
      const canvas = element("canvas", { "aria-hidden": "true" });
      const button = element("button", { type: "button", "aria-pressed": "false", "aria-label": hidden ? name : `output ${name}` }, canvas, element("span", {}, name.replace("neuron ", "")));
      button.addEventListener("click", () => choose(neuron));
      const bar = element("span", { class: "bar" });
      const lost = element("small", {}, "\u00a0");
      const on = element("input", { type: "checkbox", checked: true, "aria-label": `${name} of hidden layer ${number} is on` });
      on.addEventListener("change", () => turn(neuron, on.checked));
      const root = element("li", {}, button, hidden ? element("span", { class: "track" }, bar) : null, hidden ? element("span", { class: "row" }, on, lost) : null);
      return { name, canvas, button, bar, lost, on, root };
    });
    this.root = element("section", { class: "box layer" },
      element("h3", {}, hidden ? `Hidden layer ${number}` : "Output"),
      element("ol", {}, this.neurons.map(({ root }) => root)));
  }

  /** Show how many digits fewer are right without each neuron. */
  lose(losses, most) {
    this.neurons.forEach(({ name, bar, lost, root }, neuron) => {
      const loss = losses[neuron];
      bar.style.setProperty("--share", Math.abs(loss) / most);
      root.classList.toggle("gain", loss < 0);
      say(lost, loss < 0 ? `+${-loss}` : loss > 0 ? `−${loss}` : "0");
      lost.title = `Without ${name} ${loss < 0 ? `${-loss} more are right` : `${loss} fewer are right`}`;
      root.dataset.lost = loss;
    });
  }

  /** Show the image that lights a neuron most. */
  light(neuron, pixels, card) {
    grey(this.neurons[neuron].canvas, pixels, card);
  }

  /** Mark the neuron that is looked at, -1: none, and those that are on. */
  mark(chosen, off) {
    this.neurons.forEach(({ button, on, root }, neuron) => {
      button.setAttribute("aria-pressed", neuron === chosen);
      on.checked = !off.has(neuron);
      root.classList.toggle("off", off.has(neuron));
    });
  }
}
