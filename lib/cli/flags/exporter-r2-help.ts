import { EXPORTER_R2_FLAGS } from './exporter-r2-flags.ts';
import { programHelp } from './help.ts';

const EXAMPLES = `  # A collection of a local Qdrant into a local file
  exporter-r2 --collection docs --output docs.parquet

  # Into Cloudflare R2, with QDRANT_* and R2_* variables set or in .env
  exporter-r2 --collection docs --bucket backups

  # The points that match a filter, with two of their vectors
  exporter-r2 --collection docs --output en.parquet --schema points \\
    --vectors text,image \\
    --filter '{"must":[{"key":"lang","match":{"value":"en"}}]}'

  # Every collection by night, a month of dated copies of each
  exporter-r2 --all --keep 30 --quiet

  # Go on where a run of the same command was interrupted
  exporter-r2 --collection docs --bucket backups --resume

  # What it would do, over REST
  exporter-r2 --collection docs --output docs.parquet --http --dry-run`;

/** The text of `exporter-r2 --help`. */
export function exporterR2Help(): string {
  return programHelp({
    title:
      'exporter-r2: Qdrant collections as Parquet objects in Cloudflare R2, any S3\nbucket, or a local file.',
    examples: EXAMPLES,
    flags: EXPORTER_R2_FLAGS,
    storeVariables: [
      ['R2_ENDPOINT', 'https://ACCOUNT.r2.cloudflarestorage.com, or that of any S3 service.'],
      ['R2_ACCESS_KEY_ID', 'Its access key.'],
      [
        'R2_SECRET_ACCESS_KEY',
        'Its secret key. With none of these three set, the AWS SDK finds credentials (AWS_*, profiles, roles) for AWS S3.',
      ],
      ['R2_REGION', 'Default auto.'],
    ],
  });
}
