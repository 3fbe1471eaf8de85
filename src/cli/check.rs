//! `nilas check`: what would fail at 03:00.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use clap::Args;

use super::configuration::ConfigurationFile;
use super::failure::Failure;
use super::{print, program};
use crate::config::{Config, Ensemble, Fetching, Input, Model, Notify, Overrides, TargetKind};
use crate::deliver::Carrier;
use crate::fetch::{Credentials, FetchError, Fetcher};
use crate::grid::{Grid, Regions};
use crate::ledger::{Ledger, LedgerError};
use crate::model::CheckpointInfo;
use crate::notify;
use crate::produce::{Answer, inquire};
use crate::source::{self, KnownName, Role, Season};
use crate::sys;
use crate::text::excerpt;
use crate::time::{Clock, ProductDay, SystemClock};

/// Says what would fail at 03:00: configuration, programs, folders, grid, checkpoint, ledger, the ways to people, and every
/// server that inputs come from.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    configuration: ConfigurationFile,
    /// Asks no server.
    #[arg(long)]
    offline: bool,
    /// Lets the daemon that is the process of this number read its configuration again if nothing would fail.
    #[arg(long, value_name = "PROCESS")]
    reload: Option<u32>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = arguments.configuration.path()?;
    let mut config = Config::load(&path, &Overrides::default())?;
    let mut report = Report::default();
    report.check("configuration", Ok::<_, String>(path.display()));
    let left = arguments.reload.map(|_| leave_to_daemon(&mut config)).unwrap_or_default();
    for key in &left {
        report.check("credentials", Ok::<_, String>(format!("{key}: the daemon looks at this one itself")));
    }
    // Who is asked without credentials lets nobody in.
    let offline = arguments.offline || !left.is_empty();
    for name in ["nilas-engine", "nilas-inspect"] {
        report.check(name, installed(name));
    }
    report.check("confinement", confinement());
    let folders = &config.folders;
    for (name, folder) in
        [("products", &folders.products), ("state", &folders.state), ("cache", &folders.cache)]
    {
        report.check(name, writable(folder));
    }
    report.check("grid", grid(&config));
    report.check("checkpoint", checkpoint(&config.model, &config.ensemble));
    report.check("ledger", ledger(&folders.state.join(Ledger::FILE_NAME)));
    for (name, found) in notify::look_at(&config.notify) {
        report.check(name, found);
    }
    ask_targets(&config, offline, &mut report)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    match fetcher(&config, &clock) {
        Ok(_) if offline => report.check("servers", Ok::<_, String>("not asked")),
        Ok(fetcher) => ask_servers(&config, &fetcher, &*clock, &mut report)?,
        Err(error) => report.check("servers", Err::<String, _>(error)),
    }
    report.verdict()?;
    let Some(process) = arguments.reload else { return Ok(()) };
    sys::signal_reload(process).map_err(|error| {
        Failure::Other(format!(
            "the daemon cannot be told to read its configuration again ({error}); look whether process {process} is the daemon and yours"
        ))
    })
}

/// What was found so far, printed line by line.
#[derive(Default)]
struct Report {
    failed: usize,
}

impl Report {
    fn check(&mut self, what: &str, result: Result<impl Display, impl Display>) {
        match result {
            Ok(found) => print(format_args!("ok      {what:<14} {found}")),
            Err(reason) => {
                self.failed += 1;
                print(format_args!("FAILS   {what:<14} {reason}"));
            }
        }
    }

    fn verdict(self) -> Result<(), Failure> {
        match self.failed {
            0 => Ok(()),
            1 => Err(Failure::Other("1 check failed; see the line marked FAILS".into())),
            several => Err(Failure::Other(format!("{several} checks failed; see the lines marked FAILS"))),
        }
    }
}

/// Stands for an address that the daemon alone can read; nothing is sent there.
const UNKNOWN_ADDRESS: &str = "https://systemd-credential";

/// Takes out of a configuration the systemd credentials that are out of reach here, for systemd gives them to the daemon and not to what
/// reloads it: everything else can be looked at all the same. Gives their keys and names.
fn leave_to_daemon(config: &mut Config) -> Vec<String> {
    let mut left = Vec::new();
    for (name, server) in &mut config.servers {
        left.extend(take(&format!("servers.{name}.credentials"), &mut server.credentials));
    }
    for (name, target) in &mut config.targets {
        left.extend(take(&format!("targets.{name}.credentials"), &mut target.credentials));
        let key = format!("targets.{name}.address_file");
        left.extend(take_address(&key, &mut target.address_file, &mut target.address));
    }
    let Notify { mail, webhook, heartbeat, .. } = &mut config.notify;
    left.extend(take("notify.mail.credentials", &mut mail.credentials));
    left.extend(take_address("notify.webhook.url_file", &mut webhook.url_file, &mut webhook.url));
    left.extend(take_address("notify.heartbeat.url_file", &mut heartbeat.url_file, &mut heartbeat.url));
    left
}

fn take(key: &str, named: &mut Option<PathBuf>) -> Option<String> {
    let named = named.take_if(|named| Credentials::are_out_of_reach(named))?;
    Some(format!("{key} = \"{}\"", named.display()))
}

fn take_address(key: &str, named: &mut Option<PathBuf>, known: &mut Option<String>) -> Option<String> {
    let taken = take(key, named)?;
    known.get_or_insert_with(|| UNKNOWN_ADDRESS.to_owned());
    Some(taken)
}

/// Whether products could be carried to where they shall be.
fn ask_targets(config: &Config, offline: bool, report: &mut Report) -> Result<(), Failure> {
    let carrier = match Carrier::new(config) {
        Ok(carrier) => carrier,
        Err(error) => {
            report.check("target", Err::<String, _>(error));
            return Ok(());
        }
    };
    let runtime = super::runtime()?;
    for (name, target) in &config.targets {
        let address = target.address.as_deref().filter(|_| target.kind != TargetKind::Webhook);
        let address = address.unwrap_or("a service, which is told of real products only");
        if offline {
            report.check("target", Ok::<_, String>(format!("{name}: not asked")));
        } else {
            let probed = runtime.block_on(carrier.probe(name));
            report.check("target", probed.map(|()| format!("{name}: {address}")));
        }
    }
    Ok(())
}

/// Whether a program starts: one whose libraries are not there lies where it should all the same, and fails every production.
fn installed(name: &str) -> Result<String, String> {
    let path = program(name).map_err(|failure| failure.to_string())?;
    let shown = path.display().to_string();
    let reason = match Command::new(&path).arg("--version").stdin(Stdio::null()).output() {
        Ok(answer) if answer.status.success() => return is_of_this_version(shown, &answer.stdout),
        Ok(answer) if answer.stderr.is_empty() => answer.status.to_string(),
        Ok(answer) => excerpt(String::from_utf8_lossy(&answer.stderr).trim()),
        Err(error) => error.to_string(),
    };
    Err(format!(
        "{shown} does not start ({reason}); install the packages that docs/operations.md names, and all programs of Nilas into one folder"
    ))
}

fn is_of_this_version(program: String, said: &[u8]) -> Result<String, String> {
    let (said, own) = (String::from_utf8_lossy(said), env!("CARGO_PKG_VERSION"));
    let version = said.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
    if version == own {
        return Ok(program);
    }
    Err(format!(
        "{program} is of version \"{}\", and nilas of {own}; install all programs of one version of Nilas into one folder",
        excerpt(version)
    ))
}

/// What keeps the reading of a file to that file.
fn confinement() -> Result<&'static str, String> {
    match sys::try_to_refuse_calls() {
        Err(error) => Err(format!(
            "no file could be inspected: seccomp is refused here ({error}); see that the unit or the container allows this call, as \
             systemd/nilas.service does"
        )),
        Ok(()) if sys::has_landlock() => Ok("files are inspected behind seccomp and Landlock"),
        Ok(()) => Ok(
            "files are inspected behind seccomp; Landlock, which would keep a reader from other files, too, is not to be had here: the kernel \
             lacks it, or the unit or the container does not let it be asked for",
        ),
    }
}

/// A folder that is not there yet is made when it is needed; nothing is made here, where perhaps another user looks.
fn writable(folder: &Path) -> Result<String, String> {
    let name = folder.display();
    let there = folder.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or(Path::new("/"));
    match tempfile::tempfile_in(there) {
        Ok(_) if there == folder => Ok(format!("{name} may be written")),
        Ok(_) => Ok(format!("{name} can be made")),
        Err(error) => Err(format!(
            "{name} cannot be written ({error}); give it to the user that runs Nilas, or name another in [folders]"
        )),
    }
}

fn grid(config: &Config) -> Result<String, String> {
    let file = config.grid_file().map_err(|error| error.to_string())?;
    let grid = Grid::load(&file).map_err(|error| error.to_string())?;
    let (rows, columns) = grid.spec.shape();
    let regions = file.regions.as_deref().map(|path| Regions::load(path, &grid.spec)).transpose();
    let seas = regions.map_err(|error| error.to_string())?.map_or(0, |regions| regions.list.len());
    Ok(format!("{}, {rows} x {columns}, {seas} seas", grid.spec.name))
}

fn checkpoint(model: &Model, ensemble: &Ensemble) -> Result<String, String> {
    let path = &model.checkpoint;
    let info = CheckpointInfo::read(path).map_err(|error| error.to_string())?;
    info.sampler(ensemble.sampler_choice()).map_err(|error| error.to_string())?;
    let found = sys::sha256_of_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
    match &model.checkpoint_sha256 {
        Some(expected) if *expected != found => Err(format!(
            "{} has the SHA-256 {found}, the configuration says {expected}; put the right file back, or change model.checkpoint_sha256",
            path.display()
        )),
        Some(_) => Ok(format!("{}, trained on: {}", info.name, info.training.data)),
        None => Ok(format!(
            "{}, trained on: {}; not pinned (model.checkpoint_sha256)",
            info.name, info.training.data
        )),
    }
}

fn ledger(path: &Path) -> Result<String, String> {
    if !path.exists() {
        return Ok(format!("{} is made by the first run", path.display()));
    }
    match Ledger::open(path) {
        Ok(_) => Ok(path.display().to_string()),
        // That is mended when the daemon starts, which this check comes before.
        Err(error @ LedgerError::Damaged { .. }) => Ok(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// What a person waits for the answer of a server, seconds.
const LONGEST_ANSWER_SECONDS: u64 = 60;

/// One try for each listing, and no second: after such a pause there is no time for it.
fn fetcher(config: &Config, clock: &Arc<dyn Clock>) -> Result<Fetcher, FetchError> {
    let seconds = LONGEST_ANSWER_SECONDS.min(config.fetching.try_seconds);
    let fetching = Fetching {
        try_seconds: seconds,
        deadline_seconds: seconds,
        shortest_pause_seconds: seconds as f64,
        longest_pause_seconds: seconds as f64,
        ..config.fetching.clone()
    };
    Fetcher::new(&config.servers, &fetching, &config.folders.cache, Arc::clone(clock))
}

fn ask_servers(
    config: &Config,
    fetcher: &Fetcher,
    clock: &dyn Clock,
    report: &mut Report,
) -> Result<(), Failure> {
    let today = ProductDay::new(clock.now().date_naive());
    let runtime = super::runtime()?;
    for role in [Role::Concentration, Role::Drift, Role::Thickness] {
        let input = role.input(&config.inputs);
        let answers = runtime.block_on(inquire(fetcher, role, today, input, clock));
        for answer in &answers {
            report.check(role.name(), in_words(answer, today));
        }
        if answers.iter().any(|answer| answer.held.is_ok()) {
            let held = answers.iter().filter_map(|answer| answer.held.as_ref().ok()?.newest.as_ref());
            let newest = held.map(KnownName::centre).max();
            report
                .check(role.name(), is_current(newest, source::due(clock.now(), role, input), today, input));
        }
    }
    Ok(())
}

/// Whether the places of a quantity together hold what should be there by now.
fn is_current(
    newest: Option<ProductDay>,
    due: ProductDay,
    today: ProductDay,
    input: &Input,
) -> Result<String, String> {
    match (source::season(newest, today, input), newest) {
        (Season::Over { newest }, _) => Ok(format!("off season: the newest is centred on {newest}")),
        (Season::Open, Some(newest)) if newest >= due => {
            Ok(format!("up to date: {newest} is there, and {due} should be"))
        }
        (Season::Open, _) => Err(format!(
            "{due} should be there, and no place has it or a newer one; look whether the provider has moved or renamed it"
        )),
    }
}

fn in_words(answer: &Answer, today: ProductDay) -> Result<String, String> {
    let seconds = answer.duration.as_secs_f64();
    let place = String::from(answer.place.clone());
    match &answer.held {
        Err(error) => Err(format!("{place}: {error} ({seconds:.1} s)")),
        Ok(held) => Ok(match &held.newest {
            Some(newest) => {
                let (day, word) = (newest.centre(), newest.word());
                let age = today.days_since(day);
                format!(
                    "{place}: newest {day} ({word}), {age} days old, of {} files ({seconds:.1} s)",
                    held.files
                )
            }
            None => format!("{place}: answers, holds nothing recent ({seconds:.1} s)"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FILE: &str = "config/nilas.toml";
    const TARGETS: &str = "[targets.portal]\nkind = \"webhook\"\naddress_file = \"portal\"\nproducts_url = \"https://example.org\"\n\
                           [targets.store]\nkind = \"s3\"\naddress = \"https://s3.example.org/ice\"\ncredentials = \"store\"\n";

    #[test]
    fn credentials_that_systemd_gives_to_the_daemon_alone_are_left_to_it() {
        let text = fs::read_to_string(FILE).unwrap();
        let text = format!("{text}\n{TARGETS}");
        let mut config = Config::from_text(&text, Path::new(FILE), &Overrides::default()).unwrap();
        config.servers.get_mut("awi").unwrap().credentials = Some("awi".into());
        config.servers.get_mut("met-norway").unwrap().credentials = Some("/nowhere/met-norway".into());
        let Notify { mail, webhook, heartbeat, .. } = &mut config.notify;
        (mail.enabled, mail.credentials) = (true, Some("smtp".into()));
        (mail.server, mail.from) = ("smtp.example.org".to_owned(), "nilas@example.org".to_owned());
        (webhook.enabled, webhook.url_file) = (true, Some("alarm".into()));
        heartbeat.url_file = Some("watcher".into());
        let left = leave_to_daemon(&mut config);
        let expected = [
            "servers.awi.credentials = \"awi\"",
            "targets.portal.address_file = \"portal\"",
            "targets.store.credentials = \"store\"",
            "notify.mail.credentials = \"smtp\"",
            "notify.webhook.url_file = \"alarm\"",
            "notify.heartbeat.url_file = \"watcher\"",
        ];
        assert_eq!(left, expected);
        assert!(Carrier::new(&config).is_ok());
        for (line, found) in notify::look_at(&config.notify) {
            assert!(found.is_ok(), "{line}: {found:?}");
        }
        assert!(Credentials::of("awi", &config.servers["awi"]).unwrap().is_none());
        // A file of its own is as good here as there.
        assert!(Credentials::of("met-norway", &config.servers["met-norway"]).is_err());
    }
}
