import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../../lib/errors.ts';
import { PATIENCE } from '../../../../lib/storage/patience.ts';
import type { StoredObject } from '../../../../lib/storage/s3/s3-calls.ts';
import { isExpected, type Publication, verify } from '../../../../lib/storage/s3/s3-publish.ts';
import { putWhole } from '../../../../lib/storage/s3/s3-put-whole.ts';
import type { ExpectedObject } from '../../../../lib/storage/storage.ts';
import { patternOf } from '../../../support/byte-body.ts';

const never = new AbortController().signal;
const MD5 = '0123456789abcdef0123456789abcdef';
const OTHER_MD5 = 'fedcba9876543210fedcba9876543210';

function stored(change: Partial<StoredObject> = {}): StoredObject {
  return { bytes: 10, etag: MD5, plainTag: true, mark: undefined, ...change };
}

/** A store that compares nothing, of which the calls that a test gives are there. */
function publicationOf(
  calls: Partial<Publication['calls']>,
  objects: Partial<Publication['objects']> = {},
): Publication {
  const limits = { signal: never, timeoutMs: 1000 };
  return {
    calls: calls as Publication['calls'],
    objects: objects as Publication['objects'],
    key: 'k',
    location: 'supabase://b/k',
    policy: { attempts: 1, baseMs: 1, capMs: 1 },
    onRetry: () => {},
    limits,
    decisive: limits,
    patience: PATIENCE,
    unverified: true,
  };
}

describe('isExpected()', () => {
  const marked: ExpectedObject = { bytes: 10, etag: undefined, mark: 'm' };
  const both: ExpectedObject = { bytes: 10, etag: MD5, mark: 'm' };
  const bare: ExpectedObject = { bytes: 10, etag: MD5 };
  for (const [name, found, expected, holds] of [
    ['its mark', { mark: 'm', etag: OTHER_MD5 }, marked, true],
    ['another mark', { mark: 'x' }, marked, false],
    ['no mark', {}, marked, false],
    ['its mark and another size', { mark: 'm', bytes: 9 }, marked, false],
    ['its entity tag', {}, bare, true],
    ['its entity tag and no mark', {}, both, true],
    ['its mark and an entity tag that tells nothing', { mark: 'm', etag: `${OTHER_MD5}-2` }, both, true],
    ['its mark and the MD5 of other bytes', { mark: 'm', etag: OTHER_MD5 }, both, false],
    ['another entity tag', { etag: OTHER_MD5 }, bare, false],
    ['nothing by which it would be known', {}, { bytes: 10, etag: undefined }, false],
  ] as const) {
    test(`isExpected() is ${holds} of an object with ${name}`, () => {
      expect(isExpected(stored(found), expected)).toBe(holds);
    });
  }
});

describe('verify() of a run that is stopped', () => {
  const expected: ExpectedObject = { bytes: 10, etag: undefined, mark: 'm' };
  /** Stopped while the first look is on its way; the look after that finds the object, or nothing. */
  function stopped(after: StoredObject | undefined): Publication {
    const run = new AbortController();
    let looks = 0;
    const to = publicationOf({
      async head() {
        if (++looks > 1) return after;
        run.abort(new ToolError('cancelled', 'enough'));
        throw run.signal.reason;
      },
    });
    return { ...to, limits: { ...to.limits, signal: run.signal } };
  }

  test('resolves when the object is there', async () => {
    const etag = await verify('', expected, stopped(stored({ mark: 'm', etag: OTHER_MD5 })));
    expect(etag).toBe(OTHER_MD5);
  });

  test('rejects as the run was stopped, and not as a store that cannot be read, when it is not seen', async () => {
    const error = await verify('', expected, stopped(undefined)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'cancelled', message: 'enough' });
  });
});

describe('verify()', () => {
  const expected: ExpectedObject = { bytes: 10, etag: undefined, mark: 'm' };
  const verified = (found: Partial<StoredObject>, answered: string) =>
    verify(answered, expected, publicationOf({ head: async () => stored(found) })).catch((error) => error);

  test('verify() takes the object with the mark, whatever its entity tag', async () => {
    expect(await verified({ mark: 'm', etag: 'e-2' }, 'another')).toBe('e-2');
  });

  test('verify() takes the object that the answer named where the store keeps no marks', async () => {
    expect(await verified({ etag: 'e-2' }, 'e-2')).toBe('e-2');
  });

  for (const [name, found, answered] of [
    ['with another mark', { mark: 'x', etag: 'e-2' }, 'e-2'],
    ['without a mark and with another entity tag than the answer named', { etag: 'e-2' }, 'e-3'],
    ['without a mark, where the answer named none', { etag: 'e-2' }, ''],
    ['of another size', { mark: 'm', bytes: 11 }, MD5],
  ] as const) {
    test(`verify() rejects with "integrity" for an object ${name}`, async () => {
      const error = await verified(found, answered);
      expect(error).toBeInstanceOf(ToolError);
      expect(error.code).toBe('integrity');
    });
  }
});

describe('putWhole()', () => {
  const body = patternOf(2 * 1024 * 1024 + 100);

  /** Put into a store that answers with an entity tag that tells nothing, and that holds these bytes. */
  function intoStore(held: Uint8Array) {
    let mark: string | undefined;
    const steps: string[] = [];
    const to = publicationOf(
      {
        async putWhole(_key, _body, told) {
          mark = told.mark;
          return 'e-2';
        },
        head: async () => stored({ bytes: body.length, etag: 'e-2', mark }),
      },
      {
        async read(_key, etag, range, into) {
          steps.push(`read ${etag} ${range.from}-${range.to}`);
          into.set(held.subarray(range.from, range.to + 1));
        },
        async remove() {
          steps.push('remove');
        },
      },
    );
    return { put: putWhole(body, { kind: 'none' }, to, undefined), steps };
  }

  test('putWhole() reads back, a MiB at a time, what no entity tag proves', async () => {
    const { put, steps } = intoStore(body);
    expect((await put).object).toEqual({ bytes: body.length, etag: 'e-2' });
    expect(steps).toEqual(['read e-2 0-1048575', 'read e-2 1048576-2097151', 'read e-2 2097152-2097251']);
  });

  test('putWhole() removes what differs when it is read back', async () => {
    const changed = new Uint8Array(body);
    changed[2_000_000] = (changed[2_000_000] ?? 0) ^ 1;
    const { put, steps } = intoStore(changed);
    const error = await put.catch((thrown) => thrown);
    expect(error.code).toBe('integrity');
    expect(error.message).toBe(
      'supabase://b/k is not what was sent: read back, bytes 1048576-2097151 of it are others. Export again.',
    );
    expect(steps.at(-1)).toBe('remove');
  });
});
