import { ToolError } from '../../errors.ts';
import type { TransportSettings } from '../../qdrant/transport.ts';
import { Secret } from '../../secret.ts';
import type { ExporterFlags } from '../flags/exporter-flags.ts';
import { isLoopback, readAddress } from './address.ts';
import { readCertificate } from './certificate.ts';
import type { Environment } from './env.ts';

/** How Qdrant is reached; a ToolError 'usage' for what is no address, certificate or key. */
export function readTransport(flags: ExporterFlags, environment: Environment): TransportSettings {
  const { values, source } = flags;
  const certificate = values['ca-cert'];
  return Object.freeze({
    url: readAddress(values.url, {
      http: values.http,
      qdrantPort: environment.QDRANT_PORT,
      source: source('url'),
    }),
    apiKey: readApiKey(environment),
    caCertificate:
      certificate === undefined ? undefined : readCertificate(certificate, source('ca-cert') ?? '--ca-cert'),
    timeoutSeconds: values.timeout,
    consistency: values.consistency,
  });
}

/** What is legal and still worth a word before the run. */
export function transportWarnings(transport: TransportSettings): readonly string[] {
  const { url, apiKey } = transport;
  if (apiKey === undefined || url.protocol === 'https:' || isLoopback(url)) return [];
  return [
    `QDRANT_API_KEY goes to ${url.hostname} over plain HTTP, where others can read it; https:// protects it.`,
  ];
}

function readApiKey(environment: Environment): Secret | undefined {
  const key = environment.QDRANT_API_KEY?.trim();
  if (key === undefined || key === '') return undefined;
  if (/[^\x20-\x7e]/.test(key)) {
    throw new ToolError(
      'usage',
      'QDRANT_API_KEY holds a character that no key has, such as a line end or a letter beyond ASCII.',
    );
  }
  return new Secret(key);
}
