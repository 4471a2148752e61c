import type { ExportPlan, ExportReport, UploadQuestion } from '../../plan.ts';
import type { Run } from '../run.ts';
import type { ExporterSettings } from '../settings/settings.ts';
import { byteSize, grouped } from './human-numbers.ts';
import { Progress } from './progress.ts';
import { reportLines } from './report.ts';

/** A run's progress on the real clock, `about` before its warnings; `end` stops its timer. */
export function progressOf(run: Run, asked: ExportPlan, about: string): Progress {
  return new Progress({
    screen: run.screen,
    asked,
    quiet: run.quiet,
    verbose: run.verbose,
    about,
    now: () => performance.now(),
    every: (milliseconds, call) => {
      const timer = setInterval(call, milliseconds);
      return () => clearInterval(timer);
    },
    // maxRSS is in kilobytes on every system (libuv's uv_rusage_t, which Bun follows).
    peakMemory: () => process.resourceUsage().maxRSS * 1024,
  });
}

/** The last lines of a run that went well, on stderr. */
export function showReport(run: Run, report: ExportReport, settings: ExporterSettings): void {
  if (run.quiet) return;
  for (const line of reportLines(report, settings, run.screen.width)) run.screen.line(line);
}

/** What --debug asks before the upload, as a question for `run.confirm()`. */
export function uploadQuestion({ path, bytes, files, location }: UploadQuestion): string {
  const several = files === 1 ? '' : ` as ${grouped(files)} files`;
  return `Upload ${byteSize(bytes)} (${path})${several} to ${location}?`;
}
