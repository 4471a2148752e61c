import type { MessageInitShape } from '@bufbuild/protobuf';
import type { FilterSchema } from '@qdrant/js-client-grpc';
import type { ShardKey } from './collection.ts';
import type { Protocol } from './fault.ts';
import { grpcAsker } from './grpc-asker.ts';
import type { QdrantDouble } from './qdrant-double.ts';
import { restAsker } from './rest-asker.ts';
import type { SeenVectors } from './seen-vectors.ts';

/** A read as a test asks for it, in either protocol. Payloads and vectors are asked for unless it says otherwise. */
export interface Read {
  readonly collection: string;
  readonly limit?: number;
  readonly offset?: string;
  /** A filter in REST's form; gRPC takes the message of the same meaning. */
  readonly filter?: { readonly rest: string; readonly grpc: MessageInitShape<typeof FilterSchema> };
  readonly shardKey?: ShardKey;
  readonly vectors?: boolean | readonly string[];
  readonly payload?: boolean;
  readonly consistency?: 'all' | 'majority' | 'quorum' | number;
  readonly timeoutSeconds?: number;
}

export interface AskedPoint {
  readonly id: string;
  /** Canonical JSON, or undefined where there is none. */
  readonly payload: string | undefined;
  readonly vectors: SeenVectors;
  readonly shardKey: ShardKey | undefined;
}

export interface AskedPage {
  readonly points: readonly AskedPoint[];
  readonly next: string | undefined;
}

/** A plain client of a double, by which tests ask both protocols the same. Rejects with Refused. */
export interface Asker {
  readonly protocol: Protocol;
  scroll(read: Read): Promise<AskedPage>;
  retrieve(read: Read, ids: readonly string[]): Promise<readonly AskedPoint[]>;
  count(read: Read): Promise<number>;
  close(): void;
}

/** REST and gRPC. */
export function askersOf(double: QdrantDouble): readonly [Asker, Asker] {
  return [restAsker(double), grpcAsker(double)];
}
