/** A request with its whole body, unless that is over the limit: then only its length is known. */
export interface Http1Request {
  readonly method: string;
  readonly target: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  readonly bodyLength: number;
}

/** Qdrant's limit of a REST body. */
export const BODY_LIMIT = 32 * 1024 * 1024;
const HEAD_LIMIT = 64 * 1024;
const HEAD_END = '\r\n\r\n';

interface Head {
  readonly method: string;
  readonly target: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly contentLength: number;
  readonly isChunked: boolean;
}

/** Cuts a connection's bytes into requests. Holds one body at most: up to 32 MiB, more is counted and dropped. */
export class Http1Reader {
  #pending: Buffer[] = [];
  #pendingLength = 0;
  #head: Head | undefined;
  #dropped = 0;

  /** Takes bytes; returns the requests they complete. Throws when they are no HTTP/1.1. */
  push(bytes: Buffer): Http1Request[] {
    this.#pending.push(bytes);
    this.#pendingLength += bytes.length;
    const requests: Http1Request[] = [];
    for (let request = this.#next(); request !== undefined; request = this.#next()) requests.push(request);
    return requests;
  }

  #next(): Http1Request | undefined {
    this.#head ??= this.#readHead();
    const head = this.#head;
    if (head === undefined) return undefined;
    const body = head.isChunked ? this.#chunkedBody() : this.#plainBody(head.contentLength);
    if (body === undefined) return undefined;
    this.#head = undefined;
    return { method: head.method, target: head.target, headers: head.headers, ...body };
  }

  #readHead(): Head | undefined {
    if (this.#pendingLength === 0) return undefined;
    const bytes = this.#joined();
    const end = bytes.indexOf(HEAD_END);
    if (end < 0) {
      if (bytes.length > HEAD_LIMIT) throw new Error('the request head does not end');
      // A TLS handshake, say: real servers do not wait for the rest of that either.
      if (!/^[A-Z]/.test(bytes.toString('latin1', 0, 1))) throw new Error('not an HTTP/1.1 request');
      return undefined;
    }
    this.#replace(bytes.subarray(end + HEAD_END.length));
    return parseHead(bytes.toString('latin1', 0, end));
  }

  #plainBody(length: number): { body: Buffer; bodyLength: number } | undefined {
    if (length > BODY_LIMIT) {
      const missing = length - this.#dropped;
      const bytes = this.#joined();
      this.#dropped += Math.min(missing, bytes.length);
      this.#replace(bytes.subarray(Math.min(missing, bytes.length)));
      if (this.#dropped < length) return undefined;
      this.#dropped = 0;
      return { body: Buffer.alloc(0), bodyLength: length };
    }
    if (this.#pendingLength < length) return undefined;
    const bytes = this.#joined();
    this.#replace(bytes.subarray(length));
    return { body: bytes.subarray(0, length), bodyLength: length };
  }

  #chunkedBody(): { body: Buffer; bodyLength: number } | undefined {
    const bytes = this.#joined();
    const parts: Buffer[] = [];
    for (let at = 0; ; ) {
      const lineEnd = bytes.indexOf('\r\n', at);
      if (lineEnd < 0) break;
      const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
      const start = lineEnd + 2;
      if (start + size + 2 > bytes.length) break;
      at = start + size + 2;
      if (size > 0) {
        parts.push(bytes.subarray(start, start + size));
        continue;
      }
      this.#replace(bytes.subarray(at));
      const body = Buffer.concat(parts);
      return { body, bodyLength: body.length };
    }
    this.#replace(bytes);
    return undefined;
  }

  #joined(): Buffer {
    const [only] = this.#pending;
    const joined = this.#pending.length === 1 && only !== undefined ? only : Buffer.concat(this.#pending);
    this.#replace(joined);
    return joined;
  }

  #replace(bytes: Buffer): void {
    this.#pending = bytes.length === 0 ? [] : [bytes];
    this.#pendingLength = bytes.length;
  }
}

function parseHead(text: string): Head {
  const [requestLine = '', ...lines] = text.split('\r\n');
  const match = /^([A-Z]+) (\S+) HTTP\/1\.[01]$/.exec(requestLine);
  if (match === null) throw new Error('not an HTTP/1.1 request');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return {
    method: match[1] as string,
    target: match[2] as string,
    headers,
    contentLength: Number(headers.get('content-length') ?? 0),
    isChunked: headers.get('transfer-encoding')?.toLowerCase() === 'chunked',
  };
}
