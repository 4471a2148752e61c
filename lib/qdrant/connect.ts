import type { Transport, TransportSettings } from './transport.ts';

/** The transport for a protocol; only that protocol's code is loaded. Nothing is sent before its first call. */
export async function connectQdrant(
  protocol: 'grpc' | 'rest',
  settings: TransportSettings,
): Promise<Transport> {
  if (protocol === 'rest') return (await import('./rest.ts')).restTransport(settings);
  return (await import('./grpc.ts')).grpcTransport(settings);
}
