import { ToolError } from '../errors.ts';
import type { ManifestOptions } from '../manifest.ts';
import type { ShardKey, VectorSpec } from '../model.ts';
import type { ExportPlan, PlanSummary } from '../plan.ts';

/** What must be the same for a run to be gone on with. JSON. */
export interface RunIdentity {
  /** The tool and its major version. */
  readonly tool: string;
  readonly collection: string;
  /** The collection's own name, where that is an alias. */
  readonly behind: string;
  readonly server: string;
  readonly serverVersion: string;
  readonly protocol: string;
  readonly vectors: readonly VectorSpec[];
  readonly shardKeys: readonly ShardKey[];
  readonly config: string;
  readonly options: ManifestOptions;
  readonly passes: string;
  readonly target: string;
  /** Straight from the encoder, or from a work file. */
  readonly way: 'streamed' | 'by work file';
}

export function runIdentity(
  plan: ExportPlan,
  { shape, passes, protocol }: PlanSummary,
  { name, version }: { readonly name: string; readonly version: string },
): RunIdentity {
  return {
    tool: `${name} ${version.split('.')[0]}`,
    collection: shape.name,
    behind: shape.collection,
    server: plan.server,
    serverVersion: shape.serverVersion,
    protocol,
    vectors: shape.vectors,
    shardKeys: shape.shardKeys,
    config: shape.config,
    options: plan.options,
    passes,
    target: plan.target,
    way: plan.streaming ? 'streamed' : 'by work file',
  };
}

const NAMES: Readonly<Record<keyof RunIdentity, string>> = {
  tool: 'tool and major version',
  collection: 'collection',
  behind: 'collection behind the alias',
  server: 'server',
  serverVersion: 'server version',
  protocol: 'protocol',
  vectors: 'vectors',
  shardKeys: 'shard keys',
  config: 'collection config',
  options: 'options',
  passes: 'passes',
  target: 'target',
  way: 'upload',
};

/** Characters of a value that are shown. */
const SHOWN = 120;

/** Throws a ToolError 'usage' that spells out the first differences between the run that was left and this one. */
export function refuseOther(left: RunIdentity, now: RunIdentity): void {
  const differences = (Object.keys(NAMES) as (keyof RunIdentity)[]).flatMap((key) =>
    key === 'options'
      ? optionDifferences(left.options, now.options)
      : difference(NAMES[key], left[key], now[key]),
  );
  if (differences.length === 0) return;
  throw new ToolError(
    'usage',
    `Cannot go on with the interrupted run, which was another one: ${differences.join('; ')}. ` +
      'Run it with the same settings, or without --resume to start over.',
  );
}

function optionDifferences(left: ManifestOptions, now: ManifestOptions): readonly string[] {
  const keys = [...new Set([...Object.keys(left), ...Object.keys(now)])];
  return keys.flatMap((key) => difference(flagName(key), left[key] ?? null, now[key] ?? null));
}

/** `rowGroupSize` → `--row-group-size` */
function flagName(option: string): string {
  return `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function difference(name: string, left: unknown, now: unknown): readonly string[] {
  const [was, is] = [JSON.stringify(left), JSON.stringify(now)];
  return was === is ? [] : [`${name} ${shown(left)} then, ${shown(now)} now`];
}

function shown(value: unknown): string {
  if (value === null) return 'none';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}…`;
}
