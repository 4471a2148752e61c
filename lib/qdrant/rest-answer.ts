import { ToolError } from '../errors.ts';

/** An integer of a small answer: a number where that holds it, else a bigint. */
export type Whole = number | bigint;

/**
 * What `read` makes of the `result` of a small answer, whose integers are bigints where a number would round
 * them. `Result` is what Qdrant's OpenAPI promises; an answer of another shape is a ToolError.
 */
export function readResult<Result, T>(answer: Uint8Array, read: (result: Result) => T): T {
  const { result } = answerObject(answer) as { result?: Result };
  if (typeof result !== 'object' || result === null) {
    throw new ToolError('qdrant', 'the answer has no result');
  }
  try {
    return read(result);
  } catch (error) {
    // A list where an object was promised, null where a list was: whatever `read` stumbled over.
    if (!(error instanceof TypeError)) throw error;
    throw new ToolError('qdrant', "the answer is not of the shape that Qdrant's API promises", {
      cause: error,
    });
  }
}

/** An object out of a small answer's JSON. */
export function answerObject(answer: Uint8Array): object {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(answer), wholeInteger);
  } catch (error) {
    throw new ToolError('qdrant', 'the answer is not JSON', { cause: error, remedy: 'again' });
  }
  if (typeof value === 'object' && value !== null) return value;
  throw new ToolError('qdrant', 'the answer is not a JSON object');
}

function wholeInteger(_name: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const source = context?.source ?? '';
  return /^-?\d+$/.test(source) ? BigInt(source) : value;
}
