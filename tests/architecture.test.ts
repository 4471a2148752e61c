import { describe, expect, test } from 'bun:test';
import { dirname, join, relative, resolve } from 'node:path';
import { Glob } from 'bun';

const ROOT = resolve(import.meta.dir, '..');

/** What a part of the library may import, files within lib and packages; types count like the rest. */
interface Rule {
  /** Files the rule is for: the first rule that matches a file counts. */
  readonly files: RegExp;
  readonly lib: RegExp;
  readonly packages: RegExp;
}

const NONE = /^$/;
const NODE = /^(node:|bun$|bun:ffi$)/;
/** Words and small tools that everything may use. */
const WORDS = 'lib/(model|errors|batch|text-column|vector-columns|float-text|secret|free-now)\\.ts';

/** lib/README.md says the same in words. */
const RULES: readonly Rule[] = [
  { files: /^lib\/(errors|secret|free-now|float-text)\.ts$/, lib: NONE, packages: NONE },
  {
    files: /^lib\/(model|batch|text-column|vector-columns|retry|manifest)\.ts$/,
    lib: /^lib\/(errors|model|text-column|vector-columns)\.ts$/,
    packages: NONE,
  },
  { files: /^lib\/sha256(-worker)?\.ts$/, lib: /^lib\/(errors|sha256-worker)\.ts$/, packages: NONE },
  {
    files: /^lib\/qdrant\//,
    lib: new RegExp(`^(${WORDS}|lib/retry\\.ts|lib/qdrant/.*)$`),
    packages: /^(node:.*|@qdrant\/.*|@bufbuild\/.*|@connectrpc\/.*)$/,
  },
  {
    files: /^lib\/pipeline\//,
    lib: new RegExp(`^(${WORDS}|lib/retry\\.ts|lib/qdrant/transport\\.ts|lib/pipeline/.*)$`),
    packages: NONE,
  },
  {
    files: /^lib\/writers\//,
    lib: new RegExp(`^(${WORDS}|lib/writers/.*)$`),
    packages: /^(node:.*|hyparquet-writer(\/.*)?|hyparquet)$/,
  },
  {
    files: /^lib\/storage\/s3\//,
    lib: /^lib\/((errors|retry|secret|free-now)\.ts|storage\/.*)$/,
    packages: /^(node:.*|@aws-sdk\/.*|@smithy\/.*)$/,
  },
  {
    files: /^lib\/storage\/supabase\//,
    lib: /^lib\/((errors|retry|secret|free-now)\.ts|storage\/.*)$/,
    packages: /^(node:.*|@supabase\/supabase-js)$/,
  },
  {
    files: /^lib\/storage\//,
    lib: /^lib\/((errors|retry|secret|free-now)\.ts|storage\/.*)$/,
    packages: NODE,
  },
  { files: /^lib\/(dated-keys|split-keys)\.ts$/, lib: /^lib\/dated-keys\.ts$/, packages: NONE },
  { files: /^lib\/exporter\.ts$/, lib: /^lib\//, packages: NONE },
  {
    files: /^lib\/plan\.ts$/,
    lib: /^lib\/((model|retry|manifest|qdrant\/transport|storage\/storage|writers\/(format|converter))\.ts)$/,
    packages: NONE,
  },
  {
    // What joins the parts: it knows them by their interfaces alone.
    files: /^lib\/run\//,
    lib: new RegExp(
      `^(${WORDS}|lib/(retry|plan|manifest|sha256|dated-keys|split-keys)\\.ts|lib/run/.*|lib/pipeline/.*|lib/qdrant/transport\\.ts|lib/storage/storage\\.ts|lib/writers/(format|converter)\\.ts)$`,
    ),
    packages: NODE,
  },
  {
    files: /^lib\/cli\//,
    lib: new RegExp(
      `^(${WORDS}|lib/(plan|retry|manifest)\\.ts|lib/qdrant/transport\\.ts|lib/storage/storage\\.ts|lib/cli/.*)$`,
    ),
    packages: NODE,
  },
  { files: /^bin\//, lib: /^lib\//, packages: NONE },
];

interface Import {
  readonly from: string;
  /** Path within the project, or a package's name. */
  readonly to: string;
  readonly local: boolean;
}

async function sources(): Promise<readonly string[]> {
  const files = await Array.fromAsync(new Glob('{bin,lib}/**/*.ts').scan(ROOT));
  return files.sort();
}

/** Every import of a file: static, dynamic and of types. */
async function importsOf(file: string): Promise<readonly Import[]> {
  const text = await Bun.file(join(ROOT, file)).text();
  const specifiers = [...text.matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+)'([^']+)'/gm)];
  return specifiers.map(([, specifier]) => {
    const local = (specifier as string).startsWith('.');
    const to = local ? relative(ROOT, resolve(ROOT, dirname(file), specifier as string)) : specifier;
    return { from: file, to: to as string, local };
  });
}

async function allImports(): Promise<readonly Import[]> {
  return (await Promise.all((await sources()).map(importsOf))).flat();
}

describe('the house', () => {
  test('every file of bin and lib has a rule', async () => {
    const without = (await sources()).filter((file) => !RULES.some(({ files }) => files.test(file)));
    expect(without).toEqual([]);
  });

  test('imports only what its part may import', async () => {
    const broken = (await allImports()).filter(({ from, to, local }) => {
      const rule = RULES.find(({ files }) => files.test(from));
      if (rule === undefined || to === 'package.json') return false;
      return !(local ? rule.lib : rule.packages).test(to);
    });
    expect(broken.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  test('has no cycles, type imports included', async () => {
    const edges = new Map<string, string[]>();
    for (const { from, to, local } of await allImports()) {
      if (local) edges.set(from, [...(edges.get(from) ?? []), to]);
    }
    expect(cycleIn(edges)).toEqual([]);
  });

  test('reads the environment in lib/cli alone', async () => {
    const readers: string[] = [];
    for (const file of await sources()) {
      if (file.startsWith('lib/cli/')) continue;
      const text = await Bun.file(join(ROOT, file)).text();
      if (/process\.env|Bun\.env/.test(text)) readers.push(file);
    }
    expect(readers).toEqual([]);
  });

  test('has no barrels: no file only passes on what others export', async () => {
    const barrels: string[] = [];
    for (const file of await sources()) {
      const text = await Bun.file(join(ROOT, file)).text();
      if (/^export (\*|\{[^}]*\}) from/m.test(text)) barrels.push(file);
    }
    expect(barrels).toEqual([]);
  });

  test('is drawn in lib/README.md: every folder and file of lib is named there', async () => {
    const picture = await Bun.file(join(ROOT, 'lib/README.md')).text();
    const missing = (await sources())
      .filter((file) => file.startsWith('lib/'))
      .filter((file) => !picture.includes(`\`${file.split('/').at(-1)}\``));
    expect(missing).toEqual([]);
  });
});

/** The files of one cycle, or none. */
function cycleIn(edges: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const done = new Set<string>();
  function visit(file: string, path: readonly string[]): readonly string[] {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const next of edges.get(file) ?? []) {
      const cycle = visit(next, [...path, file]);
      if (cycle.length > 0) return cycle;
    }
    done.add(file);
    return [];
  }
  for (const file of edges.keys()) {
    const cycle = visit(file, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}
