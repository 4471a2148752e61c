import type { QdrantVersion } from './collection.ts';
import type { Service } from './service.ts';
import { ServiceError } from './service-error.ts';
import type { Recorder } from './stats.ts';

/** What both servers of a double share. */
export interface ServerContext {
  readonly version: QdrantVersion;
  readonly service: Service;
  readonly recorder: Recorder;
  readonly apiKey: string | undefined;
  readonly readOnlyKey: string | undefined;
  /** Every answer waits this long. */
  readonly latencyMs: number;
  readonly pointsPerSecond: number | undefined;
  readonly tls: { readonly key: string; readonly cert: string } | undefined;
}

/** A running server. */
export interface RunningServer {
  readonly port: number;
  /** Cuts all connections and returns once nothing listens any more. */
  stop(): Promise<void>;
}

export const SERVER_TITLE = 'qdrant - vector search engine';

export const SERVER_COMMITS = {
  '1.16.3': 'bd49f45a8a2d4e4774cac50fa29507c4e8375af2',
  '1.18.3': 'db8fa43fcb6aedec1e739487e17a99731b74590a',
} as const;

/** Throws what Qdrant answers to a wrong key, or none; returns what the right one allows. */
export function authorise(
  context: ServerContext,
  header: (name: string) => string | undefined,
): 'read' | 'manage' {
  const { apiKey, readOnlyKey } = context;
  if (apiKey === undefined && readOnlyKey === undefined) return 'manage';
  const given = header('api-key') ?? header('authorization')?.replace(/^Bearer +/i, '');
  if (given === undefined) {
    throw new ServiceError('unauthenticated', 'Must provide an API key or an Authorization bearer token');
  }
  if (given === apiKey) return 'manage';
  if (given === readOnlyKey) return 'read';
  throw new ServiceError('unauthenticated', 'Invalid API key or JWT');
}
