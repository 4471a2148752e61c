import type { ExportCounts, ExportedData, ExportPlan, ExportReport } from '../../plan.ts';
import type { ExporterSettings, Target } from '../settings/settings.ts';
import type { S3Target } from '../settings/store-settings.ts';
import type { SupabaseTarget } from '../settings/supabase-settings.ts';
import { byteSize, duration, grouped } from './human-numbers.ts';
import { estimatedFiles } from './plan-lines.ts';
import { wrapped } from './wrapped.ts';

export interface Tool {
  readonly name: string;
  readonly version: string;
}

/** Columns that are named one by one as having empty vectors. */
const COLUMNS_SHOWN = 20;

/** Seconds of a phase that are told: less reads as `0s`. */
const SHORTEST_SHOWN = 0.05;

/** The last lines of a run: rows, bytes, time, rate, where it and its manifest are, and how to read it. */
export function reportLines(
  report: ExportReport,
  { plan, format, target }: Pick<ExporterSettings, 'plan' | 'format' | 'target'>,
  width: number,
): string[] {
  const { counts, seconds, file, copies } = report;
  if (file === undefined) {
    return ['Dry run: the server answers, the target can be written, and nothing was written.'];
  }
  const isSplit = plan.splitBytes !== undefined;
  const rate = seconds.export > 0 ? ` (${grouped(counts.rows / seconds.export)} rows/s)` : '';
  const groups = counted(file.rowGroups, 'row group');
  const size = `${grouped(counts.rows)} rows in ${groups}, ${byteSize(file.bytes)}, ${duration(seconds.total)}${rate}`;
  const lines = [
    ...wrapped(size, width, 'Exported  '),
    `To        ${file.location}${isSplit ? ` (${counted(file.files.length, 'file')})` : ''}`,
    `Manifest  ${file.manifestLocation}`,
  ];
  const more = [
    ['Times     ', timesText(seconds)],
    ['Copies    ', copiesText(copies)],
    ['Without   ', missingText(counts)],
    ['Keys      ', keysText(counts, format.keyField)],
    ['Empty     ', emptyText(counts)],
  ] as const;
  for (const [label, text] of more) if (text !== '') lines.push(...wrapped(text, width, label));
  lines.push(...report.workFiles.map((path, index) => `${index === 0 ? 'Kept      ' : '          '}${path}`));
  // Statements stay whole whatever the width, so that they can be copied.
  const [first, ...others] = duckdbStatements(file, target);
  lines.push(`Read it   ${first}`, ...others.map((statement) => `          ${statement}`));
  return lines;
}

/** Where more than one phase took time: how long each of them. */
function timesText(seconds: ExportReport['seconds']): string {
  const phases = ['export', 'convert', 'upload'] as const;
  const texts = phases
    .filter((phase) => seconds[phase] >= SHORTEST_SHOWN)
    .map((phase) => `${phase} ${duration(seconds[phase])}`);
  return texts.length > 1 ? texts.join(', ') : '';
}

function copiesText({ made, removed }: ExportReport['copies']): string {
  if (made.length === 0 && removed.length === 0) return '';
  const older = `${grouped(removed.length)} older ${removed.length === 1 ? 'one' : 'ones'} removed`;
  const texts = made.length === 0 ? ['none made'] : made;
  return [...texts, ...(removed.length === 0 ? [] : [older])].join(', ');
}

function missingText({ missing }: ExportCounts): string {
  return missing === 0 ? '' : `${grouped(missing)} ${missing === 1 ? 'point' : 'points'} deleted meanwhile`;
}

function keysText({ keys, rows }: ExportCounts, field: string): string {
  if (keys === undefined) return '';
  const { fromPayload, duplicates, exact } = keys;
  const texts: string[] = [];
  if (fromPayload > 0) texts.push(`${grouped(fromPayload)} from the payload field ${field}`);
  if (fromPayload < rows) texts.push(`${grouped(rows - fromPayload)} from point ids`);
  if (duplicates > 0) {
    const about = exact ? '' : 'about ';
    texts.push(`${about}${grouped(duplicates)} ${duplicates === 1 ? 'duplicate' : 'duplicates'}`);
  }
  return texts.join(', ');
}

function emptyText({ emptyVectors }: ExportCounts): string {
  const some = Object.entries(emptyVectors).filter(([, rows]) => rows > 0);
  const texts = some
    .slice(0, COLUMNS_SHOWN)
    .map(([column, rows]) => `${column} in ${grouped(rows)} ${rows === 1 ? 'row' : 'rows'}`);
  const more = some.length - texts.length;
  return `${texts.join(', ')}${more > 0 ? ` and ${grouped(more)} more columns` : ''}`;
}

/** The document of --json: the manifest, and beside it what only this run knows. */
export function reportDocument(report: ExportReport, plan: ExportPlan, tool: Tool) {
  const { file, manifest, plan: summary, seconds, copies, workFiles } = report;
  return {
    ...(manifest ?? dryRunFields(report, plan, tool)),
    files: (file?.files ?? []).map(({ etag, ...each }) => ({ ...each, etag: etag ?? null })),
    dryRun: file === undefined,
    manifestLocation: file?.manifestLocation ?? null,
    plan: {
      protocol: summary.protocol,
      points: summary.points,
      vectors: summary.shape.vectors,
      passes: summary.passes,
      passesReason: summary.passesReason,
      format: summary.format,
      converter: summary.converter ?? null,
      location: summary.location,
      door: summary.door ?? null,
      workFolder: summary.workFolder ?? null,
      estimatedBytes: summary.estimatedBytes,
      estimatedFiles: estimatedFiles(summary, plan),
    },
    copies,
    workFiles,
    timings: {
      exportSeconds: seconds.export,
      convertSeconds: seconds.convert,
      uploadSeconds: seconds.upload,
      totalSeconds: seconds.total,
    },
  };
}

/** What a manifest would say that is known without one, by the same names. */
function dryRunFields(report: ExportReport, { options }: ExportPlan, tool: Tool) {
  const { shape } = report.plan;
  const { before, idsSeen, rows, missing } = report.counts;
  return {
    tool,
    collection: shape.collection,
    alias: shape.name === shape.collection ? null : shape.name,
    serverVersion: shape.serverVersion,
    vectors: shape.vectors,
    options,
    startedAt: report.startedAt.toISOString(),
    finishedAt: report.finishedAt.toISOString(),
    counts: { before, idsSeen, rows, missing },
    warnings: report.warnings,
  };
}

/** SQL that reads it in DuckDB, credentials left to be filled in; the query is the last one. */
function duckdbStatements({ location, key }: ExportedData, target: Target): string[] {
  switch (target.kind) {
    case 'file':
      return [queryOf(location)];
    case 's3':
      return [...secretOf(target), queryOf(location)];
    case 'supabase':
      return [...supabaseSecretOf(target), queryOf(`s3://${target.bucket}/${key}`)];
  }
}

function queryOf(location: string): string {
  return `SELECT * FROM read_parquet(${quoted(location)}) LIMIT 5;`;
}

function secretOf({ endpoint, region }: S3Target): string[] {
  if (endpoint !== undefined) return endpointSecret(endpoint, region ?? 'auto', "KEY_ID '…', SECRET '…'");
  const where = region === undefined ? '' : `, REGION ${quoted(region)}`;
  return [`CREATE SECRET (TYPE s3, PROVIDER credential_chain${where});`];
}

/** Readers come in by the S3 endpoint, whichever way the export took; without its keys the region is not known either. */
function supabaseSecretOf({ url, s3 }: SupabaseTarget): string[] {
  const session = s3?.sessionToken === undefined ? '' : ", SESSION_TOKEN '…'";
  return endpointSecret(
    s3?.endpoint ?? `${url}/storage/v1/s3`,
    s3?.region ?? '…',
    `KEY_ID '…', SECRET '…'${session}`,
  );
}

function endpointSecret(address: string, region: string, keys: string): string[] {
  const endpoint = new URL(address);
  const tls = endpoint.protocol === 'http:' ? ', USE_SSL false' : '';
  const place = `ENDPOINT ${quoted(endpoint.host + endpoint.pathname.replace(/\/+$/, ''))}, REGION ${quoted(region)}`;
  return [`CREATE SECRET (TYPE s3, ${keys},`, `  ${place}, URL_STYLE 'path'${tls});`];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function counted(number: number, what: string): string {
  return `${grouped(number)} ${what}${number === 1 ? '' : 's'}`;
}
