// The tabs: by mouse, by arrow keys, and by the address, whose fragment names the one that is shown.

import { $ } from "../dom.js";

export class Tabs {
  /** `shown` is called when another one is shown. */
  constructor(shown) {
    this.shown = shown;
    this.tabs = [...document.querySelectorAll("[role=tab]")];
    this.names = this.tabs.map(({ id }) => id.slice("tab-".length));
    this.tabs.forEach((tab, index) => {
      tab.addEventListener("click", () => this.show(this.names[index]));
      tab.addEventListener("keydown", ({ key }) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
        if (step) this.show(this.names.at((index + step) % this.names.length), true);
      });
    });
    addEventListener("hashchange", () => this.follow());
  }

  /** Show the one that the address names, else the first. */
  follow() {
    const name = location.hash.slice(1);
    this.show(this.names.includes(name) ? name : this.names[0]);
  }

  show(name, focus = false) {
    this.tabs.forEach((tab, index) => {
      const chosen = this.names[index] === name;
      tab.setAttribute("aria-selected", chosen);
      tab.tabIndex = chosen ? 0 : -1;
      $(tab.getAttribute("aria-controls")).hidden = !chosen;
      if (chosen && focus) tab.focus();
    });
    this.name = name;
    if (location.hash !== `#${name}`) history.replaceState(null, "", `#${name}`);
    this.shown();
  }
}
