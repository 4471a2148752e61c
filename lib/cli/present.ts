import type { ExportPlan, ExportReport } from '../plan.ts';
import { Progress } from './progress.ts';
import { reportDocument, reportLines, type Tool } from './report.ts';
import type { Run } from './run.ts';
import type { ExporterSettings } from './settings.ts';

/** A run's progress on the real clock; `end` stops its timer. */
export function progressOf(run: Run, asked: ExportPlan): Progress {
  return new Progress({
    screen: run.screen,
    asked,
    quiet: run.quiet,
    verbose: run.verbose,
    now: () => performance.now(),
    every: (milliseconds, call) => {
      const timer = setInterval(call, milliseconds);
      return () => clearInterval(timer);
    },
    // maxRSS is in kilobytes on every system (libuv's uv_rusage_t, which Bun follows).
    peakMemory: () => process.resourceUsage().maxRSS * 1024,
  });
}

/** What a run that went well ends with: lines on stderr, and with --json the document on stdout. */
export async function presentReport(
  run: Run,
  report: ExportReport,
  settings: ExporterSettings,
  tool: Tool,
): Promise<void> {
  if (!run.quiet) {
    for (const line of reportLines(report, settings, run.screen.width)) run.screen.line(line);
  }
  if (run.json) await run.printDocument(reportDocument(report, settings.plan, tool));
}
