import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { S3Server } from '../s3-server.ts';
import type { NamedPart, PartStore, StreamedBody } from './part-store.ts';
import { StorageRefusal } from './refusal.ts';
import { elementsOf } from './s3-xml.ts';
import { signedHeaders } from './sigv4.ts';

/**
 * As Supabase Storage over S3: the bytes go to a real S3 server, under their version. None of the client's checksums
 * does, so nothing verifies a body.
 */
export function versityParts(server: S3Server): PartStore {
  const send = (method: string, pathAndQuery: string, body?: StreamedBody | string) =>
    request(server, method, pathAndQuery, body);
  const fileOf = (version: string) => join(server.dir, server.bucket, version);
  const finished = async (version: string, etag: string) => {
    const file = fileOf(version);
    return { etag: etag.replaceAll('"', ''), size: (await stat(file)).size, file };
  };
  return {
    async putObject(version, body) {
      const answer = await send('PUT', version, body);
      return await finished(version, answer.etag);
    },
    async begin(version) {
      const { text } = await send('POST', `${version}?uploads=`);
      return elementsOf(text, 'UploadId')[0] as string;
    },
    async putPart(version, uploadId, number, body) {
      const query = `partNumber=${number}&uploadId=${encodeURIComponent(uploadId)}`;
      const { etag } = await send('PUT', `${version}?${query}`, body);
      return { etag };
    },
    async complete(version, uploadId, parts) {
      const { text } = await send(
        'POST',
        `${version}?uploadId=${encodeURIComponent(uploadId)}`,
        completeBody(parts),
      );
      return await finished(version, elementsOf(text, 'ETag')[0] ?? '');
    },
    async abort(version, uploadId) {
      await send('DELETE', `${version}?uploadId=${encodeURIComponent(uploadId)}`);
    },
  };
}

interface ServerAnswer {
  readonly text: string;
  readonly etag: string;
}

async function request(
  server: S3Server,
  method: string,
  pathAndQuery: string,
  body: StreamedBody | string | undefined,
): Promise<ServerAnswer> {
  const url = new URL(`${server.endpoint}/${server.bucket}/${pathAndQuery}`);
  const length = body === undefined ? 0 : typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  const target = `${url.pathname}${url.search}`;
  const headers = signedHeaders({ method, host: url.host, target, headers: {} }, server);
  const answer = await fetch(url, {
    method,
    headers: { ...headers, 'content-length': String(length) },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : streamOf(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw s3Error(answer.status, text);
  return { text, etag: answer.headers.get('etag') ?? '' };
}

function streamOf(body: StreamedBody): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        const bytes = await body.next();
        if (bytes === undefined) controller.close();
        else controller.enqueue(bytes);
      },
    },
    { highWaterMark: 0 },
  );
}

function completeBody(parts: readonly NamedPart[]): string {
  const inner = parts.map(({ number, etag }) => {
    const text = etag.replaceAll('"', '&quot;');
    return `<Part><ETag>${text}</ETag><PartNumber>${number}</PartNumber></Part>`;
  });
  return `<CompleteMultipartUpload>${inner.join('')}</CompleteMultipartUpload>`;
}

/** Supabase passes a store's error on under one code, with its status and message. */
function s3Error(status: number, text: string): StorageRefusal {
  const [code = ''] = elementsOf(text, 'Code');
  const [message = code] = elementsOf(text, 'Message');
  if (code === 'NoSuchUpload')
    return new StorageRefusal(404, 'not_found', 'Upload not found', 'NoSuchUpload');
  return new StorageRefusal(status, message, message, 'S3Error');
}
