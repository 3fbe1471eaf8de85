//! What is known of each cell when a product is published, and the classes that maps show of it.

use ndarray::{Array2, Zip};

use crate::prepare::flag;

use super::geography::Geography;
use super::{Product, Status};

/// North of this latitude, degrees, no altimeter of the merged thickness looks (`CryoSat-2` turns round at 88 degrees).
const POLE_LATITUDE: f64 = 88.0;

/// The flags of every cell: those of its preparation, and what only the whole product tells.
pub(super) fn of(product: &Product<'_>, geography: &Geography) -> Array2<u32> {
    let when = |holds: bool, bit: u32| if holds { bit } else { 0 };
    let aged = |role: &str| product.lineage.inputs.iter().any(|input| input.role == role && input.is_aged());
    let everywhere = when(product.status == Status::Provisional, flag::PROVISIONAL)
        | when(aged("drift"), flag::AGED_DRIFT)
        | when(aged("thickness"), flag::AGED_THICKNESS);
    Zip::from(&product.prepared.flags)
        .and(&product.statistics.clamped)
        .and(product.outside_training_range)
        .and(&geography.lonlat)
        .map_collect(|&flags, &clamped, &outside_range, place| {
            let ice = flags & flag::ICE != 0;
            flags
                | everywhere
                | when(ice && clamped, flag::CLAMPED)
                | when(ice && outside_range, flag::OUTSIDE_TRAINING_RANGE)
                | when(flags & flag::LAND == 0 && place.lat >= POLE_LATITUDE, flag::POLE)
        })
}

/// A class that maps show: the most important thing that is known of a cell.
pub(super) struct Class {
    /// Its number in the maps.
    pub(super) value: u8,
    /// Its name for machines.
    pub(super) name: &'static str,
    /// What people read.
    pub(super) description: &'static str,
    /// Its colour: red, green, blue.
    pub(super) colour: [u8; 3],
    /// A cell with any of these flags belongs to it; the first class that fits has the cell.
    bits: u32,
}

/// The number of cells outside the product grid.
pub(super) const OUTSIDE: u8 = 255;

/// The classes by priority. Ice whose estimate rests on least comes before ice whose estimate rests on more.
pub(super) const CLASSES: [Class; 10] = [
    class(1, "land", "land", [176, 172, 166], flag::LAND),
    class(2, "open_water", "less than 15 % ice", [230, 240, 247], flag::OPEN_WATER),
    class(
        3,
        "no_estimate",
        "sea that may have ice and has no estimate",
        [214, 196, 222],
        flag::MISSING_INPUT,
    ),
    class(
        4,
        "outside_training_range",
        "ice, an input lies far from what the model was trained with",
        [179, 88, 6],
        flag::OUTSIDE_TRAINING_RANGE,
    ),
    class(
        5,
        "filled_thickness",
        "ice, thickness filled from its surroundings",
        [241, 163, 64],
        flag::FILLED_THICKNESS | flag::INTERPOLATED_THICKNESS,
    ),
    class(10, "missing_drift", "ice, deformation not known", [247, 197, 128], flag::MISSING_DRIFT),
    class(
        6,
        "filled_drift",
        "ice, deformation filled from its surroundings",
        [254, 224, 182],
        flag::FILLED_DRIFT,
    ),
    class(
        7,
        "concentration_below_80_percent",
        "ice that covers less than 80 % of the cell",
        [153, 204, 210],
        flag::BELOW_80_PERCENT,
    ),
    class(
        8,
        "near_coast_concentration",
        "ice near a coast, where concentration is less certain",
        [128, 172, 190],
        flag::NEAR_COAST,
    ),
    class(9, "ice", "ice, every input observed", [66, 120, 168], flag::ICE),
];

const fn class(
    value: u8,
    name: &'static str,
    description: &'static str,
    colour: [u8; 3],
    bits: u32,
) -> Class {
    Class { value, name, description, colour, bits }
}

/// The class of every cell.
pub(super) fn classes(flags: &Array2<u32>) -> Array2<u8> {
    flags.mapv(|flags| {
        let class = CLASSES.iter().find(|class| flags & class.bits != 0);
        class.map_or(OUTSIDE, |class| class.value)
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_most_important_class_has_the_cell() {
        let ice = flag::ICE | flag::PROVISIONAL;
        let flags = array![[
            flag::LAND | flag::OPEN_WATER,
            ice,
            ice | flag::BELOW_80_PERCENT | flag::FILLED_DRIFT,
            ice | flag::FILLED_DRIFT | flag::FILLED_THICKNESS,
            ice | flag::MISSING_DRIFT | flag::BELOW_80_PERCENT,
            flag::MISSING_INPUT | flag::OUTSIDE_DOMAIN,
            0
        ]];
        assert_eq!(classes(&flags), array![[1, 9, 6, 5, 10, 3, OUTSIDE]]);
    }

    #[test]
    fn flags_of_the_whole_product_are_on_every_cell_and_others_where_they_hold() {
        let synthetic = crate::publish::synthetic::Synthetic::new(60);
        let product = synthetic.product();
        let geography = Geography::of(&product.grid.spec).unwrap();
        let flags = of(&product, &geography);
        assert!(flags.iter().all(|flags| flags & flag::PROVISIONAL != 0));
        assert!(flags.iter().all(|flags| flags & flag::AGED_THICKNESS != 0));
        // The pole lies in the middle of the grid, 2 degrees are 22 of its cells.
        assert!(flags[[30, 30]] & flag::POLE != 0 && flags[[30, 5]] & flag::POLE == 0);
        assert!(flags[[30, 31]] & flag::CLAMPED != 0 && flags[[30, 35]] & flag::CLAMPED == 0);
    }
}
