//! A house on the smallest window that a day can be made on: 64 x 64 cells of the central Arctic, so that a production takes a second.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nilas::config::{Config, Overrides};
use nilas::ledger::Ledger;
use nilas::source::Role;
use nilas::time::{Clock, ProductDay, SystemClock};

use super::demo_window::{repository, shared};
use super::nilas::Nilas;
use super::series::Series;

const SIDE: u32 = 64;

/// Long enough ago for everything to be there, and young enough for nothing to be given up.
const DAYS_AGO: i64 = 6;

/// A house with a provider of its own.
pub(crate) struct TinyHouse {
    pub(crate) root: PathBuf,
    /// The one day that its provider has everything for.
    pub(crate) day: ProductDay,
}

impl TinyHouse {
    /// In `root`, which is made; `changes` are lines of the shipped configuration, and what stands there instead.
    pub(crate) fn new(root: &Path, changes: &[(&str, &str)]) -> Self {
        Self::of_side(root, SIDE, changes)
    }

    /// One that tells everything to the webhook at `address`.
    pub(crate) fn that_tells(root: &Path, address: &str, changes: &[(&str, &str)]) -> Self {
        let told = format!("template = \"webhook.json\"\nurl = \"{address}\"");
        let mut all = vec![
            ("it is one of this machine).\nenabled = false", "it is one of this machine).\nenabled = true"),
            ("template = \"webhook.json\"", &told),
        ];
        all.extend(changes);
        Self::new(root, &all)
    }

    /// The same as [`TinyHouse::new`] on a window of `side` x `side` cells.
    pub(crate) fn of_side(root: &Path, side: u32, changes: &[(&str, &str)]) -> Self {
        fs::create_dir_all(root).unwrap();
        let now = SystemClock::new().now();
        let day = ProductDay::new(now.date_naive()).plus_days(-DAYS_AGO);
        let house = Self { root: root.to_owned(), day };
        house.write_grid(side);
        house.configure(changes);
        house
    }

    fn write_grid(&self, side: u32) {
        let mask = File::create(self.root.join("tiny.png")).unwrap();
        let mut encoder = png::Encoder::new(mask, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let sea = vec![0; (side * side) as usize];
        encoder.write_header().unwrap().write_image_data(&sea).unwrap();
        let grid = fs::read_to_string(repository("config/grids/demo.toml")).unwrap();
        let grid = changed(
            grid,
            &[
                ("name = \"demo-3km\"", "name = \"tiny\""),
                ("rows = 816", &format!("rows = {side}")),
                ("columns = 384", &format!("columns = {side}")),
                ("first_cell_centre_y_m = 1470000.0", "first_cell_centre_y_m = 600000.0"),
                ("land_mask = \"demo-3km-land.png\"", "land_mask = \"tiny.png\""),
                ("regions = \"../regions/arctic-seas.toml\"", ""),
            ],
        );
        fs::write(self.root.join("tiny.toml"), grid).unwrap();
    }

    fn configure(&self, changes: &[(&str, &str)]) {
        let quoted = |path: PathBuf| format!("\"{}\"", path.display());
        let shipped = fs::read_to_string(repository("config/nilas.toml")).unwrap();
        let provider = quoted(self.provider());
        let text = changed(
            shipped,
            &[
                ("kind = \"thredds\"", "kind = \"folder\""),
                ("\"https://thredds.met.no/thredds/\"", &provider),
                ("kind = \"ftp\"", "kind = \"folder\""),
                ("\"ftp://ftp.awi.de/\"", &provider),
                ("\"grids/arctic-3km.toml\"", "\"tiny.toml\""),
                ("\"../models/small.safetensors\"", &quoted(repository("models/small.safetensors"))),
                ("\"/var/lib/nilas/products\"", "\"products\""),
                ("\"/var/lib/nilas\"", "\"state\""),
                ("\"/var/cache/nilas\"", &quoted(shared("cache"))),
                // The sample's thickness was reprocessed.
                ("processing = [\"o\"]", "processing = [\"r\"]"),
                ("members = 30", "members = 2"),
                ("#steps = 10", "steps = 1"),
                // It was fitted for 10 steps, and every product would say so.
                ("calibrate = true", "calibrate = false"),
                ("device = \"auto\"", "device = \"cpu\""),
                ("least_free_megabytes = 2000", "least_free_megabytes = 10"),
                ("#first_day = \"2026-10-15\"", &format!("first_day = \"{}\"", self.day)),
                ("look_back_days = 30", "look_back_days = 6"),
                ("[http]\nenabled = true", "[http]\nenabled = false"),
                ("wake = [\"0 */15 * * * *\"]", "wake = [\"* * * * * *\"]"),
            ],
        );
        fs::write(self.configuration(), changed(text, changes)).unwrap();
    }

    /// The same house with everything below its own folder, the cache included.
    pub(crate) fn with_own_cache(self) -> Self {
        let cache = self.config().folders.cache;
        self.reconfigure(&[(&cache.display().to_string(), "cache")]);
        self
    }

    /// Its configuration with some lines changed, each of which must stand there once.
    pub(crate) fn reconfigure(&self, changes: &[(&str, &str)]) {
        let text = fs::read_to_string(self.configuration()).unwrap();
        fs::write(self.configuration(), changed(text, changes)).unwrap();
    }

    /// A server of the configuration is another one from now on than the folder of its provider.
    pub(crate) fn is_served(&self, name: &str, kind: &str, address: &str) {
        let section = |kind: &str, address: &str| {
            format!("[servers.{name}]\nkind = \"{kind}\"\naddress = \"{address}\"")
        };
        let provider = self.provider();
        let here = section("folder", &provider.display().to_string());
        self.reconfigure(&[(&here, &section(kind, address))]);
    }

    /// The same house after the three files of its day have arrived.
    pub(crate) fn delivered(self) -> Self {
        self.deliver();
        self
    }

    /// The folder that its provider delivers to.
    pub(crate) fn provider(&self) -> PathBuf {
        self.root.join("provider")
    }

    /// The three files of the day arrive.
    pub(crate) fn deliver(&self) {
        for role in Role::ALL {
            self.deliver_one(role);
        }
    }

    /// One of them.
    pub(crate) fn deliver_one(&self, role: Role) {
        self.series(role).deliver(role, &self.day.to_string());
    }

    /// The provider's folder in which that one lies.
    pub(crate) fn series(&self, role: Role) -> Series {
        let month = |day: ProductDay| day.date().format("%Y/%m").to_string();
        let folder = match role {
            Role::Concentration => format!("osisaf/met.no/ice/amsr2_conc/{}", month(self.day)),
            Role::Drift => format!("osisaf/met.no/ice/drift_lr/merged/{}", month(self.day.plus_days(1))),
            Role::Thickness => "sea_ice/product/cryosat2_smos/v206/nh/LATEST".to_owned(),
        };
        Series::new(&self.provider().join(folder))
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.root.join("nilas.toml")
    }

    pub(crate) fn nilas(&self, verb: &str) -> Nilas {
        Nilas::new(verb).option("--config", self.configuration())
    }

    pub(crate) fn config(&self) -> Config {
        Config::load(&self.configuration(), &Overrides::default()).unwrap()
    }

    pub(crate) fn ledger_file(&self) -> PathBuf {
        self.config().folders.state.join(Ledger::FILE_NAME)
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::open(&self.ledger_file()).unwrap()
    }

    pub(crate) fn products(&self) -> PathBuf {
        self.root.join("products")
    }

    /// The folders of the day's revisions that readers see.
    pub(crate) fn revisions(&self) -> Vec<PathBuf> {
        let folder = self.products().join(self.day.date().format("%Y/%m/%d").to_string());
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let mut revisions: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        revisions.sort();
        revisions
    }
}

/// A text with some of its lines changed, each of which must stand there once.
fn changed(mut text: String, changes: &[(&str, &str)]) -> String {
    for (shipped, here) in changes {
        assert_eq!(text.matches(shipped).count(), 1, "{shipped}");
        text = text.replace(shipped, here);
    }
    text
}
