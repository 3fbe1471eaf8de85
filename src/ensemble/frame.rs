//! The part of a grid that members are drawn on: the ice, with all that the network sees around it.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};

/// A rectangle of a grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    rows: Range<usize>,
    columns: Range<usize>,
    whole: (usize, usize),
}

impl Frame {
    /// The cells that lie at most `reach` rows and columns from one where `mask` is true, in steps of `multiple` cells from the
    /// grid's first row and column, so that the network halves the same cells as it would those of the whole grid. The whole grid
    /// where the mask is true nowhere.
    pub(super) fn around(mask: &Array2<bool>, reach: usize, multiple: usize) -> Self {
        let side = |length: usize, is_hit: &dyn Fn(usize) -> bool| {
            let hits = || (0..length).filter(|&line| is_hit(line));
            let (first, last) = (hits().next()?, hits().next_back()?);
            let begin = first.saturating_sub(reach) / multiple * multiple;
            Some(begin..length.min((last + 1 + reach).next_multiple_of(multiple)))
        };
        let (rows, columns) = mask.dim();
        Self {
            rows: side(rows, &|row| mask.row(row).iter().any(|&inside| inside)).unwrap_or(0..rows),
            columns: side(columns, &|column| mask.column(column).iter().any(|&inside| inside))
                .unwrap_or(0..columns),
            whole: (rows, columns),
        }
    }

    pub(super) fn shape(&self) -> (usize, usize) {
        (self.rows.len(), self.columns.len())
    }

    /// The shape of the grid.
    pub(super) fn whole(&self) -> (usize, usize) {
        self.whole
    }

    /// What a field of the grid has in the frame.
    pub(super) fn cut<T: Clone>(&self, field: ArrayView2<'_, T>) -> Array2<T> {
        field.slice(s![self.rows.clone(), self.columns.clone()]).to_owned()
    }

    /// The same of a field that is given row by row.
    pub(super) fn cut_flat(&self, field: &[f32]) -> Vec<f32> {
        let rows = field.chunks_exact(self.whole.1).skip(self.rows.start).take(self.rows.len());
        rows.flat_map(|row| &row[self.columns.clone()]).copied().collect()
    }

    /// A field of the frame on the whole grid, with `outside` where the frame is not.
    pub(super) fn put_back<T: Clone>(&self, field: &Array2<T>, outside: T) -> Array2<T> {
        let mut whole = Array2::from_elem(self.whole, outside);
        whole.slice_mut(s![self.rows.clone(), self.columns.clone()]).assign(field);
        whole
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_ice_it_is_the_whole_grid() {
        let frame = Frame::around(&Array2::from_elem((5, 7), false), 2, 4);
        assert_eq!(frame.shape(), (5, 7));
    }

    proptest! {
        #[test]
        fn it_holds_all_ice_with_its_surroundings_and_little_more(
            cells in prop::collection::vec((0_usize..40, 0_usize..50), 1..6), reach in 0_usize..9, multiple in 1_usize..9
        ) {
            let mut mask = Array2::from_elem((40, 50), false);
            for &cell in &cells {
                mask[cell] = true;
            }
            let frame = Frame::around(&mask, reach, multiple);
            for (range, length, lines) in [
                (&frame.rows, 40, cells.iter().map(|cell| cell.0).collect::<Vec<_>>()),
                (&frame.columns, 50, cells.iter().map(|cell| cell.1).collect()),
            ] {
                let (first, last) = (*lines.iter().min().unwrap(), *lines.iter().max().unwrap());
                prop_assert!(range.start <= first.saturating_sub(reach) && range.end >= (last + 1 + reach).min(length));
                prop_assert!(range.start + multiple > first.saturating_sub(reach) && range.end < last + 1 + reach + multiple);
                prop_assert_eq!(range.start % multiple, 0);
                prop_assert!(range.end % multiple == 0 || range.end == length);
            }
            let numbers = Array2::from_shape_fn((40, 50), |(row, column)| (50 * row + column) as f32);
            let cut = frame.cut(numbers.view());
            let flat: Vec<f32> = numbers.iter().copied().collect();
            prop_assert!(cut.iter().eq(&frame.cut_flat(&flat)));
            let back = frame.put_back(&cut, -1.0);
            for (cell, value) in back.indexed_iter() {
                let inside = frame.rows.contains(&cell.0) && frame.columns.contains(&cell.1);
                prop_assert_eq!(value.to_bits(), if inside { numbers[cell] } else { -1.0 }.to_bits());
            }
        }
    }
}
