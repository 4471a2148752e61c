import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export type RecordedVersion = '1.16.3' | '1.18.3';

export const VERSIONS: readonly RecordedVersion[] = ['1.16.3', '1.18.3'];

export interface Exchange {
  readonly name: string;
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
  };
  readonly response: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
  };
}

export function exchangesOf(version: RecordedVersion): readonly Exchange[] {
  const path = join(import.meta.dir, '../recordings/qdrant', version, 'rest.json');
  return JSON.parse(readFileSync(path, 'utf8')) as Exchange[];
}

export interface Replay {
  readonly url: URL;
  /** Names of the exchanges that were asked for, in order; `?` and the request where there was none. */
  readonly asked: string[];
  stop(): Promise<void>;
}

/**
 * Answers requests with the very bytes that a real Qdrant answered. The query is left out of the comparison,
 * and a list of vector names stands for all vectors: a server may send more than was asked for.
 */
export function replay(version: RecordedVersion, only?: string): Replay {
  const byRequest = new Map<string, Exchange>();
  for (const exchange of exchangesOf(version)) {
    const { method, path, body = '', headers = {} } = exchange.request;
    const key = requestKey(method, path, body, headers['api-key']);
    if (only === undefined ? !byRequest.has(key) : exchange.name === only) byRequest.set(key, exchange);
  }
  const asked: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const body = await request.text();
      const apiKey = request.headers.get('api-key') ?? undefined;
      const found = byRequest.get(requestKey(request.method, pathname, body, apiKey));
      asked.push(found?.name ?? `? ${request.method} ${pathname} ${body}`);
      if (found === undefined) return new Response('', { status: 599 });
      const { 'content-length': _, ...headers } = found.response.headers;
      return new Response(found.response.body, { status: found.response.status, headers });
    },
  });
  return { url: new URL(`http://127.0.0.1:${server.port}`), asked, stop: () => server.stop(true) };
}

const ALL = '"with_payload":true,"with_vector":true';

function requestKey(method: string, path: string, body: string, apiKey: string | undefined): string {
  const bare = path.replace(/\?.*/, '');
  const all = body.replace(/"with_payload":true,"with_vector":(\[[^\]]*\]|false)/, ALL);
  return [method, bare, all, apiKey ?? ''].join(' ');
}
