import { messageOf, type Remedy, ToolError } from '../../errors.ts';
import { parseRetryAfter } from '../../retry.ts';
import type { Secret } from '../../secret.ts';
import { type Answer, type Meaning, meaningOf } from './supabase-meaning.ts';
import {
  connectionSentence,
  isTlsCode,
  notSupabase,
  refusalSentence,
  type Sentence,
  type SupabaseWords,
} from './supabase-sentences.ts';

/** An answer that is none of 2xx. */
export class Refusal extends Error implements Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly text: string;
  readonly foreign: boolean;
  readonly location: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(answer: Answer, retryAfterMs: number | undefined) {
    super(answer.text);
    this.status = answer.status;
    this.code = answer.code;
    this.text = answer.text;
    this.foreign = answer.foreign;
    this.location = answer.location;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Bytes of a refusal's body that are looked at. */
const BODY_BYTES = 64 * 1024;

/**
 * Reads what the answer to a request of that method says, and lets go of it. Never rejects. `hidden` is taken out of
 * every text.
 */
export async function readRefusal(answer: Response, method: string, hidden?: Secret): Promise<Refusal> {
  const shown = (text: string) => (hidden === undefined ? text : text.replaceAll(hidden.reveal(), '***'));
  const retryAfterMs = parseRetryAfter(answer.headers.get('retry-after'));
  const body = shown((await bodyText(answer)).trim());
  const said = jsonOf(body);
  const code = typeof said?.code === 'string' && said.code !== '' ? said.code : undefined;
  const message = typeof said?.message === 'string' ? said.message : undefined;
  // Supabase answers with JSON that has a message, or (resumable uploads) with a plain text; but to a HEAD.
  const isOther = said === undefined ? body === '' && method !== 'HEAD' : message === undefined;
  const status = Number(said?.statusCode);
  return new Refusal(
    {
      status: status >= 300 && status <= 599 ? status : answer.status,
      code,
      text: message ?? body,
      foreign: isOther || body.startsWith('<') || /\bhtml\b/.test(answer.headers.get('content-type') ?? ''),
      location: shown(answer.headers.get('location') ?? '') || undefined,
    },
    retryAfterMs,
  );
}

/** The refusal behind an error that `supabaseError` made, if any. */
export function refusalIn(error: unknown): Refusal | undefined {
  const cause = error instanceof ToolError ? error.cause : error;
  return cause instanceof Refusal ? cause : undefined;
}

/** No bucket, or none that the key may see. */
export function isNoSuchBucket(error: unknown): boolean {
  return means(error, 'no bucket');
}

/** No object under the key, or none that the credential may see. */
export function isNoSuchObject(error: unknown): boolean {
  return means(error, 'no object');
}

/** Larger than the bucket or the project allows. */
export function isTooLarge(error: unknown): boolean {
  return means(error, 'too large');
}

/** A resumable upload that is gone: finished long ago, expired, removed, or never begun. */
export function isUploadGone(error: unknown): boolean {
  return means(error, 'no upload');
}

/** A resumable upload stands at another offset than the request's: ask where, and go on from there. */
export function isOffsetConflict(error: unknown): boolean {
  return means(error, 'offset');
}

/** There is an object, or a bucket, of the name: another upload won, or this one was finished before. */
export function isTaken(error: unknown): boolean {
  return means(error, 'taken');
}

/** Turns what was thrown into the error that a user sees and `retry` understands. */
export function supabaseError(thrown: unknown, words: SupabaseWords): ToolError {
  const { code, text, remedy } = explain(thrown, words);
  return new ToolError(code, `${words.failed}: ${text}`, {
    cause: thrown,
    remedy,
    retryAfterMs: thrown instanceof Refusal ? thrown.retryAfterMs : undefined,
  });
}

function explain(thrown: unknown, words: SupabaseWords): Sentence & { readonly remedy: Remedy } {
  if (thrown instanceof Refusal) {
    const meaning = meaningOf(thrown);
    return { ...refusalSentence(meaning, thrown, words), remedy: isPassing(meaning) ? 'again' : 'none' };
  }
  const code = codeOf(thrown);
  if (code !== undefined) {
    // Nothing can make two ends agree on TLS that do not.
    const remedy = isTlsCode(code) ? 'none' : 'again';
    return { code: 'store', text: connectionSentence(code, thrown, words), remedy };
  }
  // A 2xx that is not JSON.
  if (thrown instanceof SyntaxError) {
    return { code: 'store', text: notSupabase(words.url, 'no JSON'), remedy: 'none' };
  }
  return { code: 'store', text: messageOf(thrown), remedy: 'none' };
}

/** Whether the same request may go well later. */
function isPassing(meaning: Meaning): boolean {
  return meaning === 'failing' || meaning === 'throttled' || meaning === 'locked';
}

function means(error: unknown, meaning: Meaning): boolean {
  const refusal = refusalIn(error);
  return refusal !== undefined && meaningOf(refusal) === meaning;
}

/** The system's code of a connection that failed. */
function codeOf(thrown: unknown): string | undefined {
  const code = thrown instanceof Error ? (thrown as { readonly code?: unknown }).code : undefined;
  return typeof code === 'string' && code !== '' ? code : undefined;
}

async function bodyText(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of answer.body ?? []) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= BODY_BYTES) break;
    }
  } catch {
    // What came of it has to do.
  }
  return Buffer.concat(chunks).toString();
}

function jsonOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
