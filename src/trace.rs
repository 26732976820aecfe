//! The trace on stderr, for those who look for a fault.

use tracing_subscriber::EnvFilter;

/// Switches it on when asked for with `-vv` or the variable `PGWRIGHT_LOG` (`debug`, `agent=trace` …).
///
/// Returns whether it is on.
pub(crate) fn start(verbose: u8) -> bool {
    let asked = std::env::var("PGWRIGHT_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = match (asked, verbose) {
        (Some(filter), _) => EnvFilter::new(filter),
        (None, 0 | 1) => return false,
        (None, 2) => EnvFilter::new("warn,pgwright=debug,agent=debug,rules=debug"),
        (None, _) => EnvFilter::new("info,pgwright=trace,agent=trace,rules=trace"),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never)
        .init();
    true
}
