import { ToolError } from '../../errors.ts';
import { failureOf } from './s3-errors.ts';

/** Damaged in transit this often, the same bytes are not sent again. */
export const DAMAGED_ATTEMPTS = 3;

class Damaged extends Error {}

/** The error of a store that holds other bytes than were sent; `what` is `part 3` or `it`. */
export function damaged(location: string, what: string, problem: string): ToolError {
  return new ToolError(
    'store',
    `Cannot write ${location}: ${what} was damaged on the way, the store holds one with ${problem}.`,
    { remedy: 'again', cause: new Damaged(problem) },
  );
}

export function isDamage(error: unknown): error is ToolError {
  if (!(error instanceof ToolError)) return false;
  return error.cause instanceof Damaged || failureOf(error).code === 'BadDigest';
}

/** Runs attempts at the same bytes; the last damage that is allowed of them is an error that is not tried again. */
export function limitDamage<Given extends readonly unknown[], T>(
  attempt: (...given: Given) => Promise<T>,
): (...given: Given) => Promise<T> {
  let times = 0;
  return async (...given) => {
    try {
      return await attempt(...given);
    } catch (error) {
      if (isDamage(error) && ++times >= DAMAGED_ATTEMPTS) throw final(error);
      throw error;
    }
  };
}

function final(error: ToolError): ToolError {
  return new ToolError(error.code, `${error.message} That happened ${DAMAGED_ATTEMPTS} times.`, {
    cause: error.cause,
  });
}
