#!/usr/bin/env -S bun --no-env-file
import { requireBun } from '../lib/cli/bun-version.ts';
import { EXPORTER_SUPABASE } from '../lib/cli/flags/exporter-supabase.ts';
import { parseArguments } from '../lib/cli/flags/parse-flags.ts';
import { type Run, runProgram } from '../lib/cli/run.ts';
import { VERSION } from '../lib/cli/version.ts';

const TOOL = { name: 'exporter-supabase', version: VERSION };

// Not awaited: executables with bytecode have no await at the top. It ends the process by itself.
void runProgram({ ...TOOL, main });

async function main(run: Run): Promise<void> {
  if (run.has('--help', '-h')) {
    const { exporterSupabaseHelp } = await import('../lib/cli/flags/exporter-supabase-help.ts');
    return run.print(exporterSupabaseHelp());
  }
  if (run.has('--version')) return run.print(`${TOOL.name} ${TOOL.version}\n`);

  requireBun(Bun.version);
  const args = parseArguments(run.argv, EXPORTER_SUPABASE.flags);
  const envFile = args.get('env-file');
  const environment = run.environment(typeof envFile === 'string' ? envFile : undefined);
  const { readExporterRequest } = await import('../lib/cli/settings/exporter-request.ts');
  const request = readExporterRequest(EXPORTER_SUPABASE, args, environment, run);
  for (const warning of request.warnings) run.warn(warning);
  const { runExporter } = await import('../lib/exporter.ts');
  await runExporter(run, request, TOOL);
}
