// The tab that plays a training: what the network was after each of some epochs.

import { element, percent, say } from "../../dom.js";
import { examples } from "../../examples/examples.js";
import { forward } from "../../network/forward.js";
import { gallery } from "../../network/gallery.js";
import { describe } from "../../network/inspector.js";
import { Curve } from "../curve.js";
import { others } from "../others.js";
import { Shares } from "../shares.js";
import { Mistakes } from "./mistakes.js";
import { learningOf } from "./snapshots.js";

const FRAME = 220; // milliseconds from one snapshot to the next

export class Lesson {
  /** `page` is what a lesson may ask of the page, see app.js. */
  constructor(root, page) {
    Object.assign(this, { root, page, frame: 0 });
    this.none = element("div", { class: "box", hidden: true });
    this.about = element("p", { class: "note" });
    this.play = element("button", { type: "button", class: "strong" }, "Play");
    this.play.addEventListener("click", () => (this.timer ? this.stop() : this.#play()));
    this.slider = element("input", { type: "range", min: "0", value: "0", "aria-label": "Snapshot of the training" });
    this.slider.addEventListener("input", () => {
      this.stop();
      this.#show(Number(this.slider.value));
    });
    this.epoch = element("output", {});
    this.shares = new Shares();
    this.title = element("h3", {}, "Your digit");
    const draw = element("button", { type: "button", class: "quiet" }, "Draw another digit");
    draw.addEventListener("click", () => page.draw());
    this.gallery = element("canvas", { class: "gallery", role: "img", "aria-label": "The weights of each neuron of the first hidden layer as an image, at this epoch" });
    this.images = element("div", { class: "images" }, this.gallery);
    this.curves = [
      new Curve("Loss", "cross-entropy, logarithmic", ["digits learned from", "others"], (value) => (10 ** value).toFixed(3)),
      new Curve("Accuracy", "on others, logarithmic towards 100 %", ["right"], (value) => percent(1 - 10 ** -value, 2)),
    ];
    this.mistakes = new Mistakes(page);
    this.shown = element("div", { hidden: true },
      element("div", { class: "row player" }, this.play, this.slider, this.epoch),
      element("div", { class: "lesson" },
        element("section", { class: "box" }, this.title, this.shares.root, draw),
        element("section", { class: "box wide" }, element("h3", {}, "What the first layer looks for"),
          element("p", { class: "note" }, "Each image is the weights into one neuron. Ink where it is warm excites it, where it is blue inhibits it."), this.images),
        element("section", { class: "box curves" }, this.curves.map((each) => each.root)),
        this.mistakes.root));
    root.append(element("h2", {}, "Watch it learn"), this.about, this.none, this.shown);
    new ResizeObserver(() => this.#paintImages()).observe(this.images);
  }

  /** Show the training of the network that the page has. Raises `Failure`. */
  async show(subject) {
    this.subject = subject;
    const key = `${subject.model} ${subject.version} ${subject.sha256}`;
    if (this.key !== key) {
      this.stop();
      this.key = key;
      this.learning = null;
      try {
        await this.#load(subject, key);
      } catch (error) {
        this.key = "";
        throw error;
      }
    } else if (this.learning) this.#answer();
  }

  async #load(subject, key) {
    this.shown.hidden = this.none.hidden = true;
    say(this.about, "Fetching the snapshots");
    const { card, model, version } = subject;
    const found = this.page.versions().find((each) => each.model === model && each.version === version);
    if (!found?.hasSnapshots) return this.#tellNone(subject, key);
    const learning = await learningOf(subject);
    const digits = await examples(card);
    if (this.key !== key) return;
    this.shown.hidden = false;
    Object.assign(this, { learning, card });
    const { epochs } = learning;
    say(this.about, `${model} ${version}, ${describe(card)}: ${epochs.length} snapshots of a training of ${epochs.at(-1)} epochs. The last one is the model that is served${card.members > 1 ? ", its first network" : ""}.`);
    this.slider.max = String(epochs.length - 1);
    const { losses, validationLosses, validationAccuracies } = learning;
    this.curves[0].draw([losses, validationLosses].map((each) => each.map(Math.log10)));
    this.curves[1].draw([validationAccuracies.map((each) => -Math.log10(1 - each))]);
    this.mistakes.begin(digits, learning, card);
    this.#show(0);
  }

  async #tellNone({ model, version, card }, key) {
    const having = await others(this.page, ({ hasSnapshots }) => hasSnapshots);
    if (this.key !== key) return;
    say(this.about, "");
    this.none.hidden = false;
    this.none.replaceChildren(
      element("p", {}, `${model} ${version}, ${describe(card)}, has no snapshots of its training, so it is not known what it looked like then. ${having ? "Choose a network that has them:" : "No version on this server has them."}`),
      ...(having ? [having] : []));
  }

  /** The page has another digit. */
  follow(subject) {
    this.subject = subject;
    if (this.learning) this.#answer();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    say(this.play, "Play");
  }

  #play() {
    const last = this.learning.nets.length - 1;
    if (this.frame === last) this.#show(0);
    say(this.play, "Pause");
    this.timer = setInterval(() => {
      if (document.hidden) return;
      this.#show(this.frame + 1);
      if (this.frame === last) this.stop();
    }, FRAME);
  }

  #show(frame) {
    this.frame = frame;
    const { epochs } = this.learning;
    const text = epochs[frame] === 0 ? "Before it learns" : `Epoch ${epochs[frame]} of ${epochs.at(-1)}`;
    this.slider.value = String(frame);
    this.slider.setAttribute("aria-valuetext", text);
    say(this.epoch, text);
    this.curves.forEach((each) => each.point(frame));
    this.mistakes.show(frame);
    this.#paintImages();
    this.#answer();
  }

  paint() {
    this.#paintImages();
    this.mistakes.wall.paint();
  }

  #answer() {
    const { card, subject, learning } = this;
    const { pixels } = subject;
    const fits = pixels?.length === card.rows * card.cols;
    const { scores, best } = fits ? forward(learning.nets[this.frame], pixels) : {};
    this.shares.show(card, fits ? pixels : null, scores ?? null);
    say(this.title, !fits ? "Your digit" : `It ${this.frame === learning.nets.length - 1 ? "says" : "said"} ${card.classes[best]}`);
  }

  #paintImages() {
    const width = this.images.clientWidth;
    const { learning, card } = this;
    if (!learning || !width) return;
    const [layer] = learning.nets[this.frame].layers;
    this.images.parentElement.hidden = layer.neurons > 64;
    if (layer.neurons <= 64) gallery(this.gallery, layer, card, width, this.page.colours());
  }
}
