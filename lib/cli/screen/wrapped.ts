/**
 * Lines of at most `width` columns: `first` and the text behind it, its further lines indented as far. A word
 * that is longer than a line (a path, most likely) stays whole, so that it can be copied.
 */
export function wrapped(text: string, width: number, first: string): string[] {
  const indent = ' '.repeat(first.length);
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(' ')) {
    if (!empty && Bun.stringWidth(line) + 1 + Bun.stringWidth(word) > width) {
      lines.push(line);
      line = indent;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  lines.push(line);
  return lines.map((each) => each.trimEnd());
}
