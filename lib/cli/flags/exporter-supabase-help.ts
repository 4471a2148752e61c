import { EXPORTER_SUPABASE_FLAGS } from './exporter-supabase-flags.ts';
import { programHelp } from './help.ts';

const EXAMPLES = `  # Into Supabase Storage, with QDRANT_* and SUPABASE_* variables set or in .env
  exporter-supabase --collection docs --bucket backups

  # The first time: make the bucket, private
  exporter-supabase --collection docs --bucket backups --create-bucket

  # Where a file may have 50 MB, as on the free plan: several whole files
  exporter-supabase --collection docs --split-size 45MB

  # No data on disk: needs the S3 keys
  exporter-supabase --collection docs --stream-upload \\
    --strategy parquet-med

  # Every collection by night, a month of dated copies of each
  exporter-supabase --all --keep 30 --quiet

  # Go on where a run of the same command was interrupted
  exporter-supabase --collection docs --bucket backups --resume

  # What it would do, over REST, into a local file
  exporter-supabase --collection docs --output docs.parquet --http --dry-run`;

/** The text of `exporter-supabase --help`. */
export function exporterSupabaseHelp(): string {
  return programHelp({
    title: 'exporter-supabase: Qdrant collections as Parquet objects in Supabase Storage, or\na local file.',
    examples: EXAMPLES,
    flags: EXPORTER_SUPABASE_FLAGS,
    storeVariables: [
      ['SUPABASE_URL', 'https://REF.supabase.co, or the address of a self-hosted Supabase.'],
      [
        'SUPABASE_SERVICE_ROLE_KEY',
        'The service_role JWT or an sb_secret_… key (dashboard: Project Settings, API Keys).',
      ],
      [
        'SUPABASE_S3_ACCESS_KEY_ID',
        'S3 access key (dashboard: Storage, S3 access keys). With it and its secret everything goes through the S3 endpoint, which is the fastest way; the service_role key is then needed for --create-bucket alone.',
      ],
      ['SUPABASE_S3_SECRET_ACCESS_KEY', 'Its secret.'],
      ['SUPABASE_S3_REGION', 'Region of the project; default auto.'],
      ['SUPABASE_ANON_KEY', 'The anon JWT; beside a service_role JWT it does instead of S3 keys.'],
    ],
  });
}
