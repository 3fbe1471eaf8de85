//! `nilas health`: asks the daemon of this machine whether it is alive.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;

use super::configuration::ConfigurationFile;
use super::failure::Failure;
use super::{print, runtime};

/// An answer comes at once, or it is none.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// More than this is no answer of the daemon's, characters.
const LONGEST_ANSWER: usize = 300;

/// Asks the daemon over HTTP whether its work goes on. Ends with 0 where it does, else with 1: for a container's health check.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    configuration: ConfigurationFile,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let http = arguments.configuration.load()?.http;
    if !http.enabled {
        return Err(Failure::Other("http.enabled is false: the daemon cannot be asked".to_owned()));
    }
    let url = format!("http://{}/healthz", reachable(http.listen));
    let (is_alive, said) = runtime()?.block_on(ask(&url)).map_err(|error| {
        Failure::Other(format!("{url} gives no answer ({error}); look whether `nilas run` is at work"))
    })?;
    let said: String = said.trim().chars().take(LONGEST_ANSWER).collect();
    if !is_alive {
        return Err(Failure::Other(format!("{url} says: {said}; the journal says what happened")));
    }
    print(said);
    Ok(())
}

/// Whether the answer is good, and its text.
async fn ask(url: &str) -> reqwest::Result<(bool, String)> {
    // The daemon is on this machine: no proxy lies between.
    let client = reqwest::Client::builder().no_proxy().timeout(LONGEST_WAIT).build()?;
    let response = client.get(url).send().await?;
    Ok((response.status().is_success(), response.text().await?))
}

/// An address at which what listens everywhere is reached from this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_asked_here() {
        let asked = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:8460"), "127.0.0.1:8460");
        assert_eq!(asked("[::]:8460"), "[::1]:8460");
        assert_eq!(asked("192.0.2.7:80"), "192.0.2.7:80");
    }
}
