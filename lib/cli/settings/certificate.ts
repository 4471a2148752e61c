import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { messageOf, ToolError } from '../../errors.ts';
import { readProblem } from './read-problem.ts';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** The PEM text of a file with one certificate or more; a ToolError 'usage' when it is not that. */
export function readCertificate(path: string, source: string): string {
  const text = readText(path, source);
  const certificates = text.match(CERTIFICATE);
  if (certificates === null) {
    throw new ToolError('usage', `${source} ${path} holds no certificate; a PEM file is wanted.`);
  }
  for (const certificate of certificates) {
    try {
      new X509Certificate(certificate);
    } catch (error) {
      throw new ToolError('usage', `${source} ${path} holds a broken certificate: ${messageOf(error)}.`, {
        cause: error,
      });
    }
  }
  return text;
}

function readText(path: string, source: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ToolError('usage', `Cannot read ${source} ${path}: ${readProblem(error)}.`, { cause: error });
  }
}
