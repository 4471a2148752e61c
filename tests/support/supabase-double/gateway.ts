import type { BucketStore } from './bucket-store.ts';
import type { BodyFault } from './http-body.ts';
import type { HttpAnswer, HttpRequest, ServeRequest } from './http-connection.ts';
import { jsonAnswer } from './rest-call.ts';
import { restAnswer } from './rest-door.ts';
import { S3_PATH, type S3Door } from './s3-door.ts';
import type { DoubleFault, DoubleRequest } from './supabase-double.ts';
import { TUS_PATH, type TusDoor } from './tus-door.ts';

export interface GatewaySettings {
  readonly store: BucketStore;
  readonly tus: TusDoor;
  readonly s3: S3Door | undefined;
  readonly requests: DoubleRequest[];
  readonly keepsRequests: boolean;
  faultOf(request: DoubleRequest): DoubleFault | undefined;
}

const PREFIX = '/storage/v1';

/** Writes down each request, lets go wrong what shall go wrong, and finds the door. */
export function gateway(settings: GatewaySettings): ServeRequest {
  let number = 0;
  return async (request) => {
    const { method, target: path, headers } = request;
    const seen: DoubleRequest = { method, path, headers, number: ++number };
    if (settings.keepsRequests) settings.requests.push(seen);
    const fault = settings.faultOf(seen);
    switch (fault?.kind) {
      case 'reset':
        if (fault.afterBytes !== undefined && fault.afterBytes > 0) {
          return await served(settings, request, { cutAfter: fault.afterBytes, cut: request.cut });
        }
        request.cut();
        return undefined;
      case 'lost answer': {
        const answer = await served(settings, request);
        await answer?.response.body?.cancel();
        request.cut();
        return undefined;
      }
      case 'status':
        await request.takeBody().drain();
        return { response: plainAnswer(fault) };
      case 'hang':
        await request.takeBody().drain();
        await request.closed;
        return undefined;
      case 'flip':
        return await served(settings, request, { flipAt: fault.at, cut: request.cut });
      case 'expired':
        await settings.tus.expire(path.split('/').at(-1) ?? '', fault.status ?? 404);
        return await served(settings, request);
      case undefined:
        return await served(settings, request);
    }
  };
}

async function served(
  { store, tus, s3 }: GatewaySettings,
  request: HttpRequest,
  fault?: BodyFault,
): Promise<HttpAnswer | undefined> {
  const body = request.takeBody(fault);
  const [path = '', query = ''] = request.target.split('?', 2);
  if (!path.startsWith(`${PREFIX}/`)) {
    return { response: jsonAnswer({ message: 'no Route matched with those values' }, 404) };
  }
  const below = path.slice(PREFIX.length);
  if (below === TUS_PATH || below.startsWith(`${TUS_PATH}/`)) {
    const response = await tus.answer(request, body, below);
    if (response !== undefined) return { response };
  }
  const asked = new URLSearchParams(query);
  if (s3 !== undefined && (below === S3_PATH || below.startsWith(`${S3_PATH}/`))) {
    return { response: await s3.answer(request, body, below, asked) };
  }
  return await restAnswer(store, request, body, below, asked);
}

function plainAnswer(fault: DoubleFault & { readonly kind: 'status' }): Response {
  const { status, body = '', retryAfter } = fault;
  const headers = new Headers({ 'content-length': String(Buffer.byteLength(body)) });
  if (body.startsWith('{')) headers.set('content-type', 'application/json; charset=utf-8');
  else if (body.startsWith('<')) headers.set('content-type', 'application/xml; charset=utf-8');
  else headers.set('content-type', 'text/plain; charset=utf-8');
  if (retryAfter !== undefined) headers.set('retry-after', retryAfter);
  return new Response(body, { status, headers });
}
