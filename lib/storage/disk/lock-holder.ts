import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { codeOf } from './file-errors.ts';

/** Who holds a lock, as its file says. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  /** On Linux: which start of that machine, and in which namespace the pid counts; pids of others cannot be looked at. */
  readonly place?: string | undefined;
  /** On Linux: clock ticks from the machine's start to the process's, so that a pid used again is seen. */
  readonly start?: string | undefined;
  readonly taken: string;
  /** Tells this lock from every other. */
  readonly token: string;
}

/** Undefined for what is empty or damaged. */
export function parseHolder(text: string): LockHolder | undefined {
  try {
    const found = JSON.parse(text) as Partial<LockHolder> | null;
    const whole =
      typeof found?.pid === 'number' &&
      typeof found.host === 'string' &&
      typeof found.taken === 'string' &&
      typeof found.token === 'string';
    return whole && Number.isSafeInteger(found.pid) ? (found as LockHolder) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether the holder's pid can be looked at from here. The same host name is not the same machine, nor the same
 * container: places tell them apart where there are any.
 */
export function isHere(holder: LockHolder): boolean {
  return holder.host === hostname() && (holder.place === undefined || holder.place === thisPlace());
}

/** For a holder that is here; `ours`: this process knows that it holds that lock. */
export function isGone(holder: LockHolder, ours: boolean): boolean {
  if (holder.pid === process.pid) {
    return !ours && (holder.start === undefined || holder.start !== processStart('self'));
  }
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it is somebody else's.
    if (codeOf(error) === 'ESRCH') return true;
  }
  const now = processStart(holder.pid);
  if (now === undefined) return false;
  return now === 'ended' || (holder.start !== undefined && holder.start !== now);
}

export function thisProcess(token: string): LockHolder {
  const start = processStart('self');
  return {
    pid: process.pid,
    host: hostname(),
    place: thisPlace(),
    start,
    taken: new Date().toISOString(),
    token,
  };
}

/** Undefined elsewhere than on Linux. Both can be read by everybody. */
function thisPlace(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return undefined;
  }
}

/**
 * When the process began; `ended` for one that has, and whose parent has not asked for its exit code yet: in containers
 * often nobody does. Undefined where that cannot be known: not on Linux, or /proc hides the processes of others.
 */
function processStart(pid: number | 'self'): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // proc_pid_stat(5): the command, in brackets, may itself have blanks and brackets; the state is field 3.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state, start] = [fields[0], fields[22 - 3]];
    return state === 'Z' || state === 'X' ? 'ended' : start;
  } catch {
    return undefined;
  }
}
