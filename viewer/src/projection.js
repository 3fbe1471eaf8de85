import proj4 from 'proj4/lib/core.js';
import projections from 'proj4/lib/projections.js';
import stereographic from 'proj4/lib/projections/stere.js';
import Projection from 'ol/proj/Projection.js';

// The core of proj4 comes without projections but Mercator; the full package would be four times as large.
projections.add(stereographic);

const converter = proj4('+proj=stere +lat_0=90 +lat_ts=70 +lon_0=-45 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs');

/** The plane of the maps, EPSG:3413, as OpenLayers wants it. The page needs no other, so nothing is registered. */
export const polar = new Projection({ code: 'EPSG:3413', units: 'm', extent: [-4e6, -4e6, 4e6, 4e6] });

/** Metres in the plane of a place in degrees. */
export const toPlane = (latitude, longitude) => converter.forward([longitude, latitude]);

/** Degrees, latitude first, of a place in the plane. */
export function toDegrees(place) {
  const [longitude, latitude] = converter.inverse(place);
  return [latitude, longitude];
}
