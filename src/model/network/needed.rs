//! What is needed of each block's output so that the answer is right where the mask is.

use std::ops::Range;

use tch::{Device, TchError, Tensor};

use super::NetworkConfiguration;

/// Rows and columns that a block sees around a cell: each of its two convolutions sees one.
pub(super) const BLOCK_REACH: i64 = 2;
/// The channel of the context that is not 0 inside the mask.
const MASK_CHANNEL: i64 = 3;

/// Where the answer is wanted.
pub(super) struct Wanted {
    /// For each level and each of its rows the columns between the first and the last cell of the mask; none where all is wanted.
    levels: Option<Vec<Vec<Range<i64>>>>,
    /// Blocks of each level, on each side.
    block_depth: usize,
    bottom: usize,
}

/// What is needed of the output of one block.
pub(super) struct Needed<'a> {
    rows: Option<&'a [Range<i64>]>,
    /// How far around the mask, cells of the level.
    around: i64,
}

impl Wanted {
    /// `context` is what the network is asked with, `input` the same with its sides padded. A GPU, and a question with several samples,
    /// get all.
    pub(super) fn of(
        context: &Tensor,
        input: &Tensor,
        configuration: &NetworkConfiguration,
    ) -> Result<Self, TchError> {
        let (bottom, block_depth) = (configuration.widths.len() - 1, configuration.block_depth);
        if input.device() != Device::Cpu || input.size()[0] != 1 {
            return Ok(Self { levels: None, block_depth, bottom });
        }
        let mask = context.f_narrow(1, MASK_CHANNEL, 1)?.contiguous();
        let columns = mask.size()[3] as usize;
        let mut values = vec![0.0_f32; mask.numel()];
        mask.f_copy_data(&mut values, mask.numel())?;
        let mut top: Vec<_> = values.chunks_exact(columns).map(hull).collect();
        top.resize(input.size()[2] as usize, 0..0);
        let mut levels = vec![top];
        for level in 0..bottom {
            levels.push(levels[level].chunks(2).map(halved).collect());
        }
        Ok(Self { levels: Some(levels), block_depth, bottom })
    }

    /// What is needed of each block, in the order in which they run.
    pub(super) fn by_block(&self) -> Vec<Needed<'_>> {
        let needed = |level: usize, around: i64| Needed {
            rows: self.levels.as_ref().map(|levels| &levels[level][..]),
            around,
        };
        // From the last block back to the first: each needs more of its input than is needed of its output.
        let mut around = 0;
        let mut blocks = Vec::new();
        let mut level_back = |level: usize, around: &mut i64| {
            for _ in 0..self.block_depth {
                blocks.push(needed(level, *around));
                *around += BLOCK_REACH;
            }
        };
        for level in 0..self.bottom {
            level_back(level, &mut around);
            // Two cells of the level below lie around a cell in each direction.
            around = around.div_euclid(2) + 2;
        }
        level_back(self.bottom, &mut around);
        for level in (0..self.bottom).rev() {
            around = 2 * around + 1;
            level_back(level, &mut around);
        }
        blocks.reverse();
        blocks
    }
}

impl Needed<'_> {
    /// The columns that are needed of some rows of a field so wide.
    pub(super) fn columns(&self, rows: Range<i64>, width: i64) -> Range<i64> {
        let Some(all) = self.rows else { return 0..width };
        let near = 0.max(rows.start - self.around)..(all.len() as i64).min(rows.end + self.around);
        let united = all[near.start as usize..near.end as usize].iter().cloned().reduce(united);
        let wanted = united.filter(|wanted| !wanted.is_empty()).unwrap_or(0..0);
        if wanted.is_empty() {
            return 0..0;
        }
        0.max(wanted.start - self.around)..width.min(wanted.end + self.around)
    }
}

/// From the first to the last cell that is not 0.
fn hull(row: &[f32]) -> Range<i64> {
    let mut cells =
        row.iter().enumerate().filter(|(_, value)| **value != 0.0).map(|(column, _)| column as i64);
    let Some(first) = cells.next() else { return 0..0 };
    first..cells.next_back().unwrap_or(first) + 1
}

/// The cells of the next level that have one of these in them.
fn halved(rows: &[Range<i64>]) -> Range<i64> {
    let united = rows.iter().cloned().reduce(united).unwrap_or(0..0);
    united.start / 2..(united.end + 1) / 2
}

fn united(one: Range<i64>, other: Range<i64>) -> Range<i64> {
    match (one.is_empty(), other.is_empty()) {
        (true, _) => other,
        (_, true) => one,
        _ => one.start.min(other.start)..one.end.max(other.end),
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn wanted(mask: &Tensor, configuration: &NetworkConfiguration) -> Wanted {
        let size = mask.size();
        let context =
            Tensor::cat(&[&Tensor::zeros([1, 3, size[2], size[3]], (Kind::Float, Device::Cpu)), mask], 1);
        Wanted::of(&context, &context, configuration).unwrap()
    }

    #[test]
    fn the_last_block_is_needed_at_the_mask_and_the_first_one_as_far_as_the_network_reaches() {
        let configuration = NetworkConfiguration { widths: vec![8, 12, 16], block_depth: 2 };
        let mask = Tensor::zeros([1, 1, 256, 256], (Kind::Float, Device::Cpu));
        let _ = mask.narrow(2, 120, 4).narrow(3, 100, 8).fill_(1.0);
        let wanted = wanted(&mask, &configuration);
        let blocks = wanted.by_block();
        assert_eq!(blocks.len(), 2 * (2 + 2) + 2);
        let last = &blocks[9];
        assert_eq!(last.columns(120..121, 256), 100..108);
        assert!(last.columns(119..120, 256).is_empty());
        let first = &blocks[0];
        let reach = configuration.reach_cells() as i64;
        let columns = first.columns(120..121, 256);
        assert!(columns.start >= 100 - reach && columns.end <= 108 + reach, "{columns:?}, {reach}");
        assert!(columns.start < 100 - 20 && columns.end > 108 + 20, "{columns:?}");
        let middle = &blocks[4];
        assert!(middle.columns(30..31, 64).contains(&26), "cells of the bottom are four wide");
    }

    #[test]
    fn a_mask_of_two_parts_is_wanted_with_what_lies_between() {
        assert_eq!(hull(&[0.0, 1.0, 0.0, 0.5, 0.0]), 1..4);
        assert_eq!(hull(&[0.0, 0.0]), 0..0);
        assert_eq!(halved(&[3..4, 8..9]), 1..5);
        assert_eq!(halved(&[0..0, 0..0]), 0..0);
    }
}
