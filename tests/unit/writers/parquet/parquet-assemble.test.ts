import { describe, expect, test } from 'bun:test';
import {
  type AssembleOptions,
  assembleParquet,
  type Laid,
} from '../../../../lib/writers/parquet/parquet-assemble.ts';
import type { ColumnSpec } from '../../../../lib/writers/parquet/parquet-columns.ts';
import type { ColumnPages, EncodedPage, ParquetUnit } from '../../../../lib/writers/parquet/parquet-page.ts';

const MIB = 1024 * 1024;

/** A page of `rows` rows whose body is a word to look for, and which claims to have been so large. */
function page(word: string, rows = 1, uncompressedBytes = 100): EncodedPage {
  const body = new TextEncoder().encode(word);
  return {
    rowCount: rows,
    valueCount: rows,
    header: new Uint8Array(4),
    body,
    pooled: undefined,
    uncompressedBytes,
  };
}

function pages(...list: readonly EncodedPage[]): ColumnPages {
  return { pages: list };
}

function options(columns: readonly ColumnSpec[], changes: Partial<AssembleOptions> = {}): AssembleOptions {
  return {
    columns,
    codec: 0,
    rowGroupRows: 1000,
    createdBy: 'test',
    keyValues: [],
    release: () => {},
    ...changes,
  };
}

function text(name: string): ColumnSpec {
  return { kind: 'text', name, bounds: false };
}

/** Words and events in the order in which they came: units that were asked for, and page bodies. */
async function lay(
  units: readonly ParquetUnit[],
  settings: AssembleOptions,
): Promise<{ readonly events: readonly string[]; readonly laid: Laid }> {
  const events: string[] = [];
  async function* source(): AsyncGenerator<ParquetUnit> {
    for (const [number, unit] of units.entries()) {
      events.push(`unit ${number}`);
      yield unit;
    }
    events.push('end');
  }
  const chunks = assembleParquet(source(), settings);
  for (;;) {
    const step: IteratorResult<Uint8Array<ArrayBuffer>, Laid> = await chunks.next();
    if (step.done) return { events, laid: step.value };
    const chunk = new TextDecoder().decode(step.value);
    if (/^[a-z]+\d$/.test(chunk)) events.push(chunk);
  }
}

describe('assembleParquet()', () => {
  const unit = (number: number): ParquetUnit => ({
    rowCount: 1,
    columns: ['a', 'b', 'indices', 'values', 'c'].map((name) => pages(page(`${name}${number}`))),
  });
  const columns: readonly ColumnSpec[] = [
    text('a'),
    text('b'),
    { kind: 'sparse', name: 's', encoding: 'plain' },
    text('c'),
  ];

  test('writes a row group when it is whole, its column chunks in the order of the schema', async () => {
    const { events, laid } = await lay([0, 1, 2].map(unit), options(columns, { rowGroupRows: 2 }));
    const leaves = ['a', 'b', 'indices', 'values', 'c'];
    expect(events).toEqual([
      ...['unit 0', 'unit 1', 'unit 2'],
      ...leaves.flatMap((name) => [`${name}0`, `${name}1`]),
      'end',
      ...leaves.map((name) => `${name}2`),
    ]);
    expect(laid).toEqual({ rows: 3, rowGroups: 2 });
  });

  test('closes a row group before its columns together take more than 80 MiB', async () => {
    const groups = async (bytes: number) => {
      const units = Array.from({ length: 9 }, () => ({
        rowCount: 1,
        columns: [pages(page('a0', 1, bytes)), pages(page('b0', 1, bytes))],
      }));
      return (await lay(units, options([text('a'), text('b')]))).laid.rowGroups;
    };
    // Nine units of 8.8 MiB fit, what the pages take beside their bytes included; nine of 9 MiB do not.
    expect(await groups(Math.floor(4.4 * MIB))).toBe(1);
    expect(await groups(Math.floor(4.5 * MIB))).toBe(2);
  });

  test('counts what pages take beside their bytes: thousands of small ones wait no longer than few large ones', async () => {
    const many = Array.from({ length: 1001 }, (_, column) => text(`column ${column}`));
    const units = Array.from({ length: 180 }, () => ({
      rowCount: 1,
      columns: many.map(() => pages(page('', 1, 60))),
    }));
    expect((await lay(units, options(many))).laid.rowGroups).toBe(2);
  });

  test('takes a unit whose pages are larger than a row group by itself', async () => {
    const units = [900, 900].map((mib) => ({
      rowCount: 1,
      columns: [pages(page('a0')), pages(page('b0', 1, mib * MIB))],
    }));
    expect((await lay(units, options([text('a'), text('b')]))).laid).toEqual({ rows: 2, rowGroups: 2 });
  });

  test('leaves units of no rows out', async () => {
    const none: ParquetUnit = { rowCount: 0, columns: columns.map(() => pages()) };
    const { laid } = await lay([none, unit(0), none], options(columns));
    expect(laid).toEqual({ rows: 1, rowGroups: 1 });
  });

  test('gives a page buffer back once the next chunk is asked for, and not before', async () => {
    const released: string[] = [];
    const settings = options([text('a'), text('b')], {
      release: (buffer) => released.push(new TextDecoder().decode(buffer)),
    });
    async function* units(): AsyncGenerator<ParquetUnit> {
      const [a, b] = [page('a0'), page('b0')];
      yield { rowCount: 1, columns: [pages({ ...a, pooled: a.body }), pages({ ...b, pooled: b.body })] };
    }
    const seen: string[] = [];
    for await (const chunk of assembleParquet(units(), settings)) {
      const word = new TextDecoder().decode(chunk);
      if (/^[ab]0$/.test(word)) seen.push(`${word} after ${released.join()}`);
    }
    expect(seen).toEqual(['a0 after ', 'b0 after a0']);
    expect(released).toEqual(['a0', 'b0']);
  });
});
