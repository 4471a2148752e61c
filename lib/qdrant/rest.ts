import { ToolError } from '../errors.ts';
import { BRISK, PATIENT, retry } from '../retry.ts';
import { LoneVectors } from './lone-vectors.ts';
import { otherProtocolAt } from './probe.ts';
import { answerObject, readResult, type Whole } from './rest-answer.ts';
import { RestClient } from './rest-client.ts';
import { describeCollection, listCollections, type Send, type TimedLater } from './rest-describe.ts';
import { readIdPage, readRetrieved, readScrolled } from './rest-reader.ts';
import {
  collectionPath,
  countBody,
  NOTHING_BUT_IDS,
  pointSelectors,
  retrieveBody,
  scrollBody,
} from './rest-request.ts';
import {
  deadlineMs,
  type PointSet,
  pageStart,
  pointsName,
  type Transport,
  type TransportSettings,
} from './transport.ts';

/** For the first answer of all, which a server gives without any work. Milliseconds. */
const GREETING_MS = 10_000;

/**
 * Qdrant over REST. The official client is not used: its answers go through JSON.parse with a reviver, boxing
 * every float (41 µs of CPU a point of 1,024 dimensions; here 28, receiving included); it takes neither a
 * private CA nor an AbortSignal for a request, and reads only the first character of Retry-After.
 */
export function restTransport(settings: TransportSettings): Transport {
  const { url, consistency } = settings;
  const client = new RestClient(settings);
  /** Strict mode may allow less than was asked for; describe() finds out. */
  let timeoutSeconds = Math.ceil(settings.timeoutSeconds);
  const loneVectors = new LoneVectors();

  const send: Send = (call, signal, read) => {
    const agreed =
      call.points === undefined || consistency === undefined ? '' : `&consistency=${consistency}`;
    const timed = {
      deadlineMs: deadlineMs(timeoutSeconds),
      ...call,
      path: `${call.path}?timeout=${timeoutSeconds}${agreed}`,
    };
    // A server that never answered is more likely a wrong address than a server in trouble.
    const policy = settings.retryPolicy ?? (client.contacted ? PATIENT : BRISK);
    return retry(() => client.call(timed, signal, read), signal, policy, settings.onRetry);
  };

  /** The first words with a server: a wrong address is told soon, and what is there instead. */
  async function greet(signal: AbortSignal): Promise<string> {
    const call = { method: 'GET', path: '', purpose: 'reach Qdrant', divisible: false } as const;
    const ms = Math.min(GREETING_MS, deadlineMs(timeoutSeconds));
    try {
      return await send({ ...call, deadlineMs: ms }, signal, readVersion);
    } catch (error) {
      if (signal.aborted || client.contacted || !(await otherProtocolAt('grpc', settings))) throw error;
      throw new ToolError(
        'qdrant',
        `Cannot reach Qdrant over REST: ${url.host} is Qdrant's gRPC port. Leave out --http, or use port 6333.`,
        { cause: error },
      );
    }
  }

  return {
    protocol: 'rest',

    async collections(signal) {
      await greet(signal);
      return listCollections(send, signal);
    },

    async describe(name, signal) {
      const shape = await describeCollection(send, url, name, await greet(signal), signal);
      timeoutSeconds = Math.min(timeoutSeconds, shape.strictMode.maxTimeoutSeconds ?? timeoutSeconds);
      loneVectors.learn(shape);
      return shape;
    },

    async count(points, signal) {
      const call = read(points, '/count', countBody(points), `count ${pointsName(points)}`);
      return send({ ...call, divisible: false }, signal, readCount);
    },

    async scrollIds(points, page, signal) {
      const purpose = `read ids of ${pointsName(points)} ${pageStart(page)}`;
      const call = read(points, '/scroll', scrollBody(points, page, NOTHING_BUT_IDS), purpose);
      return send(call, signal, (answer) => readIdPage(answer, page.limit));
    },

    async retrieve(points, ids, into, signal) {
      const selectors = pointSelectors(into.layout, loneVectors.has(points.collection));
      const purpose = `read ${ids.length} points of ${pointsName(points)} from id ${ids[0]}`;
      const call = read(points, '', retrieveBody(points, ids, selectors), purpose);
      return send(call, signal, (answer) => readRetrieved(answer, into, ids.length));
    },

    async scroll(points, page, into, signal) {
      const selectors = pointSelectors(into.layout, loneVectors.has(points.collection));
      const purpose = `read points of ${pointsName(points)} ${pageStart(page)}`;
      const call = read(points, '/scroll', scrollBody(points, page, selectors), purpose);
      return send(call, signal, (answer) => readScrolled(answer, into, page.limit));
    },

    close: () => client.close(),
  };
}

/** A read of points: `route` is what follows /points. */
function read(points: PointSet, route: string, body: string, purpose: string): TimedLater {
  const path = `${collectionPath(points.collection)}/points${route}`;
  return { method: 'POST', path, body, purpose, divisible: true, points };
}

function readVersion(answer: Uint8Array): string {
  const { title, version } = answerObject(answer) as { title?: unknown; version?: unknown };
  if (typeof version !== 'string' || !/qdrant/i.test(String(title))) {
    throw new ToolError('qdrant', 'what answers there is not Qdrant. Check QDRANT_URL');
  }
  return version;
}

function readCount(answer: Uint8Array): number {
  return readResult(answer, ({ count }: { readonly count?: Whole }) => {
    if (typeof count === 'number' && Number.isSafeInteger(count) && count >= 0) return count;
    throw new ToolError('qdrant', 'the answer holds no count');
  });
}
