//! `nilas demo`: the sample day through the whole chain, on a window of the Arctic.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::{house, print, report};
use crate::config::{Config, Overrides};
use crate::produce::Watch;
use crate::publish;

/// The day of the sample that comes with Nilas.
const SAMPLE_DAY: &str = "2022-04-15";

/// Produces the sample day, 2022-04-15, on a window with the Laptev Sea, north Greenland and the ice edge of Fram Strait. Needs no network.
#[derive(Args)]
pub(super) struct Arguments {
    /// Product root.
    #[arg(long, default_value = "demo")]
    out: PathBuf,
    /// Configuration file [default: demo.toml in ./config, /etc/nilas or share/nilas/config].
    #[arg(long)]
    config: Option<PathBuf>,
}

impl Arguments {
    fn config(&self) -> Result<Config, Failure> {
        let path = self.config.clone().map_or_else(|| Config::find("demo.toml"), Ok)?;
        let out = std::path::absolute(&self.out).map_err(Failure::other)?;
        let overrides =
            Overrides { cache: Some(out.join(".nilas/cache")), products: Some(out), ..Overrides::default() };
        Ok(Config::load(&path, &overrides)?)
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let day = SAMPLE_DAY.parse().map_err(Failure::other)?;
    let config = arguments.config()?;
    let root = config.folders.products.clone();
    let produced = house::produce(config, Watch::Nothing, day)?;
    report::produced(&produced);

    let folder = produced.published.folder.display().to_string();
    let file = |ending: &str| {
        let name =
            produced.published.files.iter().find(|file| file.name.ends_with(ending)).map(|file| &*file.name);
        format!("{folder}/{}", name.unwrap_or_default())
    };
    print("look at it");
    print(format_args!("  the picture      {}", file(".png")));
    print(format_args!("  in QGIS          drag {} into it", file("_mean.tif")));
    print(format_args!("  with GDAL        gdalinfo {}", file("_mean.tif")));
    print(format_args!("  in Python        xarray.open_dataset(\"{}\")", file(".nc")));
    if publish::has_viewer(&root) {
        print(format_args!(
            "  on a map         python3 -m http.server -d {}, then http://localhost:8000/viewer/",
            root.display()
        ));
    }
    let nilas = std::env::current_exe().map_or("nilas".into(), |own| own.with_file_name("nilas"));
    print(format_args!("  is it whole?     {} verify {folder}", nilas.display()));
    Ok(())
}
