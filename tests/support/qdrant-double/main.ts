import { parseArgs } from 'node:util';
import type { QdrantVersion } from './collection.ts';
import type { GeneratedCollection, GeneratedShard } from './generated-id.ts';
import type { GeneratedVector } from './generated-vector.ts';
import { type QdrantDoubleOptions, startQdrantDouble } from './qdrant-double.ts';
import { richPayload } from './rich-payload.ts';

/*
 * The double as a process of its own, so that a measurement can tell its CPU from the program's. Prints one
 * JSON line with its addresses when it listens, and one with its CPU seconds and counters on SIGTERM.
 */
const { values } = parseArgs({
  options: {
    version: { type: 'string', default: '1.18.3' },
    collection: { type: 'string', default: 'bench' },
    points: { type: 'string', default: '200000' },
    /** 1024 unless --vectors says what there is. */
    dimensions: { type: 'string' },
    /** Any vectors, as JSON: a list of GeneratedVector, `missing` a number. */
    vectors: { type: 'string' },
    /** Custom sharding, as JSON: a list of GeneratedShard. */
    'shard-keys': { type: 'string' },
    /** Every so many points have a payload of every kind of value, with a string of --rich-bytes, --rich-depth deep. */
    'rich-every': { type: 'string' },
    'rich-bytes': { type: 'string', default: '10000' },
    'rich-depth': { type: 'string', default: '60' },
    'update-queue': { type: 'string', default: '0' },
    'payload-bytes': { type: 'string', default: '350' },
    ids: { type: 'string', default: 'u64' },
    shards: { type: 'string', default: '1' },
    keys: { type: 'boolean', default: false },
    'points-per-second': { type: 'string' },
    'latency-ms': { type: 'string', default: '0' },
    'api-key': { type: 'string' },
  },
});

const generated: GeneratedCollection = {
  name: values.collection,
  points: number('points', values.points),
  dimensions: number('dimensions', values.dimensions ?? (values.vectors === undefined ? '1024' : '0')),
  ...(values.vectors === undefined ? {} : { vectors: JSON.parse(values.vectors) as GeneratedVector[] }),
  ...(values['shard-keys'] === undefined
    ? {}
    : { shardKeys: JSON.parse(values['shard-keys']) as GeneratedShard[] }),
  ...(values['rich-every'] === undefined
    ? {}
    : { payload: everySo(number('rich-every', values['rich-every'])) }),
  updateQueue: number('update-queue', values['update-queue']),
  payloadBytes: number('payload-bytes', values['payload-bytes']),
  ids: oneOf('ids', values.ids, ['u64', 'uuid', 'mixed'] as const),
  shardCount: number('shards', values.shards),
  keys: values.keys,
};
const pace = values['points-per-second'];
const options: QdrantDoubleOptions = {
  version: oneOf<QdrantVersion>('version', values.version, ['1.16.3', '1.18.3']),
  generated: [generated],
  prepared: true,
  latencyMs: number('latency-ms', values['latency-ms']),
  ...(pace === undefined ? {} : { pointsPerSecond: number('points-per-second', pace) }),
  ...(values['api-key'] === undefined ? {} : { apiKey: values['api-key'] }),
};

const double = await startQdrantDouble(options);
console.log(JSON.stringify({ grpc: double.grpcUrl, rest: double.restUrl, pid: process.pid }));
const before = process.cpuUsage();

process.on('SIGTERM', () => {
  const { system, user } = process.cpuUsage(before);
  console.log(JSON.stringify({ cpuSeconds: (user + system) / 1e6, stats: double.stats }));
  process.exit(0);
});

/** The same text for every so many points: it is made once. */
function everySo(count: number): (index: number) => string | undefined {
  const text = richPayload({
    bytes: number('rich-bytes', values['rich-bytes']),
    depth: number('rich-depth', values['rich-depth']),
  });
  return (index) => (index % count === 0 ? text : undefined);
}

function number(flag: string, text: string): number {
  const value = Number(text);
  if (text === '' || !Number.isFinite(value) || value < 0)
    throw new Error(`--${flag} takes a number: ${text}`);
  return value;
}

function oneOf<T extends string>(flag: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw new Error(`--${flag} is one of ${allowed.join(', ')}: ${text}`);
  return found;
}
