import type { PointId } from '../../lib/model.ts';
import type { FilePart, Format } from '../../lib/writers/format.ts';
import { type LinesUnit, lineFormat } from './line-format.ts';

/** Every line with its end. */
export const LINE_BYTES = 100;

export const splitLineOf = (id: PointId): string => id.padStart(LINE_BYTES - 1, '.');

/** The file of lines cut into files of whole units, none larger than `splitBytes`; its last line is the last one's. */
export function splitLines(splitBytes: number, lineOf = splitLineOf): Format<LinesUnit> {
  const format = lineFormat({ lineOf });
  return {
    ...format,
    async *assemble(units, options = {}) {
      const rows = [...(options.from?.memory ?? [])];
      let last = 0;
      const counted = (async function* () {
        for await (const unit of units) {
          rows.push(unit.rowCount);
          yield unit;
        }
      })();
      const chunks = format.assemble(counted, options);
      for (;;) {
        const step = await chunks.next();
        if (step.done) return { ...step.value, parts: packed(rows, last, splitBytes) };
        last = step.value.length;
        yield step.value;
      }
    },
  };
}

function packed(units: readonly number[], endBytes: number, splitBytes: number): readonly FilePart[] {
  const parts: { bytes: number; rows: number; rowGroups: number }[] = [];
  const add = (bytes: number, rows: number) => {
    let part = parts.at(-1);
    if (part === undefined || part.bytes + bytes > splitBytes) {
      part = { bytes: 0, rows: 0, rowGroups: 0 };
      parts.push(part);
    }
    part.bytes += bytes;
    part.rows += rows;
    part.rowGroups += rows > 0 ? 1 : 0;
  };
  for (const rows of units) add(rows * LINE_BYTES, rows);
  add(endBytes, 0);
  return parts;
}
