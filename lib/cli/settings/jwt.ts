/** What a JWT says of itself; nobody here can check that it is true. Undefined where it says nothing. */
export interface JwtClaims {
  readonly role: string | undefined;
  /** Of the project that it is for. */
  readonly ref: string | undefined;
  /** Seconds since 1970 at which it expires. */
  readonly exp: number | undefined;
}

export type JwtRead =
  | { readonly kind: 'claims'; readonly claims: JwtClaims }
  /** Why it is none, for people and without any of its text. */
  | { readonly kind: 'none'; readonly problem: string };

/** Letters of a signature in base64url, by the algorithms of a fixed length (RFC 7518, section 3.1). */
const SIGNATURE_LETTERS: Readonly<Record<string, number>> = {
  HS256: 43,
  HS384: 64,
  HS512: 86,
  ES256: 86,
  EdDSA: 86,
};

/** Reads a JWT (RFC 7519, as a compact JWS: three parts in base64url with points between) without checking its signature. */
export function readJwt(text: string): JwtRead {
  const parts = text.split('.');
  if (parts.length !== 3) return none(`${parts.length} of 3 parts`);
  const [header, payload, signature = ''] = parts;
  const head = jsonOf(header);
  if (head === undefined) return none('its first part is no JSON in base64url');
  const claims = jsonOf(payload);
  if (claims === undefined) return none('its second part is no JSON in base64url');
  const { alg } = head;
  const wanted =
    typeof alg === 'string' && Object.hasOwn(SIGNATURE_LETTERS, alg) ? SIGNATURE_LETTERS[alg] : undefined;
  if (signature === '' || (wanted !== undefined && signature.length !== wanted)) {
    const of = wanted === undefined ? '' : ` of ${wanted}`;
    return none(`its signature has ${signature.length}${of} letters`);
  }
  if (!/^[\w-]+$/.test(signature)) return none('its signature is not base64url');
  const { role, ref, exp } = claims;
  return {
    kind: 'claims',
    claims: {
      role: typeof role === 'string' ? role : undefined,
      ref: typeof ref === 'string' ? ref : undefined,
      exp: typeof exp === 'number' ? exp : undefined,
    },
  };
}

function jsonOf(part: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (part === undefined || !/^[\w-]+$/.test(part)) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString());
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}

function none(problem: string): JwtRead {
  return { kind: 'none', problem };
}
