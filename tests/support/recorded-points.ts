import { canonicalText, parseSpelled, Spelled } from '../unit/qdrant/canonical-oracle.ts';
import type { ForeignCell } from './foreign-readers.ts';
import { type RestExchange, readRecording } from './qdrant-double/recorded-exchanges.ts';

/*
 * What the recorded servers hold, read from the raw text of their REST answers: what exports are compared with.
 * No code of the program is used, so that a mistake of its readers cannot hide in what is expected of it.
 */

export const RECORDED_VERSIONS = ['1.16.3', '1.18.3'] as const;
export type RecordedVersion = (typeof RECORDED_VERSIONS)[number];
export const PROTOCOLS = ['grpc', 'rest'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

type JsonObject = Readonly<Record<string, unknown>>;

export interface RecordedPoint {
  readonly id: string;
  /** As parseSpelled() gives it. */
  readonly payload: JsonObject;
  /** By name, the unnamed one being ''; what the point lacks is not there. */
  readonly vectors: ReadonlyMap<string, ForeignCell>;
  readonly shardKey: string | undefined;
}

/** As a manifest names it. */
export interface RecordedVector {
  readonly kind: 'dense' | 'multi' | 'sparse';
  readonly name: string;
  readonly size: number;
  readonly distance: string;
  readonly datatype: string;
}

export interface RecordedCollection {
  /** The name or alias that it is asked for by. */
  readonly name: string;
  /** The collection's own name. */
  readonly collection: string;
  /** Canonical JSON of its config, without what is null. */
  readonly config: string;
  /** In the order of their names. */
  readonly vectors: readonly RecordedVector[];
  /** JSON, numbers first; undefined without custom sharding. */
  readonly shardKeys: string | undefined;
  /** In the order of an export. */
  readonly points: readonly RecordedPoint[];
}

interface Source {
  readonly info: string;
  /** Exchanges that show all points between them; undefined where no recorded answer shows them. */
  readonly scrolls: readonly string[] | undefined;
}

const CUSTOM: Readonly<Record<string, Source>> = {
  tenants: { info: 'tenants: info', scrolls: ['tenants: scroll all'] },
  'same ids': {
    info: 'same ids in two shard keys: info',
    scrolls: ['same ids in two shard keys: scroll a', 'same ids in two shard keys: scroll b'],
  },
  'plain-alias': { info: 'info of alias', scrolls: ['scroll everything plain'] },
  // Its read limit left no room for a scroll of everything.
  strict: { info: 'info strict', scrolls: undefined },
};

/** All that were recorded, by the names that they are asked for by. */
export const RECORDED_NAMES: readonly string[] = [
  ...readRecording<{ name: string }[]>('collections.json').map(({ name }) => name),
  'plain-alias',
  'tenants',
  'same ids',
];

const collections = new Map<string, RecordedCollection>();

/** What a version holds, as a protocol carries it; read once. */
export function recordedCollection(
  name: string,
  version: RecordedVersion,
  protocol: Protocol,
): RecordedCollection {
  const key = [name, version, protocol].join('\n');
  const collection = collections.get(key) ?? readCollection(name, version, protocol);
  collections.set(key, collection);
  return collection;
}

function readCollection(name: string, version: RecordedVersion, protocol: Protocol): RecordedCollection {
  const source = CUSTOM[name] ?? { info: `info ${name}`, scrolls: [`scroll everything ${name}`] };
  const config = (result(version, source.info) as { config: JsonObject }).config;
  const points = source.scrolls?.flatMap((scroll) => pointsOf(result(version, scroll))) ?? pointsPutIn(name);
  return {
    name,
    collection: name === 'plain-alias' ? 'plain' : name,
    config: canonicalText(withoutNulls(config)),
    vectors: vectorsOf(config.params as JsonObject),
    shardKeys: shardKeysOf(points),
    points: points.map((point) => recordedPoint(point, protocol)).sort(compareRows),
  };
}

/** The `result` of an answer, with every number as it was spelled. */
function result(version: RecordedVersion, exchange: string): unknown {
  const found = exchangesOf(version).find(({ name }) => name === exchange);
  if (found === undefined) throw new Error(`no exchange "${exchange}" was recorded of ${version}`);
  return (parseSpelled(found.response.body) as JsonObject).result;
}

const exchanges = new Map<RecordedVersion, readonly RestExchange[]>();

function exchangesOf(version: RecordedVersion): readonly RestExchange[] {
  const read = exchanges.get(version) ?? readRecording<RestExchange[]>(version, 'rest.json');
  exchanges.set(version, read);
  return read;
}

const pointsOf = (answer: unknown) => (answer as { points: readonly JsonObject[] }).points;

function pointsPutIn(collection: string): readonly JsonObject[] {
  const recorded = readRecording<{ name: string; points: string[] }[]>('collections.json');
  const found = recorded.find(({ name }) => name === collection);
  if (found === undefined) throw new Error(`no collection "${collection}" was recorded`);
  return found.points.map((text) => parseSpelled(text) as JsonObject);
}

function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Spelled) return value;
  if (Array.isArray(value)) return value.map(withoutNulls);
  const members = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(members.map(([name, member]) => [name, withoutNulls(member)]));
}

interface VectorParams {
  readonly size: Spelled;
  readonly distance: string;
  readonly datatype?: string;
  readonly multivector_config?: unknown;
}

function vectorsOf(params: JsonObject): readonly RecordedVector[] {
  const dense = params.vectors as JsonObject | VectorParams;
  const byName = dense.size instanceof Spelled ? { '': dense } : dense;
  const vectors = Object.entries(byName as Record<string, VectorParams>).map(
    ([name, { datatype = 'float32', distance, multivector_config: multi, size }]) => {
      const kind: RecordedVector['kind'] = multi === undefined ? 'dense' : 'multi';
      return { kind, name, size: Number(size.source), distance, datatype };
    },
  );
  const sparse = Object.keys((params.sparse_vectors ?? {}) as JsonObject).map(
    (name) => ({ kind: 'sparse', name, size: 0, distance: 'Dot', datatype: 'float32' }) as const,
  );
  return [...vectors, ...sparse].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function shardKeysOf(points: readonly JsonObject[]): string | undefined {
  const keys = new Set(
    points.flatMap(({ shard_key: key }) => (key === undefined ? [] : [canonicalText(key)])),
  );
  if (keys.size === 0) return undefined;
  const isWord = (key: string) => Number(key.startsWith('"'));
  return `[${[...keys].sort((a, b) => isWord(a) - isWord(b) || (a < b ? -1 : 1)).join()}]`;
}

function recordedPoint(point: JsonObject, protocol: Protocol): RecordedPoint {
  const payload = (point.payload ?? {}) as JsonObject;
  return {
    id: textOf(point.id),
    payload: protocol === 'grpc' ? (asGrpcCarries(payload) as JsonObject) : payload,
    vectors: cellsOf(point.vector),
    shardKey: point.shard_key === undefined ? undefined : textOf(point.shard_key),
  };
}

function textOf(value: unknown): string {
  return value instanceof Spelled ? value.source : (value as string);
}

const I64_MAX = 2n ** 63n - 1n;

/** gRPC has i64 and double: an integer above i64 arrives as the nearest double. */
function asGrpcCarries(value: unknown): unknown {
  if (value instanceof Spelled) {
    const isHuge = /^\d+$/.test(value.source) && BigInt(value.source) > I64_MAX;
    return isHuge ? new Spelled(Number(value.source).toExponential()) : value;
  }
  if (Array.isArray(value)) return value.map(asGrpcCarries);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, asGrpcCarries(member)]));
}

function cellsOf(vector: unknown): ReadonlyMap<string, ForeignCell> {
  if (Array.isArray(vector)) return new Map([['', cellOf(vector)]]);
  return new Map(Object.entries(vector as JsonObject).map(([name, value]) => [name, cellOf(value)]));
}

function cellOf(vector: unknown): ForeignCell {
  if (Array.isArray(vector)) {
    return Array.isArray(vector[0]) ? vector.map((row) => floats(row)) : floats(vector);
  }
  const { indices, values } = vector as { indices: readonly Spelled[]; values: readonly Spelled[] };
  // Recorded answers have them in this order; what was put in need not.
  return { indices: Uint32Array.from(indices, ({ source }) => Number(source)), values: floats(values) };
}

function floats(values: readonly Spelled[]): Float32Array {
  return Float32Array.from(values, ({ source }) => Math.fround(Number(source)));
}

/** Shard keys one after the other, numbers before words; ids as numbers, then as UUIDs. */
function compareRows(a: RecordedPoint, b: RecordedPoint): number {
  return compareTexts(a.shardKey, b.shardKey) || compareTexts(a.id, b.id);
}

function compareTexts(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined || a === b) return 0;
  const [aIsNumber, bIsNumber] = [/^\d+$/.test(a), /^\d+$/.test(b)];
  if (aIsNumber !== bIsNumber) return aIsNumber ? -1 : 1;
  if (aIsNumber) return BigInt(a) < BigInt(b) ? -1 : 1;
  return a < b ? -1 : 1;
}
