import { copyFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  exportName,
  HAVE_HUGE_INTEGERS,
  RECORDED_EXPORTS,
  type RecordedExport,
  startRecordedServers,
} from './recorded-exports.ts';
import type { Protocol } from './recorded-points.ts';

const FOLDER = join(import.meta.dir, '../golden');

/** What rewrites the golden files. */
export const GOLDEN_COMMAND = 'bun tests/golden/write.ts';
/** The server that they are exported from. */
export const GOLDEN_VERSION = '1.18.3';

export interface GoldenFile {
  readonly name: string;
  readonly path: string;
  readonly export: RecordedExport;
  readonly protocol: Protocol;
}

/** Files whose bytes are kept: every recorded export over REST, and over gRPC where that carries less. */
export const GOLDEN_FILES: readonly GoldenFile[] = RECORDED_EXPORTS.flatMap((one) => [
  goldenFile(one, 'rest', ''),
  ...(HAVE_HUGE_INTEGERS.includes(one.collection) ? [goldenFile(one, 'grpc', '.grpc')] : []),
]);

function goldenFile(one: RecordedExport, protocol: Protocol, suffix: string): GoldenFile {
  const name = `${exportName(one)}${suffix}.parquet`;
  return { name, path: join(FOLDER, name), export: one, protocol };
}

/** Names of the Parquet files that are kept. */
export function keptGoldenFiles(): readonly string[] {
  return readdirSync(FOLDER).filter((name) => name.endsWith('.parquet'));
}

/** Writes them anew, and removes those that are none any more. */
export async function writeGoldenFiles(): Promise<void> {
  const servers = await startRecordedServers();
  try {
    const files = await Promise.all(
      GOLDEN_FILES.map((golden) => servers.exported(golden.export, GOLDEN_VERSION, golden.protocol)),
    );
    for (const name of keptGoldenFiles()) rmSync(join(FOLDER, name));
    for (const [at, { path }] of GOLDEN_FILES.entries()) copyFileSync(files[at]?.path as string, path);
  } finally {
    await servers.stop();
  }
}
