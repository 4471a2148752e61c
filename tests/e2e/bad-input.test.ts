import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectInterruption, expectNoFile, expectRefusal } from '../support/expect-refusal.ts';
import { runExporter } from '../support/exporter.ts';
import {
  DUCKDB_MISSING,
  PYARROW_MISSING,
  queryWithDuckDb,
  readWithPyarrow,
} from '../support/foreign-readers.ts';
import { goOn } from '../support/go-on.ts';
import { type QdrantDoubleOptions, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { SOURCE_DATE_EPOCH } from '../support/recorded-exports.ts';
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

const server = await double({ recorded: ['standalone', 'cluster'] });

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
/** A file that grows beside its final name. */
const PART = /\.[0-9a-f]{8}\.part$/;
const withoutParts = (target: string) =>
  readdirSync(target)
    .filter((name) => !PART.test(name))
    .sort();

describe('exporter-r2 refuses what is asked', () => {
  const NUMBER = 'a whole number from';
  const out = ['--output', join(folder, 'never.parquet')];

  for (const [what, args, error] of [
    [
      'no collection',
      out,
      'No collection was named; give --collection NAME, set QDRANT_COLLECTION_NAME, or give --all.',
    ],
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
      [...PLAIN, ...out, '--strategy', 'parquet-med', '--strategy', 'parquet-med'],
      '--strategy was given more than once, and is wanted once.',
    ],
    [
      'several collections for one file',
      [...PLAIN, ...out, '--collection', 'x'],
      'several --collection and --output contradict: --output names one file, and each collection wants its own.',
    ],
    [
      '--stream-upload and the default strategy by its name',
      [...PLAIN, '--bucket', 'b', '--stream-upload', '--strategy', 'ndjson-gz'],
      '--stream-upload and --strategy ndjson-gz contradict: that one makes the Parquet file of a whole file on disk; parquet-small, parquet-med and parquet-large can be uploaded while they are made.',
    ],
    [
      '--debug without a terminal',
      [...PLAIN, '--bucket', 'b', '--debug'],
      '--debug asks before the upload, and there is no terminal to ask at; --yes is wanted with it.',
    ],
    [
      '--stream-upload and --debug',
      [...PLAIN, '--bucket', 'b', '--stream-upload', '--strategy', 'parquet-med', '--debug', '--yes'],
      '--stream-upload and --debug contradict: there are no work files to keep, and no upload to ask before.',
    ],
    [
      'copies of a local file',
      [...PLAIN, ...out, '--keep', '3'],
      '--keep and --output contradict: dated copies are made in a store, not of a local file.',
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
      'a strategy that there is not',
      [...PLAIN, ...out, '--strategy', 'ndjson'],
      '--strategy is "ndjson"; it takes ndjson-gz, parquet-small, parquet-med or parquet-large. Did you mean ndjson-gz?',
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
    const others = '`cosine`, `empty`, `multi`, `named`, `plain` and 7 more';

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

    for (const strategy of ['ndjson-gz', 'parquet-med']) {
      test(`a point without the vector that Milvus wants of each, over ${protocol}, ${strategy}: 11, and how to go on once it has it`, async () => {
        const target = mkdtempSync(join(folder, 'target-'));
        await expectInterruption(
          [
            ...from(server, protocol, 'sparse_only'),
            ...[
              '--schema',
              'milvus',
              '--quiet',
              '--strategy',
              strategy,
              '--output',
              join(target, 'x.parquet'),
            ],
          ],
          {
            code: 11,
            error:
              'Cannot write point 2 for Milvus: it lacks vector `s`, and a vector field of Milvus has no NULL. Another --schema holds it.',
          },
        );
        expect(withoutParts(target)).toEqual([]);
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

    for (const strategy of ['ndjson-gz', 'parquet-med']) {
      test(`points that it may not read, over ${protocol}, ${strategy}: 10, the file that was there stays, with its manifest, and the run can be gone on with`, async () => {
        const broken = await double({ recorded: ['standalone'] });
        broken.setFaults(({ method }) =>
          method === 'retrieve' ? { kind: 'status', http: 403, grpc: 7, message: 'Forbidden' } : undefined,
        );
        const target = mkdtempSync(join(folder, 'target-'));
        const work = mkdtempSync(join(folder, 'work-'));
        const path = join(target, 'x.parquet');
        writeFileSync(path, 'of yesterday');
        writeFileSync(`${path}.json`, 'its manifest');
        const options = ['--passes', 'two', '--quiet', '--strategy', strategy];
        const answered = protocol === 'grpc' ? 'PERMISSION_DENIED' : '403 Forbidden';
        const env = { OUTPUT_TEMP_FOLDER: work, SOURCE_DATE_EPOCH };
        const stderr = await expectInterruption([...from(broken, protocol), ...options, '--output', path], {
          code: 10,
          error: `Cannot read 28 points of collection \`plain\` from id 0: Qdrant answered ${answered} ("Forbidden"). QDRANT_API_KEY needs to be allowed to read this collection.`,
          env,
        });
        expect(withoutParts(target)).toEqual(['x.parquet', 'x.parquet.json']);
        expect(readFileSync(path, 'utf8')).toBe('of yesterday');
        expect(readFileSync(`${path}.json`, 'utf8')).toBe('its manifest');

        broken.setFaults(undefined);
        const again = await goOn(stderr, { env });
        expect(again).toMatchObject({ code: 0, stdout: '', workFiles: [] });
        expect(readdirSync(target).sort()).toEqual(['x.parquet', 'x.parquet.json']);
        const whole = join(target, 'whole.parquet');
        await runExporter([...from(broken, protocol), ...options, '--output', whole], { env });
        expect(Buffer.compare(readFileSync(path), readFileSync(whole))).toBe(0);
      });
    }
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
    test.each([
      ['by default', [], {}],
      ['by the built-in converter', [], { PATH: '/nowhere' }],
      ['by parquet-med', ['--strategy', 'parquet-med'], {}],
    ] as const)(`becomes a valid file of no rows, over ${protocol}: 0, %s`, async (_what, args, env) => {
      const path = join(mkdtempSync(join(folder, 'empty-')), 'x.parquet');
      const run = await runExporter(
        [...from(server, protocol, 'empty'), '--json', '--output', path, ...args],
        {
          env,
        },
      );
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
