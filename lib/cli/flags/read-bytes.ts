import { ToolError } from '../../errors.ts';
import { grouped } from '../screen/human-numbers.ts';

/** What a unit stands for; letters count alike, large or small. */
const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/**
 * `45MB`, `1.5GB`, `45MiB`, or plain bytes → whole bytes, a part of one left out; a ToolError 'usage' for anything else
 * and for less than `min`. `source` is the flag or variable that the sentence names.
 */
export function readBytes(text: string, min: number, source: string): number {
  const wanted = `${bytesText(min)} or more, such as 45MB, 1.5GB or 45MiB, is wanted`;
  const [, digits, unit] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text) ?? [];
  const factor = Object.hasOwn(UNITS, unit?.toLowerCase() ?? '')
    ? UNITS[unit?.toLowerCase() ?? '']
    : undefined;
  const bytes = Math.floor(Number(digits) * (factor ?? Number.NaN));
  const isBytes = Number.isSafeInteger(bytes) && !(factor === 1 && digits?.includes('.'));
  if (!isBytes) throw new ToolError('usage', `${source} is ${JSON.stringify(text)}; ${wanted}.`);
  if (bytes < min) {
    throw new ToolError('usage', `${source} is ${grouped(bytes)} bytes; ${wanted}.`);
  }
  return bytes;
}

/** As readBytes takes it. */
export function bytesText(bytes: number): string {
  return bytes % 1e6 === 0 ? `${bytes / 1e6}MB` : String(bytes);
}
