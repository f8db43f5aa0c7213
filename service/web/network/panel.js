// One network on the page: which it is, its picture, its outputs, and the neuron that is looked at.

import { arrange, neuronAt } from "./arrange.js";
import { element, figure, fitted, percent, say } from "../dom.js";
import { Doubts } from "./uncertainty.js";
import { describe, Inspector } from "./inspector.js";
import { lights, paint } from "./paint.js";
import * as rpc from "../rpc.js";

const FETCHED = 60_000; // weights of a layer up to which it is fetched at once; more are fetched when asked for

export class Panel {
  /** `choose` is called when another version or coverage is chosen; `failed` with every failure. */
  constructor(name, colours, choose, failed) {
    this.colours = colours;
    this.failed = failed;
    this.select = element("select", { "aria-label": `Model and version, ${name} network` });
    this.select.addEventListener("change", choose);
    this.members = element("select", { class: "members", hidden: true, "aria-label": `Network of the committee, ${name} network` });
    this.members.addEventListener("change", () => this.#turn(Number(this.members.value)));
    this.about = element("p", { class: "about" }, "\u00a0");
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.neurons = element("div", { class: "neurons", role: "group", "aria-label": "Neurons; arrow keys go from one to the next" });
    this.outputs = element("ol", { class: "outputs", "aria-label": "Scores" });
    this.caption = element("p", { class: "caption" }, "what the network gets");
    this.stage = element("div", { class: "stage" }, this.canvas, this.caption, this.neurons, this.outputs);
    this.doubts = new Doubts(name, choose);
    this.inspector = new Inspector((neuron) => this.#keep({ layer: 1, neuron }));
    this.root = element("section", { class: "panel", "aria-label": `The ${name} network` },
      element("div", { class: "row" }, this.select, this.members, this.about), this.stage, this.doubts.root, this.inspector.root);
    this.card = null;
    this.member = 0;
    this.prediction = null;
    this.seen = null;
    this.focus = null;
    this.layers = [];
    this.buttons = [];
    this.stage.addEventListener("pointerleave", () => this.#look(this.kept ?? null));
    this.neurons.addEventListener("keydown", (event) => this.#walk(event));
    this.neurons.addEventListener("focusout", () => this.#look(this.kept ?? null));
    new ResizeObserver(() => this.#lay()).observe(this.stage);
  }

  get model() {
    return this.select.value.split(" ")[0] ?? "";
  }

  get version() {
    return this.select.value.split(" ")[1] ?? "";
  }

  /** Offer these versions, [{model, version, text}], and keep what was chosen, or choose `wanted`. */
  offer(versions, wanted) {
    const now = this.select.value;
    const groups = new Map();
    for (const { model, version, text } of versions) {
      if (!groups.has(model)) groups.set(model, element("optgroup", { label: model }));
      groups.get(model).append(element("option", { value: `${model} ${version}` }, text));
    }
    this.select.replaceChildren(...groups.values());
    const values = versions.map(({ model, version }) => `${model} ${version}`);
    this.select.value = [now, wanted, values[0]].find((value) => values.includes(value)) ?? "";
  }

  /** Fetch what is drawn of the chosen version. Raises `Failure`, and then the next time all is fetched anew. */
  async load() {
    const key = this.select.value;
    const { model, card } = await rpc.call("GetModel", { model: this.model, version: this.version });
    if (this.select.value !== key) return;
    const same = this.loaded === model.sha256;
    this.identity = model;
    if (same) return;
    this.loaded = "";
    this.card = card;
    this.layers = [];
    this.seen = this.prediction = null;
    this.kept = null;
    this.focus = null;
    say(this.about, `${describe(card)}, ${percent(card.accuracy, 2)} right`);
    this.doubts.expect(key, card);
    this.member = 0;
    this.members.hidden = card.members < 2;
    this.members.replaceChildren(...Array.from({ length: card.members }, (_, member) => element("option", { value: String(member) }, `network ${member + 1} of ${card.members}`)));
    this.#lay();
    await this.#fetchSome();
    if (this.card === card) this.loaded = model.sha256;
  }

  /** Ask the network about what is on the pad, see `Pad.image`; returns the prediction, with its `coverage`. Raises `Failure`. */
  async ask({ encoded, digit }) {
    const asked = this.select.value;
    const { rows, cols, pixelMax } = this.card ?? {};
    const fits = digit?.rows === rows && digit?.cols === cols && digit?.pixelMax === pixelMax;
    const wanted = this.doubts.wanted(asked);
    const answer = await rpc.call("Classify", {
      model: this.model, version: this.version, includeActivations: true, ...wanted,
      ...(digit && fits ? { pixels: digit.pixels } : { encodedImages: [encoded] }),
    });
    if (this.select.value !== asked || !this.card) return null;
    if (answer.model.sha256 !== this.identity.sha256) await this.load();
    return { ...answer.predictions[0], ...wanted };
  }

  /** Show a prediction, or with null that there is none. */
  show(prediction) {
    this.prediction = prediction;
    this.seen = prediction && this.#seen(prediction);
    this.doubts.show(prediction);
    this.paint();
  }

  #seen({ activations, scores, digit, margin }) {
    const { pixelOffset, pixelScale, activation, labels, layerWidths } = this.card;
    const hidden = layerWidths.length - 2; // layers of each network; those of a committee come one after the other
    const first = 1 + this.member * hidden;
    const values = [activations[0], ...activations.slice(first, first + hidden)].map((layer) => layer.values);
    const inputs = values.map((layer, index) => (index ? layer : layer.map((pixel) => (pixel - pixelOffset) * pixelScale)));
    const best = labels.indexOf(digit);
    return { values, inputs, scores, best, margin, lights: values.map((layer, index) => (index ? lights(layer, activation) : layer)) };
  }

  paint() {
    if (!this.arrangement) return;
    const context = fitted(this.canvas, this.arrangement.width, this.arrangement.height);
    paint(context, this, this.seen, this.focus, this.colours());
    this.#tell();
    this.#inspect();
  }

  async #fetch(layer) {
    const card = this.card;
    const member = this.member;
    const found = await rpc.network(this.model, this.version, member, layer);
    if (this.card !== card || this.member !== member) return;
    this.layers[layer] = found;
    this.paint();
  }

  /** Fetch the layers that are small enough to be fetched at once, and the one that is looked at. */
  async #fetchSome() {
    const { card } = this;
    const { layerWidths } = card;
    for (let layer = 1; layer < layerWidths.length && this.card === card; layer++) {
      const small = layerWidths[layer - 1] * layerWidths[layer] <= FETCHED;
      if (small || layer === this.focus?.layer) await this.#fetch(layer);
    }
  }

  /** Show another network of a committee; the scores are those of all together. */
  #turn(member) {
    this.member = member;
    this.layers = [];
    this.show(this.prediction);
    this.#fetchSome().catch(this.failed);
  }

  /** Put everything in its place for the width that there is. */
  #lay() {
    if (!this.card || !this.stage.clientWidth) return;
    const { card } = this;
    this.arrangement = arrange(this.stage.clientWidth, card.layerWidths, card.classes.length);
    Object.assign(this.arrangement, { rows: card.rows, cols: card.cols });
    this.stage.style.height = `${this.arrangement.height}px`;
    this.stage.classList.toggle("down", !this.arrangement.wide);
    const { image, wide } = this.arrangement;
    const [left, top] = wide ? [image.x, image.y + image.h + 6] : [image.x + image.w + 8, image.y];
    Object.assign(this.caption.style, { left: `${left}px`, top: `${top}px`, width: `${wide ? image.w : Math.min(90, this.arrangement.width - left)}px` });
    this.#placeNeurons();
    this.#placeOutputs();
    this.paint();
  }

  #placeNeurons() {
    this.buttons = this.arrangement.layers.map((layer, index) => {
      if (layer.kind === "map") {
        const button = this.#button(layer.box, { class: "map" });
        let cursor = 0;
        button.addEventListener("pointermove", (event) => {
          const box = this.stage.getBoundingClientRect();
          const neuron = neuronAt(layer, event.clientX - box.left, event.clientY - box.top);
          if (neuron >= 0) this.#look({ layer: index + 1, neuron: (cursor = neuron) });
        });
        button.addEventListener("focus", () => this.#look({ layer: index + 1, neuron: cursor }));
        button.addEventListener("click", () => this.#keep({ layer: index + 1, neuron: cursor }));
        button.walk = (step) => this.#look({ layer: index + 1, neuron: (cursor = Math.min(Math.max(cursor + step, 0), layer.neurons - 1)) });
        return [button];
      }
      const half = Math.max(12, layer.r + 2);
      return layer.at.map(([x, y], neuron) => this.#neuron({ layer: index + 1, neuron }, x, y, half));
    });
    const { outputs } = this.arrangement;
    const half = Math.max(12, outputs.r + 2);
    const last = this.card.layerWidths.length - 1;
    if (this.card.layerWidths[last] === this.card.classes.length) {
      this.buttons.push(outputs.at.map(([x, y], neuron) => this.#neuron({ layer: last, neuron }, x, y, half)));
    }
    this.neurons.replaceChildren(...this.buttons.flat());
    if (this.buttons.flat().length) this.buttons.flat()[0].tabIndex = 0;
  }

  #neuron(which, x, y, half) {
    const button = this.#button({ x: x - half, y: y - half, w: 2 * half, h: 2 * half }, {});
    button.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && this.#look(which));
    button.addEventListener("focus", () => this.#look(which));
    button.addEventListener("click", () => this.#keep(which));
    return button;
  }

  #button({ x, y, w, h }, attributes) {
    const button = element("button", { type: "button", tabIndex: -1, ...attributes });
    Object.assign(button.style, { left: `${x}px`, top: `${y}px`, width: `${w}px`, height: `${h}px` });
    return button;
  }

  /** Arrow keys: within a layer and from layer to layer, whichever way the network is drawn. */
  #walk(event) {
    const layer = this.buttons.findIndex((buttons) => buttons.includes(event.target));
    if (event.key === "Escape") return this.#keep(null);
    const { wide } = this.arrangement;
    const [on, back, down, up] = wide ? ["ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp"] : ["ArrowDown", "ArrowUp", "ArrowRight", "ArrowLeft"];
    const step = { [down]: 1, [up]: -1, PageDown: 50, PageUp: -50 }[event.key] ?? 0;
    const hop = { [on]: 1, [back]: -1 }[event.key] ?? 0;
    if (layer < 0 || (!step && !hop)) return;
    event.preventDefault();
    if (step && event.target.walk) return event.target.walk(step);
    const next = this.buttons[layer + hop];
    if (!next) return;
    const seat = this.buttons[layer].indexOf(event.target);
    const button = next[Math.min(Math.max(hop ? Math.round((seat / this.buttons[layer].length) * next.length) : seat + step, 0), next.length - 1)];
    event.target.tabIndex = -1;
    button.tabIndex = 0;
    button.focus();
  }

  /** Look at a neuron as long as the pointer or the keyboard is there. */
  #look(which) {
    if (this.focus?.layer === which?.layer && this.focus?.neuron === which?.neuron) return;
    this.focus = which;
    this.paint();
    const heavy = which && !this.layers[which.layer] && this.loading !== which.layer;
    if (heavy) {
      this.loading = which.layer;
      this.#fetch(which.layer).catch(this.failed).finally(() => (this.loading = 0));
    }
  }

  /** Go on looking at it; a second time lets go. */
  #keep(which) {
    const same = which && this.kept?.layer === which.layer && this.kept.neuron === which.neuron;
    this.kept = same ? null : which;
    this.focus = undefined;
    this.#look(which);
  }

  #placeOutputs() {
    const { outputs, wide, width, height } = this.arrangement;
    this.bars = outputs.at.map(([x, y], seat) => {
      const bar = element("span", { class: "bar" });
      const score = element("span", { class: "score" });
      const row = element("li", {}, element("span", { class: "class" }, this.card.classes[seat]), element("span", { class: "track" }, bar), score);
      const [left, top, w, h] = wide
        ? [x + outputs.r + 8, y - outputs.pitch / 2, width - x - outputs.r - 10, outputs.pitch]
        : [x - outputs.pitch / 2, y + outputs.r + 4, outputs.pitch, height - y - outputs.r - 4];
      Object.assign(row.style, { left: `${left}px`, top: `${top}px`, width: `${w}px`, height: `${h}px` });
      return { row, bar, score };
    });
    this.outputs.replaceChildren(...this.bars.map(({ row }) => row));
  }

  /** The same as the picture in words and numbers. */
  #tell() {
    this.bars.forEach(({ row, bar, score }, seat) => {
      const share = this.seen ? this.seen.scores[seat] : 0;
      bar.style.setProperty("--share", share);
      row.classList.toggle("best", this.seen?.best === seat);
      say(score, this.seen ? (this.arrangement.wide ? percent(share) : `${Math.round(100 * share)}`) : "");
    });
    this.buttons.forEach((buttons, index) => buttons.forEach((button, neuron) => {
      const layer = index + 1;
      const map = button.classList.contains("map");
      const at = map ? (this.focus?.layer === layer ? this.focus.neuron : 0) : neuron;
      const output = layer === this.card.layerWidths.length - 1;
      const value = output ? this.seen?.scores[at] : this.seen?.values[layer]?.[at];
      const name = output ? `Output ${this.card.classes[at]}` : `Hidden layer ${layer}, neuron ${at + 1}${map ? ` of ${this.card.layerWidths[layer]}` : ""}`;
      button.setAttribute("aria-label", value === undefined ? name : `${name}: ${figure(value)}`);
      button.setAttribute("aria-pressed", this.kept?.layer === layer && (map || this.kept.neuron === at));
      button.dataset.value = value ?? "";
    }));
  }

  #inspect() {
    const { focus, seen, card } = this;
    this.inspector.survey(card, this.layers[1] ?? null, this.arrangement.width, this.colours());
    this.inspector.show(focus && {
      card, ...focus, seen, colours: this.colours(),
      weights: this.layers[focus.layer] ?? null,
      value: focus.layer === card.layerWidths.length - 1 ? seen?.scores[focus.neuron] : seen?.values[focus.layer]?.[focus.neuron],
    });
  }
}
