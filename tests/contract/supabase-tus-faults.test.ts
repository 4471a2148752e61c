import { afterAll, describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import { streamOf } from '../../lib/pipeline/stream-of.ts';
import type { ByteStream, OpenUpload } from '../../lib/storage/storage.ts';
import { putResumable } from '../../lib/storage/supabase/supabase-tus.ts';
import { createResumable, patchResumable } from '../../lib/storage/supabase/supabase-tus-calls.ts';
import { supabaseUploads } from '../../lib/storage/supabase/supabase-uploads.ts';
import { seeded } from '../support/batches.ts';
import { byteBody, patternOf } from '../support/byte-body.ts';
import {
  type DoubleFault,
  type DoubleRequest,
  startSupabaseDouble,
} from '../support/supabase-double/supabase-double.ts';
import { openUploadsOf, recordedUpload, tusPublication } from '../support/tus-scene.ts';

/*
 * Whatever goes wrong on the way: in the end the key holds what was sent, or what was there before, or what somebody
 * else wrote, and without a log no upload is left. With one, the next processes bring it to its end.
 */

const CHUNK = 60_000;
const SEEDS = 50;
const double = await startSupabaseDouble({ s3: false });
const never = new AbortController().signal;
const other = Buffer.from('of somebody else');

afterAll(() => double.stop());

interface Storm {
  fault(request: DoubleRequest): DoubleFault | undefined;
  /** What was done to whom, for the message of a test that failed. */
  readonly seen: string[];
}

/** Each request is disturbed with that chance, by dice of its own. */
function stormOf(seed: number, chance: number, key: string): Storm {
  const dice = seeded(seed);
  const seen: string[] = [];
  let isLost = false;
  const fault = ({ method, headers }: DoubleRequest): DoubleFault | undefined => {
    // Whose connection is cut instead of an answer is sent again by fetch itself, once.
    const wasLost = isLost;
    isLost = false;
    if (dice() < 0.04) {
      seen.push('another writer');
      double.write(key, other).catch(() => {});
    }
    if (dice() >= chance) return undefined;
    const made = faultFor(method, dice, wasLost);
    isLost = made.kind === 'lost answer';
    seen.push(`${method} ${headers.get('upload-offset') ?? ''} ${JSON.stringify(made)}`);
    return made;
  };
  return { fault, seen };
}

function faultFor(method: string, dice: () => number, wasLost: boolean): DoubleFault {
  const kinds: DoubleFault[] = [
    { kind: 'reset' },
    { kind: 'status', status: 500, body: 'Internal Server Error' },
    { kind: 'status', status: 503 },
    { kind: 'status', status: 429, retryAfter: '0' },
  ];
  // The upload of a POST whose answer is lost is known to nobody: it has no byte, and stays until the store drops it.
  if (method !== 'POST') kinds.push({ kind: 'hang' }, { kind: 'lost answer' }, { kind: 'lost answer' });
  if (method === 'PATCH') {
    const cut: DoubleFault = { kind: 'reset', afterBytes: Math.floor(dice() * CHUNK) };
    kinds.push(cut, cut, cut, cut);
    if (!wasLost) kinds.push({ kind: 'expired', status: dice() < 0.5 ? 404 : 410 });
  }
  return kinds[Math.floor(dice() * kinds.length)] as DoubleFault;
}

const publication = (key: string) => {
  const to = tusPublication({
    url: double.url,
    serviceKey: double.keys.service,
    key,
    policy: { attempts: 4, baseMs: 1, capMs: 4 },
    // What hangs is ended soon.
    patience: { requestMs: 100, slowestBytesPerSecond: 1e9, completeMs: 1, cleanupMs: 3_000 },
  });
  // But for the one that begins an upload, which a slow machine would leave behind.
  return { ...to, decisive: { ...to.decisive, timeoutMs: 10_000 } };
};

const isOneOf = (found: Uint8Array | undefined, wanted: readonly (Uint8Array | undefined)[]) =>
  wanted.some((bytes) =>
    bytes === undefined || found === undefined ? bytes === found : Buffer.compare(bytes, found) === 0,
  );

describe('putResumable() with faults by dice', () => {
  const outcomes = { stored: 0, refused: 0 };

  for (let seed = 1; seed <= SEEDS; seed++) {
    test(`leaves the right object or none, seed ${seed}`, async () => {
      const dice = seeded(seed * 7919);
      const length = 1 + Math.floor(dice() * 5 * CHUNK);
      const whole = patternOf(length);
      const key = `fault${seed}/latest.parquet`;
      const older = dice() < 0.5 ? Buffer.from('older') : undefined;
      if (older !== undefined) await double.write(key, older);
      const to = publication(key);
      const storm = stormOf(seed, 0.15 + dice() * 0.35, key);
      double.fault = storm.fault;
      const body = byteBody(length, 1 + Math.floor(dice() * CHUNK)).stream;
      const request = { key, body, bytes: length, estimatedBytes: length, signal: never };
      const error = await putResumable(request, to, CHUNK).then(
        () => undefined,
        (thrown) => thrown,
      );
      double.fault = undefined;
      const found = await double.bytes(key);
      const told = `${storm.seen.join('\n')}\n${error}`;
      if (error === undefined) {
        outcomes.stored++;
        // Another writer may have come right after.
        expect(isOneOf(found, [whole, ...(told.includes('another writer') ? [other] : [])]), told).toBe(true);
      } else {
        outcomes.refused++;
        expect(error, told).toBeInstanceOf(ToolError);
        expect(isOneOf(found, [older, other]), told).toBe(true);
      }
      expect(await openUploadsOf(double, key), told).toEqual([]);
    });
  }

  test('was put to the test: of these runs some succeeded and some did not', () => {
    expect(outcomes.stored).toBeGreaterThan(SEEDS / 4);
    expect(outcomes.refused).toBeGreaterThan(SEEDS / 10);
  });
});

describe('putResumable() with faults by dice and a log', () => {
  for (let seed = 1; seed <= SEEDS / 2; seed++) {
    test(`comes to its end in one process or another, seed ${seed}`, async () => {
      const dice = seeded(seed * 104_729);
      const length = 1 + Math.floor(dice() * 5 * CHUNK);
      const whole = patternOf(length);
      const key = `log${seed}/latest.parquet`;
      const log = recordedUpload();
      const storm = stormOf(seed + 1000, 0.4, key);
      const tell = () => storm.seen.join('\n');
      let receipt: { readonly bytes: number } | undefined;
      // The last one is not disturbed: whatever the others left must be good to go on with.
      for (let process = 1; receipt === undefined && process <= 4; process++) {
        double.fault = process < 4 ? storm.fault : undefined;
        const to = publication(key);
        const work = async () => {
          const left = log.left();
          const from: OpenUpload | undefined = left && (await supabaseUploads(() => to).find(left, never));
          const offset = from?.parts.reduce((sum, part) => sum + part.bytes, 0) ?? 0;
          const body = new Response(whole.subarray(offset)).body as ByteStream;
          const request = { key, body, bytes: length, estimatedBytes: length, signal: never, log, from };
          return await putResumable(request, to, CHUNK);
        };
        receipt = await work().catch((error: unknown) => {
          storm.seen.push(`process ${process} ended: ${error}`);
          return undefined;
        });
      }
      double.fault = undefined;
      expect(receipt?.bytes, tell()).toBe(length);
      const allowed = tell().includes('another writer') ? [whole, other] : [whole];
      expect(isOneOf(await double.bytes(key), allowed), tell()).toBe(true);
    });
  }
});

describe('putResumable() beside another client', () => {
  const length = 3 * CHUNK + 1;
  const whole = patternOf(length);
  const put = (key: string) => {
    const body = byteBody(length, 9_999).stream;
    return putResumable(
      { key, body, bytes: length, estimatedBytes: 1, signal: never },
      publication(key),
      CHUNK,
    );
  };

  test('that uploads the same key: one of both is there, whole', async () => {
    const key = 'both/latest.parquet';
    const settled = await Promise.allSettled([put(key), put(key), put(key)]);
    expect(settled.some(({ status }) => status === 'fulfilled')).toBe(true);
    for (const one of settled) {
      if (one.status === 'rejected') expect(String(one.reason)).toContain('of another writer');
    }
    expect(await double.bytes(key)).toEqual(whole);
    expect(await openUploadsOf(double, key)).toEqual([]);
  });

  test('that sends to the same upload: what it finds there that it did not send, it does not publish', async () => {
    const key = 'foreign/latest.parquet';
    const to = publication(key);
    const log = recordedUpload();
    async function* bytes() {
      yield whole.subarray(0, CHUNK);
      // The first chunk is in the store when the second is read.
      await patchResumable(to, log.left()?.id as string, CHUNK, new Uint8Array(2 * CHUNK), to.limits);
      yield whole.subarray(CHUNK);
    }
    const body = streamOf(bytes(), 0) as ByteStream;
    const request = { key, body, bytes: length, estimatedBytes: length, signal: never, log };
    const error = await putResumable(request, to, CHUNK).catch((thrown) => thrown);
    expect((error as ToolError).code).toBe('integrity');
    expect((error as ToolError).message).toContain('somebody else wrote to its unfinished upload');
    expect(await double.bytes(key)).toBeUndefined();
    expect(await openUploadsOf(double, key)).toEqual([]);
  });

  test('whose unfinished upload of the key stays as it is', async () => {
    const key = 'beside/latest.parquet';
    const to = publication(key);
    const id = await createResumable(to, 5, 'text/plain', to.limits);
    await put(key);
    expect(await openUploadsOf(double, key)).toEqual([id]);
    expect(await patchResumable(to, id, 0, Buffer.from('12345'), to.limits)).toBe(5);
    expect(Buffer.from((await double.bytes(key)) as Uint8Array).toString()).toBe('12345');
  });
});
