import type { Schemas } from '@qdrant/js-client-rest';
import type { BatchLayout } from '../batch.ts';
import { ToolError } from '../errors.ts';
import { isUuid, type PointId } from '../model.ts';
import { BRISK, PATIENT, retry } from '../retry.ts';
import { unknownCollection } from './collection-names.ts';
import { otherProtocolAt } from './probe.ts';
import { type RestCall, RestClient } from './rest-client.ts';
import { HttpStatus } from './rest-errors.ts';
import { readIdPage, readRetrieved, readScrolled } from './rest-reader.ts';
import { shapeOf } from './rest-shape.ts';
import { deadlineMs, type PageRequest, type Transport, type TransportSettings } from './transport.ts';

/** For the first answer of all, which a server gives without any work. Milliseconds. */
const GREETING_MS = 10_000;

/**
 * Qdrant over REST. Of the official client only the types are used: its answers go through JSON.parse with a
 * reviver, boxing every float (41 µs of CPU a point of 1,024 dimensions; here 28, receiving included); it takes
 * neither a private CA nor an AbortSignal for a request, and reads only the first character of Retry-After.
 */
export function restTransport(settings: TransportSettings): Transport {
  const { url } = settings;
  const client = new RestClient(settings);
  /** Strict mode may allow less than was asked for; describe() finds out. */
  let timeoutSeconds = Math.ceil(settings.timeoutSeconds);

  function send<T>(
    call: Omit<RestCall, 'deadlineMs'> & { readonly deadlineMs?: number },
    signal: AbortSignal,
    read: (answer: Uint8Array) => T,
  ): Promise<T> {
    const timed = {
      deadlineMs: deadlineMs(timeoutSeconds),
      ...call,
      path: `${call.path}?timeout=${timeoutSeconds}`,
    };
    // A server that never answered is more likely a wrong address than a server in trouble.
    const policy = settings.retryPolicy ?? (client.contacted ? PATIENT : BRISK);
    return retry(() => client.call(timed, signal, read), signal, policy, settings.onRetry);
  }

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

  async function listCollections(signal: AbortSignal): Promise<readonly string[]> {
    const call = {
      method: 'GET',
      path: 'collections',
      purpose: 'list collections',
      divisible: false,
    } as const;
    const result = await send(call, signal, resultOf<Schemas['CollectionsResponse']>);
    return result.collections.map(({ name }) => name);
  }

  return {
    protocol: 'rest',

    async describe(collection, signal) {
      const version = await greet(signal);
      const purpose = `look up collection \`${collection}\``;
      const call = { method: 'GET', path: pathOf(collection), purpose, divisible: false } as const;
      try {
        const shape = await send(call, signal, (answer) =>
          shapeOf(collection, version, resultOf<Schemas['CollectionInfo']>(answer)),
        );
        timeoutSeconds = Math.min(timeoutSeconds, shape.strictMode.maxTimeoutSeconds ?? timeoutSeconds);
        return shape;
      } catch (error) {
        if (!isUnknownCollection(error)) throw error;
        throw await unknownCollection(collection, url, error, () => listCollections(signal));
      }
    },

    async count(collection, signal) {
      const call = {
        method: 'POST',
        path: `${pathOf(collection)}/points/count`,
        body: '{"exact":true}',
        purpose: `count collection \`${collection}\``,
        divisible: false,
      } as const;
      return send(call, signal, (answer) => {
        const { count } = resultOf<Schemas['CountResult']>(answer);
        if (!Number.isSafeInteger(count) || count < 0) {
          throw new ToolError('qdrant', 'the answer holds no count');
        }
        return count;
      });
    },

    scrollIds(collection, page, signal) {
      const call = scrollCall(collection, page, `read ids of collection \`${collection}\` ${from(page)}`);
      return send(call, signal, (answer) => readIdPage(answer, page.limit));
    },

    retrieve(collection, ids, into, signal) {
      const call = {
        method: 'POST',
        path: `${pathOf(collection)}/points`,
        body: `{"ids":[${ids.map(idText).join()}],${selectors(into.layout)}}`,
        purpose: `read ${ids.length} points of collection \`${collection}\` from id ${ids[0]}`,
        divisible: true,
      } as const;
      return send(call, signal, (answer) => readRetrieved(answer, into, ids.length));
    },

    scroll(collection, page, into, signal) {
      const purpose = `read points of collection \`${collection}\` ${from(page)}`;
      const call = scrollCall(collection, page, purpose, into.layout);
      return send(call, signal, (answer) => readScrolled(answer, into, page.limit));
    },

    close: () => client.close(),
  };
}

function pathOf(collection: string): string {
  // A URL swallows segments of one or two dots, even percent-encoded (WHATWG URL, "single-dot URL path segment").
  if (/^\.\.?$/.test(collection)) {
    throw new ToolError(
      'qdrant',
      `A collection named \`${collection}\` cannot be addressed over REST. Use gRPC: leave out --http.`,
    );
  }
  return `collections/${encodeURIComponent(collection)}`;
}

function scrollCall(collection: string, page: PageRequest, purpose: string, layout?: BatchLayout) {
  const offset = page.offset === undefined ? '' : `,"offset":${idText(page.offset)}`;
  return {
    method: 'POST',
    path: `${pathOf(collection)}/points/scroll`,
    body: `{"limit":${page.limit},${selectors(layout)}${offset}}`,
    purpose,
    divisible: true,
  } as const;
}

/** Both selectors, always: their defaults differ from what the API's text says. */
function selectors(layout: BatchLayout | undefined): string {
  const names = layout?.vectors.map(({ name }) => name) ?? [];
  const vectors = names.every((name) => name === '') ? names.length > 0 : names;
  return `"with_payload":${layout !== undefined},"with_vector":${JSON.stringify(vectors)}`;
}

function idText(id: PointId): string {
  return isUuid(id) ? `"${id}"` : id;
}

function from(page: PageRequest): string {
  return page.offset === undefined ? 'from the first' : `from id ${page.offset}`;
}

function readVersion(answer: Uint8Array): string {
  const { title, version } = parse(answer) as { title?: unknown; version?: unknown };
  if (typeof version !== 'string' || !/qdrant/i.test(String(title))) {
    throw new ToolError('qdrant', 'what answers there is not Qdrant. Check QDRANT_URL');
  }
  return version;
}

/** The `result` of a small answer. */
function resultOf<T>(answer: Uint8Array): T {
  const { result } = parse(answer) as { result?: T };
  if (typeof result !== 'object' || result === null) {
    throw new ToolError('qdrant', 'the answer has no result');
  }
  return result;
}

/** An object out of a small answer's JSON. */
function parse(answer: Uint8Array): object {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(answer));
    if (typeof value === 'object' && value !== null) return value;
  } catch (error) {
    throw new ToolError('qdrant', 'the answer is not JSON', { cause: error, remedy: 'again' });
  }
  throw new ToolError('qdrant', 'the answer is not a JSON object');
}

/** Qdrant's own 404, which speaks of the collection, and not that of another server. */
function isUnknownCollection(error: unknown): boolean {
  return (
    error instanceof ToolError &&
    error.cause instanceof HttpStatus &&
    error.cause.status === 404 &&
    /doesn't exist/.test(error.message)
  );
}
