import type { ByteWriter } from './byte-writer.ts';
import type { PointSource, Selection, ShardKey } from './collection.ts';
import type { FetchCounter } from './fetch-counter.ts';
import { type Filter, matchesFilter } from './filter.ts';
import {
  type GeneratedCollection,
  generatedId,
  isNumber,
  numberAt,
  numberCount,
  numberRank,
  uuidAt,
  uuidRank,
} from './generated-id.ts';
import { generatedStoredPoint, ownPayload, seedOf, templateOf, withSerial } from './generated-point.ts';
import type { GeneratedTemplates } from './generated-templates.ts';
import { hasVector } from './generated-vector.ts';
import { type IdKey, idKey } from './point-id.ts';
import { pointJson, shardKeyJson } from './point-json.ts';
import { retrievedPoint, shardKey as shardKeyMessage } from './point-proto.ts';
import type { Presence } from './presence.ts';
import { bytesField } from './protobuf.ts';
import type { StoredPoint } from './stored-point.ts';
import {
  NO_VECTORS,
  protoBodySize,
  type Shown,
  varintSize,
  writeJsonBody,
  writeProtoBody,
} from './template-writing.ts';

const UUID_LENGTH = 36;
/** How much longer than the first template the average may be. */
const SPREAD = 64;
const NOTHING = Buffer.alloc(0);

/**
 * The points of a generated collection, or those under one of its shard keys. Bodies come prepared; a point costs
 * its id, a copy or two, and its serial written over the placeholder.
 */
export class GeneratedPoints implements PointSource {
  readonly length: number;
  readonly presence: Presence;
  readonly #fetched: FetchCounter;
  readonly #settings: GeneratedCollection;
  readonly #templates: GeneratedTemplates;
  readonly #numbers: number;
  readonly #uuids: number;
  readonly #shardKey: ShardKey | undefined;
  readonly #firstSeed: number;
  /** What an answer says of the shard key, in both protocols. */
  readonly #jsonKey: Buffer;
  readonly #protoKey: Buffer;
  /** True where every point has every vector. */
  readonly #isEven: boolean;
  readonly #wanted = new WeakMap<object, number>();

  constructor(
    templates: GeneratedTemplates,
    presence: Presence,
    shardKey: ShardKey | undefined,
    fetched: FetchCounter,
  ) {
    const { settings, vectors } = templates;
    this.length = settings.points;
    this.presence = presence;
    this.#fetched = fetched;
    this.#settings = settings;
    this.#templates = templates;
    this.#numbers = numberCount(settings);
    this.#uuids = this.length - this.#numbers;
    this.#shardKey = shardKey;
    this.#firstSeed = seedOf(settings, 0, shardKey);
    this.#jsonKey = shardKey === undefined ? NOTHING : Buffer.from(`,"shard_key":${shardKeyJson(shardKey)}`);
    this.#protoKey = shardKey === undefined ? NOTHING : bytesField(5, shardKeyMessage(shardKey));
    this.#isEven = vectors.every(({ missing }) => missing === undefined);
  }

  positionAtOrAfter(id: IdKey): number {
    if (typeof id === 'number') return Math.min(numberRank(id), this.#numbers);
    return this.#numbers + (isNumber(id) ? 0 : uuidRank(id, this.#uuids).rank);
  }

  positionOf(id: IdKey): number {
    if (typeof id === 'number') {
      const rank = numberRank(id);
      return rank < this.#numbers && numberAt(rank) === id ? rank : -1;
    }
    if (isNumber(id)) return -1;
    const { rank, isFound } = uuidRank(id, this.#uuids);
    return isFound ? this.#numbers + rank : -1;
  }

  isPresent(position: number): boolean {
    return this.presence.has(position);
  }

  isRetrievable(position: number): boolean {
    return this.#settings.deleted === undefined || !this.#settings.deleted(position);
  }

  matches(position: number, filter: Filter): boolean {
    const seed = this.#firstSeed + position;
    const { vectors } = this.#templates;
    return matchesFilter(filter, {
      id: idKey(generatedId(this.#settings, position)),
      payload:
        ownPayload(this.#settings, position) ?? withSerial(this.#templates.payload(templateOf(seed)), seed),
      hasVector: (name) => vectors.some((vector) => vector.name === name && hasVector(vector, position)),
    });
  }

  point(position: number): StoredPoint {
    return generatedStoredPoint(this.#settings, position, this.#shardKey, this.#templates.vectors);
  }

  noteFetched(positions: readonly number[]): void {
    this.#fetched.add(positions, this.#shardKey);
  }

  jsonBytes({ payload, vectors }: Selection): number {
    if (payload === false && vectors === false) return UUID_LENGTH + 12 + this.#jsonKey.length;
    return UUID_LENGTH + 12 + this.#templates.json(0).bytes.length + SPREAD;
  }

  protoBytes({ payload, vectors }: Selection): number {
    if (payload === false && vectors === false) return UUID_LENGTH + 8 + this.#protoKey.length;
    return UUID_LENGTH + 16 + this.#templates.proto(0).bytes.length + SPREAD;
  }

  writeJsonId(out: ByteWriter, position: number): void {
    if (position < this.#numbers) out.ascii(String(numberAt(position)));
    else out.ascii(`"${this.#uuid(position)}"`);
  }

  writeJsonPoint(out: ByteWriter, position: number, selection: Selection): void {
    const shown = this.#shown(position, selection);
    if (shown === undefined) {
      out.utf8(pointJson(this.point(position), selection, this.#templates.version));
      return;
    }
    out.ascii('{"id":');
    this.writeJsonId(out, position);
    if (shown.payload || shown.entries !== NO_VECTORS) {
      const seed = this.#firstSeed + position;
      writeJsonBody(out, this.#templates.json(templateOf(seed)), shown, seed);
    }
    if (this.#jsonKey.length > 0) out.append(this.#jsonKey);
    out.byte(0x7d);
  }

  writeProtoId(out: ByteWriter, position: number, field: number): void {
    const size = this.#idSize(position);
    out.byte(field * 8 + 2);
    out.byte(size);
    this.#writeIdContent(out, position);
  }

  writeProtoPoint(out: ByteWriter, position: number, selection: Selection, field: number): void {
    const shown = this.#shown(position, selection);
    if (shown === undefined) {
      out.append(bytesField(field, retrievedPoint(this.point(position), selection, this.#templates.version)));
      return;
    }
    const idSize = this.#idSize(position) + 2;
    const key = this.#protoKey;
    out.byte(field * 8 + 2);
    if (!shown.payload && shown.entries === NO_VECTORS) {
      out.varint(idSize + key.length);
      this.writeProtoId(out, position, 1);
    } else {
      const seed = this.#firstSeed + position;
      const template = this.#templates.proto(templateOf(seed));
      out.varint(idSize + protoBodySize(template, shown) + key.length);
      this.writeProtoId(out, position, 1);
      writeProtoBody(out, template, shown, seed);
    }
    if (key.length > 0) out.append(key);
  }

  /** What of its template a point shows; undefined where it takes more than a template. */
  #shown(position: number, { payload, vectors }: Selection): Shown | undefined {
    if (typeof payload !== 'boolean') return undefined;
    if (payload && this.#settings.payload?.(position) !== undefined) return undefined;
    const { unnamed } = this.#templates;
    if (vectors === false) return { payload, entries: NO_VECTORS, unnamed };
    return { payload, entries: this.#wantedEntries(vectors) & this.#presentEntries(position), unnamed };
  }

  #wantedEntries(vectors: true | readonly string[]): number {
    if (vectors === true) return -1;
    // One selection serves a whole answer.
    let entries = this.#wanted.get(vectors);
    if (entries === undefined) {
      entries = this.#entriesWhere(({ name }) => vectors.includes(name));
      this.#wanted.set(vectors, entries);
    }
    return entries;
  }

  #presentEntries(position: number): number {
    if (this.#isEven) return this.#templates.allEntries;
    return this.#entriesWhere((vector) => hasVector(vector, position));
  }

  #entriesWhere(holds: (vector: GeneratedTemplates['vectors'][number]) => boolean): number {
    return this.#templates.vectors.reduce((bits, vector, at) => (holds(vector) ? bits | (1 << at) : bits), 0);
  }

  #uuid(position: number): string {
    return uuidAt(position - this.#numbers, this.#uuids);
  }

  /** Bytes of the PointId message's content. */
  #idSize(position: number): number {
    if (position >= this.#numbers) return UUID_LENGTH + 2;
    return 1 + varintSize(numberAt(position));
  }

  #writeIdContent(out: ByteWriter, position: number): void {
    if (position < this.#numbers) {
      out.byte(0x08);
      out.varint(numberAt(position));
      return;
    }
    out.byte(0x12);
    out.byte(UUID_LENGTH);
    out.ascii(this.#uuid(position));
  }
}
