import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ToolError } from '../../lib/errors.ts';
import { s3Destination } from '../../lib/storage/s3/s3.ts';
import type { ByteStream, UploadLog } from '../../lib/storage/storage.ts';
import { byteBody, MIB } from '../support/byte-body.ts';
import { type FaultProxy, type Operation, startFaultProxy } from '../support/fault-proxy.ts';
import { addressOf, startS3Server } from '../support/s3-server.ts';

/*
 * A store that takes everything and answers nothing from some request on, and a run that is cancelled then,
 * with the patience that programs have. The contract says 2 s; the bound here leaves a busy machine room, and
 * is far below what the same requests are waited for in a run that is not cancelled.
 */

const BOUND_MS = 5_000;
const PART = 5 * MIB;
const found = await startS3Server();
const proxy = found && (await startFaultProxy(found.endpoint));

afterAll(async () => {
  await proxy?.stop();
  await found?.stop();
});

describe.skipIf(found === undefined)(
  's3Destination() that is cancelled before a store that answers nothing',
  () => {
    const server = found as NonNullable<typeof found>;
    const front = proxy as FaultProxy;
    let keys = 0;
    let key = '';

    beforeEach(() => {
      front.reset();
      key = `s${++keys}/latest.parquet`;
    });
    afterEach(() => server.abortUploads());

    const destination = () => s3Destination({ ...addressOf(server, front.endpoint), partBytes: PART });
    /** From that operation on nothing is answered; cancels when it stands. */
    const cancelledAt = async (
      operation: Operation,
      start: (signal: AbortSignal) => Promise<unknown>,
    ): Promise<{ readonly error: unknown; readonly reason: ToolError; readonly ms: number }> => {
      let silent = false;
      front.faults = (request) => {
        silent ||= request.operation === operation;
        return silent ? { kind: 'stall' } : undefined;
      };
      const controller = new AbortController();
      const reason = new ToolError('cancelled', 'enough');
      const arrived = front.arrival((request) => request.operation === operation);
      const done = start(controller.signal).then(
        () => undefined,
        (error: unknown) => error,
      );
      await arrived;
      const since = performance.now();
      controller.abort(reason);
      const error = await done;
      return { error, reason, ms: performance.now() - since };
    };
    const nothing: UploadLog = { begun: async () => {}, confirmed: () => {}, publishing: async () => {} };

    for (const [operation, length, log] of [
      ['Head', 2 * PART, undefined],
      ['CreateUpload', 2 * PART, undefined],
      ['UploadPart', 3 * PART, undefined],
      ['Complete', 2 * PART, undefined],
      ['PutObject', 1000, undefined],
      ['CreateUpload', 2 * PART, nothing],
      ['UploadPart', 3 * PART, nothing],
      ['Complete', 2 * PART, nothing],
    ] as const) {
      test(`put()${log ? ' with a log' : ''} settles that stands at ${operation}`, async () => {
        const body = byteBody(length, 1_000_000);
        const { error, reason, ms } = await cancelledAt(operation, (signal) =>
          destination().put({ key, body: body.stream, estimatedBytes: length, signal, log }),
        );
        expect(ms).toBeLessThan(BOUND_MS);
        // What could not be cleaned up is added to what happened.
        expect(error === reason || (error as ToolError).cause === reason).toBe(true);
        expect((error as ToolError).code).toBe('cancelled');
        const [upload] = await server.openUploads();
        const named = (error as ToolError).message.includes(`unfinished upload ${upload}`);
        expect(named).toBe(upload !== undefined && log === undefined);
      });
    }

    test('put() settles that was cleaning up after a failure when it was cancelled', async () => {
      const failure = new ToolError('qdrant', 'the source broke');
      const body = byteBody(3 * PART, 1_000_000, { failAt: 2 * PART + 1, error: failure });
      const { error, ms } = await cancelledAt('Abort', (signal) =>
        destination().put({ key, body: body.stream, estimatedBytes: 3 * PART, signal }),
      );
      expect(ms).toBeLessThan(BOUND_MS);
      expect((error as ToolError).cause).toBe(failure);
      expect((error as ToolError).message).toContain('unfinished upload');
    });

    for (const operation of ['Head', 'PutObject'] as const) {
      test(`put() beside an object settles that stands at ${operation}`, async () => {
        await server.write(key, Buffer.from('object'));
        const etag = (await server.head(key))?.etag as string;
        const body = new Response('{}').body as ByteStream;
        const { error, reason, ms } = await cancelledAt(operation, (signal) =>
          destination().put({
            key: `${key}.json`,
            body,
            estimatedBytes: 2,
            signal,
            beside: { key, etag },
          }),
        );
        expect(ms).toBeLessThan(BOUND_MS);
        expect(error).toBe(reason);
      });
    }

    for (const operation of ['CreateUpload', 'Abort'] as const) {
      test(`check() settles that stands at ${operation}`, async () => {
        const { error, ms } = await cancelledAt(operation, (signal) => destination().check(key, signal));
        expect(ms).toBeLessThan(BOUND_MS);
        expect(error).toBeInstanceOf(ToolError);
      });
    }

    test('find(), published(), copy() and remove() settle', async () => {
      const { uploads, objects } = destination();
      const left = { key, id: 'none', partBytes: PART, crc32: true, parts: [] };
      const source = { location: 'there', bytes: 10, etag: 'e' };
      for (const [operation, start] of [
        ['ListParts', (signal: AbortSignal) => uploads?.find(left, signal)],
        ['Head', (signal: AbortSignal) => uploads?.published(key, { bytes: 1, etag: 'e' }, signal)],
        ['Head', (signal: AbortSignal) => objects?.copy(key, 'other', source, signal)],
        ['Delete', (signal: AbortSignal) => objects?.remove(key, signal)],
      ] as const) {
        const { error, reason, ms } = await cancelledAt(
          operation,
          (signal) => start(signal) as Promise<unknown>,
        );
        expect(ms).toBeLessThan(BOUND_MS);
        expect(error).toBe(reason);
      }
    });
  },
);

test.skipIf(process.platform === 'win32')(
  'put() settles that is cancelled while the SDK looks for credentials, which does not heed it',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 's3-cancel-'));
    const config = join(folder, 'config');
    await writeFile(config, '[profile slow]\ncredential_process = sleep 10\n');
    const before = { ...process.env };
    Object.assign(process.env, { AWS_CONFIG_FILE: config, AWS_PROFILE: 'slow' });
    try {
      const store = s3Destination({ endpoint: 'http://127.0.0.1:1', region: 'auto', bucket: 'b' });
      const controller = new AbortController();
      const body = byteBody(1000, 100).stream;
      const { signal } = controller;
      const since = performance.now();
      const done = store.put({ key: 'k', body, estimatedBytes: 1000, signal }).catch((error) => error);
      const reason = new ToolError('cancelled', 'enough');
      controller.abort(reason);
      expect(await done).toBe(reason);
      expect(performance.now() - since).toBeLessThan(BOUND_MS);
    } finally {
      for (const name of ['AWS_CONFIG_FILE', 'AWS_PROFILE']) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
      await rm(folder, { recursive: true });
    }
  },
);
