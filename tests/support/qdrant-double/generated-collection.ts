import type { ByteWriter } from './byte-writer.ts';
import type { Collection, PointSource, QdrantVersion, Selection } from './collection.ts';
import { matchesFilter } from './filter.ts';
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
import { serialOf, templateOf, templatePayload } from './generated-point.ts';
import { GeneratedTemplates, generatedStoredPoint } from './generated-templates.ts';
import { type IdKey, idKey } from './point-id.ts';
import { pointJson } from './point-json.ts';
import { retrievedPoint } from './point-proto.ts';
import { bytesField } from './protobuf.ts';
import { objectOf } from './recorded-collections.ts';

export function generatedCollection(
  settings: GeneratedCollection,
  version: QdrantVersion,
  isPrepared: boolean,
): Collection {
  const templates = new GeneratedTemplates(settings, version);
  if (isPrepared) templates.prepare();
  const source = new GeneratedPoints(settings, version, templates);
  return {
    name: settings.name,
    create: objectOf(createText(settings)),
    shardKeys: [],
    indexedVectors: settings.points,
    points: () => ({ source, count: settings.points }),
  };
}

function createText({ dimensions, distance, shardCount, strictMode }: GeneratedCollection): string {
  const strict = strictMode && {
    enabled: true,
    max_query_limit: strictMode.maxQueryLimit,
    max_timeout: strictMode.maxTimeoutSeconds,
    read_rate_limit: strictMode.readRateLimit,
  };
  return JSON.stringify({
    vectors: { size: dimensions, distance: distance ?? 'Cosine' },
    shard_number: shardCount ?? 1,
    strict_mode_config: strict,
  });
}

const DIGIT_0 = 0x30;
const UUID_LENGTH = 36;
/** How much longer than the first template the average may be. */
const SPREAD = 64;

/** Bodies come prepared; a point costs its id, one copy, and its serial written over the placeholder. */
class GeneratedPoints implements PointSource {
  readonly length: number;
  readonly #settings: GeneratedCollection;
  readonly #version: QdrantVersion;
  readonly #numbers: number;
  readonly #uuids: number;
  readonly #templates: GeneratedTemplates;

  constructor(settings: GeneratedCollection, version: QdrantVersion, templates: GeneratedTemplates) {
    this.length = settings.points;
    this.#settings = settings;
    this.#version = version;
    this.#numbers = numberCount(settings);
    this.#uuids = this.length - this.#numbers;
    this.#templates = templates;
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

  isRetrievable(position: number): boolean {
    return this.#settings.deleted === undefined || !this.#settings.deleted(position);
  }

  matches(position: number, filter: Parameters<typeof matchesFilter>[0]): boolean {
    const payload = templatePayload(this.#settings, templateOf(position));
    if ('serial' in payload) payload.serial = serialOf(position);
    return matchesFilter(filter, idKey(generatedId(this.#settings, position)), payload);
  }

  jsonBytes({ payload, vectors }: Selection): number {
    if (payload === false && vectors === false) return UUID_LENGTH + 12;
    return UUID_LENGTH + 12 + this.#templates.json(0).bytes.length + SPREAD;
  }

  protoBytes({ payload, vectors }: Selection): number {
    if (payload === false && vectors === false) return UUID_LENGTH + 8;
    return UUID_LENGTH + 16 + this.#templates.proto(0).bytes.length + SPREAD;
  }

  writeJsonId(out: ByteWriter, position: number): void {
    if (position < this.#numbers) out.ascii(String(numberAt(position)));
    else out.ascii(`"${this.#uuid(position)}"`);
  }

  writeJsonPoint(out: ByteWriter, position: number, selection: Selection): void {
    const { payload, vectors } = selection;
    if (typeof payload !== 'boolean' || typeof vectors !== 'boolean') {
      out.utf8(pointJson(generatedStoredPoint(this.#settings, position), selection, this.#version));
      return;
    }
    out.ascii('{"id":');
    this.writeJsonId(out, position);
    if (payload || vectors) {
      const template = this.#templates.json(templateOf(position));
      appendTemplate(out, template, payload, vectors, position);
    }
    out.byte(0x7d);
  }

  writeProtoId(out: ByteWriter, position: number, field: number): void {
    const size = this.#idSize(position);
    out.byte(field * 8 + 2);
    out.byte(size);
    this.#writeIdContent(out, position);
  }

  writeProtoPoint(out: ByteWriter, position: number, selection: Selection, field: number): void {
    const { payload, vectors } = selection;
    if (typeof payload !== 'boolean' || typeof vectors !== 'boolean') {
      const point = generatedStoredPoint(this.#settings, position);
      out.append(bytesField(field, retrievedPoint(point, selection, this.#version)));
      return;
    }
    const idSize = this.#idSize(position);
    out.byte(field * 8 + 2);
    if (!payload && !vectors) {
      out.byte(idSize + 2);
      this.writeProtoId(out, position, 1);
      return;
    }
    const template = this.#templates.proto(templateOf(position));
    const bodySize = (payload ? template.split : 0) + (vectors ? template.bytes.length - template.split : 0);
    out.varint(idSize + 2 + bodySize);
    this.writeProtoId(out, position, 1);
    appendTemplate(out, template, payload, vectors, position);
  }

  #uuid(position: number): string {
    return uuidAt(position - this.#numbers, this.#uuids);
  }

  /** Bytes of the PointId message's content. */
  #idSize(position: number): number {
    if (position >= this.#numbers) return UUID_LENGTH + 2;
    const id = numberAt(position);
    let size = 2;
    for (let bound = 128; id >= bound; bound *= 128) size++;
    return size;
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

/** A point's body: the payload's part up to `split`, the vector's after it. */
export interface Template {
  readonly bytes: Buffer;
  readonly split: number;
  /** Where in the payload's part the serial stands, or -1. */
  readonly serialAt: number;
}

function appendTemplate(
  out: ByteWriter,
  template: Template,
  payload: boolean,
  vectors: boolean,
  position: number,
): void {
  const { bytes, serialAt, split } = template;
  const from = payload ? 0 : split;
  const to = vectors ? bytes.length : split;
  const target = out.reserve(to - from);
  bytes.copy(target, out.length, from, to);
  if (payload && serialAt >= 0) writeSerial(target, out.length + serialAt, position);
  out.length += to - from;
}

/** Twelve digits; the placeholder's leading zeros stay. */
function writeSerial(target: Buffer, start: number, position: number): void {
  let rest = position;
  for (let at = start + 11; rest > 0; at--) {
    const tenth = Math.floor(rest / 10);
    target[at] = DIGIT_0 + rest - tenth * 10;
    rest = tenth;
  }
}
