import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import type { StrictMode } from '../../../lib/model.ts';
import type { ExportPlan } from '../../../lib/plan.ts';
import { prepare } from '../../../lib/run/prepare.ts';
import type { Destination } from '../../../lib/storage/storage.ts';
import { parquetFormat } from '../../../lib/writers/parquet/parquet.ts';
import { planOf, shapeOf } from '../../support/plans.ts';
import { idsTo, runProcess } from '../../support/run-scene.ts';
import { scriptedTransport } from '../../support/scripted-transport.ts';
import { splitLineOf, splitLines } from '../../support/split-lines.ts';
import { keysOf, nothing, PLAIN, run } from '../../support/split-scene.ts';

const signal = new AbortController().signal;

/** Bytes of the payload of each point: the first ones say nothing about those after them. */
const PAYLOADS = Array.from({ length: 40 }, (_, index) => (index < 5 ? 2 : 1000 * index));

/** What the format is told of payloads, where a scroll passes only for up to `passing` points. */
async function payloadBytesSeen(passing: number, strictMode: StrictMode = {}): Promise<number | undefined> {
  const shape = shapeOf({ strictMode });
  const transport = scriptedTransport({
    describe: async () => shape,
    count: async () => PAYLOADS.length,
    scroll: async (_, { offset, limit }, into) => {
      if (limit > passing) throw new ToolError('qdrant', 'too large', { remedy: 'smaller' });
      const from = Number(offset ?? 0);
      for (const [index, bytes] of PAYLOADS.slice(from, from + limit).entries()) {
        into.payload.reserve(bytes);
        into.payload.length += bytes;
        into.endRow(String(from + index));
      }
      return from + limit < PAYLOADS.length ? String(from + limit) : undefined;
    },
  });
  let seen: number | undefined;
  await prepare(
    planOf(),
    {
      transport,
      format: (ofShape, sample) => {
        seen = sample.payloadBytes;
        return parquetFormat(ofShape, {
          strategy: 'parquet-med',
          rowGroupRows: 10,
          splitBytes: undefined,
          compression: 'none',
          vectorEncoding: 'plain',
          schema: 'keyed',
          keyField: 'key',
          metadataField: undefined,
          createdBy: 'test',
          exportedAt: new Date(0),
          sample,
        });
      },
      destination: {
        locate: (key) => key,
        check: async () => {},
        put: () => Promise.reject(new Error('put')),
      },
      converter: undefined,
      work: undefined,
      confirm: undefined,
      tool: { name: 'test', version: '0' },
      emit: () => {},
    },
    signal,
  );
  return seen;
}

describe('prepare()', () => {
  test('judges payloads by the same first points, however many pages they come in', async () => {
    const wanted = await payloadBytesSeen(100);
    expect(wanted).toBeGreaterThan(2);
    for (const passing of [1, 3, 10]) expect(await payloadBytesSeen(passing)).toBe(wanted as number);
    expect(await payloadBytesSeen(100, { maxQueryLimit: 5 })).toBe(wanted as number);
  });
});

describe('what the store says of the size of an export', () => {
  const wanted = 3_000;

  /** A run of 30 points, about 300 bytes, but for what a test says of the estimate. */
  async function begun(
    plan: Partial<ExportPlan>,
    fits: Destination['fits'],
    estimate = wanted,
    door: Destination['door'] = (bytes) => `door for ${bytes}`,
  ) {
    const left = nothing();
    const destination = { ...left.store.destination(), ...(fits && { fits }), door };
    const format = () => ({ ...splitLines(1_000), estimateBytes: () => estimate });
    const ended = await runProcess({
      ids: idsTo(30),
      lineOf: splitLineOf,
      disk: left.disk,
      plan: { streaming: false, options: { strategy: 'lines' }, ...plan },
      parts: { destination, format },
    });
    return { ...ended, left };
  }

  test('is asked for the largest file that there will be, and is a warning behind the plan', async () => {
    const asked: unknown[] = [];
    const fits = async (key: string, bytes: number) => {
      asked.push([key, bytes]);
      return ['It is large.'];
    };
    const { events, error } = await begun({}, fits);
    await begun({ splitBytes: 1_000 }, fits);
    expect(asked).toEqual([
      ['k', wanted],
      ['k', 1_000],
    ]);
    expect(error).toBeUndefined();
    expect(events.slice(0, 2).map(({ kind }) => kind)).toEqual(['plan', 'warning']);
    expect(events[1]).toEqual({ kind: 'warning', text: 'It is large.' });
  });

  test('is told by a dry run too, which writes nothing', async () => {
    const { report, events, left } = await begun({ dryRun: true }, async () => ['It is large.']);
    expect(report?.warnings).toEqual(['It is large.']);
    expect(events.at(-1)).toEqual({ kind: 'warning', text: 'It is large.' });
    expect(keysOf(left)).toEqual([]);
  });

  for (const dryRun of [true, false]) {
    test(`ends a ${dryRun ? 'dry run' : 'run'} before its first point where it is a refusal`, async () => {
      const fits = () => Promise.reject(new ToolError('store', 'Too large.'));
      const { error, events, left, isResumable } = await begun({ dryRun }, fits);
      expect(error?.message).toBe('Too large.');
      expect(events).toEqual([]);
      expect(isResumable).toBe(false);
      expect(left.disk.records()).toEqual([]);
    });
  }

  test('chooses the door, which the plan names', async () => {
    const doorOf = async (plan: Partial<ExportPlan>, door?: Destination['door']) => {
      const { events } = await begun(plan, undefined, wanted, door);
      return events.flatMap((event) => (event.kind === 'plan' ? [event.plan.door] : []));
    };
    expect(await doorOf({})).toEqual(['door for 3000']);
    expect(await doorOf({ splitBytes: 1_000 })).toEqual(['door for 1000']);
  });

  test('is nothing where it has but one way and any room', async () => {
    const left = nothing();
    const { events } = await run(left, { plan: PLAIN });
    expect(events.flatMap((event) => (event.kind === 'plan' ? [event.plan.door] : []))).toEqual([undefined]);
  });

  test('does not matter where there would be too many files for one manifest', async () => {
    const { error } = await begun({ splitBytes: 1_000 }, undefined, 20_000_000);
    expect(error?.code).toBe('usage');
    expect(error?.message).toBe(
      '--split-size would make about 20000 files of an export of about 20 MB; at most 10000 are made, so at least --split-size 1MB is wanted.',
    );
    expect((await begun({ splitBytes: 1_000 }, undefined, 10_000_000)).error).toBeUndefined();
  });
});
