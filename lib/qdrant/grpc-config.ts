import { type DescEnum, type DescField, ScalarType } from '@bufbuild/protobuf';
import { isReflectMessage, type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { type CollectionConfig, CollectionConfigSchema, type Value } from '@qdrant/js-client-grpc';

/**
 * A collection's config as REST's answer has it: made field by field from what the schema knows of the message,
 * so that no setting is left out by oversight. Fields that the schema does not know are not in it.
 */
export function restConfigOf(config: CollectionConfig): unknown {
  return spelled(reflect(CollectionConfigSchema, config));
}

/** Fields (collections.proto) whose name in REST is another one. */
const REST_NAMES: Readonly<Record<string, string | undefined>> = {
  vectors_config: 'vectors',
  sparse_vectors_config: 'sparse_vectors',
  turboquant: 'turbo',
  // Of two fields with one name the one with the higher number counts: newer servers may fill both.
  deprecated_max_optimization_threads: 'max_optimization_threads',
};

/** Messages that REST has no level for: what it shows is their map, or the one that is set of their oneof. */
const WITHOUT_LEVEL: ReadonlySet<string> = new Set([
  'VectorsConfig',
  'VectorParamsMap',
  'SparseVectorConfig',
  'StrictModeMultivectorConfig',
  'StrictModeSparseConfig',
  'MaxOptimizationThreads',
  'BinaryQuantizationQueryEncoding',
]);

function spelled(message: ReflectMessage): unknown {
  if (WITHOUT_LEVEL.has(message.desc.name)) {
    const content = message.fields.find((field) => field.fieldKind === 'map' || message.isSet(field));
    return content === undefined ? null : fieldValue(message, content);
  }
  return Object.fromEntries(
    message.sortedFields
      .filter((field) => isTold(message, field))
      .map((field) => [REST_NAMES[field.name] ?? field.name, fieldValue(message, field)]),
  );
}

/** A number or an enum without presence is there when it is 0, too. */
function isTold(message: ReflectMessage, field: DescField): boolean {
  const optional = field.oneof !== undefined || field.proto.proto3Optional;
  const plain = field.fieldKind === 'scalar' || field.fieldKind === 'enum';
  return message.isSet(field) || (plain && !optional);
}

function fieldValue(message: ReflectMessage, field: DescField): unknown {
  switch (field.fieldKind) {
    case 'message':
      return spelled(message.get(field));
    case 'enum':
      return enumText(field.enum, message.get(field));
    case 'scalar':
      return scalarOf(field.scalar, message.get(field));
    case 'map':
      return Object.fromEntries([...message.get(field)].map(([key, value]) => [String(key), entryOf(value)]));
    case 'list':
      // The config has none so far.
      return [...message.get(field)].map(entryOf);
  }
}

/** Of a map: a message of the config's, or a JSON value of its metadata. */
function entryOf(value: unknown): unknown {
  if (!isReflectMessage(value)) return value;
  return value.desc.name === 'Value' ? jsonOf(value.message as Value) : spelled(value);
}

function scalarOf(type: ScalarType, value: unknown): unknown {
  return type === ScalarType.FLOAT ? shortest(value as number) : value;
}

/** The double with the fewest digits that is this float32: what REST writes. */
function shortest(float: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(float.toPrecision(digits));
    if (Math.fround(candidate) === float) return candidate;
  }
  return float;
}

/** Enums whose 0 says that nothing was set, which REST leaves out or spells null. */
const UNSET_AT_0: ReadonlySet<string> = new Set([
  'qdrant.Datatype',
  'qdrant.Memory',
  'qdrant.MaxOptimizationThreads.Setting',
]);

/** REST spells `OneAndHalfBits` one_and_half_bits and `Scalar4Bits` scalar4bits, but distances as they are. */
function enumText(type: DescEnum, number: number): string | null {
  if (number === 0 && UNSET_AT_0.has(type.typeName)) return null;
  const name = type.value[number]?.name ?? String(number);
  if (type.name === 'Distance') return name;
  return name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase();
}

function jsonOf({ kind }: Value): unknown {
  switch (kind.case) {
    case 'structValue':
      return Object.fromEntries(
        Object.entries(kind.value.fields).map(([key, value]) => [key, jsonOf(value)]),
      );
    case 'listValue':
      return kind.value.values.map(jsonOf);
    case 'integerValue':
    case 'doubleValue':
    case 'stringValue':
    case 'boolValue':
      return kind.value;
    case 'nullValue':
    case undefined:
      return null;
  }
}
