import type { ExportReport } from '../plan.ts';
import { byteSize, duration, grouped } from './human-numbers.ts';
import type { Target } from './settings.ts';
import { wrapped } from './wrapped.ts';

export interface Tool {
  readonly name: string;
  readonly version: string;
}

/** The last lines of a run: rows, bytes, time, rate, where it is and how to read it. */
export function reportLines(report: ExportReport, target: Target, width: number): string[] {
  const { counts, seconds, file } = report;
  if (file === undefined) {
    return ['Dry run: the server answers, the target can be written, and nothing was written.'];
  }
  const rate = seconds.export > 0 ? ` (${grouped(counts.rows / seconds.export)} rows/s)` : '';
  const groups = `${grouped(file.rowGroups)} row ${file.rowGroups === 1 ? 'group' : 'groups'}`;
  const size = `${grouped(counts.rows)} rows in ${groups}, ${byteSize(file.bytes)}, ${duration(seconds.total)}${rate}`;
  const lines = [...wrapped(size, width, 'Exported  '), `To        ${file.location}`];
  if (counts.missing > 0) {
    lines.push(
      ...wrapped(
        `${grouped(counts.missing)} ${counts.missing === 1 ? 'point' : 'points'} deleted meanwhile`,
        width,
        'Without   ',
      ),
    );
  }
  // Statements stay whole whatever the width, so that they can be copied.
  const [first, ...more] = duckdbStatements(file.location, target);
  lines.push(`Read it   ${first}`, ...more.map((statement) => `          ${statement}`));
  return lines;
}

/** The document of --json; its names are those of the manifest. */
export function reportDocument(report: ExportReport, key: string, tool: Tool) {
  const { plan, counts, file, seconds } = report;
  return {
    tool,
    collection: plan.shape.name,
    serverVersion: plan.shape.serverVersion,
    startedAt: report.startedAt.toISOString(),
    finishedAt: report.finishedAt.toISOString(),
    dryRun: file === undefined,
    plan: {
      protocol: plan.protocol,
      points: plan.points,
      vectors: plan.shape.vectors,
      passes: plan.passes,
      passesReason: plan.passesReason,
      format: plan.format,
      location: plan.location,
      estimatedBytes: plan.estimatedBytes,
    },
    counts,
    files: file === undefined ? [] : [documentFile(report, file, key)],
    warnings: report.warnings,
    timings: { exportSeconds: seconds.export, uploadSeconds: seconds.upload, totalSeconds: seconds.total },
  };
}

function documentFile(report: ExportReport, file: NonNullable<ExportReport['file']>, key: string) {
  return {
    key,
    location: file.location,
    bytes: file.bytes,
    rows: report.counts.rows,
    rowGroups: file.rowGroups,
    etag: file.etag ?? null,
  };
}

/** SQL that reads it in DuckDB, credentials left to be filled in; the query is the last one. */
function duckdbStatements(location: string, target: Target): string[] {
  const query = `SELECT * FROM read_parquet(${quoted(location)}) LIMIT 5;`;
  if (target.kind === 'file') return [query];
  const { region } = target;
  if (target.endpoint === undefined) {
    const where = region === undefined ? '' : `, REGION ${quoted(region)}`;
    return [`CREATE SECRET (TYPE s3, PROVIDER credential_chain${where});`, query];
  }
  const endpoint = new URL(target.endpoint);
  const tls = endpoint.protocol === 'http:' ? ', USE_SSL false' : '';
  const place = `ENDPOINT ${quoted(endpoint.host + endpoint.pathname.replace(/\/+$/, ''))}, REGION ${quoted(region ?? 'auto')}`;
  return [`CREATE SECRET (TYPE s3, KEY_ID '…', SECRET '…',`, `  ${place}, URL_STYLE 'path'${tls});`, query];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
