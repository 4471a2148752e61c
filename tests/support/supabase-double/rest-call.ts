import type { BucketStore } from './bucket-store.ts';
import type { Role } from './credentials.ts';
import type { HttpBody } from './http-body.ts';
import type { HttpRequest } from './http-connection.ts';
import { refusals, StorageRefusal } from './refusal.ts';

/** A request at the REST door, behind `/storage/v1`. */
export interface RestCall {
  readonly store: BucketStore;
  readonly request: HttpRequest;
  readonly body: HttpBody;
  /** Of the pattern's groups, decoded. */
  readonly names: readonly string[];
  readonly query: URLSearchParams;
  /** Throws where there is no valid token. */
  role(): Role;
}

export interface RestRoute {
  readonly methods: readonly string[];
  readonly path: RegExp;
  answer(call: RestCall): Promise<Response> | Response;
}

export function refusalAnswer({ status, error, message, code, restStatus }: StorageRefusal): Response {
  // What the web framework refuses it does not read to its end.
  const more: Record<string, string> = error === 'FastifyError' ? { connection: 'close' } : {};
  return jsonAnswer({ statusCode: String(status), error, message, code }, restStatus, more);
}

export function jsonAnswer(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  const text = JSON.stringify(value);
  return new Response(text, {
    status,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'content-length': String(Buffer.byteLength(text)),
      ...headers,
    },
  });
}

/** The JSON object of a request's body: 1 MiB at most. */
export async function jsonBody({ body }: RestCall): Promise<Readonly<Record<string, unknown>>> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (let piece = await body.next(); piece !== undefined; piece = await body.next()) {
    length += piece.length;
    if (length > 1024 * 1024) throw refusals.tooLarge();
    pieces.push(piece);
  }
  const text = Buffer.concat(pieces).toString('utf8');
  const failed = (message: string) => new StorageRefusal(400, 'FastifyError', message, 'InvalidRequest');
  if (text === '') throw failed("Body cannot be empty when content-type is set to 'application/json'");
  try {
    return JSON.parse(text);
  } catch {
    throw failed("Body is not valid JSON but content-type is set to 'application/json'");
  }
}
