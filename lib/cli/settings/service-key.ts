import { ToolError } from '../../errors.ts';
import { Secret } from '../../secret.ts';
import { type JwtClaims, readJwt } from './jwt.ts';
import type { SupabaseProject } from './supabase-url.ts';

/** A key of Supabase that was looked at, without asking anybody: what it is, and what is worth a word. */
export interface CheckedKey {
  readonly key: Secret;
  /** A JWT; else a key of the new kind, which only a gateway understands. */
  readonly isJwt: boolean;
  /** Of the project, where it says so. */
  readonly ref: string | undefined;
  readonly warnings: readonly string[];
}

/** A project, and the variable that says so. */
export interface ProjectRef {
  readonly ref: string;
  readonly source: string;
}

/** A key that lives no longer than this is told of: large collections take hours. */
const SOON_MS = 24 * 60 * 60 * 1000;

const SERVICE = 'SUPABASE_SERVICE_ROLE_KEY';
const ANON = 'SUPABASE_ANON_KEY';
const SERVICE_WANTED = 'the service_role key is wanted (dashboard: Project Settings, API Keys)';
const ANON_WANTED = 'the anon key is wanted (dashboard: Project Settings, API Keys)';
const NO_RIGHTS = 'for which row-level security lets nothing be written';

/**
 * SUPABASE_SERVICE_ROLE_KEY: a JWT of the role service_role, or sb_secret_…. A ToolError 'usage' for every other key that
 * is known to be of no use; no sentence repeats any of it.
 */
export function readServiceKey(given: string, project: SupabaseProject): CheckedKey {
  const text = plainKey(given, SERVICE, SERVICE_WANTED);
  if (text.startsWith('sb_publishable_')) {
    throw wrong(SERVICE, `is a publishable key (sb_publishable_…), ${NO_RIGHTS}`, SERVICE_WANTED);
  }
  if (text.startsWith('sb_secret_')) {
    return { key: new Secret(text), isJwt: false, ref: undefined, warnings: secretKeyWarnings(project) };
  }
  const claims = readKeyJwt(text, SERVICE, SERVICE_WANTED);
  const { role } = claims;
  if (role === 'anon') throw wrong(SERVICE, `is the anon key, ${NO_RIGHTS}`, SERVICE_WANTED);
  if (role === 'authenticated') {
    throw wrong(SERVICE, `is the token of a signed-in user, ${NO_RIGHTS}`, SERVICE_WANTED);
  }
  refuseOutdated(claims, SERVICE, SERVICE_WANTED);
  if (project.ref !== undefined) {
    refuseOthers(claims, SERVICE, { ref: project.ref, source: 'SUPABASE_URL' });
  }
  return {
    key: new Secret(text),
    isJwt: true,
    ref: claims.ref,
    warnings: [...roleWarnings(role), ...expiryWarnings(claims)],
  };
}

/**
 * SUPABASE_ANON_KEY, as the secret of S3 credentials: the JWT of the role anon. Undefined for sb_publishable_…, which is
 * none. A ToolError 'usage' for every other key.
 */
export function readAnonKey(given: string, project: ProjectRef): Secret | undefined {
  const text = plainKey(given, ANON, ANON_WANTED);
  if (text.startsWith('sb_publishable_')) return undefined;
  if (text.startsWith('sb_secret_')) {
    throw wrong(ANON, 'is a secret key (sb_secret_…)', ANON_WANTED);
  }
  const claims = readKeyJwt(text, ANON, ANON_WANTED);
  const { role } = claims;
  if (role !== 'anon') {
    const what = role === undefined ? 'is a JWT without a role' : `is a JWT of the role ${shown(role)}`;
    throw wrong(ANON, what, ANON_WANTED);
  }
  refuseOutdated(claims, ANON, ANON_WANTED);
  refuseOthers(claims, ANON, project);
  return new Secret(text);
}

/** Without blanks around it, which no key has. */
function plainKey(given: string, source: string, wanted: string): string {
  const text = given.trim();
  if (/^["'`“”‘’]|["'`“”‘’]$/.test(text)) throw wrong(source, 'stands in quotes', `${wanted}, without them`);
  if (/^bearer\s/i.test(text)) throw wrong(source, 'begins with "Bearer"', `${wanted}, without it`);
  if (/[^\x21-\x7e]/.test(text)) {
    throw wrong(
      source,
      'holds a character that no key has, such as a blank, a line end or a letter beyond ASCII',
      wanted,
    );
  }
  return text;
}

function readKeyJwt(text: string, source: string, wanted: string): JwtClaims {
  if (text.startsWith('sbp_')) {
    throw wrong(source, 'is the access token of an account (sbp_…), which is no key of a project', wanted);
  }
  const read = readJwt(text);
  if (read.kind === 'claims') return read.claims;
  // What signs JWTs stands beside them in the dashboard and in self-hosted settings: a long random text without points.
  const isSecretLike = /^[A-Za-z0-9+/_-]{32,}={0,2}$/.test(text);
  const hint = isSecretLike ? '; it may be the JWT secret, which signs keys and is none' : '';
  throw wrong(source, `is not a JWT: ${read.problem}${hint}`, wanted);
}

function refuseOutdated({ exp }: JwtClaims, source: string, wanted: string): void {
  if (exp === undefined || exp * 1000 > Date.now()) return;
  const at = new Date(exp * 1000);
  const date = Number.isNaN(at.getTime()) ? 'long ago' : `on ${at.toISOString().slice(0, 10)}`;
  throw wrong(source, `expired ${date}`, wanted.replace('the ', 'a valid '));
}

function refuseOthers({ ref }: JwtClaims, source: string, project: ProjectRef): void {
  if (ref === undefined || ref === project.ref) return;
  throw new ToolError(
    'usage',
    `${source} is of the project ${shown(ref)}, but ${project.source} is of the project ${shown(project.ref)}; both of one project are wanted.`,
  );
}

function roleWarnings(role: string | undefined): readonly string[] {
  if (role === 'service_role') return [];
  const what = role === undefined ? 'names no role' : `has the role ${shown(role)}`;
  return [
    `${SERVICE} ${what}, and service_role was expected: whether it may write is for the policies of the storage to say.`,
  ];
}

function expiryWarnings({ exp }: JwtClaims): readonly string[] {
  if (exp === undefined || exp * 1000 > Date.now() + SOON_MS) return [];
  const at = new Date(exp * 1000).toISOString();
  return [`${SERVICE} expires at ${at}, and a run that goes on for longer fails then.`];
}

/** A project at an address of its own may be a hosted one, so this is no reason to stop. */
function secretKeyWarnings({ ref, url }: SupabaseProject): readonly string[] {
  if (ref !== undefined) return [];
  return [
    `${SERVICE} is an sb_secret_… key, which is no JWT: where ${url.host} has no gateway that translates such keys, the storage refuses it ("Invalid Compact JWS"), and the service_role JWT is wanted.`,
  ];
}

/** A claim is a text of others', and may have any length. */
function shown(claim: string): string {
  return /^[\w-]{1,40}$/.test(claim) ? claim : JSON.stringify(claim.slice(0, 40));
}

function wrong(source: string, what: string, wanted: string): ToolError {
  return new ToolError('usage', `${source} ${what}; ${wanted}.`);
}
