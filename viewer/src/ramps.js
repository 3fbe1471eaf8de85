const stops = (text) => text.split(' ').map((hexadecimal) => [0, 2, 4].map((at) => parseInt(hexadecimal.slice(at, at + 2), 16)));

/** Violet over green to yellow, perceptually uniform. The quicklooks use the same. */
export const VIRIDIS = stops(
  '440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e 1f988b 22a884 35b779 54c568 7ad151 a5db36 d2e21b fde725',
);

/** Black over red to pale yellow, perceptually uniform. The quicklooks use the same. */
export const MAGMA = stops(
  '000004 0b0924 20114b 3b0f70 57157e 721f81 8c2981 a8327d c43c75 de4968 f1605d fa7f5e fe9f6d febf84 fddea0 fcfdbf',
);

/** Dark blue over grey to yellow, perceptually uniform. The styles for QGIS use the same. */
export const CIVIDIS = stops(
  '002051 012b64 11366c 26416d 3c4d6d 50586d 62646e 716f71 7f7b74 '
    + '8c8777 999478 a9a176 baae70 cebc67 e2cb5b f3da4e fde945',
);

/** The colour at a share 0..1 of a ramp, as red, green and blue. */
export function colourAt(ramp, share) {
  const position = Math.min(Math.max(share, 0), 1) * (ramp.length - 1);
  const below = Math.min(Math.floor(position), ramp.length - 2);
  const weight = position - below;
  return ramp[below].map((part, channel) => Math.round(part + weight * (ramp[below + 1][channel] - part)));
}
