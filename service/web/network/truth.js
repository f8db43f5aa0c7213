// What a test digit is, beside what the networks say of it, with the way to Why where one is wrong.

import { element, say } from "../dom.js";

export class Truth {
  /** `ask` is called with the name of a class that was not recognised. */
  constructor(root, ask) {
    this.root = root;
    this.text = element("span");
    this.button = element("button", { type: "button" });
    this.button.addEventListener("click", () => ask(this.name));
    root.append(this.text, this.button);
  }

  /** Show that the digit is a `name`, with null that this is not known; `said` is the class that each network names. */
  show(name, said) {
    this.name = name;
    this.root.hidden = name === null;
    this.button.hidden = said.every((each) => each === name);
    say(this.text, `Test digit, labelled ${name}.`);
    const wrong = [...new Set(said)].filter((each) => each !== name);
    say(this.button, `Why ${wrong.join(" and ")}, not ${name}?`);
  }
}
