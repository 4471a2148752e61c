import { comparableBody } from './comparable-answer.ts';
import type { QdrantDouble } from './qdrant-double.ts';
import type { RestExchange } from './recorded-exchanges.ts';

/** What of a REST answer is compared. */
export interface RestReply {
  readonly status: number;
  readonly contentType: string | null;
  readonly hasRetryAfter: boolean;
  readonly body: string;
}

export async function sendRest(
  { restUrl }: QdrantDouble,
  request: RestExchange['request'],
): Promise<RestReply> {
  // The one body that was not kept whole says how long it was.
  const padding = (request.bodyBytes ?? 0) - Buffer.byteLength(request.body ?? '') + Buffer.byteLength('x…x');
  const body = request.bodyBytes ? request.body?.replace('x…x', 'x'.repeat(padding)) : request.body;
  const answer = await fetch(restUrl + request.path, {
    method: request.method,
    headers: { 'accept-encoding': 'identity', 'content-type': 'application/json', ...request.headers },
    ...(body === undefined ? {} : { body }),
  });
  return {
    status: answer.status,
    contentType: answer.headers.get('content-type'),
    hasRetryAfter: answer.headers.has('retry-after'),
    body: comparableBody(await answer.text()),
  };
}
