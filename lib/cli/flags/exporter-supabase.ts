import { ToolError } from '../../errors.ts';
import { readSupabase } from '../settings/supabase-settings.ts';
import type { ExporterProgram } from './exporter-program.ts';
import { EXPORTER_SUPABASE_FLAGS } from './exporter-supabase-flags.ts';

/** Into Supabase Storage. */
export const EXPORTER_SUPABASE: ExporterProgram = {
  flags: EXPORTER_SUPABASE_FLAGS,
  readStore: ({ values, source }, environment) => {
    const asked = {
      bucket: values.bucket ?? EXPORTER_SUPABASE_FLAGS.bucket.default,
      bucketSource: source('bucket'),
      createBucket: values['create-bucket'] === true,
    };
    const store = readSupabase(asked, environment);
    if (values['stream-upload'] && store.target.s3 === undefined) {
      throw new ToolError(
        'usage',
        "--stream-upload goes through Supabase's S3 endpoint alone, because other uploads must know their length beforehand, and a stream does not; SUPABASE_S3_ACCESS_KEY_ID and SUPABASE_S3_SECRET_ACCESS_KEY (dashboard: Storage, S3 access keys) are wanted, or SUPABASE_ANON_KEY beside a service_role JWT.",
      );
    }
    return store;
  },
};
