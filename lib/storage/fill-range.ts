import { messageOf, ToolError } from '../errors.ts';
import { freeNow } from '../free-now.ts';

/**
 * Fills `into` with an answer's body; rejects with 'again' when that breaks off or has not exactly as many bytes. Gives up
 * without a word once `isOver`: another attempt may be filling the same bytes by then. `failed` begins the errors.
 */
export async function fillRange(
  into: Uint8Array,
  body: AsyncIterable<Uint8Array>,
  failed: string,
  isOver: () => boolean,
): Promise<void> {
  let filled = 0;
  try {
    for await (const chunk of body) {
      if (isOver()) return;
      if (filled + chunk.length > into.length) throw wrongLength(failed, filled + chunk.length, into.length);
      into.set(chunk, filled);
      filled += chunk.length;
      freeNow(chunk);
    }
  } catch (error) {
    if (error instanceof ToolError) throw error;
    const text = `the connection broke after ${filled} of ${into.length} bytes (${messageOf(error)}).`;
    throw new ToolError('store', `${failed}: ${text}`, { cause: error, remedy: 'again' });
  }
  if (filled !== into.length) throw wrongLength(failed, filled, into.length);
}

export function wrongLength(failed: string, found: number, wanted: number): ToolError {
  const text = `${failed}: ${found} bytes came where ${wanted} were asked for.`;
  return new ToolError('store', text, { remedy: 'again' });
}
