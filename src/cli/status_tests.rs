//! The table, word for word.

use super::*;
use crate::daemon::scratch_house::{House, time};
use crate::ledger::Severity;

fn shown(house: &House, days: u32) -> Vec<String> {
    table(&Overview::with_days(&house.ledger, &house.config, House::now(), days).unwrap())
}

#[test]
fn the_table_of_a_service_at_work() {
    let house = House::full();
    house.ledger.hold("a new disk", time("2026-03-02T05:00:00Z")).unwrap();
    let shown = shown(&house, 6);
    let expected = [
        "daemon   not at work",
        "newest   2026-02-26 r01 PROVISIONAL, its day ended 3 d 5 h ago; it was made on cpu, because the GPU failed",
        "OVERDUE  there should be a product of 2026-02-27 by now, and the newest is of 2026-02-26: its product was taken back",
        "HELD     since 2026-03-02 05:00 UTC: a new disk; `nilas resume` lets production go on",
        "last run 4 on 2026-02-28 failed after 5 min, on cpu, with up to 1234 MB: the model did not answer",
        "backfill 2 days asked for",
        "",
        "Open incidents",
        "  warning  late:drift (50 min, acknowledged)",
        "           drift is late: the newest file is centred on 2026-02-28",
        "  failure  production (50 min)",
        "           the production of 2026-02-28 fails: exit code 9",
        "",
        "Inputs",
        "  concentration 2026-03-01  5 h 30 min old  as expected  concentration_20260301.nc from met-norway",
        "  thickness     2026-02-25     1 d 5 h old  as expected  thickness_20260225.nc from awi",
        "  drift         2026-02-28  17 h 30 min old  as expected  drift_20260228.nc from met-norway",
        "",
        "Days, the newest first (6)",
        "  2026-03-01  waiting            waits for drift of 2026-02-28, which should be there",
        "  2026-02-28  failed             exit code 9: the model did not answer; 1 failed so far",
        "  2026-02-27  waiting            its product was taken back; revision 1 was taken back: the drift was of the wrong day",
        "  2026-02-26  provisional   r01  revision 1 stands; it was made on cpu, because the GPU failed",
        "  2026-02-25  final         r01  revision 1 stands",
        "  2026-02-24  not looked at",
    ];
    assert_eq!(shown, expected, "{}", shown.join("\n"));
}

/// A key may hold the name of a file, which comes from outside.
#[test]
fn a_key_can_be_pasted_into_a_shell() {
    let house = House::full();
    house.ledger.raise("name:ice_$(reboot).nc", Severity::Notice, "a new name", House::now()).unwrap();
    let shown = shown(&house, 1).join("\n");
    assert!(shown.contains("  notice   'name:ice_$(reboot).nc' ("), "{shown}");
}

#[test]
fn the_table_of_a_new_service() {
    let shown = shown(&House::empty(), 1);
    let expected = [
        "daemon   not at work",
        "newest   none yet",
        "OVERDUE  there should be a product of 2026-02-27 by now, and there is none at all: it was not looked at",
        "",
        "Inputs",
        "  concentration none has come yet",
        "  thickness     none has come yet",
        "  drift         none has come yet",
        "",
        "Days, the newest first (1)",
        "  2026-03-01  not looked at",
    ];
    assert_eq!(shown, expected, "{}", shown.join("\n"));
}
