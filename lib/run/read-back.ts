import { crc32 } from 'node:zlib';
import { messageOf, ToolError } from '../errors.ts';
import type { ExportParts } from '../plan.ts';
import { startSha256 } from '../sha256.ts';
import type { Objects, Receipt } from '../storage/storage.ts';
import type { EncodedUnit } from '../writers/format.ts';
import { hashStream } from './hash-stream.ts';

type Parts = Pick<ExportParts<EncodedUnit>, 'destination' | 'emit'>;

/** What tells the bytes of an object: in the last process of a stream that several made, its CRC-32 alone is known. */
export type Proof =
  | { readonly kind: 'sha256'; readonly sha256: string }
  | { readonly kind: 'crc32'; readonly crc32: number | undefined };

/** What a read object has. */
export interface ReadBack {
  readonly sha256: string;
  readonly crc32: number;
}

/** Hashes of a published object, read from the store. */
export async function readBack(
  { destination, emit }: Parts,
  key: string,
  { bytes, etag, location }: Receipt,
  signal: AbortSignal,
): Promise<ReadBack> {
  emit({ kind: 'phase', phase: 'verify', total: bytes });
  const body = await destination.objects?.open(key, etag, signal);
  if (body === undefined) {
    throw new ToolError('store', `Cannot read ${location} back to compute its SHA-256: it is not there.`);
  }
  const hash = startSha256(bytes);
  let crc = 0;
  try {
    const read = await hashStream(hash, body, signal, (chunk, done) => {
      crc = crc32(chunk, crc);
      emit({ kind: 'progress', rows: 0, bytes: done });
    });
    if (read === bytes) return { sha256: await hash.digest(), crc32: crc };
    throw new ToolError('integrity', `${location} has ${read} bytes where ${bytes} were sent.`);
  } finally {
    hash.close();
  }
}

/** Where the store compares nothing with what was sent: as compareRead. */
export async function compareStored(
  parts: Parts,
  key: string,
  receipt: Receipt,
  sha256: string,
  signal: AbortSignal,
): Promise<void> {
  if (parts.destination.unverified === undefined) return;
  await compareRead(parts, key, receipt, { kind: 'sha256', sha256 }, signal);
}

/**
 * Reads the object back and resolves to its SHA-256 in hex; rejects with 'integrity' when it is not the one that was sent.
 * The object is removed then, unless another run replaced it meanwhile.
 */
export async function compareRead(
  parts: Parts,
  key: string,
  receipt: Receipt,
  proof: Proof,
  signal: AbortSignal,
): Promise<string> {
  const { objects } = parts.destination;
  if (objects === undefined) throw new Error('What cannot be read back cannot be compared.');
  const found = await readOrDiffers(parts, key, receipt, proof, signal);
  if (!(found instanceof ToolError)) return found.sha256;
  const becameOf = await removeIfOurs(objects, key, receipt, signal);
  switch (becameOf.kind) {
    case 'another':
      throw new ToolError(
        'store',
        `Cannot compare ${receipt.location} with what was sent: another run replaced or removed it meanwhile.`,
        { cause: found },
      );
    case 'removed':
      throw new ToolError('integrity', `${found.message} It was removed: run the export again.`, {
        cause: found,
      });
    case 'stays':
      throw new ToolError(
        'integrity',
        `${found.message} It must not be used, and could not be removed: ${becameOf.why}`,
        { cause: found },
      );
  }
}

/** The error where it is not what was sent. Rejects where it cannot be read. */
async function readOrDiffers(
  parts: Parts,
  key: string,
  receipt: Receipt,
  proof: Proof,
  signal: AbortSignal,
): Promise<ReadBack | ToolError> {
  try {
    const found = await readBack(parts, key, receipt, signal);
    const problem = differenceOf(found, proof);
    if (problem === undefined) return found;
    return new ToolError('integrity', `${receipt.location} is not what was sent: read back, ${problem}.`);
  } catch (error) {
    // Of another length, or another object by now.
    if (error instanceof ToolError && error.code === 'integrity') return error;
    throw error;
  }
}

function differenceOf(found: ReadBack, proof: Proof): string | undefined {
  switch (proof.kind) {
    case 'sha256':
      if (found.sha256 === proof.sha256) return undefined;
      return `its SHA-256 is ${found.sha256} where ${proof.sha256} is wanted`;
    case 'crc32':
      if (proof.crc32 === undefined || found.crc32 === proof.crc32) return undefined;
      return `its CRC-32 is ${found.crc32.toString(16)} where ${proof.crc32.toString(16)} is wanted`;
  }
}

type BecameOf =
  | { readonly kind: 'removed' }
  | { readonly kind: 'another' }
  | { readonly kind: 'stays'; readonly why: string };

async function removeIfOurs(
  objects: Objects,
  key: string,
  { etag }: Receipt,
  signal: AbortSignal,
): Promise<BecameOf> {
  try {
    // Asked just before: no store here removes an object only while it has an entity tag.
    for await (const found of objects.list(key, signal)) {
      if (found.key !== key) continue;
      if (found.etag !== etag) return { kind: 'another' };
      await objects.remove(key, signal);
      return { kind: 'removed' };
    }
    return { kind: 'another' };
  } catch (error) {
    return { kind: 'stays', why: messageOf(error) };
  }
}
