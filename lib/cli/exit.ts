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

/** What stops a run from outside: a signal, or that nobody reads stdout any more. */
export type StopCause = StopSignal | 'closed-output';

/** A closed stdout counts as the signal that it is elsewhere: SIGPIPE, 13. */
export const STOP_EXIT_CODES: Readonly<Record<StopCause, number>> = {
  ...SIGNAL_EXIT_CODES,
  'closed-output': 141,
};

/** The exit code of whatever ended a run; a run that was stopped from outside has the code of that. */
export function exitCodeOf(error: unknown, stop?: StopCause): number {
  if (!(error instanceof ToolError)) return UNEXPECTED_EXIT_CODE;
  if (error.code === 'cancelled' && stop !== undefined) return STOP_EXIT_CODES[stop];
  return EXIT_CODES[error.code];
}
