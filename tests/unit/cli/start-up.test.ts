import { expect, test } from 'bun:test';
import { dirname, join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dir, '../../..');

/** Files that are loaded with this one, and packages: what is imported as it stands, types and `await import()` left out. */
async function loadedWith(entry: string, seen = new Set<string>()): Promise<ReadonlySet<string>> {
  if (seen.has(entry)) return seen;
  seen.add(entry);
  if (!entry.endsWith('.ts')) return seen;
  const text = (await Bun.file(join(ROOT, entry)).text()).replace(/^#!.*/, '');
  const imports = new Bun.Transpiler({ loader: 'ts' }).scanImports(text);
  for (const { kind, path } of imports) {
    if (kind !== 'import-statement') continue;
    const isFile = path.startsWith('.');
    if (isFile) await loadedWith(join(dirname(entry), path), seen);
    else seen.add(path);
  }
  return seen;
}

test.each(['exporter-r2', 'exporter-supabase'])(
  '%s loads no SDK and no pipeline to begin with',
  async (name) => {
    for (const entry of [`bin/${name}.ts`, `lib/cli/flags/${name}-help.ts`]) {
      const loaded = [...(await loadedWith(entry))];
      const expected = /^(bin\/|lib\/cli\/|lib\/(errors|secret)\.ts$|node:)|^package\.json$/;
      expect(loaded.filter((each) => !expected.test(each))).toEqual([]);
      expect(loaded).toContain('lib/cli/flags/exporter-flags.ts');
    }
  },
);

test('what loads an SDK is seen as such', async () => {
  expect(await loadedWith('lib/storage/supabase/supabase-session.ts')).toContain('@supabase/supabase-js');
  expect(await loadedWith('lib/exporter.ts')).not.toContain('@supabase/supabase-js');
});
