// Reads requests as an Express app with `express.json()` does, and prints what it has read.
// The body is parsed if its type is application/json, and only objects and arrays are accepted.
import { createServer } from "node:http";

const MOST_BYTES = 100 * 1024; // Express's default

function isJson(request) {
  return (request.headers["content-type"] ?? "").split(";")[0].trim() === "application/json";
}

function parse(text) {
  if (text.length === 0) return {};
  if (!/^[\x20\x09\x0a\x0d]*[[{]/.test(text)) throw new SyntaxError("neither object nor array");
  return JSON.parse(text);
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString("utf8");
  try {
    if (text.length > MOST_BYTES) throw new RangeError("too large");
    const body = isJson(request) ? parse(text) : undefined;
    const { "ce-type": type, "ce-id": id } = request.headers;
    console.log(JSON.stringify({ method: request.method, url: request.url, type, id, body }));
    response.writeHead(204).end();
  } catch {
    response.writeHead(400).end();
  }
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
