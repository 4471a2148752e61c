/** How a server's release spells positive exponents: 1.16 writes 1e21, 1.18 writes 1e+21. */
export type ExponentStyle = 'bare' | 'signed';

/** Text of a float32 as Rust's serde_json writes it: the shortest that reads back, always with `.0` or more. */
export function float32Text(value: number, style: ExponentStyle = 'signed'): string {
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  for (let digits = 0; digits < 9; digits++) {
    const text = value.toExponential(digits);
    if (Math.fround(Number(text)) === value) return layOut(text, 13, -6, style);
  }
  throw new Error(`${value} is not a finite float32`);
}

/** Text of a double as Rust's serde_json writes it. */
export function float64Text(value: number, style: ExponentStyle): string {
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  return layOut(value.toExponential(), 16, -5, style);
}

/**
 * Lays digits out as the ryu crate's "pretty" form does: plain while the point lies within `high` digits to
 * the right and `low` to the left, with an exponent beyond (src/pretty/mod.rs of the ryu crate).
 */
function layOut(scientific: string, high: number, low: number, style: ExponentStyle): string {
  const [mantissa = '', exponentText = '0'] = scientific.split('e');
  const sign = mantissa.startsWith('-') ? '-' : '';
  const digits = mantissa.replace(/[-.]/g, '').replace(/0+$/, '') || '0';
  const exponent = Number(exponentText);
  const point = exponent + 1;
  if (point >= digits.length && point <= high) return `${sign}${digits.padEnd(point, '0')}.0`;
  if (point > 0 && point <= high) return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
  if (point > low && point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  const tail = digits.length > 1 ? `.${digits.slice(1)}` : '';
  const plus = style === 'signed' && exponent > 0 ? '+' : '';
  return `${sign}${digits[0]}${tail}e${plus}${exponent}`;
}
