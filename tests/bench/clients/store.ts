/*
 * Puts an object of so many bytes into a store and reads it back, hashing it both times as a run does, and prints
 * what each took: the store alone, without an export around it.
 *
 *   STORE='{"kind":"s3",…}' bun tests/bench/clients/store.ts BYTES
 */
import { readBack } from '../../../lib/run/read-back.ts';
import { Secret } from '../../../lib/secret.ts';
import { startSha256 } from '../../../lib/sha256.ts';
import { s3Destination } from '../../../lib/storage/s3/s3.ts';
import type { ByteStream, Destination } from '../../../lib/storage/storage.ts';
import { supabaseDestination } from '../../../lib/storage/supabase/supabase.ts';
import { supabaseS3 } from '../../../lib/storage/supabase/supabase-s3.ts';

/** How the store is reached. */
export type StoreAddress =
  | { readonly kind: 's3' | 'supabase-s3'; readonly s3: Keys; readonly bucket: string }
  | {
      readonly kind: 'supabase';
      readonly url: string;
      readonly serviceKey: string;
      readonly bucket: string;
    };

interface Keys {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** What is printed. */
export interface StoreFigures {
  readonly put: Figures;
  readonly read: Figures;
}

interface Figures {
  readonly seconds: number;
  /** User and system time of this process. */
  readonly cpuSeconds: number;
}

const CHUNK_BYTES = 256 * 1024;

function destinationAt(address: StoreAddress): Destination {
  const { bucket } = address;
  if (address.kind === 'supabase') {
    const { url, serviceKey } = address;
    const rest = { s3: undefined, createBucket: false, dryRun: false };
    return supabaseDestination({ url, bucket, serviceKey: new Secret(serviceKey), ...rest });
  }
  const { endpoint, region, accessKeyId, secretAccessKey } = address.s3;
  const keys = { accessKeyId: new Secret(accessKeyId), secretAccessKey: new Secret(secretAccessKey) };
  const settings = { endpoint, region, bucket, ...keys };
  return address.kind === 's3' ? s3Destination({ ...settings, forcePathStyle: true }) : supabaseS3(settings);
}

/** As the run reads a work file: hashed on a thread, in chunks of one buffer. */
function body(bytes: number): { readonly stream: ByteStream; readonly sha256: Promise<string> } {
  const sha256 = Promise.withResolvers<string>();
  const hash = startSha256(bytes);
  const chunk = crypto.getRandomValues(new Uint8Array(CHUNK_BYTES).subarray(0, 65_536));
  const whole = new Uint8Array(CHUNK_BYTES);
  for (let at = 0; at < whole.length; at += chunk.length) whole.set(chunk, at);
  let left = bytes;
  const stream: ByteStream = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        if (left === 0) {
          hash.digest().then(sha256.resolve, sha256.reject);
          return controller.close();
        }
        const next = whole.subarray(0, Math.min(left, whole.length));
        await hash.update(next);
        left -= next.length;
        controller.enqueue(next);
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, sha256: sha256.promise };
}

async function measured<T>(work: () => Promise<T>): Promise<Figures & { readonly result: T }> {
  const [start, before] = [performance.now(), process.cpuUsage()];
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - start) / 1000, cpuSeconds: (user + system) / 1e6, result };
}

const bytes = Number(process.argv[2]);
const destination = destinationAt(JSON.parse(process.env.STORE ?? ''));
const { signal } = new AbortController();
const key = 'bench/store.parquet';
const { stream, sha256 } = body(bytes);
const { result: receipt, ...put } = await measured(() =>
  destination.put({ key, body: stream, estimatedBytes: bytes, bytes, signal }),
);
const { result: back, ...read } = await measured(() =>
  readBack({ destination, emit: () => {} }, key, receipt, signal),
);
if (back.sha256 !== (await sha256)) throw new Error('What was read back is not what was sent.');
console.log(JSON.stringify({ put, read } satisfies StoreFigures));
