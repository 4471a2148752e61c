import { exchangesOf, type RecordedVersion } from './recorded-rest.ts';

/** What is answered: the `result` of a 200, or a status with the body as it is. */
export type ScriptedAnswer = { readonly result: string } | { readonly status: number; readonly body: string };

export interface SeenRequest {
  /** `GET /collections/x`, the path decoded. */
  readonly route: string;
  readonly query: string;
  readonly body: string;
}

export interface ScriptedRest {
  readonly url: URL;
  readonly seen: readonly SeenRequest[];
  stop(): Promise<void>;
}

/** Says that it is a Qdrant, and answers other routes as told; those that are not told with an empty 404. */
export function scriptedRest(
  answers: Readonly<Record<string, ScriptedAnswer>>,
  version = '1.18.3',
): ScriptedRest {
  const seen: SeenRequest[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const route = `${request.method} ${decodeURIComponent(pathname)}`;
      if (route === 'GET /') return Response.json({ title: 'qdrant - vector search engine', version });
      seen.push({ route, query: search, body: await request.text() });
      const answer = answers[route] ?? { status: 404, body: '' };
      const headers = { 'content-type': 'application/json' };
      if ('result' in answer) {
        return new Response(`{"result":${answer.result},"status":"ok","time":0.1}`, { headers });
      }
      return new Response(answer.body, { status: answer.status, headers });
    },
  });
  const { port } = server;
  return { url: new URL(`http://127.0.0.1:${port}`), seen, stop: () => server.stop(true) };
}

/** The answer of a recorded exchange. */
export function recordedAnswer(version: RecordedVersion, name: string): ScriptedAnswer {
  const found = exchangesOf(version).find((exchange) => exchange.name === name);
  if (found === undefined) throw new Error(`no exchange ${name}`);
  return { status: found.response.status, body: found.response.body };
}
