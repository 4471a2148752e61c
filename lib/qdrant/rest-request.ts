import type { BatchLayout } from '../batch.ts';
import { ToolError } from '../errors.ts';
import { isUuid, type PointId, type ShardKey } from '../model.ts';
import type { PageRequest, PointSet } from './transport.ts';

/*
 * Paths and bodies of reads. Bodies are put together as text, so that u64 ids and keys, and the integers of a
 * filter, go out digit by digit.
 */

export function collectionPath(collection: string): string {
  // A URL swallows segments of one or two dots, even percent-encoded (WHATWG URL, "single-dot URL path segment").
  if (/^\.\.?$/.test(collection)) {
    throw new ToolError(
      'qdrant',
      `A collection named \`${collection}\` cannot be addressed over REST. Use gRPC: leave out --http.`,
    );
  }
  return `collections/${encodeURIComponent(collection)}`;
}

export function countBody(points: PointSet): string {
  return `{"exact":true${filterMember(points)}${shardKeyMember(points)}}`;
}

export function scrollBody(points: PointSet, page: PageRequest, selectors: string): string {
  const offset = page.offset === undefined ? '' : `,"offset":${idText(page.offset)}`;
  return `{"limit":${page.limit},${selectors}${offset}${filterMember(points)}${shardKeyMember(points)}}`;
}

export function retrieveBody(points: PointSet, ids: readonly PointId[], selectors: string): string {
  return `{"ids":[${ids.map(idText).join()}],${selectors}${shardKeyMember(points)}}`;
}

/** Both selectors, always: their defaults differ from what the API's text says. */
export const NOTHING_BUT_IDS = '"with_payload":false,"with_vector":false';

/**
 * Payloads, and the layout's vectors. Names are a list, so that a server that has lost one says so instead of
 * leaving it out; the unnamed vector is '' there. Where it is a collection's only one (`onlyUnnamed`), it
 * cannot be dropped over REST, and all vectors are asked for: one that was added meanwhile then shows.
 */
export function pointSelectors({ vectors }: BatchLayout, onlyUnnamed: boolean): string {
  const wanted = vectors.length === 0 ? false : onlyUnnamed || vectors.map(({ name }) => name);
  return `"with_payload":true,"with_vector":${JSON.stringify(wanted)}`;
}

function filterMember({ filter }: PointSet): string {
  return filter === undefined ? '' : `,"filter":${filter}`;
}

function shardKeyMember({ shardKey }: PointSet): string {
  return shardKey === undefined ? '' : `,"shard_key":${shardKeyText(shardKey)}`;
}

/** A number's text is a u64 in decimal already. */
function shardKeyText({ kind, text }: ShardKey): string {
  return kind === 'number' ? text : JSON.stringify(text);
}

function idText(id: PointId): string {
  return isUuid(id) ? `"${id}"` : id;
}
