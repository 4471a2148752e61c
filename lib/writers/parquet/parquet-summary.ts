import { type FileHandle, open } from 'node:fs/promises';
import { type AsyncBuffer, parquetMetadataAsync } from 'hyparquet';
import { messageOf, ToolError } from '../../errors.ts';

const MAGIC = 'PAR1';
/** Magic at both ends and the footer's length (parquet-format, README.md, "File format"). */
const LEAST_BYTES = 2 * MAGIC.length + 4;

export interface ParquetSummary {
  readonly rows: number;
  readonly rowGroups: number;
}

/** Where a file lies within a larger one. */
export interface FileRange {
  readonly start: number;
  readonly end: number;
}

/**
 * What the footer of a Parquet file says, or of the one that lies in a range of a larger file. Only its tail is read: some
 * hundred bytes a row group and column. Throws a ToolError 'integrity' for a file that is not whole.
 */
export async function parquetSummary(path: string, range?: FileRange): Promise<ParquetSummary> {
  const name = range === undefined ? `"${path}"` : `"${path}", bytes ${range.start} to ${range.end},`;
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    throw notWhole(name, messageOf(error), error);
  }
  try {
    return await summaryOf(file, name, range ?? { start: 0, end: (await file.stat()).size });
  } finally {
    await file.close();
  }
}

async function summaryOf(file: FileHandle, name: string, { start, end }: FileRange): Promise<ParquetSummary> {
  const size = end - start;
  if (size < LEAST_BYTES) throw notWhole(name, `it has ${size} bytes`);
  try {
    const head = Buffer.from(await bytesOf(file, start, start + MAGIC.length)).toString('latin1');
    if (head !== MAGIC) throw new Error(`it does not begin with ${MAGIC}`);
    const tail: AsyncBuffer = {
      byteLength: size,
      slice: (from, to = size) => bytesOf(file, start + from, start + to),
    };
    const { num_rows: rows, row_groups: groups } = await parquetMetadataAsync(tail);
    const inGroups = groups.reduce((sum, group) => sum + Number(group.num_rows), 0);
    if (inGroups === Number(rows)) return { rows: inGroups, rowGroups: groups.length };
    throw new Error(`its footer counts ${rows} rows, its row groups ${inGroups}`);
  } catch (error) {
    throw notWhole(name, messageOf(error), error);
  }
}

async function bytesOf(file: FileHandle, start: number, end: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(end - start);
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
    if (bytesRead === 0) throw new Error(`it ends after ${start + done} bytes`);
    done += bytesRead;
  }
  return bytes.buffer;
}

function notWhole(name: string, found: string, cause?: unknown): ToolError {
  return new ToolError('integrity', `${name} is not a whole Parquet file: ${found}.`, { cause });
}
