import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { type BodyFault, HttpBody } from './http-body.ts';

/** A request whose head has arrived; its body is still coming. */
export interface HttpRequest {
  readonly method: string;
  /** As sent: path and query, percent-encoded. */
  readonly target: string;
  readonly headers: Headers;
  /** Declared; undefined for a body without (transfer-encoding: chunked). */
  readonly contentLength: number | undefined;
  readonly hasBody: boolean;
  /** To be called once, before anything reads of it. */
  takeBody(fault?: BodyFault): HttpBody;
  /** Cuts the connection: the client sees a reset. */
  cut(): void;
  /** Settles when the client is gone. */
  readonly closed: Promise<void>;
}

/** Answers a request; undefined where the connection was cut, or shall never be answered. */
export type ServeRequest = (request: HttpRequest) => Promise<HttpAnswer | undefined>;

export interface HttpAnswer {
  readonly response: Response;
  /** Nothing that comes after it on this connection is ever answered. */
  readonly thenDeaf?: boolean;
}

const HEAD_LIMIT = 64 * 1024;
const HEAD_END = '\r\n\r\n';

/** One connection: request after request, each answered before the next is read. */
export class HttpConnection {
  #pending: Buffer = Buffer.alloc(0);
  #body: { readonly to: HttpBody; left: number | 'chunked' } | undefined;
  #deaf = false;
  #busy = false;
  readonly #closed = Promise.withResolvers<void>();
  #drained: (() => void) | undefined;

  constructor(
    private readonly socket: Socket,
    private readonly serve: ServeRequest,
  ) {
    socket.on('data', (bytes: Buffer) => this.#push(bytes));
    socket.on('error', () => {});
    socket.on('drain', () => this.#wake());
    socket.on('end', () => this.#gone());
    socket.on('close', () => this.#gone());
  }

  #gone(): void {
    this.#body?.to.fail(new Error('the client closed the connection'));
    this.#closed.resolve();
    this.#wake();
  }

  #wake(): void {
    this.#drained?.();
    this.#drained = undefined;
  }

  #push(bytes: Buffer): void {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    if (this.#body !== undefined) this.#feedBody();
    if (!this.#busy && !this.#deaf) this.#readHead();
  }

  #readHead(): void {
    const end = this.#pending.indexOf(HEAD_END);
    if (end < 0) {
      if (this.#pending.length > HEAD_LIMIT) this.socket.destroy();
      return;
    }
    const head = parseHead(this.#pending.toString('latin1', 0, end));
    this.#pending = this.#pending.subarray(end + HEAD_END.length);
    if (head === undefined) return void this.socket.destroy();
    this.#busy = true;
    this.#answer(head).then(
      () => {
        this.#busy = false;
        if (this.#pending.length > 0 && !this.#deaf) this.#readHead();
      },
      () => this.socket.destroy(),
    );
  }

  async #answer({ method, target, headers }: Head): Promise<void> {
    const isChunked = headers.get('transfer-encoding')?.toLowerCase() === 'chunked';
    const declared = headers.get('content-length');
    const contentLength = isChunked ? undefined : Number(declared ?? 0);
    let body: HttpBody | undefined;
    const answer = await this.serve({
      method,
      target,
      headers,
      contentLength,
      hasBody: isChunked || declared !== null,
      takeBody: (fault) => {
        body = this.#startBody(contentLength ?? 'chunked', headers, fault);
        return body;
      },
      cut: () => this.#cut(),
      closed: this.#closed.promise,
    });
    body ??= this.#startBody(contentLength ?? 'chunked', headers, undefined);
    if (answer === undefined) {
      this.#deaf = true;
      return;
    }
    const { response, thenDeaf = false } = answer;
    const close =
      response.headers.get('connection') === 'close' || headers.get('connection')?.toLowerCase() === 'close';
    this.#deaf = thenDeaf || close;
    await this.#send(response, method, close);
    // What was not asked for has to be taken, or the client never comes to read the answer.
    await body.drain();
    if (close) this.socket.end();
  }

  #startBody(length: number | 'chunked', headers: Headers, fault: BodyFault | undefined): HttpBody {
    const body = new HttpBody(this.socket, fault);
    if (headers.get('expect')?.toLowerCase() === '100-continue') {
      this.socket.write('HTTP/1.1 100 Continue\r\n\r\n');
    }
    this.#body = { to: body, left: length };
    if (this.socket.destroyed) body.fail(new Error('the client closed the connection'));
    this.#feedBody();
    return body;
  }

  #feedBody(): void {
    const body = this.#body;
    if (body === undefined) return;
    if (body.left === 'chunked') {
      this.#feedChunks(body.to);
      return;
    }
    const bytes = this.#pending.subarray(0, body.left);
    this.#pending = this.#pending.subarray(bytes.length);
    body.left -= bytes.length;
    if (bytes.length > 0) body.to.push(own(bytes));
    if (body.left === 0) this.#endBody(body.to);
  }

  #feedChunks(body: HttpBody): void {
    for (;;) {
      const lineEnd = this.#pending.indexOf('\r\n');
      if (lineEnd < 0) return;
      const size = Number.parseInt(this.#pending.toString('latin1', 0, lineEnd), 16);
      const start = lineEnd + 2;
      if (!(size >= 0)) return void this.socket.destroy();
      if (this.#pending.length < start + size + 2) return;
      const bytes = this.#pending.subarray(start, start + size);
      this.#pending = this.#pending.subarray(start + size + 2);
      if (size === 0) {
        this.#endBody(body);
        return;
      }
      body.push(own(bytes));
    }
  }

  #endBody(body: HttpBody): void {
    this.#body = undefined;
    body.end();
  }

  async #send(response: Response, method: string, close: boolean): Promise<void> {
    const { status, headers, body } = response;
    const isEmpty = method === 'HEAD' || status === 204 || status === 304 || body === null;
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Status'}\r\n`;
    for (const [name, value] of headers) if (name !== 'connection') head += `${name}: ${value}\r\n`;
    const isChunked = !isEmpty && !headers.has('content-length');
    if (isChunked) head += 'transfer-encoding: chunked\r\n';
    if (isEmpty && status !== 204 && status !== 304 && !headers.has('content-length')) {
      head += 'content-length: 0\r\n';
    }
    if (close) head += 'connection: close\r\n';
    await this.#write(Buffer.from(`${head}\r\n`, 'latin1'));
    if (isEmpty) return;
    for await (const bytes of body as unknown as AsyncIterable<Uint8Array>) {
      if (bytes.length === 0) continue;
      if (isChunked) await this.#write(Buffer.from(`${bytes.length.toString(16)}\r\n`));
      await this.#write(bytes);
      if (isChunked) await this.#write(Buffer.from('\r\n'));
    }
    if (isChunked) await this.#write(Buffer.from('0\r\n\r\n'));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    if (this.socket.destroyed) throw new Error('the client closed the connection');
    if (this.socket.write(bytes)) return;
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
  }

  #cut(): void {
    this.#deaf = true;
    this.socket.resetAndDestroy();
    this.#gone();
  }
}

interface Head {
  readonly method: string;
  readonly target: string;
  readonly headers: Headers;
}

function parseHead(text: string): Head | undefined {
  const [requestLine = '', ...lines] = text.split('\r\n');
  const match = /^([A-Z]+) (\S+) HTTP\/1\.[01]$/.exec(requestLine);
  if (match === null) return undefined;
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return { method: match[1] as string, target: match[2] as string, headers };
}

/** Socket reads may share a buffer with what comes after. */
function own(bytes: Buffer): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}
