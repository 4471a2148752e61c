import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runExporter } from './exporter.ts';
import { type ForeignColumns, readColumnsWithHyparquet } from './foreign-readers.ts';
import type { QdrantDouble } from './qdrant-double/qdrant-double.ts';
import type { RequestRecord } from './qdrant-double/request-record.ts';
import { reading, SOURCE_DATE_EPOCH } from './recorded-exports.ts';
import type { Protocol } from './recorded-points.ts';

/** An export to a local file, by the default strategy, that is gone when this is looked at, whether it went well or not. */
export interface Outcome {
  readonly code: number;
  readonly stderr: string;
  /** Of a run that can be gone on with: the command, as the document of --json gives it. */
  readonly resume: string | undefined;
  /** Of a run that failed. */
  readonly error: { readonly code: string; readonly message: string; readonly exitCode: number } | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it and fail by themselves
  readonly manifest: any;
  /** Undefined where there is no file. */
  readonly columns: ForeignColumns | undefined;
  readonly bytes: Buffer;
  /** What the run left beside the export, its work files and the folder of `--output`, by name. */
  readonly left: readonly string[];
  /** What the server was asked meanwhile, up to its last 1,000 requests. */
  readonly requests: readonly RequestRecord[];
}

/** Runs the program once, with --json and --output; nothing else may ask the server meanwhile. */
export async function exportOnce(
  server: QdrantDouble,
  protocol: Protocol,
  collection: string,
  args: readonly string[] = [],
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'once-'));
  const path = join(folder, 'export.parquet');
  const before = server.requests.at(-1)?.index ?? -1;
  try {
    const run = await runExporter(
      [...reading(server, protocol, collection), '--output', path, '--json', ...args],
      { env: { SOURCE_DATE_EPOCH } },
    );
    const files = readdirSync(folder);
    const hasFile = files.includes('export.parquet');
    const hasManifest = files.includes('export.parquet.json');
    return {
      code: run.code,
      stderr: run.stderr,
      resume: run.json().resume,
      error: run.json().error,
      manifest: hasManifest ? JSON.parse(readFileSync(`${path}.json`, 'utf8')) : undefined,
      columns: hasFile ? await readColumnsWithHyparquet(path) : undefined,
      bytes: hasFile ? readFileSync(path) : Buffer.alloc(0),
      left: [...files, ...run.workFiles],
      requests: server.requests.filter(({ index }) => index > before),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What is left where a run went well. */
export const PUBLISHED = ['export.parquet', 'export.parquet.json'];

/** What a run left that a later one can go on with: by name, but for the collection's, and without folders. */
export function keptFiles({ left }: Outcome): readonly string[] {
  const files = left.filter((name) => !/^qdrant-export(\/[^/]+)?$/.test(name));
  return files.map((name) => name.replace(/^qdrant-export\/[^/]+\//, '')).sort();
}

/** Before its first unit was whole. */
export const KEPT_AT_FIRST = ['journal', 'memory', 'ndjson-gz.ndjson.gz'];
