const REF = 'projectrefprojectref';

/** A JWT with these claims, signed by nobody: nothing here can tell. `signature` is how many letters of it there are. */
export function jwt(claims: Readonly<Record<string, unknown>>, signature = 43): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}.${'s'.repeat(signature)}`;
}

/** The keys of the project projectrefprojectref. */
export const KEYS = {
  service: jwt({ role: 'service_role', ref: REF, exp: 4_000_000_000 }),
  anon: jwt({ role: 'anon', ref: REF, exp: 4_000_000_000 }),
  user: jwt({ role: 'authenticated', ref: REF, exp: 4_000_000_000 }),
  secret: 'sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz',
  publishable: 'sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH',
} as const;
