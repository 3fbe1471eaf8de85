//! `nilas-engine work`: produces what it is ordered on its standard input, and says on its standard output what becomes of it.
//! No verb for people: `nilas` starts it.

use std::io::{Read, Write, stdin, stdout};

use clap::Args;

use super::failure::Failure;
use super::inspection_program;
use crate::produce::{Event, Failed, Order, produce};
use crate::progress::Stages;
use crate::sys;
use crate::time::SystemClock;

/// Produces what is ordered on standard input.
#[derive(Args)]
pub(super) struct Arguments {
    /// By how much to yield to other work.
    #[arg(long, default_value_t = 0)]
    nice: u8,
    /// The process that this one must not outlive.
    #[arg(long)]
    parent: u32,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if !sys::die_with_parent(arguments.parent).map_err(Failure::other)? {
        return Err(Failure::Other("whoever ordered this production is gone".into()));
    }
    sys::yield_to_others(arguments.nice).map_err(Failure::other)?;
    let mut text = String::new();
    stdin().read_to_string(&mut text).map_err(Failure::other)?;
    let order: Order = serde_json::from_str(&text)
        .map_err(|error| Failure::Usage(format!("the order makes no sense: {error}")))?;
    let _span = tracing::info_span!("production", day = %order.day(), run = order.run).entered();
    let clock = SystemClock::new();
    let mut stages = Stages::heard_by(&clock, |news| say(&news.into()));
    match produce(&order, &inspection_program()?, &mut stages) {
        Ok(produced) => {
            say(&Event::Produced(Box::new(produced)));
            Ok(())
        }
        Err(error) => {
            let of_device = error.is_of_device();
            let failure = Failure::from(error);
            let reason = failure.to_string();
            say(&Event::Failed(Failed { exit_code: failure.code(), of_device, reason }));
            Err(Failure::Told(failure.code()))
        }
    }
}

/// A line on standard output. Whoever does not listen any more has ended, and so do we.
fn say(event: &Event) {
    if let Ok(text) = serde_json::to_string(event) {
        let mut out = stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }
}
