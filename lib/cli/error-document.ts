import { messageOf, ToolError } from '../errors.ts';

export interface ErrorDocument {
  readonly error: { readonly code: string; readonly message: string; readonly exitCode: number };
}

/** What --json prints of a run that failed; the code `unexpected` is for what no ToolError tells. */
export function errorDocument(error: unknown, exitCode: number): ErrorDocument {
  const code = error instanceof ToolError ? error.code : 'unexpected';
  return { error: { code, message: messageOf(error), exitCode } };
}
