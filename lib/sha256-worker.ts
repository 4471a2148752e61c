/*
 * The thread of sha256.ts. It is started from the text of this file, so that it is part of an executable without
 * being a program of its own: it can import nothing but types.
 */

export type ToHasher =
  /** The first message: where the slots lie. */
  | { readonly kind: 'ring'; readonly ring: SharedArrayBuffer }
  /** The next bytes of the file; they stay as they are until they are answered. */
  | { readonly kind: 'slot'; readonly start: number; readonly end: number }
  /** No more bytes follow. */
  | { readonly kind: 'digest' };

export type FromHasher =
  /** The thread runs; what goes wrong from now on may have cost bytes. */
  | { readonly kind: 'started' }
  /** The oldest slot that is not answered yet may be filled again. */
  | { readonly kind: 'hashed' }
  | { readonly kind: 'digest'; readonly hex: string };

declare const self: Worker;

const hasher = new Bun.CryptoHasher('sha256');
let slots: Uint8Array = new Uint8Array();

self.onmessage = ({ data }: MessageEvent<ToHasher>) => self.postMessage(answer(data));

function answer(message: ToHasher): FromHasher {
  switch (message.kind) {
    case 'ring':
      slots = new Uint8Array(message.ring);
      return { kind: 'started' };
    case 'slot':
      hasher.update(slots.subarray(message.start, message.end));
      return { kind: 'hashed' };
    case 'digest':
      return { kind: 'digest', hex: hasher.digest('hex') };
  }
}
