import { writeFile } from 'node:fs/promises';
import type { TestColumn } from './parquet-tables.ts';

/** A column whose cells are text, spelled by JSON.stringify and nothing of the exporter's own. */
function cellText(column: TestColumn, row: number): string {
  const cell = column.cells[row] ?? null;
  if (cell === null) return 'null';
  switch (column.kind) {
    case 'text':
      return JSON.stringify(cell);
    case 'dense':
      return floats(cell as Float32Array);
    case 'multi':
      return `[${(cell as readonly Float32Array[]).map(floats).join(',')}]`;
    case 'sparse': {
      const { indices, values } = cell as { indices: Uint32Array; values: Float32Array };
      return `{"indices":[${indices.join(',')}],"values":${floats(values)}}`;
    }
  }
}

/** The double's text is exact, so that its nearest float32 is the float itself. */
function floats(values: Float32Array): string {
  const texts = Array.from(values, (value) => {
    if (!Number.isFinite(value)) return `"${value}"`;
    return Object.is(value, -0) ? '-0.0' : String(value);
  });
  return `[${texts.join(',')}]`;
}

/** The lines of a table, each with its line feed. */
export function ndjsonLines(columns: readonly TestColumn[]): readonly string[] {
  const rows = columns[0]?.cells.length ?? 0;
  return Array.from({ length: rows }, (_, row) => {
    const cells = columns.map((column) => `${JSON.stringify(column.name)}:${cellText(column, row)}`);
    return `{${cells.join(',')}}\n`;
  });
}

/** Gzip members of some lines each, one of none where there are no lines. */
export function gzipMembers(lines: readonly string[], linesAMember: number): Uint8Array<ArrayBuffer> {
  const members: Uint8Array[] = [];
  for (let from = 0; from < lines.length || members.length === 0; from += linesAMember) {
    members.push(Bun.gzipSync(lines.slice(from, from + linesAMember).join('')));
  }
  return new Uint8Array(Buffer.concat(members));
}

/** Writes a table's data file; returns what a conversion has to know of it. */
export async function writeNdjson(
  path: string,
  columns: readonly TestColumn[],
  linesAMember = 7,
): Promise<{ readonly rows: number; readonly longestRow: number }> {
  const lines = ndjsonLines(columns);
  await writeFile(path, gzipMembers(lines, linesAMember));
  return {
    rows: lines.length,
    longestRow: lines.reduce((most, line) => Math.max(most, Buffer.byteLength(line)), 0),
  };
}
