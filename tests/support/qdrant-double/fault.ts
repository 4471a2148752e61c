export type Protocol = 'grpc' | 'rest';

/** What a request asks for, under one name in both protocols. */
export type Method =
  | 'scroll'
  | 'retrieve'
  | 'count'
  | 'describe'
  | 'exists'
  | 'list'
  | 'aliases'
  | 'shardKeys'
  | 'cluster'
  | 'version'
  | 'health'
  | 'delete'
  | 'other';

/** What a fault is chosen by. */
export interface RequestFacts {
  readonly protocol: Protocol;
  readonly method: Method;
  /** Empty where a request names none. */
  readonly collection: string;
  /** Requests before this one, over both protocols. */
  readonly index: number;
  /** Points that were asked for: a scroll's limit, a retrieve's ids; 0 otherwise. */
  readonly points: number;
}

/** How an answer goes wrong. All but `status`, `timeout` and `contents` concern the way, not the contents. */
export type Fault =
  | {
      /** An error instead of the answer, as Qdrant words its own: `{"status":{"error":…}}`, grpc-message. */
      readonly kind: 'status';
      readonly http: number;
      readonly grpc: number;
      readonly message: string;
      readonly retryAfterSeconds?: number;
    }
  /** The recorded answer of an operation that ran out of time. */
  | { readonly kind: 'timeout' }
  /** The answer comes, but only after a while. */
  | { readonly kind: 'delay'; readonly milliseconds: number }
  /** The connection (REST) or stream (gRPC) is cut before the answer; `connection` cuts gRPC's whole session. */
  | { readonly kind: 'reset'; readonly connection?: boolean }
  /** The same after half of the answer. */
  | { readonly kind: 'resetMidway'; readonly connection?: boolean }
  /** No answer, ever; the connection stays. */
  | { readonly kind: 'stall' }
  /** Half of the answer, then nothing. */
  | { readonly kind: 'stallMidway' }
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** Declares a body or message of that many bytes (2 GiB unless told), sends the real one and goes on waiting. */
  | { readonly kind: 'oversized'; readonly declaredBytes?: number }
  /** Half of the body, then a clean end: shorter than content-length; END_STREAM without trailers. */
  | { readonly kind: 'earlyClose' }
  /** Half of the contents as if they were all: content-length or message length to match, status 0. */
  | { readonly kind: 'truncated' }
  /**
   * A whole answer to a scroll or retrieve that lies about the point at `at`, counted in the answer (the middle one
   * unless told), or about that point's `vector` (its first that is shown). Where there is no such point or vector
   * the answer is a status 500 that says so.
   */
  | {
      readonly kind: 'contents';
      readonly wrong: WrongContents;
      readonly at?: number;
      readonly vector?: string;
    };

export type WrongContents =
  /** The point comes twice, in place of the next one. */
  | 'duplicateId'
  /** It changes places with the next one. */
  | 'idOutOfOrder'
  /** It has the id of no point, close to 2^64. */
  | 'idNotAskedFor'
  /** One value is missing: of a dense vector, of a multivector's last row, of a sparse vector's values. */
  | 'vectorLength'
  /** A dense vector comes as a sparse one, a multivector or sparse vector as a dense one. */
  | 'vectorKind'
  /** It has a vector more, `stranger`. */
  | 'vectorUnknown'
  /** Not about a point: the next page begins where this one did. */
  | 'offsetBack';

export type Faults = (request: RequestFacts) => Fault | undefined;

const OUT_OF_TIME =
  "Service internal error: 1 of 1 read operations failed:\n  Timeout error: Operation 'retrieve' timed out after 949.257648ms";

/** Faults that are an error answer, as that answer. */
export function faultStatus(fault: Fault | undefined): (Fault & { kind: 'status' }) | undefined {
  if (fault?.kind === 'status') return fault;
  if (fault?.kind === 'timeout') return { kind: 'status', http: 500, grpc: 13, message: OUT_OF_TIME };
  return undefined;
}
