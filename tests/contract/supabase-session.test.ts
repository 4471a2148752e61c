import { afterEach, describe, expect, test } from 'bun:test';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { ToolError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import type { Limits } from '../../lib/storage/attempt.ts';
import { isTooLarge } from '../../lib/storage/supabase/supabase-errors.ts';
import { type SupabaseSession, supabaseSession } from '../../lib/storage/supabase/supabase-session.ts';

const KEY = 'head.claims.signature';
const failed = 'Cannot write supabase://b/k';
const never = new AbortController().signal;
const limits: Limits = { signal: never, timeoutMs: 10_000 };

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A server of bytes; `onHead` is called for each request when its head is there. */
async function listen(onHead: (socket: Socket, head: string) => void): Promise<string> {
  const server = createServer((socket) => {
    let head = '';
    socket.on('error', () => {});
    socket.on('data', (data) => {
      if (head.includes('\r\n\r\n')) return;
      head += data.toString('latin1');
      if (head.includes('\r\n\r\n')) onHead(socket, head.slice(0, head.indexOf('\r\n\r\n')).toLowerCase());
    });
  });
  servers.push(server);
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

function answered(status: string, body: string, headers = ''): string {
  return `HTTP/1.1 ${status}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
}

function sessionAt(url: string): SupabaseSession {
  return supabaseSession({ url, bucket: 'b', serviceKey: new Secret(KEY) });
}

const text = (answer: Response) => answer.text();
const get = { method: 'GET', path: '/any' } as const;
const post = { method: 'POST', path: '/any', body: new Uint8Array(4 * 1024 * 1024) } as const;

async function errorOf(promise: Promise<unknown>): Promise<ToolError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ToolError);
  return error as ToolError;
}

describe('supabaseSession()', () => {
  test('send() and call() ask that a connection with a body is closed, and none for a compressed answer', async () => {
    const heads: string[] = [];
    const url = await listen((socket, head) => {
      heads.push(head);
      socket.end(answered('200 OK', '{"Key":"b/k","Id":"1"}', 'connection: close\r\n'));
    });
    const session = sessionAt(url);
    await session.send(failed, limits, get, text);
    await session.send(failed, limits, { ...post, body: new Uint8Array(9) }, text);
    await session.call(failed, limits, (storage) => storage.from('b').upload('k', new Uint8Array(9)));
    expect(heads.map((head) => /^connection: (.*)$/m.exec(head)?.[1])).toEqual([
      'keep-alive',
      'close',
      'close',
    ]);
    for (const head of heads) {
      expect(head).toContain(`authorization: bearer ${KEY}\r\n`);
      expect(head).toContain(`apikey: ${KEY}\r\n`);
      expect(head).toContain('accept-encoding: identity\r\n');
    }
  });

  for (const [what, ask] of [
    ['send()', (session: SupabaseSession, to: Limits) => session.send(failed, to, get, text)],
    [
      'call()',
      (session: SupabaseSession, to: Limits) =>
        session.call<unknown>(failed, to, (storage) => storage.getBucket('b')),
    ],
  ] as const) {
    for (const [when, bytes] of [
      ['before the answer', ''],
      ['in the middle of the answer', 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{'],
    ] as const) {
      test(`${what} ends its connection when its time is up ${when}`, async () => {
        const closed = Promise.withResolvers<void>();
        const url = await listen((socket) => {
          socket.on('close', () => closed.resolve());
          if (bytes !== '') socket.write(bytes);
        });
        const error = await errorOf(ask(sessionAt(url), { signal: never, timeoutMs: 100 }));
        expect(error.message).toBe(`${failed}: the store did not answer within 0 s.`);
        expect(error.remedy).toBe('again');
        await closed.promise;
      });

      test(`${what} ends its connection when the run is cancelled ${when}`, async () => {
        const closed = Promise.withResolvers<void>();
        const run = new AbortController();
        const reason = new ToolError('cancelled', 'enough');
        const url = await listen((socket) => {
          socket.on('close', () => closed.resolve());
          if (bytes !== '') socket.write(bytes);
          run.abort(reason);
        });
        const error = await errorOf(ask(sessionAt(url), { signal: run.signal, timeoutMs: 10_000 }));
        expect(error).toBe(reason);
        await closed.promise;
      });
    }
  }

  test('send() lets go of an answer that nobody reads', async () => {
    const closed = Promise.withResolvers<void>();
    const url = await listen((socket) => {
      socket.on('close', () => closed.resolve());
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{');
    });
    // Kept, so that no collector ends it.
    const answer = await sessionAt(url).send(failed, limits, get, async (given) => given);
    await closed.promise;
    expect(answer.status).toBe(200);
  });

  test('send() and call() send a body once, and say "again" to a connection that is cut under it', async () => {
    let seen = 0;
    const url = await listen((socket) => {
      seen++;
      socket.resetAndDestroy();
    });
    const session = sessionAt(url);
    const bodies = [
      session.send(failed, limits, post, text),
      session.call(failed, limits, (storage) => storage.from('b').upload('k', post.body)),
    ];
    for (const error of await Promise.all(bodies.map(errorOf))) {
      expect(error.message).toBe(
        `${failed}: ${url} closed the connection (ECONNRESET). If it expects TLS, use https:// in SUPABASE_URL.`,
      );
      expect(error.remedy).toBe('again');
    }
    expect(seen).toBe(2);
  });

  test('send() tells an upload that was refused in the middle of its body by the answer', async () => {
    const url = await listen((socket) => {
      const body = '{"statusCode":"413","code":"EntityTooLarge","message":"too large"}';
      socket.end(answered('400 Bad Request', body, 'connection: close\r\n'));
    });
    expect(isTooLarge(await errorOf(sessionAt(url).send(failed, limits, post, text)))).toBe(true);
  });

  test('send() does not follow a redirect, and says where it leads', async () => {
    const asked: string[] = [];
    const elsewhere = await listen((socket, head) => {
      asked.push(head);
      socket.end(answered('200 OK', '{}'));
    });
    const url = await listen((socket) => {
      socket.end(answered('301 Moved Permanently', '', `location: ${elsewhere}/x\r\n`));
    });
    const error = await errorOf(sessionAt(url).send(failed, limits, get, text));
    expect(error.message).toBe(
      `${failed}: ${url} redirects to ${elsewhere}/x (HTTP 301). Set SUPABASE_URL to the address that it leads to.`,
    );
    expect(asked).toEqual([]);
  });

  test('send() takes whole addresses of the project, and gives the key to nobody else', async () => {
    const asked: string[] = [];
    const onHead = (socket: Socket, head: string) => {
      asked.push(head.slice(0, head.indexOf(' http')));
      socket.end(answered('200 OK', 'fine'));
    };
    const url = await listen(onHead);
    const elsewhere = await listen(onHead);
    const session = sessionAt(url);
    expect(await session.send(failed, limits, { method: 'GET', path: `${url}/upload/1` }, text)).toBe('fine');
    const other = session.send(failed, limits, { method: 'GET', path: `${elsewhere}/upload/2` }, text);
    expect((await errorOf(other)).message).toBe(
      `${failed}: ${url} leads to ${elsewhere}, which may not have the key.`,
    );
    expect(asked).toEqual(['get /upload/1']);
  });

  test('send() and call() show *** where an answer repeats the key', async () => {
    const url = await listen((socket) => {
      socket.end(answered('400 Bad Request', `{"code":"Odd","message":"no such key: ${KEY}!"}`));
    });
    const session = sessionAt(url);
    const bucket = session.call<unknown>(failed, limits, (storage) => storage.getBucket('b'));
    for (const promise of [session.send(failed, limits, get, text), bucket]) {
      const error = await errorOf(promise);
      expect(error.message).toBe(`${failed}: ${url} refused the request (400 Odd: no such key: ***!).`);
      expect(Bun.inspect(error)).not.toContain(KEY);
    }
  });

  for (const key of ['', 'two\nlines', 'a blank', 'schlüssel']) {
    test(`supabaseSession() refuses ${JSON.stringify(key)} as a key, without showing it`, () => {
      const make = () =>
        supabaseSession({ url: 'http://127.0.0.1:9', bucket: 'b', serviceKey: new Secret(key) });
      expect(make).toThrow(
        new ToolError(
          'usage',
          'SUPABASE_SERVICE_ROLE_KEY is empty or has a character that no key has, such as a space.',
        ),
      );
    });
  }

  test('call() leaves nothing behind that keeps a process alive', async () => {
    const url = await listen((socket) => socket.write(answered('200 OK', '{"id":"b"}')));
    const lib = join(import.meta.dir, '../../lib');
    const script = `
      const { supabaseSession } = await import('${lib}/storage/supabase/supabase-session.ts');
      const { Secret } = await import('${lib}/secret.ts');
      const session = supabaseSession({ url: '${url}', bucket: 'b', serviceKey: new Secret('key') });
      const limits = { signal: new AbortController().signal, timeoutMs: 60_000 };
      const { id } = await session.call('x', limits, (storage) => storage.getBucket('b'));
      process.stdout.write(id);`;
    const child = Bun.spawn([process.execPath, '-e', script], { stdout: 'pipe', stderr: 'pipe' });
    const [out, problems] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    expect({ out, problems, code: await child.exited }).toEqual({ out: 'b', problems: '', code: 0 });
  });
});
