import { ToolError } from '../../lib/errors.ts';
import type {
  ByteStream,
  Destination,
  OpenUpload,
  PutRequest,
  Receipt,
  UploadedPart,
} from '../../lib/storage/storage.ts';

export interface StoredObject {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly etag: string;
}

interface StoredUpload {
  readonly key: string;
  readonly parts: Map<number, Uint8Array<ArrayBuffer>>;
}

/** Told before the store does what is asked of it; what they throw is the store's answer. */
export interface StoreHooks {
  readonly part?: (number: number) => Promise<void> | void;
  readonly publish?: (key: string) => Promise<void> | void;
  /** After it, when nobody has been told yet. */
  readonly published?: (key: string) => Promise<void> | void;
  /** Whole bodies on their way in: what becomes of them there. */
  readonly change?: (key: string, bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>;
}

export interface MemoryStore {
  readonly objects: Map<string, StoredObject>;
  readonly uploads: Map<string, StoredUpload>;
  /** Bytes of the bodies that were put, by key. */
  readonly taken: Map<string, number>;
  destination(hooks?: StoreHooks): Destination;
  /** The store as a kill at this moment leaves it. */
  copy(): MemoryStore;
}

/** A store whose uploads outlive a process: parts one after the other, what fits one with one request. */
export function memoryStore(partBytes: number, other?: MemoryStore): MemoryStore {
  const objects = new Map(other?.objects);
  const uploads = new Map(
    [...(other?.uploads ?? [])].map(([id, { key, parts }]) => [id, { key, parts: new Map(parts) }]),
  );
  const taken = new Map<string, number>();
  const store: MemoryStore = {
    objects,
    uploads,
    taken,
    destination: (hooks = {}) => destinationOf(store, partBytes, hooks),
    copy: () => memoryStore(partBytes, store),
  };
  return store;
}

export function etagOf(bytes: Uint8Array): string {
  return new Bun.CryptoHasher('md5').update(bytes).digest('hex');
}

function destinationOf(store: MemoryStore, partBytes: number, hooks: StoreHooks): Destination {
  const { objects, uploads } = store;
  const locate = (key: string) => `memory:${key}`;
  const receiptOf = (key: string, { bytes, etag }: StoredObject): Receipt => ({
    location: locate(key),
    bytes: bytes.length,
    etag,
  });
  async function publish(request: PutRequest, sent: Uint8Array<ArrayBuffer>, id = ''): Promise<Receipt> {
    const { key, log, beside } = request;
    if (beside !== undefined && objects.get(beside.key)?.etag !== beside.etag) {
      throw new ToolError(
        'store',
        `Cannot write ${locate(key)}: another run replaced ${locate(beside.key)}.`,
      );
    }
    if (request.bytes !== undefined && request.bytes !== sent.length) {
      throw new ToolError(
        'store',
        `${locate(key)}: ${request.bytes} bytes were announced, ${sent.length} came.`,
      );
    }
    const bytes = hooks.change?.(key, sent) ?? sent;
    const object = { bytes, etag: etagOf(bytes) };
    await log?.publishing({ bytes: bytes.length, etag: object.etag });
    await hooks.publish?.(key);
    objects.set(key, object);
    uploads.delete(id);
    await hooks.published?.(key);
    return receiptOf(key, object);
  }
  async function put(request: PutRequest): Promise<Receipt> {
    const { key, log, from } = request;
    // What lies beside an object is written with one request.
    const most = request.beside === undefined ? partBytes : Number.POSITIVE_INFINITY;
    const parts = partsOf(store, request, from?.partBytes ?? most);
    let upload: OpenUpload | undefined = from;
    let number = from?.parts.length ?? 0;
    try {
      for await (const { bytes, isAll } of parts) {
        if (isAll && upload === undefined) return await publish(request, bytes);
        if (upload === undefined) {
          const begun = { key, id: `upload ${uploads.size + 1}`, partBytes, crc32: false };
          upload = { ...begun, parts: [] };
          uploads.set(begun.id, { key, parts: new Map() });
          await log?.begun(begun);
        }
        number++;
        await hooks.part?.(number);
        uploads.get(upload.id)?.parts.set(number, bytes);
        log?.confirmed(uploadedPart(number, bytes));
        request.onProgress?.(bytes.length);
      }
      const there = [...(uploads.get(upload?.id ?? '')?.parts ?? [])].sort(([a], [b]) => a - b);
      const bytes = Buffer.concat(there.slice(0, number).map(([, part]) => part));
      return await publish(request, new Uint8Array(bytes), upload?.id);
    } catch (error) {
      await request.body.cancel(error).catch(() => {});
      const isKept = log !== undefined && !(error instanceof ToolError && error.code === 'integrity');
      if (upload !== undefined && !isKept) uploads.delete(upload.id);
      throw error;
    }
  }
  return {
    locate,
    check: async () => {},
    put,
    uploads: {
      async find(left) {
        const there = uploads.get(left.id)?.parts;
        if (there === undefined) return undefined;
        const parts: UploadedPart[] = [];
        for (let number = 1; ; number++) {
          const part = left.parts.find((each) => each.number === number);
          const bytes = there.get(number);
          if (part === undefined || bytes === undefined || etagOf(bytes) !== part.etag)
            return { ...left, parts };
          parts.push(part);
        }
      },
      async remove({ id }) {
        uploads.delete(id);
        return undefined;
      },
      async published(key, expected) {
        const found = objects.get(key);
        return found !== undefined && found.etag === expected.etag ? receiptOf(key, found) : undefined;
      },
    },
    objects: {
      async *list(prefix) {
        for (const [key, { bytes, etag }] of objects) {
          if (key.startsWith(prefix)) yield { key, bytes: bytes.length, etag, modified: new Date(0) };
        }
      },
      async open(key, etag) {
        const found = objects.get(key);
        if (found !== undefined && etag !== undefined && found.etag !== etag) {
          throw new ToolError('integrity', `${locate(key)} has another ETag.`);
        }
        return found && (new Response(found.bytes).body as ByteStream);
      },
      async copy(from, to, source) {
        const found = objects.get(from);
        if (found === undefined || found.etag !== source.etag)
          throw new ToolError('store', 'The source changed.');
        objects.set(to, found);
        return receiptOf(to, found);
      },
      remove: async (key) => void objects.delete(key),
    },
  };
}

function uploadedPart(number: number, bytes: Uint8Array): UploadedPart {
  return { number, bytes: bytes.length, etag: etagOf(bytes), crc32: undefined, md5: undefined };
}

/** The body in parts, all full but the last; `isAll` when there is no other. */
async function* partsOf({ taken }: MemoryStore, { body, key, signal }: PutRequest, partBytes: number) {
  let held: Uint8Array = new Uint8Array();
  let isFirst = true;
  const reader = body.getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (signal.aborted) throw signal.reason;
      if (done) break;
      taken.set(key, (taken.get(key) ?? 0) + value.length);
      held = Buffer.concat([held, value]);
      for (; held.length > partBytes; held = held.subarray(partBytes)) {
        yield { bytes: new Uint8Array(held.subarray(0, partBytes)), isAll: false };
        isFirst = false;
      }
    }
    if (held.length > 0) yield { bytes: new Uint8Array(held), isAll: isFirst };
  } finally {
    reader.releaseLock();
  }
}
