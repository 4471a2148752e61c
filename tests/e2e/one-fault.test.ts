import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  endFaults,
  leavePlace,
  makePlace,
  type Place,
  runInProcess,
  type Settings,
  SMALL,
  undisturbed,
} from '../support/disturbed-exports.ts';
import type { FaultProxy, Operation, SeenRequest, Fault as StoreFault } from '../support/fault-proxy.ts';
import {
  expectAsBefore,
  expectManifest,
  expectNothingLeft,
  expectOldManifest,
  expectOnlyWhatGoesOn,
  expectWhole,
  leftBy,
  publishedBy,
  textOf,
  writePrevious,
} from '../support/left-behind.ts';
import type { Faults, Method, Fault as QdrantFault } from '../support/qdrant-double/fault.ts';
import { startS3Server } from '../support/s3-server.ts';

/* Runs with one fault each, at a request that is certain. What fails is gone on with, without the fault. */

const found = await startS3Server();
const top = await mkdtemp(join(tmpdir(), 'one-fault-'));

afterAll(async () => {
  await found?.stop();
  await rm(top, { recursive: true, force: true });
});

interface Disturbed extends Settings {
  /** Names its folder and its keys. */
  readonly name: string;
  readonly hasPrevious: boolean;
  readonly qdrant?: Faults;
  readonly store?: FaultProxy['faults'];
}

/**
 * One run in process with the faults that it is given. One that fails leaves what another goes on with, without the
 * faults, to the whole export.
 */
async function disturbed({ name, hasPrevious, qdrant, store, ...run }: Disturbed) {
  const place = await makePlace(join(top, name), name, run, found, qdrant);
  if (place.proxy !== undefined && store !== undefined) place.proxy.faults = store;
  if (hasPrevious) await writePrevious(run, place);
  try {
    const outcome = await runInProcess(run, place);
    const left = await leftBy(run, place);
    const published = await publishedBy(run, place);
    if (outcome.code === 0) expectNothingLeft(left, '');
    else {
      expect(outcome.isResumable).toBe(true);
      expectOnlyWhatGoesOn(outcome, left);
      await endFaults(place);
      await expectToGoOn(run, place);
    }
    const { code, said } = outcome;
    return { code, said, location: locationOf(run, place), ...published };
  } finally {
    await leavePlace(place);
  }
}

async function expectToGoOn(run: Settings, place: Place): Promise<void> {
  const again = await runInProcess(run, place, true);
  expect({ code: again.code, said: again.said }).toEqual({ code: 0, said: '' });
  const published = await publishedBy(run, place);
  expectWhole(published, await undisturbed(run, top));
  expectManifest(published, await undisturbed(run, top));
  expectNothingLeft(await leftBy(run, place), '');
}

function locationOf({ target }: Settings, { key, output }: Place): string {
  return target === 'output' ? output : `s3://${found?.bucket}/${key}`;
}

/** What the look at the collection after its last point asks. */
const CLOSING: readonly Method[] = ['count', 'version', 'describe', 'aliases'];

/** Faults from the second count on, which is the first request of that look. */
function inClosingLook(fault: Faults): Faults {
  let counts = 0;
  return (request) => {
    if (request.method === 'count') counts++;
    return counts < 2 ? undefined : fault(request);
  };
}

/** A whole run into each kind of target that there is here. */
const TARGETS = found === undefined ? (['output'] as const) : (['output', 'work file', 'stream'] as const);

describe('the look at the collection after its last point', () => {
  const status = (http: number, grpc: number, message: string) =>
    ({ kind: 'status', http, grpc, message }) as const;

  for (const protocol of ['grpc', 'rest'] as const) {
    const scene = { protocol, passes: 'two', strategy: 'parquet-small', collection: SMALL } as const;

    for (const [what, fault, at] of [
      ['a cut connection', { kind: 'reset', connection: true }, CLOSING],
      ['half an answer', { kind: 'resetMidway' }, CLOSING],
      ['an answer that ends early', { kind: 'earlyClose' }, CLOSING],
      // Each takes as long as a request may.
      ['no answer', { kind: 'stall' }, ['count']],
      ['half an answer and silence', { kind: 'stallMidway' }, ['describe']],
      ['a time-out of the server', { kind: 'timeout' }, CLOSING],
      ['status 500', status(500, 13, 'Service internal error: try later'), CLOSING],
      ['status 503', status(503, 14, 'Service unavailable'), CLOSING],
      ['status 429', { ...status(429, 8, 'Rate limiting exceeded'), retryAfterSeconds: 0 }, CLOSING],
    ] as const satisfies [string, QdrantFault, readonly Method[]][]) {
      test(`survives ${what} once at each request, over ${protocol}`, async () => {
        const hit = new Set<Method>();
        const { code, said, ...published } = await disturbed({
          ...scene,
          name: `closing ${what} ${protocol}`,
          target: 'output',
          hasPrevious: true,
          qdrant: inClosingLook(({ method }) => {
            if (hit.has(method) || !at.some((meant) => meant === method)) return undefined;
            hit.add(method);
            return fault;
          }),
        });
        expect({ code, said }).toEqual({ code: 0, said: '' });
        const wanted = await undisturbed(scene, top);
        expectWhole(published, wanted);
        expectManifest(published, wanted);
        expect([...hit]).toEqual([...at]);
      }, 30_000);
    }

    for (const [what, fault, at, error] of [
      [
        'a Qdrant that is gone',
        status(503, 14, 'Service unavailable'),
        'count',
        /^Cannot count collection `small`: Qdrant answered (503 Service Unavailable|UNAVAILABLE)/,
      ],
      [
        'a key that may no longer count',
        status(403, 7, 'Forbidden'),
        'count',
        /^Cannot count collection `small`: Qdrant answered (403 Forbidden|PERMISSION_DENIED)/,
      ],
      [
        'a collection that is gone',
        status(404, 5, "Not found: Collection `small` doesn't exist!"),
        'describe',
        /^There is no collection `small` on /,
      ],
    ] as const satisfies [string, QdrantFault, Method, RegExp][]) {
      for (const [index, target] of TARGETS.entries()) {
        test(`ends the run at ${what}: 10, nothing published (${target}), over ${protocol}, and the next goes on`, async () => {
          const hasPrevious = index % 2 === 0;
          const { code, said, ...published } = await disturbed({
            ...scene,
            name: `ended ${what} ${target} ${protocol}`,
            target,
            hasPrevious,
            qdrant: inClosingLook(({ method }) => (method === at ? fault : undefined)),
          });
          expect(code).toBe(10);
          expect(said).toMatch(error);
          expectAsBefore(published, hasPrevious);
        }, 30_000);
      }
    }
  }
});

describe.skipIf(found === undefined)('the manifest on its way to a store', () => {
  const isManifest = ({ path }: SeenRequest) => path.endsWith('.json');
  const scene = {
    protocol: 'grpc',
    passes: 'two',
    strategy: 'parquet-small',
    target: 'stream',
    collection: SMALL,
  } as const;

  for (const [what, operation, fault] of [
    ['a cut connection', 'PutObject', { kind: 'reset' }],
    ['a lost answer', 'PutObject', { kind: 'resetAfter' }],
    ['half an answer', 'PutObject', { kind: 'earlyClose' }],
    ['no answer', 'PutObject', { kind: 'stall' }],
    ['damage', 'PutObject', { kind: 'corruptBody' }],
    ['a wrong ETag in the answer', 'PutObject', { kind: 'wrongEtag' }],
    ['status 500', 'PutObject', { kind: 'status', status: 500, code: 'InternalError' }],
    ['status 503', 'PutObject', { kind: 'status', status: 503, code: 'SlowDown' }],
    ['a cut connection', 'Head', { kind: 'reset' }],
    ['no answer', 'Head', { kind: 'stall' }],
  ] as const satisfies [string, Operation, StoreFault][]) {
    for (const hasPrevious of [false, true]) {
      const over = hasPrevious ? ', over an earlier one' : '';
      test(`gets there though its first ${operation} meets ${what}${over}`, async () => {
        let met = 0;
        const { code, said, ...published } = await disturbed({
          ...scene,
          name: `once ${what} ${operation} ${hasPrevious}`,
          hasPrevious,
          store: (request) =>
            isManifest(request) && request.operation === operation && met++ === 0 ? fault : undefined,
        });
        expect({ code, said }).toEqual({ code: 0, said: '' });
        expect(met).toBeGreaterThan(0);
        const wanted = await undisturbed(scene, top);
        expectWhole(published, wanted);
        expectManifest(published, wanted);
      }, 30_000);
    }
  }

  for (const [what, operation, fault, why] of [
    [
      'may not be written',
      'PutObject',
      { kind: 'status', status: 403, code: 'AccessDenied' },
      /403 AccessDenied/,
    ],
    [
      'meets a store that is down',
      'PutObject',
      { kind: 'status', status: 503, code: 'SlowDown' },
      /503 SlowDown/,
    ],
    ['is damaged each time', 'PutObject', { kind: 'corruptBody' }, /BadDigest/],
    ['is never answered', 'PutObject', { kind: 'stall' }, /did not answer within 1 s/],
    ['cannot be compared with an earlier one', 'Head', { kind: 'reset' }, /closed the connection/],
  ] as const satisfies [string, Operation, StoreFault, RegExp][]) {
    for (const target of ['work file', 'stream'] as const) {
      test(`is said to be missing beside a whole export when it ${what} (${target}): 12, and the next run writes it`, async () => {
        const hasPrevious = target === 'stream';
        const { code, said, location, ...published } = await disturbed({
          ...scene,
          name: `never ${what} ${target}`,
          target,
          hasPrevious,
          store: (request) => (isManifest(request) && request.operation === operation ? fault : undefined),
        });
        expect(said).toStartWith(
          `The export is whole and published as ${location}, but its manifest is not: Cannot write ${location.replace(/parquet$/, 'json')}: `,
        );
        expect(said).toMatch(why);
        expect(code).toBe(12);
        expectWhole(published, await undisturbed(scene, top));
        expectOldManifest(published, hasPrevious);
      }, 60_000);
    }
  }

  const OTHERS = Buffer.from('the export of another run');
  const OTHERS_MANIFEST = Buffer.from('the manifest of that run');
  /** Writes these before the manifest gets there. */
  const holding = (...others: readonly (readonly [key: string, bytes: Uint8Array])[]) => {
    let written: Promise<void> | undefined;
    const write = async () => {
      for (const [key, bytes] of others) await found?.write(key, bytes);
    };
    return (request: SeenRequest): StoreFault | undefined => {
      if (!isManifest(request) || request.operation !== 'PutObject') return undefined;
      written ??= write();
      return { kind: 'hold', until: written };
    };
  };

  test('takes the place of one that another run wrote beside this export', async () => {
    const { code, said, ...published } = await disturbed({
      ...scene,
      name: 'crossed',
      hasPrevious: true,
      store: holding(['crossed/latest.json', OTHERS_MANIFEST]),
    });
    expect({ code, said }).toEqual({ code: 0, said: '' });
    const wanted = await undisturbed(scene, top);
    expectWhole(published, wanted);
    expectManifest(published, wanted);
  }, 30_000);

  test('is said to be missing when another run published its own pair meanwhile, which stays until the run is gone on with: 12', async () => {
    const { code, said, stored, manifest } = await disturbed({
      ...scene,
      name: 'overtaken',
      hasPrevious: true,
      store: holding(['overtaken/latest.parquet', OTHERS], ['overtaken/latest.json', OTHERS_MANIFEST]),
    });
    expect(code).toBe(12);
    expect(said).toContain(
      'but its manifest is not: Cannot write s3://exports/overtaken/latest.json: another run replaced s3://exports/overtaken/latest.parquet meanwhile; ',
    );
    expect(textOf(stored)).toBe(OTHERS.toString());
    expect(textOf(manifest)).toBe(OTHERS_MANIFEST.toString());
  }, 30_000);
});
