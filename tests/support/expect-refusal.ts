import { expect } from 'bun:test';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runExporter } from './exporter.ts';
import { commandThatGoesOn } from './go-on.ts';

export interface Refusal {
  readonly code: number;
  /** All that stderr says, behind `Error: `. */
  readonly error: string;
  /** A line before it. */
  readonly warning?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs what has to fail: with one sentence, and nothing left of it. */
export async function expectRefusal(args: readonly string[], refusal: Refusal): Promise<void> {
  const { code, error, env = {}, warning } = refusal;
  const before = warning === undefined ? '' : `Warning: ${warning}\n`;
  const run = await runExporter(args, { env });
  expect(run).toMatchObject({ code, stdout: '', stderr: `${before}Error: ${error}\n`, workFiles: [] });
}

/** The same for a run that would have written a local file. */
export async function expectNoFile(args: readonly string[], refusal: Refusal): Promise<void> {
  const target = mkdtempSync(join(tmpdir(), 'target-'));
  try {
    await expectRefusal([...args, '--output', join(target, 'x.parquet')], refusal);
    expect(readdirSync(target)).toEqual([]);
  } finally {
    rmSync(target, { recursive: true });
  }
}

/**
 * Runs what has to fail after its first point: with one sentence and the command that goes on, and with the journal and the
 * files that it is gone on with, none of which has the export's name.
 */
export async function expectInterruption(
  args: readonly string[],
  { code, error, env = {} }: Refusal,
): Promise<string> {
  const run = await runExporter(args, { env });
  expect({ code: run.code, stdout: run.stdout }).toEqual({ code, stdout: '' });
  const command = commandThatGoesOn(run.stderr);
  expect(run.stderr).toBe(`Error: ${error}\nGo on with: ${command}\n`);
  expect(command).toEndWith(' --resume');
  expect(run.workFiles.some((name) => name.endsWith('/journal'))).toBe(true);
  expect(run.workFiles.filter((name) => /\/lock|\.parquet$/.test(name))).toEqual([]);
  return run.stderr;
}
