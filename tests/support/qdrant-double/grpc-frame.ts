import type { ByteWriter } from './byte-writer.ts';
import type { Method } from './fault.ts';
import { doubleField } from './protobuf.ts';
import type { Asked } from './request-record.ts';
import type { ContentsFault } from './spoiled-page.ts';

/** A message with its 5-byte prefix: compressed flag and length. */
export interface GrpcAnswer {
  readonly frame: Buffer;
  /** To be released when the frame is sent. */
  readonly writer?: ByteWriter;
}

export interface GrpcCall {
  readonly method: Method;
  readonly collection: string;
  readonly points: number;
  readonly asked?: Asked;
  /** With a fault of the contents, where the answer is to lie. */
  readonly answer: (fault?: ContentsFault) => GrpcAnswer;
}

export const PREFIX_BYTES = 5;

/** Any plausible duration in seconds: what the server took varies from run to run. */
export const TOOK = 0.000123456;

/** Every response's `time`. */
export function time(field: number): Buffer {
  return doubleField(field, TOOK);
}

export function frameOf(message: Uint8Array, compressed = false): GrpcAnswer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  frame.set(message, PREFIX_BYTES);
  writePrefix(frame, message.length, compressed);
  return { frame };
}

export function writePrefix(frame: Buffer, length: number, compressed: boolean): void {
  frame[0] = compressed ? 1 : 0;
  frame.writeUInt32BE(length, 1);
}
