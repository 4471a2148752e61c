import type { PointId } from '../../../lib/model.ts';
import type { Selection } from './collection.ts';
import type { Fault } from './fault.ts';
import { idKey } from './point-id.ts';
import type { PointPage } from './service.ts';
import { ServiceError } from './service-error.ts';
import { type StoredPoint, type StoredVector, selectVectors } from './stored-point.ts';

export type ContentsFault = Fault & { readonly kind: 'contents' };

/** Points to show that are not what the server has. */
export interface SpoiledPage {
  readonly points: readonly StoredPoint[];
  readonly next: PointId | undefined;
  /** What of these points is shown: vectors are chosen already. */
  readonly selection: Selection;
}

/** A page with the fault's lie in it; throws where the page has nothing to lie about, which a test should hear of. */
export function spoiledPage(page: PointPage, selection: Selection, fault: ContentsFault): SpoiledPage {
  const points = page.positions.map((position) => chosen(page.source.point(position), selection));
  const at = fault.at ?? points.length >> 1;
  const point = points[at];
  if (point === undefined) throw unfit(fault, `a point at ${at}, and the answer has ${points.length}`);
  const next = page.next < 0 ? undefined : page.source.point(page.next).id;
  return {
    points: spoil(points, at, point, fault),
    next: fault.wrong === 'offsetBack' ? (points[0] as StoredPoint).id : next,
    selection: { payload: selection.payload, vectors: selection.vectors !== false },
  };
}

function chosen(point: StoredPoint, { vectors }: Selection): StoredPoint {
  return { ...point, vectors: selectVectors(point, vectors) ?? new Map() };
}

function spoil(points: StoredPoint[], at: number, point: StoredPoint, fault: ContentsFault): StoredPoint[] {
  switch (fault.wrong) {
    case 'duplicateId':
      // In place of its successor, so that an answer is no longer than it may be; the last one comes on top.
      return [...points.slice(0, at + 1), point, ...points.slice(at + 2)];
    case 'idOutOfOrder': {
      const successor = points[at + 1];
      if (successor === undefined) throw unfit(fault, `a point after the one at ${at}`);
      return points.with(at, successor).with(at + 1, point);
    }
    case 'idNotAskedFor':
      return points.with(at, { ...point, id: strangeId(points) });
    case 'vectorUnknown': {
      const stranger: StoredVector = { kind: 'dense', values: Float32Array.of(1, 2, 3) };
      return points.with(at, { ...point, vectors: new Map([...point.vectors, ['stranger', stranger]]) });
    }
    case 'vectorLength':
      return points.with(at, withVector(point, fault, shortened));
    case 'vectorKind':
      return points.with(at, withVector(point, fault, ofOtherKind));
    case 'offsetBack':
      return points;
  }
}

/** The largest id that no point of the page has: wherever it stands, it was not asked for. */
function strangeId(points: readonly StoredPoint[]): PointId {
  const ids = new Set(points.map(({ id }) => idKey(id)));
  for (let id = 2n ** 64n - 1n; ; id--) if (!ids.has(idKey(String(id)))) return String(id);
}

function withVector(
  point: StoredPoint,
  fault: ContentsFault,
  spoilt: (vector: StoredVector) => StoredVector,
): StoredPoint {
  const name = fault.vector ?? point.vectors.keys().next().value;
  const vector = name === undefined ? undefined : point.vectors.get(name);
  if (name === undefined || vector === undefined) {
    throw unfit(fault, `a vector "${name ?? ''}" of point ${point.id}, and it shows none`);
  }
  return { ...point, vectors: new Map([...point.vectors, [name, spoilt(vector)]]) };
}

/** One value less than there should be: in a multivector's last row, among a sparse vector's values. */
function shortened(vector: StoredVector): StoredVector {
  switch (vector.kind) {
    case 'dense':
      return { kind: 'dense', values: vector.values.subarray(0, -1) };
    case 'multi':
      return {
        kind: 'multi',
        rows: vector.rows.with(-1, (vector.rows.at(-1) as Float32Array).subarray(0, -1)),
      };
    case 'sparse':
      return vector.values.length > 0
        ? { ...vector, values: vector.values.subarray(0, -1) }
        : { ...vector, indices: [0] };
  }
}

function ofOtherKind(vector: StoredVector): StoredVector {
  switch (vector.kind) {
    case 'dense':
      return { kind: 'sparse', indices: [...vector.values.keys()], values: vector.values };
    case 'multi':
      return { kind: 'dense', values: vector.rows[0] as Float32Array };
    case 'sparse':
      return { kind: 'dense', values: vector.values };
  }
}

/** Answered with its text, so that a test sees why its fault did not do what it should. */
export function unfit({ wrong }: ContentsFault, wanted: string): ServiceError {
  return new ServiceError('internal', `The double cannot make the fault "${wrong}": it takes ${wanted}`);
}
