import { dirname } from 'node:path';
import { messageOf, ToolError } from '../../errors.ts';

export function readError(path: string, error: unknown): ToolError {
  return new ToolError('store', `Cannot read "${path}": ${messageOf(error)}.`, { cause: error });
}

export function sizeError(key: string, found: number, wanted: number): ToolError {
  return new ToolError('integrity', `"${key}" has ${found} bytes on disk, ${wanted} were written.`);
}

/** For a file that should have so many bytes at least, of an earlier run; `found` undefined: it is not there. */
export function shortError(
  path: string,
  found: number | undefined,
  wanted: number,
  cause?: unknown,
): ToolError {
  const has = found === undefined ? 'is not there' : `has ${found} bytes`;
  return new ToolError(
    'integrity',
    `Cannot go on with "${path}": it ${has}, and at least ${wanted} bytes were on record as written. Start over without --resume.`,
    { cause },
  );
}

/** What the system's codes mean to people. Errors that are none of the system's (the body's) pass. */
export function fileError(key: string, error: unknown, whenFull?: string): unknown {
  if (error instanceof ToolError) return error;
  const text = systemProblem(error, dirname(key));
  const isFull = ['ENOSPC', 'EDQUOT'].includes(codeOf(error) ?? '');
  const advice = isFull && whenFull !== undefined ? ` ${whenFull}` : '';
  return text === undefined
    ? error
    : new ToolError('store', `Cannot write "${key}": ${text}.${advice}`, { cause: error });
}

/** What the system's code says of something in `folder`, in words; undefined where it is none of the system's. */
export function systemProblem(error: unknown, folder: string): string | undefined {
  const code = codeOf(error);
  switch (code) {
    case 'ENOSPC':
      return 'the disk is full (ENOSPC)';
    case 'EDQUOT':
      return 'the disk quota is used up (EDQUOT)';
    case 'EFBIG':
      return 'the file system takes no file of that size (EFBIG)';
    case 'EACCES':
    case 'EPERM':
      return `no permission to write in folder "${folder}" (${code})`;
    case 'EROFS':
      return `folder "${folder}" is on a read-only file system (EROFS)`;
    case 'ENOENT':
      return `folder "${folder}" does not exist (ENOENT)`;
    case 'ENOTDIR':
      return `"${folder}" is not a folder (ENOTDIR)`;
    case 'EISDIR':
      return 'it is a folder (EISDIR)';
    case 'ENAMETOOLONG':
      return 'the name is too long (ENAMETOOLONG)';
    case 'EIO':
      return 'the disk reports an error (EIO)';
    default:
      return code !== undefined && /^E[A-Z0-9]+$/.test(code) ? `the system answered ${code}` : undefined;
  }
}

export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** For a path that cannot be what its user meant. */
export function notAFile(key: string, what: string): ToolError {
  return new ToolError('usage', `Cannot write "${key}": it is ${what}. Give the path of a file.`);
}
