import type { PointSet } from './transport.ts';

export interface UnaryCall {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** The request message, without its prefix. */
  readonly message: Uint8Array;
  readonly deadlineMs: number;
  /** What the call is for, in the words of an error: "read 100 points of collection `x`". */
  readonly purpose: string;
  /** The points that are read, if any are: an error may be about them. */
  readonly points?: PointSet;
  /** Whether asking for fewer points could help where the answer is too large or too late. */
  readonly divisible: boolean;
}

/** Headers of an answer, its trailers with them. */
export type Headers = Readonly<Record<string, string | string[] | number | undefined>>;

/** Why an answer is not one whole uncompressed message. */
export type AnswerProblem =
  | { readonly kind: 'compressed' }
  | { readonly kind: 'too large'; readonly bytes: number }
  | { readonly kind: 'more than one message' }
  | { readonly kind: 'cut off'; readonly bytes: number };
