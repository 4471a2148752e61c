import type { BucketStore } from './bucket-store.ts';
import { roleOfHeader } from './credentials.ts';
import type { HttpBody } from './http-body.ts';
import type { HttpAnswer, HttpRequest } from './http-connection.ts';
import { refusals, StorageRefusal } from './refusal.ts';
import { bucketRoutes } from './rest-buckets.ts';
import { jsonAnswer, type RestRoute, refusalAnswer } from './rest-call.ts';
import { listRoutes } from './rest-lists.ts';
import { objectRoutes } from './rest-objects.ts';
import { uploadRoutes } from './rest-upload.ts';

/** Without a charset, where the framework answers before the application. */
const PLAIN_JSON = { 'content-type': 'application/json' };

const ROUTES: readonly RestRoute[] = [...bucketRoutes, ...listRoutes, ...objectRoutes, ...uploadRoutes];

/** Answers `path`, which is as it was sent, without `/storage/v1` and the query. */
export async function restAnswer(
  store: BucketStore,
  request: HttpRequest,
  body: HttpBody,
  path: string,
  query: URLSearchParams,
): Promise<HttpAnswer> {
  try {
    return { response: await routed(store, request, body, path, query) };
  } catch (error) {
    if (!(error instanceof StorageRefusal)) throw error;
    // As the real one: after a refused upload of 2 MiB and more nothing on this connection is answered.
    const thenDeaf = error.code === 'KeyAlreadyExists' && (request.contentLength ?? 0) >= 2 * 1024 * 1024;
    return { response: refusalAnswer(error), thenDeaf };
  }
}

async function routed(
  store: BucketStore,
  request: HttpRequest,
  body: HttpBody,
  path: string,
  query: URLSearchParams,
): Promise<Response> {
  const { method, headers } = request;
  for (const route of ROUTES) {
    const match = route.methods.includes(method) ? route.path.exec(path) : null;
    if (match === null) continue;
    const names = decoded(match.slice(1));
    if (names === undefined) return badUrl(path);
    const role = () => {
      const authorization = headers.get('authorization');
      if (authorization === null) {
        throw refusals.request("headers must have required property 'authorization'");
      }
      return roleOfHeader(authorization);
    };
    return await route.answer({ store, request, body, names, query, role });
  }
  const message = `Route ${method}:${path} not found`;
  if (path.startsWith('/object')) {
    const known = { statusCode: '404', error: 'Not Found', message, code: 'InvalidRequest' };
    return jsonAnswer(known, 404, PLAIN_JSON);
  }
  return jsonAnswer({ message, error: 'Not Found', statusCode: 404 }, 404);
}

function decoded(names: readonly string[]): string[] | undefined {
  try {
    return names.map((name) => decodeURIComponent(name));
  } catch {
    return undefined;
  }
}

function badUrl(path: string): Response {
  const message = `'${path}' is not a valid url component`;
  return jsonAnswer(
    { error: 'Bad Request', code: 'FST_ERR_BAD_URL', message, statusCode: 400 },
    400,
    PLAIN_JSON,
  );
}
