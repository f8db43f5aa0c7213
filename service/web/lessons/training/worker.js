// A network learns here, beside the page, so that the page stays quick.
//
// It is told {kind: "begin", digits, tests, layers, activation, seed, order}, {kind: "set", rate, batch},
// {kind: "run", steps} and {kind: "pause"}. It tells {run, step, epoch, cost, right, layers, gradients} after
// the beginning, after each `TOLD` digits, and after the last step. `order` are places in `digits` to be taken in turn;
// without it they are shuffled anew for each epoch.

import { forward } from "../../network/forward.js";
import { networkOf, random, step } from "./sgd.js";

const TOLD = 600; // digits learned from between two messages

let job = null;

const { port1: later, port2: soon } = new MessageChannel(); // lets messages of the page come in between
later.onmessage = ({ data }) => data === job.run && job.left && work();

onmessage = ({ data }) => {
  if (data.kind === "begin") begin(data);
  else if (data.kind === "set") Object.assign(job, { rate: data.rate, batch: data.batch });
  else if (data.kind === "pause") job.left = 0;
  else if (data.kind === "run") {
    const idle = !job.left;
    job.left = data.steps;
    if (idle) soon.postMessage(job.run);
  }
};

function begin({ run, digits, tests, layers, activation, seed, order, rate, batch }) {
  job = {
    run, digits, tests, rate, batch, seed,
    net: networkOf(layers, activation), next: random(seed), order: order ?? shuffled(digits.length, random(seed)), given: Boolean(order),
    at: 0, step: 0, seen: 0, left: 0, costs: [], untold: 0, gradients: null,
  };
  tell();
}

/** Learn until there is something to tell, then see whether the page has said something. */
function work() {
  while (job.left && job.untold < TOLD) {
    const batch = take();
    const { cost, gradients } = step(job.net, batch, job.rate);
    job.costs.push(cost);
    Object.assign(job, { gradients, step: job.step + 1, seen: job.seen + batch.length, untold: job.untold + batch.length, left: job.left - 1 });
  }
  tell();
  if (job.left) soon.postMessage(job.run);
}

/** The next batch; the last one of an epoch may be smaller. */
function take() {
  if (job.at >= job.order.length) {
    job.at = 0;
    if (!job.given) job.order = shuffled(job.digits.length, job.next);
  }
  const places = job.order.slice(job.at, job.at + job.batch);
  job.at += places.length;
  return Array.from(places, (place) => job.digits[place]);
}

function tell() {
  const { run, net, tests, costs, step: steps, seen, digits, gradients } = job;
  const right = tests.filter(({ pixels, truth }) => forward(net, pixels).best === truth).length;
  const cost = costs.reduce((sum, each) => sum + each, 0) / costs.length;
  Object.assign(job, { costs: [], untold: 0 });
  postMessage({ run, step: steps, epoch: seen / digits.length, cost, right, layers: net.layers, gradients });
}

function shuffled(count, next) {
  const places = Int32Array.from({ length: count }, (_, place) => place);
  for (let at = count - 1; at > 0; at--) {
    const other = Math.floor(next() * (at + 1));
    [places[at], places[other]] = [places[other], places[at]];
  }
  return places;
}
