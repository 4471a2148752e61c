import { createClient } from '@supabase/supabase-js';
import { type SupabaseDouble, startSupabaseDouble } from './supabase-double/supabase-double.ts';

/** A Supabase Storage that tests write to, be it the double or a real one, below a prefix of their own. */
export interface SupabaseStore {
  readonly url: string;
  readonly bucket: string;
  readonly serviceKey: string;
  /** Prefix of all that tests write. */
  readonly root: string;
  /** Undefined for a real one, which makes no faults and tells no secrets. */
  readonly double: SupabaseDouble | undefined;
  /** Ways in that there are keys for. */
  readonly doors: readonly Door[];
  /** Keys that no output may show. */
  readonly secrets: readonly string[];
  /** Variables of a program that goes in by this door. */
  env(door: Door): Readonly<Record<string, string>>;
  /** Undefined where there is no such object. */
  bytes(key: string): Promise<Uint8Array | undefined>;
  /** All keys that begin with the prefix and a slash, in order. */
  keysUnder(prefix: string): Promise<readonly string[]>;
  /** Removes all that is below the root. */
  stop(): Promise<void>;
}

/** `REST` is a standard upload of what is small, and a resumable one of everything else. */
export type Door = 'REST' | 'S3 keys' | 'S3 session';

const DOORS: readonly Door[] = ['REST', 'S3 keys', 'S3 session'];

/** Whether a real Supabase Storage is set to be tested against. */
export const IS_REAL = (process.env.SUPABASE_TEST_URL ?? '') !== '';

interface Access {
  readonly url: string;
  readonly bucket: string;
  readonly serviceKey: string;
  readonly anonKey: string | undefined;
  readonly s3:
    | { readonly id: string; readonly secret: string; readonly region: string | undefined }
    | undefined;
}

/**
 * The Storage that SUPABASE_TEST_URL names, with SUPABASE_TEST_SERVICE_ROLE_KEY, and where they are set
 * SUPABASE_TEST_BUCKET (`backups`), SUPABASE_TEST_S3_ACCESS_KEY_ID, SUPABASE_TEST_S3_SECRET_ACCESS_KEY, SUPABASE_TEST_S3_REGION and
 * SUPABASE_TEST_ANON_KEY, which open the other doors; a double where it is not set.
 */
export async function startSupabaseStore(): Promise<SupabaseStore> {
  const root = `exporter-supabase-test-${crypto.randomUUID()}`;
  return IS_REAL ? storeOf(realAccess(), root, undefined) : await startDoubleStore(root);
}

/** For what no real Storage does when it is told. */
export async function startDoubleStore(
  root = 'exports',
): Promise<SupabaseStore & { readonly double: SupabaseDouble }> {
  const double = await startSupabaseDouble();
  const { url, bucket, keys, s3 } = double;
  const pair = s3 && { id: s3.accessKeyId, secret: s3.secretAccessKey, region: s3.region };
  const access = { url, bucket, serviceKey: keys.service, anonKey: s3 && keys.anon, s3: pair };
  return { ...storeOf(access, root, double), double };
}

function realAccess(): Access {
  const read = (name: string) => process.env[`SUPABASE_TEST_${name}`] || undefined;
  const [url, serviceKey] = [read('URL'), read('SERVICE_ROLE_KEY')];
  if (url === undefined || serviceKey === undefined) {
    throw new Error('SUPABASE_TEST_URL is set; SUPABASE_TEST_SERVICE_ROLE_KEY is wanted beside it.');
  }
  const [id, secret] = [read('S3_ACCESS_KEY_ID'), read('S3_SECRET_ACCESS_KEY')];
  const s3 = id === undefined || secret === undefined ? undefined : { id, secret, region: read('S3_REGION') };
  return { url, bucket: read('BUCKET') ?? 'backups', serviceKey, anonKey: read('ANON_KEY'), s3 };
}

function storeOf(access: Access, root: string, double: SupabaseDouble | undefined): SupabaseStore {
  const { url, bucket, serviceKey, anonKey, s3 } = access;
  const isOpen = { REST: true, 'S3 keys': s3 !== undefined, 'S3 session': anonKey !== undefined };
  const objects = objectsOf(access);
  // The anon key is a secret of nobody's, but as the secret half of S3 credentials it is not for showing either.
  const secrets = [serviceKey, anonKey, s3?.id, s3?.secret, ...Object.values(double?.keys ?? {})];
  return {
    url,
    bucket,
    serviceKey,
    root,
    double,
    doors: DOORS.filter((door) => isOpen[door]),
    secrets: [...new Set(secrets.flatMap((secret) => (secret === undefined ? [] : [secret])))],
    env: (door) => ({
      SUPABASE_URL: url,
      SUPABASE_SERVICE_ROLE_KEY: serviceKey,
      SUPABASE_STORAGE_BUCKET: bucket,
      ...keysOf(access, door),
    }),
    ...objects,
    async stop() {
      if (double === undefined) await objects.removeAll(root);
      else await double.stop();
    },
  };
}

function keysOf({ s3, anonKey }: Access, door: Door): Readonly<Record<string, string>> {
  switch (door) {
    case 'REST':
      return {};
    case 'S3 session':
      return anonKey === undefined ? {} : { SUPABASE_ANON_KEY: anonKey };
    case 'S3 keys':
      return {
        ...(s3 && { SUPABASE_S3_ACCESS_KEY_ID: s3.id, SUPABASE_S3_SECRET_ACCESS_KEY: s3.secret }),
        ...(s3?.region && { SUPABASE_S3_REGION: s3.region }),
      };
  }
}

/** Entries a page of a folder. */
const PAGE = 100;

/** What lies in the bucket, by Supabase's own client. */
function objectsOf({ url, bucket, serviceKey }: Access) {
  const from = createClient(url, serviceKey, { auth: { persistSession: false } }).storage.from(bucket);

  async function bytes(key: string): Promise<Uint8Array | undefined> {
    const { data, error } = await from.download(key);
    if (data !== null) return await data.bytes();
    const { statusCode } = error as unknown as { statusCode?: string };
    if (statusCode === '404' || /not.?found/i.test(error.message)) return undefined;
    throw error;
  }

  async function keysIn(folder: string): Promise<readonly string[]> {
    const keys: string[] = [];
    for (let offset = 0; ; offset += PAGE) {
      const { data, error } = await from.list(folder, { limit: PAGE, offset });
      if (error !== null) throw error;
      for (const { name, id } of data) {
        const path = `${folder}/${name}`;
        // What has no id is a folder.
        if (id === null) keys.push(...(await keysIn(path)));
        else keys.push(path);
      }
      if (data.length < PAGE) return keys;
    }
  }

  return {
    bytes,
    keysUnder: async (prefix: string) => (await keysIn(prefix)).toSorted(),
    async removeAll(prefix: string): Promise<void> {
      const keys = [...(await keysIn(prefix))];
      while (keys.length > 0) {
        const { error } = await from.remove(keys.splice(0, PAGE));
        if (error !== null) throw error;
      }
    },
  };
}
