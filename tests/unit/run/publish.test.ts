import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import type { RunHeader } from '../../../lib/run/run-state.ts';
import type { Destination } from '../../../lib/storage/storage.ts';
import { memoryLocal } from '../../support/memory-local.ts';
import { type MemoryStore, memoryStore, type StoreHooks } from '../../support/memory-store.ts';
import { type MemoryDisk, memoryDisk } from '../../support/memory-work-folder.ts';
import { idsTo, runProcess, wholeFile } from '../../support/run-scene.ts';

const IDS = idsTo(30);
const lineOf = (id: string) => id.padStart(99, '.');
const WHOLE = wholeFile(IDS, lineOf);
/** Three parts. */
const PART_BYTES = 1_200;

interface Left {
  readonly disk: MemoryDisk;
  readonly store: MemoryStore;
}

function byFile(disk: MemoryDisk, destination: Destination, resume = false) {
  const plan = { streaming: false, resume, options: { strategy: 'lines' } };
  return runProcess({ ids: IDS, lineOf, disk, plan, parts: { destination } });
}

/** What a kill leaves at the moment when the store is asked for this. */
async function killed(hook: keyof StoreHooks, of: number | string): Promise<Left> {
  const disk = memoryDisk();
  const store = memoryStore(PART_BYTES);
  let left: Left | undefined;
  const at = (each: number | string) => {
    if (each !== of) return;
    left = { disk: disk.copy(), store: store.copy() };
    throw new ToolError('store', 'Killed.');
  };
  await byFile(disk, store.destination({ [hook]: at }));
  if (left === undefined) throw new Error('It was not killed.');
  return left;
}

function change(disk: MemoryDisk, path: string): void {
  const bytes = disk.files.get(path);
  if (bytes === undefined) throw new Error(`There is no ${path}, but ${[...disk.files.keys()]}`);
  bytes[5] = (bytes[5] ?? 0) ^ 1;
}

const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString();

function expectRight({ disk, store }: Left): void {
  expect(text(store.objects.get('k')?.bytes)).toBe(WHOLE);
  const manifest = JSON.parse(text(store.objects.get('k.json')?.bytes));
  expect(manifest.files[0].sha256).toBe(new Bun.CryptoHasher('sha256').update(WHOLE).digest('hex'));
  expect(store.uploads.size).toBe(0);
  expect([...disk.files.keys()]).toEqual([]);
}

describe('publish() to a store', () => {
  for (const [hook, of] of [
    ['part', 1],
    ['part', 3],
    ['publish', 'k'],
    ['published', 'k'],
    ['publish', 'k.json'],
  ] as const) {
    test(`goes on after a kill at ${hook} ${of}`, async () => {
      const left = await killed(hook, of);
      const { error } = await byFile(left.disk, left.store.destination(), true);
      expect(error).toBeUndefined();
      expectRight(left);
    });
  }

  test('needs no file any more when only the manifest is missing', async () => {
    const left = await killed('publish', 'k.json');
    left.disk.files.delete('work/lines.parquet');
    const { error } = await byFile(left.disk, left.store.destination(), true);
    expect(error).toBeUndefined();
    expectRight(left);
  });

  test('sends only what the store does not have', async () => {
    const left = await killed('part', 3);
    await byFile(left.disk, left.store.destination(), true);
    expect(left.store.taken.get('k')).toBe(WHOLE.length - 2 * PART_BYTES);
  });

  for (const of of [1, 3]) {
    test(`publishes nothing of a file that changed since it was written, killed at part ${of}`, async () => {
      const left = await killed('part', of);
      change(left.disk, 'work/lines.parquet');
      const { error, isResumable } = await byFile(left.disk, left.store.destination(), true);
      expect(error?.code).toBe('integrity');
      expect(error?.message).toContain('Cannot publish "work/lines.parquet": it is not the file of');
      expect([...left.store.objects.keys()]).toEqual([]);
      expect(left.store.uploads.size).toBe(0);
      expect(isResumable).toBe(false);
      expect(left.disk.records()).toEqual([]);
    });
  }

  test('publishes nothing of a file that another one took the place of', async () => {
    const left = await killed('part', 1);
    left.disk.files.set('work/lines.parquet', new Uint8Array(WHOLE.length - 1));
    const { error } = await byFile(left.disk, left.store.destination(), true);
    expect(error?.code).toBe('integrity');
    expect(left.store.objects.size).toBe(0);
  });

  test('publishes nothing where the store has another number of bytes', async () => {
    const store = memoryStore(PART_BYTES);
    const { put, ...others } = store.destination();
    const destination: Destination = {
      ...others,
      put: (request) =>
        put({
          ...request,
          log: request.log && { ...request.log, publishing: (e) => publishing(request.log, e) },
        }),
    };
    const publishing = async (
      log: Parameters<typeof put>[0]['log'],
      e: { bytes: number; etag: string | undefined },
    ) => log?.publishing({ ...e, bytes: e.bytes - 1 });
    const { error } = await byFile(memoryDisk(), destination);
    expect(error?.message).toBe(
      `Cannot publish the file: the store has ${WHOLE.length - 1} bytes of it, and ${WHOLE.length} were written.`,
    );
    expect(store.objects.size).toBe(0);
  });
});

describe('publish() to a local file', () => {
  /** A kill while the manifest, or the export itself, is given its name. */
  async function killedAt(step: 'adopt' | 'adopted' | 'manifest'): Promise<MemoryDisk> {
    const disk = memoryDisk();
    let left: MemoryDisk | undefined;
    const kill = () => {
      left = disk.copy();
      throw new ToolError('store', 'Killed.');
    };
    const { local, put, ...others } = memoryLocal(disk);
    if (local === undefined) throw new Error('It is local.');
    await byFile(disk, {
      ...others,
      put: step === 'manifest' ? kill : put,
      local: {
        part: local.part,
        async adopt(...args) {
          if (step === 'adopt') return kill();
          const receipt = await local.adopt(...args);
          return step === 'adopted' ? kill() : receipt;
        },
      },
    });
    if (left === undefined) throw new Error('It was not killed.');
    return left;
  }

  for (const step of ['adopt', 'adopted', 'manifest'] as const) {
    test(`goes on after a kill at ${step}`, async () => {
      const disk = await killedAt(step);
      const { error } = await byFile(disk, memoryLocal(disk), true);
      expect(error).toBeUndefined();
      expect([...disk.files.keys()].sort()).toEqual(['k', 'k.json']);
      expect(text(disk.files.get('k'))).toBe(WHOLE);
    });
  }

  test('is gone on with from any folder: the journal names the whole path', async () => {
    const [header] = (await killedAt('adopt')).records() as readonly RunHeader[];
    expect(header?.files?.data).toStartWith('/');
    expect(header?.files?.data).toMatch(/\/k\.[0-9a-f]{8}\.part$/);
  });

  test('gives the name to no file that changed since it was written', async () => {
    const disk = await killedAt('adopt');
    change(disk, [...disk.files.keys()].find((path) => path.endsWith('.part')) ?? '');
    const { error } = await byFile(disk, memoryLocal(disk), true);
    expect(error?.code).toBe('integrity');
    expect([...disk.files.keys()]).toEqual([]);
  });

  for (const step of ['adopted', 'manifest'] as const) {
    test(`writes no manifest beside another file that has the name now (${step})`, async () => {
      const disk = await killedAt(step);
      change(disk, 'k');
      const { error } = await byFile(disk, memoryLocal(disk), true);
      expect(error?.code).toBe('integrity');
      expect([...disk.files.keys()]).toEqual(['k']);
    });
  }
});
