#!/usr/bin/env -S bun --no-env-file
import { requireBun } from '../lib/cli/bun-version.ts';
import { EXPORTER_R2_FLAGS } from '../lib/cli/exporter-r2-flags.ts';
import { parseArguments } from '../lib/cli/parse-flags.ts';
import { type Run, runProgram } from '../lib/cli/run.ts';
import type { ExporterSettings } from '../lib/cli/settings.ts';
import { VERSION } from '../lib/cli/version.ts';
import type { RetryNotice } from '../lib/retry.ts';
import type { Destination } from '../lib/storage/storage.ts';

const TOOL = { name: 'exporter-r2', version: VERSION };

// Not awaited: executables with bytecode have no await at the top. It ends the process by itself.
void runProgram({ ...TOOL, main });

async function main(run: Run): Promise<void> {
  if (run.has('--help', '-h')) return run.print((await import('../lib/cli/help.ts')).exporterR2Help());
  if (run.has('--version')) return run.print(`${TOOL.name} ${TOOL.version}\n`);

  requireBun(Bun.version);
  const args = parseArguments(run.argv, EXPORTER_R2_FLAGS);
  const envFile = args.get('env-file');
  const environment = run.environment(typeof envFile === 'string' ? envFile : undefined);
  const { readExporterRequest } = await import('../lib/cli/exporter-request.ts');
  const request = readExporterRequest(args, environment, run);
  for (const warning of request.warnings) run.warn(warning);
  const { runExporter } = await import('../lib/exporter.ts');
  await runExporter(run, request, { tool: TOOL, openDestination });
}

async function openDestination(
  { target }: ExporterSettings,
  onRetry: (notice: RetryNotice) => void,
): Promise<Destination> {
  if (target.kind === 'file') return (await import('../lib/storage/file.ts')).fileDestination();
  return (await import('../lib/storage/s3.ts')).s3Destination({ ...target, onRetry });
}
