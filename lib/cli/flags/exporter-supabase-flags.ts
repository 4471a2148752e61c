import { EXPORTER_FLAGS } from './exporter-flags.ts';
import type { FlagTable } from './flags.ts';

/** Flags of exporter-supabase; --help shows a group's own first. */
export const EXPORTER_SUPABASE_FLAGS = {
  bucket: {
    kind: 'text',
    hint: 'NAME',
    env: 'SUPABASE_STORAGE_BUCKET',
    default: 'backups',
    group: 'target',
    help: 'Bucket to write to.',
  },
  'create-bucket': {
    kind: 'switch',
    group: 'target',
    help: 'Make the bucket, private, where there is none.',
  },
  ...EXPORTER_FLAGS,
} as const satisfies FlagTable;
