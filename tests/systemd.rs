//! The archive of `./dev package` on a bare Debian, installed by the steps of docs/operations.md, with the daemon under a real systemd.
//! `./dev e2e` runs it, and names the archive and the bare Debian that it has made.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::demo_window::repository;
use common::replay_tree::replay_tree;
use common::say::say;
use machine::Machine;
use nilas::time::{Clock, ProductDay, SystemClock};
use toml::{Table, Value};

#[path = "common/machine.rs"]
mod machine;

const UNIT: &str = "nilas.service";
const CONFIGURATION: &str = "/etc/nilas/nilas.toml";
/// The first day of the replay tree.
const FIRST_DAY: &str = "2026-03-01";
/// The last one that has all its inputs.
const LAST_DAY: &str = "2026-03-05";
/// How long a day on the window of the demonstration may take, with all that the daemon does before it.
const DAY_SECONDS: f64 = 300.0;
/// How long the daemon may take to end.
const STOP_SECONDS: f64 = 60.0;
/// How long anything else may take.
const PATIENCE_SECONDS: f64 = 60.0;

#[test]
fn the_daemon_lives_under_systemd() {
    let Some(machine) = machine() else { return };
    install(&machine);
    root_begins_no_ledger(&machine);
    configure(&machine);
    receive_mail(&machine);
    load_credential(&machine);

    it_starts(&machine);
    it_publishes(&machine);
    it_logs_to_the_journal(&machine);
    it_reloads(&machine);
    it_keeps_the_old_configuration_where_the_new_one_is_wrong(&machine);
    it_is_started_again_when_it_hangs(&machine);
    it_ends_cleanly(&machine);
    it_does_not_start_where_it_could_inspect_nothing(&machine);
    it_mails_when_it_cannot_start(&machine);
}

/// The bare machine with the archive and the replay tree; without them nothing is looked at, and the test says so.
fn machine() -> Option<Machine> {
    let replay = replay_tree()?;
    let named = |name: &str| {
        let path = env::var_os(name).map(PathBuf::from);
        path.ok_or_else(|| format!("{name} is not set; ./dev e2e does so where it can"))
    };
    let booted = named("NILAS_BARE_DEBIAN").and_then(|bare| {
        let archive = named("NILAS_PACKAGE")?;
        Machine::boot(&bare, &[(&archive, &inside(&archive)), (&replay, "/srv/replay")])
    });
    match booted {
        Ok(machine) => Some(machine),
        Err(reason) => {
            say(&format!("skipped: {reason}"));
            None
        }
    }
}

/// Where the archive lies inside the machine: in root's home, as if it had been copied there.
fn inside(archive: &Path) -> String {
    format!("/srv/{}", archive.file_name().unwrap().to_str().unwrap())
}

/// The lines of the page for operators, as they stand there.
fn install(machine: &Machine) {
    let archive = machine.succeed("ls /srv/nilas-*.tar.gz");
    let steps = steps_of_installation().replace("nilas-VERSION-x86_64-linux.tar.gz", &archive);
    machine.succeed(&format!("set -e\n{steps}"));
    machine.succeed(
        "systemd-analyze verify --recursive-errors=yes /usr/local/lib/systemd/system/nilas*.service",
    );
    machine.succeed("runuser -u nilas -- nilas check --offline");
}

fn root_begins_no_ledger(machine: &Machine) {
    let tried = machine.run("nilas notify test");
    assert_ne!(tried.code, Some(0), "{}", tried.text);
    assert!(tried.text.contains("/var/lib/nilas belongs to the user"), "{}", tried.text);
    assert_eq!(machine.succeed("ls -A /var/lib/nilas"), "products");
}

fn steps_of_installation() -> String {
    let page = fs::read_to_string(repository("docs/operations.md")).unwrap();
    let blocks = page.split("\n\n").filter(|block| block.lines().all(|line| line.starts_with("    ")));
    // The steps of an upgrade unpack it, too, and ask for no packages.
    let mut steps =
        blocks.filter(|block| block.contains("apt-get install ") && block.contains("tar -C /usr/local "));
    let found = steps.next().expect("docs/operations.md says how to install");
    assert!(steps.next().is_none(), "docs/operations.md says it twice");
    found.to_owned()
}

/// What differs from the shipped configuration: the servers are the replay tree, a day takes seconds, and its days are not too old.
fn configure(machine: &Machine) {
    change_configuration(machine, |configuration| {
        let age =
            ProductDay::new(SystemClock::new().now().date_naive()).days_since(FIRST_DAY.parse().unwrap());
        let days = age + 30;
        set(configuration, "grid", "grids/demo.toml");
        for server in ["met-norway", "awi"] {
            set(configuration, &format!("servers.{server}.kind"), "folder");
            set(configuration, &format!("servers.{server}.address"), "/srv/replay");
        }
        for input in ["concentration", "drift", "thickness"] {
            set(configuration, &format!("inputs.{input}.missing_after_hours"), 24 * days);
        }
        set(configuration, "inputs.thickness.off_season_after_days", days);
        set(configuration, "schedule.look_back_days", days);
        set(configuration, "model.device", "cpu");
        set(configuration, "ensemble.members", 2);
        set(configuration, "ensemble.steps", 1);
        set(configuration, "model.calibrate", false);
        set(configuration, "notify.mail.enabled", true);
        set(configuration, "notify.mail.server", "127.0.0.1");
        set(configuration, "notify.mail.port", 25);
        set(configuration, "notify.mail.security", "none");
    });
}

fn change_configuration(machine: &Machine, change: impl FnOnce(&mut Table)) {
    let path = machine.path(CONFIGURATION);
    let mut configuration: Table = fs::read_to_string(&path).unwrap().parse().unwrap();
    change(&mut configuration);
    fs::write(&path, configuration.to_string()).unwrap();
}

/// Sets a key of a table that has to be there.
fn set(configuration: &mut Table, key: &str, value: impl Into<Value>) {
    let (tables, name) = key.rsplit_once('.').unwrap_or(("", key));
    let table = tables
        .split('.')
        .filter(|table| !table.is_empty())
        .try_fold(configuration, |table, part| table.get_mut(part)?.as_table_mut());
    table
        .unwrap_or_else(|| panic!("{CONFIGURATION} has no table for {key}"))
        .insert(name.into(), value.into());
}

/// A mail server in two units and a few lines of shell: each mail becomes a file in `/srv/mail`.
fn receive_mail(machine: &Machine) {
    let script = machine.path("/usr/local/sbin/receive-mail");
    fs::write(&script, include_str!("common/receive-mail.sh")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(machine.path("/srv/mail")).unwrap();
    let unit = |name: &str, text: &str| {
        fs::write(machine.path("/etc/systemd/system").join(name), text).unwrap();
    };
    unit("receive-mail.socket", "[Socket]\nListenStream=127.0.0.1:25\nAccept=yes\n");
    unit(
        "receive-mail@.service",
        "[Service]\nExecStart=/usr/local/sbin/receive-mail /srv/mail\nStandardInput=socket\nStandardError=journal\n",
    );
    machine.succeed("systemctl daemon-reload && systemctl start receive-mail.socket");
}

/// A server's credentials come by systemd: to the daemon and what starts it, and not to what reloads it.
fn load_credential(machine: &Machine) {
    let file = machine.path("/etc/nilas/replay.credentials");
    fs::write(&file, "aurora\npolar night\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    change_configuration(machine, |configuration| {
        set(configuration, "servers.awi.credentials", "replay");
    });
    let loaded = "[Service]\nLoadCredential=replay:/etc/nilas/replay.credentials\n";
    drop_in(machine, "credential.conf", loaded);
}

fn it_starts(machine: &Machine) {
    // It returns when the daemon has said that it is ready.
    machine.succeed("systemctl enable --now nilas.service");
    assert_eq!(machine.succeed("systemctl is-active nilas.service"), "active");
    assert_eq!(machine.property(UNIT, "NRestarts"), "0");
    assert_eq!(machine.property(UNIT, "Type"), "notify");
    machine.wait("a line of status", PATIENCE_SECONDS, || {
        let status = machine.property(UNIT, "StatusText");
        (!status.is_empty()).then_some(())
    });
    machine.succeed("nilas health");
    // The service may give up as many of its rights as a shell may, which lacks its credentials only, and says so.
    let confinement =
        machine.succeed("runuser -u nilas -- nilas check --offline 2>&1 | grep '^ok *confinement'");
    let said = machine.journal(UNIT, 0);
    assert!(said.contains(&confinement), "{confinement}\n{said}");
}

fn it_publishes(machine: &Machine) {
    // The newest day comes first, so that the others move latest.json no more.
    let latest = machine.path("/var/lib/nilas/products/latest.json");
    machine.wait("a published day", DAY_SECONDS, || {
        fs::read_to_string(&latest).is_ok_and(|text| text.contains(LAST_DAY)).then_some(())
    });
    let revision = format!("/var/lib/nilas/products/{}/r01", LAST_DAY.replace('-', "/"));
    machine.succeed(&format!("nilas verify {revision}"));
    // What the processor can is seen through the confinement; else members differ in their last bits from those made in a shell.
    let said = machine.journal(UNIT, 0);
    assert!(!said.contains("cpuinfo"), "{said}");
    // Others than the daemon's user can read it.
    machine.succeed(&format!("runuser -u nobody -- cat {revision}/manifest.json"));
    assert_eq!(machine.property(UNIT, "NRestarts"), "0");
}

fn it_logs_to_the_journal(machine: &Machine) {
    let entries = machine.succeed(
        "journalctl --quiet --no-pager --output=json _SYSTEMD_UNIT=nilas.service _TRANSPORT=journal",
    );
    let entry: serde_json::Value = serde_json::from_str(entries.lines().next().unwrap()).unwrap();
    assert_eq!(entry["SYSLOG_IDENTIFIER"], "nilas");
    assert!(entry["PRIORITY"].is_string(), "{entry}");
    // The journal shows the message alone, so what a field says has to be in it.
    let said = machine.journal(UNIT, 0);
    assert!(said.contains(&format!("published day={LAST_DAY} revision=1")), "{said}");
}

fn it_reloads(machine: &Machine) {
    let (daemon, before) = (daemon(machine), journal_lines(machine));
    change_configuration(machine, |configuration| {
        set(configuration, "publisher.institution", "Nilas, reloaded");
    });
    machine.succeed("systemctl reload nilas.service");
    machine.wait("the daemon says that it has read its configuration", PATIENCE_SECONDS, || {
        let said = machine.journal(UNIT, before);
        said.lines().any(|line| line.contains("configuration") && line.contains("read again")).then_some(())
    });
    assert_eq!(self::daemon(machine), daemon);
}

fn it_keeps_the_old_configuration_where_the_new_one_is_wrong(machine: &Machine) {
    let (daemon, before) = (daemon(machine), journal_lines(machine));
    let good = fs::read_to_string(machine.path(CONFIGURATION)).unwrap();
    change_configuration(machine, |configuration| set(configuration, "ensemble.members", 0));
    let reload = machine.run("systemctl reload nilas.service");
    assert_ne!(reload.code, Some(0), "{}", reload.text);
    let said = machine.journal(UNIT, before);
    assert!(said.contains("ensemble.members = 0"), "the reason is in the journal: {said}");

    // Past the check that systemd makes, the daemon has one of its own.
    let before = journal_lines(machine);
    machine.succeed("systemctl kill --kill-who=main --signal=HUP nilas.service");
    machine.wait("the daemon refuses the configuration", PATIENCE_SECONDS, || {
        machine.journal(UNIT, before).contains("ensemble.members = 0").then_some(())
    });
    // Whoever asks the daemon reads in the configuration where it is.
    fs::write(machine.path(CONFIGURATION), good).unwrap();
    machine.succeed("nilas health");
    assert_eq!(machine.succeed("systemctl is-active nilas.service"), "active");
    assert_eq!(self::daemon(machine), daemon);
}

fn it_is_started_again_when_it_hangs(machine: &Machine) {
    drop_in(machine, "test.conf", "[Service]\nWatchdogSec=10s\nRestartSec=1s\n");
    machine.succeed("systemctl restart nilas.service");
    let hanging = daemon(machine);
    machine.succeed("systemctl kill --kill-who=main --signal=STOP nilas.service");
    machine.wait("a new start", PATIENCE_SECONDS, || {
        let up = machine.run("systemctl is-active nilas.service").text.trim() == "active";
        (up && machine.property(UNIT, "NRestarts") == "1").then_some(())
    });
    assert_ne!(daemon(machine), hanging);
    let said = machine.journal(UNIT, 0);
    assert!(said.contains("Watchdog timeout"), "{said}");
    machine.succeed("nilas health");
}

fn it_ends_cleanly(machine: &Machine) {
    let clock = SystemClock::new();
    machine.succeed("systemctl stop nilas.service");
    assert!(clock.monotonic().as_secs_f64() < STOP_SECONDS);
    assert_eq!(machine.property(UNIT, "Result"), "success");
    assert_eq!(machine.property(UNIT, "ExecMainCode"), "1", "it ended by itself");
    assert_eq!(machine.property(UNIT, "ExecMainStatus"), "0");
    let left = machine.run("for process in /proc/[0-9]*; do stat -c %U $process; done | grep -x nilas");
    assert_eq!(left.text, "", "processes are left");
}

fn it_does_not_start_where_it_could_inspect_nothing(machine: &Machine) {
    let before = journal_lines(machine);
    machine.succeed("rm -f /srv/mail/*");
    drop_in(machine, "test.conf", "[Service]\nRestart=no\nSystemCallFilter=~seccomp\n");
    assert_ne!(machine.run("systemctl start nilas.service").code, Some(0));
    mail_about_failure(machine);
    let said = machine.journal(UNIT, before);
    assert!(said.contains("FAILS   confinement    no file could be inspected: seccomp is refused"), "{said}");
}

fn it_mails_when_it_cannot_start(machine: &Machine) {
    drop_in(machine, "test.conf", "[Unit]\nStartLimitBurst=2\n[Service]\nRestartSec=1s\n");
    machine.succeed("systemctl reset-failed nilas.service; rm -f /srv/mail/*");
    change_configuration(machine, |configuration| set(configuration, "ensemble.members", 0));
    assert_ne!(machine.run("systemctl start nilas.service").code, Some(0));
    let mail = mail_about_failure(machine);
    let host = machine.succeed("hostname");
    assert!(mail.contains(&format!("{UNIT} has stopped on {host}")), "{mail}");
    assert_eq!(machine.succeed("systemctl is-failed nilas.service"), "failed");
    // What the mail says to do helps, though systemd has counted too many starts.
    let remedy = format!("systemctl reset-failed {UNIT} && systemctl start {UNIT}");
    assert!(mail.contains(&remedy), "{mail}");
    change_configuration(machine, |configuration| set(configuration, "ensemble.members", 2));
    machine.succeed(&remedy);
}

/// The mail that the unit for failures sends, once it has done so.
fn mail_about_failure(machine: &Machine) -> String {
    let mail = machine.wait("a mail about the failure", PATIENCE_SECONDS, || {
        let mail = machine.run("cat /srv/mail/*.eml").text;
        mail.contains("Subject:").then_some(mail)
    });
    let failure = "nilas-failure@nilas.service.service";
    machine.wait("the unit that mails has ended", PATIENCE_SECONDS, || {
        (machine.property(failure, "ActiveState") == "inactive").then_some(())
    });
    assert_eq!(machine.property(failure, "Result"), "success");
    // Mail breaks long lines.
    mail.replace("=\r\n", "").replace("=\n", "")
}

/// The main process of the unit, which has one.
fn daemon(machine: &Machine) -> u32 {
    let number = machine.property(UNIT, "MainPID").parse().unwrap();
    assert_ne!(number, 0, "the daemon does not run");
    number
}

fn journal_lines(machine: &Machine) -> usize {
    machine.journal(UNIT, 0).lines().count()
}

/// Takes the place of the drop-in of that name before it.
fn drop_in(machine: &Machine, name: &str, text: &str) {
    let folder = machine.path("/etc/systemd/system/nilas.service.d");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), text).unwrap();
    machine.succeed("systemctl daemon-reload");
}
