/** Whether values[from .. to) has NaN or an infinity. */
export function hasNonFinite(values: Float32Array, from: number, to: number): boolean {
  // Finite numbers add 0; the others make the sum NaN, which it stays.
  let sum = 0;
  for (let i = from; i < to; i++) sum += (values[i] as number) * 0;
  return sum !== 0;
}

/** Whether values[from .. to) are all 0. */
export function isZero(values: Float32Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (values[i] !== 0) return false;
  return true;
}
