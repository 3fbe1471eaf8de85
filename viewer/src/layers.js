import { CIVIDIS, MAGMA, VIRIDIS } from './ramps.js';

const THICKNESS = { ramp: VIRIDIS, highest: 4, ticks: [0, 1, 2, 3, 4], unit: 'm', decimals: 2, open: true };
const SPREAD = { ramp: MAGMA, highest: 1, ticks: [0, 0.25, 0.5, 0.75, 1], unit: 'm', decimals: 2, open: true };
const PROBABILITY = { ramp: CIVIDIS, highest: 1, ticks: [0, 0.25, 0.5, 0.75, 1], unit: '', decimals: 2, open: false };

/** The asset that every map lies on, and its own layer. */
export const CLASSES = 'class';

/** The asset with one band for each threshold. */
export const THIN = 'prob-thin';

/** What can be chosen; `id` is the key of the asset in the item and the name in the permalink. */
export const LAYERS = [
  {
    id: 'mean',
    button: 'Mean',
    name: 'mean thickness',
    scale: THICKNESS,
    note: 'Mean of the members: volume of ice per area of the cell.',
  },
  {
    id: 'spread',
    button: 'Spread',
    name: 'spread',
    scale: SPREAD,
    note: 'Standard deviation between the members.',
  },
  {
    id: 'p10',
    button: '10th percentile',
    name: '10th percentile',
    scale: THICKNESS,
    note: 'One member in ten is thinner than this.',
  },
  {
    id: 'p50',
    button: '50th percentile',
    name: '50th percentile',
    scale: THICKNESS,
    note: 'Half of the members are thinner than this.',
  },
  {
    id: 'p90',
    button: '90th percentile',
    name: '90th percentile',
    scale: THICKNESS,
    note: 'One member in ten is thicker than this.',
  },
  {
    id: THIN,
    button: 'Thin ice',
    name: 'probability',
    scale: PROBABILITY,
    note: 'Share of the members that are thinner than the threshold.',
  },
  {
    id: CLASSES,
    button: 'Class',
    name: 'class',
    scale: null,
    note: 'What is known of each cell.',
  },
];

/** What the numbers of a layer are, as the reader is told beside them. */
export const quantityOf = ({ id, name }, threshold) => (id === THIN ? `probability below ${threshold.toFixed(2)} m` : name);

/** The layer of that name, or nothing. */
export const layerNamed = (id) => LAYERS.find((layer) => layer.id === id);
