import { describe, expect, test } from 'bun:test';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  BinaryQuantizationEncoding,
  BinaryQuantizationQueryEncoding_Setting,
  CollectionConfigSchema,
  type CollectionInfo,
  CollectionInfoSchema,
  CompressionRatio,
  Datatype,
  Distance,
  MaxOptimizationThreads_Setting,
  Memory,
  Modifier,
  MultiVectorComparator,
  QuantizationType,
  ShardingMethod,
  TurboQuantBitSize,
} from '@qdrant/js-client-grpc';
import { canonicalConfig } from '../../../lib/qdrant/collection-config.ts';
import { decoded } from '../../../lib/qdrant/grpc-message.ts';
import { shapeOf } from '../../../lib/qdrant/grpc-shape.ts';
import { bytesField, stringField, varintField } from '../../support/qdrant-double/protobuf.ts';
import { errorOf } from './batch-rows.ts';

type Config = MessageInitShape<typeof CollectionConfigSchema>;

const PARAMS = { shardNumber: 1, onDiskPayload: false } as const;
/** What REST shows of those. */
const REST_PARAMS = { shard_number: 1, on_disk_payload: false } as const;

/** As it comes over the wire. */
function infoOf(config: Config, more: MessageInitShape<typeof CollectionInfoSchema> = {}): CollectionInfo {
  const info = create(CollectionInfoSchema, { config: create(CollectionConfigSchema, config), ...more });
  return decoded(CollectionInfoSchema, toBinary(CollectionInfoSchema, info));
}

function configOf(config: Config): unknown {
  return JSON.parse(shapeOf('c', '1.19.0', infoOf(config)).config);
}

/** The config of a collection whose one vector has these settings. */
function vectorConfig(vector: object): unknown {
  const value = { size: 4n, distance: Distance.Dot, ...vector };
  const config = configOf({ params: { ...PARAMS, vectorsConfig: { config: { case: 'params', value } } } });
  const { vectors } = (config as { params: { vectors: Record<string, unknown> } }).params;
  const { size, distance, ...rest } = vectors;
  expect([size, distance]).toEqual([4, 'Dot']);
  return rest;
}

function quantizationOf(quantization: object): unknown {
  const config = configOf({
    params: PARAMS,
    quantizationConfig: { quantization } as Config['quantizationConfig'],
  });
  return (config as { quantization_config: unknown }).quantization_config;
}

describe('the config', () => {
  test('spells every kind of quantization as REST does', () => {
    expect(
      quantizationOf({
        case: 'scalar',
        value: { type: QuantizationType.Int8, quantile: 0.99, alwaysRam: false },
      }),
    ).toEqual({ scalar: { type: 'int8', quantile: 0.99, always_ram: false } });
    expect(
      quantizationOf({ case: 'product', value: { compression: CompressionRatio.x4, memory: Memory.Pinned } }),
    ).toEqual({ product: { compression: 'x4', memory: 'pinned' } });
    const encoding = BinaryQuantizationEncoding.OneAndHalfBits;
    const setting = (value: BinaryQuantizationQueryEncoding_Setting) =>
      ({ variant: { case: 'setting', value } }) as const;
    const { Binary, Default, Scalar4Bits, Scalar8Bits } = BinaryQuantizationQueryEncoding_Setting;
    for (const [value, text] of [
      [Default, 'default'],
      [Binary, 'binary'],
      [Scalar4Bits, 'scalar4bits'],
      [Scalar8Bits, 'scalar8bits'],
    ] as const) {
      const binary = { alwaysRam: true, encoding, queryEncoding: setting(value) };
      expect(quantizationOf({ case: 'binary', value: binary })).toEqual({
        binary: { always_ram: true, encoding: 'one_and_half_bits', query_encoding: text },
      });
    }
    expect(
      quantizationOf({ case: 'turboquant', value: { bits: TurboQuantBitSize.Bits1_5, alwaysRam: true } }),
    ).toEqual({ turbo: { bits: 'bits1_5', always_ram: true } });
  });

  test('has the settings of each vector', () => {
    expect(vectorConfig({})).toEqual({});
    expect(
      vectorConfig({
        onDisk: false,
        datatype: Datatype.Turbo4,
        memory: Memory.Cold,
        hnswConfig: { m: 0n, payloadM: 8n, inlineStorage: true, onDisk: true },
        quantizationConfig: {
          quantization: { case: 'scalar', value: { type: QuantizationType.Int8 } },
        },
        multivectorConfig: { comparator: MultiVectorComparator.MaxSim },
      }),
    ).toEqual({
      on_disk: false,
      datatype: 'turbo4',
      memory: 'cold',
      hnsw_config: { m: 0, payload_m: 8, inline_storage: true, on_disk: true },
      quantization_config: { scalar: { type: 'int8' } },
      multivector_config: { comparator: 'max_sim' },
    });
  });

  test('has named and sparse vectors by their names, whatever those are', () => {
    const named = { size: 2n, distance: Distance.Manhattan };
    const index = { fullScanThreshold: 9n, onDisk: true, datatype: Datatype.Float16 };
    const config = configOf({
      params: {
        ...PARAMS,
        vectorsConfig: {
          config: { case: 'paramsMap', value: { map: { size: named, ключ: named } } },
        },
        sparseVectorsConfig: {
          map: { a: {}, b: { modifier: Modifier.None, index }, c: { modifier: Modifier.Idf } },
        },
      },
    });
    const spelled = { size: 2, distance: 'Manhattan' };
    expect(config).toEqual({
      params: {
        ...REST_PARAMS,
        vectors: { size: spelled, ключ: spelled },
        sparse_vectors: {
          a: {},
          b: { modifier: 'none', index: { full_scan_threshold: 9, on_disk: true, datatype: 'float16' } },
          c: { modifier: 'idf' },
        },
      },
    });
  });

  test('has what the recorded collections leave at its default', () => {
    const { Auto } = MaxOptimizationThreads_Setting;
    const threads = (variant: object) =>
      configOf({ params: PARAMS, optimizerConfig: { maxOptimizationThreads: { variant } as never } });
    expect(threads({ case: 'setting', value: Auto })).toEqual({ params: REST_PARAMS, optimizer_config: {} });
    expect(threads({ case: 'value', value: 3n })).toEqual({
      params: REST_PARAMS,
      optimizer_config: { max_optimization_threads: 3 },
    });
    expect(
      configOf({
        params: {
          ...PARAMS,
          replicationFactor: 2,
          writeConsistencyFactor: 2,
          readFanOutFactor: 3,
          readFanOutDelayMs: 5n,
          shardingMethod: ShardingMethod.Auto,
          payload: { memory: Memory.Cached },
        },
        // Servers up to 1.12 fill only this one.
        optimizerConfig: { deprecatedMaxOptimizationThreads: 4n, preventUnoptimized: false },
        walConfig: { walCapacityMb: 32n, walSegmentsAhead: 0n, walRetainClosed: 1n },
      }),
    ).toEqual({
      params: {
        ...REST_PARAMS,
        replication_factor: 2,
        write_consistency_factor: 2,
        read_fan_out_factor: 3,
        read_fan_out_delay_ms: 5,
        sharding_method: 'auto',
        payload: { memory: 'cached' },
      },
      optimizer_config: { max_optimization_threads: 4, prevent_unoptimized: false },
      wal_config: { wal_capacity_mb: 32, wal_segments_ahead: 0, wal_retain_closed: 1 },
    });
  });

  test('has all that strict mode can say', () => {
    const config = configOf({
      params: PARAMS,
      strictModeConfig: {
        enabled: false,
        searchMaxOversampling: 1.1,
        maxCollectionVectorSizeBytes: 2n ** 60n + 1n,
        multivectorConfig: { multivectorConfig: { m: { maxVectors: 7n } } },
        sparseConfig: { sparseConfig: { s: { maxLength: 9n }, t: {} } },
      },
    });
    expect(config).toEqual({
      params: REST_PARAMS,
      strict_mode_config: {
        enabled: false,
        search_max_oversampling: 1.1,
        max_collection_vector_size_bytes: 2 ** 60,
        multivector_config: { m: { max_vectors: 7 } },
        sparse_config: { s: { max_length: 9 }, t: {} },
      },
    });
  });

  test('keeps every digit of an integer', () => {
    const { config } = shapeOf(
      'c',
      '1.19.0',
      infoOf({ params: PARAMS, optimizerConfig: { maxSegmentSize: 2n ** 64n - 1n } }),
    );
    expect(config).toContain('"max_segment_size":18446744073709551615');
  });

  test('has the metadata as REST has it: exact, nulls and all, and none where there is none', () => {
    // Nested deeper than the schemas' own limit.
    const deep = Array.from({ length: 120 }).reduce<Uint8Array>(
      (inner) => bytesField(6, bytesField(1, stringField(1, 'd'), bytesField(2, inner))),
      varintField(3, 1),
    );
    const entry = (key: string, value: Uint8Array) =>
      bytesField(7, stringField(1, key), bytesField(2, value));
    const metadata = Buffer.concat([
      entry('owner', stringField(4, 'ü')),
      entry('big', varintField(3, 9_007_199_254_740_993n)),
      entry('none', varintField(1, 0)),
      entry('list', bytesField(7, bytesField(1, varintField(5, 1)), bytesField(1, bytesField(6)))),
      entry('deep', deep),
    ]);
    const message = Buffer.concat([
      toBinary(CollectionInfoSchema, create(CollectionInfoSchema, { config: { params: PARAMS } })),
      bytesField(7, metadata),
    ]);
    const { config } = shapeOf('c', '1.19.0', decoded(CollectionInfoSchema, message));
    expect(config).toContain(
      `"metadata":{"big":9007199254740993,"deep":${'{"d":'.repeat(120)}1${'}'.repeat(120)},"list":[true,{}],"none":null,"owner":"ü"}`,
    );
    expect(configOf({ params: PARAMS })).toEqual({ params: REST_PARAMS });
  });

  test('survives what the schema does not know: further fields, members of enums, kinds of quantization', () => {
    const unknown = bytesField(7, bytesField(77, Buffer.from('?')), bytesField(5, bytesField(9)));
    const message = Buffer.concat([
      toBinary(CollectionInfoSchema, infoOf({ params: { ...PARAMS, shardingMethod: 9 as ShardingMethod } })),
      unknown,
    ]);
    const { config } = shapeOf('c', '2.0.0', decoded(CollectionInfoSchema, message));
    expect(config).toBe(
      canonicalConfig({ params: { ...REST_PARAMS, sharding_method: '9' }, quantization_config: {} }),
    );
  });
});

describe('the shape', () => {
  test('tells how vectors are stored, sparse ones too', () => {
    const { vectors } = shapeOf(
      'c',
      '1.19.0',
      infoOf({
        params: {
          ...PARAMS,
          vectorsConfig: {
            config: {
              case: 'params',
              value: { size: 2n, distance: Distance.Cosine, datatype: Datatype.Turbo4 },
            },
          },
          sparseVectorsConfig: { map: { s: {}, t: { index: { datatype: Datatype.Float16 } } } },
        },
      }),
    );
    expect(vectors).toEqual([
      { kind: 'dense', name: '', size: 2, distance: 'Cosine', datatype: 'turbo4' },
      { kind: 'sparse', name: 's', size: 0, distance: 'Dot', datatype: 'float32' },
      { kind: 'sparse', name: 't', size: 0, distance: 'Dot', datatype: 'float16' },
    ]);
  });

  test('tells how many updates wait, and that older servers do not tell', () => {
    const queued = infoOf({ params: PARAMS }, { updateQueue: { length: 12n } });
    expect(shapeOf('c', '1.18.3', queued).updateQueue).toBe(12);
    expect(shapeOf('c', '1.18.3', infoOf({ params: PARAMS }, { updateQueue: {} })).updateQueue).toBe(0);
    expect(shapeOf('c', '1.16.3', infoOf({ params: PARAMS })).updateQueue).toBeUndefined();
  });

  test.each([0n, 2n ** 20n + 1n, 2n ** 64n - 1n])('refuses a vector of %d dimensions', (size) => {
    const value = { size, distance: Distance.Dot };
    const info = infoOf({ params: { ...PARAMS, vectorsConfig: { config: { case: 'params', value } } } });
    expect(errorOf(() => shapeOf('c', '1.18.3', info)).message).toContain(`of ${size} dimensions`);
  });

  test('refuses an answer without parameters', () => {
    expect(errorOf(() => shapeOf('c', '1.18.3', undefined)).message).toBe(
      "Cannot look up collection `c`: Qdrant's answer has no parameters.",
    );
  });
});
