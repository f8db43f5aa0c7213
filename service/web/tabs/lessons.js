// The lessons: tabs whose program is fetched when they are first looked at.

import { $, element } from "../dom.js";
import { Failure } from "../rpc.js";

const STYLE = "lessons/lessons.css";
const FILES = {
  learning: "../lessons/learning/learning.js",
  training: "../lessons/training/training.js",
  neurons: "../lessons/neurons/neurons.js",
};

export class Lessons {
  /** `page` is what a lesson may ask of the page; `failed` is called with what went wrong. */
  constructor(page, failed) {
    Object.assign(this, { page, failed });
    this.loaded = new Map(); // by name
    this.name = "";
  }

  /** Whether a tab is a lesson. */
  static has(name) {
    return name in FILES;
  }

  /** Show a lesson, or with the name of another tab none. */
  async show(name) {
    for (const lesson of this.loaded.values()) lesson.stop();
    this.name = name;
    if (!Lessons.has(name)) return;
    try {
      const lesson = await this.#load(name);
      if (this.name === name) await lesson.show(this.page.subject());
    } catch (error) {
      this.failed(error);
    }
  }

  /** The page has another digit. */
  follow() {
    this.loaded.get(this.name)?.follow(this.page.subject());
  }

  /** The colours are other ones. */
  paint() {
    this.loaded.get(this.name)?.paint();
  }

  async #load(name) {
    if (!this.loaded.has(name)) {
      const [{ Lesson }] = await Promise.all([import(FILES[name]), styled()]).catch(() => {
        throw new Failure("gone", "");
      });
      if (!this.loaded.has(name)) this.loaded.set(name, new Lesson($(`view-${name}`), this.page));
    }
    return this.loaded.get(name);
  }
}

let style = null; // whether the lessons' style is here, as a promise

function styled() {
  style ??= new Promise((done, failed) => {
    const link = element("link", { rel: "stylesheet", href: STYLE });
    link.addEventListener("load", done);
    link.addEventListener("error", () => {
      link.remove();
      style = null;
      failed();
    });
    document.head.append(link);
  });
  return style;
}
