import { STATUS_CODES } from 'node:http';
import type { Socket } from 'bun';
import { ByteWriter, releaseBuffer } from './byte-writer.ts';
import type { Fault } from './fault.ts';
import type { RestAnswer } from './rest-answer.ts';

/** The sending side of one REST connection. */
export class RestConnection {
  readonly #socket: Socket<unknown>;
  #unsent: Buffer | undefined;
  #settle: (() => void) | undefined;
  #isClosed = false;
  /** Answers of a connection go out in the order of their requests. */
  #turn: Promise<void> = Promise.resolve();

  constructor(socket: Socket<unknown>) {
    this.#socket = socket;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  inTurn(work: () => Promise<void>): void {
    this.#turn = this.#turn.then(work);
  }

  onDrain(): void {
    if (this.#unsent !== undefined) this.#flush();
  }

  onClose(): void {
    this.#isClosed = true;
    this.#done();
  }

  /** Sends an answer, whole or as the fault says; settles when the last byte is handed over or nobody wants it. */
  async send(answer: RestAnswer, fault: Fault | undefined, keepAlive: boolean): Promise<void> {
    const { body } = answer;
    const half = body.subarray(0, body.length >> 1);
    switch (fault?.kind) {
      case undefined:
      case 'status':
      case 'timeout':
      case 'delay':
      case 'contents':
        await this.#sendWhole(answer, keepAlive);
        break;
      case 'reset':
        this.#socket.terminate();
        break;
      case 'resetMidway':
        await this.#write(Buffer.concat([head(answer, body.length, keepAlive), half]));
        // A reset may overtake bytes that the other side has not read yet.
        await Bun.sleep(20);
        this.#socket.terminate();
        break;
      case 'stall':
        await this.#closed();
        break;
      case 'stallMidway':
        await this.#write(Buffer.concat([head(answer, body.length, keepAlive), half]));
        await this.#closed();
        break;
      case 'slow':
        await this.#sendSlowly(
          Buffer.concat([head(answer, body.length, keepAlive), body]),
          fault.bytesPerSecond,
        );
        break;
      case 'oversized':
        await this.#write(head(answer, fault.declaredBytes ?? 2 ** 31, keepAlive));
        await this.#write(body);
        await this.#closed();
        break;
      case 'earlyClose':
        await this.#write(Buffer.concat([head(answer, body.length, keepAlive), half]));
        this.#socket.end();
        break;
      case 'truncated':
        await this.#write(Buffer.concat([head(answer, half.length, keepAlive), half]));
        break;
    }
    if (!keepAlive) this.#socket.end();
  }

  /** Whatever else speaks to this port gets what an HTTP/1.1 server says to it. */
  refuse(): void {
    this.#socket.write('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
    this.#socket.end();
  }

  async #sendWhole(answer: RestAnswer, keepAlive: boolean): Promise<void> {
    const { body, writer } = answer;
    const start = head(answer, body.length, keepAlive);
    if (body.length < 16 * 1024) await this.#write(Buffer.concat([start, body]));
    else {
      await this.#write(start);
      await this.#write(body);
    }
    if (writer instanceof ByteWriter) releaseBuffer(writer.bytes);
  }

  async #sendSlowly(bytes: Buffer, bytesPerSecond: number): Promise<void> {
    const startedAt = performance.now();
    for (let sent = 0; sent < bytes.length && !this.#isClosed; ) {
      await Bun.sleep(20);
      const due = Math.ceil(((performance.now() - startedAt) / 1000) * bytesPerSecond);
      if (due > sent) await this.#write(bytes.subarray(sent, due));
      sent = Math.max(sent, due);
    }
  }

  #write(bytes: Buffer): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#unsent = bytes;
    this.#settle = resolve;
    this.#flush();
    return promise;
  }

  #flush(): void {
    const unsent = this.#unsent as Buffer;
    const written = this.#socket.write(unsent);
    if (written < 0 || this.#isClosed) return;
    if (written < unsent.length) this.#unsent = unsent.subarray(written);
    else this.#done();
  }

  #done(): void {
    this.#unsent = undefined;
    this.#settle?.();
    this.#settle = undefined;
  }

  #closed(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#settle = resolve;
    return promise;
  }
}

function head(answer: RestAnswer, length: number, keepAlive: boolean): Buffer {
  const { contentEncoding, contentType, retryAfterSeconds, status } = answer;
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Status'}\r\ncontent-length: ${length}\r\n`;
  if (contentType !== undefined) text += `content-type: ${contentType}\r\n`;
  if (contentEncoding !== undefined) text += `content-encoding: ${contentEncoding}\r\n`;
  if (retryAfterSeconds !== undefined) text += `retry-after: ${retryAfterSeconds}\r\n`;
  if (!keepAlive) text += 'connection: close\r\n';
  return Buffer.from(`${text}\r\n`, 'latin1');
}
