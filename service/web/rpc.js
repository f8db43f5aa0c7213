// The RPCs of digits.v1 by the Connect protocol (https://connectrpc.com/docs/protocol): JSON, but for the weights.

const SERVICE = "digits.v1.DigitsService/";
const TOKEN = "digits.token";
const PATIENCE = 20_000; // milliseconds
const UNCLEAR = "its answer is none that this page understands";

/** Why there is no answer. `kind`: gone (the message may be empty), token, missing, refused. */
export class Failure extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

const KINDS = {
  unauthenticated: "token",
  permission_denied: "token",
  unavailable: "gone",
  not_found: "missing",
};

export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  set: (text) => (text ? sessionStorage.setItem(TOKEN, text) : sessionStorage.removeItem(TOKEN)),
};

/** Tells `busy` when the server asks to be left alone for a while, and `free` when it answers again. */
export const pace = new EventTarget();
let rest = 0; // until when it asked for that, as performance.now()

/** The answer to one call as an object. Raises `Failure`. */
export async function call(method, message) {
  const response = await post(method, JSON.stringify(message), "application/json");
  return response.json().catch(() => {
    throw new Failure("refused", UNCLEAR);
  });
}

/** A page of the server, such as /metrics, as a `Response`. Raises `Failure`. */
export const page = (path) => fetched(path, {});

/** Null where the server answers and is ready, else why it is not; empty where it does not answer. */
export async function readiness() {
  try {
    const response = await fetch("readyz", { cache: "no-store", signal: AbortSignal.timeout(3000) });
    return response.status === 503 ? (await response.text()).trim() : null;
  } catch {
    return "";
  }
}

/**
 * One layer of a network, of a committee that of a member from 0: {inputs, neurons, weights: Float32Array
 * [inputs, neurons] row-major, biases}.
 *
 * As Protobuf: a wide layer has a million weights and more, of four bytes each; in JSON they are five times that.
 */
export async function network(model, version, member, layer) {
  const answer = await binary("GetNetwork", [...names(model, version), 3 << 3, (member & 127) | 128, member >> 7, 4 << 3, layer]); // there may be 256 members
  const found = read(answer[3]);
  return { inputs: found[3], neurons: found[4], weights: floats(found[5]), biases: floats(found[6]) };
}

/** One layer of all snapshots of a training, see GetLearning: {weights: Float32Array [S, inputs, neurons], biases}. Raises `Failure`. */
export async function snapshots(model, version, layer) {
  const answer = await binary("GetLearning", [...names(model, version), 3 << 3, layer]);
  return { weights: halves(answer[9]), biases: halves(answer[10]) };
}

async function binary(method, request) {
  const response = await post(method, new Uint8Array(request), "application/proto");
  return read(new Uint8Array(await response.arrayBuffer()));
}

async function post(method, body, type) {
  return fetched(SERVICE + method, { method: "POST", body, headers: { "content-type": type } });
}

/** A whole answer; where the server says when to come again, the one that it gives then. Raises `Failure`. */
async function fetched(path, options) {
  for (;;) {
    while (performance.now() < rest) await new Promise((done) => setTimeout(done, rest - performance.now()));
    const { status, headers, body } = await once(path, options);
    const wait = Number(headers.get("retry-after"));
    const busy = status === 429 && wait > 0;
    pace.dispatchEvent(new Event(busy ? "busy" : "free"));
    if (busy) rest = performance.now() + 1000 * wait;
    else if (status < 400) return new Response(body);
    else throw refusal(status, body);
  }
}

/** One request. An answer that breaks off is none. */
async function once(path, options) {
  const headers = { ...options.headers, ...permission() };
  try {
    const response = await fetch(path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    return { status: response.status, headers: response.headers, body: await response.arrayBuffer() };
  } catch {
    throw new Failure("gone", "");
  }
}

/** What an answer that is an error says: in Connect's JSON, or something else of a machine between. */
function refusal(status, body) {
  let said = {};
  try {
    said = JSON.parse(new TextDecoder().decode(body));
  } catch {
    if (status >= 500) said = { code: "unavailable" };
  }
  const kind = KINDS[said?.code] ?? (status === 404 ? "missing" : "refused");
  return new Failure(kind, said?.message ?? said?.code ?? `HTTP status ${status}`);
}

function permission() {
  return token.get() ? { authorization: `Bearer ${token.get()}` } : {};
}

// What there is to know of Protobuf's wire format here: https://protobuf.dev/programming-guides/encoding/

function names(model, version) {
  const text = new TextEncoder();
  return [...field(1, text.encode(model)), ...field(2, text.encode(version))];
}

function field(number, bytes) {
  return [(number << 3) | 2, bytes.length, ...bytes]; // names and versions are shorter than 128 bytes
}

/** The fields of a message by number, the last of each: numbers, and bytes for what has a length. */
function read(bytes) {
  const fields = {};
  let at = 0;
  const number = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = number();
    if (key % 8 === 0) fields[key >> 3] = number();
    else if (key % 8 === 2) {
      const length = number();
      fields[key >> 3] = bytes.subarray(at, (at += length));
    } else if (key % 8 === 1) at += 8; // a double; those that this page needs come as JSON
    else throw new Failure("refused", UNCLEAR);
  }
  return fields;
}

/** Packed floats; copied, for they need not begin at a multiple of four. Every browser's machine is little-endian. */
const floats = (bytes) => new Float32Array(bytes.slice().buffer);

/** Numbers of 16 bits (IEEE 754 binary16). */
const halves = (bytes) => Float32Array.from(new Uint16Array(bytes.slice().buffer), half);

function half(bits) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
  return bits & 0x8000 ? -size : size;
}
