import { connect, createServer, type Socket } from 'node:net';

/** A request as the proxy saw it. */
export interface SeenRequest {
  readonly method: string;
  /** Percent-encoded, with the bucket. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly bodyBytes: number;
  readonly operation: Operation;
  /** How many requests of this operation and part number came before. */
  readonly earlier: number;
}

export type Operation =
  | 'Head'
  | 'Get'
  | 'List'
  | 'Copy'
  | 'CopyPart'
  | 'Delete'
  | 'PutObject'
  | 'CreateUpload'
  | 'UploadPart'
  | 'Complete'
  | 'Abort'
  | 'ListParts'
  | 'Other';

export type Fault =
  /** Answered by the proxy; the store never sees the request. */
  | { readonly kind: 'status'; readonly status: number; readonly code: string; readonly retryAfter?: string }
  /** The connection is destroyed before the store sees the request. */
  | { readonly kind: 'reset' }
  /** The store acts, its answer is lost. */
  | { readonly kind: 'resetAfter' }
  /** Taken, never answered. */
  | { readonly kind: 'stall' }
  /** The body is taken no faster than this. */
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** Nothing of the body is taken until the promise resolves. */
  | { readonly kind: 'hold'; readonly until: Promise<void> }
  /** The answer breaks off in the middle. */
  | { readonly kind: 'earlyClose' }
  /** The answer is whole by its own word, and has half of its body. */
  | { readonly kind: 'shortBody' }
  /** One bit of the body is turned on its way to the store. */
  | { readonly kind: 'corruptBody' }
  /** Another entity tag in the answer's header or body. */
  | { readonly kind: 'wrongEtag' }
  /** The answer does not have the checksum that the store computed: as from one that ignores the header. */
  | { readonly kind: 'noChecksum' }
  /** The answer's entity tag is empty. */
  | { readonly kind: 'emptyEtag' }
  /** Status 200 with an error in the body, as S3 does on Complete; the store never sees the request. */
  | { readonly kind: 'errorBody'; readonly code: string };

export interface FaultProxy {
  readonly endpoint: string;
  readonly seen: readonly SeenRequest[];
  /** Bytes of request bodies taken from clients. */
  readonly acceptedBytes: number;
  /** Most part uploads at once. */
  readonly maxPartsInFlight: number;
  /** Decides what goes wrong; replaced by each test. */
  faults: (request: SeenRequest) => Fault | undefined;
  /** Resolves when a request for which `test` holds has arrived. */
  arrival(test: (request: SeenRequest) => boolean): Promise<SeenRequest>;
  /** Forgets what was seen and injects nothing any more. */
  reset(): void;
  stop(): Promise<void>;
}

interface State {
  seen: SeenRequest[];
  acceptedBytes: number;
  partsInFlight: number;
  maxPartsInFlight: number;
  faults: (request: SeenRequest) => Fault | undefined;
  waiting: { test: (request: SeenRequest) => boolean; resolve: (request: SeenRequest) => void }[];
  /** Part sizes by upload and number, for R2's rule. */
  partSizes: Map<string, number>;
}

/**
 * An HTTP/1.1 proxy in front of an S3 server: heads pass unchanged but for Connection, so signatures stay
 * valid. It holds uploads to R2's rule that all parts but the last are equally long, and injects faults.
 */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const upstream = new URL(target);
  const state: State = {
    seen: [],
    acceptedBytes: 0,
    partsInFlight: 0,
    maxPartsInFlight: 0,
    faults: () => undefined,
    waiting: [],
    partSizes: new Map(),
  };
  const clients = new Set<Socket>();
  const server = createServer((client) => {
    clients.add(client);
    client.on('error', () => {});
    client.on('close', () => clients.delete(client));
    serve(client, upstream, state).catch(() => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    get seen() {
      return state.seen;
    },
    get acceptedBytes() {
      return state.acceptedBytes;
    },
    get maxPartsInFlight() {
      return state.maxPartsInFlight;
    },
    get faults() {
      return state.faults;
    },
    set faults(decide) {
      state.faults = decide;
    },
    arrival: (test) => new Promise((resolve) => state.waiting.push({ test, resolve })),
    reset() {
      state.seen = [];
      state.acceptedBytes = 0;
      state.maxPartsInFlight = 0;
      state.faults = () => undefined;
      state.waiting = [];
    },
    stop: () => {
      for (const client of clients) client.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function serve(client: Socket, upstream: URL, state: State): Promise<void> {
  const input = byteReader(client);
  const head = await input.head();
  if (head === undefined) return;
  const request = readRequest(head, state.seen);
  state.seen.push(request);
  state.waiting = state.waiting.filter((waiter) => {
    const met = waiter.test(request);
    if (met) waiter.resolve(request);
    return !met;
  });
  const isPart = request.operation === 'UploadPart';
  if (isPart) state.maxPartsInFlight = Math.max(state.maxPartsInFlight, ++state.partsInFlight);
  try {
    await answer(client, input, head, request, upstream, state);
  } finally {
    if (isPart) state.partsInFlight--;
  }
}

async function answer(
  client: Socket,
  input: ByteReader,
  head: string,
  request: SeenRequest,
  upstream: URL,
  state: State,
): Promise<void> {
  const fault = state.faults(request);
  if (fault?.kind === 'reset') return void client.destroy();
  if (fault?.kind === 'hold') await fault.until;
  const body = await takeBody(input, request.bodyBytes, fault, state);
  if (fault?.kind === 'stall') return;
  if (fault?.kind === 'status')
    return respond(client, fault.status, errorXml(fault.code, 'Injected.'), fault.retryAfter);
  if (fault?.kind === 'errorBody') return respond(client, 200, errorXml(fault.code, 'Injected.'));
  if (request.operation === 'UploadPart') notePart(request, body.length, state);
  if (request.operation === 'CopyPart') notePart(request, copiedBytes(request), state);
  if (request.operation === 'Complete' && !partsAreEqual(request, body, state)) {
    return respond(client, 400, errorXml('InvalidPart', 'All non-trailing parts must have the same length.'));
  }
  if (fault?.kind === 'corruptBody' && body.length > 0) {
    const middle = body.length >> 1;
    body[middle] = (body[middle] ?? 0) ^ 1;
  }
  const response = await forward(head, body, upstream);
  if (fault?.kind === 'resetAfter') return void client.destroy();
  if (fault?.kind === 'earlyClose') {
    client.write(response.subarray(0, response.length >> 1), () => client.destroy());
    return;
  }
  client.end(fault?.kind === 'shortBody' ? halved(response) : changedEtag(response, fault));
}

async function takeBody(
  input: ByteReader,
  length: number,
  fault: Fault | undefined,
  state: State,
): Promise<Buffer> {
  const body = Buffer.allocUnsafe(length);
  for (let taken = 0; taken < length; ) {
    const chunk = await input.chunk(length - taken);
    chunk.copy(body, taken);
    taken += chunk.length;
    state.acceptedBytes += chunk.length;
    if (fault?.kind === 'slow') await Bun.sleep((chunk.length / fault.bytesPerSecond) * 1000);
  }
  return body;
}

/** One connection a request, so that the end of the answer is the end of the connection. */
function forward(head: string, body: Uint8Array, upstream: URL): Promise<Buffer> {
  const lines = head.split('\r\n').filter((line) => !/^connection:/i.test(line));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(Number(upstream.port), upstream.hostname);
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(chunks)));
    socket.write(`${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`, 'latin1');
    if (body.length > 0) socket.write(body);
  });
}

function respond(client: Socket, status: number, body: string, retryAfter?: string): void {
  const extra = retryAfter === undefined ? '' : `Retry-After: ${retryAfter}\r\n`;
  client.end(
    `HTTP/1.1 ${status} Injected\r\nContent-Type: application/xml\r\n${extra}` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

function errorXml(code: string, message: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`;
}

function halved(response: Buffer): Buffer {
  const end = response.indexOf('\r\n\r\n') + 4;
  const body = response.subarray(end, end + ((response.length - end) >> 1));
  const head = response.subarray(0, end).toString('latin1');
  const length = `Content-Length: ${body.length}`;
  return Buffer.concat([Buffer.from(head.replace(/^content-length: \d+/im, length), 'latin1'), body]);
}

/** Same length for 'wrongEtag'; the body of an 'emptyEtag' answer is padded, so that Content-Length holds. */
function changedEtag(response: Buffer, fault: Fault | undefined): Buffer {
  if (fault?.kind === 'noChecksum') {
    const text = response.toString('latin1');
    // Another name of the same length: the answer stays as long as it was.
    return Buffer.from(text.replace(/^x-amz-checksum-/gim, 'x-not-checksum-'), 'latin1');
  }
  if (fault?.kind !== 'wrongEtag' && fault?.kind !== 'emptyEtag') return response;
  const text = response.toString('latin1');
  const wrong = fault.kind === 'wrongEtag';
  const changed = text
    .replace(
      /^(etag: )("?)([0-9a-f]{32})/im,
      (_, name, quote, tag) => `${name}${quote}${wrong ? reversed(tag) : ''}`,
    )
    .replace(/<ETag>([^<]*)<\/ETag>/, (all, tag: string) =>
      wrong ? all.replace(/[0-9a-f]{32}/, reversed) : `<ETag></ETag>${' '.repeat(tag.length)}`,
    );
  return Buffer.from(changed, 'latin1');
}

function reversed(text: string): string {
  return [...text].reverse().join('');
}

function notePart(request: SeenRequest, bytes: number, state: State): void {
  state.partSizes.set(`${request.query.get('uploadId')} ${request.query.get('partNumber')}`, bytes);
}

function copiedBytes({ headers }: SeenRequest): number {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers.get('x-amz-copy-source-range') ?? '') ?? [];
  return Number(to) - Number(from) + 1;
}

function partsAreEqual(request: SeenRequest, body: Buffer, state: State): boolean {
  const upload = request.query.get('uploadId');
  const numbers = [...body.toString().matchAll(/<PartNumber>(\d+)</g)].map((match) => Number(match[1]));
  const sizes = numbers.sort((a, b) => a - b).map((number) => state.partSizes.get(`${upload} ${number}`));
  return new Set(sizes.slice(0, -1)).size <= 1;
}

function readRequest(head: string, before: readonly SeenRequest[]): SeenRequest {
  const [first = '', ...lines] = head.split('\r\n');
  const [method = '', target = ''] = first.split(' ');
  const [path = '', search = ''] = target.split('?');
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  const query = new URLSearchParams(search);
  const operation = operationOf(method, query, headers.has('x-amz-copy-source'));
  const same = (other: SeenRequest) =>
    other.operation === operation && other.query.get('partNumber') === query.get('partNumber');
  return {
    method,
    path,
    query,
    headers,
    bodyBytes: Number(headers.get('content-length') ?? 0),
    operation,
    earlier: before.filter(same).length,
  };
}

function operationOf(method: string, query: URLSearchParams, copies: boolean): Operation {
  const upload = query.has('uploadId');
  switch (method) {
    case 'HEAD':
      return 'Head';
    case 'GET':
      if (upload) return 'ListParts';
      return query.has('list-type') ? 'List' : 'Get';
    case 'PUT':
      if (copies) return upload ? 'CopyPart' : 'Copy';
      return upload ? 'UploadPart' : 'PutObject';
    case 'POST':
      return upload ? 'Complete' : 'CreateUpload';
    case 'DELETE':
      return upload ? 'Abort' : 'Delete';
    default:
      return 'Other';
  }
}

interface ByteReader {
  /** The head without its empty line, or undefined when the connection ended before one came. */
  head(): Promise<string | undefined>;
  /** The next bytes, at most `most`; rejects when the connection ends. */
  chunk(most: number): Promise<Buffer>;
}

/** Takes bytes off the socket only when asked, so that a slow proxy holds its client back. */
function byteReader(socket: Socket): ByteReader {
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let held: Buffer = Buffer.alloc(0);
  const more = async (): Promise<boolean> => {
    const next = await chunks.next();
    if (next.done) return false;
    held = held.length === 0 ? next.value : Buffer.concat([held, next.value]);
    return true;
  };
  return {
    async head() {
      for (;;) {
        const end = held.indexOf('\r\n\r\n');
        if (end >= 0) {
          const head = held.subarray(0, end).toString('latin1');
          held = held.subarray(end + 4);
          return head;
        }
        if (!(await more())) return undefined;
      }
    },
    async chunk(most) {
      if (held.length === 0 && !(await more())) throw new Error('The client went away.');
      const chunk = held.subarray(0, most);
      held = held.subarray(chunk.length);
      return chunk;
    },
  };
}
