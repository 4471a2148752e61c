import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import { compareIds, idAfter, type PointId } from '../../../lib/model.ts';
import { BatchSize } from '../../../lib/pipeline/batch-size.ts';
import { idUnits } from '../../../lib/pipeline/id-units.ts';
import type { IdPage, PageRequest, PointSet } from '../../../lib/qdrant/transport.ts';
import { pointsOf } from '../../support/point-sets.ts';
import { scriptedTransport } from '../../support/scripted-transport.ts';

const signal = new AbortController().signal;

function unitsOf(
  scrollIds: (page: PageRequest) => Promise<IdPage>,
  unitRows: number,
  pageSize = 10,
): ReadableStream<{ readonly ids: readonly PointId[] }> {
  return idUnits({
    transport: scriptedTransport({ scrollIds: (_, page) => scrollIds(page) }),
    from: undefined,
    sets: [pointsOf('c')],
    limit: Number.POSITIVE_INFINITY,
    pageSize: new BatchSize(pageSize),
    unitRows: () => unitRows,
    signal,
  });
}

/** Pages over ids as Qdrant gives them: the offset is inclusive and need not exist. */
function pagesOf(ids: readonly PointId[]): (page: PageRequest) => Promise<IdPage> {
  return async ({ offset, limit }) => {
    const from = offset === undefined ? 0 : ids.indexOf(offset);
    return { ids: ids.slice(from, from + limit), next: ids[from + limit] };
  };
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index + 1));

describe('idUnits()', () => {
  test('cuts pages into units of the rows asked for, over page borders', async () => {
    const ids = numbers(35);
    const units = await Array.fromAsync(unitsOf(pagesOf(ids), 8));
    expect(units.map((unit) => unit.ids.length)).toEqual([8, 8, 8, 8, 3]);
    expect(units.flatMap((unit) => unit.ids)).toEqual(ids);
  });

  test('ends after a full last page', async () => {
    const ids = numbers(20);
    const units = await Array.fromAsync(unitsOf(pagesOf(ids), 10));
    expect(units.flatMap((unit) => unit.ids)).toEqual(ids);
  });

  test('gives no unit for an empty collection', async () => {
    expect(await Array.fromAsync(unitsOf(pagesOf([]), 8))).toEqual([]);
  });

  test('goes on behind a cursor with the unit that it stands before', async () => {
    const ids = [...numbers(20), '00000000-0000-0000-0000-00000000000a'];
    const sets = ['a', 'b'].map((text) => pointsOf('c', { shardKey: { kind: 'keyword', text } }));
    const asked: (string | undefined)[] = [];
    const source = {
      transport: scriptedTransport({
        scrollIds: async (_, { offset, limit }) => {
          asked.push(offset);
          const left = offset === undefined ? ids : ids.filter((id) => compareIds(id, offset) >= 0);
          return { ids: left.slice(0, limit), next: left[limit] };
        },
      }),
      sets,
      limit: Number.POSITIVE_INFINITY,
      pageSize: new BatchSize(7),
      // Units of other sizes tell their numbers.
      unitRows: (unit: number) => 3 + (unit % 2),
      signal,
    };
    const whole = await Array.fromAsync(idUnits({ ...source, from: undefined }));
    for (const [index, { set, ids: own }] of whole.entries()) {
      const from = { set, after: own.at(-1) as string, units: index + 1 };
      asked.length = 0;
      const rest = await Array.fromAsync(idUnits({ ...source, from }));
      expect(rest).toEqual(whole.slice(index + 1));
      expect(asked[0]).toBe(idAfter(from.after) as string);
    }
  });

  test('refuses an id from before its cursor', async () => {
    const scrollIds = async () => ({ ids: ['5'], next: undefined });
    const source = {
      transport: scriptedTransport({ scrollIds }),
      sets: [pointsOf('c')],
      limit: 9,
      pageSize: new BatchSize(5),
      unitRows: () => 2,
      signal,
    };
    const units = idUnits({ ...source, from: { set: 0, after: '5', units: 1 } });
    const error = await Array.fromAsync(units).catch((thrown: unknown) => thrown);
    expect((error as ToolError).code).toBe('integrity');
  });

  test('orders numbers as u64 before UUIDs', async () => {
    const ids = [
      '9',
      '10',
      '9007199254740993',
      '18446744073709551615',
      '00000000-0000-0000-0000-000000000000',
    ];
    const units = await Array.fromAsync(unitsOf(pagesOf(ids), 8));
    expect(units.flatMap((unit) => unit.ids)).toEqual(ids);
  });

  test('reads set after set, an id of two sets twice, and no unit holds ids of two', async () => {
    const keys = ['a', 'b', 'empty', 'c'].map((text) =>
      pointsOf('c', { shardKey: { kind: 'keyword', text } }),
    );
    const ids = new Map<string, PointId[]>([
      ['a', numbers(5)],
      ['b', numbers(7)],
      ['c', ['1', '3']],
    ]);
    const scrollIds = (set: PointSet, page: PageRequest) =>
      pagesOf(ids.get(set.shardKey?.text ?? '') ?? [])(page);
    const units = await Array.fromAsync(
      idUnits({
        transport: scriptedTransport({ scrollIds }),
        from: undefined,
        sets: keys,
        limit: Number.POSITIVE_INFINITY,
        pageSize: new BatchSize(3),
        unitRows: () => 4,
        signal,
      }),
    );
    expect(units.map((unit) => [unit.points.shardKey?.text ?? '', ...unit.ids])).toEqual([
      ['a', '1', '2', '3', '4'],
      ['a', '5'],
      ['b', '1', '2', '3', '4'],
      ['b', '5', '6', '7'],
      ['c', '1', '3'],
    ]);
  });

  for (const limit of [1, 4, 5, 6, 10, 12, 99]) {
    test(`asks for ${limit} ids in all at most, over sets and pages`, async () => {
      const sets = ['a', 'b'].map((text) => pointsOf('c', { shardKey: { kind: 'keyword', text } }));
      let asked = 0;
      const units = await Array.fromAsync(
        idUnits({
          from: undefined,
          transport: scriptedTransport({
            scrollIds: async (_, page) => {
              const answer = await pagesOf(numbers(6))(page);
              asked += answer.ids.length;
              return answer;
            },
          }),
          sets,
          limit,
          pageSize: new BatchSize(4),
          unitRows: () => 4,
          signal,
        }),
      );
      const wanted = [...numbers(6), ...numbers(6)].slice(0, limit);
      expect(units.flatMap((unit) => unit.ids)).toEqual(wanted);
      expect(asked).toBe(wanted.length);
    });
  }

  for (const [what, pages] of [
    [
      'an id twice',
      [
        { ids: ['1', '2'], next: '3' },
        { ids: ['2', '3'], next: undefined },
      ],
    ],
    ['ids out of order', [{ ids: ['2', '1'], next: undefined }]],
    ['more ids than were asked for', [{ ids: numbers(101), next: undefined }]],
    ['a next page that begins on this one', [{ ids: ['1', '2'], next: '2' }]],
  ] as const) {
    test(`refuses ${what} as an integrity error`, async () => {
      const queue: IdPage[] = [...pages];
      const units = idUnits({
        transport: scriptedTransport({ scrollIds: async () => queue.shift() as IdPage }),
        from: undefined,
        sets: [pointsOf('c')],
        limit: 100,
        pageSize: new BatchSize(10),
        unitRows: () => 8,
        signal,
      });
      const error = await Array.fromAsync(units).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ToolError);
      expect((error as ToolError).code).toBe('integrity');
    });
  }

  test('reads a bounded number of pages ahead of a reader that does not read', async () => {
    let pages = 0;
    const endless = async ({ offset, limit }: PageRequest): Promise<IdPage> => {
      pages++;
      const from = Number(offset ?? 1);
      return { ids: Array.from({ length: limit }, (_, i) => String(from + i)), next: String(from + limit) };
    };
    const units = unitsOf(endless, 10, 10);
    const reader = units.getReader();
    await reader.read();
    // Everything that can run without a reader has run once the queue of microtasks is empty.
    await new Promise((resolve) => setImmediate(resolve));
    expect(pages).toBeLessThanOrEqual(34);
    await reader.cancel();
  });
});
