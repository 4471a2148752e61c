import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import type { OpenUpload, UploadLog } from '../../lib/storage/storage.ts';
import { putResumable } from '../../lib/storage/supabase/supabase-tus.ts';
import { probeResumable } from '../../lib/storage/supabase/supabase-tus-probe.ts';
import { supabaseUploads } from '../../lib/storage/supabase/supabase-uploads.ts';
import { byteBody, patternOf } from '../support/byte-body.ts';
import { type DoubleRequest, startSupabaseDouble } from '../support/supabase-double/supabase-double.ts';
import { openUploadsOf, recordedUpload, tusPublication } from '../support/tus-scene.ts';

/*
 * Runs that are cancelled, with the patience that programs have. The contract says 2 s; the bound here leaves a busy
 * machine room, and is far below what the same requests are waited for in a run that is not cancelled.
 */

const BOUND_MS = 3_000;
const CHUNK = 50_000;
/** With files or in parts: which of both is the store's affair. */
const ETAG = /^[0-9a-f]{32}(-\d+)?$/;
const LENGTH = 2 * CHUNK + 1;
const whole = patternOf(LENGTH);
const double = await startSupabaseDouble({ s3: false });
const reason = new ToolError('cancelled', 'enough');
let keys = 0;
let key = '';

afterAll(() => double.stop());
beforeEach(() => {
  double.fault = undefined;
  key = `cancel${++keys}/latest.parquet`;
});

const nameOf = ({ method, headers, path }: DoubleRequest) => {
  if (method === 'PATCH') return `PATCH ${headers.get('upload-offset')}`;
  return path.includes('/object/info/') ? 'info' : method;
};
const publication = (signal: AbortSignal) =>
  tusPublication({ url: double.url, serviceKey: double.keys.service, key, signal });
const put = (signal: AbortSignal, log?: UploadLog, body = byteBody(LENGTH, 9_999).stream) =>
  putResumable({ key, body, bytes: LENGTH, estimatedBytes: LENGTH, signal, log }, publication(signal), CHUNK);
/** What became of it, and how long after it was cancelled. */
const cancelled = async (work: (signal: AbortSignal, cancel: () => void) => Promise<unknown>) => {
  const controller = new AbortController();
  let since = Number.NaN;
  const cancel = () => {
    if (controller.signal.aborted) return;
    since = performance.now();
    controller.abort(reason);
  };
  const ended = await work(controller.signal, cancel).then(
    (value) => ({ value, error: undefined }),
    (error: unknown) => ({ value: undefined, error }),
  );
  return { ...ended, ms: performance.now() - since };
};
/** From the request of that name on nothing is answered; cancels when it stands. */
const silentFrom = (name: string, cancel: () => void, before?: string) => {
  let silent = false;
  double.fault = (request) => {
    if (!silent && nameOf(request) === before) return { kind: 'status', status: 500 };
    silent ||= nameOf(request) === name;
    if (!silent) return undefined;
    setImmediate(cancel);
    return { kind: 'hang' };
  };
};

describe('putResumable() that is cancelled', () => {
  for (const hasLog of [false, true]) {
    for (const [name, before] of [
      ['POST'],
      ['PATCH 0'],
      ['PATCH 50000'],
      ['PATCH 100000'],
      ['HEAD', 'PATCH 50000'],
    ] as const) {
      test(`settles before a store that is silent from ${name} on${hasLog ? ', with a log' : ''}`, async () => {
        const log = hasLog ? recordedUpload() : undefined;
        const { error, ms } = await cancelled((signal, cancel) => {
          silentFrom(name, cancel, before);
          return put(signal, log);
        });
        expect(ms).toBeLessThan(BOUND_MS);
        expect(error === reason || (error as ToolError).cause === reason).toBe(true);
        expect((error as ToolError).code).toBe('cancelled');
        double.fault = undefined;
        const [upload] = await openUploadsOf(double, key);
        expect(upload !== undefined).toBe(name !== 'POST');
        const isNamed = (error as ToolError).message.includes(
          `unfinished upload ${upload} could not be removed`,
        );
        expect(isNamed).toBe(upload !== undefined && !hasLog);
        if (hasLog) expect(upload).toBe(log?.left()?.id);
      });
    }
  }

  test('resolves where the last chunk was on its way, and the object is there though it cannot be looked at', async () => {
    const { value, ms } = await cancelled((signal, cancel) => {
      double.fault = (request) => {
        if (nameOf(request) === 'PATCH 100000') cancel();
        return undefined;
      };
      return put(signal);
    });
    expect(ms).toBeLessThan(BOUND_MS);
    expect(value).toEqual({ bytes: LENGTH, etag: expect.stringMatching(ETAG) });
    expect(await double.bytes(key)).toEqual(whole);
  });

  test('resolves where the last chunk arrived and its answer did not', async () => {
    const { value } = await cancelled((signal, cancel) => {
      double.fault = (request) => {
        if (nameOf(request) !== 'PATCH 100000') return undefined;
        cancel();
        return { kind: 'lost answer' };
      };
      return put(signal);
    });
    expect(value).toEqual({ bytes: LENGTH, etag: expect.stringMatching(ETAG) });
  });

  for (const name of ['PATCH 0', 'PATCH 50000']) {
    test(`cuts ${name} at once and leaves nothing`, async () => {
      const body = byteBody(LENGTH, 9_999);
      const { error, ms } = await cancelled((signal, cancel) => {
        double.fault = (request) => {
          if (nameOf(request) !== name) return undefined;
          cancel();
          return { kind: 'hang' };
        };
        return put(signal, undefined, body.stream);
      });
      expect(error).toBe(reason);
      expect(ms).toBeLessThan(BOUND_MS);
      expect(body.cancelled()).toBe(reason);
      expect(await openUploadsOf(double, key)).toEqual([]);
      expect(await double.bytes(key)).toBeUndefined();
    });
  }

  test('removes the upload whose beginning was under way', async () => {
    const { error } = await cancelled((signal, cancel) => {
      double.fault = (request) => {
        if (nameOf(request) === 'POST') cancel();
        return undefined;
      };
      return put(signal);
    });
    expect(error).toBe(reason);
    expect(await openUploadsOf(double, key)).toEqual([]);
  });

  test('does not wait for a body that gives nothing', async () => {
    const { error, ms } = await cancelled((signal, cancel) =>
      put(signal, undefined, byteBody(LENGTH, 9_999, { hangAt: CHUNK + 1, onHang: cancel }).stream),
    );
    expect(error).toBe(reason);
    expect(ms).toBeLessThan(BOUND_MS);
    expect(await openUploadsOf(double, key)).toEqual([]);
  });

  test('settles that was cleaning up after a failure', async () => {
    const failure = new ToolError('qdrant', 'the source broke');
    const { error, ms } = await cancelled((signal, cancel) => {
      silentFrom('DELETE', cancel);
      return put(signal, undefined, byteBody(LENGTH, 9_999, { failAt: CHUNK + 1, error: failure }).stream);
    });
    expect(ms).toBeLessThan(BOUND_MS);
    expect((error as ToolError).cause).toBe(failure);
    expect((error as ToolError).message).toContain('unfinished upload');
  });

  test('that was cancelled before it began asks for nothing', async () => {
    const asked = double.requests.length;
    const body = byteBody(LENGTH, 9_999);
    const error = await put(AbortSignal.abort(reason), undefined, body.stream).catch((thrown) => thrown);
    expect(error).toBe(reason);
    expect(body.cancelled()).toBe(reason);
    expect(double.requests).toHaveLength(asked);
  });
});

test('probeResumable(), find(), published() and remove() settle that are cancelled before a silent store', async () => {
  const left: OpenUpload = { key, id: 'none', partBytes: CHUNK, crc32: false, parts: [] };
  const uploads = supabaseUploads((_key, signal) => publication(signal));
  for (const [name, start] of [
    ['POST', (signal: AbortSignal) => probeResumable(publication(signal), 5, 'text/plain')],
    ['DELETE', (signal: AbortSignal) => probeResumable(publication(signal), 5, 'text/plain')],
    ['HEAD', (signal: AbortSignal) => uploads.find(left, signal)],
    ['info', (signal: AbortSignal) => uploads.published(key, { bytes: 1, etag: 'e' }, signal)],
    ['HEAD', (signal: AbortSignal) => uploads.remove(left, signal)],
  ] as const) {
    const { value, error, ms } = await cancelled((signal, cancel) => {
      silentFrom(name, cancel);
      return start(signal);
    });
    expect(ms).toBeLessThan(BOUND_MS);
    expect(error instanceof ToolError || typeof value === 'string').toBe(true);
  }
});
