import { describe, setDefaultTimeout, test } from 'bun:test';
import { EVERY_KIND, expectNothingPublished, exportWhile } from '../support/both-protocols.ts';
import type { Fault, Method, WrongContents } from '../support/qdrant-double/fault.ts';
import type { QdrantDouble } from '../support/qdrant-double/qdrant-double.ts';

setDefaultTimeout(60_000);

/** The request with this number, from 0, of those that are not the look at the first 16 points. */
function lyingAt(number: number, method: Method, fault: Omit<Fault & { kind: 'contents' }, 'kind'>) {
  return (server: QdrantDouble): void => {
    let seen = 0;
    server.setFaults((request) => {
      if (request.method !== method || request.points === 16) return undefined;
      return seen++ === number ? { kind: 'contents', ...fault } : undefined;
    });
  };
}

const ANSWERS = {
  'pages of ids': { passes: 'two', method: 'scroll' },
  retrieves: { passes: 'two', method: 'retrieve' },
  'pages of points': { passes: 'one', method: 'scroll' },
} as const;

/** In which answers, what is wrong with them, with which vector, and what is said of it. */
const LIES: readonly (readonly [keyof typeof ANSWERS, WrongContents, string | undefined, RegExp])[] = [
  ['pages of ids', 'duplicateId', undefined, /^Cannot export collection `named`: .*, twice\.$/],
  ['pages of ids', 'idOutOfOrder', undefined, /^Cannot export collection `named`: .*, out of order\.$/],
  ['pages of ids', 'idNotAskedFor', undefined, /^Cannot export collection `named`: .*, out of order\.$/],
  ['pages of ids', 'offsetBack', undefined, /: Qdrant's page after id \d+ would begin at id \d+\.$/],
  [
    'retrieves',
    'duplicateId',
    undefined,
    /: Qdrant answered point \d+, which was not asked for or came twice\.$/,
  ],
  [
    'retrieves',
    'idOutOfOrder',
    undefined,
    /: Qdrant answered point \d+, which was not asked for or came twice\.$/,
  ],
  [
    'retrieves',
    'idNotAskedFor',
    undefined,
    /: Qdrant answered point 18446744073709551615, which was not asked /,
  ],
  ['retrieves', 'vectorLength', 'text', /\bpoint \d+.* vector `text` (is )?of 3 dimensions where .* 4\.$/],
  ['retrieves', 'vectorLength', 'm', /\bpoint \d+.* vector `m` /],
  ['retrieves', 'vectorLength', 's', /\bpoint \d+.* vector `s` (of|has) \d+ indices and \d+ values\.$/],
  ['retrieves', 'vectorKind', 'text', /\bpoint \d+.* vector `text` /],
  ['retrieves', 'vectorUnknown', undefined, /\bpoint \d+.* vector `stranger`, which was not /],
  ['pages of points', 'duplicateId', undefined, /^Cannot export collection `named`: .*, twice\.$/],
  ['pages of points', 'idOutOfOrder', undefined, /^Cannot export collection `named`: .*, out of order\.$/],
  ['pages of points', 'idNotAskedFor', undefined, /^Cannot export collection `named`: .*, out of order\.$/],
  ['pages of points', 'offsetBack', undefined, /: Qdrant's page after id \d+ would begin at id \d+\.$/],
  ['pages of points', 'vectorKind', 'm', /\bpoint \d+.* vector `m` /],
  ['pages of points', 'vectorKind', 's', /\bpoint \d+.* vector `s` /],
  ['pages of points', 'vectorUnknown', undefined, /\bpoint \d+.* vector `stranger`, which was not /],
];

describe('answers that lie are an error, and nothing is published:', () => {
  for (const [where, wrong, vector, message] of LIES) {
    const { method, passes } = ANSWERS[where];
    test(`${wrong}${vector === undefined ? '' : ` of ${vector}`} in ${where}`, async () => {
      const lying = lyingAt(1, method, { wrong, ...(vector === undefined ? {} : { vector }) });
      const runs = await exportWhile(EVERY_KIND, lying, ['--passes', passes]);
      expectNothingPublished(runs, message);
    });
  }
});
