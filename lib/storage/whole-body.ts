import type { ToolError } from '../errors.ts';
import { drain } from './drain.ts';
import type { PutRequest } from './storage.ts';

/**
 * All bytes of a body that is small, so that it can be sent again. Rejects with `tooMuch` as soon as more than `most`
 * bytes come; cancels the body on any failure.
 */
export async function wholeBody(
  { body, signal }: Pick<PutRequest, 'body' | 'signal'>,
  most: number,
  tooMuch: () => ToolError,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  await drain(body, signal, (chunk) => {
    bytes += chunk.length;
    if (bytes > most) throw tooMuch();
    // Not slice(), which of a Buffer is a view.
    chunks.push(new Uint8Array(chunk));
  });
  return Buffer.concat(chunks);
}
