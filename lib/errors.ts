/** The closed set of what can go wrong; each is one exit code (cli/exit.ts). */
export type ErrorCode = 'usage' | 'qdrant' | 'format' | 'store' | 'integrity' | 'cancelled';

/**
 * What the caller of a failed request may do about it: nothing, send the same request again later, or ask
 * for fewer points at once.
 */
export type Remedy = 'none' | 'again' | 'smaller';

export interface ToolErrorOptions {
  readonly cause?: unknown;
  readonly remedy?: Remedy;
  /** How long the server asked to be left alone, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
}

/**
 * The one error a user sees. Its message is one sentence or two: what could not be done, what was found, what
 * is wanted.
 */
export class ToolError extends Error {
  // A literal: minifying mangles constructor.name.
  override readonly name = 'ToolError';
  readonly code: ErrorCode;
  readonly remedy: Remedy;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: ToolErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy ?? 'none';
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The reason an aborted signal carries, as a ToolError whatever was thrown into it. */
export function abortReason(signal: AbortSignal): ToolError {
  const reason: unknown = signal.reason;
  if (reason instanceof ToolError) return reason;
  return new ToolError('cancelled', 'The run was cancelled.', { cause: reason });
}

/** The message of anything that was thrown, without its stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
