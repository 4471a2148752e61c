/** A request's body on its way from the socket: at most `LIMIT` bytes wait for their reader. */
export class HttpBody {
  /** Beyond it the socket is paused: 1 MiB, and what one read of the socket brings. */
  static readonly LIMIT = 1024 * 1024;
  readonly #waiting: Uint8Array<ArrayBuffer>[] = [];
  #waitingBytes = 0;
  #taken = 0;
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(
    private readonly flow: { pause(): void; resume(): void },
    private readonly fault: BodyFault | undefined,
  ) {}

  /** Bytes that readers took. */
  get taken(): number {
    return this.#taken;
  }

  push(bytes: Uint8Array<ArrayBuffer>): void {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes > HttpBody.LIMIT) this.flow.pause();
    this.#notify();
  }

  end(): void {
    this.#ended = true;
    this.#notify();
  }

  /** The connection is gone: readers get what came, then the error. */
  fail(error: Error): void {
    if (this.#ended || this.#error !== undefined) return;
    this.#error = error;
    this.#notify();
  }

  /** The next bytes, undefined at the end. Rejects where the connection broke off. */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    for (;;) {
      const limit = this.fault?.cutAfter;
      if (limit !== undefined && this.#taken >= limit) throw this.#cut();
      const bytes = this.#waiting.shift();
      if (bytes !== undefined) {
        this.#waitingBytes -= bytes.length;
        if (this.#waitingBytes <= HttpBody.LIMIT) this.flow.resume();
        return this.#spoiled(limit === undefined ? bytes : bytes.subarray(0, limit - this.#taken));
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended) {
        if (limit !== undefined) throw this.#cut();
        return undefined;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Takes and forgets the rest. */
  async drain(): Promise<void> {
    while ((await this.next()) !== undefined);
  }

  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        pull: async (controller) => {
          const bytes = await this.next();
          if (bytes === undefined) controller.close();
          else controller.enqueue(bytes);
        },
      },
      { highWaterMark: 0 },
    );
  }

  #cut(): Error {
    this.fault?.cut();
    return new Error('the connection was cut');
  }

  #spoiled(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const start = this.#taken;
    this.#taken += bytes.length;
    const at = this.fault?.flipAt;
    if (at === undefined || at < start || at >= this.#taken) return bytes;
    const spoiled = Uint8Array.from(bytes);
    spoiled[at - start] = (spoiled[at - start] as number) ^ 1;
    return spoiled;
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** What goes wrong with a body on its way. */
export interface BodyFault {
  /** So many bytes reach the reader, then the connection is cut. */
  readonly cutAfter?: number;
  cut(): void;
  /** The byte at this offset has one bit turned. */
  readonly flipAt?: number;
}
