import type { ByteWriter } from './byte-writer.ts';
import type { Method } from './fault.ts';
import type { Asked } from './request-record.ts';
import type { ServiceError } from './service-error.ts';
import type { ContentsFault } from './spoiled-page.ts';

/** An answer's contents; `writer` is to be released when the body is sent. */
export interface RestAnswer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly contentEncoding?: string;
  readonly body: Buffer;
  readonly writer?: ByteWriter;
  /** Points in the body that carry vectors, which a real server is slow to print. */
  readonly pointsWithVectors?: number;
  readonly retryAfterSeconds?: number;
}

/** A route, found before anything is computed: what is asked for, of whom, how many points, and how. */
export interface RestCall {
  readonly method: Method;
  readonly collection: string;
  readonly points: number;
  readonly asked?: Asked;
  /** With a fault of the contents, where the answer is to lie. */
  readonly answer: (fault?: ContentsFault) => RestAnswer;
}

/** Any plausible duration: what the server took varies from run to run. */
export const TOOK = '0.000123456';

export function resultText(value: string): string {
  return `{"result":${value},"status":"ok","time":${TOOK}}`;
}

export const JSON_TYPE = 'application/json';

export function jsonAnswer(status: number, text: string): RestAnswer {
  return { status, contentType: JSON_TYPE, body: Buffer.from(text) };
}

export function textAnswer(status: number, text: string): RestAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body: Buffer.from(text) };
}

export function errorAnswer(error: ServiceError, time: string = TOOK): RestAnswer {
  if (error.kind === 'unauthenticated') {
    return { status: 401, contentType: undefined, body: Buffer.from(error.message) };
  }
  return statusAnswer(error.httpStatus, error.message, error.retryAfterSeconds, time);
}

export function statusAnswer(
  status: number,
  message: string,
  retryAfterSeconds?: number,
  time: string = TOOK,
): RestAnswer {
  const text = `{"status":{"error":${JSON.stringify(message)}},"time":${time}}`;
  const answer = jsonAnswer(status, text);
  return retryAfterSeconds === undefined ? answer : { ...answer, retryAfterSeconds };
}
