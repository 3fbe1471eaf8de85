//! The daemon: decides from the ledger what is due, does it once, recovers from everything, and tells people when they can help.
//!
//! * `planner`: what is due, and whether what was gathered is worth a production. Pure.
//! * `round`: one look at everything that is due. `service`: the loop around it, with signals, the watchdog and daily `chores`;
//!   `leftovers`: what they clear of killed processes.
//! * `production`: one production with all around it, also for a person at a terminal. `worker`: the process that does it.
//! * `records`: what lies in the product folder, as the ledger has it. `recovery`: a ledger that is damaged.
//! * `incidents`: what people are told beyond the inputs.
//! * `pulse`: whether the work goes on. `overview`: how everything stands. `explanation`: the story of a day. `http`: what readers
//!   are shown.

mod carrying;
mod chores;
mod error;
mod explanation;
mod http;
mod incidents;
mod leftovers;
mod lock;
mod overview;
mod planner;
mod production;
mod pulse;
mod records;
mod recovery;
mod round;
#[cfg(test)]
pub(crate) mod scratch_house;
mod service;
mod signals;
mod systemd;
mod withdrawal;
mod worker;

pub use chores::{Chore, Cleared, clear_up, superfluous_quarantine};
pub use error::DaemonError;
pub use explanation::explain;
pub use lock::DaemonLock;
pub use overview::{
    DayOverview, HoldOverview, IncidentOverview, InputOverview, NewestFile, NewestProduct, Overview,
    RunOverview, StageOverview, WithdrawnOverview, stretch,
};
pub use planner::{Cause, DayHistory, Decision, DueDay, History, cut_off, decide, looked_after, plan};
pub use production::{Conclusion, Productions};
pub use recovery::open_ledger;
pub use service::{Build, Service, World};
pub use signals::Signals;
pub use withdrawal::{Withdrawn, withdraw};
pub use worker::{Ended, Mishap, Producer, Worker};
