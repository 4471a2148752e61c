import { describe, expect, test } from 'bun:test';
import { type Outcome, summaryLines } from '../../../../lib/cli/screen/summary-lines.ts';

function done(name: string, bytes: number | undefined = 812_000_000): Outcome {
  return { kind: 'done', name, figures: { rows: 200_000, bytes, seconds: 6 } };
}

function failed(name: string, message: string, code = 'qdrant'): Outcome {
  return { kind: 'failed', name, error: { code, message, exitCode: 10 } };
}

describe('summaryLines()', () => {
  test('tells of each collection its rows, bytes and time, or the first line of its error, and counts them', () => {
    expect(summaryLines([done('docs'), failed('images', 'No answer.\nMore of it.'), done('日本')])).toEqual([
      'docs    200,000 rows, 812 MB, 6s',
      'images  No answer.',
      '日本    200,000 rows, 812 MB, 6s',
      '2 of 3 exported, 1 failed',
    ]);
  });

  test('says nothing of failures where there are none', () => {
    expect(summaryLines([done('a'), done('b')]).at(-1)).toBe('2 of 2 exported');
    expect(summaryLines([])).toEqual(['0 of 0 exported']);
  });

  test('tells what was stopped and what was not begun from what failed', () => {
    const outcomes: Outcome[] = [
      failed('a', 'No answer.'),
      failed('b', 'Stopped by Ctrl+C.', 'cancelled'),
      { kind: 'left', name: 'c' },
    ];
    expect(summaryLines(outcomes)).toEqual([
      'a  No answer.',
      'b  Stopped by Ctrl+C.',
      'c  not begun',
      '0 of 3 exported, 1 failed, 1 stopped, 1 not begun',
    ]);
  });

  test('says of a dry run what there is to export', () => {
    const dry: Outcome = { kind: 'done', name: 'a', figures: { rows: 1_200, bytes: undefined, seconds: 1 } };
    expect(summaryLines([dry, failed('b', 'No answer.')])).toEqual([
      'a  1,200 points to export',
      'b  No answer.',
      '1 of 2 can be exported, 1 failed',
    ]);
  });

  test('does not move the figures away for one long name', () => {
    const [long, short] = summaryLines([done('x'.repeat(60)), done('a')]);
    expect(long).toBe(`${'x'.repeat(60)}  200,000 rows, 812 MB, 6s`);
    expect(short).toBe('a  200,000 rows, 812 MB, 6s');
  });
});
