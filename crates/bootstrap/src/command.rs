//! The command line, the same for every binary: `[--config FILE] [serve | migrate | parked | config | …]`.

use std::{future::Future, io::Write, path::PathBuf, pin::Pin, process::ExitCode, sync::Arc};

use revisit_core::Failure;

use crate::{
    config::{self, Layers},
    process::{Process, Sources},
    service::Service,
    shutdown::Shutdown,
    telemetry,
};

type Act = dyn Fn(Invocation) -> Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

/// A binary: its services, its own manual and its own subcommands.
pub struct Program {
    name: &'static str,
    services: Vec<Service>,
    defaults: Vec<&'static str>,
    commands: Vec<Command>,
}

struct Command {
    name: &'static str,
    about: &'static str,
    act: Arc<Act>,
}

/// What a subcommand is given.
pub struct Invocation {
    /// The binary's name.
    pub program: &'static str,
    /// Its services.
    pub services: Vec<Service>,
    /// Manuals, file and environment; a command may lay more over them.
    pub layers: Layers,
    /// What follows the subcommand on the command line.
    pub arguments: Vec<String>,
}

/// Runs a service alone: what a service's `main` is.
#[must_use]
pub fn main(service: Service) -> ExitCode {
    Program::new(service.name, vec![service]).run()
}

impl Program {
    /// A binary with these services and the subcommands that all have.
    #[must_use]
    pub fn new(name: &'static str, services: Vec<Service>) -> Self {
        Self { name, services, defaults: Vec::new(), commands: Vec::new() }
            .command("serve", "serves until SIGTERM (default)", async |invocation| invocation.serve().await)
            .command("migrate", "applies the migrations that are missing, then ends", async |invocation| {
                invocation.migrate().await
            })
            .command("parked", "lists, replays or discards events that could not be applied", async |invocation| {
                crate::parked::run(invocation).await
            })
            .command("config", "prints the effective configuration, secrets redacted", async |invocation| {
                invocation.print_config()
            })
    }

    /// Lays the binary's own defaults over those of its services.
    #[must_use]
    pub fn defaults(mut self, manual: &'static str) -> Self {
        self.defaults.push(manual);
        self
    }

    /// Adds a subcommand, or replaces the one of that name.
    #[must_use]
    pub fn command<A>(mut self, name: &'static str, about: &'static str, act: A) -> Self
    where
        A: AsyncFn(Invocation) -> Result<(), Failure> + 'static,
    {
        self.commands.retain(|command| command.name != name);
        let act = Arc::new(act);
        let act: Arc<Act> = Arc::new(move |invocation| {
            let act = Arc::clone(&act);
            Box::pin(async move { act(invocation).await })
        });
        self.commands.push(Command { name, about, act });
        self
    }

    /// Reads the command line and does what it says.
    #[must_use]
    pub fn run(self) -> ExitCode {
        // The first is the program's own path.
        self.run_with(std::env::args().skip(1).collect())
    }

    /// Does what these words of a command line say.
    #[must_use]
    pub fn run_with(self, words: Vec<String>) -> ExitCode {
        match self.act(words) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                tell_failure(&failure);
                ExitCode::FAILURE
            }
        }
    }

    fn act(self, words: Vec<String>) -> Result<(), Failure> {
        let mut file = None;
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next_if(|word| word.starts_with('-')) {
            match word.as_str() {
                "--config" => {
                    file = Some(PathBuf::from(words.next().ok_or_else(|| self.usage("--config needs a file"))?))
                }
                "--help" | "-h" => return print(&self.help()),
                unknown => return Err(self.usage(&format!("{unknown} is not known"))),
            }
        }
        let name = words.next().unwrap_or_else(|| "serve".to_owned());
        let command = self.commands.iter().find(|command| command.name == name);
        let command = command.ok_or_else(|| self.usage(&format!("{name} is not a command")))?;
        let mut layers = Process::manuals(&self.services, &self.defaults)?;
        if let Some(file) = &file {
            layers.add_file(file)?;
        }
        layers.add_variables(config::environment())?;
        let invocation =
            Invocation { program: self.name, services: self.services.clone(), layers, arguments: words.collect() };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::internal)?;
        runtime.block_on((command.act)(invocation))
    }

    fn usage(&self, what: &str) -> Failure {
        Failure::invalid_field("command line", format!("{what}\n{}", self.help()))
    }

    fn help(&self) -> String {
        let mut text = format!("usage: {} [--config FILE] [COMMAND]\n", self.name);
        for command in &self.commands {
            text.push_str(&format!("  {:<10} {}\n", command.name, command.about));
        }
        text
    }
}

impl Invocation {
    /// Serves until a signal, with telemetry.
    pub async fn serve(self) -> Result<(), Failure> {
        let process = Process::new(self.program, &self.services, self.layers)?;
        let exporters = telemetry::start(self.program, &process.settings.telemetry)?;
        let shutdown = Shutdown::new();
        shutdown.on_signals()?;
        let ended = match process.start(Sources::default(), shutdown).await {
            Ok(running) => running.ended().await,
            Err(failure) => Err(failure),
        };
        exporters.flush().await;
        ended
    }

    /// Migrates the database of every service.
    pub async fn migrate(self) -> Result<(), Failure> {
        let process = Process::new(self.program, &self.services, self.layers)?;
        let exporters = telemetry::start(self.program, &process.settings.telemetry)?;
        let migrated = process.migrate().await;
        exporters.flush().await;
        migrated
    }

    /// Prints the effective configuration.
    pub fn print_config(self) -> Result<(), Failure> {
        let process = Process::new(self.program, &self.services, self.layers)?;
        let mut table = toml::Table::try_from(&*process.settings).map_err(Failure::internal)?;
        for service in process.services {
            table.insert(service.name.to_owned(), service.shown);
        }
        print(&toml::to_string_pretty(&table).map_err(Failure::internal)?)
    }
}

/// Prints for people; a closed pipe is their wish.
pub fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::internal(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn tell_failure(failure: &Failure) {
    let mut text = String::new();
    for violation in &failure.violations {
        text.push_str(&format!("{}: {}\n", violation.field, violation.rule));
    }
    if text.is_empty() {
        text = format!("{}\n", failure.message);
        let mut cause = std::error::Error::source(failure);
        while let Some(source) = cause {
            text.push_str(&format!("  because: {source}\n"));
            cause = source.source();
        }
    }
    // With stderr closed there is nobody left to tell.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
