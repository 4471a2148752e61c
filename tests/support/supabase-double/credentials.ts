import { createHmac, timingSafeEqual } from 'node:crypto';
import { refusals } from './refusal.ts';

export interface DoubleKeys {
  readonly service: string;
  readonly anon: string;
  readonly user: string;
  /** service_role, expired. */
  readonly expired: string;
  /** service_role of this project, signed with another secret. */
  readonly otherSecret: string;
  /** service_role of another project, with its secret. */
  readonly otherProject: string;
  /** A new-style key, sb_secret_…, which is no JWT. */
  readonly secret: string;
}

export type Role = 'service_role' | 'anon' | 'authenticated';

const SECRET = 'the-jwt-secret-of-the-double-of-supabase';
const OTHER_SECRET = 'the-jwt-secret-of-quite-another-project';
const HOUR = 3600;

export function makeKeys(projectRef: string): DoubleKeys {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: 'supabase', ref: projectRef, iat: now - HOUR, exp: now + 100 * HOUR };
  const service = { ...claims, role: 'service_role' };
  return {
    service: jwt(service, SECRET),
    anon: jwt({ ...claims, role: 'anon' }, SECRET),
    user: jwt({ ...claims, role: 'authenticated', sub: crypto.randomUUID(), aud: 'authenticated' }, SECRET),
    expired: jwt({ ...service, exp: now - 1 }, SECRET),
    otherSecret: jwt(service, OTHER_SECRET),
    otherProject: jwt({ ...service, ref: 'otherprojectotherpro' }, OTHER_SECRET),
    secret: `sb_secret_${Buffer.from(crypto.getRandomValues(new Uint8Array(24))).toString('base64url')}`,
  };
}

/** The role that a JWT gives. Throws what Supabase Storage answers where the token is none of its own. */
export function roleOf(token: string): Role {
  const [head = '', payload = '', signature, more] = token.split('.');
  const alg = jsonOf(head)?.alg;
  if (signature === undefined || more !== undefined || typeof alg !== 'string') {
    throw refusals.denied('Invalid Compact JWS');
  }
  if (alg !== 'HS256') throw refusals.denied('"alg" (Algorithm) Header Parameter value not allowed');
  const given = Buffer.from(signature, 'base64url');
  const right = createHmac('sha256', SECRET).update(`${head}.${payload}`).digest();
  if (given.length !== right.length || !timingSafeEqual(given, right)) {
    throw refusals.denied('signature verification failed');
  }
  const claims = jsonOf(payload);
  if (typeof claims?.exp === 'number' && claims.exp * 1000 <= Date.now()) {
    throw refusals.denied('"exp" claim timestamp check failed');
  }
  const role = claims?.role;
  return role === 'service_role' || role === 'authenticated' ? role : 'anon';
}

/** The role of an Authorization header, with or without `Bearer`. */
export function roleOfHeader(authorization: string | null): Role {
  return roleOf((authorization ?? '').replace(/^bearer /i, ''));
}

function jwt(claims: Readonly<Record<string, unknown>>, secret: string): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

function jsonOf(part: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
