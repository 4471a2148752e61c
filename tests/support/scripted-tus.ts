/** One upload as the store of `startScriptedTus` has it. */
export interface ScriptedUpload {
  readonly id: string;
  readonly key: string;
  readonly version: string;
  readonly length: number;
  readonly metadata: string;
  bytes: Uint8Array;
}

export interface ScriptedTus {
  readonly url: string;
  /** `PATCH 0`, `HEAD`, `GET info`: in the order in which they came. */
  readonly requests: string[];
  readonly uploads: Map<string, ScriptedUpload>;
  readonly objects: Map<string, { readonly version: string; readonly bytes: Uint8Array }>;
  /** Asked first; undefined for the answer of a store that works. `name` is as in `requests`. */
  script:
    | ((name: string, request: Request) => Response | undefined | Promise<Response | undefined>)
    | undefined;
  stop(): Promise<void>;
}

/**
 * The least store of resumable uploads, in memory, all of whose answers a test can replace: for those that the real
 * one gives seldom or never.
 */
export function startScriptedTus(): ScriptedTus {
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 0,
    async fetch(request) {
      const name = nameOf(request);
      store.requests.push(name);
      return (await store.script?.(name, request)) ?? (await answerOf(request, store));
    },
  });
  const store: ScriptedTus = {
    url: `http://127.0.0.1:${server.port}`,
    requests: [],
    uploads: new Map(),
    objects: new Map(),
    script: undefined,
    stop: () => server.stop(true),
  };
  return store;
}

function nameOf({ method, url, headers }: Request): string {
  if (method === 'PATCH') return `PATCH ${headers.get('upload-offset')}`;
  return method === 'GET'
    ? `GET ${new URL(url).pathname.includes('/object/info/') ? 'info' : 'bucket'}`
    : method;
}

async function answerOf(request: Request, store: ScriptedTus): Promise<Response> {
  const path = new URL(request.url).pathname;
  switch (request.method) {
    case 'POST':
      return create(request, store);
    case 'GET':
      return path.includes('/object/info/') ? info(path, store) : Response.json({ name: 'backups' });
    default: {
      const upload = store.uploads.get(path.split('/').at(-1) ?? '');
      if (upload === undefined) return new Response('The file for this url was not found\n', { status: 404 });
      return await use(request, upload, store);
    }
  }
}

function create({ headers }: Request, { uploads }: ScriptedTus): Response {
  const metadata = headers.get('upload-metadata') ?? '';
  const key = Buffer.from(/objectName ([^,]*)/.exec(metadata)?.[1] ?? '', 'base64').toString();
  const version = crypto.randomUUID();
  const id = Buffer.from(`backups/${key}/${version}`).toString('base64url');
  const length = Number(headers.get('upload-length'));
  uploads.set(id, { id, key, version, length, metadata, bytes: new Uint8Array() });
  const location = `https://elsewhere.example.test/storage/v1/upload/resumable/${id}`;
  return new Response('', { status: 201, headers: { location } });
}

async function use(request: Request, upload: ScriptedUpload, store: ScriptedTus): Promise<Response> {
  if (request.method === 'DELETE') {
    store.uploads.delete(upload.id);
    return new Response(null, { status: 204 });
  }
  if (request.method === 'PATCH') {
    const body = await request.bytes();
    if (Number(request.headers.get('upload-offset')) !== upload.bytes.length) {
      return new Response('Upload-Offset conflict\n', { status: 409 });
    }
    upload.bytes = Buffer.concat([upload.bytes, body]);
    const { key, version, bytes } = upload;
    if (bytes.length === upload.length) store.objects.set(key, { version, bytes });
  }
  const headers = { 'upload-offset': String(upload.bytes.length), 'upload-length': String(upload.length) };
  return new Response(null, { status: request.method === 'HEAD' ? 200 : 204, headers });
}

function info(path: string, { objects }: ScriptedTus): Response {
  const key = decodeURIComponent(path.split('/backups/')[1] ?? '');
  const found = objects.get(key);
  if (found === undefined) {
    const body = { statusCode: '404', error: 'not_found', message: 'Object not found', code: 'NoSuchKey' };
    return Response.json(body, { status: 400 });
  }
  const { version, bytes } = found;
  const etag = `"${Bun.MD5.hash(bytes, 'hex')}"`;
  return Response.json({ size: bytes.length, etag, version, last_modified: '2026-11-22T15:21:33.000Z' });
}
