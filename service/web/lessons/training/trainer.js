// The page's end of the worker.

// Pages whose policy requires trusted types take the address of a worker from a policy alone.
const policy = globalThis.trustedTypes?.createPolicy("digits-worker", { createScriptURL: (url) => url });

let runs = 0;

export class Trainer {
  /** `told` is called with each message of the worker, see worker.js. */
  constructor(told) {
    const url = new URL("./worker.js", import.meta.url).href;
    this.worker = new Worker(policy ? policy.createScriptURL(url) : url, { type: "module" });
    this.worker.onmessage = ({ data }) => data.run === this.run && told(data);
    this.worker.onerror = (event) => reportError(event.error ?? new Error(event.message || "the worker did not start"));
  }

  /** Begin anew, see worker.js. */
  begin(job) {
    this.run = runs += 1; // what is still on its way is of another one
    this.worker.postMessage({ kind: "begin", run: this.run, ...job });
  }

  set(rate, batch) {
    this.worker.postMessage({ kind: "set", rate, batch });
  }

  /** Do so many steps, without end by default. */
  go(steps = Infinity) {
    this.worker.postMessage({ kind: "run", steps });
  }

  pause() {
    this.worker.postMessage({ kind: "pause" });
  }
}
