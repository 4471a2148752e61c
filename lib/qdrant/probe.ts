import http2 from 'node:http2';
import tls from 'node:tls';
import type { TransportSettings } from './transport.ts';

/** A probe only sharpens an error message: it gets this long and no retries. Milliseconds. */
const PROBE_MS = 3_000;

/** Whether Qdrant answers over the named protocol where the other one failed. Never rejects. */
export function otherProtocolAt(
  protocol: 'rest' | 'grpc',
  settings: Pick<TransportSettings, 'url' | 'caCertificate'>,
): Promise<boolean> {
  return protocol === 'rest' ? speaksRest(settings) : speaksHttp2(settings);
}

async function speaksRest({
  url,
  caCertificate,
}: Pick<TransportSettings, 'url' | 'caCertificate'>): Promise<boolean> {
  try {
    const answer = await fetch(url, {
      signal: AbortSignal.timeout(PROBE_MS),
      redirect: 'manual',
      ...(caCertificate === undefined
        ? {}
        : { tls: { ca: [...tls.getCACertificates('default'), caCertificate] } }),
    });
    const body: unknown = await answer.json();
    return typeof body === 'object' && body !== null && /qdrant/i.test(String(Object(body).title));
  } catch {
    return false;
  }
}

/** Of HTTP/2 servers on a port that refuses HTTP/1.1, gRPC is near enough for a hint. */
function speaksHttp2({
  url,
  caCertificate,
}: Pick<TransportSettings, 'url' | 'caCertificate'>): Promise<boolean> {
  return new Promise((resolve) => {
    const session = http2.connect(url.origin, {
      ...(caCertificate === undefined ? {} : { ca: [...tls.getCACertificates('default'), caCertificate] }),
    });
    const settle = (answer: boolean) => {
      clearTimeout(timer);
      session.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => settle(false), PROBE_MS);
    session.once('remoteSettings', () => settle(true));
    session.on('error', () => settle(false));
    session.on('close', () => settle(false));
  });
}
