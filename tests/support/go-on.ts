import { type ExporterOptions, type ExporterResult, exporterCommand, runExporter } from './exporter.ts';

const LAST_LINE = /\nGo on with: (.+)\n$/;

/** The command in the last line of a run that can be gone on with; undefined where there is no such line. */
export function commandThatGoesOn(stderr: string): string | undefined {
  return LAST_LINE.exec(`\n${stderr}`)?.[1];
}

/** Runs that command, of the program that the options name, with its words as a shell reads them. */
export async function goOn(stderr: string, options: ExporterOptions): Promise<ExporterResult> {
  const command = commandThatGoesOn(stderr);
  if (command === undefined) throw new Error(`The run did not say how to go on with it:\n${stderr}`);
  const shell = Bun.spawnSync(['sh', '-c', `printf '%s\\0' ${command}`]);
  const words = shell.stdout.toString().split('\0').slice(0, -1);
  const wanted = exporterCommand(options.program ?? 'exporter-r2');
  if (!Bun.deepEquals(words.splice(0, wanted.length), wanted)) {
    throw new Error(`The command does not begin with ${wanted.join(' ')}: ${command}`);
  }
  return runExporter(words, options);
}
