// The tab in which a network learns live, in the page, from random weights.

import { element, percent, say } from "../../dom.js";
import { examples, trainingDigits } from "../../examples/examples.js";
import { forward } from "../../network/forward.js";
import { gallery, tileAt } from "../../network/gallery.js";
import { Curve } from "../curve.js";
import { Shares } from "../shares.js";
import { beginning, networkOf } from "./sgd.js";
import { Trainer } from "./trainer.js";
import { Weight } from "./weight.js";

const WIDTHS = [784, 16, 16, 10];
const CARD = { rows: 28, cols: 28, pixelMax: 255, classes: [..."0123456789"], dataset: "mnist" };
const POINTS = 240; // of a curve; when there are more, every second is dropped
const choices = (label, pairs, usual) => element("select", { "aria-label": label }, pairs.map(([value, name]) => element("option", { value: String(value), selected: value === usual }, name)));
const same = (values) => values.map((value) => [value, String(value)]);

export class Lesson {
  constructor(root, page) {
    Object.assign(this, { page, seed: 1 });
    this.activation = choices("Activation", [["relu", "ReLU"], ["logistic", "sigmoid"]], "relu");
    this.rate = choices("Learning rate", same([0.01, 0.03, 0.1, 0.3, 1, 3]), 0.1);
    this.batch = choices("Batch", [...same([1, 8, 32, 128]), [100000, "all"]], 32);
    this.go = this.#button("Learn", () => (this.running ? this.stop() : this.#run()), "strong");
    const one = this.#button("One step", () => this.#step());
    const again = this.#button("Same start again", () => this.#begin());
    const other = this.#button("Other start", () => {
      this.seed += 1;
      this.#begin();
    });
    this.activation.addEventListener("change", () => this.#begin());
    for (const each of [this.rate, this.batch]) each.addEventListener("change", () => this.trainer.set(...this.#pace()));
    this.progress = element("p", { class: "count" }, "\u00a0");
    this.shares = new Shares();
    this.title = element("h3", {}, "Your digit");
    this.gallery = element("canvas", { class: "gallery", role: "img", "aria-label": "The weights of each neuron of the first hidden layer as an image" });
    this.gallery.addEventListener("click", ({ offsetX, offsetY }) => {
      const neuron = tileAt(this.tiles, offsetX, offsetY);
      if (neuron >= 0) this.weight.choose(1, neuron + 1, this.weight.from);
    });
    this.images = element("div", { class: "images" }, this.gallery);
    this.curves = [
      new Curve("Cost", "cross-entropy on the digits learned from", ["cost"], (value) => value.toFixed(3), { low: 0 }),
      new Curve("Accuracy", "on the test digits of this page", ["right"], (value) => percent(value), { low: 0, high: 1 }),
    ];
    this.weight = new Weight();
    this.about = element("p", { class: "note" });
    const field = (name, select) => element("label", {}, `${name} `, select);
    const draw = this.#button("Draw another digit", () => page.draw(), "quiet");
    this.shown = element("div", { hidden: true },
      element("div", { class: "row player" }, this.go, one, field("Activation", this.activation), field("Learning rate", this.rate), field("Batch", this.batch), again, other),
      this.progress,
      element("div", { class: "lesson" },
        element("section", { class: "box" }, this.title, this.shares.root, draw),
        element("section", { class: "box wide" }, element("h3", {}, "What the first layer looks for"),
          element("p", { class: "note" }, "Each image is the weights into one neuron. A click on one shows its gradient below."), this.images),
        element("section", { class: "box curves" }, this.curves.map((each) => each.root)),
        this.weight.root));
    root.append(element("h2", {}, "Train here"), this.about, this.shown);
    new ResizeObserver(() => this.paint()).observe(this.images);
  }

  #button(text, act, kind = "") {
    const button = element("button", { type: "button", class: kind }, text);
    button.addEventListener("click", act);
    return button;
  }

  /** Raises `Failure`. */
  async show(subject) {
    if (!this.trainer) {
      const digits = await trainingDigits();
      const tests = await examples(CARD);
      if (this.trainer) return;
      Object.assign(this, { digits, tests, trainer: new Trainer((state) => this.#told(state)) });
      this.shown.hidden = false;
      this.#begin();
    }
    this.follow(subject);
  }

  follow({ model, version, pixels, card }) {
    if (!this.trainer) return; // its digits are on their way
    const wrong = Math.round((1 - card.accuracy) * card.testRows); // all of them are among the digits of the page
    const served = card.dataset === "mnist" ? ` ${model} ${version}, which learned from far more digits, is right about ${this.tests.length - wrong} of them, and about ${percent(card.accuracy, 2)} of all test digits.` : "";
    say(this.about, `A network of ${WIDTHS.join("-")} learns in this page from ${this.digits.length.toLocaleString("en")} digits of MNIST's training set, by plain stochastic gradient descent in double precision. It does not learn from the ${this.tests.length} test digits, which are hard ones.${served}`);
    const fits = pixels?.length === 784 && card.pixelMax === 255;
    this.pixels = fits ? pixels : null;
    this.#answer();
  }

  stop() {
    this.trainer?.pause();
    this.#turn(false);
  }

  #run() {
    this.#turn(true);
    this.trainer.go();
  }

  #step() {
    this.#turn(false);
    this.trainer.go(1);
  }

  #turn(running) {
    this.running = running;
    say(this.go, running ? "Pause" : "Learn");
  }

  #pace() {
    return [Number(this.rate.value), Number(this.batch.value)];
  }

  /** The same start for both activations; it goes on learning where it did. */
  #begin() {
    const [rate, batch] = this.#pace();
    Object.assign(this, { points: [], stride: 1, count: 0 });
    const { digits, tests, seed } = this;
    this.trainer.begin({ digits, tests, layers: beginning(WIDTHS, seed), activation: this.activation.value, seed, rate, batch });
    if (this.running) this.trainer.go();
  }

  #told(state) {
    this.state = state;
    const { step, epoch, cost, right } = state;
    const accuracy = right / this.tests.length;
    if (this.count++ % this.stride === 0) this.points.push([cost, accuracy]);
    if (this.points.length > POINTS) {
      this.points = this.points.filter((_, at) => at % 2 === 0);
      this.stride *= 2;
    }
    const points = this.points.at(-1)[0] === cost ? this.points : [...this.points, [cost, accuracy]];
    this.curves.forEach((each, line) => each.draw([points.map((point) => point[line])]));
    const lost = step && !Number.isFinite(cost) ? ". The steps were too large: choose a smaller learning rate and start again" : "";
    say(this.progress, step ? `Step ${step.toLocaleString("en")}, epoch ${epoch.toFixed(2)}: cost ${cost.toFixed(3)}, ${right} of ${this.tests.length} right${lost}` : `Before the first step: ${right} of ${this.tests.length} right`);
    this.progress.dataset.step = step;
    this.paint();
    this.#answer();
  }

  paint() {
    const width = this.images.clientWidth;
    if (!width || !this.state) return;
    const { layers, gradients } = this.state;
    this.tiles = gallery(this.gallery, layers[0], CARD, width, this.page.colours());
    this.weight.show(layers, gradients, this.#pace()[0], this.page.colours());
  }

  #answer() {
    const { state, pixels } = this;
    if (!state) return;
    const { scores, best } = pixels ? forward(networkOf(state.layers, this.activation.value), pixels) : {};
    this.shares.show(CARD, pixels, scores ?? null);
    say(this.title, pixels ? `It says ${best}` : "Your digit");
  }
}
