import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { ClientHttp2Session } from 'node:http2';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as schemas from '@qdrant/js-client-grpc';
import { compareIds } from '../../lib/model.ts';
import type { QdrantVersion } from '../support/qdrant-double/collection.ts';
import {
  ExactNumber,
  type Json,
  type JsonObject,
  parseExactJson,
} from '../support/qdrant-double/exact-json.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { generatedPoint } from '../support/qdrant-double/generated-point.ts';
import { callGrpc, connectGrpc } from '../support/qdrant-double/grpc-exchange.ts';
import { idJson } from '../support/qdrant-double/point-json.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import {
  type SeenPoint,
  seenJsonPoint,
  seenPoint,
  seenProtoPoint,
} from '../support/qdrant-double/seen-point.ts';
import { sendRest } from '../support/qdrant-double/send-rest.ts';

const versions: readonly QdrantVersion[] = ['1.16.3', '1.18.3'];

const generated: readonly GeneratedCollection[] = [
  { name: 'numbers', points: 3000, dimensions: 8, ids: 'u64' },
  { name: 'uuids', points: 2500, dimensions: 3, ids: 'uuid', keys: true, payloadBytes: 1200 },
  {
    name: 'mixed',
    points: 501,
    dimensions: 5,
    ids: 'mixed',
    payloadBytes: 0,
    deleted: (at) => at % 10 === 7,
  },
];

describe.each(versions)('a generated collection of %s', (version) => {
  let double: QdrantDouble;
  let session: ClientHttp2Session;
  beforeAll(async () => {
    double = await startQdrantDouble({ version, generated });
    session = connectGrpc(double.grpcUrl);
  });
  afterAll(async () => {
    session.destroy();
    await double.stop();
  });

  test.each(generated)(
    '$name shows the same points in a REST scroll as generatedPoint() makes',
    async (collection) => {
      const expected = Array.from({ length: collection.points }, (_, at) => generatedPoint(collection, at));
      const seen: SeenPoint[] = [];
      for (let offset: string | undefined = ''; offset !== undefined; ) {
        const page = await scrollRest(double, collection.name, offset, 700);
        seen.push(...page.points);
        offset = page.next;
      }
      expect(seen).toEqual(expected.map(seenPoint));
      expect(seen.map(({ id }) => id)).toEqual(seen.map(({ id }) => id).toSorted(compareIds));
    },
  );

  test.each(generated)(
    '$name shows the same points in a gRPC scroll as generatedPoint() makes',
    async (collection) => {
      const expected = Array.from({ length: collection.points }, (_, at) => generatedPoint(collection, at));
      const seen: SeenPoint[] = [];
      for (
        let offset: schemas.PointId | undefined, isFirst = true;
        isFirst || offset !== undefined;
        isFirst = false
      ) {
        const request = create(schemas.ScrollPointsSchema, {
          collectionName: collection.name,
          limit: 700,
          withPayload: ALL,
          withVectors: ALL,
          ...(offset === undefined ? {} : { offset }),
        });
        const message = toBinary(schemas.ScrollPointsSchema, request);
        const answer = await callGrpc(session, 'qdrant.Points/Scroll', message);
        const page = fromBinary(schemas.ScrollResponseSchema, answer.messages[0]?.data as Buffer);
        seen.push(...page.result.map(seenProtoPoint));
        offset = page.nextPageOffset;
      }
      expect(seen).toEqual(expected.map(seenPoint));
    },
  );

  test.each(generated)(
    '$name is retrieved in request order, without missing, repeated and deleted points',
    async (collection) => {
      const isDeleted = collection.deleted ?? (() => false);
      const wanted = [300, 7, 0, 499, 300, 250, 251];
      const kept = [300, 7, 0, 499, 250, 251].filter((at) => !isDeleted(at));
      const expected = kept.map((at) => seenPoint(generatedPoint(collection, at)));
      const ids = [...wanted.map((at) => generatedPoint(collection, at).id), '999999999', UNKNOWN_UUID];
      const body = `{"ids":[${ids.map(idJson).join(',')}],"with_payload":true,"with_vector":true}`;
      const answer = await sendRest(double, {
        method: 'POST',
        path: `/collections/${collection.name}/points`,
        body,
      });
      const { result } = parseExactJson(answer.body) as { result: JsonObject[] };
      expect(result.map(seenJsonPoint)).toEqual(expected);

      const request = create(schemas.GetPointsSchema, {
        collectionName: collection.name,
        ids: ids.map(protoId),
        withPayload: ALL,
        withVectors: ALL,
      });
      const reply = await callGrpc(session, 'qdrant.Points/Get', toBinary(schemas.GetPointsSchema, request));
      const response = fromBinary(schemas.GetResponseSchema, reply.messages[0]?.data as Buffer);
      expect(response.result.map(seenProtoPoint)).toEqual(expected);
    },
  );

  test.each(generated)(
    '$name starts a page at the first id that is not below the offset',
    async (collection) => {
      for (const at of [0, 1, 250, 251, 499]) {
        const { id } = generatedPoint(collection, at);
        const [before, after] = neighbours(id);
        const next = at + 1 < collection.points ? generatedPoint(collection, at + 1).id : undefined;
        expect((await scrollRest(double, collection.name, id, 1)).points[0]?.id).toBe(id);
        expect((await scrollRest(double, collection.name, before, 1)).points[0]?.id).toBe(id);
        expect((await scrollRest(double, collection.name, after, 1)).points[0]?.id).toBe(next);
      }
    },
  );

  test('a selector that templates do not serve shows the part that it names', async () => {
    const body = '{"limit":1,"with_payload":{"include":["author.name","whole"]},"with_vector":false}';
    const answer = await sendRest(double, {
      method: 'POST',
      path: '/collections/numbers/points/scroll',
      body,
    });
    expect(answer.body).toMatch(
      /\[\{"id":1,"payload":\{"whole":\d+\.0,"author":\{"name":"Zoë \\"Z\\" O\\\\Neil"\}\}\}\]/,
    );
  });

  test('payloads are about as long as they were ordered', () => {
    const [numbers, uuids] = generated as [GeneratedCollection, GeneratedCollection];
    for (const [collection, length] of [
      [numbers, 350],
      [uuids, 1200],
    ] as const) {
      const texts = Array.from({ length: 100 }, (_, at) => generatedPoint(collection, at).payloadJson);
      const mean = texts.reduce((sum, text) => sum + text.length, 0) / texts.length;
      expect(Math.abs(mean - length)).toBeLessThan(10);
    }
  });
});

const ALL = { selectorOptions: { case: 'enable', value: true } } as const;
const UNKNOWN_UUID = 'abcdefab-0000-4000-8000-abcdefabcdef';

function protoId(id: string) {
  return id.length === 36
    ? { pointIdOptions: { case: 'uuid' as const, value: id } }
    : { pointIdOptions: { case: 'num' as const, value: BigInt(id) } };
}

/** The ids just below and just above. */
function neighbours(id: string): [string, string] {
  if (id.length !== 36) return [String(BigInt(id) - 1n), String(BigInt(id) + 1n)];
  const value = BigInt(`0x${id.replaceAll('-', '')}`);
  return [value - 1n, value + 1n].map((near) => {
    const hex = near.toString(16).padStart(32, '0');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  }) as [string, string];
}

async function scrollRest(double: QdrantDouble, collection: string, offset: string, limit: number) {
  const from = offset === '' ? '' : `,"offset":${idJson(offset)}`;
  const body = `{"limit":${limit}${from},"with_payload":true,"with_vector":true}`;
  const answer = await sendRest(double, {
    method: 'POST',
    path: `/collections/${collection}/points/scroll`,
    body,
  });
  const { result } = parseExactJson(answer.body) as {
    result: { points: JsonObject[]; next_page_offset: Json };
  };
  const { next_page_offset: next, points } = result;
  return {
    points: points.map(seenJsonPoint),
    next: next === null ? undefined : next instanceof ExactNumber ? next.source : String(next),
  };
}
