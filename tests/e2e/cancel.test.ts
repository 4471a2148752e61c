import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  EXPORTER_COMMAND,
  type ExporterResult,
  type RunningExporter,
  runExporter,
  startExporter,
} from '../support/exporter.ts';
import { type SeenRequest, startFaultProxy } from '../support/fault-proxy.ts';
import { commandThatGoesOn, goOn } from '../support/go-on.ts';
import type { Faults, Method } from '../support/qdrant-double/fault.ts';
import { startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { SOURCE_DATE_EPOCH } from '../support/recorded-exports.ts';
import { NO_S3_SERVER, startS3Server } from '../support/s3-server.ts';

/*
 * Whole programs that are told to stop while something stands still, so that the phase is certain. Each has to end by
 * itself: a hard limit kills it and fails the test. What it leaves is gone on with by the command of its last line.
 * 20 MB make several parts of 5 MiB and more.
 */

const LIMIT_MS = 25_000;
/** A run that is told to stop has ended by then. */
const PROMPT_MS = 2_000;
const COLLECTION = { name: 'c', points: 6_000, dimensions: 1024, payloadBytes: 0 };
const SIGNALS = [
  ['SIGINT', 130, 'Stopped by Ctrl+C.'],
  ['SIGTERM', 143, 'Stopped by SIGTERM.'],
  ['SIGHUP', 129, 'Stopped by SIGHUP.'],
] as const;
const PREVIOUS = Buffer.from('what an earlier run published');
const PREVIOUS_MANIFEST = Buffer.from('its manifest');
const PARQUET = ['--strategy', 'parquet-med', '--row-group-size', '1000'] as const;
const STREAM = [...PARQUET, '--stream-upload'] as const;
const PART = /\.[0-9a-f]{8}\.part$/;

const double = await startQdrantDouble({ generated: [COLLECTION], prepared: true });
const store = await startS3Server();
const proxy = store && (await startFaultProxy(store.endpoint));
const top = await mkdtemp(join(tmpdir(), 'cancel-'));

afterEach(async () => {
  double.setFaults(undefined);
  proxy?.reset();
  // Of a test that failed; the next must not.
  await store?.abortUploads();
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

type Env = Readonly<Record<string, string | undefined>>;

interface Program {
  readonly running: RunningExporter;
  readonly env: Env;
  /** What makes the file what it is. */
  readonly shaping: readonly string[];
  readonly folder: string;
  readonly output: string;
  readonly manifest: string;
}

interface Asked {
  readonly protocol?: 'grpc' | 'rest';
  readonly args?: readonly string[];
  readonly env?: Env;
}

let runs = 0;

/** Without a PATH there is no DuckDB. */
const BASE = { SOURCE_DATE_EPOCH, PATH: '/nowhere' };

const address = (protocol: 'grpc' | 'rest') =>
  protocol === 'rest' ? ['--http', '--url', double.restUrl] : ['--url', double.grpcUrl];

async function startToFile({ protocol = 'grpc', args = [], env = {} }: Asked = {}): Promise<Program> {
  const folder = join(top, `run-${++runs}`);
  await mkdir(join(folder, 'out'), { recursive: true });
  const output = join(folder, 'out', 'c.parquet');
  const all = { ...BASE, OUTPUT_TEMP_FOLDER: join(folder, 'work'), ...env };
  const running = await startExporter(
    ['--collection', 'c', '--output', output, ...address(protocol), ...args],
    { env: all, limitMs: LIMIT_MS },
  );
  return { running, env: all, shaping: args, folder, output, manifest: `${output}.json` };
}

async function startToStore({ args = [], env = {} }: Asked = {}): Promise<Program> {
  const server = store ?? NO_S3_SERVER;
  const folder = join(top, `run-${++runs}`);
  await mkdir(folder, { recursive: true });
  const all = {
    ...BASE,
    OUTPUT_TEMP_FOLDER: join(folder, 'work'),
    R2_ENDPOINT: proxy?.endpoint,
    R2_BUCKET: server.bucket,
    R2_REGION: server.region,
    R2_ACCESS_KEY_ID: server.accessKeyId,
    R2_SECRET_ACCESS_KEY: server.secretAccessKey,
    ...env,
  };
  const running = await startExporter(
    ['--collection', 'c', ...address('grpc'), '--prefix', `run-${runs}`, ...args],
    { env: all, limitMs: LIMIT_MS },
  );
  return {
    running,
    env: all,
    shaping: args.filter((arg) => arg !== '--stream-upload'),
    folder,
    output: `run-${runs}/c/latest.parquet`,
    manifest: `run-${runs}/c/latest.json`,
  };
}

async function filesIn(folder: string): Promise<readonly string[]> {
  // readdir gives them in no order.
  return (await readdir(folder, { recursive: true }).catch(() => [])).sort();
}

const journalOf = ({ folder }: Program) => join(folder, 'work', 'qdrant-export', 'c', 'journal');

/** Sends the signal and waits for the end, which has to come soon. */
async function stop({ running }: Program, signal: NodeJS.Signals = 'SIGINT'): Promise<ExporterResult> {
  const since = performance.now();
  running.kill(signal);
  const ended = await running.result;
  expect(performance.now() - since).toBeLessThan(PROMPT_MS);
  return ended;
}

/** What a cancelled run says, whichever phase it was in. */
function expectStopped(
  { code, stderr, stdout }: ExporterResult,
  wanted = 130,
  why = 'Stopped by Ctrl+C.',
): void {
  expect(code).toBe(wanted);
  expect(stderr).toContain(`\n${why}`);
  expect(stderr).not.toContain('Exported');
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(stdout).toBe('');
}

const references = new Map<string, Promise<Buffer>>();

/** Bytes of a run that nobody stopped. */
function undisturbed(shaping: readonly string[]): Promise<Buffer> {
  const name = shaping.join(' ');
  const known = references.get(name);
  if (known !== undefined) return known;
  const run = async () => {
    const path = join(top, `whole-${references.size}.parquet`);
    const args = ['--collection', 'c', ...address('grpc'), '--output', path, ...shaping];
    const { code, stderr } = await runExporter(args, { env: BASE });
    if (code !== 0) throw new Error(stderr);
    return await readFile(path);
  };
  const running = run();
  references.set(name, running);
  return running;
}

/** The last line's command ends in the export of an undisturbed run, and leaves nothing beside it. */
async function expectToGoOn(
  program: Program,
  { stderr }: ExporterResult,
  bytesOf: (key: string) => Promise<Uint8Array | undefined> = (path) => readFile(path),
): Promise<void> {
  double.setFaults(undefined);
  const again = await goOn(stderr, { env: program.env, limitMs: LIMIT_MS });
  expect(again.stderr).toContain('\nExported  6,000 rows ');
  expect(again).toMatchObject({ code: 0, stdout: '', workFiles: [] });
  const bytes = (await bytesOf(program.output)) ?? Buffer.alloc(0);
  expect(Buffer.compare(bytes, await undisturbed(program.shaping))).toBe(0);
  const manifest = JSON.parse(Buffer.from((await bytesOf(program.manifest)) ?? []).toString());
  expect(manifest.files).toMatchObject([{ key: program.output, bytes: bytes.length, rows: 6_000 }]);
}

/** Signals leave the same: of one of them it is gone on with. */
const goesOn = (signal: string) => (signal === 'SIGINT' ? ', and goes on' : '');

describe('exporter-r2 that is told to stop', () => {
  for (const [signal, code, why] of SIGNALS) {
    const andGoesOn = goesOn(signal);
    for (const protocol of ['grpc', 'rest'] as const) {
      test(`ends with ${code} at ${signal} while Qdrant does not answer what it is, over ${protocol}, with nothing to go on with`, async () => {
        const standing = stallQdrant('describe');
        const program = await startToFile({ protocol });
        await standing;
        const ended = await stop(program, signal);
        expectStopped(ended, code, why);
        expect(commandThatGoesOn(ended.stderr)).toBeUndefined();
        expect(await filesIn(program.folder)).toEqual(['out', 'work']);
      }, 60_000);
    }

    for (const [phase, method, from, args] of [
      ['in the middle of an export', 'retrieve', 3, []],
      ['in the middle of an export, with parquet-med', 'retrieve', 3, PARQUET],
      ['in the look at the collection after its last point', 'count', 1, []],
      ['in the look at the collection after its last point, with parquet-med', 'count', 1, PARQUET],
    ] as const) {
      test(`ends with ${code} at ${signal} ${phase} and leaves the target as it was${andGoesOn}`, async () => {
        const standing = stallQdrant(method, from);
        const program = await startToFile({ args });
        const { folder, output, manifest } = program;
        await writeFile(output, PREVIOUS);
        await writeFile(manifest, PREVIOUS_MANIFEST);
        await standing;
        const ended = await stop(program, signal);
        expectStopped(ended, code, why);
        expect(ended.stderr).toMatch(/\nGo on with: .* --resume\n$/);
        const beside = await filesIn(join(folder, 'out'));
        expect(beside.filter((name) => !PART.test(name))).toEqual(['c.parquet', 'c.parquet.json']);
        expect(await readFile(output)).toEqual(PREVIOUS);
        expect(await readFile(manifest)).toEqual(PREVIOUS_MANIFEST);
        const work = await filesIn(join(folder, 'work', 'qdrant-export', 'c'));
        expect(work).toContain('journal');
        expect(work.filter((name) => name.startsWith('lock'))).toEqual([]);
        if (andGoesOn === '') return;
        await expectToGoOn(program, ended);
        expect(await filesIn(join(folder, 'out'))).toEqual(['c.parquet', 'c.parquet.json']);
      }, 60_000);
    }
  }

  test('says how to go on in the document of --json too', async () => {
    const standing = stallQdrant('retrieve', 3);
    const program = await startToFile({ args: ['--json'] });
    await standing;
    const ended = await stop(program);
    expect(ended.json()).toEqual({
      error: { code: 'cancelled', message: 'Stopped by Ctrl+C.', exitCode: 130 },
      resume: commandThatGoesOn(ended.stderr),
    });
    expect(ended.json().resume).toEndWith(' --resume');
  }, 60_000);

  test('ends when Qdrant stands in the middle of an answer, and goes on', async () => {
    for (const protocol of ['grpc', 'rest'] as const) {
      const standing = Promise.withResolvers<void>();
      double.setFaults(({ method }) => {
        if (method !== 'retrieve') return undefined;
        standing.resolve();
        return { kind: 'stallMidway' };
      });
      const program = await startToFile({ protocol, args: PARQUET });
      await standing.promise;
      const ended = await stop(program);
      expectStopped(ended);
      await expectToGoOn(program, ended);
    }
  }, 60_000);

  test('ends while it waits to ask again, and goes on', async () => {
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
    const program = await startToFile();
    await refused.promise;
    await program.running.stderrMatching(/Rate limiting exceeded/);
    const ended = await stop(program, 'SIGTERM');
    expectStopped(ended, 143, 'Stopped by SIGTERM.');
    await expectToGoOn(program, ended);
  }, 60_000);

  test('ends while DuckDB makes the Parquet file, which is gone with it, and goes on from the data', async () => {
    const bin = join(top, 'bin');
    await mkdir(bin);
    const duckdb = join(bin, 'duckdb');
    const begun = join(bin, 'begun');
    // It says which process it is, and then does nothing for as long as it may.
    await writeFile(
      duckdb,
      `#!/bin/sh\n[ "$1" = --version ] && { echo 'v1.5.6 (test)'; exit; }\necho $$ > '${begun}.new'; mv '${begun}.new' '${begun}'\nexec sleep 1000\n`,
    );
    await chmod(duckdb, 0o755);
    const program = await startToFile({ env: { PATH: `${bin}:${process.env.PATH}` } });
    while (!(await Bun.file(begun).exists())) await new Promise((resolve) => setImmediate(resolve));
    const ended = await stop(program);
    expectStopped(ended);
    const pid = Number(await readFile(begun, 'utf8'));
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(await filesIn(join(program.folder, 'out'))).toEqual([]);
    await rm(duckdb);
    const asked = double.stats.requests.retrieve;
    await expectToGoOn({ ...program, env: { ...program.env, PATH: BASE.PATH } }, ended);
    expect(double.stats.requests.retrieve).toBe(asked);
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
  const server = store ?? NO_S3_SERVER;
  const front = proxy as NonNullable<typeof proxy>;
  const isPart = (number: number) => (request: { operation: string; query: URLSearchParams }) =>
    request.operation === 'UploadPart' && request.query.get('partNumber') === String(number);
  const isComplete = ({ operation }: SeenRequest) => operation === 'Complete';
  const completed = () => front.seen.filter(isComplete).map(({ query }) => query.get('uploadId') ?? '');

  async function expectNothingPublished(program: Program): Promise<void> {
    expect(await server.head(program.output)).toBeUndefined();
    expect(await server.head(program.manifest)).toBeUndefined();
  }

  /** Nothing is there, not even something to go on with. */
  async function expectNothingIn(program: Program): Promise<void> {
    await expectNothingPublished(program);
    expect(await server.openUploads()).toEqual([]);
    // OUTPUT_TEMP_FOLDER itself stays.
    expect((await filesIn(program.folder)).filter((name) => name !== 'work')).toEqual([]);
  }

  /** Gives the upload that stays: none but the one that the journal names. */
  async function openUpload(program: Program): Promise<string | undefined> {
    const uploads = await server.openUploads();
    const journal = await readFile(journalOf(program), 'utf8');
    for (const upload of uploads) expect(journal).toContain(upload);
    expect(uploads.length).toBeLessThanOrEqual(1);
    return uploads[0];
  }

  async function expectToGoOnThere(program: Program, ended: ExporterResult): Promise<void> {
    front.reset();
    await expectToGoOn(program, ended, (key) => server.bytes(key));
    expect(await server.openUploads()).toEqual([]);
  }

  for (const [signal, code, why] of SIGNALS) {
    const andGoesOn = goesOn(signal);

    test(`keeps the upload of a work file at ${signal}${andGoesOn}`, async () => {
      front.faults = (request) => (isPart(2)(request) ? { kind: 'stall' } : undefined);
      const standing = front.arrival(isPart(2));
      const program = await startToStore();
      await standing;
      const ended = await stop(program, signal);
      expectStopped(ended, code, why);
      await expectNothingPublished(program);
      const upload = await openUpload(program);
      expect(upload).toBeDefined();
      if (andGoesOn === '') return;
      const asked = double.stats.requests.retrieve;
      await expectToGoOnThere(program, ended);
      expect(completed()).toEqual([upload as string]);
      expect(double.stats.requests.retrieve).toBe(asked);
    }, 60_000);

    test(`keeps a streamed upload at ${signal}${andGoesOn}`, async () => {
      front.faults = (request) => (isPart(2)(request) ? { kind: 'stall' } : undefined);
      const standing = front.arrival(isPart(2));
      const program = await startToStore({ args: STREAM });
      await standing;
      const ended = await stop(program, signal);
      expectStopped(ended, code, why);
      await expectNothingPublished(program);
      const upload = await openUpload(program);
      expect(upload).toBeDefined();
      if (andGoesOn === '') return;
      await expectToGoOnThere(program, ended);
      expect(completed()).toEqual([upload as string]);
    }, 60_000);

    test(`aborts a streamed upload at ${signal} that no journal can know of`, async () => {
      front.faults = (request) => (isPart(1)(request) ? { kind: 'stall' } : undefined);
      const standing = front.arrival(isPart(1));
      const program = await startToStore({ args: STREAM, env: { OUTPUT_TEMP_FOLDER: '/dev/null' } });
      await standing;
      const ended = await stop(program, signal);
      expectStopped(ended, code, why);
      expect(ended.stderr).toContain(
        'Note: An interruption could not be gone on with, as there is no journal: ',
      );
      expect(commandThatGoesOn(ended.stderr)).toBeUndefined();
      await expectNothingIn(program);
    }, 60_000);
  }

  test('ends when Qdrant stands still and the store waits for bytes, and goes on', async () => {
    const standing = stallQdrant('retrieve', 4);
    const program = await startToStore({ args: STREAM });
    await standing;
    const ended = await stop(program);
    expectStopped(ended);
    await expectNothingPublished(program);
    await openUpload(program);
    await expectToGoOnThere(program, ended);
  }, 60_000);

  for (const [what, args] of [
    ['a work file', []],
    ['a stream', STREAM],
  ] as const) {
    test(`leaves what an earlier run published, and its manifest, when it is stopped before the last step of ${what}`, async () => {
      front.faults = (request) => (isComplete(request) ? { kind: 'stall' } : undefined);
      const standing = front.arrival(isComplete);
      const [export_, manifest] = [`run-${runs + 1}/c/latest.parquet`, `run-${runs + 1}/c/latest.json`];
      await server.write(export_, PREVIOUS);
      await server.write(manifest, PREVIOUS_MANIFEST);
      const program = await startToStore({ args });
      expect([program.output, program.manifest]).toEqual([export_, manifest]);
      await standing;
      const ended = await stop(program);
      expectStopped(ended);
      expect(ended.stderr).toContain(
        '\nStopped by Ctrl+C. The request that publishes it was sent and may still take effect.\n',
      );
      const upload = await openUpload(program);
      expect(Buffer.from((await server.bytes(export_)) ?? []).toString()).toBe(PREVIOUS.toString());
      expect(Buffer.from((await server.bytes(manifest)) ?? []).toString()).toBe(PREVIOUS_MANIFEST.toString());
      const sent = front.acceptedBytes;
      await expectToGoOnThere(program, ended);
      expect(completed()).toEqual([upload as string]);
      // All of it was there: what came now is the manifest, and the checks before the run.
      expect(front.acceptedBytes).toBeLessThan(sent / 10);
    }, 60_000);
  }

  test('says that the export is published when only its manifest is on the way, and goes on to that alone', async () => {
    const isManifest = ({ operation, path }: SeenRequest) =>
      operation === 'PutObject' && path.endsWith('.json');
    front.faults = (request) => (isManifest(request) ? { kind: 'stall' } : undefined);
    const standing = front.arrival(isManifest);
    const program = await startToStore();
    await standing;
    const ended = await stop(program, 'SIGTERM');
    expect(ended.code).toBe(143);
    expect(ended.stderr).toContain(
      `The export is whole and published as s3://${server.bucket}/${program.output}, but its manifest is not: the run was stopped.`,
    );
    const published = await server.head(program.output);
    expect(published?.bytes).toBe((await undisturbed([])).length);
    expect(await server.head(program.manifest)).toBeUndefined();
    expect(await server.openUploads()).toEqual([]);
    await expectToGoOnThere(program, ended);
    expect(completed()).toEqual([]);
    expect(await server.head(program.output)).toEqual(published);
  }, 60_000);

  test('never says that it was stopped without a word of the export when the store has published it', async () => {
    const released = Promise.withResolvers<void>();
    front.faults = (request) => (isComplete(request) ? { kind: 'hold', until: released.promise } : undefined);
    const standing = front.arrival(isComplete);
    const program = await startToStore();
    await standing;
    program.running.kill('SIGINT');
    await program.running.stderrMatching(/Stopping after Ctrl\+C/);
    released.resolve();
    const ended = await program.running.result;
    expect((await server.head(program.output))?.bytes).toBe((await undisturbed([])).length);
    expect(ended.stderr).toContain(`s3://${server.bucket}/${program.output}`);
    if (ended.code !== 0) await expectToGoOnThere(program, ended);
  }, 60_000);

  for (const [operation, isBegun] of [
    // The first check before the run.
    ['CreateUpload', false],
    // What is there now, before the upload.
    ['Head', true],
  ] as const) {
    test(`ends, with nothing published, in a store that takes ${operation} and never answers`, async () => {
      front.faults = (request) => (request.operation === operation ? { kind: 'stall' } : undefined);
      const standing = front.arrival((request) => request.operation === operation);
      const program = await startToStore({ args: STREAM });
      await standing;
      const ended = await stop(program);
      expectStopped(ended);
      front.reset();
      if (!isBegun) await expectNothingIn(program);
      else {
        await expectNothingPublished(program);
        expect(await server.openUploads()).toEqual([]);
        await expectToGoOnThere(program, ended);
      }
    }, 60_000);
  }

  test('ends in a store that answers nothing any more, and goes on when it does', async () => {
    front.faults = () => (front.seen.some(isPart(1)) ? { kind: 'stall' } : undefined);
    const standing = front.arrival(isPart(1));
    const program = await startToStore({ args: STREAM });
    await standing;
    const ended = await stop(program);
    expectStopped(ended);
    expect(await openUpload(program)).toBeDefined();
    await expectNothingPublished(program);
    await expectToGoOnThere(program, ended);
  }, 60_000);

  test('names the upload that remains in a store that answers nothing any more, without a journal', async () => {
    front.faults = (request) =>
      ['UploadPart', 'Abort', 'ListParts'].includes(request.operation) && front.seen.some(isPart(1))
        ? { kind: 'stall' }
        : undefined;
    const standing = front.arrival(isPart(1));
    const program = await startToStore({ args: STREAM, env: { OUTPUT_TEMP_FOLDER: '/dev/null' } });
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
    const program = await startToStore({ args: STREAM, env: { OUTPUT_TEMP_FOLDER: '/dev/null' } });
    await standing;
    program.running.kill('SIGINT');
    await aborting;
    const ended = await stop(program);
    expect(ended.code).toBe(130);
    // It did not wait for the store: the text of a run that had, is missing.
    expect(ended.stderr).not.toContain('Stopped by Ctrl+C.');
    front.reset();
  }, 60_000);
});

describe('exporter-r2 whose reader has gone', () => {
  async function runInShell(redirect: string) {
    const folder = join(top, `run-${++runs}`);
    await mkdir(folder, { recursive: true });
    const [output, said, codeFile] = [join(folder, 'c.parquet'), join(folder, 'said'), join(folder, 'code')];
    const env = { ...BASE, OUTPUT_TEMP_FOLDER: join(folder, 'work') };
    const command = [
      ...EXPORTER_COMMAND,
      '--collection',
      'c',
      ...address('grpc'),
      '--output',
      output,
      '--json',
    ];
    const quoted = command.map((part) => `'${part.replaceAll("'", "'\\''")}'`).join(' ');
    const line = `{ ${quoted}; echo $? > '${codeFile}'; } ${redirect.replace('SAID', `'${said}'`)}`;
    const child = Bun.spawn(['/bin/sh', '-c', line], {
      cwd: folder,
      env: { ...env, PATH: '/usr/bin:/bin', HOME: folder },
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'ignore',
      timeout: LIMIT_MS,
    });
    await child.exited;
    const code = Number(await readFile(codeFile, 'utf8'));
    return { code, output, folder, env, said: await readFile(said, 'utf8').catch(() => '') };
  }

  test('stops when stdout is closed, and goes on', async () => {
    // Nobody is told when the run would be over in a second.
    stallQdrant('retrieve', 3);
    const { code, output, folder, env, said } = await runInShell('2> SAID | true');
    expect(code).toBe(141);
    expect(said).toContain('\nStopped, because nobody reads stdout any more.\nGo on with: ');
    expect((await filesIn(folder)).filter((name) => /^c\.parquet(\.json)?$/.test(name))).toEqual([]);
    double.setFaults(undefined);
    expect(await goOn(said, { env })).toMatchObject({ code: 0, workFiles: [] });
    expect(Buffer.compare(await readFile(output), await undisturbed([]))).toBe(0);
  }, 60_000);

  test('finishes the export when stderr is closed', async () => {
    const { code, output } = await runInShell('2>&1 >/dev/null | true');
    expect(code).toBe(0);
    expect(Buffer.compare(await readFile(output), await undisturbed([]))).toBe(0);
  }, 60_000);
});
