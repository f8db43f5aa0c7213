// Why a network says what it says: what each pixel and each neuron adds to the value of a class, and what would change it.

import { element, figure, fitted, percent, say } from "../dom.js";
import { base64 } from "../reading/picture.js";
import * as rpc from "../rpc.js";
import { typical } from "./gallery.js";
import { image, mix } from "./paint.js";

const SIDE = 200; // pixels along the side of a picture
const MOST = 16; // neurons of a layer that are named

export class Why {
  /** `toggle` is the box that switches it on; `panel` gives the network; `failed` is called with every failure. */
  constructor(toggle, panel, colours, failed) {
    Object.assign(this, { toggle, panel, colours, failed });
    this.title = element("h2", {}, "Why");
    this.classes = element("select", { "aria-label": "Class to explain" });
    this.members = element("select", { hidden: true, "aria-label": "Network of the committee to explain" });
    this.targets = element("select", { "aria-label": "Class to change it into" });
    this.find = element("button", { type: "button" }, "Find a small change");
    this.note = element("p", { class: "note" });
    this.digit = picture("What speaks for it and against it");
    this.changed = picture("A small change");
    this.changed.figure.hidden = true;
    this.layers = element("div", { class: "parts" });
    this.said = element("p", { class: "unseen", role: "status" });
    this.root = element("section", { class: "why box", "aria-label": "Why the network says so", hidden: true },
      element("div", { class: "row" }, this.title, element("label", {}, "Explain ", this.classes), this.members),
      this.note,
      element("div", { class: "reasons" },
        element("div", { class: "pictures" }, this.digit.figure, this.changed.figure,
          element("div", { class: "controls" }, this.find, element("label", {}, "into ", this.targets),
            element("ul", { class: "legend", "aria-label": "Colours of the parts" },
              element("li", { class: "plus" }, "excites: speaks for it"), element("li", { class: "minus" }, "inhibits: speaks against it")))),
        this.layers), this.said);
    toggle.addEventListener("change", () => this.follow());
    this.classes.addEventListener("change", () => this.#ask(false));
    this.members.addEventListener("change", () => this.paint());
    this.find.addEventListener("click", () => this.#ask(true));
    this.targets.addEventListener("change", () => this.#ask(true));
  }

  /** The panel shows another answer. */
  follow() {
    this.root.hidden = !this.toggle.checked;
    if (this.root.hidden) return;
    const { card, prediction, model, version } = this.panel;
    if (card && this.card !== card) this.#offer(card);
    if (!prediction) {
      Object.assign(this, { answer: null, prediction, wanted: null });
      this.paint();
    } else if (this.prediction !== prediction) {
      Object.assign(this, { prediction, asked: { model, version, pixels: base64(Uint8Array.from(prediction.activations[0].values)) } });
      this.#ask(false);
    }
  }

  #offer(card) {
    this.card = card;
    const options = (first) => [element("option", { value: "" }, first), ...card.classes.map((name, at) => element("option", { value: String(at) }, name))];
    this.classes.replaceChildren(...options("the best score"));
    this.targets.replaceChildren(...options("any other class"));
    this.members.hidden = card.members < 2;
    this.members.replaceChildren(...Array.from({ length: card.members }, (_, member) => element("option", { value: String(member) }, `network ${member + 1} of ${card.members}`)));
  }

  /** Ask about the newest digit, one call at a time. */
  async #ask(findChange) {
    if (!this.prediction) return;
    const chosen = (select) => (select.value === "" ? undefined : Number(select.value));
    this.wanted = { ...this.asked, explainedClass: chosen(this.classes), ...(findChange ? { findChange, changedClass: chosen(this.targets) } : {}) };
    if (this.root.ariaBusy === "true") return;
    this.root.ariaBusy = "true";
    try {
      while (this.wanted) {
        const { wanted, card } = this;
        this.wanted = null;
        if (wanted.findChange) say(this.changed.caption, "Looking for a small change");
        const answer = await rpc.call("Explain", wanted);
        if (this.wanted || card !== this.card || !this.prediction) continue;
        Object.assign(this, { answer, looked: Boolean(wanted.findChange) });
        this.paint();
      }
    } catch (error) {
      this.failed(error);
    } finally {
      this.root.ariaBusy = "false";
    }
  }

  paint() {
    if (this.root.hidden) return;
    const { answer, card } = this;
    this.find.disabled = !answer;
    this.changed.figure.hidden = !answer || !this.looked;
    if (!answer) {
      say(this.title, "Why");
      say(this.note, "Draw a digit to see why the network says what it says.");
      say(this.digit.caption, "");
      this.layers.replaceChildren();
      fitted(this.digit.canvas, SIDE, SIDE);
      return;
    }
    const name = card.classes[answer.explainedClass];
    const explained = answer.members[Number(this.members.value) || 0];
    const [pixels, ...hidden] = explained.layers;
    const bytes = Uint8Array.from(atob(answer.pixels), (each) => each.charCodeAt(0));
    say(this.title, `Why ${name}`);
    say(this.note, `${told(explained)}${card.members > 1 ? ` Logits of all networks: ${answer.members.map(({ logit }) => figure(logit)).join(", ")}.` : ""}`);
    const most = typical(pixels.contributions);
    this.#picture(this.digit.canvas, bytes, (at) => pixels.contributions[at] / most);
    say(this.digit.caption, `Pixels for and against ${name}`);
    this.layers.replaceChildren(...hidden.map((layer, index) => parts(layer, index + 1)));
    this.#tellChange(bytes);
  }

  #tellChange(before) {
    if (!this.looked) return;
    const { change } = this.answer;
    if (!change) {
      fitted(this.changed.canvas, SIDE, SIDE);
      say(this.changed.caption, "No small change was found.");
    } else {
      const after = Uint8Array.from(atob(change.pixels), (each) => each.charCodeAt(0));
      const most = Math.max(1, ...after.map((each, at) => Math.abs(each - before[at])));
      this.#picture(this.changed.canvas, after, (at) => (after[at] - before[at]) / most, false);
      const { digit, scores } = change.prediction;
      const seat = this.card.labels.indexOf(digit);
      const count = change.changedPixels;
      say(this.changed.caption, `${count} ${count === 1 ? "pixel" : "pixels"} changed, and it says ${this.card.classes[seat]}, ${percent(scores[seat])}. Warm ones got brighter, blue ones darker.`);
    }
    say(this.said, this.changed.caption.textContent);
  }

  /** A digit with a colour of -1..1 over each pixel; without `veiled` those that have none are as bright as they are. */
  #picture(canvas, pixels, share, veiled = true) {
    const { rows, cols, pixelMax } = this.card;
    const { plus, minus } = this.colours();
    const context = fitted(canvas, SIDE, SIDE);
    const scale = (SIDE - 2) / Math.max(rows, cols);
    const box = { x: (SIDE - cols * scale) / 2, y: (SIDE - rows * scale) / 2, w: cols * scale, h: rows * scale };
    const colour = (at) => {
      const ink = mix([8, 10, 16], [255, 255, 255], (veiled ? 0.45 : 1) * pixels[at] / pixelMax);
      const part = share(at);
      return mix(ink, part < 0 ? minus : plus, Math.min(1, Math.abs(part)));
    };
    image(context, box, [...pixels.keys()], rows, cols, colour, this.colours());
  }
}

function picture(title) {
  const canvas = element("canvas", { role: "img", "aria-label": title });
  const caption = element("small");
  return { canvas, caption, figure: element("figure", {}, canvas, element("figcaption", {}, title, caption)) };
}

function told({ exact, logit }) {
  const how = exact
    ? "The parts are exact: with ReLU the network is linear around an image."
    : "The parts are integrated gradients between a blank image and this one: an approximation.";
  return `The logit, its value before the softmax, is ${figure(logit)}. ${how} In each layer the parts and the rest add up to the logit.`;
}

/** What the neurons of a layer add, the strongest first. */
function parts({ contributions, rest }, number) {
  const found = contributions.map((value, neuron) => ({ value, name: `neuron ${neuron + 1}` }))
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const shown = found.filter(({ value }) => value).slice(0, MOST);
  const others = found.slice(shown.length);
  if (others.length) shown.push({ name: `${others.length} ${others.length === 1 ? "other" : "others"}`, value: others.reduce((sum, { value }) => sum + value, 0) });
  const most = Math.max(1e-12, ...shown.map(({ value }) => Math.abs(value)), Math.abs(rest));
  const row = ({ name, value }) => {
    const bar = element("span", { class: "bar" });
    bar.style.setProperty("--share", Math.abs(value) / most);
    const item = element("li", { class: value < 0 ? "minus" : "plus" }, element("span", {}, name), element("span", { class: "track" }, bar), element("span", { class: "value" }, figure(value)));
    item.dataset.value = value;
    return item;
  };
  return element("div", {}, element("h3", {}, `Hidden layer ${number}`), element("ol", {}, shown.map(row), row({ name: "rest", value: rest })));
}
