import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXPORTER_COMMAND, type RunningExporter, startExporter } from '../support/exporter.ts';
import { type SeenRequest, startFaultProxy } from '../support/fault-proxy.ts';
import type { Faults, Method } from '../support/qdrant-double/fault.ts';
import { startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { startS3Server } from '../support/s3-server.ts';

/*
 * Whole programs that are told to stop while something stands still, so that the phase is certain. Each has to
 * end by itself: a hard limit kills it and fails the test. 14 MB make three parts of 5 MiB and more.
 */

const LIMIT_MS = 25_000;
const COLLECTION = { name: 'c', points: 6_000, dimensions: 1024, payloadBytes: 0 };
const SIGNALS = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const;
const PREVIOUS = Buffer.from('what an earlier run published');
const PREVIOUS_MANIFEST = Buffer.from('its manifest');

const double = await startQdrantDouble({ generated: [COLLECTION], prepared: true });
const store = await startS3Server();
const proxy = store && (await startFaultProxy(store.endpoint));
const top = await mkdtemp(join(tmpdir(), 'cancel-'));

afterEach(() => {
  double.setFaults(undefined);
  proxy?.reset();
});
afterAll(async () => {
  await proxy?.stop();
  await store?.stop();
  await double.stop();
  await rm(top, { recursive: true, force: true });
});

/** Stalls every request of a method, from the given one on; resolves when one stands. */
function stallQdrant(method: Method, from = 0): Promise<void> {
  const standing = Promise.withResolvers<void>();
  let seen = 0;
  const faults: Faults = (request) => {
    if (request.method !== method || seen++ < from) return undefined;
    standing.resolve();
    return { kind: 'stall' };
  };
  double.setFaults(faults);
  return standing.promise;
}

interface Program {
  readonly running: RunningExporter;
  readonly folder: string;
  readonly output: string;
  readonly manifest: string;
}

let runs = 0;

async function startToFile(
  protocol: 'grpc' | 'rest' = 'grpc',
  extra: readonly string[] = [],
): Promise<Program> {
  const folder = join(top, `run-${++runs}`);
  await mkdir(join(folder, 'out'), { recursive: true });
  const output = join(folder, 'out', 'c.parquet');
  const address = protocol === 'rest' ? ['--http', '--url', double.restUrl] : ['--url', double.grpcUrl];
  const args = ['--collection', 'c', '--output', output, ...address, ...extra];
  const running = await startExporter(args, {
    env: { OUTPUT_TEMP_FOLDER: join(folder, 'work') },
    limitMs: LIMIT_MS,
  });
  return { running, folder, output, manifest: `${output}.json` };
}

async function startToStore(...extra: readonly string[]): Promise<Program> {
  const server = store as NonNullable<typeof store>;
  const folder = join(top, `run-${++runs}`);
  await mkdir(folder, { recursive: true });
  const running = await startExporter(
    ['--collection', 'c', '--url', double.grpcUrl, '--prefix', `run-${runs}`, ...extra],
    {
      env: {
        OUTPUT_TEMP_FOLDER: join(folder, 'work'),
        R2_ENDPOINT: proxy?.endpoint,
        R2_BUCKET: server.bucket,
        R2_REGION: server.region,
        R2_ACCESS_KEY_ID: server.accessKeyId,
        R2_SECRET_ACCESS_KEY: server.secretAccessKey,
      },
      limitMs: LIMIT_MS,
    },
  );
  return {
    running,
    folder,
    output: `run-${runs}/c/latest.parquet`,
    manifest: `run-${runs}/c/latest.json`,
  };
}

async function filesIn(folder: string): Promise<readonly string[]> {
  // readdir gives them in no order.
  return (await readdir(folder, { recursive: true }).catch(() => [])).sort();
}

/** What a cancelled run says, whichever phase it was in. */
function expectStopped(stderr: string, stdout: string): void {
  expect(stderr).toContain('nothing was published.');
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(stdout).toBe('');
}

describe('exporter-r2 that is told to stop', () => {
  for (const [signal, code] of SIGNALS) {
    for (const protocol of ['grpc', 'rest'] as const) {
      test(`ends with ${code} at ${signal} while Qdrant does not answer what it is, over ${protocol}`, async () => {
        const standing = stallQdrant('describe');
        const { running, folder } = await startToFile(protocol);
        await standing;
        running.kill(signal);
        const ended = await running.result;
        expect(ended.code).toBe(code);
        expectStopped(ended.stderr, ended.stdout);
        expect(await filesIn(folder)).toEqual(['out']);
      }, 60_000);
    }

    for (const [phase, method, from] of [
      ['in the middle of an export', 'retrieve', 3],
      ['in the look at the collection after its last point', 'count', 1],
    ] as const) {
      test(`ends with ${code} at ${signal} ${phase} and leaves the target as it was`, async () => {
        const standing = stallQdrant(method, from);
        const { running, folder, output, manifest } = await startToFile();
        await writeFile(output, PREVIOUS);
        await writeFile(manifest, PREVIOUS_MANIFEST);
        await standing;
        running.kill(signal);
        const ended = await running.result;
        expect(ended.code).toBe(code);
        expectStopped(ended.stderr, ended.stdout);
        expect(await filesIn(folder)).toEqual(['out', 'out/c.parquet', 'out/c.parquet.json']);
        expect(await Bun.file(output).text()).toBe(PREVIOUS.toString());
        expect(await Bun.file(manifest).text()).toBe(PREVIOUS_MANIFEST.toString());
      }, 60_000);
    }
  }

  test('ends when Qdrant stands in the middle of an answer', async () => {
    for (const protocol of ['grpc', 'rest'] as const) {
      const standing = Promise.withResolvers<void>();
      double.setFaults(({ method }) => {
        if (method !== 'retrieve') return undefined;
        standing.resolve();
        return { kind: 'stallMidway' };
      });
      const { running, folder } = await startToFile(protocol);
      await standing.promise;
      running.kill('SIGINT');
      expect((await running.result).code).toBe(130);
      expect(await filesIn(folder)).toEqual(['out']);
    }
  }, 60_000);

  test('ends while it waits to ask again', async () => {
    const refused = Promise.withResolvers<void>();
    double.setFaults(({ method }) => {
      if (method !== 'retrieve') return undefined;
      refused.resolve();
      return {
        kind: 'status',
        http: 429,
        grpc: 8,
        message: 'Rate limiting exceeded',
        retryAfterSeconds: 600,
      };
    });
    const { running, folder } = await startToFile();
    await refused.promise;
    await running.stderrMatching(/Rate limiting exceeded/);
    running.kill('SIGTERM');
    expect((await running.result).code).toBe(143);
    expect(await filesIn(folder)).toEqual(['out']);
  }, 60_000);

  test('ends at once at the second signal, whatever is left undone', async () => {
    const standing = stallQdrant('retrieve', 3);
    const { running } = await startToFile();
    await standing;
    running.kill('SIGINT');
    await running.stderrMatching(/Stopping after Ctrl\+C/);
    running.kill('SIGINT');
    expect((await running.result).code).toBe(130);
  }, 60_000);
});

describe.skipIf(store === undefined)('exporter-r2 that is told to stop on its way to a store', () => {
  const server = store as NonNullable<typeof store>;
  const front = proxy as NonNullable<typeof proxy>;
  const isPart = (number: number) => (request: { operation: string; query: URLSearchParams }) =>
    request.operation === 'UploadPart' && request.query.get('partNumber') === String(number);

  async function expectNothingIn(program: Program): Promise<void> {
    expect(await server.head(program.output)).toBeUndefined();
    expect(await server.head(program.manifest)).toBeUndefined();
    expect(await server.openUploads()).toEqual([]);
    // OUTPUT_TEMP_FOLDER itself stays.
    expect((await filesIn(program.folder)).filter((name) => name !== 'work')).toEqual([]);
  }

  for (const [signal, code] of SIGNALS) {
    test(`aborts the upload of a work file and removes it at ${signal}`, async () => {
      front.faults = (request) => (isPart(2)(request) ? { kind: 'stall' } : undefined);
      const standing = front.arrival(isPart(2));
      const program = await startToStore();
      await standing;
      program.running.kill(signal);
      const ended = await program.running.result;
      expect(ended.code).toBe(code);
      expectStopped(ended.stderr, ended.stdout);
      await expectNothingIn(program);
    }, 60_000);

    test(`aborts a streamed upload at ${signal}`, async () => {
      front.faults = (request) => (isPart(1)(request) ? { kind: 'stall' } : undefined);
      const standing = front.arrival(isPart(1));
      const program = await startToStore('--stream-upload', '--strategy', 'parquet-med');
      await standing;
      program.running.kill(signal);
      const ended = await program.running.result;
      expect(ended.code).toBe(code);
      expectStopped(ended.stderr, ended.stdout);
      await expectNothingIn(program);
    }, 60_000);
  }

  test('ends when Qdrant stands still and the store waits for bytes', async () => {
    const standing = stallQdrant('retrieve', 4);
    const program = await startToStore('--stream-upload', '--strategy', 'parquet-med');
    await standing;
    program.running.kill('SIGINT');
    expect((await program.running.result).code).toBe(130);
    await expectNothingIn(program);
  }, 60_000);

  test('leaves what an earlier run published, and its manifest, when it is stopped before the last step', async () => {
    front.faults = ({ operation }) => (operation === 'Complete' ? { kind: 'stall' } : undefined);
    const standing = front.arrival(({ operation }) => operation === 'Complete');
    const [export_, manifest] = [`run-${runs + 1}/c/latest.parquet`, `run-${runs + 1}/c/latest.json`];
    await server.write(export_, PREVIOUS);
    await server.write(manifest, PREVIOUS_MANIFEST);
    const program = await startToStore('--stream-upload', '--strategy', 'parquet-med');
    expect([program.output, program.manifest]).toEqual([export_, manifest]);
    await standing;
    program.running.kill('SIGINT');
    const ended = await program.running.result;
    expect(ended.code).toBe(130);
    expectStopped(ended.stderr, ended.stdout);
    expect(await server.openUploads()).toEqual([]);
    expect(Buffer.from((await server.bytes(export_)) ?? []).toString()).toBe(PREVIOUS.toString());
    expect(Buffer.from((await server.bytes(manifest)) ?? []).toString()).toBe(PREVIOUS_MANIFEST.toString());
  }, 60_000);

  test('says that the export is published when only its manifest is on the way', async () => {
    const isManifest = ({ operation, path }: SeenRequest) =>
      operation === 'PutObject' && path.endsWith('.json');
    front.faults = (request) => (isManifest(request) ? { kind: 'stall' } : undefined);
    const standing = front.arrival(isManifest);
    const program = await startToStore();
    await standing;
    program.running.kill('SIGTERM');
    const ended = await program.running.result;
    expect(ended.code).toBe(143);
    expect(ended.stderr).toContain(
      `The export is whole and published as s3://${server.bucket}/${program.output}, but its manifest is not: `,
    );
    expect(ended.stderr).not.toContain('nothing was published');
    expect((await server.head(program.output))?.bytes).toBeGreaterThan(COLLECTION.points * 4_000 * 0.5);
    expect(await server.head(program.manifest)).toBeUndefined();
    expect(await server.openUploads()).toEqual([]);
  }, 60_000);

  test('never says that nothing was published when the store has published it', async () => {
    const released = Promise.withResolvers<void>();
    const isComplete = ({ operation }: SeenRequest) => operation === 'Complete';
    front.faults = (request) => (isComplete(request) ? { kind: 'hold', until: released.promise } : undefined);
    const standing = front.arrival(isComplete);
    const program = await startToStore();
    await standing;
    program.running.kill('SIGINT');
    await program.running.stderrMatching(/Stopping after Ctrl\+C/);
    released.resolve();
    const ended = await program.running.result;
    expect((await server.head(program.output))?.bytes).toBeGreaterThan(COLLECTION.points * 4_000 * 0.5);
    expect(ended.stderr).toContain(`s3://${server.bucket}/${program.output}`);
    expect(ended.stderr).not.toContain('nothing was published');
  }, 60_000);

  for (const operation of ['CreateUpload', 'Head', 'Complete'] as const) {
    test(`ends, with nothing published, in a store that takes ${operation} and never answers`, async () => {
      front.faults = (request) => (request.operation === operation ? { kind: 'stall' } : undefined);
      const standing = front.arrival((request) => request.operation === operation);
      const program = await startToStore('--stream-upload', '--strategy', 'parquet-med');
      await standing;
      program.running.kill('SIGINT');
      expect((await program.running.result).code).toBe(130);
      front.reset();
      await expectNothingIn(program);
    }, 60_000);
  }

  test('ends in a store that answers nothing any more and names the upload that remains', async () => {
    front.faults = (request) =>
      ['UploadPart', 'Abort', 'ListParts'].includes(request.operation) && front.seen.some(isPart(1))
        ? { kind: 'stall' }
        : undefined;
    const standing = front.arrival(isPart(1));
    const program = await startToStore('--stream-upload', '--strategy', 'parquet-med');
    await standing;
    program.running.kill('SIGINT');
    const ended = await program.running.result;
    expect(ended.code).toBe(130);
    const [left = 'none'] = await server.openUploads();
    expect(ended.stderr).toContain(left);
    expect(await server.head(program.output)).toBeUndefined();
  }, 60_000);

  test('ends at once at the second signal while the first is still at work', async () => {
    // The checks before the run abort uploads too, of no parts.
    const isAbort = ({ operation }: SeenRequest) => operation === 'Abort' && front.seen.some(isPart(1));
    front.faults = (request) =>
      request.operation === 'UploadPart' || isAbort(request) ? { kind: 'stall' } : undefined;
    const aborting = front.arrival(isAbort);
    const standing = front.arrival(isPart(1));
    const program = await startToStore('--stream-upload', '--strategy', 'parquet-med');
    await standing;
    program.running.kill('SIGINT');
    await aborting;
    program.running.kill('SIGINT');
    const ended = await program.running.result;
    expect(ended.code).toBe(130);
    // It did not wait for the store: the text of a run that had, is missing.
    expect(ended.stderr).not.toContain('nothing was published.');
  }, 60_000);
});

describe('exporter-r2 whose reader has gone', () => {
  for (const [what, redirect] of [
    ['stdout', '| true'],
    ['stderr', '2>&1 >/dev/null | true'],
  ] as const) {
    test(`finishes the export when ${what} is closed`, async () => {
      const folder = join(top, `run-${++runs}`);
      await mkdir(folder, { recursive: true });
      const output = join(folder, 'c.parquet');
      const command = [
        ...EXPORTER_COMMAND,
        ...['--collection', 'c', '--url', double.grpcUrl, '--output', output, '--json'],
      ];
      const quoted = command.map((part) => `'${part.replaceAll("'", "'\\''")}'`).join(' ');
      const codeFile = join(folder, 'code');
      const child = Bun.spawn(['sh', '-c', `{ ${quoted}; echo $? > '${codeFile}'; } ${redirect}`], {
        cwd: folder,
        env: { PATH: process.env.PATH ?? '', HOME: folder, OUTPUT_TEMP_FOLDER: join(folder, 'work') },
        stdin: 'ignore',
        stdout: 'ignore',
        stderr: 'ignore',
        timeout: LIMIT_MS,
      });
      await child.exited;
      expect((await Bun.file(codeFile).text()).trim()).toBe('0');
      expect((await Bun.file(output).bytes()).length).toBeGreaterThan(COLLECTION.points * 4_000 * 0.5);
    }, 60_000);
  }
});
