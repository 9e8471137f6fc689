// Follows the server's stream of events with fetch: an EventSource could not name a project.
import { PREFIX, project, refusal } from "./client";

const RETRY_AFTER = 2_000; // ms

/** Gives the JSON of each event to `onEvent` until `signal` ends; goes on after a broken connection. */
export async function follow(
  query: URLSearchParams,
  onEvent: (json: string) => void,
  onState: (isOpen: boolean) => void,
  signal: AbortSignal,
): Promise<void> {
  let lastId: string | null = null;
  while (!signal.aborted) {
    try {
      const headers: Record<string, string> = { accept: "text/event-stream" };
      if (project.value !== null) headers["X-Project-ID"] = String(project.value);
      if (lastId !== null) headers["Last-Event-ID"] = lastId;
      const response = await fetch(`${PREFIX}/events/stream?${query}`, { headers, signal });
      if (!response.ok || response.body === null) throw await refusal(response);
      onState(true);
      for await (const { id, kind, data } of messages(response.body)) {
        lastId = id ?? lastId;
        if (kind === null && data !== "") onEvent(data);
      }
    } catch {
      if (signal.aborted) return;
    }
    onState(false);
    await new Promise((wake) => setTimeout(wake, RETRY_AFTER));
  }
}

interface Message {
  id: string | null;
  kind: string | null; // an event has none
  data: string;
}

async function* messages(body: ReadableStream<Uint8Array>): AsyncGenerator<Message> {
  const reader = body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const parts = rest.split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) yield parse(part);
  }
}

function parse(part: string): Message {
  const lines = part.split("\n");
  const of = (name: string): string[] =>
    lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart());
  return { id: of("id")[0] ?? null, kind: of("event")[0] ?? null, data: of("data").join("\n") };
}
