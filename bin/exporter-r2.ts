#!/usr/bin/env -S bun --no-env-file
import { requireBun } from '../lib/cli/bun-version.ts';
import { EXPORTER_R2_FLAGS, LATER_FLAGS } from '../lib/cli/exporter-r2-flags.ts';
import { parseArguments } from '../lib/cli/parse-flags.ts';
import { type Run, runProgram } from '../lib/cli/run.ts';
import type { ExporterSettings } from '../lib/cli/settings.ts';
import { VERSION } from '../lib/cli/version.ts';
import type { ExportEvent } from '../lib/plan.ts';
import type { RetryNotice } from '../lib/retry.ts';
import type { Destination, WorkFile } from '../lib/storage/storage.ts';

const TOOL = { name: 'exporter-r2', version: VERSION };

// Not awaited: executables with bytecode have no await at the top. It ends the process by itself.
void runProgram({ ...TOOL, main });

async function main(run: Run): Promise<void> {
  if (run.has('--help', '-h')) return run.print((await import('../lib/cli/help.ts')).exporterR2Help());
  if (run.has('--version')) return run.print(`${TOOL.name} ${TOOL.version}\n`);

  requireBun(Bun.version);
  const args = parseArguments(run.argv, EXPORTER_R2_FLAGS, LATER_FLAGS);
  const envFile = args.get('env-file');
  const environment = run.environment(typeof envFile === 'string' ? envFile : undefined);
  const { readExporterSettings } = await import('../lib/cli/settings.ts');
  const settings = readExporterSettings(args, environment);
  for (const warning of settings.warnings) run.warn(warning);

  const { presentReport, progressOf } = await import('../lib/cli/present.ts');
  const progress = progressOf(run, settings.plan);
  try {
    const report = await exportWith(settings, run.signal, (event) => progress.show(event));
    progress.end();
    await presentReport(run, report, settings, TOOL);
  } finally {
    progress.end();
  }
}

/** Joins the parts that the settings name; each SDK is loaded here, when it is used. */
async function exportWith(
  settings: ExporterSettings,
  signal: AbortSignal,
  emit: (event: ExportEvent) => void,
) {
  const [{ connectQdrant }, { parquetFormat }, { exportCollection }] = await Promise.all([
    import('../lib/qdrant/connect.ts'),
    import('../lib/writers/parquet.ts'),
    import('../lib/export.ts'),
  ]);
  const onRetry = (notice: RetryNotice) => emit({ kind: 'retry', notice });
  const { plan, format } = settings;
  const transport = await connectQdrant(settings.protocol, { ...settings.transport, onRetry });
  const exportedAt = settings.sourceDate ?? new Date();
  const workFile = plan.streaming ? undefined : await openWorkFile(settings);
  try {
    return await exportCollection(
      plan,
      {
        transport,
        format: (shape, sample) =>
          parquetFormat(shape, {
            ...format,
            createdBy: `qdrant-export-tools ${VERSION}`,
            exportedAt,
            sample,
          }),
        destination: await openDestination(settings, onRetry),
        workFile,
        tool: TOOL,
        emit,
      },
      signal,
    );
  } finally {
    transport.close();
    await workFile?.remove();
  }
}

async function openDestination(
  { target }: ExporterSettings,
  onRetry: (notice: RetryNotice) => void,
): Promise<Destination> {
  if (target.kind === 'file') return (await import('../lib/storage/file.ts')).fileDestination();
  return (await import('../lib/storage/s3.ts')).s3Destination({ ...target, onRetry });
}

async function openWorkFile({ workFolder, format }: ExporterSettings): Promise<WorkFile> {
  const { createWorkFile } = await import('../lib/storage/work-file.ts');
  return createWorkFile(workFolder, `${format.strategy}.parquet`);
}
