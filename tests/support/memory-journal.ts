import type { Journal } from '../../lib/storage/storage.ts';

/** A journal without a disk; `reopened` is what another process would find. */
export function memoryJournal(left: readonly unknown[] = []): {
  readonly journal: Journal;
  reopened(): Journal;
} {
  let lines = left.map((record) => JSON.stringify(record));
  const open = (): Journal => {
    const records: readonly unknown[] = lines.map((line) => JSON.parse(line));
    return {
      records,
      append: async (record) => void lines.push(JSON.stringify(record)),
      replace: async (all) => {
        lines = all.map((record) => JSON.stringify(record));
      },
    };
  };
  return { journal: open(), reopened: open };
}
