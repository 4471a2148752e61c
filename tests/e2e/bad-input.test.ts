import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runExporter } from '../support/exporter.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import {
  DUCKDB_MISSING,
  PYARROW_MISSING,
  queryWithDuckDb,
  readWithPyarrow,
} from '../support/foreign-readers.ts';
import { type QdrantDoubleOptions, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { NO_S3_SERVER, startS3Server } from '../support/s3-server.ts';
import { makeTestCertificates, tlsSkipReason } from '../support/tls.ts';

setDefaultTimeout(60_000);

const PROTOCOLS = ['grpc', 'rest'] as const;
type Protocol = (typeof PROTOCOLS)[number];

const folder = mkdtempSync(join(tmpdir(), 'e2e-bad-'));
const stops: (() => unknown)[] = [() => rmSync(folder, { recursive: true })];
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

async function double(options: QdrantDoubleOptions) {
  const started = await startQdrantDouble(options);
  stops.push(() => started.stop());
  return started;
}

/** 5 MB and more without compression. */
const LARGE = { name: 'large', points: 1_200, dimensions: 1024 } as const;
/** 35 MB: several parts of an upload. */
const HUGE = { name: 'huge', points: 8_000, dimensions: 1024 } as const;
const server = await double({ recorded: ['standalone', 'cluster'], generated: [LARGE] });

interface Source {
  readonly grpcUrl: string;
  readonly restUrl: string;
}

const hostOf = (url: string) => new URL(url).host;
const urlFor = ({ grpcUrl, restUrl }: Source, protocol: Protocol) =>
  protocol === 'grpc' ? grpcUrl : restUrl;
const from = (source: Source, protocol: Protocol, collection = 'plain') => [
  ...['--collection', collection, '--url', urlFor(source, protocol)],
  ...(protocol === 'rest' ? ['--http'] : []),
];
const PLAIN = from(server, 'grpc');

interface Refusal {
  readonly code: number;
  /** All that stderr says, behind `Error: `. */
  readonly error: string;
  /** A line before it. */
  readonly warning?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs what has to fail: with one sentence, and nothing left of it. */
async function expectRefusal(args: readonly string[], refusal: Refusal): Promise<void> {
  const { code, error, env = {}, warning } = refusal;
  const before = warning === undefined ? '' : `Warning: ${warning}\n`;
  const run = await runExporter(args, { env });
  expect(run).toMatchObject({ code, stdout: '', stderr: `${before}Error: ${error}\n`, workFiles: [] });
}

/** The same for a run that would have written a local file. */
async function expectNoFile(args: readonly string[], refusal: Refusal): Promise<void> {
  const target = mkdtempSync(join(folder, 'target-'));
  await expectRefusal([...args, '--output', join(target, 'x.parquet')], refusal);
  expect(readdirSync(target)).toEqual([]);
}

describe('exporter-r2 refuses what is asked', () => {
  const NUMBER = 'a whole number from';
  const out = ['--output', join(folder, 'never.parquet')];

  for (const [what, args, error] of [
    ['no collection', out, 'No collection was named; give --collection NAME or set QDRANT_COLLECTION_NAME.'],
    [
      'no target',
      PLAIN,
      'There is nowhere to write to; name a bucket with --bucket or R2_BUCKET, or a local file with --output FILE.',
    ],
    [
      'a collection that cannot be',
      ['--collection', 'a/b', ...out],
      '--collection is "a/b"; no collection has / or NUL in its name.',
    ],
    [
      '--stream-upload and --output',
      [...PLAIN, ...out, '--stream-upload', '--strategy', 'parquet-med'],
      '--stream-upload and --output contradict: --output writes a local file, so nothing goes to a store.',
    ],
    [
      '--bucket and --output',
      [...PLAIN, ...out, '--bucket', 'b'],
      '--bucket and --output contradict: --output writes a local file, so nothing goes to a store.',
    ],
    [
      '--prefix and --output',
      [...PLAIN, ...out, '--prefix', 'p'],
      '--prefix and --output contradict: --output writes a local file, so nothing goes to a store.',
    ],
    [
      '--quiet and --verbose',
      [...PLAIN, ...out, '--quiet', '--verbose'],
      '--quiet and --verbose contradict: give one of them.',
    ],
    [
      '--stream-upload without a strategy',
      [...PLAIN, '--bucket', 'b', '--stream-upload'],
      '--stream-upload wants a strategy to be named: --strategy parquet-small, --strategy parquet-med or --strategy parquet-large.',
    ],
    [
      'more a retrieve than half a page',
      [...PLAIN, ...out, '--retrieve-batch', '6000'],
      '--retrieve-batch is 6000; at most 5000, half of --batch-size 10000, is wanted.',
    ],
    [
      'zero',
      [...PLAIN, ...out, '--batch-size', '0'],
      `--batch-size is 0; ${NUMBER} 1 to 1,000,000 is wanted.`,
    ],
    [
      'an exponent',
      [...PLAIN, ...out, '--batch-size', '1e3'],
      `--batch-size is "1e3"; ${NUMBER} 1 to 1,000,000 is wanted.`,
    ],
    [
      'a negative number',
      [...PLAIN, ...out, '--parallel=-1'],
      `--parallel is -1; ${NUMBER} 1 to 256 is wanted.`,
    ],
    [
      'a word for a number',
      [...PLAIN, ...out, '--parallel', 'many'],
      `--parallel is "many"; ${NUMBER} 1 to 256 is wanted.`,
    ],
    [
      'a fraction',
      [...PLAIN, ...out, '--row-group-size', '1.5'],
      `--row-group-size is "1.5"; ${NUMBER} 1 to 10,000,000 is wanted.`,
    ],
    [
      'too large a number',
      [...PLAIN, ...out, '--timeout', '99999999999'],
      `--timeout is 99999999999; ${NUMBER} 1 to 86,400 is wanted.`,
    ],
    [
      'neither a number nor auto',
      [...PLAIN, ...out, '--retrieve-batch', 'autom'],
      `--retrieve-batch is "autom"; ${NUMBER} 1 to 500,000, or auto, is wanted.`,
    ],
    [
      'a port that cannot be',
      [...out, '--collection', 'x', '--url', 'localhost:99999'],
      `The port of --url is 99999; ${NUMBER} 1 to 65,535 is wanted.`,
    ],
    [
      'an address that is none',
      [...out, '--collection', 'x', '--url', 'http://a b'],
      '--url is not an address; host, host:port or http(s)://host:port is wanted.',
    ],
    [
      'another scheme',
      [...out, '--collection', 'x', '--url', 'ftp://x'],
      '--url begins with ftp://; http:// or https:// is wanted.',
    ],
    [
      'a misspelt flag',
      [...PLAIN, '--outptu', 'x'],
      '--outptu is not a flag of this program. Did you mean --output?',
    ],
    ['an unknown flag', ['--zzz'], '--zzz is not a flag of this program. --help lists all of them.'],
    ['a flag of later versions', [...out, '--resume'], '--resume is not available in this version.'],
    ['a missing value at the end', [...PLAIN, '--output'], '--output wants a value, and nothing follows it.'],
    [
      'a missing value before a flag',
      ['--output', '--quiet'],
      '--output wants a value, but "--quiet" follows it; a value that begins with - goes as --output=VALUE.',
    ],
    ['an empty value', [...PLAIN, '--output='], '--output is empty; a value is wanted.'],
    ['a value for a switch', [...PLAIN, '--quiet=yes'], '--quiet takes no value, but was given "yes".'],
    [
      'a flag given twice',
      [...PLAIN, ...out, '--collection', 'x'],
      '--collection was given more than once, and is wanted once.',
    ],
    [
      'a stray argument',
      [...PLAIN, ...out, 'stray'],
      'Nothing can be done with the argument "stray"; every argument is a flag, such as --collection NAME.',
    ],
    [
      'a misspelt word',
      [...PLAIN, ...out, '--compression', 'zst'],
      '--compression is "zst"; it takes zstd, snappy, gzip or none. Did you mean zstd?',
    ],
    [
      'a strategy of later versions',
      [...PLAIN, ...out, '--strategy', 'ndjson-gz'],
      '--strategy ndjson-gz is not available in this version; it takes parquet-small, parquet-med or parquet-large.',
    ],
    [
      'a filter that is not JSON',
      [...PLAIN, ...out, '--filter', '{"must":'],
      "--filter is not JSON: line 1, column 9 has the end where a value is due; Qdrant's filter is wanted, a JSON object, or @FILE with one.",
    ],
    [
      'a filter that is not there',
      [...PLAIN, ...out, '--filter', '@/no/such.json'],
      'Cannot read --filter @/no/such.json: there is no such file.',
    ],
    [
      'a filter that the manifest would replace',
      [...PLAIN, ...out, '--filter', `@${join(folder, 'never.parquet.json')}`],
      `--filter @${join(folder, 'never.parquet.json')} and --output ${join(folder, 'never.parquet')} contradict: the manifest beside the export would replace the file of the filter.`,
    ],
    [
      'no points at all',
      [...PLAIN, ...out, '--limit', '0'],
      `--limit is 0; ${NUMBER} 1 to 9,007,199,254,740,991 is wanted.`,
    ],
    [
      'a vector without a name',
      [...PLAIN, ...out, '--vectors', 'text,,image'],
      '--vectors is "text,,image", where a name is missing; the unnamed vector is written "".',
    ],
    [
      'no vectors for Pinecone',
      [...PLAIN, ...out, '--vectors', 'none', '--schema', 'pinecone'],
      '--vectors none and --schema pinecone contradict: every row of it has a vector.',
    ],
    [
      'a key for rows that have none',
      [...PLAIN, ...out, '--key-field', 'title', '--schema', 'points'],
      '--key-field and --schema points contradict: its rows have the ids of points, and no key.',
    ],
    [
      'a consistency that Qdrant does not know',
      [...PLAIN, ...out, '--consistency', 'often'],
      '--consistency is "often"; it takes all, majority, quorum or a whole number from 1 to 9,007,199,254,740,991.',
    ],
    [
      'a certificate that is not there',
      [...PLAIN, ...out, '--ca-cert', '/no/such.pem'],
      'Cannot read --ca-cert /no/such.pem: there is no such file.',
    ],
    [
      'a prefix that leads out',
      [...PLAIN, '--bucket', 'b', '--prefix', '../x'],
      '--prefix is "../x"; a path without empty parts, . and .. is wanted.',
    ],
  ] as const) {
    test(`${what}: 2`, async () => {
      const requests = server.stats.connections;
      await expectRefusal(args, { code: 2, error });
      expect(server.stats.connections).toBe(requests);
      expect(readdirSync(folder)).not.toContain('never.parquet');
    });
  }

  for (const [name, value, error] of [
    ['SOURCE_DATE_EPOCH', 'yesterday', `is "yesterday"; ${NUMBER} 0 to 253,402,300,799 is wanted.`],
    ['QDRANT_PORT', '70000', `is 70000; ${NUMBER} 1 to 65,535 is wanted.`],
    ['QDRANT_COLLECTION_NAME', 'a/b', 'is "a/b"; no collection has / or NUL in its name.'],
  ] as const) {
    test(`nonsense in ${name}: 2`, async () => {
      const args = [
        '--http',
        '--url',
        server.restUrl,
        ...(name.includes('COLLECTION') ? [] : PLAIN.slice(0, 2)),
      ];
      await expectNoFile(args, { code: 2, error: `${name} ${error}`, env: { [name]: value } });
    });
  }
});

describe('exporter-r2 tells of a Qdrant that it cannot read', () => {
  for (const protocol of PROTOCOLS) {
    const [own, host] = [urlFor(server, protocol), hostOf(urlFor(server, protocol))];
    const others = '`cosine`, `empty`, `large`, `multi`, `named` and 8 more';

    test(`an unknown collection over ${protocol}: 10`, async () => {
      await expectNoFile(from(server, protocol, 'plane'), {
        code: 10,
        error: `There is no collection \`plane\` on ${host}; it has ${others}.`,
      });
    });

    for (const [what, collection, args, code, error] of [
      [
        'vectors of which Pinecone takes one',
        'named',
        ['--schema', 'pinecone'],
        2,
        'Collection `named` does not fit --schema pinecone: Pinecone takes exactly one dense vector, at most one sparse vector and no multivector, and found is a sparse vector `bm25`, a multivector `colbert`, a dense vector `half`, a dense vector `image`, a dense vector `text`. Choose with --vectors NAME.',
      ],
      [
        'a collection without what Pinecone wants',
        'sparse_only',
        ['--schema', 'pinecone'],
        2,
        'Collection `sparse_only` does not fit --schema pinecone: Pinecone takes exactly one dense vector, at most one sparse vector and no multivector, and found is a sparse vector `s`. Choose with --vectors NAME.',
      ],
      [
        'a multivector for Milvus',
        'multi',
        ['--schema', 'milvus'],
        2,
        'Collection `multi` does not fit --schema milvus: Milvus imports no multivectors, and found is an unnamed multivector. Choose with --vectors NAME, or another --schema.',
      ],
      [
        'a point without the vector that Milvus wants of each',
        'sparse_only',
        ['--schema', 'milvus', '--quiet'],
        11,
        'Cannot write point 2 for Milvus: it lacks vector `s`, and a vector field of Milvus has no NULL. Another --schema holds it.',
      ],
      [
        'a vector that is not there',
        'named',
        ['--vectors', 'text,txet'],
        2,
        'Collection `named` has no vector `txet`; it has `bm25`, `colbert`, `half`, `image`, `text`.',
      ],
      [
        'a shard key that is not there',
        'tenants',
        ['--shard-key', 'acne'],
        2,
        'Collection `tenants` has no shard key `acne`; it has 7, `acme`.',
      ],
      [
        'a shard key of a collection that has none',
        'plain',
        ['--shard-key', 'acme'],
        2,
        '--shard-key is `acme`, but collection `plain` has no shard keys (its sharding is automatic); leave the flag out.',
      ],
    ] as const) {
      test(`${what}, over ${protocol}: ${code}`, async () => {
        await expectNoFile([...from(server, protocol, collection), ...args], { code, error });
      });
    }

    test(`a filter that Qdrant does not take, over ${protocol}: 2, before anything is written`, async () => {
      const filter = '{"must":[{"key":"n","rnage":{"gt":1}}]}';
      const sent = server.stats.pointsSent;
      await expectNoFile([...from(server, protocol), '--filter', filter], {
        code: 2,
        error:
          protocol === 'grpc'
            ? '--filter: must[0].rnage is not a condition on a field that Qdrant knows (key, match, range, geo_bounding_box, geo_radius, geo_polygon, values_count, is_empty, is_null).'
            : 'Cannot count collection `plain`: Qdrant does not take the filter given with --filter: [scroll_request.filter: At least one field condition must be specified].',
      });
      expect(server.stats.pointsSent).toBe(sent);
    });

    test(`a wrong key and none over ${protocol}: 10`, async () => {
      const locked = await double({ recorded: ['standalone'], apiKey: 'the right key' });
      const answered = protocol === 'grpc' ? 'UNAUTHENTICATED' : '401 Unauthorized';
      for (const [env, said] of [
        [{ QDRANT_API_KEY: 'a wrong key' }, 'Invalid API key or JWT'],
        [{}, 'Must provide an API key or an Authorization bearer token'],
      ] as const) {
        await expectNoFile(from(locked, protocol), {
          code: 10,
          error: `Cannot look up collection \`plain\`: Qdrant answered ${answered} ("${said}"). Check QDRANT_API_KEY.`,
          env,
        });
      }
    });

    test(`the other protocol's port over ${protocol}: 10`, async () => {
      const [port, error] =
        protocol === 'grpc'
          ? [server.restUrl, "over gRPC: HOST is Qdrant's REST port. Use --http, or port 6334."]
          : [server.grpcUrl, "over REST: HOST is Qdrant's gRPC port. Leave out --http, or use port 6333."];
      await expectNoFile(from({ grpcUrl: port, restUrl: port }, protocol), {
        code: 10,
        error: `Cannot reach Qdrant ${error.replace('HOST', hostOf(port))}`,
      });
    });

    test(`https where TLS is not spoken, over ${protocol}: 10`, async () => {
      const url = own.replace('http:', 'https:');
      await expectNoFile(from({ grpcUrl: url, restUrl: url }, protocol), {
        code: 10,
        error: `Cannot reach Qdrant: ${host} does not speak TLS. Use an http:// address, or the port that does.`,
      });
    });

    test(`a port where nothing listens, over ${protocol}: 10`, async () => {
      const gone = await startQdrantDouble({});
      await gone.stop();
      const usual = protocol === 'grpc' ? 'gRPC is usually port 6334' : 'REST is usually port 6333';
      await expectNoFile(from(gone, protocol), {
        code: 10,
        error: `Cannot reach Qdrant: nothing listens on ${hostOf(urlFor(gone, protocol))}. Check QDRANT_URL; ${usual}.`,
      });
    });

    test(`a host that is not there, over ${protocol}: 10`, async () => {
      const url = 'http://nosuchhost.invalid';
      const error = 'Cannot reach Qdrant: there is no host named nosuchhost.invalid. Check QDRANT_URL.';
      await expectNoFile(from({ grpcUrl: url, restUrl: url }, protocol), { code: 10, error });
      await expectNoFile(from({ grpcUrl: url, restUrl: url }, protocol), {
        code: 10,
        error,
        warning:
          'QDRANT_API_KEY goes to nosuchhost.invalid over plain HTTP, where others can read it; https:// protects it.',
        env: { QDRANT_API_KEY: 'key' },
      });
    });

    test(`points that it may not read, over ${protocol}: 10, and the file that was there stays, with its manifest`, async () => {
      const broken = await double({ recorded: ['standalone'] });
      broken.setFaults(({ method }) =>
        method === 'retrieve' ? { kind: 'status', http: 403, grpc: 7, message: 'Forbidden' } : undefined,
      );
      const target = mkdtempSync(join(folder, 'target-'));
      writeFileSync(join(target, 'x.parquet'), 'of yesterday');
      writeFileSync(join(target, 'x.parquet.json'), 'its manifest');
      const args = [
        ...from(broken, protocol),
        '--passes',
        'two',
        '--quiet',
        '--output',
        join(target, 'x.parquet'),
      ];
      const answered = protocol === 'grpc' ? 'PERMISSION_DENIED' : '403 Forbidden';
      await expectRefusal(args, {
        code: 10,
        error: `Cannot read 28 points of collection \`plain\` from id 0: Qdrant answered ${answered} ("Forbidden"). QDRANT_API_KEY needs to be allowed to read this collection.`,
      });
      expect(readdirSync(target).sort()).toEqual(['x.parquet', 'x.parquet.json']);
      expect(readFileSync(join(target, 'x.parquet'), 'utf8')).toBe('of yesterday');
      expect(readFileSync(join(target, 'x.parquet.json'), 'utf8')).toBe('its manifest');
    });
  }

  test('an unknown collection of a server that has none: 10', async () => {
    const bare = await double({});
    await expectNoFile(from(bare, 'grpc'), {
      code: 10,
      error: `There is no collection \`plain\` on ${hostOf(bare.grpcUrl)}, which has none at all.`,
    });
  });

  const tlsReason = tlsSkipReason();
  describe.skipIf(tlsReason !== undefined)(
    `over TLS${tlsReason === undefined ? '' : `: ${tlsReason}`}`,
    () => {
      for (const protocol of PROTOCOLS) {
        test(`a certificate that is not trusted, http on the TLS port, over ${protocol}: 10`, async () => {
          const certificates = makeTestCertificates();
          stops.push(() => certificates.remove());
          const secure = await double({ recorded: ['standalone'], tls: certificates });
          const url = urlFor(secure, protocol);
          const host = hostOf(url);
          await expectNoFile(from(secure, protocol), {
            code: 10,
            error: `Cannot reach Qdrant: the certificate of ${host} is not trusted (unable to verify the first certificate). For a private authority use --ca-cert FILE.`,
          });
          const plain = url.replace('https:', 'http:');
          const happened = protocol === 'grpc' ? 'reset' : 'closed before the answer was whole';
          await expectNoFile(from({ grpcUrl: plain, restUrl: plain }, protocol), {
            code: 10,
            error: `Cannot reach Qdrant: the connection to ${host} was ${happened}. If it expects TLS, use an https:// address.`,
          });
        });
      }
    },
  );
});

describe('an empty collection', () => {
  for (const protocol of PROTOCOLS) {
    test(`becomes a valid file of no rows, over ${protocol}: 0`, async () => {
      const path = join(folder, `empty-${protocol}.parquet`);
      const run = await runExporter([...from(server, protocol, 'empty'), '--json', '--output', path]);
      expect(run.code).toBe(0);
      expect(run.json().counts).toMatchObject({ before: 0, after: 0, idsSeen: 0, rows: 0, missing: 0 });
      expect(run.json().warnings).toEqual([]);
      if (PYARROW_MISSING === undefined) {
        const file = await readWithPyarrow(path);
        expect(file.schema).toEqual(['key: string', 'metadata: string', 'vector: list<element: float>']);
        expect(file.rows).toEqual([]);
      }
      if (DUCKDB_MISSING === undefined) {
        expect(await queryWithDuckDb(path, 'SELECT count(*) AS rows FROM file')).toEqual([{ rows: 0 }]);
        expect(await queryWithDuckDb(path, 'SELECT column_name, column_type FROM (DESCRIBE file)')).toEqual([
          { column_name: 'key', column_type: 'VARCHAR' },
          { column_name: 'metadata', column_type: 'VARCHAR' },
          { column_name: 'vector', column_type: 'FLOAT[]' },
        ]);
      }
    });
  }
});

describe('exporter-r2 tells of a file that it cannot write', () => {
  test('a folder: 2', async () => {
    const target = mkdtempSync(join(folder, 'target-'));
    await expectRefusal([...PLAIN, '--output', target], {
      code: 2,
      error: `Cannot write "${target}": it is a folder. Give the path of a file.`,
    });
    await expectRefusal([...PLAIN, '--output', `${target}/`], {
      code: 2,
      error: `--output is "${target}/"; the path of a file is wanted.`,
    });
    expect(readdirSync(target)).toEqual([]);
  });

  test('in a folder that is not there, or is a file: 12', async () => {
    const target = mkdtempSync(join(folder, 'target-'));
    const missing = join(target, 'missing');
    await expectRefusal([...PLAIN, '--output', join(missing, 'x.parquet')], {
      code: 12,
      error: `Cannot write "${missing}/x.parquet": folder "${missing}" does not exist (ENOENT).`,
    });
    writeFileSync(missing, '');
    await expectRefusal([...PLAIN, '--output', join(missing, 'x.parquet')], {
      code: 12,
      error: `Cannot write "${missing}/x.parquet": "${missing}" is not a folder (ENOTDIR).`,
    });
    expect(readdirSync(target)).toEqual(['missing']);
  });

  test('a folder in the place of its manifest: 2, before anything is written', async () => {
    const target = mkdtempSync(join(folder, 'target-'));
    const path = join(target, 'x.parquet');
    mkdirSync(`${path}.json`);
    await expectRefusal([...PLAIN, '--output', path, '--quiet'], {
      code: 2,
      error: `Cannot write "${path}.json": it is a folder. Give the path of a file.`,
    });
    expect(readdirSync(target)).toEqual(['x.parquet.json']);
  });

  test('a device: 2', async () => {
    await expectRefusal([...PLAIN, '--output', '/dev/null'], {
      code: 2,
      error: 'Cannot write "/dev/null": it is not a regular file. Give the path of a file.',
    });
  });

  const isRoot = process.getuid?.() === 0;
  test.skipIf(isRoot)(
    `in a folder without permission: 12${isRoot ? ' (root may write anywhere)' : ''}`,
    async () => {
      const target = mkdtempSync(join(folder, 'target-'));
      chmodSync(target, 0o555);
      await expectRefusal([...PLAIN, '--output', join(target, 'x.parquet')], {
        code: 12,
        error: `Cannot write "${target}/x.parquet": no permission to write in folder "${target}" (EACCES).`,
      });
    },
  );
});

/** A file system of 1 MB on a folder of its own, or why there can be none. */
function mountSmall(name: string, options: string): { readonly path: string } | { readonly reason: string } {
  const path = join(folder, name);
  mkdirSync(path);
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return { reason: 'only root can mount a small disk' };
  const { exitCode } = Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', path]);
  if (exitCode !== 0) return { reason: 'mounting a small disk is not allowed here' };
  stops.push(() => Bun.spawnSync(['umount', '-l', path]));
  return { path };
}

const small = mountSmall('small', 'size=1m');
const readOnly = mountSmall('read-only', 'size=1m,ro');
const smallPath = 'path' in small ? small.path : '';
const noMount = 'reason' in small ? `: ${small.reason}` : '';
const UNCOMPRESSED = ['--compression', 'none', '--quiet'];

describe.skipIf(noMount !== '')(`a disk that is full or read-only${noMount}`, () => {
  for (const protocol of PROTOCOLS) {
    test(`ends --output over ${protocol} in 12 and leaves no .part`, async () => {
      const path = join(smallPath, 'x.parquet');
      await expectRefusal([...from(server, protocol, 'large'), ...UNCOMPRESSED, '--output', path], {
        code: 12,
        error: `Cannot write "${path}": the disk is full (ENOSPC).`,
      });
      expect(readdirSync(smallPath)).toEqual([]);
    });
  }

  test('ends in 12 when the manifest alone does not fit, says that the export is published, and leaves the earlier manifest', async () => {
    const elsewhere = join(folder, 'elsewhere.parquet');
    expect((await runExporter([...PLAIN, '--quiet', '--output', elsewhere])).code).toBe(0);
    const path = join(smallPath, 'x.parquet');
    writeFileSync(`${path}.json`, 'of yesterday');
    const { bavail, bsize } = statfsSync(smallPath);
    const blocks = Math.ceil(statSync(elsewhere).size / bsize);
    writeFileSync(join(smallPath, 'filler'), new Uint8Array((bavail - blocks) * bsize));
    const run = await runExporter([...PLAIN, '--quiet', '--output', path]);
    const left = readdirSync(smallPath).sort();
    const [exported, manifest] = [readFileSync(path), readFileSync(`${path}.json`, 'utf8')];
    for (const name of left) rmSync(join(smallPath, name));
    expect(run).toMatchObject({ code: 12, stdout: '' });
    expect(run.stderr).toEndWith(
      `Error: The export is whole and published as ${path}, but its manifest is not: Cannot write "${path}.json": the disk is full (ENOSPC).\n`,
    );
    expect(left).toEqual(['filler', 'x.parquet', 'x.parquet.json']);
    expect(manifest).toBe('of yesterday');
    expect(exported.length).toBe(statSync(elsewhere).size);
    // Who has the export has to know what is the matter with it.
    expect(run.stderr).toStartWith('Warning: 2 rows have a key that a row before has too: ');
  });

  test('ends --output in 12 when it is read-only', async () => {
    const path = 'path' in readOnly ? readOnly.path : '';
    await expectRefusal([...PLAIN, '--output', join(path, 'x.parquet')], {
      code: 12,
      error: `Cannot write "${path}/x.parquet": folder "${path}" is on a read-only file system (EROFS).`,
    });
  });
});

const s3 = await startS3Server();
stops.push(() => s3?.stop());

describe.skipIf(s3 === undefined)('exporter-r2 tells of a store that it cannot write to', () => {
  const real = s3 ?? NO_S3_SERVER;
  const STORE = {
    R2_ACCESS_KEY_ID: real.accessKeyId,
    R2_SECRET_ACCESS_KEY: real.secretAccessKey,
    R2_REGION: real.region,
    R2_ENDPOINT: real.endpoint,
    R2_BUCKET: real.bucket,
  };
  const WAYS = [[], ['--stream-upload', '--strategy', 'parquet-med']] as const;
  const TO = `Cannot write s3://${real.bucket}/plain/latest.parquet:`;

  async function expectNoObject(
    args: readonly string[],
    { env, ...refusal }: Refusal,
    key = 'plain/latest.parquet',
  ): Promise<void> {
    await expectRefusal(args, { ...refusal, env: { ...STORE, ...env } });
    expect(await real.head(key)).toBeUndefined();
    expect(await real.head(key.replace(/parquet$/, 'json'))).toBeUndefined();
    expect(await real.openUploads()).toEqual([]);
  }

  for (const [what, env, code, error] of [
    [
      'no such bucket',
      { R2_BUCKET: 'nosuchbucket' },
      12,
      `Cannot write s3://nosuchbucket/plain/latest.parquet: there is no bucket "nosuchbucket" at ${real.endpoint} (404 NoSuchBucket). Check R2_BUCKET and R2_ENDPOINT.`,
    ],
    [
      'a bucket name that cannot be',
      { R2_BUCKET: 'Up_Case..x' },
      2,
      'Cannot write s3://Up_Case..x/plain/latest.parquet: "Up_Case..x" is not a bucket name (400 InvalidBucketName). Check R2_BUCKET.',
    ],
    [
      'a wrong secret',
      { R2_SECRET_ACCESS_KEY: 'not-the-secret' },
      12,
      `${TO} ${real.endpoint} refused the signature (403 SignatureDoesNotMatch), so the secret key is wrong. Check R2_SECRET_ACCESS_KEY.`,
    ],
    [
      'a wrong access key',
      { R2_ACCESS_KEY_ID: 'NOBODY' },
      12,
      `${TO} ${real.endpoint} does not know the access key (404 XAdminUserNotFound). Check R2_ACCESS_KEY_ID.`,
    ],
    [
      'https where TLS is not spoken',
      { R2_ENDPOINT: real.endpoint.replace('http:', 'https:') },
      12,
      `${TO} ${real.endpoint.replace('http:', 'https:')} does not speak TLS (EPROTO). Check R2_ENDPOINT.`,
    ],
    [
      'a host that is not there',
      { R2_ENDPOINT: 'http://nosuchhost.invalid' },
      12,
      `${TO} there is no host of the name in http://nosuchhost.invalid (ENOTFOUND). Check the network and R2_ENDPOINT.`,
    ],
  ] as const) {
    for (const args of WAYS) {
      test(`${what}${args.length === 0 ? '' : ', with --stream-upload'}: ${code}`, async () => {
        await expectNoObject([...PLAIN, ...args], { code, error, env });
      });
    }
  }

  test('a port where nothing listens: 12', async () => {
    const gone = await startQdrantDouble({});
    await gone.stop();
    const error = `${TO} nothing listens on ${gone.restUrl} (ECONNREFUSED). Check R2_ENDPOINT.`;
    await expectNoObject(PLAIN, { code: 12, error, env: { R2_ENDPOINT: gone.restUrl } });
  });

  test('settings that lack one: 2', async () => {
    await expectNoObject(PLAIN, {
      code: 2,
      error:
        'R2_ENDPOINT is not set, but R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY are; all three are wanted, or none for AWS S3.',
      env: { R2_ENDPOINT: '' },
    });
  });

  test('no settings at all, and none of AWS: 2', async () => {
    const keys =
      'R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY and R2_ENDPOINT, or the AWS credentials (AWS_ACCESS_KEY_ID, AWS_PROFILE, …)';
    await expectRefusal([...PLAIN, '--bucket', 'b'], {
      code: 2,
      error: `Cannot write s3://b/plain/latest.parquet: neither a store nor a region was named. Set ${keys} and AWS_REGION.`,
    });
    await expectRefusal([...PLAIN, '--bucket', 'b'], {
      code: 2,
      error: `Cannot write s3://b/plain/latest.parquet: no credentials were found. Set ${keys}.`,
      // No asking the machine it runs on, which takes its time to say nothing.
      env: { AWS_REGION: 'eu-central-1', AWS_EC2_METADATA_DISABLED: 'true' },
    });
  });

  test('a work folder that cannot be made: 2', async () => {
    await expectNoObject(PLAIN, {
      code: 2,
      error:
        'Cannot make the work folder "/dev/null/qdrant-export/plain": "/dev/null" is not a folder (ENOTDIR). Set OUTPUT_TEMP_FOLDER.',
      env: { OUTPUT_TEMP_FOLDER: '/dev/null' },
    });
  });

  test.skipIf(noMount !== '')(`a work folder on a disk that is full: 12${noMount}`, async () => {
    const args = [...from(server, 'grpc', 'large'), ...UNCOMPRESSED];
    const run = await runExporter(args, { env: { ...STORE, OUTPUT_TEMP_FOLDER: smallPath } });
    expect(run).toMatchObject({ code: 12, stdout: '', workFiles: [] });
    expect(run.stderr.replace(/run-\w+/, 'run-X')).toBe(
      `Error: Cannot write "${smallPath}/qdrant-export/large/run-X/parquet-med.parquet": the disk is full (ENOSPC). Set OUTPUT_TEMP_FOLDER to a folder with more room, or use --stream-upload.\n`,
    );
    expect(readdirSync(smallPath)).toEqual([]);
    expect(await real.head('large/latest.parquet')).toBeUndefined();
    expect(await real.head('large/latest.json')).toBeUndefined();
    expect(await real.openUploads()).toEqual([]);
  });

  for (const args of WAYS) {
    const streaming = args.length > 0;
    test(`a Qdrant that refuses points${streaming ? ' after the first part, with --stream-upload' : ''}: 10, and the object that was there stays, with its manifest`, async () => {
      const front = await startFaultProxy(real.endpoint);
      stops.push(() => front.stop());
      const broken = await double({ generated: [HUGE] });
      const sentParts = () => front.seen.filter(({ operation }) => operation === 'UploadPart').length;
      broken.setFaults(({ method }) =>
        method === 'retrieve' && (streaming ? sentParts() > 0 : broken.stats.requests.retrieve > 5)
          ? { kind: 'status', http: 403, grpc: 7, message: 'Forbidden' }
          : undefined,
      );
      const prefix = `kept${args.length}`;
      const key = `${prefix}/huge/latest.parquet`;
      await real.write(key, Buffer.from('of yesterday'));
      await real.write(`${prefix}/huge/latest.json`, Buffer.from('its manifest'));
      const small = ['--retrieve-batch', '100', '--row-group-size', '500', '--parallel', '1'];
      const run = await runExporter(
        [
          ...from(broken, 'grpc', HUGE.name),
          ...['--passes', 'two', '--prefix', prefix, ...small, ...UNCOMPRESSED, ...args],
        ],
        { env: { ...STORE, R2_ENDPOINT: front.endpoint } },
      );
      expect(run).toMatchObject({ code: 10, stdout: '', workFiles: [] });
      expect(run.stderr).toMatch(
        /^Error: Cannot read 100 points of collection `huge` from id \d+: Qdrant answered PERMISSION_DENIED \("Forbidden"\)\. QDRANT_API_KEY needs to be allowed to read this collection\.\n$/,
      );
      expect(Buffer.from((await real.bytes(key)) ?? []).toString()).toBe('of yesterday');
      const manifest = await real.bytes(`${prefix}/huge/latest.json`);
      expect(Buffer.from(manifest ?? []).toString()).toBe('its manifest');
      expect(await real.openUploads()).toEqual([]);
      expect(sentParts() > 0).toBe(streaming);
    });
  }
});

describe('a run that fails', () => {
  const missing = from(server, 'grpc', 'plane');
  const out = ['--output', join(folder, 'never.parquet')];

  test('is one JSON document on stdout with --json, beside the sentence on stderr', async () => {
    const run = await runExporter([...missing, ...out, '--json']);
    expect(run.code).toBe(10);
    const { error } = run.json();
    expect(error).toEqual({ code: 'qdrant', message: run.stderr.slice('Error: '.length, -1), exitCode: 10 });
  });

  test('says so with --quiet too', async () => {
    const run = await runExporter([...missing, ...out, '--quiet']);
    expect(run).toMatchObject({ code: 10, stdout: '' });
    expect(run.stderr).toStartWith('Error: There is no collection `plane` on ');
  });

  test('shows a stack trace with --verbose only', async () => {
    const run = await runExporter([...missing, ...out, '--verbose']);
    expect(run.stderr.split('\n')[0]).toStartWith('Error: There is no collection `plane` on ');
    expect(run.stderr).toMatch(/\n\s+at /);
  });
});
