import type { CollectionShape, VectorSpec } from '../../model.ts';
import type { ExportPlan, PlanSummary } from '../../plan.ts';
import { byteSize, grouped } from './human-numbers.ts';
import { wrapped } from './wrapped.ts';

/** Vectors that are named one by one; collections with hundreds exist. */
const VECTORS_SHOWN = 20;

/** Letters of a text that are looked at: more than a terminal has columns, while a filter may have 16 MiB. */
const LONGEST_LINE = 2_000;

/** What was asked for of the collection. */
export type Asked = Pick<ExportPlan, 'vectors' | 'filter' | 'limit' | 'shardKey' | 'splitBytes'>;

/** The first lines of a run: what is read, from which server, how, and where it goes; aligned. */
export function planLines(plan: PlanSummary, asked: Asked, width: number): string[] {
  const { shape } = plan;
  const protocol = plan.protocol === 'grpc' ? 'gRPC' : 'REST';
  const rows: [string, string][] = [
    ['Qdrant', `${shape.serverVersion} over ${protocol}`],
    ['Collection', `${nameText(shape)}: ${pointsText(plan, asked)}, ${shardsText(shape)}`],
    ['Vectors', vectorsText(shape.vectors, asked)],
  ];
  const indent = 'Collection'.length + 2;
  // What may be long and has no blanks to wrap at is cut to one line.
  if (asked.filter !== undefined) rows.push(['Filter', cut(asked.filter, width - indent)]);
  if (asked.shardKey !== undefined) rows.push(['Shard key', cut(asked.shardKey, width - indent)]);
  if (asked.limit !== undefined) rows.push(['Limit', `${counted(asked.limit, 'point')}, in id order`]);
  rows.push(['Passes', `${plan.passes} (${plan.passesReason})`], ['Format', plan.format]);
  if (plan.converter !== undefined) rows.push(['Convert', plan.converter]);
  rows.push(['Target', `${plan.location}, ${sizeText(plan, asked)}`]);
  if (plan.door !== undefined) rows.push(['Upload', plan.door]);
  if (plan.workFolder !== undefined) rows.push(['Work files', plan.workFolder]);
  rows.push(['In memory', `at most ${counted(plan.pointsInMemory, 'point')} at once`]);
  return rows.flatMap(([label, text]) => wrapped(text, width, label.padEnd(indent)));
}

/** About how many files an export is split into; 1 where it is not. */
export function estimatedFiles(
  { estimatedBytes }: PlanSummary,
  { splitBytes }: Pick<ExportPlan, 'splitBytes'>,
): number {
  return splitBytes === undefined ? 1 : Math.max(1, Math.ceil(estimatedBytes / splitBytes));
}

function sizeText(plan: PlanSummary, asked: Asked): string {
  const size = `about ${byteSize(plan.estimatedBytes)}`;
  if (asked.splitBytes === undefined) return size;
  return `${size} in about ${counted(estimatedFiles(plan, asked), 'file')} of at most ${byteSize(asked.splitBytes)}`;
}

function nameText({ name, collection }: CollectionShape): string {
  return name === collection ? name : `${name}, an alias of ${collection}`;
}

function pointsText({ points }: PlanSummary, { filter, limit, shardKey }: Asked): string {
  const some = filter !== undefined || limit !== undefined || shardKey !== undefined;
  return `${counted(points, 'point')}${some ? ' to export' : ''}`;
}

function shardsText({ shardCount, sharding, shardKeys }: CollectionShape): string {
  const shards = counted(shardCount, 'shard');
  return sharding === 'custom' ? `${shards}, ${counted(shardKeys.length, 'shard key')}` : shards;
}

/** `text 512 dense Cosine, bm25 sparse`: those that are exported, what is usual left out. */
function vectorsText(vectors: readonly VectorSpec[], asked: Asked): string {
  if (vectors.length === 0) return asked.vectors === undefined ? 'none in this collection' : 'none';
  const shown = vectors.slice(0, VECTORS_SHOWN).map(vectorText);
  const more = vectors.length - shown.length;
  return `${shown.join(', ')}${more > 0 ? ` and ${grouped(more)} more` : ''}`;
}

function vectorText({ kind, name, size, distance, datatype }: VectorSpec): string {
  const facts = [name === '' ? 'unnamed' : plainName(name)];
  if (kind !== 'sparse') facts.push(grouped(size));
  facts.push(kind);
  if (datatype !== 'float32') facts.push(datatype);
  if (kind !== 'sparse') facts.push(distance);
  return facts.join(' ');
}

/** In quotes where it would not be seen for one name. */
function plainName(name: string): string {
  return /[\s,"]/.test(name) || name === 'unnamed' ? JSON.stringify(name) : name;
}

function counted(number: number, what: string): string {
  return `${grouped(number)} ${what}${number === 1 ? '' : 's'}`;
}

/** A text on one line of so many columns, `…` where it goes on. */
function cut(text: string, columns: number): string {
  const line = text.slice(0, LONGEST_LINE).replace(/\s+/g, ' ');
  if (text.length <= LONGEST_LINE && Bun.stringWidth(line) <= columns) return line;
  let start = '';
  let used = 1;
  for (const letter of line) {
    used += Bun.stringWidth(letter);
    if (used > columns) break;
    start += letter;
  }
  return `${start}…`;
}
