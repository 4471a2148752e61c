import type * as schemas from '@qdrant/js-client-grpc';
import { canonicalJson } from './canonical-payload.ts';
import { ExactNumber, type Json, type JsonObject } from './exact-json.ts';
import type { GeneratedPoint } from './generated-point.ts';

/** A point as a test compares it, whichever way it came. */
export interface SeenPoint {
  readonly id: string;
  readonly payload: string;
  readonly vector: readonly number[];
}

export function seenPoint({ id, payloadJson, vector }: GeneratedPoint): SeenPoint {
  return { id, payload: payloadJson, vector: [...vector] };
}

export function seenJsonPoint({ id, payload, vector }: JsonObject): SeenPoint {
  return {
    id: id instanceof ExactNumber ? id.source : String(id),
    payload: canonicalJson(payload as Json),
    vector: (vector as ExactNumber[]).map(({ value }) => Math.fround(value)),
  };
}

export function seenProtoPoint({ id, payload, vectors }: schemas.RetrievedPoint): SeenPoint {
  const output = vectors?.vectorsOptions.value as schemas.VectorOutput;
  const dense = output.vector.case === 'dense' ? output.vector.value.data : output.data;
  return {
    id: String(id?.pointIdOptions.value),
    payload: canonicalJson(mapToJson(payload)),
    vector: dense,
  };
}

export function mapToJson(map: Readonly<Record<string, schemas.Value>>): JsonObject {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, valueToJson(value)]));
}

function valueToJson({ kind }: schemas.Value): Json {
  switch (kind.case) {
    case 'integerValue':
      return new ExactNumber(String(kind.value));
    case 'doubleValue':
      return new ExactNumber(Object.is(kind.value, -0) ? '-0.0' : kind.value.toExponential());
    case 'structValue':
      return mapToJson(kind.value.fields);
    case 'listValue':
      return kind.value.values.map(valueToJson);
    case 'stringValue':
    case 'boolValue':
      return kind.value;
    default:
      return null;
  }
}
