import { createServer, type Server, type Socket } from 'node:net';
import { HttpConnection, type ServeRequest } from './http-connection.ts';

export interface HttpServer {
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * An HTTP/1.1 server that gives its handler the connection: Bun.serve can neither cut one in the middle of a body nor
 * keep an answer back for ever.
 */
export async function startHttpServer(serve: ServeRequest, port = 0): Promise<HttpServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    new HttpConnection(socket, serve);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port: portOf(server),
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function portOf(server: Server): number {
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the server has no port');
  return address.port;
}
