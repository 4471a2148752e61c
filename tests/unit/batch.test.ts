import { describe, expect, test } from 'bun:test';
import { TextColumn } from '../../lib/batch.ts';
import { ToolError } from '../../lib/errors.ts';

describe('TextColumn', () => {
  test('refuses more bytes than its ends can say, rather than letting them wrap', () => {
    const column = new TextColumn(1, 16);
    // As if so many had been written.
    column.length = 2 ** 31 - 8;
    expect(() => column.reserve(8)).toThrow(ToolError);
  });
});
