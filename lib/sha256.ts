import { ToolError } from './errors.ts';
// @ts-expect-error TypeScript looks for a default export: with this attribute the import is the file's text.
import workerText from './sha256-worker.ts' with { type: 'text' };
import type { FromHasher, ToHasher } from './sha256-worker.ts';

/** SHA-256 of bytes that come chunk by chunk. One call at a time: the next when the last one's promise is settled. */
export interface Sha256 {
  /**
   * Takes a copy of the chunk, which is the caller's again when the promise resolves; that is when there is room
   * for the next. Undefined: there is already.
   */
  update(chunk: Uint8Array): Promise<void> | undefined;
  /** Hex of everything taken. Nothing can be added afterwards. */
  digest(): Promise<string>;
  /** Gives up what is not finished. May be called at any time, and again. */
  close(): void;
}

/** Hashing less than this takes some 10 ms, little more than a thread needs to start. */
const IN_PLACE_BYTES = 16 * 1024 * 1024;
/**
 * Bytes of a file that may wait to be hashed: as many slots of shared memory, 4 MiB. Each slot is one message to the
 * thread, and one back.
 */
const SLOTS = 4;
const SLOT_BYTES = 1024 * 1024;

/**
 * A hash of a file of about so many bytes: a small one is hashed where it is made, a large one on a thread of its
 * own, so that whoever makes it does not spend the time. All its promises reject with a ToolError 'format' when the
 * thread fails; where it cannot start, the bytes are hashed here.
 */
export function startSha256(expectedBytes: number, startThread: () => Worker = hashThread): Sha256 {
  if (expectedBytes < IN_PLACE_BYTES) return new RingSha256(undefined);
  let thread: Worker | undefined;
  try {
    thread = startThread();
  } catch {
    // Not a reason to fail: it is only slower.
  }
  return new RingSha256(thread);
}

function hashThread(): Worker {
  const url = URL.createObjectURL(new Blob([workerText], { type: 'application/typescript' }));
  // `smol`: its heap holds next to nothing, so it can do with a small one.
  const thread = new Worker(url, { smol: true });
  thread.addEventListener('close', () => URL.revokeObjectURL(url));
  return thread;
}

/** The bytes go into the slots of a ring, in order; the thread is told of each full slot and tells when it is free. */
class RingSha256 implements Sha256 {
  /** Undefined: the bytes are hashed here, from the start or since the thread turned out not to start. */
  #thread: Worker | undefined;
  #started = false;
  readonly #here = new Bun.CryptoHasher('sha256');
  readonly #ring: Uint8Array<SharedArrayBuffer>;
  /** Bytes put into the ring since the start, and slots of them that were hashed. */
  #taken = 0;
  #hashedSlots = 0;
  #hex: string | undefined;
  #digest: Promise<string> | undefined;
  #failure: ToolError | undefined;
  /** Whether an update() waits for room. */
  #full = false;
  #onNews: PromiseWithResolvers<void> | undefined;

  constructor(thread: Worker | undefined) {
    const ring = new SharedArrayBuffer(thread === undefined ? 0 : SLOTS * SLOT_BYTES);
    this.#ring = new Uint8Array(ring);
    this.#thread = thread;
    if (thread === undefined) return;
    // A thread that nobody waits for keeps no process from ending.
    thread.unref();
    thread.addEventListener('message', ({ data }: MessageEvent<FromHasher>) => this.#hear(data));
    thread.addEventListener('error', ({ message }) => this.#fail('failed', new Error(message)));
    thread.addEventListener('close', ({ code }) => this.#fail(`ended with code ${code}`));
    this.#tell({ kind: 'ring', ring });
  }

  update(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#digest !== undefined) return Promise.reject(new Error('update() was called after digest().'));
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#full) return Promise.reject(new Error('update() was called before the last one was done.'));
    const rest = this.#take(chunk);
    return this.#room > 0 ? undefined : this.#takeRest(rest);
  }

  digest(): Promise<string> {
    this.#digest ??= this.#finish();
    return this.#digest;
  }

  close(): void {
    this.#end(new ToolError('cancelled', 'Cannot finish the SHA-256 of the file: it was given up.'));
  }

  get #room(): number {
    if (this.#thread === undefined) return Number.POSITIVE_INFINITY;
    return (this.#hashedSlots + SLOTS) * SLOT_BYTES - this.#taken;
  }

  /** Takes as many bytes as there is room for and returns the others. */
  #take(bytes: Uint8Array): Uint8Array {
    if (this.#thread === undefined) {
      this.#here.update(bytes);
      return bytes.subarray(bytes.length);
    }
    let rest = bytes;
    while (rest.length > 0 && this.#room > 0) {
      const part = rest.subarray(0, SLOT_BYTES - (this.#taken % SLOT_BYTES));
      this.#ring.set(part, this.#taken % this.#ring.length);
      this.#taken += part.length;
      rest = rest.subarray(part.length);
      if (this.#taken % SLOT_BYTES === 0) this.#tellOfSlot();
    }
    return rest;
  }

  async #takeRest(rest: Uint8Array): Promise<void> {
    this.#full = true;
    for (let left = rest; this.#room === 0; left = this.#take(left)) await this.#news();
    this.#full = false;
  }

  async #finish(): Promise<string> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#full) throw new Error('digest() was called before the last update() was done.');
    if (this.#taken % SLOT_BYTES > 0) this.#tellOfSlot();
    this.#tell({ kind: 'digest' });
    while (this.#thread !== undefined && this.#hex === undefined) await this.#news();
    const hex = this.#hex ?? this.#here.digest('hex');
    this.close();
    return hex;
  }

  /** Of the last slot that has bytes: all of them are full but, at the end, this one. */
  #tellOfSlot(): void {
    const length = ((this.#taken - 1) % SLOT_BYTES) + 1;
    const start = (this.#taken - length) % this.#ring.length;
    this.#tell({ kind: 'slot', start, end: start + length });
  }

  #tell(message: ToHasher): void {
    this.#thread?.postMessage(message);
  }

  /** The next that is heard of the thread; until then the process stays. Rejects when it is a failure. */
  #news(): Promise<void> {
    this.#onNews = Promise.withResolvers<void>();
    this.#thread?.ref();
    return this.#onNews.promise;
  }

  #hear(message: FromHasher): void {
    if (this.#thread === undefined) return;
    switch (message.kind) {
      case 'started':
        this.#started = true;
        break;
      case 'hashed':
        this.#hashedSlots++;
        break;
      case 'digest':
        this.#hex = message.hex;
        break;
    }
    this.#thread.unref();
    this.#onNews?.resolve();
  }

  #fail(how: string, cause?: Error): void {
    if (this.#thread === undefined || this.#failure !== undefined) return;
    if (this.#started) {
      const what = `Cannot finish the SHA-256 of the file: the thread that hashes it ${how}.`;
      this.#end(new ToolError('format', `${what} Run the export again.`, { cause }));
      return;
    }
    // It has hashed nothing, so all that was taken is still in the ring.
    this.#here.update(this.#ring.subarray(0, this.#taken));
    this.#thread.terminate();
    this.#thread = undefined;
    this.#onNews?.resolve();
  }

  #end(failure: ToolError): void {
    this.#failure ??= failure;
    this.#thread?.terminate();
    this.#onNews?.reject(this.#failure);
  }
}
