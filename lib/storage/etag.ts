/** An entity tag without what HTTP writes around it (RFC 9110, section 8.8.3); '' where there is none. */
export function unquoted(etag: string | null | undefined): string {
  return (etag ?? '').replace(/^W\//, '').replaceAll('"', '');
}
