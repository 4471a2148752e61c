import { messageOf, ToolError } from '../../errors.ts';
import { retry } from '../../retry.ts';
import type { Limits } from '../attempt.ts';
import { contentTypeOf } from '../content-type.ts';
import { bodyTimeoutMs, cleanUp } from '../patience.ts';
import { SETTLING } from '../publication.ts';
import type { ExpectedObject, UploadLog } from '../storage.ts';
import { refusalIn } from './supabase-errors.ts';
import { markMetadata, objectInfo } from './supabase-info.ts';
import { supabaseObjectCalls } from './supabase-object-calls.ts';
import type { SupabasePublication } from './supabase-publication.ts';

/** Supabase's limit for an upload in one request. */
export const STANDARD_BYTES = 6 * 1024 * 1024;

export interface PutStandard {
  readonly bytes: number;
  /** Without quotes. */
  readonly etag: string;
}

const NOBODYS = 'Another writer may have replaced it; export again.';

/** Times that the body is sent, when what is there has its size and other bytes. */
const SENDINGS = 2;

/** A body, and what its object is known again by. */
interface Sending {
  readonly body: Uint8Array<ArrayBuffer>;
  /** Both of Supabase's backends give an object that was sent in one piece its MD5 as entity tag. */
  readonly md5: string;
  /** Tells what was damaged on the way from what another writer has put there since. */
  readonly mark: string;
}

/**
 * One request for a body of at most STANDARD_BYTES. The store compares nothing with what was sent, so it is read back and
 * compared here; what was damaged twice is removed. The request is not cut when the run is cancelled, but given `graceMs`:
 * resolves when the object is there then.
 */
export async function putStandard(
  body: Uint8Array<ArrayBuffer>,
  to: SupabasePublication,
  log: UploadLog | undefined,
): Promise<PutStandard> {
  const md5 = new Bun.CryptoHasher('md5').update(body).digest('hex');
  const expected: ExpectedObject = { bytes: body.length, etag: md5 };
  const sending: Sending = { body, md5, mark: crypto.randomUUID() };
  await log?.publishing(expected);
  for (let times = 1; ; times++) {
    await send(sending, to);
    const found = await settled(sending, to);
    if (found.kind === 'same') return found.object;
    if (found.kind === 'damaged' && times < SENDINGS) continue;
    throw await otherBytes(found, sending, to);
  }
}

/** Resolves when the bytes are there, though the answer may have said otherwise or been lost. */
async function send(sending: Sending, to: SupabasePublication): Promise<void> {
  const limits = { ...to.decisive, timeoutMs: bodyTimeoutMs(sending.body.length, to.patience) };
  // Whether some request was sent whose end nobody knows.
  let open = false;
  const attempt = async () => {
    try {
      await upload(sending, to, limits);
    } catch (error) {
      const status = refusalIn(error)?.status ?? 500;
      if (status >= 500) open = true;
      throw error;
    }
  };
  try {
    await retry(attempt, limits.signal, to.policy, to.onRetry);
  } catch (error) {
    if (!open || (await isThere(sending, to)) === undefined) throw error;
  }
}

async function upload(
  { body, mark }: Sending,
  { session, key, location }: SupabasePublication,
  limits: Limits,
): Promise<void> {
  const about = { contentType: contentTypeOf(key), cacheControl: '0', metadata: markMetadata(mark) };
  await session.call(`Cannot write ${location}`, limits, (storage) =>
    storage.from(session.bucket).upload(addressOf(key), body, { ...about, upsert: true }),
  );
}

/** supabase-js encodes nothing of a key, and drops empty parts of it. */
function addressOf(key: string): string {
  const parts = key.split('/');
  return parts
    .map((part, at) => {
      const slash = parts[at - 1] === '' || (part === '' && at === parts.length - 1) ? '%2F' : '/';
      return `${at === 0 ? '' : slash}${encodeURIComponent(part)}`;
    })
    .join('');
}

type Found =
  | { readonly kind: 'same'; readonly object: PutStandard }
  /** What was sent, and not those bytes. */
  | { readonly kind: 'damaged'; readonly bytes: number; readonly etag: string }
  /** Another writer's. */
  | { readonly kind: 'other'; readonly bytes: number; readonly etag: string };

/** What the key holds after it was written. */
async function settled(sending: Sending, to: SupabasePublication): Promise<Found> {
  const { limits } = to;
  try {
    return await retry(() => look(sending, to, limits), limits.signal, to.policy, to.onRetry);
  } catch (error) {
    const object = limits.signal.aborted ? await isThere(sending, to) : undefined;
    if (object !== undefined) return { kind: 'same', object };
    if (limits.signal.aborted) throw error;
    const text = `Wrote ${to.location} but could not read it back to compare it: ${messageOf(error)}`;
    throw new ToolError('store', text, { cause: error });
  }
}

/** The object, where the key holds exactly that body; one step of cleaning up. Never rejects. */
async function isThere(sending: Sending, to: SupabasePublication): Promise<PutStandard | undefined> {
  try {
    const found = await cleanUp(to.patience, to.limits.signal, 1, (limits) =>
      retry(() => look(sending, to, limits), limits.signal, SETTLING),
    );
    return found.kind === 'same' ? found.object : undefined;
  } catch {
    return undefined;
  }
}

async function look(
  { body, md5, mark }: Sending,
  { session, key, location }: SupabasePublication,
  limits: Limits,
): Promise<Found> {
  const failed = `Cannot read ${location}`;
  const object = await objectInfo(session, key, failed, limits);
  if (object === undefined) throw new ToolError('store', `${location} is not there.`, { remedy: 'again' });
  const { bytes, etag } = object;
  const isOurs = object.mark === mark;
  // Of a server that keeps no marks nobody knows: what has another length was never sent.
  const kind = isOurs || (object.mark === undefined && bytes === body.length) ? 'damaged' : 'other';
  if (bytes !== body.length) return { kind, bytes, etag };
  const back = new Uint8Array(bytes);
  if (bytes > 0) await supabaseObjectCalls(session).read(key, object, 0, back, limits);
  if (Buffer.compare(back, body) === 0) return { kind: 'same', object: { bytes, etag } };
  if (etag !== md5) return { kind, bytes, etag };
  // The store has the right bytes by its own word: these were damaged on their way back.
  throw new ToolError('store', `${failed}: other bytes came than its ETag says.`, { remedy: 'again' });
}

/** The error for what is not what was sent. */
async function otherBytes(
  { kind, bytes, etag }: Exclude<Found, { kind: 'same' }>,
  { body, md5, mark }: Sending,
  to: SupabasePublication,
): Promise<ToolError> {
  const figures = `${bytes} bytes with ETag ${etag} are there, ${body.length} bytes with MD5 ${md5} were sent.`;
  const said = `${to.location} is not what was sent: ${figures}`;
  switch (kind) {
    case 'other':
      return new ToolError('integrity', `${said} ${NOBODYS}`);
    case 'damaged':
      return new ToolError('integrity', `${said} ${await removal(mark, to)}`);
  }
}

/** What becomes of it: it is removed where it is still the one that was sent. */
async function removal(mark: string, to: SupabasePublication): Promise<string> {
  const { session, key, location, policy } = to;
  try {
    return await cleanUp(to.patience, to.limits.signal, 1, (limits) => {
      const remove = async () => {
        const now = await objectInfo(session, key, `Cannot read ${location}`, limits);
        if (now !== undefined && now.mark !== mark) return `${NOBODYS} Do not use it before that.`;
        await supabaseObjectCalls(session).remove(key, limits);
        return 'It was removed; export again.';
      };
      return retry(remove, limits.signal, policy);
    });
  } catch (error) {
    return `It could not be removed (${messageOf(error)}); do not use it, and export again.`;
  }
}
