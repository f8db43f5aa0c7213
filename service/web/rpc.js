// The RPCs of digits.v1 by the Connect protocol (https://connectrpc.com/docs/protocol): JSON, but for the weights.

const SERVICE = "digits.v1.DigitsService/";
const TOKEN = "digits.token";
const PATIENCE = 20_000; // milliseconds

/** Why there is no answer. `kind`: gone, token, busy, missing, refused. */
export class Failure extends Error {
  constructor(kind, message, wait = 0) {
    super(message);
    this.kind = kind;
    this.wait = wait; // seconds after which to come again
  }
}

const KINDS = {
  unauthenticated: "token",
  permission_denied: "token",
  resource_exhausted: "busy",
  unavailable: "gone",
  not_found: "missing",
};

export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  set: (text) => (text ? sessionStorage.setItem(TOKEN, text) : sessionStorage.removeItem(TOKEN)),
};

/** The answer to one call as an object. Raises `Failure`. */
export const call = async (method, message) => (await post(method, JSON.stringify(message), "application/json")).json();

/** A page of the server as text, such as /metrics. Raises `Failure`. */
export const page = async (path) => (await fetched(path, { headers: permission() })).text();

/** Whether the server answers and is ready: "ready", or why not. */
export async function readiness() {
  try {
    const response = await fetch("readyz", { cache: "no-store", signal: AbortSignal.timeout(3000) });
    return response.status === 503 ? (await response.text()).trim() : "ready";
  } catch {
    return "gone";
  }
}

/**
 * One layer of a network, of a committee that of a member from 0: {inputs, neurons, weights: Float32Array
 * [inputs, neurons] row-major, biases}.
 *
 * As Protobuf: a wide layer has a million weights and more, of four bytes each; in JSON they are five times that.
 */
export async function network(model, version, member, layer) {
  const text = new TextEncoder();
  const names = [...field(1, text.encode(model)), ...field(2, text.encode(version))];
  const request = [...names, 3 << 3, (member & 127) | 128, member >> 7, 4 << 3, layer]; // there may be 256 members
  const response = await post("GetNetwork", new Uint8Array(request), "application/proto");
  const answer = read(new Uint8Array(await response.arrayBuffer()));
  const found = read(answer[3]);
  return { inputs: found[3], neurons: found[4], weights: floats(found[5]), biases: floats(found[6]) };
}

async function post(method, body, type) {
  return fetched(SERVICE + method, { method: "POST", body, headers: { "content-type": type, ...permission() } });
}

async function fetched(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  } catch {
    throw new Failure("gone", "the server does not answer");
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({ code: response.status >= 500 ? "unavailable" : "", message: response.statusText }));
  throw new Failure(KINDS[said.code] ?? "refused", said.message ?? said.code, Number(response.headers.get("retry-after")));
}

function permission() {
  return token.get() ? { authorization: `Bearer ${token.get()}` } : {};
}

// What there is to know of Protobuf's wire format here: https://protobuf.dev/programming-guides/encoding/

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
    } else throw new Failure("refused", "an answer that this page does not understand");
  }
  return fields;
}

/** Packed floats; copied, for they need not begin at a multiple of four. Every browser's machine is little-endian. */
const floats = (bytes) => new Float32Array(bytes.slice().buffer);
