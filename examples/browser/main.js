// Classifies and reads a chosen picture by gRPC-Web. The page and the RPCs have one origin, see vite.config.js.
import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { DigitsService } from "./generated/digits/v1/digits_pb.js";

const client = createClient(DigitsService, createGrpcWebTransport({ baseUrl: location.origin }));
const answer = document.querySelector("#answer");

document.querySelector("#file").addEventListener("change", async (event) => {
  const picture = new Uint8Array(await event.target.files[0].arrayBuffer());
  try {
    const { predictions, model } = await client.classify({ encodedImages: [picture] });
    const { digit, scores } = predictions[0];
    const { text } = await client.read({ encodedImage: picture });
    answer.textContent = `${digit} with a score of ${scores[digit].toFixed(3)} by ${model.name}; read: ${text}`;
  } catch (error) {
    answer.textContent = `refused: ${error.rawMessage}`;
  }
});
