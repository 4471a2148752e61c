import type { Selection, ShardKey } from './collection.ts';
import { hasEmptyCondition } from './empty-conditions.ts';
import type { Filter } from './filter.ts';
import { parseProtoFilter } from './filter-proto.ts';
import { type IdKey, idKey, parseUuid } from './point-id.ts';
import { FieldReader } from './protobuf.ts';
import type { Consistency, CountRequest, RetrieveRequest, ScrollRequest } from './service.ts';
import { ServiceError } from './service-error.ts';
import { numericShardKey } from './shard-key.ts';

/*
 * Read by hand, straight from the bytes: a retrieve of 250 ids costs little more than its ids. Field numbers
 * from points.proto of Qdrant 1.19.
 */

/** GetPoints: name 1, ids 2, with_payload 4, with_vectors 5, read_consistency 6, shard_key_selector 7, timeout 8. */
export function parseGetPoints(message: Uint8Array): RetrieveRequest {
  const reader = new FieldReader(message);
  const ids: IdKey[] = [];
  let collection = '';
  let payload: Selection['payload'] = false;
  let vectors: Selection['vectors'] = false;
  let consistency: Consistency | undefined;
  let shardKeys: ShardKey[] | undefined;
  let timeoutSeconds: number | undefined;
  while (reader.next()) {
    if (reader.field === 1) collection = reader.text();
    else if (reader.field === 2) ids.push(parseId(reader));
    else if (reader.field === 4) payload = parsePayloadSelector(reader.inner());
    else if (reader.field === 5) vectors = parseVectorsSelector(reader.inner());
    else if (reader.field === 6) consistency = parseConsistency(reader.inner());
    else if (reader.field === 7) shardKeys = parseShardKeys(reader.inner());
    else if (reader.field === 8) timeoutSeconds = reader.number;
  }
  const selection = { payload, vectors };
  return { kind: 'retrieve', collection, ids, selection, consistency, shardKeys, timeoutSeconds };
}

/**
 * ScrollPoints: name 1, filter 2, offset 3, limit 4, with_payload 6, with_vectors 7, read_consistency 8,
 * shard_key_selector 9, timeout 11.
 */
export function parseScrollPoints(message: Uint8Array): ScrollRequest {
  const reader = new FieldReader(message);
  let collection = '';
  let filter: Filter | undefined;
  let offset: IdKey | undefined;
  let limit = 10;
  let payload: Selection['payload'] = true;
  let vectors: Selection['vectors'] = false;
  let consistency: Consistency | undefined;
  let shardKeys: ShardKey[] | undefined;
  let timeoutSeconds: number | undefined;
  while (reader.next()) {
    if (reader.field === 1) collection = reader.text();
    else if (reader.field === 2) filter = parseFilter(reader);
    else if (reader.field === 3) offset = parseId(reader);
    else if (reader.field === 4) limit = reader.number;
    else if (reader.field === 6) payload = parsePayloadSelector(reader.inner());
    else if (reader.field === 7) vectors = parseVectorsSelector(reader.inner());
    else if (reader.field === 8) consistency = parseConsistency(reader.inner());
    else if (reader.field === 9) shardKeys = parseShardKeys(reader.inner());
    else if (reader.field === 11) timeoutSeconds = reader.number;
  }
  if (limit === 0) {
    const text = 'Validation error in body: [limit: value 0 invalid, must be 1 or larger]';
    throw new ServiceError('validation', text);
  }
  const selection = { payload, vectors };
  return {
    kind: 'scroll',
    collection,
    filter,
    offset,
    limit,
    selection,
    consistency,
    shardKeys,
    timeoutSeconds,
  };
}

/** CountPoints: name 1, filter 2, exact 3, read_consistency 4, shard_key_selector 5, timeout 6. */
export function parseCountPoints(message: Uint8Array): CountRequest {
  const reader = new FieldReader(message);
  let collection = '';
  let filter: Filter | undefined;
  let isExact = true;
  let consistency: Consistency | undefined;
  let shardKeys: ShardKey[] | undefined;
  let timeoutSeconds: number | undefined;
  while (reader.next()) {
    if (reader.field === 1) collection = reader.text();
    else if (reader.field === 2) filter = parseFilter(reader);
    else if (reader.field === 3) isExact = reader.number !== 0;
    else if (reader.field === 4) consistency = parseConsistency(reader.inner());
    else if (reader.field === 5) shardKeys = parseShardKeys(reader.inner());
    else if (reader.field === 6) timeoutSeconds = reader.number;
  }
  return { kind: 'count', collection, filter, isExact, consistency, shardKeys, timeoutSeconds };
}

/** Any request's collection_name: field 1 everywhere. */
export function parseCollectionName(message: Uint8Array): string {
  const reader = new FieldReader(message);
  while (reader.next()) if (reader.field === 1) return reader.text();
  return '';
}

function parseId(outer: FieldReader): IdKey {
  const { bytes, end, start } = outer;
  // The usual case by far: a short number, tag 0x08 and at most seven bytes of varint.
  if (bytes[start] === 0x08 && end - start <= 8) {
    let value = 0;
    for (let at = end - 1; at > start; at--) value = value * 128 + ((bytes[at] as number) & 0x7f);
    return value;
  }
  const reader = outer.inner();
  if (!reader.next()) throw new ServiceError('badRequest', 'Empty point id is not allowed');
  if (reader.field === 1) return idKey(reader.bigint().toString());
  const text = reader.text();
  const uuid = parseUuid(text);
  if (uuid === undefined) throw new ServiceError('badRequest', `Unable to parse UUID: ${text}`);
  return uuid;
}

/** WithPayloadSelector: enable 1, include 2, exclude 3, both with fields 1. */
function parsePayloadSelector(reader: FieldReader): Selection['payload'] {
  while (reader.next()) {
    if (reader.field === 1) return reader.number !== 0;
    return { kind: reader.field === 2 ? 'include' : 'exclude', keys: parseNames(reader.inner()) };
  }
  return false;
}

/** WithVectorsSelector: enable 1, include 2. */
function parseVectorsSelector(reader: FieldReader): Selection['vectors'] {
  while (reader.next()) return reader.field === 1 ? reader.number !== 0 : parseNames(reader.inner());
  return false;
}

function parseNames(reader: FieldReader): string[] {
  const names: string[] = [];
  while (reader.next()) names.push(reader.text());
  return names;
}

/** ShardKeySelector: shard_keys 1, each a keyword 1 or a number 2. */
function parseShardKeys(reader: FieldReader): ShardKey[] {
  const keys: ShardKey[] = [];
  while (reader.next()) {
    if (reader.field !== 1) continue;
    const key = reader.inner();
    while (key.next()) keys.push(key.field === 1 ? key.text() : numericShardKey(key.bigint()));
  }
  return keys;
}

/** ReadConsistency: type 1 (all, majority, quorum) or factor 2. */
function parseConsistency(reader: FieldReader): Consistency | undefined {
  let consistency: Consistency | undefined;
  while (reader.next()) {
    consistency = reader.field === 1 ? CONSISTENCIES[reader.number] : reader.number;
    if (consistency === undefined) throw new ServiceError('badRequest', 'invalid read consistency type');
    if (consistency === 0) throw new ServiceError('badRequest', 'invalid read consistency factor');
  }
  return consistency;
}

const CONSISTENCIES: readonly Consistency[] = ['all', 'majority', 'quorum'];

function parseFilter(reader: FieldReader): Filter {
  const filter = parseProtoFilter(reader.content());
  if (!hasEmptyCondition(filter)) return filter;
  const text = 'Validation error in body: [filter: At least one field condition must be specified]';
  throw new ServiceError('validation', text);
}
