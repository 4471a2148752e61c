/** A number of bytes for people, exact: `45 MB`, `1.5 MB`, `47,185,921 bytes`. */
export function byteCount(bytes: number): string {
  if (bytes < 1_000_000 || bytes % 1000 !== 0) return `${bytes.toLocaleString('en-US')} bytes`;
  return `${(bytes / 1_000_000).toLocaleString('en-US', { maximumFractionDigits: 3 })} MB`;
}
