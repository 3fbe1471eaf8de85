//! Reads land masks: greyscale PNG images, one pixel a cell, white for land.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use ndarray::Array2;

use super::GridError;

/// Reads the mask of a grid of `shape` (rows, columns); true is land.
pub(super) fn read(path: &Path, shape: (usize, usize)) -> Result<Array2<bool>, GridError> {
    let (rows, columns) = shape;
    let refuse = |reason: String| GridError::LandMask { path: path.to_owned(), reason, rows, columns };
    let file = File::open(path).map_err(|source| GridError::File { path: path.to_owned(), source })?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(|error| refuse(error.to_string()))?;
    let size = reader.output_buffer_size().ok_or_else(|| refuse("the image is too large".into()))?;
    let mut pixels = vec![0; size];
    let info = reader.next_frame(&mut pixels).map_err(|error| refuse(error.to_string()))?;
    let found = (info.height as usize, info.width as usize);
    if found != shape || info.color_type != png::ColorType::Grayscale {
        return Err(refuse(format!("it is {} x {} {:?}", found.0, found.1, info.color_type)));
    }
    Ok(Array2::from_shape_fn(shape, |(row, column)| pixels[row * info.line_size + column] > 127))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_png(path: &Path, width: u32, height: u32, bits: &[u8]) {
        let mut encoder = png::Encoder::new(File::create(path).unwrap(), width, height);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        encoder.write_header().unwrap().write_image_data(bits).unwrap();
    }

    #[test]
    fn white_is_land() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("land.png");
        write_png(&path, 3, 2, &[0b1000_0000, 0b0110_0000]);
        let land = read(&path, (2, 3)).unwrap();
        assert_eq!(land, ndarray::array![[true, false, false], [false, true, true]]);
    }

    #[test]
    fn a_mask_of_another_shape_is_refused_with_both_shapes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("land.png");
        write_png(&path, 3, 2, &[0, 0]);
        let message = read(&path, (4, 4)).unwrap_err().to_string();
        assert!(message.contains("2 x 3") && message.contains("4 rows and 4 columns"), "{message}");
    }
}
