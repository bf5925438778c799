//! The command line of the whole product: serves everything by default; `demo` lives through ninety days.

use std::process::ExitCode;

use revisit_bootstrap::{
    Shutdown,
    command::{Invocation, Program, print},
    telemetry,
};
use revisit_core::Failure;

use crate::{DEFAULTS, Setup, demo, services};

/// Does what the command line says: what `main` is.
#[must_use]
pub fn main() -> ExitCode {
    Program::new("revisit", services())
        .defaults(DEFAULTS)
        .command("serve", "serves the four services until SIGTERM (default)", serve)
        .command("migrate", "applies the migrations that are missing, then ends", migrate)
        .command("config", "prints the effective configuration, secrets redacted", print_config)
        .command("audit", "`audit verify` follows every audit chain", audit)
        .command("demo", "lives through ninety days twice; --stay keeps serving", live)
        .run()
}

async fn serve(invocation: Invocation) -> Result<(), Failure> {
    let exporters = telemetry::start("standalone", &settings(&invocation)?.telemetry)?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let ended = async {
        let running = Setup::new(invocation.layers)?.start(None, shutdown).await?;
        if let Some(made) = running.first_log_ins() {
            print(&format!(
                "A new installation. Each one-time token sets a password (Auth.SetPassword) and is shown only here.\n\
                 company {}: {}\n  {}\ncompany {}: {}\n  {}\n",
                made.tenant,
                made.administrator,
                made.administrator_link,
                made.operators,
                made.operator,
                made.operator_link
            ))?;
        }
        if !running.renewed_first_links().is_empty() {
            print("Nobody has used these log-ins yet. New one-time tokens; earlier ones no longer work.\n")?;
            running.renewed_first_links().iter().try_for_each(|link| print(&link.told()))?;
        }
        if running.first_log_ins().is_some() || !running.renewed_first_links().is_empty() {
            print(&format!(
                "To use one, with a password of your own; Auth/LogIn takes company, name and password afterwards:\n  \
                 grpcurl -plaintext -d '{{\"password_token\":\"TOKEN\",\"password\":\"PASSWORD\"}}' {} \
                 revisit.identity.v1.Auth/SetPassword\n",
                running.address()
            ))?;
        }
        running.ended().await
    };
    let ended = ended.await;
    exporters.flush().await;
    ended
}

fn settings(invocation: &Invocation) -> Result<revisit_bootstrap::Settings, Failure> {
    let mut layers = invocation.layers.clone();
    for section in services().into_iter().map(|service| service.name).chain(["standalone"]) {
        let _: serde_json::Value = layers.take(section)?;
    }
    layers.finish()
}

async fn migrate(invocation: Invocation) -> Result<(), Failure> {
    let layers = Setup::new(invocation.layers)?.layers()?;
    Invocation { layers, arguments: Vec::new(), ..invocation }.migrate().await
}

async fn print_config(invocation: Invocation) -> Result<(), Failure> {
    let layers = Setup::new(invocation.layers)?.without_own();
    Invocation { layers, arguments: Vec::new(), ..invocation }.print_config()
}

async fn audit(invocation: Invocation) -> Result<(), Failure> {
    if invocation.arguments != ["verify"] {
        return Err(Failure::invalid_field("command line", "usage: audit verify"));
    }
    // All four databases lie here, so nobody has to be asked, and nothing has to run.
    let findings = revisit_identity::verify_audit(&settings(&invocation)?, revisit_identity::Beside::Yes).await?;
    revisit_identity::tell_findings(&findings)
}

async fn live(invocation: Invocation) -> Result<(), Failure> {
    let stay = match invocation.arguments.as_slice() {
        [] => false,
        [one] if one == "--stay" => true,
        _ => return Err(Failure::invalid_field("command line", "usage: demo [--stay]")),
    };
    let mut told = settings(&invocation)?.telemetry;
    if told.log == "info" {
        // The story is what people read here; what goes wrong is still logged.
        "warn".clone_into(&mut told.log);
    }
    let exporters = telemetry::start("demo", &told)?;
    let ended = Box::pin(demo::run(invocation.layers, stay)).await;
    exporters.flush().await;
    ended
}
