import { describe, expect, test } from 'bun:test';
import { EXPORTER_R2 } from '../../../../lib/cli/flags/exporter-r2.ts';
import { EXPORTER_R2_FLAGS } from '../../../../lib/cli/flags/exporter-r2-flags.ts';
import { parseArguments } from '../../../../lib/cli/flags/parse-flags.ts';
import { type Run, runProgram } from '../../../../lib/cli/run.ts';
import { type ExportOne, exportEach } from '../../../../lib/cli/screen/export-each.ts';
import { readExporterRequest } from '../../../../lib/cli/settings/exporter-request.ts';
import type { ExporterSettings } from '../../../../lib/cli/settings/settings.ts';
import { abortReason, ToolError } from '../../../../lib/errors.ts';
import type { ExportReport } from '../../../../lib/plan.ts';
import { FakeHost } from '../fake-host.ts';

const TOOL = { name: 'exporter-r2', version: '0.1.0' };
const STORE = {
  R2_ENDPOINT: 'https://acc.r2.cloudflarestorage.com',
  R2_ACCESS_KEY_ID: 'access-key',
  R2_SECRET_ACCESS_KEY: 'secret-key',
  R2_BUCKET: 'b',
};

/** What would be reported of a run with these settings. */
function reportOf({ plan }: ExporterSettings): ExportReport {
  return {
    plan: {
      shape: {
        name: plan.collection,
        collection: plan.collection,
        serverVersion: '1.18.3',
        vectors: [],
        shardCount: 1,
        sharding: 'auto',
        shardKeys: [],
        strictMode: {},
        config: '{}',
        updateQueue: undefined,
      },
      protocol: 'grpc',
      points: 10,
      passes: 'one',
      passesReason: 'one shard',
      format: 'ndjson-gz',
      location: `s3://b/${plan.key}`,
      door: undefined,
      converter: undefined,
      workFolder: undefined,
      estimatedBytes: 100,
      pointsInMemory: 1,
    },
    startedAt: new Date(0),
    finishedAt: new Date(2_000),
    counts: { before: 10, after: 10, idsSeen: 10, rows: 10, missing: 0, emptyVectors: {}, keys: undefined },
    file: {
      key: plan.key,
      location: `s3://b/${plan.key}`,
      manifestLocation: `s3://b/${plan.manifestKey}`,
      bytes: 100,
      rowGroups: 1,
      files: [],
    },
    warnings: [],
    notes: [],
    manifest: undefined,
    copies: { made: [], removed: [] },
    workFiles: [],
    seconds: { export: 2, convert: 0, upload: 0, total: 2 },
  };
}

/** Runs the program with an export of ours; `onServer` are the names that --all finds. */
async function runWith(line: string, exportOne: ExportOne, onServer: readonly string[] = []) {
  const host = new FakeHost(line.split(' '), { ...STORE });
  await runProgram(
    {
      ...TOOL,
      main: async (run) => {
        const given = parseArguments(run.argv, EXPORTER_R2_FLAGS);
        const request = readExporterRequest(EXPORTER_R2, given, run.environment(undefined), run);
        const names = request.collections === 'all' ? onServer : request.collections;
        await exportEach({ run, request, tool: TOOL, exportOne }, names);
      },
    },
    host,
  );
  return host;
}

const good: ExportOne = async (settings) => reportOf(settings);

/** An export that fails for these collections, with something to go on with for those of `resumable`. */
function failing(errors: Readonly<Record<string, unknown>>, resumable: readonly string[] = []): ExportOne {
  return async (settings, emit) => {
    const { collection } = settings.plan;
    if (resumable.includes(collection)) emit({ kind: 'resumable' });
    if (collection in errors) throw errors[collection];
    return reportOf(settings);
  };
}

const NO_ANSWER = new ToolError('qdrant', 'No answer.');
const NO_BUCKET = new ToolError('store', 'No bucket.');

describe('exportEach() with one collection', () => {
  test('shows and prints it as such, without heading and summary', async () => {
    const host = await runWith('--collection docs --json', good);
    expect(host.err).toStartWith('Exported  10 rows in 1 row group, 100 B, 2s (5 rows/s)\n');
    expect(host.err).not.toContain('[1/1]');
    expect(host.err).not.toContain('exported');
    expect(JSON.parse(host.out)).toMatchObject({ collection: 'docs', dryRun: false });
    expect(host.exitCodes).toEqual([0]);
  });

  test('fails as the export does, with the command that goes on as the last line', async () => {
    const host = await runWith('--collection docs --json', failing({ docs: NO_ANSWER }, ['docs']));
    expect(host.err).toBe('Error: No answer.\nGo on with: exporter --collection docs --json --resume\n');
    expect(JSON.parse(host.out)).toEqual({
      error: { code: 'qdrant', message: 'No answer.', exitCode: 10 },
      resume: 'exporter --collection docs --json --resume',
    });
    expect(host.exitCodes).toEqual([10]);
  });

  test('names no command where nothing was kept', async () => {
    const host = await runWith('--collection docs', failing({ docs: NO_ANSWER }));
    expect(host.err).toBe('Error: No answer.\n');
  });
});

describe('exportEach() with several', () => {
  const THREE = '--collection a --collection b --collection c';

  test('goes one after the other, names each, and ends with one summary', async () => {
    const begun: string[] = [];
    let running = 0;
    const host = await runWith(THREE, async (settings) => {
      expect(running++).toBe(0);
      begun.push(settings.plan.collection);
      await Promise.resolve();
      running--;
      return reportOf(settings);
    });
    expect(begun).toEqual(['a', 'b', 'c']);
    expect(host.err.match(/^\[.*$/gm)).toEqual(['[1/3] a', '[2/3] b', '[3/3] c']);
    expect(host.err).toEndWith(
      'a  10 rows, 100 B, 2s\nb  10 rows, 100 B, 2s\nc  10 rows, 100 B, 2s\n3 of 3 exported\n',
    );
    expect(host).toMatchObject({ exitCodes: [0], out: '' });
  });

  test('tells each failure once, goes on, and ends with the code of the first', async () => {
    const host = await runWith(THREE, failing({ a: NO_BUCKET, c: NO_ANSWER }));
    expect(host.err).toMatch(/^\[1\/3\] a\nError: No bucket\.\n\[2\/3\] b\nExported {2}/);
    expect(host.err).toEndWith(
      '[3/3] c\nError: No answer.\na  No bucket.\nb  10 rows, 100 B, 2s\nc  No answer.\n1 of 3 exported, 2 failed\n',
    );
    expect(host.err.match(/^Error: /gm)).toHaveLength(2);
    expect(host.exitCodes).toEqual([12]);
  });

  test('ends with 1 after something unexpected', async () => {
    const host = await runWith(THREE, failing({ a: new TypeError('odd'), b: NO_ANSWER }));
    expect(host.err).toContain('Error: Something unexpected ended exporter-r2: odd.');
    expect(host.exitCodes).toEqual([1]);
  });

  test('names in the command that goes on all that are not done', async () => {
    const host = await runWith(`${THREE} --http`, failing({ a: NO_BUCKET, c: NO_ANSWER }, ['c']));
    expect(host.err).toEndWith(
      '\n1 of 3 exported, 2 failed\nGo on with: exporter --collection a --collection c --http --resume\n',
    );
    const nothingKept = await runWith(THREE, failing({ a: NO_BUCKET }));
    expect(nothingKept.err).not.toContain('Go on with');
  });

  test('prints one document, with one for each collection, and the command', async () => {
    const host = await runWith(`${THREE} --json`, failing({ b: NO_ANSWER }, ['b']));
    const { exports, resume, ...rest } = JSON.parse(host.out);
    expect(exports).toHaveLength(3);
    expect(exports[0]).toMatchObject({ collection: 'a', files: [], dryRun: false });
    expect(exports[1]).toEqual({
      collection: 'b',
      error: { code: 'qdrant', message: 'No answer.', exitCode: 10 },
    });
    expect(exports[2]).toMatchObject({ collection: 'c' });
    expect(resume).toBe('exporter --collection b --json --resume');
    expect(rest).toEqual({});
  });

  test('is quiet but for errors, which then name their collection, and a summary when one failed', async () => {
    const well = await runWith(`${THREE} --quiet`, good);
    expect(well.err).toBe('');
    const warned: ExportOne = async (settings, emit) => {
      emit({ kind: 'warning', text: 'odd' });
      return failing({ b: NO_ANSWER })(settings, emit);
    };
    const ill = await runWith('--collection a --collection b --quiet', warned);
    expect(ill.err).toBe(
      'Warning: a: odd\nWarning: b: odd\nError: b: No answer.\na  10 rows, 100 B, 2s\nb  No answer.\n1 of 2 exported, 1 failed\n',
    );
  });

  /** Runs three of which the first fails, and sends a signal while the second is under way. */
  async function stopSecond(more: string, ends: 'as it was stopped' | 'whole'): Promise<FakeHost> {
    const host = new FakeHost(`${THREE}${more}`.split(' '), { ...STORE });
    const main = async (run: Run) => {
      const request = readExporterRequest(
        EXPORTER_R2,
        parseArguments(run.argv, EXPORTER_R2_FLAGS),
        run.environment(undefined),
        run,
      );
      const exportOne: ExportOne = async (settings, emit) => {
        if (settings.plan.collection === 'a') throw NO_ANSWER;
        if (settings.plan.collection === 'c') throw new Error('was begun');
        host.signal('SIGTERM');
        if (ends === 'whole') return reportOf(settings);
        emit({ kind: 'resumable' });
        throw abortReason(run.signal);
      };
      await exportEach({ run, request, tool: TOOL, exportOne }, request.collections as readonly string[]);
    };
    await runProgram({ ...TOOL, main }, host);
    return host;
  }

  test('stops all at a signal, whose code it ends with, and goes on with all that are not done', async () => {
    const host = await stopSecond(' --json', 'as it was stopped');
    expect(host.err).not.toContain('[3/3]');
    expect(host.err).toEndWith(
      '\nStopped by SIGTERM.\na  No answer.\nb  Stopped by SIGTERM.\nc  not begun\n0 of 3 exported, 1 failed, 1 stopped, 1 not begun\n' +
        'Go on with: exporter --collection a --collection b --collection c --json --resume\n',
    );
    expect(host.exitCodes).toEqual([143]);
    const { exports } = JSON.parse(host.out);
    expect(exports.map(({ error }: { error: { code: string } }) => error.code)).toEqual([
      'qdrant',
      'cancelled',
      'cancelled',
    ]);
    expect(exports[2]).toMatchObject({ collection: 'c' });
  });

  test('ends with the code of a signal too when the export under way became whole in spite of it', async () => {
    const host = await stopSecond('', 'whole');
    expect(host.err).toEndWith(
      '\nStopped by SIGTERM.\na  No answer.\nb  10 rows, 100 B, 2s\nc  not begun\n1 of 3 exported, 1 failed, 1 not begun\n',
    );
    expect(host.exitCodes).toEqual([143]);
  });
});

describe('exportEach() with --all', () => {
  test('prints a list of documents whatever the server has', async () => {
    for (const names of [['a', 'b'], ['a'], []]) {
      const host = await runWith('--all --json', good, names);
      expect(JSON.parse(host.out).exports.map((each: { collection: string }) => each.collection)).toEqual(
        names,
      );
      expect(host.exitCodes).toEqual([0]);
    }
  });

  test('warns of a server without collections, even when it is quiet', async () => {
    const host = await runWith('--all --quiet', good, []);
    expect(host.err).toBe('Warning: The server has no collections, so there was nothing to export.\n');
  });

  test('goes on behind a name that makes no key', async () => {
    const host = await runWith('--all --quiet', good, ['x'.repeat(1_020), 'b']);
    expect(host.err).toContain('The object key has 1035 bytes');
    expect(host.err).toEndWith('1 of 2 exported, 1 failed\n');
    expect(host.exitCodes).toEqual([2]);
  });

  test('names in the command that goes on the collections in the place of --all', async () => {
    const host = await runWith('--all --keep 3', failing({ b: NO_ANSWER }, ['b']), ['a', 'b']);
    expect(host.err).toEndWith('\nGo on with: exporter --collection b --keep 3 --resume\n');
  });
});
