import { ExactNumber, isObject, type Json, type JsonObject } from './exact-json.ts';
import { type GeoArea, type GeoPoint, geoPointOf, isOnGlobe, isRing } from './geo.ts';

/** The areas that a field condition of a REST body names; undefined where one of them has no such form. */
export function parseGeoAreas(condition: JsonObject): GeoArea[] | undefined {
  const areas: GeoArea[] = [];
  for (const [member, parse] of PARSERS) {
    const json = condition[member];
    if (json === undefined || json === null) continue;
    const area = isObject(json) ? parse(json) : undefined;
    if (area === undefined) return undefined;
    areas.push(area);
  }
  return areas;
}

const PARSERS = [
  ['geo_bounding_box', parseBox],
  ['geo_radius', parseCircle],
  ['geo_polygon', parsePolygon],
] as const;

function parseBox({ bottom_right, top_left }: JsonObject): GeoArea | undefined {
  const topLeft = parsePlace(top_left);
  const bottomRight = parsePlace(bottom_right);
  return topLeft && bottomRight && { kind: 'box', topLeft, bottomRight };
}

function parseCircle({ center: place, radius }: JsonObject): GeoArea | undefined {
  const center = parsePlace(place);
  return center && radius instanceof ExactNumber
    ? { kind: 'circle', center, radius: radius.value }
    : undefined;
}

function parsePolygon({ exterior: outer, interiors: inner }: JsonObject): GeoArea | undefined {
  const exterior = parseRing(outer);
  const interiors = (Array.isArray(inner) ? inner : []).map(parseRing);
  if (exterior === undefined || !interiors.every((ring) => ring !== undefined)) return undefined;
  return { kind: 'polygon', exterior, interiors };
}

function parseRing(json: Json | undefined): readonly GeoPoint[] | undefined {
  const points = isObject(json) && Array.isArray(json.points) ? json.points.map(parsePlace) : undefined;
  return points?.every((point) => point !== undefined) && isRing(points) ? points : undefined;
}

function parsePlace(json: Json | undefined): GeoPoint | undefined {
  const place = geoPointOf(json);
  return place !== undefined && isOnGlobe(place) ? place : undefined;
}
