/**
 * A word as a POSIX shell reads it back. One with control or invisible letters, which a terminal must not be sent and
 * which would break the line, goes in `$'…'` (POSIX.1-2024, 2.2.4; bash, zsh and ksh have long had it).
 */
export function shellQuoted(word: string): string {
  if (/^[A-Za-z0-9_\-.,:/@%+=]+$/.test(word)) return word;
  if (!/[\p{Cc}\p{Cf}]/u.test(word)) return `'${word.replaceAll("'", "'\\''")}'`;
  const body = word.replace(/[\p{Cc}\p{Cf}'\\]/gu, (letter) => {
    const bytes = [...new TextEncoder().encode(letter)];
    return bytes.map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
  });
  return `$'${body}'`;
}
