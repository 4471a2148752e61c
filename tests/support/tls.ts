import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** PEM texts of a certificate authority and of a server that it vouches for. */
export interface TestCertificates {
  readonly ca: string;
  readonly key: string;
  readonly cert: string;
  /** File holding `ca`, for programs that want a path; gone after remove(). */
  readonly caFile: string;
  remove(): void;
}

/** Why certificates cannot be made here, or undefined when they can: a test's reason to skip. */
export function tlsSkipReason(): string | undefined {
  const { error, status } = spawnSync('openssl', ['version']);
  return error === undefined && status === 0 ? undefined : 'openssl is not installed';
}

/** Makes a throw-away authority and a certificate for localhost and 127.0.0.1, both good for two days. */
export function makeTestCertificates(): TestCertificates {
  const folder = mkdtempSync(join(tmpdir(), 'test-tls-'));
  const file = (name: string): string => join(folder, name);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  try {
    writeFileSync(file('ca.cnf'), CA_CONFIG);
    writeFileSync(
      file('san.cnf'),
      'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n',
    );
    openssl(
      'req',
      '-x509',
      ...newKey,
      '-days',
      '2',
      '-config',
      file('ca.cnf'),
      '-keyout',
      file('ca.key'),
      '-out',
      file('ca.pem'),
    );
    openssl(
      'req',
      ...newKey,
      '-subj',
      '/CN=localhost',
      '-keyout',
      file('key.pem'),
      '-out',
      file('server.csr'),
    );
    openssl(
      ...[
        'x509',
        '-req',
        '-days',
        '2',
        '-in',
        file('server.csr'),
        '-CA',
        file('ca.pem'),
        '-CAkey',
        file('ca.key'),
      ],
      ...['-CAcreateserial', '-extfile', file('san.cnf'), '-out', file('cert.pem')],
    );
    return {
      ca: readFileSync(file('ca.pem'), 'utf8'),
      key: readFileSync(file('key.pem'), 'utf8'),
      cert: readFileSync(file('cert.pem'), 'utf8'),
      caFile: file('ca.pem'),
      remove: () => rmSync(folder, { recursive: true, force: true }),
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

const CA_CONFIG = `[req]
distinguished_name = name
x509_extensions = authority
prompt = no
[name]
CN = Test authority
[authority]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
`;

function openssl(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('openssl', args);
  if (status !== 0) throw new Error(`openssl ${args[0]} failed: ${stderr}`);
}
