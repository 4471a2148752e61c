import type { AskedPoint, Asker, Read } from './asker.ts';
import { canonicalJson } from './canonical-payload.ts';
import { ExactNumber, type Json, type JsonObject, parseExactJson } from './exact-json.ts';
import { idJson, shardKeyJson } from './point-json.ts';
import type { QdrantDouble } from './qdrant-double.ts';
import { Refused } from './refused.ts';
import { seenJsonVectors } from './seen-vectors.ts';
import { shardKeyOf } from './shard-key.ts';

export function restAsker({ restUrl }: QdrantDouble): Asker {
  async function post(read: Read, what: string, body: string): Promise<JsonObject> {
    const query = new URLSearchParams();
    if (read.consistency !== undefined) query.set('consistency', String(read.consistency));
    if (read.timeoutSeconds !== undefined) query.set('timeout', String(read.timeoutSeconds));
    const path = `${restUrl}/collections/${encodeURIComponent(read.collection)}/points${what}?${query}`;
    const answer = await fetch(path, {
      method: 'POST',
      headers: { 'accept-encoding': 'identity', 'content-type': 'application/json' },
      body,
    });
    const json = parseExactJson(await answer.text()) as JsonObject;
    if (answer.status === 200) return json;
    throw new Refused(answer.status, String((json.status as JsonObject).error));
  }
  const selectors = ({ payload = true, vectors = true }: Read): string =>
    `"with_payload":${payload},"with_vector":${JSON.stringify(vectors)}`;
  const scope = ({ filter, shardKey }: Read): string =>
    (filter === undefined ? '' : `,"filter":${filter.rest}`) +
    (shardKey === undefined ? '' : `,"shard_key":${shardKeyJson(shardKey)}`);
  return {
    protocol: 'rest',
    async scroll(read) {
      const { limit = 10_000, offset } = read;
      const from = offset === undefined ? '' : `,"offset":${idJson(offset)}`;
      const body = `{"limit":${limit}${from},${selectors(read)}${scope(read)}}`;
      const { next_page_offset: next, points } = (await post(read, '/scroll', body)).result as JsonObject;
      return {
        points: (points as JsonObject[]).map(jsonPoint),
        next: next === null ? undefined : jsonId(next),
      };
    },
    async retrieve(read, ids) {
      const body = `{"ids":[${ids.map(idJson).join(',')}],${selectors(read)}${scope(read)}}`;
      return ((await post(read, '', body)).result as JsonObject[]).map(jsonPoint);
    },
    async count(read) {
      const { count } = (await post(read, '/count', `{"exact":true${scope(read)}}`)).result as JsonObject;
      return (count as ExactNumber).value;
    },
    close: () => {},
  };
}

function jsonPoint({ id, payload, shard_key: key, vector }: JsonObject): AskedPoint {
  return {
    id: jsonId(id),
    payload: payload === undefined ? undefined : canonicalJson(payload),
    vectors: seenJsonVectors(vector),
    shardKey: key instanceof ExactNumber ? shardKeyOf(key) : (key as string | undefined),
  };
}

function jsonId(json: Json | undefined): string {
  return json instanceof ExactNumber ? json.source : String(json);
}
