import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  CountPointsSchema,
  CountResponseSchema,
  GetCollectionInfoRequestSchema,
  GetCollectionInfoResponseSchema,
  GetPointsSchema,
  HealthCheckReplySchema,
  ListCollectionsResponseSchema,
  ScrollPointsSchema,
  VectorsSelectorSchema,
} from '@qdrant/js-client-grpc';
import type { BatchLayout } from '../batch.ts';
import { ToolError } from '../errors.ts';
import { isUuid, type PointId } from '../model.ts';
import { BRISK, PATIENT, type RetryPolicy, retry } from '../retry.ts';
import { unknownCollection } from './collection-names.ts';
import type { UnaryCall } from './grpc-call.ts';
import { readIdPage, readRetrieved, readScrolled } from './grpc-reader.ts';
import { shapeOf } from './grpc-shape.ts';
import { H2Client } from './h2-client.ts';
import { otherProtocolAt } from './probe.ts';
import { deadlineMs, type PageRequest, type Transport, type TransportSettings } from './transport.ts';

const HEALTH = '/qdrant.Qdrant/HealthCheck';
const LIST = '/qdrant.Collections/List';
const INFO = '/qdrant.Collections/Get';
const COUNT = '/qdrant.Points/Count';
const SCROLL = '/qdrant.Points/Scroll';
const GET = '/qdrant.Points/Get';

/**
 * Qdrant over gRPC. The official client's message schemas write the requests and read the small answers; its
 * own transport and the decoding of points are left out: they cost 53 µs of CPU a point of 1,024 dimensions,
 * reading the raw bytes a fifth of that.
 */
export function grpcTransport(settings: TransportSettings): Transport {
  const { url, apiKey } = settings;
  /** Strict mode may allow less than was asked for; describe() finds out. */
  let timeoutSeconds = Math.ceil(settings.timeoutSeconds);
  const client = new H2Client({
    url,
    caCertificate: settings.caCertificate,
    headers: apiKey === undefined ? {} : { 'api-key': apiKey.reveal() },
  });
  function send<T>(
    call: Omit<UnaryCall, 'deadlineMs'>,
    signal: AbortSignal,
    read: (message: Buffer) => T,
    policy: RetryPolicy = settings.retryPolicy ?? PATIENT,
  ): Promise<T> {
    const timed = { ...call, deadlineMs: deadlineMs(timeoutSeconds) };
    return retry(() => client.call(timed, signal, read), signal, policy, settings.onRetry);
  }

  /** The first words with a server: a wrong address is told soon, and what is there instead. */
  async function greet(signal: AbortSignal): Promise<string> {
    const call = { path: HEALTH, message: new Uint8Array(), purpose: 'reach Qdrant', divisible: false };
    const timed = { ...call, deadlineMs: deadlineMs(timeoutSeconds) };
    async function attempt(): Promise<string> {
      try {
        return await client.call(
          timed,
          signal,
          (message) => fromBinary(HealthCheckReplySchema, message).version,
        );
      } catch (error) {
        // Asked after the first failure: no further attempt makes a REST port speak gRPC.
        if (signal.aborted || !(await otherProtocolAt('rest', settings))) throw error;
        throw new ToolError(
          'qdrant',
          `Cannot reach Qdrant over gRPC: ${url.host} is Qdrant's REST port. Use --http, or port 6334.`,
          { cause: error },
        );
      }
    }
    return retry(attempt, signal, settings.retryPolicy ?? BRISK, settings.onRetry);
  }

  async function listCollections(signal: AbortSignal): Promise<readonly string[]> {
    const call = { path: LIST, message: new Uint8Array(), purpose: 'list collections', divisible: false };
    const reply = await send(call, signal, (message) => fromBinary(ListCollectionsResponseSchema, message));
    return reply.collections.map(({ name }) => name);
  }

  return {
    protocol: 'grpc',

    async describe(collection, signal) {
      const version = await greet(signal);
      const message = toBinary(
        GetCollectionInfoRequestSchema,
        create(GetCollectionInfoRequestSchema, { collectionName: collection }),
      );
      const call = { path: INFO, message, purpose: `look up collection \`${collection}\``, divisible: false };
      try {
        const shape = await send(call, signal, (answer) =>
          shapeOf(collection, version, fromBinary(GetCollectionInfoResponseSchema, answer)),
        );
        timeoutSeconds = Math.min(timeoutSeconds, shape.strictMode.maxTimeoutSeconds ?? timeoutSeconds);
        return shape;
      } catch (error) {
        if (!(error instanceof ToolError) || !/answered NOT_FOUND/.test(error.message)) throw error;
        throw await unknownCollection(collection, url, error, () => listCollections(signal));
      }
    },

    async count(collection, signal) {
      const message = toBinary(
        CountPointsSchema,
        create(CountPointsSchema, {
          collectionName: collection,
          exact: true,
          timeout: BigInt(timeoutSeconds),
        }),
      );
      const call = {
        path: COUNT,
        message,
        purpose: `count collection \`${collection}\``,
        divisible: false,
      };
      const reply = await send(call, signal, (answer) => fromBinary(CountResponseSchema, answer));
      return Number(reply.result?.count ?? 0n);
    },

    scrollIds(collection, page, signal) {
      const call = {
        path: SCROLL,
        message: scrollMessage(collection, page, timeoutSeconds),
        purpose: `read ids of collection \`${collection}\` ${from(page)}`,
        divisible: true,
      };
      return send(call, signal, readIdPage);
    },

    retrieve(collection, ids, into, signal) {
      const call = {
        path: GET,
        message: retrieveMessage(collection, ids, into.layout, timeoutSeconds),
        purpose: `read ${ids.length} points of collection \`${collection}\` from id ${ids[0]}`,
        divisible: true,
      };
      return send(call, signal, (answer) => readRetrieved(answer, into));
    },

    scroll(collection, page, into, signal) {
      const call = {
        path: SCROLL,
        message: scrollMessage(collection, page, timeoutSeconds, into.layout),
        purpose: `read points of collection \`${collection}\` ${from(page)}`,
        divisible: true,
      };
      return send(call, signal, (answer) => readScrolled(answer, into));
    },

    close: () => client.close(),
  };
}

function from(page: PageRequest): string {
  return page.offset === undefined ? 'from the first' : `from id ${page.offset}`;
}

/** A scroll with payloads and the layout's vectors, or for ids alone without a layout. */
function scrollMessage(
  collection: string,
  page: PageRequest,
  timeoutSeconds: number,
  layout?: BatchLayout,
): Uint8Array {
  return toBinary(
    ScrollPointsSchema,
    create(ScrollPointsSchema, {
      collectionName: collection,
      limit: page.limit,
      timeout: BigInt(timeoutSeconds),
      ...(page.offset === undefined ? {} : { offset: { pointIdOptions: idOption(page.offset) } }),
      ...selectors(layout),
    }),
  );
}

function idOption(id: PointId) {
  return isUuid(id) ? ({ case: 'uuid', value: id } as const) : ({ case: 'num', value: BigInt(id) } as const);
}

/** Both selectors, always: their defaults differ from what the API's text says. */
function selectors(layout: BatchLayout | undefined) {
  const names = layout?.vectors.map(({ name }) => name) ?? [];
  const vectors = names.every((name) => name === '')
    ? ({ case: 'enable', value: names.length > 0 } as const)
    : ({ case: 'include', value: create(VectorsSelectorSchema, { names }) } as const);
  return {
    withPayload: { selectorOptions: { case: 'enable', value: layout !== undefined } },
    withVectors: { selectorOptions: vectors },
  } as const;
}

/** Bytes that an id takes in a request at most: two tags, two lengths and a UUID's text. */
const ID_BYTES = 40;
/** Tags of GetPoints.ids, PointId.num and PointId.uuid (points.proto). */
const IDS_TAG = (2 << 3) | 2;
const NUM_TAG = 1 << 3;
const UUID_TAG = (2 << 3) | 2;

/** The message but for the ids comes from the schema; merged messages may be laid end to end. */
function retrieveMessage(
  collection: string,
  ids: readonly PointId[],
  layout: BatchLayout,
  timeoutSeconds: number,
): Uint8Array {
  const head = toBinary(
    GetPointsSchema,
    create(GetPointsSchema, {
      collectionName: collection,
      timeout: BigInt(timeoutSeconds),
      ...selectors(layout),
    }),
  );
  const message = Buffer.allocUnsafe(head.length + ids.length * ID_BYTES);
  message.set(head);
  let at = head.length;
  for (const id of ids) at = writeId(message, at, id);
  return message.subarray(0, at);
}

function writeId(message: Buffer, start: number, id: PointId): number {
  let at = start;
  message[at] = IDS_TAG;
  const lengthAt = at + 1;
  at += 2;
  if (isUuid(id)) {
    message[at++] = UUID_TAG;
    message[at++] = id.length;
    at += message.write(id, at, 'latin1');
  } else {
    message[at++] = NUM_TAG;
    at = writeVarint(message, at, id);
  }
  message[lengthAt] = at - lengthAt - 1;
  return at;
}

/** A u64 in decimal as a varint. Doubles are exact for up to 15 digits; the rest goes through BigInt. */
function writeVarint(message: Buffer, start: number, text: string): number {
  let at = start;
  let small: number;
  if (text.length <= 15) small = Number(text);
  else {
    let big = BigInt(text);
    while (big > 0xffffffffn) {
      message[at++] = Number(big & 0x7fn) | 0x80;
      big >>= 7n;
    }
    small = Number(big);
  }
  while (small >= 0x80) {
    message[at++] = (small % 0x80) | 0x80;
    small = Math.floor(small / 0x80);
  }
  message[at++] = small;
  return at;
}
