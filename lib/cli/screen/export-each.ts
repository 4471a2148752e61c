import { abortReason } from '../../errors.ts';
import type { ExportEvent, ExportReport } from '../../plan.ts';
import type { ErrorDocument } from '../error-document.ts';
import type { Run } from '../run.ts';
import type { ExporterRequest } from '../settings/exporter-request.ts';
import type { ExporterSettings } from '../settings/settings.ts';
import { ToldFailure } from '../told-failure.ts';
import { progressOf, showReport } from './present.ts';
import { reportDocument, type Tool } from './report.ts';
import { figuresOf, type Outcome, summaryLines } from './summary-lines.ts';

/** Exports one collection; rejects where it fails. */
export type ExportOne = (
  settings: ExporterSettings,
  emit: (event: ExportEvent) => void,
) => Promise<ExportReport>;

/** What does not change from collection to collection. */
export interface EachContext {
  readonly run: Run;
  readonly request: Pick<ExporterRequest, 'collections' | 'settingsFor'>;
  readonly tool: Tool;
  readonly exportOne: ExportOne;
}

/**
 * Exports collections one after the other, and shows it. `names` are those of the request, or with --all those that the
 * server has. A single one that was named fails as exportOne does. Of several, or with --all, each that fails is told and
 * does not stop the rest, unless the run itself was stopped; a ToldFailure with the exit code of what stopped it, else of the
 * first failure, ends them.
 */
export async function exportEach(context: EachContext, names: readonly string[]): Promise<void> {
  const [only, ...others] = names;
  if (context.request.collections !== 'all' && only !== undefined && others.length === 0) {
    return await exportSingle(context, only);
  }
  await exportSeveral(context, names);
}

async function exportSingle(context: EachContext, name: string): Promise<void> {
  const { run } = context;
  const { document } = await exportShown(context, name, '', () => run.offerResume());
  if (run.json) await run.printDocument(document);
}

async function exportSeveral(context: EachContext, names: readonly string[]): Promise<void> {
  const { run } = context;
  if (names.length === 0) run.warn('The server has no collections, so there was nothing to export.');
  const so: SoFar = { outcomes: [], documents: [], isResumable: false, failure: undefined };
  for (const [index, name] of names.entries()) {
    if (run.signal.aborted) break;
    if (!run.quiet) run.screen.line(name, `[${index + 1}/${names.length}] `, 'cyan');
    await exportNext(context, name, so);
  }
  const notBegun = names.slice(so.outcomes.length);
  // Stopped after one that was whole in spite of it.
  if (notBegun.length > 0 && so.outcomes.at(-1)?.kind !== 'failed') {
    so.failure = run.tell(abortReason(run.signal)).error;
  }
  for (const name of notBegun) {
    so.outcomes.push({ kind: 'left', name });
    if (run.json) so.documents.push({ collection: name, error: NOT_BEGUN });
  }
  await endSeveral(run, so);
}

/** What several exports have come to; a few hundred bytes a collection, with --json some thousand. */
interface SoFar {
  readonly outcomes: Outcome[];
  readonly documents: unknown[];
  isResumable: boolean;
  failure: ErrorDocument['error'] | undefined;
}

/** In the place of an error's document, for collections whose turn did not come. */
const NOT_BEGUN = { code: 'cancelled', message: 'The run was stopped before this collection was begun.' };

async function exportNext(context: EachContext, name: string, so: SoFar): Promise<void> {
  const { run } = context;
  // Without the line that names it, nothing else would say which collection it is.
  const about = run.quiet ? `${name}: ` : '';
  try {
    const { report, document } = await exportShown(context, name, about, () => {
      so.isResumable = true;
    });
    so.outcomes.push({ kind: 'done', name, figures: figuresOf(report) });
    if (run.json) so.documents.push(document);
  } catch (thrown) {
    const { error } = run.tell(thrown, about);
    // What stopped the run ends it, whatever failed before.
    so.failure = run.signal.aborted ? error : (so.failure ?? error);
    so.outcomes.push({ kind: 'failed', name, error });
    if (run.json) so.documents.push({ collection: name, error });
  }
}

async function endSeveral(run: Run, { outcomes, documents, isResumable, failure }: SoFar): Promise<void> {
  const left = outcomes.filter(({ kind }) => kind !== 'done').map(({ name }) => name);
  const resume = isResumable && left.length > 0 ? run.offerResume(left) : undefined;
  if (!run.quiet || left.length > 0) for (const line of summaryLines(outcomes)) run.screen.line(line);
  if (run.json) await run.printDocument({ exports: documents, ...(resume === undefined ? {} : { resume }) });
  if (failure !== undefined) throw new ToldFailure(failure.exitCode);
}

/** Exports a collection with its progress and its last lines on stderr. */
async function exportShown(
  { run, request, tool, exportOne }: EachContext,
  name: string,
  about: string,
  onResumable: () => void,
) {
  const settings = request.settingsFor(name);
  const progress = progressOf(run, settings.plan, about);
  try {
    const report = await exportOne(settings, (event) => {
      if (event.kind === 'resumable') onResumable();
      progress.show(event);
    });
    progress.end();
    showReport(run, report, settings);
    return { report, document: reportDocument(report, settings.plan, tool) };
  } finally {
    progress.end();
  }
}
