import { isIPv6 } from 'node:net';
import { ToolError } from '../../errors.ts';
import { readInteger } from '../flags/parse-flags.ts';

const GRPC_PORT = 6334;
const REST_PORT = 6333;

export interface AddressOptions {
  /** REST instead of gRPC. */
  readonly http: boolean;
  /** QDRANT_PORT; it speaks for REST alone. */
  readonly qdrantPort: string | undefined;
  /** What to call the source of the address in a sentence. */
  readonly source?: string | undefined;
}

/**
 * Where Qdrant is: `host`, `host:port` or an http(s) URL with a prefix, by the rules of the README's table. A
 * ToolError 'usage' when it is none of these. The sentence never repeats a text that may hold a password.
 */
export function readAddress(given: string | undefined, options: AddressOptions): URL {
  const source = options.source ?? '--url';
  const text = given?.trim() ?? '';
  const parts = splitAddress(text === '' ? 'localhost' : text, source);
  const url = parseUrl(`${parts.scheme}://${parts.rest}`, source);
  if (url.username !== '' || url.password !== '') {
    throw new ToolError(
      'usage',
      `${source} carries a user name or password; the key goes into QDRANT_API_KEY.`,
    );
  }
  if (url.search !== '' || url.hash !== '') {
    throw new ToolError(
      'usage',
      `${source} carries a query or fragment; http(s)://host:port/prefix is wanted.`,
    );
  }
  if (parts.scheme === 'http' && !parts.schemeGiven && url.hostname.endsWith('.cloud.qdrant.io')) {
    url.protocol = 'https:';
  }
  url.port = String(portFor(explicitPort(parts.rest, source), options));
  url.pathname = url.pathname.replace(/\/+$/, '');
  return url;
}

/** Whether what is sent to this host stays on this machine. */
export function isLoopback(url: URL): boolean {
  const host = url.hostname.toLowerCase().replace(/\.$/, '');
  return (
    host === 'localhost' ||
    host.endsWith('.localhost') ||
    /^127\.\d+\.\d+\.\d+$/.test(host) ||
    host === '[::1]' ||
    // ::ffff:127.0.0.0/104 as URL spells it.
    /^\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\]$/.test(host)
  );
}

function portFor(port: number | undefined, options: AddressOptions): number {
  if (!options.http) return port === undefined || port === REST_PORT ? GRPC_PORT : port;
  if (options.qdrantPort !== undefined) return readInteger(options.qdrantPort, 1, 65_535, 'QDRANT_PORT');
  return port === undefined || port === GRPC_PORT ? REST_PORT : port;
}

interface AddressParts {
  readonly scheme: 'http' | 'https';
  readonly schemeGiven: boolean;
  /** All behind the scheme. */
  readonly rest: string;
}

function splitAddress(text: string, source: string): AddressParts {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1];
  if (scheme === undefined) {
    const bracketed = isIPv6(text) ? `[${text}]` : text;
    return { scheme: 'http', schemeGiven: false, rest: bracketed };
  }
  const rest = text.slice(scheme.length + 3);
  switch (scheme.toLowerCase()) {
    case 'http':
      return { scheme: 'http', schemeGiven: true, rest };
    case 'https':
      return { scheme: 'https', schemeGiven: true, rest };
    case 'grpc':
    case 'grpcs':
      throw new ToolError(
        'usage',
        `${source} begins with ${scheme}://; gRPC is the default, so write http:// or, with TLS, https://.`,
      );
    default:
      throw new ToolError('usage', `${source} begins with ${scheme}://; http:// or https:// is wanted.`);
  }
}

function parseUrl(text: string, source: string): URL {
  const url = URL.parse(text);
  if (url !== null && url.hostname !== '') return url;
  // The port's own sentence, where that is what is wrong.
  explicitPort(text.slice(text.indexOf('://') + 3), source);
  throw new ToolError(
    'usage',
    `${source} is not an address; host, host:port or http(s)://host:port is wanted.`,
  );
}

/** The port as it was written: URL forgets one that is its scheme's own, and here :443 is not "no port". */
function explicitPort(rest: string, source: string): number | undefined {
  const authority = /^[^/?#]*/.exec(rest)?.[0] ?? '';
  const port = /:([^:\]@]*)$/.exec(authority)?.[1];
  if (port === undefined || authority.includes('@')) return undefined;
  return readInteger(port, 1, 65_535, `The port of ${source}`);
}
