import { connect, type Socket } from 'node:net';

/** A request exactly as it is to be sent: fetch would tidy up its path. */
export interface RawRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** Without a length. */
  readonly chunked?: boolean;
  /** Ends the connection after so many bytes of the body. */
  readonly cutAfter?: number;
  /** The second half of the body waits for this. */
  readonly hold?: Promise<void>;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** Undefined where the request was cut. */
export async function rawRequest(port: number, request: RawRequest): Promise<RawAnswer | undefined> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  const reader = new AnswerReader(request.method);
  const answered = new Promise<RawAnswer | undefined>((resolve) => {
    socket.on('data', (bytes: Buffer) => {
      const answer = reader.push(bytes);
      if (answer !== undefined) resolve(answer);
    });
    socket.on('close', () => resolve(undefined));
  });
  await sendRequest(socket, request);
  if (request.cutAfter !== undefined) socket.end();
  const answer = await answered;
  socket.destroy();
  return request.cutAfter === undefined ? answer : undefined;
}

async function sendRequest(socket: Socket, request: RawRequest): Promise<void> {
  const { method, target, body, chunked = false, cutAfter, hold } = request;
  const headers = { ...request.headers };
  const hasBody = body.length > 0 || ['POST', 'PUT', 'PATCH'].includes(method);
  if (chunked) headers['transfer-encoding'] = 'chunked';
  else if (hasBody) headers['content-length'] ??= String(body.length);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  await write(socket, Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'));
  const end = Math.min(body.length, cutAfter ?? body.length);
  const half = hold === undefined ? end : end >> 1;
  await sendBytes(socket, body.subarray(0, half), chunked);
  await hold;
  await sendBytes(socket, body.subarray(half, end), chunked);
  if (chunked && cutAfter === undefined) await write(socket, Buffer.from('0\r\n\r\n'));
}

async function sendBytes(socket: Socket, bytes: Uint8Array, chunked: boolean): Promise<void> {
  for (let at = 0; at < bytes.length; at += 65_536) {
    const piece = bytes.subarray(at, at + 65_536);
    if (!chunked) await write(socket, piece);
    else await write(socket, Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, CRLF]));
  }
}

const CRLF = Buffer.from('\r\n');

/** Settles also where nobody takes the bytes any more: then the answer is there, or the connection is gone. */
function write(socket: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    socket.write(bytes, () => resolve());
  });
}

class AnswerReader {
  #bytes: Buffer = Buffer.alloc(0);

  constructor(private readonly method: string) {}

  push(bytes: Buffer): RawAnswer | undefined {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    const end = this.#bytes.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const [statusLine = '', ...lines] = this.#bytes.toString('latin1', 0, end).split('\r\n');
    const status = Number(statusLine.split(' ')[1]);
    const headers = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(':');
      headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    const rest = this.#bytes.subarray(end + 4);
    if (this.method === 'HEAD' || status === 204 || status === 304) {
      return { status, headers, body: Buffer.alloc(0) };
    }
    const body =
      headers.get('transfer-encoding') === 'chunked'
        ? chunksOf(rest)
        : plain(rest, headers.get('content-length'));
    return body && { status, headers, body };
  }
}

function plain(rest: Buffer, length: string | undefined): Buffer | undefined {
  return rest.length >= Number(length ?? 0) ? rest : undefined;
}

function chunksOf(rest: Buffer): Buffer | undefined {
  const pieces: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = rest.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(rest.toString('latin1', at, lineEnd), 16);
    if (rest.length < lineEnd + 2 + size + 2) return undefined;
    if (size === 0) return Buffer.concat(pieces);
    pieces.push(rest.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}
