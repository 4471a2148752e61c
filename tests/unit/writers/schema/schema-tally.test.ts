import { describe, expect, test } from 'bun:test';
import { FileTally } from '../../../../lib/writers/file-tally.ts';
import { encodedBytes } from '../../../../lib/writers/parquet/parquet-page.ts';
import type { Totals } from '../../../../lib/writers/schema/schema.ts';
import { pointsSchema } from '../../../../lib/writers/schema/schema-points.ts';
import { encodeRows, shapeWith, unitsOf, vectorSpec, writeRows } from '../../../support/point-rows.ts';
import { schemaFormat } from '../../../support/schema-files.ts';

describe('FileTally', () => {
  test('knows the size of the file but for its magic and its footer', async () => {
    const shape = shapeWith([vectorSpec('dense', '', 64)]);
    const format = schemaFormat(shape, { schema: 'points', compression: 'none', rowGroupRows: 100 });
    const rows = Array.from({ length: 1000 }, (_, index) => ({
      id: String(index),
      payload: { text: JSON.stringify('x'.repeat(index)) },
      vectors: { '': new Float32Array(64).fill(index) },
    }));
    const seen: Totals[] = [];
    const schema = {
      ...pointsSchema(shape),
      notes: (totals: Totals) => {
        seen.push(totals);
        return [];
      },
    };
    const tally = new FileTally(schema);
    for (const each of unitsOf(format, rows)) {
      const unit = await encodeRows(format, each);
      tally.take(unit, encodedBytes(unit));
    }
    tally.summary();
    const { bytes } = await writeRows(format, rows);
    // Magic, chunks of one page each and thus without indexes, footer, its length in four bytes, and magic.
    const footer = new DataView(bytes.buffer).getUint32(bytes.length - 8, true);
    expect(seen[0]?.bytes).toBe(bytes.length - 4 - footer - 8);
  });
});
