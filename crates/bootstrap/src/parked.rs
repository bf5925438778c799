//! What an operator does about events that a service could not apply: `parked [list | replay ID | replay all |
//! discard ID]`, on the databases of the binary's services. The running service tries again what is wanted.

use revisit_core::{Clock, Failure};
use revisit_event::inbox::parked;
use uuid::Uuid;

use crate::{
    command::{Invocation, print},
    database::{Database, fault},
    process::Process,
};

/// What is to be done.
enum Wish {
    List,
    Replay(Option<Uuid>),
    Discard(Uuid),
}

impl Wish {
    fn read(arguments: &[String]) -> Result<Self, Failure> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words[..] {
            [] | ["list"] => Ok(Self::List),
            ["replay", "all"] => Ok(Self::Replay(None)),
            ["replay", id] => Ok(Self::Replay(Some(event(id)?))),
            ["discard", id] => Ok(Self::Discard(event(id)?)),
            _ => Err(Failure::invalid_field("command line", "parked [list | replay ID | replay all | discard ID]")),
        }
    }
}

fn event(text: &str) -> Result<Uuid, Failure> {
    Uuid::try_parse(text).map_err(|_| Failure::invalid_field("command line", format!("{text} is no id of an event")))
}

/// Does it for every service of the binary.
pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let wish = Wish::read(&invocation.arguments)?;
    let process = Process::new(invocation.program, &invocation.services, invocation.layers)?;
    for service in &process.services {
        let config = process.settings.database.of(service.name);
        let database = Database::open(&config, Clock::system()).await?;
        print(&told(&database, service.name, &wish).await?)?;
    }
    Ok(())
}

async fn told(database: &Database, consumer: &str, wish: &Wish) -> Result<String, Failure> {
    let pools = database.pools();
    match wish {
        Wish::List => {
            let found = parked::list(&pools.reader, consumer).await.map_err(fault)?;
            let line = |one: &parked::Parked| {
                let (event, verdict) = (&one.event, &one.verdict);
                let wanted = if one.wanted { ", wanted" } else { "" };
                format!(
                    "{consumer}: {} {} of {} at {}/{}, {} tries{wanted}: {}\n",
                    event.id, event.r#type, event.source, event.shard, event.position, verdict.tries, verdict.reason
                )
            };
            Ok(found.iter().map(line).collect())
        }
        Wish::Replay(event) => {
            let count = parked::want(&pools.writer, consumer, *event).await.map_err(fault)?;
            Ok(format!("{consumer}: {count} to be tried again\n"))
        }
        Wish::Discard(event) => {
            let gone = parked::remove(&pools.writer, consumer, *event).await.map_err(fault)?;
            Ok(format!("{consumer}: {} discarded\n", u8::from(gone)))
        }
    }
}
