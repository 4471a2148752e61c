import { join } from 'node:path';

const FOLDER = join(import.meta.dir, '..', '..', 'recordings', 'supabase');

/** An exchange with a real Supabase Storage: tests/recordings/supabase/README.md. */
export interface RecordedExchange {
  readonly name: string;
  readonly note?: string;
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: string;
    readonly bodyBase64?: string;
    readonly bodyDescription?: string;
    readonly transfer?: string;
  };
  readonly response: RecordedAnswer;
}

export interface RecordedAnswer {
  /** Undefined where the client cut the connection. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly bodyBase64?: string;
  readonly bodyDescription?: string;
  readonly bodyNames?: readonly string[];
}

export interface RecordedDialogue {
  readonly name: string;
  readonly exchanges: readonly RecordedExchange[];
}

interface Recording {
  readonly exchanges?: readonly RecordedExchange[];
  readonly dialogues?: readonly RecordedDialogue[];
}

/** A file's dialogues, headers and abbreviations filled in; rest.json is one of them. */
export async function recordedDialogues(file: string): Promise<readonly RecordedDialogue[]> {
  const loader: { load(path: string): Recording } = await import(join(FOLDER, 'load.mjs'));
  const { exchanges, dialogues } = loader.load(join(FOLDER, file));
  return dialogues ?? [{ name: '', exchanges: exchanges ?? [] }];
}

interface RecordedDifference {
  readonly section: string;
  readonly dialogue?: string;
  readonly name: string;
  readonly s3: RecordedAnswer;
}

/** The same dialogues, as a server answered that keeps its bytes in an S3 store. */
export async function recordedOverS3(section: 'rest' | 'tus' | 's3'): Promise<readonly RecordedDialogue[]> {
  const { differences }: { readonly differences: readonly RecordedDifference[] } = await Bun.file(
    join(FOLDER, 'backend-s3.json'),
  ).json();
  return (await recordedDialogues(`${section}.json`)).map((dialogue) => ({
    ...dialogue,
    exchanges: dialogue.exchanges.map((exchange) => {
      const other = differences.find(
        (difference) =>
          difference.section === section &&
          (difference.dialogue ?? '') === dialogue.name &&
          difference.name === exchange.name,
      );
      const response = other === undefined ? exchange.response : filledIn(other.s3, exchange.response);
      return { ...exchange, response: withExpiry(response, exchange.request.method) };
    }),
  }));
}

/** Headers that are always the same are left out there, the abbreviations are those of s3.json. */
function filledIn(answer: RecordedAnswer, overFiles: RecordedAnswer): RecordedAnswer {
  const body = answer.body
    ?.replace('{xml}', '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>')
    .replace('{ns}', ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"');
  const { 'content-type': type, 'tus-resumable': tus } = overFiles.headers ?? {};
  const written = body === undefined || body === '' ? tus && type : typeOf(body, type);
  return {
    ...answer,
    ...(body === undefined ? {} : { body }),
    headers: {
      ...(written === undefined ? {} : { 'content-type': written }),
      ...(tus === undefined ? {} : { 'tus-resumable': tus }),
      ...answer.headers,
    },
  };
}

/**
 * The general differences that the recording names: unfinished uploads tell when they end, and addresses begin with
 * https://.
 */
function withExpiry(answer: RecordedAnswer, method: string): RecordedAnswer {
  const { status, headers = {} } = answer;
  if (headers['tus-resumable'] === undefined) return answer;
  if (status !== 201 && !(status === 204 && method === 'PATCH')) return answer;
  const more: Record<string, string> = {};
  if (headers.location !== undefined) more.location = headers.location.replace(/^http:/, 'https:');
  if (headers['tus-complete'] === undefined) more['upload-expires'] = 'Sun, 22 Nov 2026 16:17:32 GMT';
  return { ...answer, headers: { ...headers, ...more } };
}

function typeOf(body: string, type: string | undefined): string | undefined {
  if (body.startsWith('{')) return 'application/json; charset=utf-8';
  return body.startsWith('<?xml') ? 'application/xml; charset=utf-8' : type;
}

/** Byte i of the recorded files. */
export function recordedPattern(from: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) {
    const i = from + at;
    bytes[at] = 7 * i + (i >> 8) + 13 * (i >> 16);
  }
  return bytes;
}

/** `<255 x s>` and the like in paths and bodies. */
export function unabbreviated(text: string): string {
  return text
    .replace(/<(\d+) x (\w)>/g, (_, count: string, char: string) => char.repeat(Number(count)))
    .replace(/<(\d+) characters: 99 x k and a slash, repeated>/g, (_, count: string) =>
      `${'k'.repeat(99)}/`.repeat(Math.ceil(Number(count) / 100)).slice(0, Number(count)),
    );
}

/** What a request or an answer carried; undefined where only a description was kept that says too little. */
export function recordedBytes(
  { body, bodyBase64, bodyDescription }: Pick<RecordedAnswer, 'body' | 'bodyBase64' | 'bodyDescription'>,
  note = '',
): Uint8Array<ArrayBuffer> | undefined {
  if (body !== undefined) return new Uint8Array(Buffer.from(unabbreviated(body)));
  if (bodyBase64 !== undefined) return new Uint8Array(Buffer.from(bodyBase64, 'base64'));
  if (bodyDescription === undefined) return new Uint8Array(0);
  const length = Number(/^<(\d+) bytes/.exec(bodyDescription)?.[1]);
  if (bodyDescription.includes('0123456789 repeated')) {
    return new Uint8Array(Buffer.from('0123456789'.repeat(length / 10)));
  }
  if (!/^<\d+ bytes of pattern(>|, md5|, file|, aws-chunked)/.test(bodyDescription)) return undefined;
  const from = /file bytes (\d+) to/.exec(bodyDescription)?.[1] ?? /^bytes (\d+) to/.exec(note)?.[1] ?? 0;
  return recordedPattern(Number(from), length);
}
