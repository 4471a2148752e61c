import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningExporter, runExporter, startExporter } from '../support/exporter.ts';
import { killWhen } from '../support/kill-points.ts';
import { startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { randomNumbers } from '../support/qdrant-double/random-numbers.ts';

const POINTS = 3_000;
const COLLECTION = { name: 'c', points: POINTS, dimensions: 8, payloadBytes: 0 };
/** Many small answers, so that a run can be stopped between any two of them. */
const IN_STEPS = ['--batch-size', '200', '--retrieve-batch', '50', '--parallel', '2'];

const double = await startQdrantDouble({ generated: [COLLECTION] });
const fetched = double.fetched('c');
const top = await mkdtemp(join(tmpdir(), 'kill-'));

afterEach(() => {
  double.setFaults(undefined);
  fetched.reset();
});
afterAll(async () => {
  await double.stop();
  await rm(top, { recursive: true, force: true });
});

function argsOf(protocol: 'grpc' | 'rest', name: string): readonly string[] {
  const address = protocol === 'rest' ? ['--http', '--url', double.restUrl] : ['--url', double.grpcUrl];
  return ['--collection', 'c', ...address, '--output', join(top, `${name}.parquet`), ...IN_STEPS];
}

/** A run that stands still with its first look at the server until it is killed. */
async function startStalled(): Promise<RunningExporter> {
  const standing = Promise.withResolvers<void>();
  double.setFaults(() => {
    standing.resolve();
    return { kind: 'stall' };
  });
  const running = await startExporter(argsOf('grpc', 'stalled'));
  const ended = running.result.then(({ stderr }) => {
    throw new Error(`The run ended before it asked anything. stderr:\n${stderr}`);
  });
  await Promise.race([standing.promise, ended]);
  return running;
}

async function errorOf(promise: Promise<unknown>): Promise<Error> {
  const error = await promise.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  return error as Error;
}

describe('killWhen()', () => {
  for (const protocol of ['grpc', 'rest'] as const) {
    test(`kills a run over ${protocol} at a seeded point, before it has read and published everything`, async () => {
      const random = randomNumbers(`kill ${protocol}`);
      for (let run = 0; run < 2; run++) {
        fetched.reset();
        const point = 1 + Math.floor(random() * POINTS * 0.8);
        const output = `${protocol}-${run}`;
        const running = await startExporter(argsOf(protocol, output));
        const ended = await killWhen(running, fetched.reached(point));
        expect(ended.code).toBe(137);
        expect(fetched.total).toBeGreaterThanOrEqual(point);
        expect(fetched.counts()[POINTS - 1]).toBe(0);
        expect(await Bun.file(join(top, `${output}.parquet`)).exists()).toBe(false);
      }
    }, 60_000);
  }

  test('rejects when the run ended before', async () => {
    const running = await startExporter(['--no-such-flag']);
    const error = await errorOf(killWhen(running, fetched.reached(1)));
    expect(error.message).toMatch(
      /^The run ended with code 2 before it could be killed\. stderr:\n.*such-flag/s,
    );
  });

  test('rejects when the run had ended before it was asked to kill it', async () => {
    const running = await startExporter(['--no-such-flag']);
    await running.result;
    const error = await errorOf(killWhen(running, Promise.resolve()));
    expect(error.message).toMatch(/^The run ended with code 2 before it could be killed\./);
  });

  test('rejects with the error of the condition, and leaves no run behind', async () => {
    const running = await startStalled();
    const error = await errorOf(killWhen(running, Promise.reject(new Error('never true'))));
    expect(error.message).toBe('never true');
    expect((await running.result).code).toBe(137);
  }, 60_000);
});

describe('startExporter()', () => {
  test('keeps a work folder of the test, whatever happens to the run', async () => {
    const work = join(top, 'work');
    await Bun.write(join(work, 'kept', 'file'), 'as it was');
    double.setFaults(() => ({ kind: 'stall' }));
    const running = await startExporter(argsOf('grpc', 'kept'), { env: { OUTPUT_TEMP_FOLDER: work } });
    expect(running.workFolder).toBe(work);
    const ended = await killWhen(running, Promise.resolve());
    expect(ended.workFiles).toContain(join('kept', 'file'));
    expect(await Bun.file(join(work, 'kept', 'file')).text()).toBe('as it was');
  }, 60_000);

  test('gives the program what it is to read, and nothing unless told', async () => {
    const args = [...argsOf('grpc', 'stdin').slice(2), '--env-file', '/dev/stdin'];
    const told = await runExporter(args, { stdin: 'QDRANT_COLLECTION_NAME=c\n' });
    expect({ code: told.code, points: fetched.counts()[POINTS - 1] }).toEqual({ code: 0, points: 1 });
    const silent = await runExporter(args);
    expect(silent.code).toBe(2);
    expect(silent.stderr).toContain('QDRANT_COLLECTION_NAME');
  }, 60_000);
});
