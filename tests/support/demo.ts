/*
 * The first five minutes: exports a built-in sample collection with the real program, from a Qdrant double on
 * this machine, into sample.parquet, then shows its first rows, its manifest and how to query it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import type { Manifest } from '../../lib/manifest.ts';
import { startQdrantDouble } from './qdrant-double/qdrant-double.ts';

const ROOT = resolve(import.meta.dir, '../..');
const FILE = 'sample.parquet';
const POINTS = 5_000;
const DIMENSIONS = 384;
const ROWS_SHOWN = 3;

async function main(): Promise<void> {
  const sample = { name: 'sample', points: POINTS, dimensions: DIMENSIONS };
  const qdrant = await startQdrantDouble({ generated: [sample] });
  const program = join(ROOT, 'bin/exporter-r2.ts');
  const args = ['--collection', 'sample', '--url', qdrant.grpcUrl, '--output', FILE];
  console.log(`$ exporter-r2 ${args.join(' ')}\n`);
  // Of its own, so that no other run of a collection of that name is in the way.
  const work = mkdtempSync(join(tmpdir(), 'demo-'));
  const child = Bun.spawn([process.execPath, '--no-env-file', program, ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, OUTPUT_TEMP_FOLDER: work },
  });
  const code = await child.exited;
  await qdrant.stop();
  rmSync(work, { recursive: true });
  if (code !== 0) process.exit(code);
  await showFile();
}

async function showFile(): Promise<void> {
  const file = await asyncBufferFromFile(FILE);
  const metadata = await parquetMetadataAsync(file);
  const columns = parquetSchema(metadata).children.map(({ element }) => element.name);
  console.log(`\n${FILE}: ${metadata.num_rows} rows of ${columns.join(', ')}; the first ${ROWS_SHOWN}:\n`);
  for (const row of await parquetReadObjects({ file, metadata, compressors, rowEnd: ROWS_SHOWN })) {
    console.log(`  key       ${row.key}`);
    console.log(`  metadata  ${String(row.metadata).slice(0, 64)}…`);
    console.log(`  vector    ${shortVector(row.vector)}\n`);
  }
  await showManifest();
  console.log('Query it with DuckDB, for example:\n');
  console.log(
    `  SELECT key, metadata->>'title' AS title, vector[1:3] FROM '${relative(process.cwd(), FILE)}' LIMIT 5;\n`,
  );
}

async function showManifest(): Promise<void> {
  const { counts, files, serverVersion }: Manifest = await Bun.file(`${FILE}.json`).json();
  console.log(`${FILE}.json, its manifest, says among other things:\n`);
  console.log(`  server    Qdrant ${serverVersion}`);
  console.log(`  counts    ${counts.before} points before, ${counts.after} after, ${counts.rows} rows`);
  console.log(`  sha256    ${files[0]?.sha256}\n`);
}

function shortVector(vector: readonly number[]): string {
  const shown = vector.slice(0, 4).map((value) => value.toFixed(4));
  return `[${shown.join(', ')}, … ${vector.length} in all]`;
}

await main();
