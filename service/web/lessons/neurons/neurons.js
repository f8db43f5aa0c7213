// The tab of single neurons: what each one is for, and what the network would be without it or with other weights.

import { element, figure, grey, percent, say } from "../../dom.js";
import { examples, picture } from "../../examples/examples.js";
import { forward, numbersOf } from "../../network/forward.js";
import { weightsOf } from "../../network/gallery.js";
import { describe } from "../../network/inspector.js";
import * as rpc from "../../rpc.js";
import { others } from "../others.js";
import { Shares } from "../shares.js";
import { Change } from "./change.js";
import { Layer } from "./layer.js";
import { answers, brightest, ideal, locality, losses } from "./measures.js";

const MOST = 64; // neurons of a layer that are shown one by one
const SHOWN = 12; // digits that light a neuron most

export class Lesson {
  constructor(root, page) {
    Object.assign(this, { page, key: "" });
    this.about = element("p", { class: "note" });
    this.none = element("div", { class: "box", hidden: true });
    this.honest = element("p", { class: "honest" });
    this.shares = new Shares();
    this.title = element("h3", {}, "Your digit");
    this.count = element("p", { class: "count", role: "status" });
    this.reset = element("button", { type: "button", disabled: true }, "Take all changes back");
    this.reset.addEventListener("click", () => this.#begin());
    const draw = element("button", { type: "button", class: "quiet" }, "Draw another digit");
    draw.addEventListener("click", () => page.draw());
    this.change = new Change(() => this.#changed());
    this.chosen = element("h3", {}, "");
    this.ideal = element("canvas", { role: "img", "aria-label": "The image that lights it most" });
    this.told = element("p", { class: "note" });
    this.digits = element("div", { class: "digits" });
    this.layers = element("div", { class: "layers" });
    this.shown = element("div", { hidden: true },
      element("div", { class: "whatif" },
        element("section", { class: "box" }, this.title, this.shares.root, draw, this.count, this.reset),
        element("section", { class: "box" }, this.chosen, this.change.root,
          element("div", { class: "lit" }, element("figure", {}, this.ideal, element("figcaption", {}, "Lights it most")), element("div", {}, this.told, this.digits)))),
      this.layers, this.honest);
    root.append(element("h2", {}, "What each neuron is for"), this.about, this.none, this.shown);
  }

  /** Show the network that the page has. Raises `Failure`. */
  async show(subject) {
    const key = `${subject.model} ${subject.version} ${subject.sha256}`;
    if (this.key === key) return this.follow(subject);
    Object.assign(this, { key, subject, card: null });
    try {
      await this.#load(subject, key);
    } catch (error) {
      this.key = "";
      throw error;
    }
  }

  async #load({ model, version, card }, key) {
    const shows = (each) => each?.layerWidths.slice(1, -1).every((neurons) => neurons <= MOST);
    this.none.hidden = shows(card);
    this.shown.hidden = true;
    say(this.about, "");
    if (!shows(card)) {
      const smaller = await others(this.page, (each) => shows(each.card));
      if (this.key !== key) return;
      return this.none.replaceChildren(
        element("p", {}, `${model} ${version}, ${describe(card)}, has too many neurons to be shown one by one: at most ${MOST} in a layer are. ${smaller ? "Choose a smaller network:" : "No version on this server is smaller."}`),
        ...(smaller ? [smaller] : []));
    }
    const layers = [];
    for (let layer = 1; layer < card.layerWidths.length; layer++) layers.push(await rpc.network(model, version, 0, layer));
    const digits = await examples(card);
    if (this.key !== key) return;
    const served = { ...numbersOf(card), layers, temperature: 1 };
    Object.assign(this, { card, served, test: digits, known: answers(served, digits), ideals: [], at: { layer: 1, neuron: 0 } });
    say(this.about, `${model} ${version}, ${describe(card)}${card.members > 1 ? ", its first network" : ""}. Switch neurons off, change a weight or a bias: the scores and the accuracy follow at once. All this happens in a copy of the network in this page, not on the server.`);
    this.#make();
    this.shown.hidden = false;
    this.#begin();
    await this.#measure(key);
  }

  #make() {
    const { card } = this;
    const last = card.layerWidths.length - 1;
    this.rows = Array.from({ length: last }, (_, index) => {
      const number = index + 1;
      const hidden = number < last;
      const names = hidden ? Array.from({ length: card.layerWidths[number] }, (__, neuron) => `neuron ${neuron + 1}`) : this.served.layers[index].neurons === card.classes.length ? card.classes : [card.classes.at(-1)];
      return new Layer(number, names, hidden, (neuron) => this.#choose(number, neuron), (neuron, on) => this.#turn(number, neuron, on));
    });
    this.layers.replaceChildren(element("p", { class: "note" }, `Each picture is the image that lights the neuron most. The bar below is what would be lost without the neuron: so many fewer of the ${this.test.length} test digits of this page, which are hard ones, would be right (blue: more). The box switches the neuron off.`),
      ...this.rows.map(({ root }) => root));
  }

  /** Begin anew with the network as it is served. */
  #begin() {
    const { served } = this;
    this.net = { ...served, layers: served.layers.map((layer) => ({ ...layer, weights: layer.weights.slice(), biases: layer.biases.slice() })) };
    this.off = this.card.layerWidths.map(() => new Set());
    this.#changed();
    this.#choose(this.at.layer, this.at.neuron);
    this.reset.disabled = true;
  }

  /** What is lost without each neuron, and what lights it; between two neurons the page may do something else. */
  async #measure(key) {
    const { served, test, known, rows, card } = this;
    const lost = rows.filter(({ hidden }) => hidden).map(({ number }) => losses(served, test, known, number));
    const most = Math.max(1, ...lost.flat().map(Math.abs));
    lost.forEach((each, index) => rows[index].lose(each, most));
    for (const row of rows) {
      for (let neuron = 0; neuron < row.neurons.length; neuron++) {
        await new Promise((done) => setTimeout(done));
        if (this.key !== key) return;
        const found = ideal(served, row.number, neuron, card.pixelMax);
        (this.ideals[row.number] ??= [])[neuron] = found;
        row.light(neuron, found.pixels, card);
        if (this.at.layer === row.number && this.at.neuron === neuron) this.#tell();
      }
    }
    this.#beHonest();
    this.layers.dataset.whole = "yes";
  }

  #choose(layer, neuron) {
    this.at = { layer, neuron };
    const { card, net, rows } = this;
    this.rows.forEach((row) => row.mark(row.number === layer ? neuron : -1, this.off[row.number]));
    say(this.chosen, `${rows[layer - 1].hidden ? `Hidden layer ${layer}, ` : "Output "}${rows[layer - 1].neurons[neuron].name}`);
    const first = layer === 1;
    this.change.show(net.layers[layer - 1], neuron, first, first ? card.cols : Math.ceil(Math.sqrt(card.layerWidths[layer - 1])), this.page.colours());
    this.#tell();
  }

  /** What lights the chosen neuron, in the network as it is served. */
  #tell() {
    const { at: { layer, neuron }, card, known, test, ideals, rows } = this;
    const found = ideals[layer]?.[neuron];
    grey(this.ideal, found?.pixels ?? [], card);
    this.ideal.dataset.sum = found?.sum ?? "";
    const places = brightest(known, layer, neuron, SHOWN);
    const value = places.length ? (known.all[places[0]].values[layer] ?? known.all[places[0]].logits)[neuron] : 0;
    const name = rows[layer - 1].hidden ? "activation" : "logit";
    say(this.told, !places.length ? "No test digit of this page lights it."
      : `These test digits light it most, the first to an ${name} of ${figure(value)}.`.replace("an logit", "a logit") + (found ? ` The image on the left, by gradient ascent from a blank one, brings its weighted sum to ${figure(found.sum)}.` : ""));
    this.digits.replaceChildren(...places.map((place) => {
      const laid = picture(test[place], card);
      const button = element("button", { type: "button", "aria-label": `A ${laid.truth}`, title: "Put it under the network" }, laid.bitmap);
      button.addEventListener("click", () => this.page.lay(laid));
      return button;
    }));
  }

  #turn(layer, neuron, on) {
    if (on) this.off[layer].delete(neuron);
    else this.off[layer].add(neuron);
    this.#choose(layer, neuron);
    this.#changed();
  }

  /** The network is another one: what it says of the digit, at once, and of the test digits, with the next frame. */
  #changed() {
    this.reset.disabled = false;
    this.#answer();
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      const { net, off, test, known } = this;
      const { right } = answers(net, test, off);
      const change = right - known.right;
      say(this.count, !test.length ? "This page has no test digits of its data set." : `${right} of ${test.length} test digits right${change ? `, ${Math.abs(change)} ${change > 0 ? "more" : "fewer"} than as it is served` : ""}`);
      this.count.dataset.right = right;
    });
  }

  follow(subject) {
    this.subject = subject;
    if (this.card) this.#answer();
  }

  #answer() {
    const { card, net, off, subject: { pixels } } = this;
    const fits = pixels?.length === card.rows * card.cols;
    const { scores, best } = fits ? forward(net, pixels, off) : {};
    this.shares.show(card, fits ? pixels : null, scores ?? null);
    say(this.title, fits ? `It says ${card.classes[best]}` : "Your digit");
  }

  /** How far "edges, then shapes" is true, by numbers. */
  #beHonest() {
    const { served, card, known, test, rows } = this;
    const mean = (values) => values.reduce((sum, each) => sum + each, 0) / values.length;
    const [first] = served.layers;
    const side = Math.round(card.rows / 3); // of a square of a ninth of the image
    const local = mean(Array.from({ length: first.neurons }, (_, neuron) => locality(weightsOf(first, neuron), card.rows, card.cols, side)).filter(Number.isFinite));
    const even = (side * side) / (card.rows * card.cols);
    const classes = rows.filter(({ hidden }) => hidden).map(({ number, neurons }) => mean(neurons
      .map((_, neuron) => brightest(known, number, neuron, SHOWN)).filter((places) => places.length)
      .map((places) => new Set(places.map((place) => test[place].truth)).size)));
    say(this.honest, `“Edges, then shapes” is ${local < 0.5 ? "hardly" : "partly"} what this network does. A neuron that looks for an edge has its weights in one small place. Here the ${side} × ${side} pixels with the most of a neuron's weights have ${percent(local, 0)} of them, on average over the first layer; weights that are spread evenly have ${percent(even, 0)} there.${test.length ? ` The ${SHOWN} digits that light a neuron most are of ${classes.map((each, at) => `${each.toFixed(1)} classes in hidden layer ${at + 1}`).join(", of ")}, on average; a neuron that looks for one digit has 1.` : ""}`);
  }

  paint() {
    if (this.card) this.#choose(this.at.layer, this.at.neuron);
  }

  stop() {}
}
