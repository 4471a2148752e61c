import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RECORDINGS } from './recorded-collections.ts';

export interface RestExchange {
  readonly name: string;
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly headers?: Record<string, string>;
    readonly body?: string;
    readonly bodyBytes?: number;
  };
  readonly response: {
    readonly status: number;
    readonly headers: Record<string, string>;
    readonly body: string;
  };
}

export interface GrpcExchangeRecording {
  readonly name: string;
  readonly method: string;
  readonly request: { readonly metadata?: Record<string, string>; readonly base64: string };
  readonly response: {
    readonly headers: Record<string, string | number>;
    readonly messages: readonly { readonly compressed: number; readonly data: string }[];
    readonly trailers: Record<string, string>;
  };
}

/** The content of a recording, by its path in the folder. */
export function readRecording<T>(...path: string[]): T {
  return JSON.parse(readFileSync(join(RECORDINGS, ...path), 'utf8')) as T;
}
