//! pgwright: finds what would make a PostgreSQL server faster, proves it, applies it, and takes it back.

mod cli;
mod commands;
mod config;
mod demo;
mod exit;
mod failure;
mod input;
mod limits;
mod output;
mod progress;
#[cfg(test)]
mod reference;
mod run_log;
mod snapshot;
mod text;
mod trace;
mod values;
mod workload;

use std::process::ExitCode;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|fault| {
        let failure =
            failure::Failure::new(exit::Exit::Internal, format!("internal error: {fault}"))
                .hint("this is a fault of pgwright; please report it with what you did");
        commands::complain(&failure.render());
    }));
    let run = || cli::parse().map_or_else(|exit| exit, |cli| commands::run(&cli));
    std::panic::catch_unwind(run).unwrap_or(exit::Exit::Internal).into()
}
