/** A number as it was spelled. */
export class Spelled {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

/** JSON.parse with every number as it was spelled. */
export function parseSpelled(json: string): unknown {
  return JSON.parse(json, (_key, plain: unknown, context?: { source?: string }) =>
    typeof plain === 'number' ? new Spelled(String(context?.source)) : plain,
  );
}

/**
 * Canonical text of a JSON text by way of JSON.parse and JSON.stringify: slow, and sharing no code with what
 * it checks. Integers stay as spelled, other numbers go through a double.
 */
export function canonicalOf(json: string): string {
  return canonicalText(parseSpelled(json));
}

/** The same of what parseSpelled() gave. */
export function canonicalText(value: unknown): string {
  if (value instanceof Spelled) return writeNumber(value.source);
  if (Array.isArray(value)) return `[${value.map(canonicalText).join()}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return `{${entries.map(([name, member]) => `${JSON.stringify(name)}:${canonicalText(member)}`).join()}}`;
  }
  return JSON.stringify(value);
}

function writeNumber(source: string): string {
  if (!/[.eE]/.test(source)) return source;
  const text = Object.is(Number(source), -0) ? '-0' : String(Number(source));
  return /[.e]/.test(text) ? text : `${text}.0`;
}
