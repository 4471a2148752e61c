import { startGrpcServer } from './grpc-server.ts';
import { startRestServer } from './rest-server.ts';
import type { RunningServer, ServerContext } from './server-context.ts';

/** Both servers of a double, which may go down together and come back where they were. */
export class ServerPair {
  readonly #context: ServerContext;
  #running: readonly RunningServer[] = [];
  /** 0 before the first start. */
  #restPort = 0;
  #grpcPort = 0;

  constructor(context: ServerContext) {
    this.#context = context;
  }

  get restPort(): number {
    return this.#restPort;
  }

  get grpcPort(): number {
    return this.#grpcPort;
  }

  get isUp(): boolean {
    return this.#running.length > 0;
  }

  async start(): Promise<void> {
    const rest = startRestServer(this.#context, this.#restPort);
    // At once, so that stop() finds it whatever goes wrong with the other.
    this.#running = [rest];
    const grpc = await startGrpcServer(this.#context, this.#grpcPort);
    this.#running = [rest, grpc];
    this.#restPort = rest.port;
    this.#grpcPort = grpc.port;
  }

  /** Cuts every connection; returns once nothing listens any more. */
  async stop(): Promise<void> {
    const left = this.#running;
    this.#running = [];
    await Promise.all(left.map((server) => server.stop()));
  }
}
