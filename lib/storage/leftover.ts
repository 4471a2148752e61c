import { messageOf, ToolError } from '../errors.ts';

/** The error, and what could not be cleaned up after it. */
export function withLeftover(error: unknown, left: string | undefined): unknown {
  if (left === undefined) return error;
  const code = error instanceof ToolError ? error.code : 'store';
  return new ToolError(code, `${messageOf(error)} ${left}`, { cause: error });
}
