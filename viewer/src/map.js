import OpenLayersMap from 'ol/Map.js';
import View from 'ol/View.js';
import { defaults as usualInteractions } from 'ol/interaction/defaults.js';
import Layer from 'ol/layer/Layer.js';
import { drawGraticule, drawMarker, drawPicture } from './drawing.js';
import { polar } from './projection.js';

// Zoom 0 of permalinks: metres for each pixel. Changing it would move all links that people kept.
const COARSEST = 32000;
const STEEPEST_ZOOM = 8;
const MARGIN = 12;

/** A layer of OpenLayers with a canvas of its own; `draw` gets the context in pixels of the page. */
function canvasLayer(draw) {
  const canvas = document.createElement('canvas');
  canvas.className = 'map-canvas';
  const context = canvas.getContext('2d');
  const render = (frame) => {
    const { size: [width, height], pixelRatio } = frame;
    canvas.width = Math.round(width * pixelRatio);
    canvas.height = Math.round(height * pixelRatio);
    context.setTransform(pixelRatio, 0, 0, pixelRatio, 0, 0);
    draw(context, frame);
    return canvas;
  };
  return new Layer({ render });
}

function pictureLayer() {
  let picture;
  let opacity = 1;
  const layer = canvasLayer((context, frame) => {
    context.globalAlpha = opacity;
    if (picture) drawPicture(context, frame, picture);
  });
  const change = (set) => (value) => {
    set(value);
    layer.changed();
  };
  return { layer, show: change((value) => { picture = value; }), fade: change((value) => { opacity = value; }) };
}

function markerLayer() {
  let placeOf = () => undefined;
  const layer = canvasLayer((context, frame) => {
    const place = placeOf(frame);
    if (place) drawMarker(context, frame, place);
  });
  const mark = (finder) => {
    placeOf = finder;
    layer.changed();
  };
  return { layer, mark };
}

const NOWHERE = () => undefined;
const CENTRE = (frame) => frame.viewState.center;

/** Tells `onPlace` the place whose value is wanted: under the pointer, under a tap, or at the centre for the keyboard. */
function watchPlaces(map, target, marker, onPlace) {
  let byKeyboard = false;
  const choose = (place, finder, how) => {
    byKeyboard = how === 'keyboard';
    marker.mark(finder);
    onPlace(place, how);
  };
  const chooseCentre = () => choose(map.getView().getCenter(), CENTRE, 'keyboard');
  map.on('pointermove', ({ coordinate, originalEvent, dragging }) => {
    if (!dragging && originalEvent.pointerType === 'mouse') choose(coordinate, NOWHERE, 'pointer');
  });
  map.on('click', ({ coordinate, originalEvent }) => {
    if (originalEvent.pointerType !== 'mouse') choose(coordinate, () => coordinate, 'tap');
  });
  map.on('moveend', () => byKeyboard && chooseCentre());
  target.addEventListener('keydown', ({ key }) => /^(Arrow.*|[+-])$/.test(key) && !byKeyboard && chooseCentre());
  target.addEventListener('pointerleave', ({ pointerType }) => pointerType === 'mouse' && !byKeyboard && onPlace(undefined));
  target.addEventListener('focus', () => target.matches(':focus-visible') && chooseCentre());
}

/** The map in an element. `onPlace` gets places whose value is wanted or nothing, `onMove` is called when the view has come to rest. */
export function createMap(target, { onPlace, onMove }) {
  const underlay = pictureLayer();
  const overlay = pictureLayer();
  const marker = markerLayer();
  const view = new View({
    projection: polar,
    extent: polar.getExtent(),
    constrainOnlyCenter: true,
    maxResolution: COARSEST,
    maxZoom: STEEPEST_ZOOM,
    center: [0, 0],
    zoom: 2,
  });
  const layers = [underlay.layer, overlay.layer, canvasLayer(drawGraticule), marker.layer];
  const interactions = usualInteractions({ altShiftDragRotate: false, pinchRotate: false });
  const map = new OpenLayersMap({ target, view, layers, interactions, controls: [] });
  watchPlaces(map, target, marker, onPlace);
  map.on('moveend', onMove);
  return {
    showUnderlay: underlay.show,
    showOverlay: overlay.show,
    fadeOverlay: overlay.fade,
    draw: () => map.renderSync(),
    metresPerPixel: () => view.getResolution() / window.devicePixelRatio,
    centre: () => view.getCenter(),
    zoom: () => view.getZoom(),
    look: (centre, zoom) => {
      view.setCenter(centre);
      view.setZoom(zoom);
    },
    zoomBy: (steps) => view.animate({ zoom: view.getZoom() + steps, duration: 150 }),
    fit: (extent) => {
      // The legend that has just appeared may have made the map smaller.
      map.updateSize();
      view.fit(extent, { padding: [MARGIN, MARGIN, MARGIN, MARGIN] });
    },
  };
}
