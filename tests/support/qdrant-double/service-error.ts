/** A refusal: its text as Qdrant words it, its status in both protocols, seconds to wait where it says any. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';

  constructor(
    readonly kind: RefusalKind,
    message: string,
    readonly retryAfterSeconds?: number,
  ) {
    super(message);
  }

  get httpStatus(): number {
    return STATUSES[this.kind].http;
  }

  get grpcStatus(): number {
    return STATUSES[this.kind].grpc;
  }
}

export type RefusalKind = keyof typeof STATUSES;

const STATUSES = {
  badRequest: { http: 400, grpc: 3 },
  validation: { http: 422, grpc: 3 },
  unauthenticated: { http: 401, grpc: 16 },
  forbidden: { http: 403, grpc: 7 },
  notFound: { http: 404, grpc: 5 },
  tooMany: { http: 429, grpc: 8 },
  unimplemented: { http: 404, grpc: 12 },
  internal: { http: 500, grpc: 13 },
  cancelled: { http: 500, grpc: 1 },
} as const;
