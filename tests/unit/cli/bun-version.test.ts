import { expect, test } from 'bun:test';
import { requireBun } from '../../../lib/cli/bun-version.ts';

test('requireBun() takes the pinned version and later ones', () => {
  for (const version of ['1.4.5', '1.4.10', '1.5.0', '2.0.0'])
    expect(() => requireBun(version)).not.toThrow();
});

test('requireBun() refuses older ones and names the one that is wanted', () => {
  for (const version of ['1.4.4', '1.3.20', '0.9.0']) {
    expect(() => requireBun(version)).toThrow(
      `Cannot run on Bun ${version}: version 1.4.5 or later is wanted.`,
    );
  }
});
