/** For estimates, which rather err on the large side: compression is left out. */
const KEY_BYTES = 40;
const FILE_OVERHEAD_BYTES = 4096;

/** About how large a Parquet file of so many points is, which take `pointBytes` bytes each in memory. */
export function estimateParquetBytes(points: number, pointBytes: number): number {
  return Math.ceil(FILE_OVERHEAD_BYTES + points * (pointBytes + KEY_BYTES));
}
