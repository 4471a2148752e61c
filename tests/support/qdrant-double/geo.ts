import { ExactNumber, isObject, type Json } from './exact-json.ts';

export interface GeoPoint {
  readonly lon: number;
  readonly lat: number;
}

/** An area on the globe, as a condition names it. */
export type GeoArea =
  | { readonly kind: 'box'; readonly topLeft: GeoPoint; readonly bottomRight: GeoPoint }
  | { readonly kind: 'circle'; readonly center: GeoPoint; readonly radius: number }
  | {
      readonly kind: 'polygon';
      readonly exterior: readonly GeoPoint[];
      readonly interiors: readonly (readonly GeoPoint[])[];
    };

/** The place that a payload value names, or undefined. */
export function geoPointOf(json: Json | undefined): GeoPoint | undefined {
  if (!isObject(json)) return undefined;
  const { lat, lon } = json;
  return lat instanceof ExactNumber && lon instanceof ExactNumber
    ? { lon: lon.value, lat: lat.value }
    : undefined;
}

export function isOnGlobe({ lat, lon }: GeoPoint): boolean {
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 180;
}

/** A line that closes, of four points or more: what an edge of a polygon has to be. */
export function isRing(line: readonly GeoPoint[]): boolean {
  const [first, last] = [line[0], line.at(-1)];
  return line.length >= 4 && first?.lon === last?.lon && first?.lat === last?.lat;
}

/** Edges do not count as inside (`check_point` of lib/segment/src/types.rs). */
export function isInside(area: GeoArea, place: GeoPoint): boolean {
  switch (area.kind) {
    case 'box': {
      const { bottomRight, topLeft } = area;
      const [west, east] = [place.lon > topLeft.lon, place.lon < bottomRight.lon];
      // A box over the antimeridian has its left edge east of its right one.
      const isBetween = topLeft.lon > bottomRight.lon ? west || east : west && east;
      return isBetween && bottomRight.lat < place.lat && place.lat < topLeft.lat;
    }
    case 'circle':
      return metresBetween(area.center, place) < area.radius;
    case 'polygon':
      return isInsideRing(area.exterior, place) && !area.interiors.some((hole) => isInsideRing(hole, place));
  }
}

/** Mean radius of the earth in metres, as the geo crate takes it. */
const EARTH_RADIUS = 6_371_008.8;

/** Haversine. */
function metresBetween(a: GeoPoint, b: GeoPoint): number {
  const radians = (degrees: number): number => (degrees * Math.PI) / 180;
  const sinLat = Math.sin(radians(b.lat - a.lat) / 2);
  const sinLon = Math.sin(radians(b.lon - a.lon) / 2);
  const half = sinLat ** 2 + Math.cos(radians(a.lat)) * Math.cos(radians(b.lat)) * sinLon ** 2;
  return 2 * EARTH_RADIUS * Math.asin(Math.sqrt(half));
}

/** How often a ray to the east crosses the ring: an odd number of times from inside. */
function isInsideRing(ring: readonly GeoPoint[], { lat, lon }: GeoPoint): boolean {
  let inside = false;
  for (let at = 1; at < ring.length; at++) {
    const a = ring[at - 1] as GeoPoint;
    const b = ring[at] as GeoPoint;
    if (a.lat > lat === b.lat > lat) continue;
    if (lon < a.lon + ((lat - a.lat) / (b.lat - a.lat)) * (b.lon - a.lon)) inside = !inside;
  }
  return inside;
}
