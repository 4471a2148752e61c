import http2 from 'node:http2';
import tls from 'node:tls';
import { abortReason } from '../errors.ts';
import { freeNow } from '../free-now.ts';
import { type Answer, AnswerReceiver, PREFIX_BYTES } from './grpc-answer.ts';
import type { Headers, UnaryCall } from './grpc-call.ts';
import { connectionError, deadlineError, grpcStatusError, unexpectedAnswer } from './grpc-errors.ts';

/**
 * Bytes of one answer that may be under way unasked, and of all answers of a connection together. The default of
 * 64 KiB costs a third of the rate: the server would wait for a window update after every 64 KiB. Nothing waits
 * in these windows: what arrives is taken at once, so that memory is bounded by the requests in flight.
 *
 * The two have to be equal: Bun 1.4.5 asks for more of an answer only when half of what setLocalWindowSize() was
 * given has come, and never for one whose own window is smaller (https://github.com/oven-sh/bun/pull/40180).
 */
const WINDOW_BYTES = 64 * 1024 * 1024;
/** Receive buffers that are kept for the next answer; further ones are left to the garbage collector. */
const KEPT_BUFFERS = 8;
/** A kept buffer is at most this large, so that one huge answer does not stay in memory for the whole run. */
const KEPT_BUFFER_BYTES = 16 * 1024 * 1024;
/**
 * A connection that nothing used for so long is not used again: whatever stands in between may have dropped it
 * without a word, and the next request would wait in vain until its deadline. Milliseconds.
 */
const IDLE_MS = 30_000;
/** How long a connection may take to be made, in milliseconds. */
const CONNECT_MS = 10_000;

export interface H2ClientSettings {
  readonly url: URL;
  readonly caCertificate: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Unary gRPC calls over one HTTP/2 connection, answers as raw bytes: a third of the cost of the transport
 * library on this path (4.5 µs of CPU a point of 4.4 kB against 13 and more). No compression is offered or
 * accepted: gzip alone costs five times all the rest.
 */
export class H2Client {
  readonly #settings: H2ClientSettings;
  #session: Promise<http2.ClientHttp2Session> | undefined;
  /** Calls under way, and when the last one ended. */
  #calls = 0;
  #lastCallAt = 0;
  readonly #idle: Buffer[] = [];
  #contacted = false;

  constructor(settings: H2ClientSettings) {
    this.#settings = settings;
  }

  /**
   * Sends one request and hands the answer's message to `read`, whose result is the call's. The bytes are only
   * valid inside `read`.
   */
  async call<T>(call: UnaryCall, signal: AbortSignal, read: (message: Buffer) => T): Promise<T> {
    if (signal.aborted) throw abortReason(signal);
    this.#dropIdleSession();
    this.#calls++;
    try {
      const session = await this.#connected(call, signal);
      const answer = await this.#exchange(session, call, signal);
      try {
        return read(answer.buffer.subarray(0, answer.length));
      } finally {
        this.#release(answer.buffer);
      }
    } finally {
      this.#calls--;
      this.#lastCallAt = performance.now();
    }
  }

  #dropIdleSession(): void {
    if (this.#calls === 0 && performance.now() - this.#lastCallAt > IDLE_MS) this.close();
  }

  /** Ends the connection; a further call makes a new one. */
  close(): void {
    const session = this.#session;
    this.#session = undefined;
    session?.then(
      (live) => live.destroy(),
      () => {},
    );
  }

  async #connected(call: UnaryCall, signal: AbortSignal): Promise<http2.ClientHttp2Session> {
    this.#session ??= this.#connect();
    const connecting = this.#session;
    try {
      return await aborting(connecting, signal);
    } catch (error) {
      if (signal.aborted) throw abortReason(signal);
      if (this.#session === connecting) this.#session = undefined;
      throw connectionError(call.purpose, this.#settings.url, error, this.#contacted);
    }
  }

  #connect(): Promise<http2.ClientHttp2Session> {
    const { url, caCertificate } = this.#settings;
    return new Promise((resolve, reject) => {
      const session = http2.connect(url.origin, {
        settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
        ...(caCertificate === undefined ? {} : { ca: [...tls.getCACertificates('default'), caCertificate] }),
      });
      const timer = setTimeout(() => {
        session.destroy(Object.assign(new Error('no connection in 10 s'), { code: 'ETIMEDOUT' }));
      }, CONNECT_MS);
      const drop = () => {
        clearTimeout(timer);
        this.#forget(session);
        // After a settled promise this does nothing: calls under way learn it from their own streams.
        reject(Object.assign(new Error('connection closed'), { code: 'ECONNRESET' }));
      };
      session.on('error', (error) => {
        reject(error);
        drop();
      });
      session.on('goaway', drop);
      session.on('close', drop);
      // The first SETTINGS frame, not the TCP connection, says that the other side speaks HTTP/2.
      session.once('remoteSettings', () => {
        this.#contacted = true;
        clearTimeout(timer);
        session.setLocalWindowSize(WINDOW_BYTES);
        resolve(session);
      });
    });
  }

  /** New calls make a new connection; those under way on this one may still end well (GOAWAY). */
  #forget(session: http2.ClientHttp2Session): void {
    const current = this.#session;
    current?.then(
      (live) => {
        if (live === session && this.#session === current) this.#session = undefined;
      },
      () => {},
    );
  }

  #exchange(session: http2.ClientHttp2Session, call: UnaryCall, signal: AbortSignal): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { url } = this.#settings;
      const receiver = new AnswerReceiver((bytes) => this.#take(bytes));
      let settled = false;
      const settle = (outcome: () => void) => {
        if (settled) return;
        settled = true;
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        outcome();
      };
      const fail = (error: unknown) =>
        settle(() => {
          const buffer = receiver.abandon();
          if (buffer !== undefined) this.#release(buffer);
          stream?.close(http2.constants.NGHTTP2_CANCEL);
          reject(error);
        });
      const onAbort = () => fail(abortReason(signal));
      signal.addEventListener('abort', onAbort, { once: true });
      const timer = setTimeout(() => {
        // A connection on which nothing at all arrived is taken for dead; the next call makes a new one.
        if (receiver.received === 0) {
          this.#forget(session);
          session.close();
        }
        fail(deadlineError(call, url));
      }, call.deadlineMs);

      let stream: http2.ClientHttp2Stream | undefined;
      try {
        stream = session.request({
          ...this.#settings.headers,
          ':method': 'POST',
          ':path': pathPrefix(url) + call.path,
          te: 'trailers',
          'content-type': 'application/grpc',
        });
      } catch (error) {
        this.#forget(session);
        fail(connectionError(call.purpose, url, error, true));
        return;
      }
      let status: Headers = {};
      stream.on('response', (headers) => {
        status = headers;
      });
      stream.on('trailers', (trailers) => {
        status = { ...status, ...trailers };
      });
      stream.on('data', (chunk: Buffer) => {
        if (settled) return;
        if (!isGrpc(status)) return; // Some other server's page: its status says enough.
        const problem = receiver.take(chunk);
        freeNow(chunk);
        if (problem !== undefined) fail(unexpectedAnswer(call, url, problem));
      });
      stream.on('error', (error) => fail(connectionError(call.purpose, url, error, true)));
      // A stream that was reset without an error event, or a session that went away.
      stream.on('close', () => fail(connectionError(call.purpose, url, resetError(), true)));
      stream.on('end', () => {
        const failure = grpcStatusError(call, url, status);
        if (failure !== undefined) return fail(failure);
        const problem = receiver.incomplete();
        if (problem !== undefined) return fail(unexpectedAnswer(call, url, problem));
        settle(() => resolve(receiver.answer()));
      });
      const prefix = Buffer.alloc(PREFIX_BYTES);
      prefix.writeUInt32BE(call.message.length, 1);
      stream.end(Buffer.concat([prefix, call.message]));
    });
  }

  #take(bytes: number): Buffer {
    const at = this.#idle.findIndex((buffer) => buffer.length >= bytes);
    const found = at === -1 ? undefined : this.#idle.splice(at, 1)[0];
    // Rounded up with room to spare, so that answers of about the same size share buffers.
    return found ?? Buffer.allocUnsafeSlow(Math.ceil((bytes * 1.25) / 65_536) * 65_536);
  }

  #release(buffer: Buffer): void {
    if (buffer.length > KEPT_BUFFER_BYTES) {
      freeNow(buffer);
      return;
    }
    this.#idle.push(buffer);
    if (this.#idle.length <= KEPT_BUFFERS) return;
    // The smallest goes: the larger ones serve every answer.
    this.#idle.sort((a, b) => b.length - a.length);
    freeNow(this.#idle.pop() as Buffer);
  }
}

function isGrpc(headers: Headers): boolean {
  return String(headers['content-type'] ?? '').startsWith('application/grpc');
}

function pathPrefix(url: URL): string {
  return url.pathname.replace(/\/+$/, '');
}

function resetError(): Error {
  return Object.assign(new Error('the connection was reset'), { code: 'ECONNRESET' });
}

/** Waits for a promise that others share, but no longer than the signal lets us. */
function aborting<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortReason(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
