import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test';
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
import { expectRefusal, type Refusal } from '../support/expect-refusal.ts';
import { runExporter } from '../support/exporter.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { DUCKDB_MISSING } from '../support/foreign-readers.ts';
import { goOn } from '../support/go-on.ts';
import { type QdrantDoubleOptions, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { reading, SOURCE_DATE_EPOCH } from '../support/recorded-exports.ts';
import { PROTOCOLS } from '../support/recorded-points.ts';
import { NO_S3_SERVER, startS3Server } from '../support/s3-server.ts';

setDefaultTimeout(60_000);

const folder = mkdtempSync(join(tmpdir(), 'e2e-target-'));
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
const server = await double({ recorded: ['standalone'], generated: [LARGE] });
const PLAIN = reading(server, 'grpc', 'plain');

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

/** A file system of a few MB on a folder of its own, or why there can be none. */
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

const small = mountSmall('small', 'size=64m');
const readOnly = mountSmall('read-only', 'size=1m,ro');
const smallPath = 'path' in small ? small.path : '';
const noMount = 'reason' in small ? `: ${small.reason}` : '';
const UNCOMPRESSED = ['--compression', 'none', '--quiet'];

/** Leaves so many bytes of the small disk, in whole blocks. */
function fillSmall(left: number): void {
  const { bavail, bsize } = statfsSync(smallPath);
  writeFileSync(join(smallPath, 'filler'), Buffer.alloc((bavail - Math.ceil(left / bsize)) * bsize));
}

describe.skipIf(noMount !== '')(`a disk that is full or read-only${noMount}`, () => {
  const path = join(smallPath, 'x.parquet');
  const flags = [...UNCOMPRESSED, '--output', path];
  const work = { OUTPUT_TEMP_FOLDER: join(folder, 'work') };

  afterEach(() => {
    server.setFaults(undefined);
    for (const name of readdirSync(smallPath)) rmSync(join(smallPath, name), { recursive: true });
  });

  /** Leaves so many bytes of the disk, in whole blocks, as soon as the last point was read. */
  function fillAtTheEnd(left: number): void {
    let counts = 0;
    server.setFaults(({ method }) => {
      if (method === 'count' && ++counts === 2) fillSmall(left);
      return undefined;
    });
  }

  test('is refused before the first point when it cannot hold the file: 12', async () => {
    fillSmall(2_000_000);
    const sent = server.stats.requests.retrieve;
    const run = await runExporter([...reading(server, 'grpc', 'large'), ...flags], { env: work });
    expect(run).toMatchObject({ code: 12, stdout: '', workFiles: [] });
    expect(run.stderr).toMatch(
      /^Error: Cannot begin the export: \d MB are free in \S+\/small, and the files of the export may take up to \d+ MB\. Make room there, or give --output a path in a folder that has it\.\n$/,
    );
    expect(server.stats.requests.retrieve).toBe(sent);
    expect(readdirSync(smallPath)).toEqual(['filler']);
  });

  for (const [what, missing, args, env, error] of [
    [
      'DuckDB',
      DUCKDB_MISSING,
      [],
      {},
      /^Error: Cannot write ".*\/x\.parquet\.[0-9a-f]{8}\.part" with DuckDB [^:]*: the disk is full\. /,
    ],
    [
      'the built-in converter',
      undefined,
      [],
      { PATH: '/nowhere' },
      /^Error: Cannot write ".*\/x\.parquet\.[0-9a-f]{8}\.part": .*ENOSPC/,
    ],
    [
      'parquet-med',
      undefined,
      ['--strategy', 'parquet-med'],
      {},
      /^Error: Cannot write ".*\/x\.parquet\.[0-9a-f]{8}\.part": the disk is full \(ENOSPC\)/,
    ],
  ] as const) {
    for (const protocol of PROTOCOLS) {
      test.skipIf(missing !== undefined)(
        `ends --output over ${protocol} in 12 when it becomes full, and goes on when there is room: ${what}`,
        async () => {
          const options = { env: { ...env, ...work, SOURCE_DATE_EPOCH } };
          const source = [...reading(server, protocol, 'large'), ...args];
          fillAtTheEnd(1_000_000);
          const run = await runExporter([...source, ...flags], options);
          expect(run).toMatchObject({ code: 12, stdout: '' });
          expect(run.stderr).toMatch(error);
          const names = readdirSync(smallPath).filter((name) => name !== 'filler');
          for (const name of names) expect(name).toMatch(/^x\.parquet\.[0-9a-f]{8}\.part$/);

          server.setFaults(undefined);
          rmSync(join(smallPath, 'filler'));
          const again = await goOn(run.stderr, options);
          expect(again).toMatchObject({ code: 0, stdout: '', stderr: '', workFiles: [] });
          const elsewhere = join(folder, `${protocol}.parquet`);
          await runExporter([...source, ...UNCOMPRESSED, '--output', elsewhere], options);
          expect(Buffer.compare(readFileSync(path), readFileSync(elsewhere))).toBe(0);
          expect(readdirSync(smallPath).sort()).toEqual(['x.parquet', 'x.parquet.json']);
        },
      );
    }
  }

  test('ends in 12 when the manifest alone does not fit, says that the export is published, leaves the earlier manifest, and goes on', async () => {
    const elsewhere = join(folder, 'elsewhere.parquet');
    const args = [...PLAIN, '--quiet', '--output'];
    const options = { env: { ...work, PATH: '/nowhere' } };
    expect((await runExporter([...args, elsewhere], options)).code).toBe(0);
    writeFileSync(`${path}.json`, 'of yesterday');
    fillAtTheEnd(statSync(elsewhere).size);
    const run = await runExporter([...args, path], options);
    expect(run).toMatchObject({ code: 12, stdout: '' });
    expect(run.stderr).toContain(
      `\nError: The export is whole and published as ${path}, but its manifest is not: Cannot write "${path}.json": the disk is full (ENOSPC).\nGo on with: `,
    );
    // Who has the export has to know what is the matter with it.
    expect(run.stderr).toStartWith('Warning: 2 rows have a key that a row before has too: ');
    expect(readdirSync(smallPath).sort()).toEqual(['filler', 'x.parquet', 'x.parquet.json']);
    expect(readFileSync(`${path}.json`, 'utf8')).toBe('of yesterday');
    const exported = readFileSync(path);
    expect(exported.length).toBe(statSync(elsewhere).size);

    server.setFaults(undefined);
    rmSync(join(smallPath, 'filler'));
    expect(await goOn(run.stderr, options)).toMatchObject({ code: 0, stdout: '', workFiles: [] });
    expect(Buffer.compare(readFileSync(path), exported)).toBe(0);
    const { files } = JSON.parse(readFileSync(`${path}.json`, 'utf8'));
    expect(files).toMatchObject([{ key: path, bytes: exported.length, rows: 28 }]);
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
    fillSmall(1_000_000);
    const args = [...reading(server, 'grpc', 'large'), ...UNCOMPRESSED];
    const run = await runExporter(args, { env: { ...STORE, OUTPUT_TEMP_FOLDER: smallPath } });
    expect(run).toMatchObject({ code: 12, stdout: '', workFiles: ['filler'] });
    expect(run.stderr).toMatch(
      /^Error: Cannot begin the export: \d MB are free in \S+\/small\/qdrant-export\/large, and the work files may take up to \d+ MB\. Make room, set OUTPUT_TEMP_FOLDER to a folder that has it, or use --stream-upload\.\n$/,
    );
    rmSync(join(smallPath, 'filler'));
    expect(readdirSync(smallPath)).toEqual([]);
    expect(await real.head('large/latest.parquet')).toBeUndefined();
    expect(await real.head('large/latest.json')).toBeUndefined();
    expect(await real.openUploads()).toEqual([]);
  });

  for (const [index, [what, args, env]] of (
    [
      ['by the default strategy', ['--row-group-size', '2048'], { PATH: '/nowhere' }],
      ['from a work file', ['--strategy', 'parquet-med', '--row-group-size', '500'], {}],
      [
        'with --stream-upload',
        ['--strategy', 'parquet-med', '--row-group-size', '500', '--stream-upload'],
        {},
      ],
    ] as const
  ).entries()) {
    const streaming = index === 2;
    test(`a Qdrant that refuses points in the middle, ${what}: 10, and the object that was there stays, with its manifest, until the run is gone on with`, async () => {
      const front = await startFaultProxy(real.endpoint);
      stops.push(() => front.stop());
      const broken = await double({ generated: [HUGE] });
      const sentParts = () => front.seen.filter(({ operation }) => operation === 'UploadPart').length;
      broken.setFaults(({ method }) =>
        method === 'retrieve' && (streaming ? sentParts() > 1 : broken.stats.requests.retrieve > 30)
          ? { kind: 'status', http: 403, grpc: 7, message: 'Forbidden' }
          : undefined,
      );
      const prefix = `kept${index}`;
      const key = `${prefix}/huge/latest.parquet`;
      await real.write(key, Buffer.from('of yesterday'));
      await real.write(`${prefix}/huge/latest.json`, Buffer.from('its manifest'));
      const textAt = async (name: string) => Buffer.from((await real.bytes(name)) ?? []).toString();
      const small = ['--retrieve-batch', '100', '--parallel', '1', '--passes', 'two'];
      const flags = [...reading(broken, 'grpc', HUGE.name), ...small, ...UNCOMPRESSED, ...args];
      const options = {
        env: {
          ...STORE,
          ...env,
          SOURCE_DATE_EPOCH,
          R2_ENDPOINT: front.endpoint,
          OUTPUT_TEMP_FOLDER: join(folder, prefix),
        },
      };
      const run = await runExporter([...flags, '--prefix', prefix], options);
      expect(run).toMatchObject({ code: 10, stdout: '' });
      expect(run.stderr).toMatch(
        /^Error: Cannot read \d+ points of collection `huge` from id \d+: Qdrant answered PERMISSION_DENIED \("Forbidden"\)\. QDRANT_API_KEY needs to be allowed to read this collection\.\nGo on with: .* --resume\n$/,
      );
      expect(await textAt(key)).toBe('of yesterday');
      expect(await textAt(`${prefix}/huge/latest.json`)).toBe('its manifest');
      expect(sentParts() > 0).toBe(streaming);
      // None but the one that the journal names.
      const journal = readFileSync(join(folder, prefix, 'qdrant-export', 'huge', 'journal'), 'utf8');
      const open = await real.openUploads();
      expect(open).toHaveLength(streaming ? 1 : 0);
      for (const upload of open) expect(journal).toContain(upload);

      broken.setFaults(undefined);
      const again = await goOn(run.stderr, options);
      expect(again).toMatchObject({ code: 0, stdout: '', stderr: '', workFiles: [] });
      expect(await real.openUploads()).toEqual([]);
      const whole = join(folder, `${prefix}.parquet`);
      const local = flags.filter((flag) => flag !== '--stream-upload');
      await runExporter([...local, '--output', whole], options);
      expect(Buffer.compare((await real.bytes(key)) ?? Buffer.alloc(0), readFileSync(whole))).toBe(0);
      expect(JSON.parse(await textAt(`${prefix}/huge/latest.json`)).files).toMatchObject([
        { key, bytes: statSync(whole).size, rows: HUGE.points },
      ]);
    });
  }
});
