import { describe, expect, test } from 'bun:test';
import { isLoopback, readAddress } from '../../../../lib/cli/settings/address.ts';

const grpc = (given: string | undefined, qdrantPort?: string) =>
  readAddress(given, { http: false, qdrantPort }).href.replace(/\/$/, '');
const rest = (given: string | undefined, qdrantPort?: string) =>
  readAddress(given, { http: true, qdrantPort }).href.replace(/\/$/, '');

describe('readAddress()', () => {
  // given, gRPC, REST, REST with QDRANT_PORT=7000
  test.each([
    [undefined, 'http://localhost:6334', 'http://localhost:6333', 'http://localhost:7000'],
    ['', 'http://localhost:6334', 'http://localhost:6333', 'http://localhost:7000'],
    ['host', 'http://host:6334', 'http://host:6333', 'http://host:7000'],
    ['host:6334', 'http://host:6334', 'http://host:6333', 'http://host:7000'],
    ['host:6333', 'http://host:6334', 'http://host:6333', 'http://host:7000'],
    ['host:9999', 'http://host:9999', 'http://host:9999', 'http://host:7000'],
    [' host:80 ', 'http://host', 'http://host', 'http://host:7000'],
    ['http://host', 'http://host:6334', 'http://host:6333', 'http://host:7000'],
    ['https://host', 'https://host:6334', 'https://host:6333', 'https://host:7000'],
    ['HTTPS://host:6333', 'https://host:6334', 'https://host:6333', 'https://host:7000'],
    ['https://host:443', 'https://host', 'https://host', 'https://host:7000'],
    ['https://host:9999/a/b/', 'https://host:9999/a/b', 'https://host:9999/a/b', 'https://host:7000/a/b'],
    ['http://host/a', 'http://host:6334/a', 'http://host:6333/a', 'http://host:7000/a'],
    ['http://host///', 'http://host:6334', 'http://host:6333', 'http://host:7000'],
    ['::1', 'http://[::1]:6334', 'http://[::1]:6333', 'http://[::1]:7000'],
    ['[fe80::1]', 'http://[fe80::1]:6334', 'http://[fe80::1]:6333', 'http://[fe80::1]:7000'],
    ['[fe80::1]:6333', 'http://[fe80::1]:6334', 'http://[fe80::1]:6333', 'http://[fe80::1]:7000'],
    ['https://[fe80::1]:9', 'https://[fe80::1]:9', 'https://[fe80::1]:9', 'https://[fe80::1]:7000'],
    [
      'x.cloud.qdrant.io',
      'https://x.cloud.qdrant.io:6334',
      'https://x.cloud.qdrant.io:6333',
      'https://x.cloud.qdrant.io:7000',
    ],
    [
      'x.cloud.qdrant.io:443',
      'https://x.cloud.qdrant.io',
      'https://x.cloud.qdrant.io',
      'https://x.cloud.qdrant.io:7000',
    ],
    [
      'http://x.cloud.qdrant.io',
      'http://x.cloud.qdrant.io:6334',
      'http://x.cloud.qdrant.io:6333',
      'http://x.cloud.qdrant.io:7000',
    ],
    [
      'cloud.qdrant.io.evil.org',
      'http://cloud.qdrant.io.evil.org:6334',
      'http://cloud.qdrant.io.evil.org:6333',
      'http://cloud.qdrant.io.evil.org:7000',
    ],
  ])('takes %p', (given, overGrpc, overRest, withPort) => {
    expect(grpc(given)).toBe(overGrpc);
    expect(grpc(given, '7000')).toBe(overGrpc);
    expect(rest(given)).toBe(overRest);
    expect(rest(given, '7000')).toBe(withPort);
  });

  test.each(['host:0', 'host:65536', 'host:http', 'host:', 'http://host:-1', '[::1]:x', 'http://host:63 33'])(
    'refuses the port of %p',
    (given) => {
      expect(() => grpc(given)).toThrow(
        /^The port of --url is .*; a whole number from 1 to 65,535 is wanted\.$/,
      );
    },
  );

  test.each(['http://', 'ho st', 'fe80::1%eth0', 'a::b:c:6334:x', 'http://[::1'])('refuses %p', (given) => {
    expect(() => grpc(given)).toThrow(/--url is/);
  });

  test('refuses credentials and queries without repeating them', () => {
    for (const given of [
      'http://me:pass@host',
      'me:pass@host:6334',
      'https://pass@host',
      'http://host?api_key=pass',
      'host#pass',
    ]) {
      expect(() => grpc(given)).toThrow(/^--url carries/);
      expect(() => grpc(given)).not.toThrow(/pass@|=pass|#pass|me:/);
    }
  });

  test('refuses other schemes, with a word for gRPC', () => {
    expect(() => grpc('grpc://host')).toThrow(
      'gRPC is the default, so write http:// or, with TLS, https://.',
    );
    expect(() => grpc('ftp://host')).toThrow('--url begins with ftp://; http:// or https:// is wanted.');
  });

  test('refuses a QDRANT_PORT that is none, with --http alone', () => {
    expect(() => rest('host', 'x')).toThrow('QDRANT_PORT is "x"; a whole number from 1 to 65,535 is wanted.');
    expect(() => rest('host', '70000')).toThrow('QDRANT_PORT is 70000');
    expect(grpc('host', 'x')).toBe('http://host:6334');
  });

  test('names the variable where the address came from it', () => {
    expect(() =>
      readAddress('ftp://x', { http: false, qdrantPort: undefined, source: 'QDRANT_URL' }),
    ).toThrow(/^QDRANT_URL /);
  });
});

describe('isLoopback()', () => {
  test.each([
    ['http://localhost', true],
    ['http://a.localhost:1', true],
    ['http://127.0.0.1', true],
    ['http://127.9.9.9:5', true],
    ['http://[::1]:6334', true],
    ['http://[::ffff:127.0.0.1]', true],
    ['http://LOCALHOST./', true],
    ['http://localhost.example.org', false],
    ['http://127.0.0.1.example.org', false],
    ['http://10.0.0.1', false],
    ['http://[::ffff:10.0.0.1]', false],
    ['http://[::2]', false],
  ])('says of %s: %p', (url, expected) => {
    expect(isLoopback(new URL(url))).toBe(expected);
  });
});
