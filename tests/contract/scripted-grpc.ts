import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';

/** What a call is answered with: a message's bytes, or a status and its words. */
export type ScriptedReply = Uint8Array | { readonly status: number; readonly text?: string };

export interface ScriptedGrpc {
  readonly url: URL;
  /** Paths of the calls that came, with their messages. */
  readonly asked: readonly { readonly path: string; readonly message: Buffer }[];
  stop(): void;
}

/** A gRPC server that knows some calls by their method's name and answers UNIMPLEMENTED to any other. */
export async function scriptedGrpc(replies: Readonly<Record<string, ScriptedReply>>): Promise<ScriptedGrpc> {
  const asked: { path: string; message: Buffer }[] = [];
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = http2.createServer();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const path = String(headers[':path']);
      asked.push({ path, message: Buffer.concat(chunks).subarray(5) });
      answer(stream, replies[path.slice(path.lastIndexOf('/') + 1)] ?? { status: 12 });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    asked,
    stop() {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}

function answer(stream: http2.ServerHttp2Stream, reply: ScriptedReply): void {
  const head = { ':status': 200, 'content-type': 'application/grpc' };
  if (!(reply instanceof Uint8Array)) {
    const status = {
      'grpc-status': String(reply.status),
      'grpc-message': encodeURIComponent(reply.text ?? ''),
    };
    // Qdrant's errors are headers without trailers.
    stream.respond({ ...head, ...status }, { endStream: true });
    return;
  }
  stream.respond(head, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(reply.length, 1);
  stream.end(Buffer.concat([prefix, reply]));
}
