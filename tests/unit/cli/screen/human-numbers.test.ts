import { expect, test } from 'bun:test';
import { byteSize, duration, grouped } from '../../../../lib/cli/screen/human-numbers.ts';

test.each([
  [0, '0'],
  [999, '999'],
  [1_000, '1,000'],
  [12_345_678, '12,345,678'],
  [1234.6, '1,235'],
])('grouped(%d) is %s', (number, text) => expect(grouped(number)).toBe(text));

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1_000, '1.0 kB'],
  [9_949, '9.9 kB'],
  [9_960, '10 kB'],
  [264_000_000, '264 MB'],
  [999_600_000, '1.0 GB'],
  [1_234_000_000, '1.2 GB'],
])('byteSize(%d) is %s', (bytes, text) => expect(byteSize(bytes)).toBe(text));

test.each([
  [0, '0s'],
  [0.44, '0.4s'],
  [9.97, '10s'],
  [59.4, '59s'],
  [59.6, '1m 0s'],
  [200, '3m 20s'],
  [3_599.7, '1h 0m'],
  [4_320, '1h 12m'],
  [86_399, '1d 0h'],
  [183_600, '2d 3h'],
])('duration(%d) is %s', (seconds, text) => expect(duration(seconds)).toBe(text));
