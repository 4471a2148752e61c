import { ToolError } from '../errors.ts';

/** Free bytes that a run leaves to others on a disk. */
const LEFT_FREE_BYTES = 16 * 1024 * 1024;
/** A file is rarely smaller than this share of its estimate, which leaves compression out. */
const SURE_SHARE = 0.2;

/** Files that are about to grow in a folder. */
export interface Growth {
  readonly folder: string;
  /** About how large they will be together. */
  readonly bytes: number;
  /** Free bytes of its disk; undefined where that does not tell. */
  readonly free: number | undefined;
  /** Whether OUTPUT_TEMP_FOLDER chose it; else --output did. */
  readonly isWork: boolean;
}

/** Sentences about disks that may be too small; throws a ToolError 'store' when one is. */
export function checkRoom(growths: readonly Growth[]): readonly string[] {
  return onDisks(growths).flatMap((growth) => {
    const { folder, bytes, free, isWork } = growth;
    if (free === undefined || free - LEFT_FREE_BYTES >= bytes) return [];
    const files = isWork ? 'the work files' : 'the files of the export';
    const found = `${size(free)} are free in ${folder}, and ${files} may take up to ${size(bytes)}`;
    if (free - LEFT_FREE_BYTES >= bytes * SURE_SHARE) {
      return [`${found}: the disk may become full before the run is over.`];
    }
    throw new ToolError('store', `Cannot begin the export: ${found}. ${moreRoom(isWork)}`);
  });
}

/** Folders with exactly as many free bytes are taken to lie on one disk, where their files add up. */
function onDisks(growths: readonly Growth[]): readonly Growth[] {
  const disks = Map.groupBy(growths, ({ free }) => free);
  return [...disks.values()].flatMap((same) => {
    const [first] = same;
    return first === undefined ? [] : [{ ...first, bytes: same.reduce((sum, { bytes }) => sum + bytes, 0) }];
  });
}

/** The ToolError 'store' of a disk that is nearly full, where a file is still growing. */
export function roomProblem(
  folder: string,
  free: number | undefined,
  isWork: boolean,
): ToolError | undefined {
  if (free === undefined || free >= LEFT_FREE_BYTES) return undefined;
  const files = isWork ? 'work files' : 'the export';
  return new ToolError(
    'store',
    `Cannot go on writing ${files}: the disk of ${folder} is nearly full, ${size(free)} are free. ${moreRoom(isWork)}`,
  );
}

function moreRoom(isWork: boolean): string {
  return isWork
    ? 'Make room, set OUTPUT_TEMP_FOLDER to a folder that has it, or use --stream-upload.'
    : 'Make room there, or give --output a path in a folder that has it.';
}

function size(bytes: number): string {
  const gigabytes = bytes / 1e9;
  return gigabytes >= 1 ? `${gigabytes.toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`;
}
