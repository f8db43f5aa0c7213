// The server as this page finds it: well, gone, or closed to strangers; and what is said of that.

import { $, say } from "../dom.js";
import * as rpc from "../rpc.js";

const LOOK = { well: 3000, gone: 700 }; // milliseconds between two looks at it
const STATUS = { new: "Looking for the server", well: "Connected", gone: "Server gone", token: "Token wanted" };

export class Server {
  /** `learn` asks it what it has, and may raise `Failure`; `use` is called whenever all that is known. */
  constructor(learn, use) {
    this.learn = learn;
    this.use = use;
    this.state = "new";
    this.connecting = false;
    this.failed = this.failed.bind(this);
    rpc.pace.addEventListener("busy", () => say($("status"), "Server busy"));
    rpc.pace.addEventListener("free", () => say($("status"), STATUS[this.state]));
    $("token-button").addEventListener("click", () => $("token-dialog").showModal());
    $("token-dialog").addEventListener("submit", (event) => this.#check(event));
    $("token-dialog").addEventListener("close", () => this.#take());
  }

  get well() {
    return this.state === "well";
  }

  /** Learn what it has; one at a time. Raises nothing. */
  async connect() {
    if (this.connecting) return;
    this.connecting = true;
    try {
      await this.learn();
      this.#turn("well");
      this.use();
    } catch (error) {
      this.failed(error);
    } finally {
      this.connecting = false;
    }
  }

  /** Look at it as long as the page is open, and connect whenever that is to be done. Nothing ends it. */
  async watch() {
    await this.connect();
    for (;;) {
      await new Promise((done) => setTimeout(done, LOOK[this.state] ?? LOOK.well));
      if (document.hidden) continue;
      const trouble = await rpc.readiness();
      if (trouble !== null) this.failed(new rpc.Failure("gone", trouble));
      else if (!this.well && this.state !== "token") await this.connect();
    }
  }

  /** Say what went wrong, and do what there is to do about it. Raises nothing. */
  failed(error) {
    if (!(error instanceof rpc.Failure)) return reportError(error);
    if (error.kind === "gone") {
      const why = error.message ? `The server is not ready: ${error.message.replace(/\.$/, "")}` : "The server does not answer";
      this.#turn("gone", `${why}. Draw on: this page goes on by itself when it is back.`);
    } else if (error.kind === "token") this.#turn("token");
    else if (error.kind === "missing" && this.well) this.#turn("new"); // it has other models by now
    else this.warn(`The server refused: ${error.message}`);
  }

  /** Show a sentence until another one, or until all is well again. */
  warn(text) {
    say($("banner"), text);
    $("banner").hidden = !text;
  }

  /** Take back what was said of a single call. */
  calm() {
    if (this.well) this.warn("");
  }

  #turn(to, text = "") {
    this.state = to;
    document.documentElement.dataset.server = to;
    say($("status"), STATUS[to]);
    this.warn(text);
    if (to === "token" && !$("token-dialog").open) {
      if (rpc.token.get()) say($("token-why"), "It does not know this token. Enter another one.");
      $("token-dialog").showModal();
    }
  }

  /** Keep the dialog open for what cannot be sent: a header has ASCII alone. */
  #check(event) {
    if (event.submitter?.value !== "use" || /^[ -~]*$/.test($("token").value.trim())) return;
    event.preventDefault();
    say($("token-why"), "A token has none but the letters, digits and signs of ASCII, and this one has others. Enter another one.");
    $("token").select();
  }

  #take() {
    if ($("token-dialog").returnValue !== "use") return;
    rpc.token.set($("token").value.trim());
    $("token").value = "";
    this.connect();
  }
}
