import { abortReason } from '../errors.ts';

/** Letters of a line that are kept: more than the 4,096 bytes that a terminal sends of one. */
const LONGEST_LINE = 8_192;

/**
 * The next line without its end, or undefined where the input ends or fails before one is whole. Rejects with the
 * signal's reason; either way nothing listens any more then, and the input is paused.
 */
export function readLine(input: NodeJS.ReadableStream, signal: AbortSignal): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  const decoder = new TextDecoder();
  let text = '';
  const onData = (chunk: Uint8Array | string) => {
    text += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    const end = text.search(/\r?\n/);
    if (end >= 0 || text.length > LONGEST_LINE) finish(() => resolve(end < 0 ? text : text.slice(0, end)));
  };
  const onEnd = () => finish(() => resolve(undefined));
  const onAbort = () => finish(() => reject(abortReason(signal)));
  const finish = (settle: () => void) => {
    input.off('data', onData);
    input.off('end', onEnd);
    input.off('error', onEnd);
    signal.removeEventListener('abort', onAbort);
    input.pause();
    settle();
  };
  if (signal.aborted) return Promise.reject(abortReason(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  input.on('data', onData);
  input.on('end', onEnd);
  input.on('error', onEnd);
  input.resume();
  return promise;
}
