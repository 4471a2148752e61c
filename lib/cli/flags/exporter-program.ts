import type { Environment } from '../settings/env.ts';
import type { StoreTarget } from '../settings/settings.ts';
import type { ExporterFlags, ExporterTable } from './exporter-flags.ts';

/** What an exporter's flags and variables are beside those of all exporters. */
export interface ExporterProgram {
  readonly flags: ExporterTable;
  /** The store that they name; a ToolError 'usage' for what is missing or wrong. */
  readStore(flags: ExporterFlags, environment: Environment): NamedStore;
}

export interface NamedStore {
  readonly target: StoreTarget;
  /** What is legal and still worth a word before the run. */
  readonly warnings: readonly string[];
}
