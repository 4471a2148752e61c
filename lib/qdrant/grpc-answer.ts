import type { AnswerProblem } from './grpc-call.ts';
import { MAX_ANSWER_BYTES } from './transport.ts';

/** Length of the prefix of a gRPC message: one flag byte and a big-endian u32 (PROTOCOL-HTTP2.md). */
export const PREFIX_BYTES = 5;

/** One whole message, in the first `length` bytes of a pooled buffer. */
export interface Answer {
  readonly buffer: Buffer;
  readonly length: number;
}

/** Puts the one message of a unary answer together from the chunks it arrives in. */
export class AnswerReceiver {
  readonly #take: (bytes: number) => Buffer;
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  #prefixLength = 0;
  #buffer: Buffer | undefined;
  #expected = 0;
  #length = 0;
  /** Bytes that arrived, prefix included. */
  received = 0;

  constructor(take: (bytes: number) => Buffer) {
    this.#take = take;
  }

  /** Takes a chunk; returns what is wrong with the answer, if anything is. */
  take(chunk: Buffer): AnswerProblem | undefined {
    this.received += chunk.length;
    let at = 0;
    if (this.#prefixLength < PREFIX_BYTES) {
      at = chunk.copy(this.#prefix, this.#prefixLength);
      this.#prefixLength += at;
      if (this.#prefixLength < PREFIX_BYTES) return undefined;
      if (this.#prefix[0] !== 0) return { kind: 'compressed' };
      this.#expected = this.#prefix.readUInt32BE(1);
      if (this.#expected > MAX_ANSWER_BYTES) return { kind: 'too large', bytes: this.#expected };
      this.#buffer = this.#take(this.#expected);
    }
    if (at === chunk.length) return undefined;
    if (this.#length + chunk.length - at > this.#expected) return { kind: 'more than one message' };
    chunk.copy(this.#buffer as Buffer, this.#length, at);
    this.#length += chunk.length - at;
    return undefined;
  }

  incomplete(): AnswerProblem | undefined {
    if (this.#buffer !== undefined && this.#length === this.#expected) return undefined;
    return { kind: 'cut off', bytes: this.received };
  }

  answer(): Answer {
    return { buffer: this.#buffer as Buffer, length: this.#length };
  }

  abandon(): Buffer | undefined {
    const buffer = this.#buffer;
    this.#buffer = undefined;
    return buffer;
  }
}
