import { X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { abortReason, messageOf, ToolError } from '../errors.ts';
import { freeNow } from '../free-now.ts';
import type { Secret } from '../secret.ts';
import {
  connectionError,
  deadlineError,
  notQdrant,
  type RequestPurpose,
  statusError,
  tooLarge,
  unreadable,
} from './rest-errors.ts';
import { MAX_ANSWER_BYTES, type TransportSettings } from './transport.ts';

export interface RestCall extends RequestPurpose {
  readonly method: 'GET' | 'POST';
  /** Path and query below the server's own prefix, without a slash in front. */
  readonly path: string;
  readonly body?: string;
  /** For the whole exchange, the answer's body included. Milliseconds. */
  readonly deadlineMs: number;
}

/** Bytes of an error's body that are read. */
const ERROR_BYTES = 64 * 1024;

/** First buffer for an answer of unknown length, in bytes; it doubles up to MAX_ANSWER_BYTES. */
const FIRST_BUFFER = 256 * 1024;

/**
 * Single exchanges with one server over its own pool of kept-alive connections. An answer is held in memory
 * whole while it is read, so there are at most as many bytes as requests in flight × MAX_ANSWER_BYTES, in
 * practice × 4 MiB, plus what the collector has not freed yet.
 */
export class RestClient {
  readonly #url: URL;
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #session: Bun.FetchSession;
  /** True once the server has answered anything at all. */
  contacted = false;

  constructor({ url, apiKey, caCertificate }: TransportSettings) {
    this.#url = url;
    this.#base = `${url.origin}${url.pathname.replace(/\/+$/, '')}/`;
    this.#headers = {
      'content-type': 'application/json',
      // Compressed answers cost both sides far more than the bytes they save, four times the time in all.
      'accept-encoding': 'identity',
      ...(apiKey === undefined ? {} : { 'api-key': headerValue(apiKey) }),
    };
    this.#session = new Bun.FetchSession(
      caCertificate === undefined ? {} : { tls: { ca: authorities(caCertificate) } },
    );
  }

  /** Sends one request and gives what `read` makes of the answer's bytes. Retries nothing itself. */
  async call<T>(call: RestCall, signal: AbortSignal, read: (answer: Uint8Array) => T): Promise<T> {
    const answer = await this.#exchange(call, signal);
    try {
      return read(answer);
    } catch (error) {
      throw error instanceof ToolError ? unreadable(call, error) : error;
    } finally {
      freeNow(answer);
    }
  }

  async #exchange(call: RestCall, signal: AbortSignal): Promise<Uint8Array> {
    if (signal.aborted) throw abortReason(signal);
    const stop = new AbortController();
    const onAbort = () => stop.abort();
    signal.addEventListener('abort', onAbort, { once: true });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      stop.abort();
    }, call.deadlineMs);
    try {
      const response = await this.#session.fetch(this.#base + call.path, {
        method: call.method,
        headers: this.#headers,
        redirect: 'manual',
        signal: stop.signal,
        ...(call.body === undefined ? {} : { body: call.body }),
        ...NO_IDLE_LIMIT,
      });
      this.contacted = true;
      return await this.#answerOf(call, response);
    } catch (error) {
      // Ends an exchange that was left before its body was whole.
      stop.abort();
      if (signal.aborted) throw abortReason(signal);
      if (late) throw deadlineError(call, this.#url, call.deadlineMs);
      if (error instanceof ToolError) throw error;
      throw connectionError(call, this.#url, error, this.contacted);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #answerOf(call: RestCall, response: Response): Promise<Uint8Array> {
    if (response.status !== 200) {
      const bytes = await readUpTo(response, ERROR_BYTES, () => undefined);
      throw statusError(call, this.#url, response, new TextDecoder().decode(bytes));
    }
    const type = response.headers.get('content-type');
    if (type === null || !/^application\/json\b/i.test(type)) throw notQdrant(call, this.#url, type);
    const length = Number(response.headers.get('content-length') ?? Number.NaN);
    if (length > MAX_ANSWER_BYTES) throw tooLarge(call, length);
    const encoding = response.headers.get('content-encoding') ?? 'identity';
    // A length known and bounded lets Bun gather the body itself: half the CPU of reading chunks [measured].
    if (length >= 0 && encoding === 'identity') return response.bytes();
    return readUpTo(response, MAX_ANSWER_BYTES, (bytes) => {
      throw tooLarge(call, bytes);
    });
  }

  close(): void {
    this.#session.close();
  }
}

/** Bun's fetch gives up on connections that are silent for 5 minutes; the deadline alone is to decide. */
const NO_IDLE_LIMIT: object = { timeout: false };

/** The body's bytes up to `limit`; of a longer one whatever `onMore` does, which may also throw. */
async function readUpTo(
  response: Response,
  limit: number,
  onMore: (bytes: number) => void,
): Promise<Uint8Array> {
  let buffer = new Uint8Array(FIRST_BUFFER);
  let length = 0;
  for await (const chunk of response.body ?? []) {
    const needed = length + chunk.length;
    if (needed > limit) {
      onMore(needed);
      break;
    }
    if (needed > buffer.length) {
      const grown = new Uint8Array(Math.min(limit, Math.max(needed, 2 * buffer.length)));
      grown.set(buffer.subarray(0, length));
      buffer = grown;
    }
    buffer.set(chunk, length);
    length = needed;
  }
  return buffer.subarray(0, length);
}

/** The key as a header's value. Checked here, because fetch's own error would print it. */
function headerValue(apiKey: Secret): string {
  const text = apiKey.reveal();
  if (/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text)) return text;
  throw new ToolError('usage', 'QDRANT_API_KEY holds characters that an HTTP header cannot carry.');
}

/** A `ca` replaces what Bun trusts, so what it trusts by itself (NODE_EXTRA_CA_CERTS included) goes with it. */
function authorities(caCertificate: string): string[] {
  try {
    new X509Certificate(caCertificate);
  } catch (error) {
    throw new ToolError(
      'usage',
      `The CA certificate is not PEM text of a certificate (${messageOf(error)}). Check --ca-cert or QDRANT_CA_CERT.`,
      { cause: error },
    );
  }
  return [...tls.getCACertificates('default'), caCertificate];
}
