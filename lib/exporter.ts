import type { Run } from './cli/run.ts';
import { type ExportOne, exportEach } from './cli/screen/export-each.ts';
import { uploadQuestion } from './cli/screen/present.ts';
import type { Tool } from './cli/screen/report.ts';
import type { ExporterRequest } from './cli/settings/exporter-request.ts';
import type { ExporterSettings } from './cli/settings/settings.ts';
import { VERSION } from './cli/version.ts';
import { ToolError } from './errors.ts';
import type { ExportEvent, ExportParts, ExportReport, UploadQuestion } from './plan.ts';
import type { RetryNotice } from './retry.ts';
import { within } from './run/within.ts';
import type { Destination, WorkFolder } from './storage/storage.ts';
import type { EncodedUnit } from './writers/format.ts';

/** What a destination tells while it works. */
interface Heard {
  readonly onRetry: (notice: RetryNotice) => void;
  /** What is good to know, a sentence. */
  readonly onNote: (text: string) => void;
}

/** How long a run that is over may wait for its work folder. */
const CLOSE_MS = 500;

/** What wrote a file, in the file itself. */
const CREATED_BY = `qdrant-export-tools ${VERSION}`;

/** Joins the parts that the request names, collection after collection; each SDK is loaded here, when it is used. */
export async function runExporter(run: Run, request: ExporterRequest, tool: Tool): Promise<void> {
  const formats = await openFormats(request);
  const exportOne: ExportOne = (settings, emit) => exportWith(run, settings, emit, tool, formats);
  const names = request.collections === 'all' ? await listed(run, request) : request.collections;
  await exportEach({ run, request, tool, exportOne }, names);
}

async function listed(run: Run, { protocol, transport }: ExporterRequest): Promise<readonly string[]> {
  const { connectQdrant } = await import('./qdrant/connect.ts');
  const connected = await connectQdrant(protocol, transport);
  try {
    return await connected.collections(run.signal);
  } finally {
    connected.close();
  }
}

type Formats = Pick<ExportParts<EncodedUnit>, 'format' | 'converter'>;

/** The data format, and what makes Parquet of it; found before anything is asked of a server. */
async function openFormats({ format: settings, searchPath }: ExporterRequest): Promise<Formats> {
  const options = { ...settings, createdBy: CREATED_BY };
  if (settings.strategy !== 'ndjson-gz') {
    const { strategy, rowGroupRows } = settings;
    const { parquetFormat } = await import('./writers/parquet/parquet.ts');
    return {
      format: (shape, sample, exportedAt) =>
        parquetFormat(shape, { ...options, strategy, rowGroupRows, sample, exportedAt }),
      converter: undefined,
    };
  }
  const [{ ndjsonFormat }, { findDuckDb }, { chooseConverter }] = await Promise.all([
    import('./writers/ndjson/ndjson.ts'),
    import('./writers/duckdb/duckdb.ts'),
    import('./writers/choose-converter.ts'),
  ]);
  const found = await findDuckDb(searchPath);
  return {
    format: (shape, sample) => ndjsonFormat(shape, { ...options, sample }),
    converter: chooseConverter({ ...options, rowGroupRows: settings.rowGroupRows, found }),
  };
}

async function exportWith(
  run: Run,
  settings: ExporterSettings,
  emit: (event: ExportEvent) => void,
  tool: Tool,
  formats: Formats,
): Promise<ExportReport> {
  const { plan, protocol } = settings;
  const [{ connectQdrant }, { exportCollection }] = await Promise.all([
    import('./qdrant/connect.ts'),
    import('./run/export.ts'),
  ]);
  const onRetry = (notice: RetryNotice) => emit({ kind: 'retry', notice });
  // One for each collection: a collection's strict mode may make its requests shorter.
  const transport = await connectQdrant(protocol, { ...settings.transport, onRetry });
  let work: WorkFolder | undefined;
  try {
    work = plan.dryRun ? undefined : await openWork(settings, emit);
    const onNote = (text: string) => emit({ kind: 'note', text });
    const destination = await openDestination(settings, { onRetry, onNote });
    const confirm = (upload: UploadQuestion) => run.confirm(uploadQuestion(upload));
    return await exportCollection(
      plan,
      { transport, ...formats, destination, work, confirm, tool, emit },
      run.signal,
    );
  } finally {
    transport.close();
    // A disk that does not answer keeps nobody waiting: the lock of a process that is gone is nobody's.
    if (work !== undefined) await within(work.close(), CLOSE_MS);
  }
}

async function openDestination({ target, plan }: ExporterSettings, heard: Heard): Promise<Destination> {
  switch (target.kind) {
    case 'file':
      return (await import('./storage/disk/file.ts')).fileDestination();
    case 's3':
      return (await import('./storage/s3/s3.ts')).s3Destination({ ...target, onRetry: heard.onRetry });
    case 'supabase': {
      const { supabaseDestination } = await import('./storage/supabase/supabase.ts');
      return supabaseDestination({ ...target, dryRun: plan.dryRun, ...heard });
    }
  }
}

/** A stream needs no disk, only what it could be gone on with does. */
async function openWork(
  { workFolder, plan }: ExporterSettings,
  emit: (event: ExportEvent) => void,
): Promise<WorkFolder | undefined> {
  const { openWorkFolder } = await import('./storage/disk/work-folder.ts');
  try {
    return await openWorkFolder(workFolder);
  } catch (error) {
    const isLocked = error instanceof ToolError && error.cause === undefined;
    if (!plan.streaming || plan.resume || isLocked || !(error instanceof ToolError)) throw error;
    emit({
      kind: 'note',
      text: `An interruption could not be gone on with, as there is no journal: ${error.message}`,
    });
    return undefined;
  }
}
