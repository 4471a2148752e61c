import { describe, expect, test } from 'bun:test';
import { encodedFile } from '../../../lib/run/encoded-file.ts';
import { prepare } from '../../../lib/run/prepare.ts';
import { lineFormat } from '../../support/line-format.ts';
import { memoryStore } from '../../support/memory-store.ts';
import { memoryTransport } from '../../support/memory-transport.ts';
import { planOf, shapeOf } from '../../support/plans.ts';
import { idsTo, wholeFile } from '../../support/run-scene.ts';

const IDS = idsTo(30);
const lineOf = (id: string) => `line ${id}`;

/** The file's bytes, and places where it was safe, in chunks until `enough` of these were taken. */
async function made(passes: 'one' | 'two', enough = Number.POSITIVE_INFINITY) {
  const ended: string[] = [];
  const lines = lineFormat({ lineOf });
  const format = {
    ...lines,
    async *assemble(...args: Parameters<typeof lines.assemble>) {
      try {
        return yield* lines.assemble(...args);
      } finally {
        ended.push('format');
      }
    },
  };
  const parts = {
    transport: memoryTransport([{ key: '', ids: IDS }], [{ shape: shapeOf(), count: IDS.length }]),
    format: () => format,
    converter: undefined,
    destination: memoryStore(1_000).destination(),
    work: undefined,
    confirm: undefined,
    tool: { name: 'exporter', version: '1' },
    emit: () => {},
  };
  const run = new AbortController();
  const plan = planOf({ passes });
  const prepared = await prepare(plan, parts, run.signal);
  const safe: string[] = [];
  const chunks = encodedFile(plan, parts, prepared, run, {
    from: undefined,
    onSafe: ({ units, bytes }, { after, idsSeen }) => void safe.push(`${units} ${bytes} ${after} ${idsSeen}`),
  });
  let text = '';
  for (let taken = 0; taken < enough; taken++) {
    const step = await chunks.next();
    if (step.done) return { text, safe, ended, summary: step.value };
    text += Buffer.from(step.value).toString();
  }
  await chunks.return(undefined as never);
  return { text, safe, ended, summary: undefined, isAborted: run.signal.aborted };
}

describe('encodedFile()', () => {
  for (const passes of ['one', 'two'] as const) {
    test(`makes the whole file and says where it is safe, in ${passes} pass(es)`, async () => {
      const { text, safe, summary } = await made(passes);
      expect(text).toBe(wholeFile(IDS, lineOf));
      expect(summary).toMatchObject({ idsSeen: 30, missing: 0, rows: 30, bytes: text.length });
      expect(safe.slice(0, 3)).toEqual(['1 28 4 4', '2 56 8 8', '3 87 12 12']);
      expect(safe.at(-1)).toBe(`8 ${IDS.map((id) => `${lineOf(id)}\n`).join('').length} 30 30`);
    });

    test(`lets go of all stages when its reader gives up, and the run goes on, in ${passes} pass(es)`, async () => {
      const { ended, isAborted } = await made(passes, 2);
      expect(ended).toEqual(['format']);
      expect(isAborted).toBe(false);
    });
  }
});
