import type { CollectionShape, VectorSpec } from './model.ts';

/** What shapes the data of an export, by the names of the flags in camel case. */
export type ManifestOptions = Readonly<Record<string, string | number | boolean | readonly string[] | null>>;

export interface ManifestCounts {
  /** Exact counts before the first point was read and after the last. */
  readonly before: number;
  readonly after: number;
  /** Ids that scroll gave. */
  readonly idsSeen: number;
  readonly rows: number;
  /** Ids that retrieve left out: deleted meanwhile. */
  readonly missing: number;
  /** Rows without the vector, by column. */
  readonly emptyVectors: Readonly<Record<string, number>>;
  /** Rows whose key came from the payload, and rows whose key a row before has; null without a key column. */
  readonly keysFromPayload: number | null;
  readonly duplicateKeys: number | null;
  /** Whether duplicateKeys was counted, or estimated from a sample. */
  readonly duplicateKeysExact: boolean | null;
}

export interface ManifestFile {
  readonly key: string;
  readonly bytes: number;
  /** In hex. */
  readonly sha256: string;
  readonly rows: number;
  readonly rowGroups: number;
  /** The store's entity tag, without quotes; null for a local file. */
  readonly etag: string | null;
}

/** What was exported: the document that lies beside every export. */
export interface Manifest {
  /** Version of this document's form. */
  readonly manifest: 1;
  readonly tool: { readonly name: string; readonly version: string };
  /** The collection's own name. */
  readonly collection: string;
  /** The alias that it was asked for by, or null. */
  readonly alias: string | null;
  readonly serverVersion: string;
  readonly collectionConfig: unknown;
  /** Those that the file has. */
  readonly vectors: readonly VectorSpec[];
  readonly options: ManifestOptions;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly counts: ManifestCounts;
  readonly files: readonly ManifestFile[];
  /** A sentence each: what differs from what was counted, and what Qdrant itself or the schema changed. */
  readonly warnings: readonly string[];
}

export interface ManifestFacts
  extends Omit<
    Manifest,
    'manifest' | 'collection' | 'alias' | 'serverVersion' | 'collectionConfig' | 'vectors'
  > {
  /** With the exported vectors alone. */
  readonly shape: CollectionShape;
}

export function manifestOf({ shape, ...facts }: ManifestFacts): Manifest {
  const { tool, options, startedAt, finishedAt, counts, files, warnings } = facts;
  return {
    manifest: 1,
    tool,
    collection: shape.collection,
    alias: shape.name === shape.collection ? null : shape.name,
    serverVersion: shape.serverVersion,
    collectionConfig: JSON.parse(shape.config) as unknown,
    vectors: shape.vectors,
    options,
    startedAt,
    finishedAt,
    counts,
    files,
    warnings,
  };
}

/** The document's bytes: JSON with a line for each member, for people too. */
export function manifestBytes(manifest: Manifest): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`);
}
