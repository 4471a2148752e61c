import type { QdrantVersion } from './collection.ts';
import { float32Text } from './float-text.ts';
import type { Template } from './generated-collection.ts';
import { type GeneratedCollection, generatedId } from './generated-id.ts';
import {
  SERIAL_PLACEHOLDER,
  serialOf,
  TEMPLATES,
  templateOf,
  templatePayload,
  templateVectorPicks,
  vectorValues,
} from './generated-point.ts';
import { exponentStyle, payloadJson } from './point-json.ts';
import { mapFields, vectorsOutput } from './point-proto.ts';
import { bytesField } from './protobuf.ts';
import type { StoredPoint } from './stored-point.ts';

/** The bodies of a collection's points in both protocols, made when first wanted: 1,024 at most of each. */
export class GeneratedTemplates {
  readonly #settings: GeneratedCollection;
  readonly #version: QdrantVersion;
  readonly #json: Template[] = [];
  readonly #proto: Template[] = [];
  #valueTexts: string[] | undefined;

  constructor(settings: GeneratedCollection, version: QdrantVersion) {
    this.#settings = settings;
    this.#version = version;
  }

  /** Makes every body now, so that a measurement that follows does not pay for them. */
  prepare(): void {
    const count = Math.min(TEMPLATES, this.#settings.points);
    for (let template = 0; template < count; template++) {
      this.json(template);
      this.proto(template);
    }
  }

  /** `,"payload":{…}` and `,"vector":[…]`. */
  json(template: number): Template {
    let made = this.#json[template];
    if (made === undefined) {
      const payload = payloadJson(templatePayload(this.#settings, template), this.#version);
      made = assemble(Buffer.from(`,"payload":${payload}`), Buffer.from(this.#vectorJson(template)));
      this.#json[template] = made;
    }
    return made;
  }

  /** Fields 2 (payload) and 4 (vectors) of RetrievedPoint. */
  proto(template: number): Template {
    let made = this.#proto[template];
    if (made === undefined) {
      const values = pick(
        vectorValues(this.#settings.dimensions),
        templateVectorPicks(this.#settings, template),
      );
      made = assemble(
        mapFields(2, templatePayload(this.#settings, template)),
        bytesField(4, vectorsOutput({ kind: 'dense', values }, this.#version)),
      );
      this.#proto[template] = made;
    }
    return made;
  }

  #vectorJson(template: number): string {
    this.#valueTexts ??= Array.from(vectorValues(this.#settings.dimensions), (value) =>
      float32Text(value, exponentStyle(this.#version)),
    );
    const texts = this.#valueTexts;
    const picks = templateVectorPicks(this.#settings, template);
    return `,"vector":[${Array.from(picks, (at) => texts[at]).join(',')}]`;
  }
}

function assemble(payload: Buffer, vector: Buffer): Template {
  return {
    bytes: Buffer.concat([payload, vector]),
    split: payload.length,
    serialAt: payload.indexOf(SERIAL_PLACEHOLDER),
  };
}

function pick(values: Float32Array, picks: Uint16Array): Float32Array {
  return Float32Array.from(picks, (at) => values[at] as number);
}

/** A generated point in the shape of a stored one, for selections that templates do not serve. */
export function generatedStoredPoint(settings: GeneratedCollection, index: number): StoredPoint {
  const payload = templatePayload(settings, templateOf(index));
  if ('serial' in payload) payload.serial = serialOf(index);
  const picks = templateVectorPicks(settings, templateOf(index));
  return {
    id: generatedId(settings, index),
    payload,
    vectors: { kind: 'dense', values: pick(vectorValues(settings.dimensions), picks) },
  };
}
