import { afterAll, describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import { type SupabaseSession, supabaseSession } from '../../lib/storage/supabase/supabase-session.ts';
import { type RecordedAnswer, recordedAnswers } from './recorded-supabase.ts';
import { NEVER, SENTENCES } from './supabase-sentences.ts';

const refused = (await recordedAnswers()).filter(({ status }) => status >= 300);
const limits = { signal: new AbortController().signal, timeoutMs: 10_000 };
const failed = 'Cannot write supabase://exp/k';

/** What the next request gets, whatever it asks for. */
let answer: RecordedAnswer | undefined;
const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  async fetch(request) {
    await request.arrayBuffer();
    const { status = 599, body = '', headers = {} } = answer ?? {};
    const { 'content-length': _, 'transfer-encoding': __, ...kept } = headers;
    return new Response(request.method === 'HEAD' ? null : body, { status, headers: kept });
  },
});
const url = `http://127.0.0.1:${server.port}`;
afterAll(() => server.stop(true));

function sessionOf({ credential }: RecordedAnswer): SupabaseSession {
  const key = credential === '<sb_secret key>' ? 'sb_secret_abc' : 'aaaa.bbbb.cccc';
  return supabaseSession({ url, bucket: 'exp', serviceKey: new Secret(key) });
}

async function bySend(exchange: RecordedAnswer): Promise<unknown> {
  answer = exchange;
  const { method } = exchange as { method: 'GET' };
  const body = ['POST', 'PUT', 'PATCH'].includes(method) ? { body: new Uint8Array(8) } : {};
  const request = { method, path: '/any', ...body };
  return await sessionOf(exchange)
    .send(failed, limits, request, async () => 'done')
    .catch((error: unknown) => error);
}

async function byCall(exchange: RecordedAnswer): Promise<unknown> {
  answer = exchange;
  return await sessionOf(exchange)
    .call<unknown>(failed, limits, (storage) => storage.getBucket('exp'))
    .catch((error: unknown) => error);
}

test('every refusal that is on record has a sentence, or a reason why it never comes', () => {
  const listed = [...SENTENCES, ...NEVER].flatMap(({ of }) => of);
  expect(listed.toSorted()).toEqual([...new Set(refused.map(({ name }) => name))].toSorted());
});

describe('a user reads, of what Supabase Storage answered:', () => {
  for (const { sentence, of, code = 'store', remedy = 'none' } of SENTENCES) {
    const wanted = `${failed}: ${sentence.replaceAll('{url}', url)}`;
    test(sentence, async () => {
      const exchanges = refused.filter(({ name }) => of.includes(name));
      expect(exchanges.length).toBeGreaterThan(0);
      for (const exchange of exchanges) {
        const errors = [await bySend(exchange)];
        // supabase-js asks with methods whose answers have a body.
        if (exchange.method !== 'HEAD') errors.push(await byCall(exchange));
        for (const error of errors) {
          expect(error).toBeInstanceOf(ToolError);
          const { message, code: given, remedy: told } = error as ToolError;
          expect({ name: exchange.name, message, code: given, remedy: told }).toEqual({
            name: exchange.name,
            message: wanted,
            code,
            remedy,
          });
        }
      }
    });
  }
});
