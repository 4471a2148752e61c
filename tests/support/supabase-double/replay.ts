import { createHmac } from 'node:crypto';
import { type Comparable, comparableAnswer, comparableRecorded, formOverS3 } from './comparable.ts';
import { type RawAnswer, rawRequest } from './raw-request.ts';
import { type RecordedDialogue, type RecordedExchange, recordedBytes, unabbreviated } from './recorded.ts';
import { signedHeaders } from './sigv4.ts';
import type { SupabaseDouble } from './supabase-double.ts';

export interface Difference {
  readonly exchange: string;
  readonly recorded: Comparable;
  readonly answered: Comparable | undefined;
}

/** Bodies in pieces with signatures (aws-chunked) are sent plain. */
const NOT_SENT = [
  'host',
  'content-length',
  'content-encoding',
  'x-amz-decoded-content-length',
  'x-amz-trailer',
];
const HOST = 'storage.example.test';

/** Asks the double what a real server was asked, and returns where it answers otherwise. */
export async function replay(
  double: SupabaseDouble,
  dialogue: RecordedDialogue,
  isLeftOut: (exchange: RecordedExchange) => boolean,
  backend: 'file' | 's3' = 'file',
): Promise<Difference[]> {
  const names = new Names(double);
  const differences: Difference[] = [];
  const judge = (exchange: RecordedExchange, answer: RawAnswer | undefined) => {
    if (exchange.response.status === undefined) return;
    names.learn(exchange, answer);
    const form = backend === 's3' ? formOverS3 : (same: Comparable) => same;
    const recorded = form(comparableRecorded(exchange));
    const answered = answer && form(comparableAnswer(exchange, answer));
    if (Bun.deepEquals(recorded, answered, true)) return;
    differences.push({ exchange: `${dialogue.name} / ${exchange.name}`, recorded, answered });
  };
  const wanted = dialogue.exchanges.filter((exchange) => !isLeftOut(exchange));
  for (let at = 0; at < wanted.length; at++) {
    const exchange = wanted[at] as RecordedExchange;
    const second = wanted[at + 1];
    if (exchange.name.startsWith('A:') && second?.name.startsWith('B:')) {
      const both = await together(double, names, exchange, second);
      judge(exchange, both[0]);
      judge(second, both[1]);
      at++;
    } else judge(exchange, await send(double, names, exchange));
  }
  return differences;
}

/** The second is asked while the first one's body is half sent. */
async function together(
  double: SupabaseDouble,
  names: Names,
  a: RecordedExchange,
  b: RecordedExchange,
): Promise<readonly [RawAnswer | undefined, RawAnswer | undefined]> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const before = double.requests.length;
  const arrived = (count: number) =>
    new Promise<void>((done) => {
      const look = () => (double.requests.length >= before + count ? done() : void setImmediate(look));
      look();
    });
  const first = send(double, names, a, promise);
  await arrived(1);
  const second = send(double, names, b);
  await arrived(2);
  resolve();
  return await Promise.all([first, second]);
}

function send(
  double: SupabaseDouble,
  names: Names,
  exchange: RecordedExchange,
  hold?: Promise<void>,
): Promise<RawAnswer | undefined> {
  const { request, response, note, name } = exchange;
  const { method } = request;
  const body = recordedBytes(request, note);
  if (body === undefined) throw new Error(`${name}: its body is not known`);
  const target = names.path(request.path);
  const headers = names.headers(request.headers, method, target);
  const cut = response.status === undefined ? cutOf(exchange, body.length) : {};
  const port = Number(new URL(double.url).port);
  const text = request.body === undefined ? body : Buffer.from(names.text(unabbreviated(request.body)));
  return rawRequest(port, {
    method,
    target,
    headers: { host: HOST, ...headers },
    body: text,
    chunked: request.transfer?.startsWith('chunked') ?? false,
    ...cut,
    ...(hold === undefined ? {} : { hold }),
  });
}

function cutOf({ name }: RecordedExchange, length: number): { readonly cutAfter: number } {
  const after = /cut after (\d+) bytes/.exec(name)?.[1];
  return { cutAfter: after === undefined ? length >> 1 : Number(after) };
}

/** What has another name in each run. */
class Names {
  readonly #locations: string[] = [];
  readonly #known = new Map<string, string>();

  constructor(double: SupabaseDouble) {
    const { keys } = double;
    const unsigned = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const none = `${unsigned({ alg: 'none' })}.${unsigned({ role: 'service_role' })}`;
    for (const [name, key] of [
      ['<service_role JWT>', keys.service],
      ['<anon JWT>', keys.anon],
      ['<authenticated JWT>', keys.user],
      ['<expired JWT>', keys.expired],
      ['<JWT signed with another secret>', keys.otherSecret],
      ['<JWT with alg none>', `${none}.${createHmac('sha256', 'x').update(none).digest('base64url')}`],
      ['<sb_secret key>', keys.secret],
      ['<S3 access key id>', double.s3?.accessKeyId ?? ''],
      ['<S3 secret access key>', double.s3?.secretAccessKey ?? ''],
    ] as const) {
      this.#known.set(name, key);
    }
  }

  text(text: string): string {
    let known = text;
    for (const [recorded, own] of this.#known) known = known.replaceAll(recorded, own);
    return known;
  }

  path(path: string): string {
    const location = /^\{location (\d+)\}/.exec(path)?.[1];
    if (location !== undefined) return this.#locations[Number(location) - 1] ?? '/no-location';
    return unabbreviated(this.text(path));
  }

  headers(
    recorded: Readonly<Record<string, string>>,
    method: string,
    target: string,
  ): Record<string, string> {
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(recorded)) {
      if (!NOT_SENT.includes(name)) headers[name] = this.text(value);
    }
    if (headers['x-amz-content-sha256']?.startsWith('STREAMING-')) delete headers['x-amz-content-sha256'];
    const match = /^<SigV4: id (.*), secret (.*), region (.*)>$/.exec(headers.authorization ?? '');
    if (match === null) return headers;
    delete headers.authorization;
    const [, accessKeyId = '', secretAccessKey = '', region = ''] = match;
    return signedHeaders({ method, host: HOST, target, headers }, { accessKeyId, secretAccessKey, region });
  }

  learn({ response }: RecordedExchange, answer: RawAnswer | undefined): void {
    const location = answer?.headers.get('location');
    if (location?.includes('/upload/resumable/')) this.#locations.push(new URL(location).pathname);
    const id = /<UploadId>(.*?)<\/UploadId>/;
    const recorded = id.exec(response.body ?? '')?.[1];
    const own = id.exec(answer?.body.toString('utf8') ?? '')?.[1];
    if (recorded !== undefined && own !== undefined) this.#known.set(recorded, own);
  }
}
