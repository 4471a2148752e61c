import { describe, expect, test } from 'bun:test';
import { Redactor } from '../../../../lib/cli/redact.ts';
import { Screen } from '../../../../lib/cli/screen/screen.ts';

const CLEAR = '\r\u001b[2K';

function start(isTerminal: boolean) {
  const written: string[] = [];
  const screen = new Screen({
    write: (text) => written.push(text),
    isTerminal,
    colour: false,
    columns: () => 80,
    redactor: new Redactor(),
  });
  return { screen, written };
}

describe('Screen', () => {
  test('keeps a question below all lines, and redraws nothing over it', () => {
    const { screen, written } = start(true);
    screen.bar('half');
    screen.ask('Upload? ');
    screen.bar('three quarters');
    screen.line('odd');
    screen.answered(true);
    screen.bar('all');
    expect(written).toEqual([`${CLEAR}half`, CLEAR, 'Upload? ', `${CLEAR}odd\nUpload? `, `${CLEAR}all`]);
  });

  test('asks again below a line where nothing can be redrawn, without escape sequences', () => {
    const { screen, written } = start(false);
    screen.ask('Upload? ');
    screen.line('odd');
    screen.answered(false);
    screen.line('more');
    expect(written).toEqual(['Upload? ', '\nodd\nUpload? ', '\n', 'more\n']);
  });

  test('sends no steering characters in a question', () => {
    const { screen, written } = start(true);
    screen.ask('Upload to \u001b[2Jx? ');
    expect(written).toEqual(['Upload to \\u{1b}[2Jx? ']);
  });
});
