import { open } from 'node:fs/promises';
import type { StreamedBody } from './part-store.ts';

/** A range of a file as a body; reads 1 MiB at a time. */
export async function readingFile<T>(
  path: string,
  start: number,
  end: number,
  use: (body: StreamedBody) => Promise<T>,
): Promise<T> {
  const file = await open(path, 'r');
  let at = start;
  const next = async () => {
    const wanted = Math.min(1024 * 1024, end - at);
    if (wanted === 0) return undefined;
    const bytes = new Uint8Array(wanted);
    const { bytesRead } = await file.read(bytes, 0, wanted, at);
    if (bytesRead === 0) throw new Error(`${path} is shorter than it was`);
    at += bytesRead;
    return bytes.subarray(0, bytesRead);
  };
  try {
    return await use({ length: end - start, next });
  } finally {
    await file.close();
  }
}
