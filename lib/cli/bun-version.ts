import manifest from '../../package.json' with { type: 'json' };
import { ToolError } from '../errors.ts';

/** Refuses a Bun older than the pinned one: before 1.4, HTTP/2 stalls after 65,535 bytes in either direction. */
export function requireBun(found: string): void {
  const wanted = manifest.engines.bun;
  if (Bun.semver.order(found, wanted) >= 0) return;
  throw new ToolError(
    'usage',
    `Cannot run on Bun ${found}: version ${wanted} or later is wanted. Run: npx bun@${wanted} …`,
  );
}
