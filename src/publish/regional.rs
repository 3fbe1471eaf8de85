//! Area and volume of the ice in each sea, for a table and for catalogs.

use std::fmt::Write;

use ndarray::Zip;
use serde::{Deserialize, Serialize};

use crate::grid::{Region, Regions};
use crate::prepare::ICE_EDGE;

use super::geography::Geography;
use super::{Product, PublishError};

/// The ice of one sea.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionalFigures {
    /// Short name of the sea, such as `laptev-sea`.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// Cells inside the ice mask.
    pub ice_cells: usize,
    /// True area of the ice inside the mask: cell area times concentration, km2.
    pub ice_area_km2: f64,
    /// The same of ice that has no estimate, because its thickness is missing: area, volume and thickness leave it out, km2.
    pub ice_area_without_estimate_km2: f64,
    /// Volume of the ice, mean of the members, km3.
    pub ice_volume_km3: f64,
    /// Standard deviation between the members' volumes (divisor members - 1), km3.
    pub ice_volume_spread_km3: f64,
    /// Effective thickness: volume by area of the cells inside the ice mask, m; None where there are none.
    pub mean_thickness_m: Option<f64>,
    /// Place among the seas by that thickness; 1 is the thickest.
    pub thickness_rank: Option<usize>,
}

/// The ice of every sea that has some, in the order of `regions`. Members go through memory one at a time.
pub(super) fn figures(
    product: &Product<'_>,
    regions: &Regions,
    geography: &Geography,
) -> Result<Vec<RegionalFigures>, PublishError> {
    let areas = areas(product, regions, geography);
    let volumes = volumes_km3(product, regions, geography)?;
    let has_ice = |(region, _): &(usize, &Region)| areas[*region].ice_km2 + areas[*region].without_km2 > 0.0;
    let of_sea = |(region, sea): (usize, &Region)| {
        let Areas { cells, mask_km2, ice_km2, without_km2 } = areas[region];
        let of_members: Vec<f64> = volumes.iter().map(|member| member[region]).collect();
        let (mean, spread) = mean_and_spread(&of_members);
        RegionalFigures {
            id: sea.id.clone(),
            title: sea.title.clone(),
            ice_cells: cells,
            ice_area_km2: ice_km2.round(),
            ice_area_without_estimate_km2: without_km2.round(),
            ice_volume_km3: to_hundredths(mean),
            ice_volume_spread_km3: to_hundredths(spread),
            mean_thickness_m: (cells > 0).then(|| (1e6 * mean / mask_km2).round() / 1e3),
            thickness_rank: None,
        }
    };
    let mut figures: Vec<_> = regions.list.iter().enumerate().filter(has_ice).map(of_sea).collect();
    let thicknesses: Vec<f64> = figures.iter().filter_map(|sea| sea.mean_thickness_m).collect();
    for sea in &mut figures {
        let thicker = |own: f64| thicknesses.iter().filter(|&&other| other > own).count();
        sea.thickness_rank = sea.mean_thickness_m.map(|own| 1 + thicker(own));
    }
    Ok(figures)
}

/// The areas of one sea.
#[derive(Debug, Clone, Copy, Default)]
struct Areas {
    /// Cells inside the ice mask.
    cells: usize,
    /// Of these cells, whole.
    mask_km2: f64,
    /// Of the ice in them.
    ice_km2: f64,
    /// Of ice outside the mask.
    without_km2: f64,
}

fn areas(product: &Product<'_>, regions: &Regions, geography: &Geography) -> Vec<Areas> {
    let mut areas = vec![Areas::default(); regions.list.len()];
    Zip::from(&regions.index)
        .and(&product.prepared.mask)
        .and(&product.prepared.concentration)
        .and(&geography.cell_area_m2)
        .for_each(|region, &inside, &concentration, &cell_m2| {
            let Some(region) = region else { return };
            let (sea, cell_km2) = (&mut areas[usize::from(*region)], f64::from(cell_m2) / 1e6);
            if inside {
                sea.cells += 1;
                sea.mask_km2 += cell_km2;
                sea.ice_km2 += cell_km2 * f64::from(concentration);
            } else if concentration >= ICE_EDGE {
                sea.without_km2 += cell_km2 * f64::from(concentration);
            }
        });
    areas
}

/// The volume of ice in each region, km3, for each member.
fn volumes_km3(
    product: &Product<'_>,
    regions: &Regions,
    geography: &Geography,
) -> Result<Vec<Vec<f64>>, PublishError> {
    let of_member = |member: usize| {
        let rows = product.members.rows(member, 0..product.grid.spec.rows);
        let thickness_m = rows.map_err(|source| PublishError::Member { member, source })?;
        let mut volumes = vec![0.0; regions.list.len()];
        Zip::from(&regions.index).and(&thickness_m).and(&geography.cell_area_m2).for_each(
            |region, &thickness_m, &cell_m2| {
                if let (Some(region), false) = (region, thickness_m.is_nan()) {
                    volumes[usize::from(*region)] += f64::from(cell_m2) / 1e9 * f64::from(thickness_m);
                }
            },
        );
        Ok(volumes)
    };
    (0..product.members.len()).map(of_member).collect()
}

fn mean_and_spread(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (values.len() as f64 - 1.0).max(1.0)).sqrt())
}

fn to_hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The figures as a table of comma-separated values, for spreadsheets. The first line names the columns.
pub(super) fn table(figures: &[RegionalFigures]) -> String {
    let mut text = "region,title,ice_cells,ice_area_km2,ice_area_without_estimate_km2,ice_volume_km3,ice_volume_spread_km3,\
                    mean_thickness_m,thickness_rank\n"
        .to_owned();
    for sea in figures {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{},\"{}\",{},{:.0},{:.0},{:.2},{:.2},{},{}",
            sea.id,
            sea.title.replace('"', "\"\""),
            sea.ice_cells,
            sea.ice_area_km2,
            sea.ice_area_without_estimate_km2,
            sea.ice_volume_km3,
            sea.ice_volume_spread_km3,
            sea.mean_thickness_m.map_or(String::new(), |mean| format!("{mean:.3}")),
            sea.thickness_rank.map_or(String::new(), |rank| rank.to_string())
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use crate::publish::Figures;
    use crate::publish::synthetic::Synthetic;

    use super::*;

    #[test]
    fn the_seas_add_up_to_the_whole_and_their_spread_is_that_of_the_members() {
        let synthetic = Synthetic::new(40);
        let product = synthetic.product();
        let geography = Geography::of(&product.grid.spec).unwrap();
        let whole = Figures::of(&product, &geography);
        let seas = figures(&product, product.regions.unwrap(), &geography).unwrap();
        let sum = |of: fn(&RegionalFigures) -> f64| seas.iter().map(of).sum::<f64>();
        assert_eq!(seas.len(), 2);
        assert_relative_eq!(sum(|sea| sea.ice_area_km2), whole.ice_area_km2, max_relative = 1e-5);
        assert_relative_eq!(sum(|sea| sea.ice_volume_km3), whole.ice_volume_km3, max_relative = 1e-5);
        // The members differ by 0.2 m times (k - 1.5) everywhere: 0.2582 m times the area.
        for sea in &seas {
            let area_km2 = 1e3 * sea.ice_volume_km3 / sea.mean_thickness_m.unwrap();
            assert_relative_eq!(sea.ice_volume_spread_km3, 0.258_199e-3 * area_km2, max_relative = 1e-3);
        }
        let mut ranks: Vec<_> = seas.iter().map(|sea| sea.thickness_rank.unwrap()).collect();
        ranks.sort_unstable();
        assert!(ranks == [1, 2] || ranks == [1, 1], "{ranks:?}");
    }

    #[test]
    fn the_table_has_a_line_for_each_sea() {
        let sea = RegionalFigures {
            id: "laptev-sea".into(),
            title: "Laptev Sea".into(),
            ice_cells: 2,
            ice_area_km2: 17.6,
            ice_area_without_estimate_km2: 3.0,
            ice_volume_km3: 0.0251,
            ice_volume_spread_km3: 0.001,
            mean_thickness_m: Some(1.4),
            thickness_rank: Some(1),
        };
        let table = table(&[sea]);
        assert_eq!(table.lines().nth(1), Some("laptev-sea,\"Laptev Sea\",2,18,3,0.03,0.00,1.400,1"));
    }
}
