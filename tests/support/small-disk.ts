import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  /** Undefined where mounting is not allowed. */
  readonly path: string | undefined;
  unmount(): void;
}

/** A file system of that size in memory, e.g. `2m`. */
export function mountSmall(size: string): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), 'small-'));
  const run = (command: string[]) => {
    try {
      return Bun.spawnSync(command, { stderr: 'ignore' }).success;
    } catch {
      return false;
    }
  };
  const mounted =
    process.getuid?.() === 0 && run(['mount', '-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path]);
  return {
    path: mounted ? path : undefined,
    unmount() {
      // Lazily: a test that failed may have left a file open.
      if (mounted) run(['umount', '-l', path]);
      rmdirSync(path);
    },
  };
}
