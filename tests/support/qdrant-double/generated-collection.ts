import type { Change } from './change.ts';
import type { Collection, QdrantVersion, ShardKey } from './collection.ts';
import { type JsonObject, objectOf } from './exact-json.ts';
import { FetchCounter } from './fetch-counter.ts';
import type { GeneratedCollection } from './generated-id.ts';
import { GeneratedPoints } from './generated-points.ts';
import { GeneratedTemplates } from './generated-templates.ts';
import { type GeneratedVector, generatedVectors } from './generated-vector.ts';
import { idKey } from './point-id.ts';
import { Presence } from './presence.ts';
import { unionPoints } from './union-points.ts';
import { vectorsConfig } from './vectors-config.ts';

export function generatedCollection(
  settings: GeneratedCollection,
  version: QdrantVersion,
  isPrepared: boolean,
): Collection {
  return new MadeUpCollection(settings, version, isPrepared);
}

/** As many bits as a point's entries have (template-writing.ts). */
const MOST_VECTORS = 30;

class MadeUpCollection implements Collection {
  readonly name: string;
  readonly shardKeys: readonly ShardKey[];
  readonly fetched: FetchCounter;
  readonly #settings: GeneratedCollection;
  readonly #version: QdrantVersion;
  /** One a shard key, in their order, or one for all; what they show is made anew where vectors change. */
  readonly #presences: readonly Presence[];
  #vectors: readonly GeneratedVector[];
  #sources: readonly GeneratedPoints[];
  create: JsonObject;
  updateQueue: number;

  constructor(settings: GeneratedCollection, version: QdrantVersion, isPrepared: boolean) {
    const { absent, points, shardKeys = [] } = settings;
    this.name = settings.name;
    this.shardKeys = shardKeys.map(({ key }) => key);
    this.updateQueue = settings.updateQueue ?? 0;
    this.fetched = new FetchCounter(points, this.shardKeys);
    this.#settings = settings;
    this.#version = version;
    this.#presences =
      shardKeys.length === 0
        ? [new Presence(0, points, absent)]
        : shardKeys.map(
            ({ first = 0, points: count = points - first }) => new Presence(first, count, absent),
          );
    this.#vectors = checked(generatedVectors(settings));
    this.create = createOf(settings, this.#vectors);
    this.#sources = this.#makeSources(isPrepared);
  }

  get indexedVectors(): number {
    return this.#presences.reduce((sum, { count }) => sum + count, 0);
  }

  points(wanted: readonly ShardKey[] | undefined): ReturnType<Collection['points']> {
    const chosen =
      wanted === undefined || this.shardKeys.length === 0
        ? this.#sources
        : this.#sources.filter((_, at) => wanted.includes(this.shardKeys[at] as ShardKey));
    return {
      source: unionPoints(chosen),
      count: chosen.reduce((sum, { presence }) => sum + presence.count, 0),
    };
  }

  change(change: Change): void {
    switch (change.kind) {
      case 'addVector':
        this.#setVectors(checked([...this.#vectors, change.vector]));
        return;
      case 'dropVector':
        if (!this.#vectors.some(({ name }) => name === change.name)) {
          throw new Error(`it has no vector "${change.name}" to drop`);
        }
        this.#setVectors(this.#vectors.filter(({ name }) => name !== change.name));
        return;
      case 'addPoints':
      case 'deletePoints':
        for (const id of change.ids) this.#setPoint(id, change.kind === 'addPoints', change.shardKey);
        return;
      case 'updateQueue':
        this.updateQueue = change.length;
        return;
      case 'upsertPoints':
        throw new Error('it is generated: it takes addPoints, not upsertPoints');
    }
  }

  #setVectors(vectors: readonly GeneratedVector[]): void {
    this.#vectors = vectors;
    this.create = createOf(this.#settings, vectors);
    this.#sources = this.#makeSources(false);
  }

  /** Throws where nothing would change: a test that is wrong about what there is should hear of it. */
  #setPoint(id: string, isPresent: boolean, shardKey: ShardKey | undefined): void {
    const position = this.#sources[0]?.positionOf(idKey(id)) ?? -1;
    const presences = this.#presences.filter(
      (_, at) => shardKey === undefined || this.shardKeys[at] === shardKey,
    );
    const changed = presences.filter((presence) => position >= 0 && presence.set(position, isPresent));
    if (changed.length > 0) return;
    const where = shardKey === undefined ? '' : ` under shard key ${shardKey}`;
    throw new Error(
      isPresent ? `it has no absent point ${id}${where} to add` : `it has no point ${id}${where} to delete`,
    );
  }

  #makeSources(isPrepared: boolean): GeneratedPoints[] {
    const templates = new GeneratedTemplates(this.#settings, this.#vectors, this.#version);
    if (isPrepared) templates.prepare();
    return this.#presences.map(
      (presence, at) => new GeneratedPoints(templates, presence, this.shardKeys[at], this.fetched),
    );
  }
}

function createOf(settings: GeneratedCollection, vectors: readonly GeneratedVector[]): JsonObject {
  const { create, shardCount, shardKeys = [], strictMode } = settings;
  const rest = {
    shard_number: shardCount ?? 1,
    sharding_method: shardKeys.length === 0 ? undefined : 'custom',
    strict_mode_config: strictMode && {
      enabled: true,
      max_query_limit: strictMode.maxQueryLimit,
      max_timeout: strictMode.maxTimeoutSeconds,
      read_rate_limit: strictMode.readRateLimit,
    },
    ...create,
  };
  return { ...vectorsConfig(vectors), ...objectOf(JSON.stringify(rest)) };
}

function checked(vectors: readonly GeneratedVector[]): readonly GeneratedVector[] {
  const names = new Set(vectors.map(({ name }) => name));
  if (names.size < vectors.length) throw new Error('two of the vectors have the same name');
  if (vectors.length > MOST_VECTORS) throw new Error(`more than ${MOST_VECTORS} vectors`);
  if (vectors.some(({ kind, name }) => kind === 'sparse' && name === '')) {
    throw new Error('a sparse vector has a name');
  }
  return vectors;
}
