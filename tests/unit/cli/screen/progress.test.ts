import { describe, expect, test } from 'bun:test';
import { Redactor } from '../../../../lib/cli/redact.ts';
import { Progress } from '../../../../lib/cli/screen/progress.ts';
import { Screen } from '../../../../lib/cli/screen/screen.ts';
import { ToolError } from '../../../../lib/errors.ts';
import type { PlanSummary } from '../../../../lib/plan.ts';

const PLAN: PlanSummary = {
  shape: {
    name: 'docs',
    collection: 'docs',
    serverVersion: '1.18.3',
    vectors: [{ kind: 'dense', name: '', size: 1024, distance: 'Cosine', datatype: 'float32' }],
    shardCount: 6,
    sharding: 'auto',
    shardKeys: [],
    strictMode: {},
    config: '{}',
    updateQueue: 0,
  },
  protocol: 'grpc',
  points: 200_000,
  passes: 'two',
  passesReason: 'scroll slows down with 6 shards, retrieve does not',
  format: 'parquet-med, row groups of 10,000 rows, zstd, plain vectors',
  location: 's3://backups/docs/latest.parquet',
  door: undefined,
  converter: undefined,
  workFolder: '/tmp/qdrant-export/docs',
  estimatedBytes: 812_000_000,
  pointsInMemory: 4_096,
};

interface Options {
  isTerminal?: boolean;
  columns?: number;
  quiet?: boolean;
  verbose?: boolean;
  colour?: boolean;
  about?: string;
}

/** A progress on a clock that only `pass` moves. */
function start(options: Options = {}) {
  let time = 0;
  let tick: { period: number; call: () => void } | undefined;
  const written: string[] = [];
  const screen = new Screen({
    write: (text) => written.push(text),
    isTerminal: options.isTerminal ?? true,
    colour: options.colour ?? false,
    columns: () => options.columns ?? 80,
    redactor: new Redactor(),
  });
  const progress = new Progress({
    screen,
    asked: { vectors: undefined, filter: undefined, limit: 7, shardKey: undefined, splitBytes: undefined },
    quiet: options.quiet ?? false,
    verbose: options.verbose ?? false,
    about: options.about ?? '',
    now: () => time,
    every: (period, call) => {
      tick = { period, call };
      return () => {
        tick = undefined;
      };
    },
    peakMemory: () => 264_000_000,
  });
  return {
    progress,
    screen,
    written,
    /** Moves the clock on, ticks where they are due. */
    pass(milliseconds: number) {
      const end = time + milliseconds;
      while (tick !== undefined && Math.floor(end / tick.period) > Math.floor(time / tick.period)) {
        time = (Math.floor(time / tick.period) + 1) * tick.period;
        tick.call();
      }
      time = end;
    },
    isTicking: () => tick !== undefined,
    last: () => (written.at(-1) ?? '').replace('\r\u001b[2K', ''),
  };
}

describe('Progress on a terminal', () => {
  test('redraws one line with phase, bar, rows, per cent, rates, ETA and peak memory, and leaves room for ^C in 80 columns', () => {
    const run = start();
    run.progress.show({ kind: 'phase', phase: 'export', total: 200_000 });
    run.pass(2_500);
    run.progress.show({ kind: 'progress', rows: 95_000, bytes: 425_000_000 });
    expect(run.last()).toBe('export ███░░░░ 47% 95,000/200,000 rows ETA 2.8s 38,000/s 170 MB/s peak 264 MB');
    expect(run.written.every((text) => !text.includes('\n'))).toBe(true);
  });

  test.each([20, 40, 60, 80, 100, 200])(
    'never comes near the end of %d columns, whatever the numbers',
    (columns) => {
      const run = start({ columns });
      for (const total of [0, 1, 200_000, 4_000_000_000]) {
        run.progress.show({ kind: 'phase', phase: 'export', total });
        run.pass(1_500);
        run.progress.show({ kind: 'progress', rows: total, bytes: total * 4_000 });
        expect(Bun.stringWidth(run.last())).toBeLessThanOrEqual(columns - 3);
        run.progress.show({ kind: 'phase', phase: 'upload', total });
        run.pass(1_500);
        run.progress.show({ kind: 'progress', rows: 0, bytes: total });
        expect(Bun.stringWidth(run.last())).toBeLessThanOrEqual(columns - 3);
      }
    },
  );

  test('redraws at most ten times a second', () => {
    const run = start();
    run.progress.show({ kind: 'phase', phase: 'export', total: 1_000 });
    for (let rows = 1; rows <= 1_000; rows++) {
      run.pass(1);
      run.progress.show({ kind: 'progress', rows, bytes: rows });
    }
    expect(run.written.length).toBeLessThanOrEqual(12);
    expect(run.written.length).toBeGreaterThanOrEqual(9);
  });

  test('says 100 % only when all is done', () => {
    const run = start();
    run.progress.show({ kind: 'phase', phase: 'upload', total: 1_000 });
    run.pass(1_500);
    run.progress.show({ kind: 'progress', rows: 0, bytes: 999 });
    expect(run.last()).toContain(' 99%  999 B/1.0 kB');
    run.pass(1_600);
    run.progress.show({ kind: 'progress', rows: 0, bytes: 1_000 });
    expect(run.last()).toContain(' 100%  ');
  });

  test.each(['export', 'convert'] as const)('counts rows in the phase %s', (phase) => {
    const run = start({ columns: 120 });
    run.progress.show({ kind: 'phase', phase, total: 1_000 });
    run.pass(500);
    run.progress.show({ kind: 'progress', rows: 500, bytes: 7_000 });
    expect(run.last()).toMatch(/ 50% {2}500\/1,000 rows {2}ETA 0\.5s {2}1,000\/s {2}14 kB\/s /);
  });

  test.each(['upload', 'verify', 'copy'] as const)('counts bytes in the phase %s', (phase) => {
    const run = start({ columns: 120 });
    run.progress.show({ kind: 'phase', phase, total: 8_000 });
    run.pass(500);
    run.progress.show({ kind: 'progress', rows: 0, bytes: 2_000 });
    expect(run.last()).toMatch(/ 25% {2}2\.0 kB\/8\.0 kB {2}ETA 1\.5s {2}4\.0 kB\/s /);
  });

  test('says how long a converter without a word has been at work, and no share of it', () => {
    const run = start();
    run.progress.show({ kind: 'phase', phase: 'convert', total: 100_000 });
    run.pass(3_000);
    expect(run.last()).toBe('convert  100,000 rows  3s so far  peak 264 MB');
  });

  test('does not take what an earlier run has done for the speed of this one', () => {
    const run = start({ columns: 120 });
    run.progress.show({ kind: 'phase', phase: 'export', total: 10_000 });
    run.progress.show({ kind: 'progress', rows: 5_000, bytes: 5_000 });
    run.pass(500);
    run.progress.show({ kind: 'progress', rows: 5_100, bytes: 5_100 });
    expect(run.last()).toMatch(/ 51% {2}5,100\/10,000 rows {2}ETA 25s {2}200\/s /);
  });

  test('shows a falling rate while nothing comes', () => {
    const run = start();
    run.progress.show({ kind: 'phase', phase: 'export', total: 100_000 });
    run.pass(500);
    run.progress.show({ kind: 'progress', rows: 10_000, bytes: 1 });
    expect(run.last()).toContain('20,000/s');
    run.pass(4_500);
    expect(run.last()).toContain('2,000/s');
    run.pass(20_000);
    expect(run.last()).toContain('ETA ?');
  });

  test('puts a warning on a line of its own and draws the bar again below it', () => {
    const run = start({ colour: true });
    run.progress.show({ kind: 'phase', phase: 'export', total: 10 });
    const bar = run.last();
    run.progress.show({ kind: 'warning', text: 'odd\u001b[2J' });
    expect(run.written.at(-1)).toBe(`\r\u001b[2K\u001b[33mWarning: \u001b[0modd\\u{1b}[2J\n${bar}`);
  });

  test('shows a note on a line of its own, too, but in another colour than a warning', () => {
    const run = start({ colour: true });
    run.progress.show({ kind: 'note', text: 'good to know' });
    expect(run.written).toEqual(['\u001b[36mNote: \u001b[0mgood to know\n']);
  });

  test('shows the plan with what was asked for', () => {
    const run = start();
    run.progress.show({ kind: 'plan', plan: PLAN });
    expect(run.written).toContain('Collection  docs: 200,000 points to export, 6 shards\n');
    expect(run.written).toContain('Limit       7 points, in id order\n');
  });

  test('end() takes the line away and stops the clock', () => {
    const run = start();
    run.progress.show({ kind: 'phase', phase: 'export', total: 10 });
    run.progress.end();
    expect(run.written.at(-1)).toBe('\r\u001b[2K');
    expect(run.isTicking()).toBe(false);
  });

  test('sends no colours unless they are wanted', () => {
    const run = start({ colour: false });
    run.progress.show({ kind: 'plan', plan: PLAN });
    run.progress.show({ kind: 'phase', phase: 'export', total: 10 });
    run.progress.show({ kind: 'warning', text: 'x' });
    const sent = run.written.join('').replaceAll('\r\u001b[2K', '');
    expect(sent).not.toContain('\u001b');
  });
});

describe('Progress elsewhere', () => {
  test('writes a line every 5 s and no escape sequence', () => {
    const run = start({ isTerminal: false });
    run.progress.show({ kind: 'phase', phase: 'export', total: 100_000 });
    for (let second = 1; second <= 12; second++) {
      run.pass(1_000);
      run.progress.show({ kind: 'progress', rows: second * 1_000, bytes: second * 4_000_000 });
    }
    expect(run.written).toEqual([
      'export  4%  4,000/100,000 rows  ETA 2m 0s  800/s  3.2 MB/s  peak 264 MB\n',
      'export  9%  9,000/100,000 rows  ETA 1m 41s  900/s  3.6 MB/s  peak 264 MB\n',
    ]);
  });

  test('says nothing but warnings when it is quiet', () => {
    for (const isTerminal of [true, false]) {
      const run = start({ isTerminal, quiet: true });
      run.progress.show({ kind: 'plan', plan: PLAN });
      run.progress.show({ kind: 'phase', phase: 'export', total: 10 });
      run.pass(60_000);
      run.progress.show({ kind: 'progress', rows: 5, bytes: 5 });
      run.progress.show({ kind: 'note', text: 'good to know' });
      run.progress.show({ kind: 'warning', text: 'odd' });
      run.progress.end();
      expect(run.written).toEqual(['Warning: odd\n']);
    }
  });

  test('puts before a warning what it is about', () => {
    const run = start({ isTerminal: false, quiet: true, about: 'docs: ' });
    run.progress.show({ kind: 'warning', text: 'odd' });
    run.progress.show({ kind: 'resumable' });
    expect(run.written).toEqual(['Warning: docs: odd\n']);
  });

  test('leaves it to a first contact to say why it failed, unless that takes longer or --verbose', () => {
    const notice = { error: new ToolError('qdrant', 'No answer.'), attempt: 1, waitMs: 200 };
    const line = 'Retrying: No answer. Attempt 2 follows in 0.2s.\n';
    for (const [verbose, wait, written] of [
      [false, 500, []],
      [true, 500, [line]],
      [false, 10_000, [line]],
    ] as const) {
      const run = start({ isTerminal: false, verbose });
      run.pass(wait);
      run.progress.show({ kind: 'retry', notice });
      expect(run.written.filter((text) => text.startsWith('Retrying'))).toEqual([...written]);
    }
  });

  test('says once in 5 s that requests are retried, each time with --verbose', () => {
    const notice = { error: new ToolError('qdrant', 'Qdrant answered 503.'), attempt: 1, waitMs: 2_000 };
    for (const [verbose, lines] of [
      [false, 2],
      [true, 4],
    ] as const) {
      const run = start({ isTerminal: false, verbose });
      for (const wait of [0, 10, 10, 6_000]) {
        run.pass(wait);
        run.progress.show({ kind: 'retry', notice });
      }
      expect(run.written).toEqual(
        Array(lines).fill('Retrying: Qdrant answered 503. Attempt 2 follows in 2s.\n'),
      );
    }
  });
});
