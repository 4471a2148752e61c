import { type FileHandle, open } from 'node:fs/promises';
import { type AsyncBuffer, parquetMetadataAsync } from 'hyparquet';
import { messageOf, ToolError } from '../errors.ts';

const MAGIC = 'PAR1';
/** Magic at both ends and the footer's length (parquet-format, README.md, "File format"). */
const LEAST_BYTES = 2 * MAGIC.length + 4;

export interface ParquetSummary {
  readonly rows: number;
  readonly rowGroups: number;
}

/**
 * What the footer of a Parquet file says, of which only the tail is read: some hundred bytes a row group and column.
 * Throws a ToolError 'integrity' for a file that is not whole.
 */
export async function parquetSummary(path: string): Promise<ParquetSummary> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    throw notWhole(path, messageOf(error), error);
  }
  try {
    return await summaryOf(file, path);
  } finally {
    await file.close();
  }
}

async function summaryOf(file: FileHandle, path: string): Promise<ParquetSummary> {
  const { size } = await file.stat();
  if (size < LEAST_BYTES) throw notWhole(path, `it has ${size} bytes`);
  const head = Buffer.from(await bytesOf(file, 0, MAGIC.length)).toString('latin1');
  if (head !== MAGIC) throw notWhole(path, `it does not begin with ${MAGIC}`);
  const tail: AsyncBuffer = { byteLength: size, slice: (start, end = size) => bytesOf(file, start, end) };
  try {
    const { num_rows: rows, row_groups: groups } = await parquetMetadataAsync(tail);
    const inGroups = groups.reduce((sum, group) => sum + Number(group.num_rows), 0);
    if (inGroups === Number(rows)) return { rows: inGroups, rowGroups: groups.length };
    throw new Error(`its footer counts ${rows} rows, its row groups ${inGroups}`);
  } catch (error) {
    throw notWhole(path, messageOf(error), error);
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

function notWhole(path: string, found: string, cause?: unknown): ToolError {
  return new ToolError('integrity', `"${path}" is not a whole Parquet file: ${found}.`, { cause });
}
