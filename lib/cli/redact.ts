import { Secret } from '../secret.ts';
import type { Environment } from './settings/env.ts';

/** Variables that hold secrets, of ours and of the SDK's own chain. */
const SECRET_VARIABLES = [
  'QDRANT_API_KEY',
  'R2_ACCESS_KEY_ID',
  'R2_SECRET_ACCESS_KEY',
  'SUPABASE_SERVICE_ROLE_KEY',
  'SUPABASE_ANON_KEY',
  'SUPABASE_S3_ACCESS_KEY_ID',
  'SUPABASE_S3_SECRET_ACCESS_KEY',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
];

/** Secrets shorter than this are replaced only where they stand alone: anything else would garble the text. */
const SHORT = 6;

/** Replaces every known secret in a text, as it is or as URLs spell it, by `***`. */
export class Redactor {
  readonly #patterns: RegExp[] = [];

  /** From now on `secret` does not pass. */
  hide(secret: Secret): void {
    const text = secret.reveal();
    if (text === '') return;
    for (const spelling of new Set([text, encodeURIComponent(text.toWellFormed()), text.trim()])) {
      const literal = RegExp.escape(spelling);
      const alone = text.length < SHORT ? `(?<![A-Za-z0-9])${literal}(?![A-Za-z0-9])` : literal;
      if (spelling !== '') this.#patterns.push(new RegExp(alone, 'g'));
    }
  }

  hideThoseOf(environment: Environment): void {
    for (const name of SECRET_VARIABLES) {
      const text = environment[name];
      if (text !== undefined) this.hide(new Secret(text));
    }
  }

  redact(text: string): string {
    let clean = text;
    for (const pattern of this.#patterns) clean = clean.replace(pattern, '***');
    return clean;
  }
}

/**
 * A text without what would steer a terminal (control and invisible format characters): names, paths and server
 * messages are others' words. Line ends and tabs stay.
 */
export function printable(text: string): string {
  return text.replace(
    /(?![\n\t])[\p{Cc}\p{Cf}]/gu,
    (letter) => `\\u{${letter.codePointAt(0)?.toString(16)}}`,
  );
}
