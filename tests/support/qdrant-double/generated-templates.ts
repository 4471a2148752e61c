import type { QdrantVersion } from './collection.ts';
import type { JsonObject } from './exact-json.ts';
import type { GeneratedCollection } from './generated-id.ts';
import { SERIAL_PLACEHOLDER, TEMPLATES, templatePayload } from './generated-point.ts';
import { type GeneratedVector, pickVector, poolSizeOf, templateVector } from './generated-vector.ts';
import { exponentStyle, payloadJson } from './point-json.ts';
import { mapFields, vectorEntry, vectorOutput } from './point-proto.ts';
import { bytesField } from './protobuf.ts';
import { valueTexts } from './value-pool.ts';

/**
 * A point's body as it is copied into answers: the payload's part, then an entry a vector of a map of names
 * (JSON: `,"name":…`; protobuf: field 1 of NamedVectorsOutput).
 */
export interface Template {
  readonly bytes: Buffer;
  /** Where the payload's part ends, then where each entry does. */
  readonly ends: readonly number[];
  /** Where the unnamed vector stands without its name (JSON: its value; protobuf: length and content), or -1. */
  readonly bareAt: number;
  /** Where in the payload's part the serial stands, or -1. */
  readonly serialAt: number;
}

/** The bodies of a collection's points in both protocols, made when first wanted: 1,024 at most of each. */
export class GeneratedTemplates {
  /** A bit for each vector's entry, and the unnamed one's, 0 where there is none. */
  readonly allEntries: number;
  readonly unnamed: number;
  readonly #json: Template[] = [];
  readonly #proto: Template[] = [];
  readonly #payloads: JsonObject[] = [];

  constructor(
    readonly settings: GeneratedCollection,
    readonly vectors: readonly GeneratedVector[],
    readonly version: QdrantVersion,
  ) {
    this.allEntries = 2 ** vectors.length - 1;
    const unnamed = vectors.findIndex(({ name }) => name === '');
    this.unnamed = unnamed < 0 ? 0 : 1 << unnamed;
  }

  /** Makes every body now, so that a measurement that follows does not pay for them. */
  prepare(): void {
    const count = Math.min(TEMPLATES, this.settings.points);
    for (let template = 0; template < count; template++) {
      this.json(template);
      this.proto(template);
    }
  }

  /** The payload itself, for filters; not to be changed. */
  payload(template: number): JsonObject {
    this.#payloads[template] ??= templatePayload(this.settings, template);
    return this.#payloads[template];
  }

  /** `,"payload":{…}` and the entries. */
  json(template: number): Template {
    this.#json[template] ??= this.#makeJson(template);
    return this.#json[template];
  }

  /** Field 2 (payload) of RetrievedPoint and the entries. */
  proto(template: number): Template {
    this.#proto[template] ??= this.#makeProto(template);
    return this.#proto[template];
  }

  #makeJson(template: number): Template {
    const payload = Buffer.from(`,"payload":${payloadJson(this.payload(template), this.version)}`);
    const entries = this.vectors.map((vector) => {
      const name = `,${JSON.stringify(vector.name)}:`;
      return { bytes: Buffer.from(name + this.#vectorJson(vector, template)), bareAt: name.length };
    });
    return this.#assemble(payload, entries);
  }

  #makeProto(template: number): Template {
    const entries = this.vectors.map((vector) => {
      const value = templateVector(this.settings.name, vector, template);
      const bytes = vectorEntry(vector.name, value, this.version);
      // Without a name the entry is its own tag and length, then the value as field 2: a tag of one byte.
      const bare = bytesField(2, vectorOutput(value, this.version)).length - 1;
      return { bytes, bareAt: bytes.length - bare };
    });
    return this.#assemble(mapFields(2, this.payload(template)), entries);
  }

  #assemble(payload: Buffer, entries: readonly { bytes: Buffer; bareAt: number }[]): Template {
    const ends = [payload.length];
    for (const { bytes } of entries) ends.push((ends.at(-1) as number) + bytes.length);
    const unnamed = this.vectors.findIndex(({ name }) => name === '');
    return {
      bytes: Buffer.concat([payload, ...entries.map(({ bytes }) => bytes)]),
      ends,
      bareAt: unnamed < 0 ? -1 : (ends[unnamed] as number) + (entries[unnamed]?.bareAt as number),
      serialAt: payload.indexOf(SERIAL_PLACEHOLDER),
    };
  }

  #vectorJson(vector: GeneratedVector, template: number): string {
    const { indices, picks } = pickVector(this.settings.name, vector, template);
    const texts = valueTexts(poolSizeOf(vector), vector.datatype ?? 'float32', exponentStyle(this.version));
    const list = (from: number, to: number): string =>
      `[${Array.from(picks.subarray(from, to), (at) => texts[at]).join(',')}]`;
    switch (vector.kind) {
      case 'dense':
        return list(0, picks.length);
      case 'multi': {
        const { size } = vector;
        const rows = Array.from({ length: picks.length / size }, (_, row) =>
          list(row * size, (row + 1) * size),
        );
        return `[${rows.join(',')}]`;
      }
      case 'sparse':
        return `{"indices":[${indices.join(',')}],"values":${list(0, picks.length)}}`;
    }
  }
}
