import type { ExporterResult, RunningExporter } from './exporter.ts';

/** What ends with a signal has 128 and its number for a code; 9 is SIGKILL's. */
const KILLED = 137;

/**
 * Kills a run with SIGKILL, which it cannot catch, as soon as the condition holds, and waits for its end. Rejects
 * when the run ended by itself, before that or before the signal came: then the test is not about what it says. A
 * condition that rejects ends the run too, and is the error.
 */
export async function killWhen(running: RunningExporter, condition: Promise<void>): Promise<ExporterResult> {
  const ended = running.result.then(() => {});
  try {
    await Promise.race([ended, condition]);
  } catch (error) {
    running.kill('SIGKILL');
    // Whatever its end was, the first error is the one to tell.
    await ended.catch(() => {});
    throw error;
  }
  running.kill('SIGKILL');
  const result = await running.result;
  if (result.code === KILLED) return result;
  throw new Error(
    `The run ended with code ${result.code} before it could be killed. stderr:\n${result.stderr}`,
  );
}
