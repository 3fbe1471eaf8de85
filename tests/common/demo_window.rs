//! The sample day on the window of the demonstration, small enough to be produced again and again.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::folders::shared_folder;
use super::nilas::Nilas;

pub(crate) const DAY: &str = "2022-04-15";

/// What the tests of one program share.
static SHARED: LazyLock<PathBuf> = LazyLock::new(shared_folder);

/// A folder in what the tests of one program share; it need not be there.
pub(crate) fn shared(name: &str) -> PathBuf {
    SHARED.join(name)
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A verb on the window of the demonstration. The remap weights are built once for all tests of a program.
pub(crate) fn on_the_demo_window(verb: &str) -> Nilas {
    Nilas::new(verb).option("--config", repository("config/demo.toml")).option("--cache", shared("cache"))
}

/// The quickest production of a day: two members in one step each.
pub(crate) fn quick_production(day: &str, products: &Path) -> Nilas {
    production(day, products, 2, 1)
}

/// The production of a day.
pub(crate) fn production(day: &str, products: &Path, members: usize, steps: usize) -> Nilas {
    on_the_demo_window("produce")
        .option("--date", day)
        .option("--products", products)
        .option("--members", members.to_string())
        .option("--steps", steps.to_string())
        // It was fitted for the checkpoint's own number of steps, and every product would say so.
        .arg("--no-calibration")
        // Where there is a GPU its members agree within tolerance only.
        .option("--device", "cpu")
}
