import { EXPORTER_FLAGS } from './exporter-flags.ts';
import type { FlagTable } from './flags.ts';

/** Flags of exporter-r2; --help shows a group's own first. */
export const EXPORTER_R2_FLAGS = {
  bucket: { kind: 'text', hint: 'NAME', env: 'R2_BUCKET', group: 'target', help: 'Bucket to write to.' },
  ...EXPORTER_FLAGS,
} as const satisfies FlagTable;
