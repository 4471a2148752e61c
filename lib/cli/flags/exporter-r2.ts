import { readStore } from '../settings/store-settings.ts';
import type { ExporterProgram } from './exporter-program.ts';
import { EXPORTER_R2_FLAGS } from './exporter-r2-flags.ts';

/** Into Cloudflare R2, or any S3 service. */
export const EXPORTER_R2: ExporterProgram = {
  flags: EXPORTER_R2_FLAGS,
  readStore: ({ values, source }, environment) => ({
    target: readStore(values.bucket, source('bucket'), environment),
    warnings: [],
  }),
};
