import { type ErrorCode, ToolError } from '../errors.ts';

/** Exit codes by what went wrong; 1 is left for what should not happen at all. */
const EXIT_CODES: Readonly<Record<ErrorCode, number>> = {
  usage: 2,
  qdrant: 10,
  format: 11,
  store: 12,
  integrity: 13,
  cancelled: 130,
};

export const UNEXPECTED_EXIT_CODE = 1;

/** 128 and the signal's number, as shells count. */
export const SIGNAL_EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

export type StopSignal = keyof typeof SIGNAL_EXIT_CODES;

/** The exit code of whatever ended a run; a run that a signal ended has the signal's. */
export function exitCodeOf(error: unknown, signal?: StopSignal): number {
  if (!(error instanceof ToolError)) return UNEXPECTED_EXIT_CODE;
  if (error.code === 'cancelled' && signal !== undefined) return SIGNAL_EXIT_CODES[signal];
  return EXIT_CODES[error.code];
}
