import type { PointId } from '../../lib/model.ts';
import type { EncodedUnit, Format } from '../../lib/writers/format.ts';
import { shapeOf } from './plans.ts';

export interface LinesUnit extends EncodedUnit {
  readonly text: string;
}

export const UNIT_ROWS = 4;

/** Fields of a format's options that a test may care about. */
export interface LineOptions {
  /** The line of a point: what changes with it changed in the collection. */
  readonly lineOf: (id: PointId) => string;
}

/**
 * A file of a line for each point, and a last one with the number of rows and of units: a safe point after every unit,
 * which has to remember a byte of each.
 */
export function lineFormat({ lineOf }: LineOptions): Format<LinesUnit> {
  return {
    layout: { rows: UNIT_ROWS, vectors: shapeOf().vectors, fields: [] },
    unitRows: () => UNIT_ROWS,
    encode: async ({ ids, rowCount }) => ({ rowCount, text: ids.map((id) => `${lineOf(id)}\n`).join('') }),
    async *assemble(taken, { from, onSafe } = {}) {
      let { units, rows, bytes } = from ?? { units: 0, rows: 0, bytes: 0 };
      const remembered = [...(from?.memory ?? [])];
      for await (const unit of taken) {
        const chunk = new TextEncoder().encode(unit.text);
        yield chunk;
        units++;
        rows += unit.rowCount;
        bytes += chunk.length;
        remembered.push(unit.rowCount);
        onSafe?.({ units, rows, bytes, counts: {}, memory: new Uint8Array([unit.rowCount]) });
      }
      yield new TextEncoder().encode(`${rows} rows in units of ${remembered.join(' ')}\n`);
      return { rows, rowGroups: units, emptyVectors: {}, keys: undefined, notes: [] };
    },
    rowsHeld: () => 0,
    description: 'lines',
    estimateBytes: (points) => points * 10,
  };
}
