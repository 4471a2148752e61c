import { describe, expect, test } from 'bun:test';
import { readStore } from '../../../../lib/cli/settings/store-settings.ts';

const KEYS = { R2_ACCESS_KEY_ID: 'AK', R2_SECRET_ACCESS_KEY: 'SK' };
const R2_HOST = 'https://acc.r2.cloudflarestorage.com';

const store = (endpoint: string, bucket: string | undefined = 'b', more: Record<string, string> = {}) =>
  readStore(bucket, '--bucket', { ...KEYS, R2_ENDPOINT: endpoint, ...more });

describe('readStore()', () => {
  test('reads an R2 store, region auto unless it is named', () => {
    const target = store(R2_HOST);
    expect(target).toMatchObject({ kind: 's3', endpoint: R2_HOST, bucket: 'b', region: 'auto' });
    expect(target.accessKeyId?.reveal()).toBe('AK');
    expect(target.secretAccessKey?.reveal()).toBe('SK');
    expect(store(R2_HOST, 'b', { R2_REGION: 'eu' }).region).toBe('eu');
    expect(store(R2_HOST, 'b', { AWS_REGION: 'us-east-1' }).region).toBe('auto');
  });

  test('leaves everything to the SDK when none of the three is set', () => {
    const aws = readStore('b', 'R2_BUCKET', { AWS_REGION: 'eu-west-1', AWS_DEFAULT_REGION: 'x' });
    expect(aws).toEqual({
      kind: 's3',
      endpoint: undefined,
      bucket: 'b',
      region: 'eu-west-1',
      accessKeyId: undefined,
      secretAccessKey: undefined,
    });
    expect(readStore('b', 'R2_BUCKET', { AWS_DEFAULT_REGION: 'x' }).region).toBe('x');
    expect(readStore('b', 'R2_BUCKET', {}).region).toBeUndefined();
  });

  test('names what is missing of the three', () => {
    expect(() => readStore('b', undefined, KEYS)).toThrow(
      'R2_ENDPOINT is not set, but R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY are; all three are wanted, or none for AWS S3.',
    );
    expect(() => readStore('b', undefined, { R2_ENDPOINT: R2_HOST })).toThrow(
      'R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY are not set, but R2_ENDPOINT is;',
    );
  });

  test('takes an endpoint without scheme as https and without its last slash', () => {
    expect(store('acc.r2.cloudflarestorage.com').endpoint).toBe(R2_HOST);
    expect(store('http://127.0.0.1:7070/').endpoint).toBe('http://127.0.0.1:7070');
    expect(store('localhost:7070').endpoint).toBe('https://localhost:7070');
  });

  test("takes the bucket from an endpoint as Cloudflare's dashboard shows it", () => {
    expect(store(`${R2_HOST}/b`)).toMatchObject({ endpoint: R2_HOST, bucket: 'b' });
    expect(readStore(undefined, undefined, { ...KEYS, R2_ENDPOINT: `${R2_HOST}/other/` })).toMatchObject({
      endpoint: R2_HOST,
      bucket: 'other',
    });
    expect(() => store(`${R2_HOST}/other`)).toThrow('R2_ENDPOINT ends in the bucket other, but b was named');
  });

  test("keeps another service's path but for the bucket at its end", () => {
    expect(store('https://x.supabase.co/storage/v1/s3').endpoint).toBe('https://x.supabase.co/storage/v1/s3');
    expect(store('https://x.supabase.co/storage/v1/s3/b').endpoint).toBe(
      'https://x.supabase.co/storage/v1/s3',
    );
  });

  test.each(['ftp://x', 'https://', 'ht tp', 's3://bucket'])('refuses the endpoint %p', (endpoint) => {
    expect(() => store(endpoint)).toThrow('R2_ENDPOINT is not an address');
  });

  test('refuses keys in the endpoint without repeating them', () => {
    expect(() => store('https://AK:pass@x')).toThrow(/^R2_ENDPOINT carries more than an address(?!.*pass)/);
  });

  test.each(['s3://b', 'b/c', 'a b'])('refuses the bucket %p', (bucket) => {
    expect(() => store(R2_HOST, bucket)).toThrow(
      `--bucket is "${bucket}"; the name of a bucket alone is wanted.`,
    );
  });
});
