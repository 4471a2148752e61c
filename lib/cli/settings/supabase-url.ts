import { ToolError } from '../../errors.ts';

/** Where a Supabase project is. */
export interface SupabaseProject {
  /** Without a slash at its end, and for hosted projects without a path: https://ref.supabase.co */
  readonly url: URL;
  /** Of a hosted project, as its address tells it. */
  readonly ref: string | undefined;
  /** Of its S3 endpoint. */
  readonly s3Endpoint: string;
}

const WANTED = 'https://REF.supabase.co is wanted (dashboard: Project Settings, Data API)';

/** Paths of the services behind a project's address, which people copy with it. */
const SERVICE_PATH = /\/(storage|rest|auth|functions|realtime|graphql)\/v1(\/.*)?$/;

/** Hosts of hosted projects: the address itself, that of the storage alone, and the dashboard's. */
const HOSTED = /^([a-z0-9-]+)(\.storage)?\.supabase\.(co|in|red)$/;
const DASHBOARD = /^(app\.)?supabase\.(com|io)$/;

/**
 * SUPABASE_URL → the project: a hosted one's address with or without a path of its services, its dashboard's address, or
 * its ref alone; or http(s)://host:port of one that is hosted elsewhere. A ToolError 'usage' for anything else; the sentence
 * never repeats a text that may hold a key.
 */
export function readSupabaseUrl(given: string | undefined): SupabaseProject {
  const text = given?.trim() ?? '';
  if (text === '') {
    throw new ToolError('usage', `SUPABASE_URL is not set; ${WANTED}, or a local file with --output FILE.`);
  }
  const url = URL.parse(withScheme(text));
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    throw new ToolError('usage', `SUPABASE_URL is not the address of a project; ${WANTED}.`);
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new ToolError(
      'usage',
      'SUPABASE_URL carries more than an address; the key goes into SUPABASE_SERVICE_ROLE_KEY.',
    );
  }
  const ref = hostedRef(url);
  if (ref !== undefined) {
    return {
      url: new URL(`https://${ref.name}.supabase.${ref.domain}`),
      ref: ref.name,
      s3Endpoint: `https://${ref.name}.storage.supabase.${ref.domain}/storage/v1/s3`,
    };
  }
  url.pathname = url.pathname.replace(/\/+$/, '').replace(SERVICE_PATH, '').replace(/\/+$/, '');
  return { url, ref: undefined, s3Endpoint: `${addressOf(url)}/storage/v1/s3` };
}

/** The address without a slash at its end. */
export function addressOf(url: URL): string {
  return url.href.replace(/\/+$/, '');
}

/** A project on this machine (`supabase start`) speaks plain HTTP; what is twenty letters is a ref. */
function withScheme(text: string): string {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return text;
  if (/^[a-z]{20}$/.test(text)) return `https://${text}.supabase.co`;
  return `${/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])([:/]|$)/i.test(text) ? 'http' : 'https'}://${text}`;
}

/** The project that a hosted address means; undefined for a host that is not Supabase's own. */
function hostedRef(url: URL): { readonly name: string; readonly domain: string } | undefined {
  if (DASHBOARD.test(url.hostname)) {
    const ref = /\/project\/([a-z0-9]+)(\/|$)/.exec(url.pathname)?.[1];
    if (ref !== undefined) return { name: ref, domain: 'co' };
    throw new ToolError('usage', `SUPABASE_URL is an address of Supabase, but of no project; ${WANTED}.`);
  }
  if (!/(^|\.)supabase\.(co|in|red)$/.test(url.hostname)) return undefined;
  const [, name, , domain] = HOSTED.exec(url.hostname) ?? [];
  const path = url.pathname.replace(/\/+$/, '');
  if (name === undefined || domain === undefined || url.port !== '') {
    throw new ToolError('usage', `SUPABASE_URL is an address of Supabase, but of no project; ${WANTED}.`);
  }
  if (path !== '' && !SERVICE_PATH.test(path)) {
    throw new ToolError('usage', `SUPABASE_URL has a path that no service of Supabase has; ${WANTED}.`);
  }
  return { name, domain };
}
